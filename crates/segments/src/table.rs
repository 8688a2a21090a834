//! One file of a segment, open for reading: its end, its indexes, and any page by its place.

mod end;
mod pages;
mod region;

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

pub(crate) use self::region::Region;

use self::end::{End, fits};
use crate::{
    Error, Flaw, Key, Place, ReadAt,
    cache::PageId,
    format::{
        Malformed,
        cipher::{Cipher, Module, Ordinals, Sealed},
        footer::Footer,
    },
    index::GroupIndex,
    layout::{GROUP_ROWS, Layout},
    stamp::{Stamp, Unread},
};

/// One file of a segment.
pub(crate) struct Table {
    pub(crate) layout: &'static Layout,
    pub(crate) stamp: Stamp,
    source: Box<dyn ReadAt>,
    cipher: Option<Cipher>,
    pub(crate) footer: Footer,
    indexes: Vec<OnceLock<GroupIndex>>,
    /// Tells its pages from other files' in a cache.
    id: u64,
}

/// The end of a file that is read at once: more than the footer of a day.
const TAIL: u64 = 64 << 10;
/// The length of the footer, and what the file ends in.
const TRAILER: usize = 8;
/// No footer or index is longer: 4,096 row groups, which is as many rows as a segment may have,
/// come to a quarter of it.
const LONGEST_PART: u64 = 64 << 20;
/// The numbers that stand for a compression.
const BARE: i64 = 0;
const ZSTD: i64 = 6;

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Table {
    /// Reads the end of the file.
    pub(crate) fn open(
        layout: &'static Layout,
        source: Box<dyn ReadAt>,
        key: Option<&Key>,
    ) -> Result<Self, Error> {
        let end = End::read(layout, &*source, key)?;
        let damaged = |flaw| {
            damage(
                layout,
                Place {
                    offset: end.offset,
                    ..Place::default()
                },
                flaw,
            )
        };
        let footer = Footer::parse(&end.footer).map_err(|error| damaged(error.into()))?;
        let stamp = footer.own.as_deref().ok_or(Unread::Malformed);
        let stamp = stamp.and_then(Stamp::parse).map_err(|error| match error {
            Unread::Version(version) => Error::Version {
                file: layout.file,
                version,
            },
            Unread::Checksum => damaged(Flaw::Checksum),
            Unread::Malformed => damaged(Flaw::Meaning("no file of a segment ends so")),
        })?;
        fits(layout, &footer, &stamp, source.len(), end.cipher.is_some())
            .map_err(|Malformed(what)| damaged(Flaw::Mismatch(what)))?;
        let indexes = footer.groups.iter().map(|_| OnceLock::new()).collect();
        Ok(Self {
            layout,
            stamp,
            source,
            cipher: end.cipher,
            footer,
            indexes,
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// How many rows it has.
    pub(crate) const fn rows(&self) -> u64 {
        self.stamp.rows
    }

    pub(crate) fn groups(&self) -> u32 {
        self.footer.groups.len() as u32
    }

    /// The rows of a page, which are as many in every column.
    pub(crate) fn page_rows(&self, group: u32, page: u32) -> usize {
        let rows = self
            .footer
            .groups
            .get(group as usize)
            .map_or(0, |group| group.rows);
        let before = page as usize * self.layout.page_rows;
        (rows as usize)
            .saturating_sub(before)
            .min(self.layout.page_rows)
    }

    /// How many pages a row group has, in every column.
    pub(crate) fn pages(&self, group: u32) -> u32 {
        let rows = self
            .footer
            .groups
            .get(group as usize)
            .map_or(0, |group| group.rows);
        (rows as usize).div_ceil(self.layout.page_rows) as u32
    }

    /// The row group, the page and the place in the page of a row.
    pub(crate) const fn place_of(&self, row: u64) -> (u32, u32, usize) {
        let (group, within) = (row / GROUP_ROWS as u64, row % GROUP_ROWS as u64);
        let page_rows = self.layout.page_rows as u64;
        (
            group as u32,
            (within / page_rows) as u32,
            (within % page_rows) as usize,
        )
    }

    /// What the indexes say of a row group; read when it is first asked for.
    pub(crate) fn index(&self, group: u32) -> Result<&GroupIndex, Error> {
        let (Some(slot), Some(meta), Some(stamp)) = (
            self.indexes.get(group as usize),
            self.footer.groups.get(group as usize),
            self.stamp.groups.get(group as usize),
        ) else {
            return Err(self.damaged(Place::default(), Flaw::Mismatch("a row beyond the last")));
        };
        if let Some(index) = slot.get() {
            return Ok(index);
        }
        let index = GroupIndex::read(self, group, meta)?;
        if stamp.check.is_some_and(|check| check != index.check) {
            let offset = meta.chunks.first().map_or(0, |chunk| chunk.offset_index.0);
            let place = Place {
                group: Some(group),
                offset,
                ..Place::default()
            };
            return Err(self.damaged(place, Flaw::Checksum));
        }
        Ok(slot.get_or_init(|| index))
    }

    /// A page's number among all of the file, in every column.
    pub(crate) const fn page_number(&self, group: u32, page: u32) -> u64 {
        let of_group = GROUP_ROWS.div_ceil(self.layout.page_rows) as u64;
        group as u64 * of_group + page as u64
    }

    /// What a page is known by in a cache. A column that no file has stands for the shortcuts.
    pub(crate) const fn page_id(&self, group: u32, column: usize, page: u32) -> PageId {
        PageId {
            file: self.id,
            group,
            column: column as u16,
            page,
        }
    }

    /// Reads a part of an index, if it is not in `read`, and opens it.
    pub(crate) fn module(
        &self,
        read: Option<&Region>,
        bytes: (u64, u64),
        module: Module,
        at: Ordinals,
    ) -> Result<Vec<u8>, Flaw> {
        let (offset, length) = bytes;
        let end = offset
            .checked_add(length)
            .filter(|&end| end <= self.source.len());
        if end.is_none() || length > LONGEST_PART {
            return Err(Flaw::Mismatch("an index outside its file"));
        }
        let raw = match read.and_then(|read| read.part(offset, length)) {
            Some(raw) => raw.to_vec(),
            None => {
                let mut raw = vec![0; length as usize];
                self.read(&mut raw, offset)
                    .map_err(|_| Flaw::Mismatch("an index that cannot be read"))?;
                raw
            }
        };
        open_module(self.cipher.as_ref(), raw, module, at)
    }

    pub(crate) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        read(self.layout, &*self.source, buffer, offset)
    }

    pub(crate) const fn is_encrypted(&self) -> bool {
        self.cipher.is_some()
    }

    /// What the file is encrypted with.
    pub(crate) const fn cipher(&self) -> Option<&Cipher> {
        self.cipher.as_ref()
    }

    pub(crate) fn damaged(&self, place: Place, flaw: Flaw) -> Error {
        damage(self.layout, place, flaw)
    }

    /// What is wrong with the value of a row.
    pub(crate) fn damaged_row(&self, row: u64, column: usize, flaw: Flaw) -> Error {
        let (group, page, _) = self.place_of(row);
        self.damaged_page(group, column, page, flaw)
    }

    /// What is wrong with a page.
    pub(crate) fn damaged_page(&self, group: u32, column: usize, page: u32, flaw: Flaw) -> Error {
        let bytes = self
            .index(group)
            .ok()
            .and_then(|index| index.page(column, page));
        let place = Place {
            group: Some(group),
            column: self.layout.columns.get(column).map(|column| column.name),
            page: Some(page),
            offset: bytes.map_or(0, |bytes| bytes.start),
        };
        self.damaged(place, flaw)
    }
}

/// The plain bytes of a part that may be encrypted.
pub(crate) fn open_module(
    cipher: Option<&Cipher>,
    mut raw: Vec<u8>,
    module: Module,
    at: Ordinals,
) -> Result<Vec<u8>, Flaw> {
    let Some(cipher) = cipher else {
        return Ok(raw);
    };
    let (plain, end) = cipher.open(&mut raw, module, at)?;
    if end != raw.len() {
        return Err(Flaw::Mismatch("an index of another length"));
    }
    Ok(raw.get(plain).unwrap_or(&[]).to_vec())
}

impl From<Sealed> for Flaw {
    fn from(sealed: Sealed) -> Self {
        match sealed {
            Sealed::Length => Self::Mismatch("an encrypted part of another length"),
            Sealed::Tag => Self::Tag,
        }
    }
}

fn read(layout: &Layout, source: &dyn ReadAt, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
    source.read_at(buffer, offset).map_err(|source| Error::Io {
        file: layout.file,
        action: "read",
        source,
    })
}

fn damage(layout: &Layout, place: Place, flaw: Flaw) -> Error {
    Error::Damaged {
        file: layout.file,
        place,
        flaw,
    }
}
