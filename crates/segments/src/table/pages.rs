//! Reading a page: from the file to its values.

use std::{cell::RefCell, ops::Range, sync::Arc};

use super::{BARE, Table};
use crate::{
    Cache, Error, Flaw, Place,
    cache::Kept,
    format::{
        Malformed,
        cipher::{Module, Ordinals},
        delta::Texts,
        footer::PageHeader,
        packed::Packed,
        page::{self, Values},
    },
    layout::{Column, Encoding},
    shortcuts::Restarts,
};

/// The bytes that a dictionary may unpack to: 65,536 names of devices.
const MOST_DICTIONARY: usize = 65_536 * (4 + 64);

/// A page, or a dictionary.
#[derive(Debug, Clone, Copy)]
struct Part {
    group: u32,
    column: usize,
    page: Option<u32>,
}
impl Table {
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

    /// Reads a page of texts and hands each to `each`: how many bytes it shares with the one before
    /// it, and what it adds.
    pub(crate) fn each_text(
        &self,
        group: u32,
        column: usize,
        page: u32,
        each: impl FnMut(usize, &[u8]) -> Result<(), Malformed>,
    ) -> Result<(), Error> {
        self.with_page(group, column, page, |spec, bytes, rows, _| {
            if spec.encoding != Encoding::DeltaText || spec.optional {
                return Err(Malformed("not a text in every row"));
            }
            Texts::each(bytes, rows, each)
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
