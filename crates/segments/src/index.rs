//! Where the pages of a row group are, and what the values of each lie between.

use std::ops::Range;

use crate::{
    Error, Flaw, Place,
    format::{
        Malformed,
        cipher::{Module, Ordinals},
        footer::{self, ColumnIndex, Group},
        thrift::Parsed,
    },
    layout::{Column, Kind},
    table::{Region, Table},
};

/// The pages of one row group.
#[derive(Debug)]
pub(crate) struct GroupIndex {
    columns: Vec<Pages>,
    /// The checksum of all that is above; the file's stamp says what it must be.
    pub(crate) check: u32,
}

#[derive(Debug)]
struct Pages {
    /// Where the dictionary begins, or the first page where there is none.
    start: u64,
    /// Where each page begins and the last ends, behind `start`: pages stand one after the other.
    places: Vec<u32>,
    bounds: Bounds,
}

/// What the values of each page lie between, both included.
#[derive(Debug)]
pub(crate) enum Bounds {
    /// The column keeps none.
    None,
    /// Null is the greatest value, as in the pages.
    Narrow(Vec<[u32; 2]>),
    /// With whether some are null.
    Wide(Vec<([i64; 2], bool)>),
    Texts(TextBounds),
}

/// The least and the most text of each page, never cut, in one piece of memory.
#[derive(Debug, Default)]
pub(crate) struct TextBounds {
    bytes: Vec<u8>,
    ends: Vec<[usize; 2]>,
}

impl TextBounds {
    fn push(&mut self, bounds: [&[u8]; 2]) {
        self.ends.push(bounds.map(|bound| {
            self.bytes.extend_from_slice(bound);
            self.bytes.len()
        }));
    }

    /// How many pages there are.
    pub(crate) const fn len(&self) -> usize {
        self.ends.len()
    }

    /// The least and the most of a page.
    pub(crate) fn get(&self, page: usize) -> Option<[&[u8]; 2]> {
        let [middle, end] = *self.ends.get(page)?;
        let before = page.checked_sub(1).and_then(|before| self.ends.get(before));
        let start = before.map_or(0, |&[_, end]| end);
        Some([self.bytes.get(start..middle)?, self.bytes.get(middle..end)?])
    }

    /// The one text of a page in which all are the same.
    pub(crate) fn only(&self, page: usize) -> Option<&str> {
        let [least, most] = self.get(page)?;
        str::from_utf8(least).ok().filter(|_| least == most)
    }
}

impl GroupIndex {
    pub(crate) fn read(table: &Table, group: u32, meta: &Group) -> Result<Self, Error> {
        let columns = table.layout.columns;
        let ordinals = |column: usize| Ordinals {
            group,
            column: column as u16,
            page: 0,
        };
        let all_pages = table.pages(group) as usize;
        let page_rows = table.layout.page_rows as u64;
        let offsets = Region::read(table, meta.chunks.iter().map(|chunk| chunk.offset_index));
        let bounds = meta.chunks.iter().filter_map(|chunk| chunk.column_index);
        let all_bounds = Region::read(table, bounds);
        let mut check = Check::default();
        let mut pages = Vec::with_capacity(columns.len());
        for (at, (chunk, column)) in meta.chunks.iter().zip(columns).enumerate() {
            let fail = |offset, flaw| {
                let place = Place {
                    group: Some(group),
                    column: Some(column.name),
                    page: None,
                    offset,
                };
                table.damaged(place, flaw)
            };
            let offset = chunk.offset_index.0;
            let bytes = table.module(
                offsets.as_ref(),
                chunk.offset_index,
                Module::OffsetIndex,
                ordinals(at),
            );
            let bytes = bytes.map_err(|flaw| fail(offset, flaw))?;
            let found = footer::offset_index(&bytes).map_err(|error| fail(offset, error.into()))?;
            let places = places(&found, chunk.start(), chunk.bytes, all_pages, page_rows);
            let places = places.map_err(|error| fail(offset, error.into()))?;
            check.pages(&places);
            let bounds = match chunk.column_index {
                Some(bytes) if column.bounds => {
                    let index = table.module(
                        all_bounds.as_ref(),
                        bytes,
                        Module::ColumnIndex,
                        ordinals(at),
                    );
                    let index = index.map_err(|flaw| fail(bytes.0, flaw))?;
                    let index = ColumnIndex::parse(&index, all_pages)
                        .map_err(|error| fail(bytes.0, error.into()))?;
                    check.bounds(&index);
                    Bounds::new(column, &index).map_err(|error| fail(bytes.0, error.into()))?
                }
                None if column.bounds => {
                    return Err(fail(offset, Flaw::Mismatch("no index of the column")));
                }
                _ => Bounds::None,
            };
            pages.push(Pages {
                start: chunk.start(),
                places,
                bounds,
            });
        }
        Ok(Self {
            columns: pages,
            check: check.finish(),
        })
    }

    /// Where a page is in the file.
    pub(crate) fn page(&self, column: usize, page: u32) -> Option<Range<u64>> {
        let pages = self.columns.get(column)?;
        let start = *pages.places.get(page as usize)?;
        let end = *pages.places.get(page as usize + 1)?;
        Some(pages.start + u64::from(start)..pages.start + u64::from(end))
    }

    /// Where the dictionary of a column is in the file.
    pub(crate) fn dictionary(&self, column: usize) -> Option<Range<u64>> {
        let pages = self.columns.get(column)?;
        let end = pages.start + u64::from(*pages.places.first()?);
        (pages.start < end).then_some(pages.start..end)
    }

    /// What the values of a column lie between, page by page.
    pub(crate) fn narrow(&self, column: usize) -> &[[u32; 2]] {
        match self.columns.get(column).map(|pages| &pages.bounds) {
            Some(Bounds::Narrow(bounds)) => bounds,
            _ => &[],
        }
    }

    /// As [`GroupIndex::narrow`], with whether some values are null.
    pub(crate) fn wide(&self, column: usize) -> &[([i64; 2], bool)] {
        match self.columns.get(column).map(|pages| &pages.bounds) {
            Some(Bounds::Wide(bounds)) => bounds,
            _ => &[],
        }
    }

    /// As [`GroupIndex::narrow`]; `None` where the column has none.
    pub(crate) fn texts(&self, column: usize) -> Option<&TextBounds> {
        match self.columns.get(column).map(|pages| &pages.bounds) {
            Some(Bounds::Texts(bounds)) => Some(bounds),
            _ => None,
        }
    }
}

/// Where each page begins and the last ends, counted from `start`.
fn places(
    found: &[(u64, u64, u64)],
    start: u64,
    bytes: u64,
    pages: usize,
    page_rows: u64,
) -> Parsed<Vec<u32>> {
    if found.len() != pages {
        return Err(Malformed("an index of another number of pages"));
    }
    let mut places = Vec::with_capacity(pages + 1);
    let mut next = found.first().map_or(start, |&(offset, ..)| offset);
    for (page, &(offset, length, row)) in (0..).zip(found) {
        if offset != next || row != page * page_rows {
            return Err(Malformed("pages that do not follow each other"));
        }
        places.push(offset);
        next = offset.saturating_add(length);
    }
    places.push(next);
    let relative = |place: u64| {
        place
            .checked_sub(start)
            .and_then(|place| u32::try_from(place).ok())
    };
    let places: Option<Vec<u32>> = places.into_iter().map(relative).collect();
    let places = places.ok_or(Malformed("pages outside their column"))?;
    if places.last().is_none_or(|&end| u64::from(end) != bytes) {
        return Err(Malformed("pages that do not fill their column"));
    }
    Ok(places)
}

impl Bounds {
    fn new(column: &Column, index: &ColumnIndex<'_>) -> Parsed<Self> {
        let pairs = index.least.iter().zip(&index.most);
        Ok(match column.kind {
            Kind::Text => {
                let mut texts = TextBounds::default();
                pairs.for_each(|(&least, &most)| texts.push([least, most]));
                Self::Texts(texts)
            }
            _ if column.is_narrow() => Self::Narrow(
                pairs
                    .enumerate()
                    .map(|(page, (a, b))| {
                        if index.only_nulls.get(page) == Some(&true) {
                            return Ok([u32::MAX; 2]);
                        }
                        let nulls = column.optional && index.nulls.get(page) != Some(&0);
                        Ok([narrow(a)?, if nulls { u32::MAX } else { narrow(b)? }])
                    })
                    .collect::<Parsed<_>>()?,
            ),
            _ => Self::Wide(
                pairs
                    .enumerate()
                    .map(|(page, (a, b))| {
                        if index.only_nulls.get(page) == Some(&true) {
                            return Ok(([i64::MAX, i64::MIN], true));
                        }
                        let nulls = column.optional && index.nulls.get(page) != Some(&0);
                        Ok(([wide(a)?, wide(b)?], nulls))
                    })
                    .collect::<Parsed<_>>()?,
            ),
        })
    }
}

fn narrow(bytes: &[u8]) -> Parsed<u32> {
    let bytes = bytes.try_into().map_err(|_| WIDTH)?;
    Ok(u32::from_le_bytes(bytes))
}

fn wide(bytes: &[u8]) -> Parsed<i64> {
    let bytes = bytes.try_into().map_err(|_| WIDTH)?;
    Ok(i64::from_le_bytes(bytes))
}

const WIDTH: Malformed = Malformed("a bound of another width");

/// The checksum of what the indexes of a row group say, column by column.
#[derive(Default, Clone)]
pub(crate) struct Check(crc32fast::Hasher);

impl Check {
    /// Where the pages are, counted from where the column begins.
    pub(crate) fn pages(&mut self, places: &[u32]) {
        for place in places {
            self.0.update(&place.to_le_bytes());
        }
    }

    /// What their values lie between.
    pub(crate) fn bounds(&mut self, index: &ColumnIndex<'_>) {
        let pairs = index.least.iter().zip(&index.most).zip(&index.only_nulls);
        for (page, ((least, most), &only_nulls)) in pairs.enumerate() {
            for bytes in [least, most] {
                self.0.update(&(bytes.len() as u32).to_le_bytes());
                self.0.update(bytes);
            }
            let nulls = index.nulls.get(page).copied().unwrap_or(u64::MAX);
            self.0.update(&nulls.to_le_bytes());
            self.0.update(&[u8::from(only_nulls)]);
        }
    }

    pub(crate) fn finish(self) -> u32 {
        self.0.finalize()
    }
}
