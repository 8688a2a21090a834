//! One file of a segment, open for reading: its end, its indexes, and any page by its place.

mod end;
mod region;

use std::{
    cell::RefCell,
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

pub(crate) use self::region::Region;

use self::end::{End, fits};
use crate::{
    Cache, Error, Flaw, Key, Place, ReadAt,
    cache::{Kept, PageId},
    format::{
        Malformed,
        cipher::{Cipher, Module, Ordinals, Sealed},
        delta::Texts,
        footer::{Footer, PageHeader},
        packed::Packed,
        page::{self, Values},
    },
    index::GroupIndex,
    layout::{Column, Encoding, GROUP_ROWS, Layout},
    shortcuts::Restarts,
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

    /// A page out of the cache, or read and put there.
    pub(crate) fn page(
        &self,
        cache: &Cache,
        group: u32,
        column: usize,
        page: u32,
    ) -> Result<Arc<Values>, Error> {
        let id = self.page_id(group, column, page);
        if let Some(Kept::Values(found)) = cache.get(id) {
            return Ok(found);
        }
        let values = Arc::new(self.read_page(group, column, page)?);
        cache.put(id, Kept::Values(Arc::clone(&values)));
        Ok(values)
    }

    /// Reads a page.
    pub(crate) fn read_page(&self, group: u32, column: usize, page: u32) -> Result<Values, Error> {
        self.read_checked(group, column, page)
            .map(|(values, _)| values)
    }

    /// Reads a page; its checksum too, which encrypted ones do not have.
    pub(crate) fn read_checked(
        &self,
        group: u32,
        column: usize,
        page: u32,
    ) -> Result<(Values, Option<u32>), Error> {
        self.with_page(group, column, page, |spec, bytes, rows, checksum| {
            Ok((page::decode(spec, bytes, rows)?, checksum))
        })
    }

    /// Reads a page and leaves it packed. `None` when the restarts are not of that page, or it
    /// cannot be read so.
    pub(crate) fn read_packed(
        &self,
        group: u32,
        column: usize,
        page: u32,
        restarts: &Restarts,
    ) -> Result<Option<Packed>, Error> {
        self.with_page(group, column, page, |spec, bytes, rows, checksum| {
            let same = checksum.unwrap_or(0) == restarts.checksum;
            if !same || spec.encoding != Encoding::Delta {
                return Ok(None);
            }
            Packed::new(bytes, spec.optional, rows, &restarts.values)
        })
    }

    fn with_page<T>(
        &self,
        group: u32,
        column: usize,
        page: u32,
        decode: impl FnOnce(&'static Column, &[u8], usize, Option<u32>) -> Result<T, Malformed>,
    ) -> Result<T, Error> {
        let part = Part {
            group,
            column,
            page: Some(page),
        };
        let bytes = self.index(group)?.page(column, page);
        let spec = self.spec(column)?;
        let rows = self.page_rows(group, page);
        let encoding = page::code(spec.encoding);
        self.with_part(part, bytes, rows as u64, encoding, |bytes, checksum| {
            decode(spec, bytes, rows, checksum)
        })
    }

    /// Reads the dictionary of a column in a row group.
    pub(crate) fn read_dictionary(&self, group: u32, column: usize) -> Result<Texts, Error> {
        let part = Part {
            group,
            column,
            page: None,
        };
        let bytes = self.index(group)?.dictionary(column);
        let encoding = page::code(Encoding::Plain);
        self.with_part(part, bytes, 0, encoding, |bytes, _| Texts::plain(bytes))
    }

    fn spec(&self, column: usize) -> Result<&'static Column, Error> {
        let spec = self.layout.columns.get(column);
        spec.ok_or_else(|| self.damaged(Place::default(), Flaw::Mismatch("no such column")))
    }

    /// Reads, opens, checks and unpacks a page, and hands it to `decode` with its checksum.
    fn with_part<T>(
        &self,
        part: Part,
        bytes: Option<Range<u64>>,
        rows: u64,
        encoding: i64,
        decode: impl FnOnce(&[u8], Option<u32>) -> Result<T, Malformed>,
    ) -> Result<T, Error> {
        let spec = self.spec(part.column)?;
        let place = Place {
            group: Some(part.group),
            column: Some(spec.name),
            page: part.page,
            offset: bytes.as_ref().map_or(0, |bytes| bytes.start),
        };
        let fail = |flaw| self.damaged(place, flaw);
        let bytes = bytes.ok_or_else(|| fail(Flaw::Mismatch("no such page")))?;
        let most = match part.page {
            Some(_) => page::most_bytes(spec, rows as usize),
            None => MOST_DICTIONARY,
        };
        // Packed bytes are hardly longer than what they unpack to.
        let length = bytes.end.saturating_sub(bytes.start);
        if length > (most + most / 8 + 4_096) as u64 {
            return Err(fail(Flaw::Mismatch("a page longer than its rows can be")));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let length = length as usize;
            if scratch.raw.len() < length {
                scratch.raw.resize(length, 0);
            }
            let raw = &mut scratch.raw[..length];
            self.read(raw, bytes.start)?;
            let (header, body) = self.open_part(raw, part).map_err(fail)?;
            let (header, body) = (&raw[header], &raw[body]);
            let (header, header_length) =
                PageHeader::parse(header).map_err(|error| fail(error.into()))?;
            let body = match self.cipher {
                Some(_) => body,
                None => body.get(header_length..).unwrap_or(&[]),
            };
            header
                .fits(part.page.is_some(), encoding, spec.optional, rows, most)
                .map_err(|error| fail(error.into()))?;
            if self.cipher.is_none() {
                if header.packed != body.len() as u64 {
                    return Err(fail(Flaw::Mismatch("a page of another length")));
                }
                if header.checksum != Some(crc32fast::hash(body)) {
                    return Err(fail(Flaw::Checksum));
                }
            }
            let length = header.unpacked as usize;
            let plain = if self.is_bare(part) {
                Some(body).filter(|body| body.len() == length)
            } else {
                scratch.unpacker.unpack(&mut scratch.plain, body, length)
            };
            let plain = plain.ok_or_else(|| fail(Flaw::Compression))?;
            let checksum = header.checksum.filter(|_| self.cipher.is_none());
            decode(plain, checksum).map_err(|error| fail(error.into()))
        })
    }

    /// Whether the pages of a column are not packed, which the footer says.
    fn is_bare(&self, part: Part) -> bool {
        let group = self.footer.groups.get(part.group as usize);
        let chunk = group.and_then(|group| group.chunks.get(part.column));
        chunk.is_some_and(|chunk| chunk.codec == BARE)
    }

    /// Where in `raw` the header and the body are; the header may run into the body where
    /// nothing is encrypted.
    fn open_part(&self, raw: &mut [u8], part: Part) -> Result<(Range<usize>, Range<usize>), Flaw> {
        let all = 0..raw.len();
        let Some(cipher) = &self.cipher else {
            return Ok((all.clone(), all));
        };
        let at = Ordinals {
            group: part.group,
            column: part.column as u16,
            page: part.page.unwrap_or(0),
        };
        let (header, body) = match part.page {
            Some(_) => (Module::DataPageHeader, Module::DataPage),
            None => (Module::DictionaryPageHeader, Module::DictionaryPage),
        };
        let (header, end) = cipher.open(raw, header, at)?;
        let (_, rest) = raw.split_at_mut_checked(end).ok_or(Flaw::Tag)?;
        let (body, body_end) = cipher.open(rest, body, at)?;
        if body_end != rest.len() {
            return Err(Flaw::Mismatch("a page of another length"));
        }
        Ok((header, body.start + end..body.end + end))
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

/// The bytes that a dictionary may unpack to: 65,536 names of devices.
const MOST_DICTIONARY: usize = 65_536 * (4 + 64);

/// A page, or a dictionary.
#[derive(Debug, Clone, Copy)]
struct Part {
    group: u32,
    column: usize,
    page: Option<u32>,
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

thread_local! {
    /// Memory that each page is read into and unpacked in, kept from page to page.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Default)]
struct Scratch {
    raw: Vec<u8>,
    plain: Vec<u8>,
    unpacker: Unpacker,
}

#[derive(Default)]
struct Unpacker(Option<zstd::bulk::Decompressor<'static>>);

impl Unpacker {
    /// `None` when the bytes are not what packs to exactly `length`. The caller has checked that
    /// there may be so many.
    fn unpack<'a>(
        &mut self,
        plain: &'a mut Vec<u8>,
        packed: &[u8],
        length: usize,
    ) -> Option<&'a [u8]> {
        let unpacker = match &mut self.0 {
            Some(unpacker) => unpacker,
            none => none.insert(zstd::bulk::Decompressor::new().ok()?),
        };
        if plain.len() < length {
            plain.resize(length, 0);
        }
        let plain = plain.get_mut(..length)?;
        let found = unpacker.decompress_to_buffer(packed, plain).ok()?;
        (found == length).then_some(plain)
    }
}
