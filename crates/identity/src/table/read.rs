//! Reading a file of identities.

use std::{
    fmt,
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use portledger_keys::{DataKey, Sealing};
use portledger_model::{Realm, Span, Timestamp};

use super::{
    END, HEADER, MAGIC, PLACE_OF_INDEX, Part, TRAILER, VERSION, index::Chunk, index::Index,
    place_of_chunk,
};
use crate::{Error, Flaw, Interval, Prefix, row};

/// A file of identities, open for reading: its index is in memory, its rows are not.
pub struct Table {
    path: PathBuf,
    source: Source,
    sealing: Sealing,
    pub(super) index: Index,
}

enum Source {
    File(File),
    Bytes(Vec<u8>),
}

impl Source {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(out, offset),
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let found = bytes.get(start..).and_then(|rest| rest.get(..out.len()));
                out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

impl Table {
    /// The file that these bytes are. Any bytes are read or refused; none panic.
    ///
    /// # Errors
    /// When they are no file of identities of this release, or none of this key.
    pub fn from_bytes(bytes: Vec<u8>, key: &DataKey) -> Result<Self, Error> {
        let length = bytes.len() as u64;
        let path = PathBuf::from("a file of identities");
        Self::new(path, Source::Bytes(bytes), length, Part::Whole, key)
    }

    /// All its intervals, in order.
    ///
    /// # Errors
    /// When a byte of it was changed.
    pub fn intervals(self) -> Result<Vec<Interval>, Error> {
        let mut stream = Stream::new(Arc::new(self));
        let mut intervals = Vec::new();
        while stream.advance()? {
            intervals.push(stream.table.decode(stream.row())?);
        }
        Ok(intervals)
    }

    pub(crate) fn open(path: &Path, part: Part, key: &DataKey) -> Result<Self, Error> {
        let failed = |source| Error::io(path, "open", source);
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Self::new(path.to_owned(), Source::File(file), length, part, key)
    }

    fn new(
        path: PathBuf,
        source: Source,
        length: u64,
        part: Part,
        key: &DataKey,
    ) -> Result<Self, Error> {
        let damaged = |flaw| Error::damaged(&path, flaw);
        let failed = |source| Error::io(&path, "read", source);
        let end = length
            .checked_sub(TRAILER)
            .filter(|end| *end >= HEADER)
            .ok_or_else(|| damaged(Flaw::Header))?;
        let (mut magic, mut version) = ([0; 8], [0; 4]);
        source.read_at(&mut magic, 0).map_err(failed)?;
        source.read_at(&mut version, 8).map_err(failed)?;
        if magic != *MAGIC {
            return Err(damaged(Flaw::Header));
        }
        match u32::from_le_bytes(version) {
            VERSION => {}
            later => return Err(damaged(Flaw::Version(later))),
        }
        let (mut offset, mut closing) = ([0; 8], [0; 8]);
        source.read_at(&mut offset, end).map_err(failed)?;
        source.read_at(&mut closing, end + 8).map_err(failed)?;
        let offset = u64::from_le_bytes(offset);
        if closing != *END || offset < HEADER {
            return Err(damaged(Flaw::End));
        }
        // No longer than the file is.
        let index = end.checked_sub(offset).ok_or_else(|| damaged(Flaw::End))?;
        let mut sealed = vec![0; usize::try_from(index).map_err(|_| damaged(Flaw::End))?];
        source.read_at(&mut sealed, offset).map_err(failed)?;
        let sealing = part.sealing(key);
        let opened = sealing.open(PLACE_OF_INDEX, &mut sealed);
        let opened = opened.map_err(|_| damaged(Flaw::Index))?;
        let index = Index::decode(opened, offset).map_err(damaged)?;
        Ok(Self {
            path,
            source,
            sealing,
            index,
        })
    }

    pub(crate) const fn rows(&self) -> u64 {
        self.index.rows
    }

    /// When the first of its intervals ends.
    pub(crate) const fn first_end(&self) -> Timestamp {
        self.index.first_end
    }

    /// Gives each row whose interval overlaps `span` and whose prefix holds `asked`, or is inside
    /// it.
    pub(crate) fn find(
        &self,
        realm: &Realm,
        asked: Prefix,
        span: Span,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        let (address, longest) = (asked.address(), asked.length());
        let family = if address.is_ipv4() { 4 } else { 6 };
        for (_, length) in self.index.kinds.range((family, 0)..=(family, longest)) {
            let Some(prefix) = Prefix::around(address, *length) else {
                continue;
            };
            let group = row::group(realm, &prefix);
            let bound = row::bound(&group, span.to);
            self.rows_between(&group, &bound, span.from, &mut each)?;
        }
        let kinds = &self.index.kinds;
        if kinds
            .iter()
            .any(|(of, length)| *of == family && longest < *length)
        {
            // What is inside stands together: it has the addresses from the first to the last.
            let (first, bound) = row::inside(realm, &asked);
            self.rows_between(&first, &bound, span.from, |row| {
                let is_longer = row::kind(row).is_some_and(|(_, length)| longest < length);
                if is_longer && row::start(row).is_some_and(|start| start < span.to) {
                    each(row);
                }
            })?;
        }
        Ok(())
    }

    /// Gives each row from `first` until before `bound` that ends after `after`.
    fn rows_between(
        &self,
        first: &[u8],
        bound: &[u8],
        after: Timestamp,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        let mut bytes = Vec::new();
        for (number, chunk) in self.chunks(first, bound) {
            if chunk.last_end <= after {
                continue;
            }
            for row in Rows(self.open_chunk(number, chunk, &mut bytes)?) {
                let row = row.map_err(|flaw| self.damaged(flaw))?;
                let ends_later = || row::end(row).is_some_and(|end| end > after);
                if *row >= *first && *row < *bound && ends_later() {
                    each(row);
                }
            }
        }
        Ok(())
    }

    /// Whether there is a row with this key.
    pub(crate) fn has(&self, key: &[u8]) -> Result<bool, Error> {
        let mut bytes = Vec::new();
        let bound = [key, &[0]].concat();
        for (number, chunk) in self.chunks(key, &bound) {
            for row in Rows(self.open_chunk(number, chunk, &mut bytes)?) {
                let row = row.map_err(|flaw| self.damaged(flaw))?;
                if row::split(row).is_some_and(|(found, _)| found == key) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The chunks in which rows from `first` until before `bound` may be.
    fn chunks(&self, first: &[u8], bound: &[u8]) -> impl Iterator<Item = (u64, &Chunk)> {
        let chunks = &self.index.chunks;
        // The one before the first that begins at `first` or after it may end in such rows.
        let start = chunks.partition_point(|chunk| *chunk.first_key < *first);
        (0_u64..)
            .zip(chunks)
            .skip(start.saturating_sub(1))
            .take_while(|(_, chunk)| *chunk.first_key < *bound)
    }

    /// What is in a chunk, read into `bytes`.
    fn open_chunk<'a>(
        &self,
        number: u64,
        chunk: &Chunk,
        bytes: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Error> {
        // The index holds no length that is longer than the longest chunk.
        bytes.resize(usize::try_from(chunk.length).unwrap_or(0), 0);
        self.source
            .read_at(bytes, chunk.offset)
            .map_err(|source| Error::io(&self.path, "read", source))?;
        match self.sealing.open(&place_of_chunk(number), bytes) {
            Ok(plain) => Ok(plain),
            Err(_) => Err(self.damaged(Flaw::Chunk(number))),
        }
    }

    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<Interval, Error> {
        row::decode(bytes).ok_or_else(|| self.damaged(Flaw::Meaning("a row")))
    }

    fn damaged(&self, flaw: Flaw) -> Error {
        Error::damaged(&self.path, flaw)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({}, {} rows)", self.path.display(), self.rows())
    }
}

/// The rows in an opened chunk.
struct Rows<'a>(&'a [u8]);

impl<'a> Iterator for Rows<'a> {
    type Item = Result<&'a [u8], Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let row = self.0.split_first_chunk::<4>().and_then(|(length, rest)| {
            rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
        });
        let (row, rest) = row.unzip();
        self.0 = rest.unwrap_or_default();
        Some(row.ok_or(Flaw::Meaning("a chunk's rows")))
    }
}

/// All rows of a file, one after the other, with one chunk in memory.
pub(crate) struct Stream {
    table: Arc<Table>,
    /// The number of the chunk to be read next.
    next: usize,
    sealed: Vec<u8>,
    /// The rows of the chunk that was read last.
    rows: Vec<u8>,
    /// Where in `rows` the row at hand is, and where the next one begins.
    row: Range<usize>,
}

impl Stream {
    pub(crate) fn new(table: Arc<Table>) -> Self {
        Self {
            table,
            next: 0,
            sealed: Vec::new(),
            rows: Vec::new(),
            row: 0..0,
        }
    }

    /// Goes to the next row; false after the last.
    pub(crate) fn advance(&mut self) -> Result<bool, Error> {
        while self.row.end >= self.rows.len() {
            let Some(chunk) = self.table.index.chunks.get(self.next) else {
                return Ok(false);
            };
            let number = self.next as u64;
            let rows = self.table.open_chunk(number, chunk, &mut self.sealed)?;
            self.rows.clear();
            self.rows.extend_from_slice(rows);
            self.row = 0..0;
            self.next += 1;
        }
        let rest = self.rows.get(self.row.end..).unwrap_or_default();
        match Rows(rest).next() {
            Some(Ok(row)) => {
                let start = self.row.end + 4;
                self.row = start..start + row.len();
                Ok(true)
            }
            Some(Err(flaw)) => Err(self.table.damaged(flaw)),
            None => Ok(false),
        }
    }

    pub(crate) fn damaged(&self, flaw: Flaw) -> Error {
        self.table.damaged(flaw)
    }

    /// The row at hand.
    pub(crate) fn row(&self) -> &[u8] {
        self.rows.get(self.row.clone()).unwrap_or_default()
    }
}
