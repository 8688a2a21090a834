//! The file of the shortcuts, open for reading.

use ring::digest::{Context, SHA256};

use super::{FILE, LONGEST_PART, PageShortcuts};
use crate::{
    Error, Flaw, Place, ReadAt,
    format::cipher::{Cipher, Module, Ordinals},
    table::{Table, open_module},
};

/// What the file ends in, which names its format.
pub(super) const MAGIC: [u8; 4] = *b"PLS1";
/// How long the end is, and the magic.
const TRAILER: usize = 8;
/// A checksum.
const CHECK: usize = 4;
/// A hash.
pub(super) const HASH: usize = 32;

/// The shortcuts of a segment.
pub(crate) struct Shortcuts {
    source: Box<dyn ReadAt>,
    /// Where each page's part begins, and the last ends.
    offsets: Box<[u64]>,
    /// Of the `numbers.parquet` they were made from.
    numbers: [u8; HASH],
}

impl Shortcuts {
    /// Reads the end of the file and holds it against the allocations it must be of.
    pub(crate) fn open(source: Box<dyn ReadAt>, allocations: &Table) -> Result<Self, Error> {
        let fail = |flaw| damaged(None, 0, flaw);
        let pages: u64 = (0..allocations.groups())
            .map(|group| u64::from(allocations.pages(group)))
            .sum();
        // How long the end must be is known: what the file says of it is only held against that.
        let plain = (pages + 1) * 8 + 2 * HASH as u64;
        let length = plain + overhead(allocations.cipher());
        let too_short = || fail(Flaw::Mismatch("too short for its segment"));
        let len = source.len();
        let start = len.checked_sub(length + TRAILER as u64);
        let start = start.ok_or_else(too_short)?;
        let mut end = vec![0; length as usize + TRAILER];
        read(&*source, &mut end, start)?;
        let trailer = end.split_off(length as usize);
        let (said, magic) = trailer.split_at(4);
        if magic != MAGIC {
            return Err(fail(Flaw::Mismatch("no file of shortcuts ends so")));
        }
        if said != (length as u32).to_le_bytes() {
            return Err(fail(Flaw::Mismatch("another number of pages")));
        }
        let end = open(
            allocations.cipher(),
            end,
            Module::ShortcutsEnd,
            Ordinals::default(),
        )
        .map_err(|flaw| damaged(None, start, flaw))?;
        let (of_allocations, rest) = end.split_first_chunk::<HASH>().ok_or_else(too_short)?;
        let (numbers, offsets) = rest.split_first_chunk::<HASH>().ok_or_else(too_short)?;
        if *of_allocations != identity(allocations) {
            return Err(fail(Flaw::Mismatch("shortcuts of other allocations")));
        }
        let (offsets, _) = offsets.as_chunks::<8>();
        let offsets: Box<[u64]> = offsets.iter().map(|&at| u64::from_le_bytes(at)).collect();
        let sound = offsets.first() == Some(&0)
            && offsets.last() == Some(&start)
            && offsets.is_sorted()
            && offsets.len() as u64 == pages + 1;
        if !sound {
            return Err(fail(Flaw::Mismatch("parts that do not fill the file")));
        }
        Ok(Self {
            source,
            offsets,
            numbers: *numbers,
        })
    }

    /// Whether these were made from these records' numbers.
    pub(crate) fn are_of(&self, numbers: &Table) -> bool {
        self.numbers == identity(numbers)
    }

    /// What there is to know of a page.
    pub(crate) fn page(
        &self,
        allocations: &Table,
        group: u32,
        page: u32,
    ) -> Result<PageShortcuts, Error> {
        let place = Place {
            group: Some(group),
            page: Some(page),
            ..Place::default()
        };
        let number = allocations.page_number(group, page);
        let bounds = usize::try_from(number).ok();
        let bounds =
            bounds.and_then(|at| Some((*self.offsets.get(at)?, *self.offsets.get(at + 1)?)));
        let (start, end) = bounds.ok_or_else(|| damage(place, Flaw::Mismatch("no such page")))?;
        let place = Place {
            offset: start,
            ..place
        };
        let fail = |flaw| damage(place, flaw);
        let length = end.saturating_sub(start);
        if length > LONGEST_PART as u64 {
            return Err(fail(Flaw::Mismatch("a part longer than a page's can be")));
        }
        let mut bytes = vec![0; length as usize];
        read(&*self.source, &mut bytes, start)?;
        let at = Ordinals {
            group,
            page,
            column: 0,
        };
        let bytes = open(allocations.cipher(), bytes, Module::Shortcuts, at).map_err(fail)?;
        PageShortcuts::read(&bytes, allocations.page_rows(group, page))
            .map_err(|error| fail(error.into()))
    }
}

/// What tells a file from all others: what it says of itself and, where it is encrypted, its own
/// random bytes.
pub(super) fn identity(table: &Table) -> [u8; HASH] {
    let mut hash = Context::new(&SHA256);
    hash.update(table.footer.own.as_deref().unwrap_or("").as_bytes());
    hash.update(&[0]);
    hash.update(table.cipher().map_or(&[], Cipher::file));
    let mut bytes = [0; HASH];
    bytes.copy_from_slice(hash.finish().as_ref());
    bytes
}

/// What a part takes beyond what it says: a length, a nonce and a tag, or a checksum.
const fn overhead(cipher: Option<&Cipher>) -> u64 {
    if cipher.is_some() {
        4 + 12 + 16
    } else {
        CHECK as u64
    }
}

/// What a part says: opened, or held against the checksum at its end.
fn open(
    cipher: Option<&Cipher>,
    mut bytes: Vec<u8>,
    module: Module,
    at: Ordinals,
) -> Result<Vec<u8>, Flaw> {
    if cipher.is_some() {
        return open_module(cipher, bytes, module, at);
    }
    let Some((said, checksum)) = bytes.split_last_chunk::<CHECK>() else {
        return Err(Flaw::Checksum);
    };
    if crc32fast::hash(said) != u32::from_le_bytes(*checksum) {
        return Err(Flaw::Checksum);
    }
    bytes.truncate(bytes.len() - CHECK);
    Ok(bytes)
}

fn read(source: &dyn ReadAt, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
    source.read_at(buffer, offset).map_err(|source| Error::Io {
        file: FILE,
        action: "read",
        source,
    })
}

fn damaged(group: Option<u32>, offset: u64, flaw: Flaw) -> Error {
    let place = Place {
        group,
        offset,
        ..Place::default()
    };
    damage(place, flaw)
}

pub(crate) fn damage(place: Place, flaw: Flaw) -> Error {
    Error::Damaged {
        file: FILE,
        place,
        flaw,
    }
}
