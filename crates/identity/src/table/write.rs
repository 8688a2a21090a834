//! Writing a file of identities.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use portledger_keys::{DataKey, Sealing};
use portledger_model::Timestamp;

use super::{
    CHUNK, END, HEADER, MAGIC, PLACE_OF_INDEX, Part, VERSION,
    index::{Chunk, Index},
    place_of_chunk,
};
use crate::{Error, Flaw, row, steps::Steps};

/// Sealed bytes are handed to the system in pieces of this size.
const BUFFER: usize = 256 << 10;

/// Writes a file of identities: rows in order, then [`TableWriter::finish`].
pub(crate) struct TableWriter {
    path: PathBuf,
    file: File,
    steps: Steps,
    sealing: Sealing,
    index: Index,
    /// The bytes not yet written.
    buffer: Vec<u8>,
    /// Where the next chunk begins.
    offset: u64,
    chunk: Vec<u8>,
    first_key: Box<[u8]>,
    last_end: Timestamp,
}

impl TableWriter {
    pub(crate) fn create(
        path: &Path,
        part: Part,
        key: &DataKey,
        steps: &Steps,
    ) -> Result<Self, Error> {
        let mut buffer = Vec::with_capacity(BUFFER + super::LONGEST_CHUNK);
        buffer.extend_from_slice(MAGIC);
        buffer.extend_from_slice(&VERSION.to_le_bytes());
        Ok(Self {
            path: path.to_owned(),
            file: steps.create(path)?,
            steps: steps.clone(),
            sealing: part.sealing(key),
            index: Index::new(),
            buffer,
            offset: HEADER,
            chunk: Vec::with_capacity(super::LONGEST_CHUNK),
            first_key: Box::default(),
            last_end: Timestamp::MIN,
        })
    }

    /// Adds a row, which does not come before the one added last.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let parts = (row::split(bytes), row::kind(bytes), row::end(bytes));
        let (Some((key, _)), Some(kind), Some(end)) = parts else {
            return Err(Error::damaged(&self.path, Flaw::Meaning("a row")));
        };
        if self.chunk.is_empty() {
            self.first_key = key.into();
            self.last_end = Timestamp::MIN;
        }
        let length = u32::try_from(bytes.len()).map_err(|_| Error::TooMany)?;
        self.chunk.extend_from_slice(&length.to_le_bytes());
        self.chunk.extend_from_slice(bytes);
        self.last_end = self.last_end.max(end);
        self.index.rows += 1;
        self.index.first_end = self.index.first_end.min(end);
        self.index.kinds.insert(kind);
        if self.chunk.len() >= CHUNK {
            self.seal_chunk()?;
        }
        Ok(())
    }

    /// Writes the index; the file is durable but for its name. Gives the number of its rows.
    pub(crate) fn finish(mut self) -> Result<u64, Error> {
        if !self.chunk.is_empty() {
            self.seal_chunk()?;
        }
        let index = self.index.encode()?;
        self.sealing
            .seal(PLACE_OF_INDEX, &index, &mut self.buffer)?;
        self.buffer.extend_from_slice(&self.offset.to_le_bytes());
        self.buffer.extend_from_slice(END);
        self.flush()?;
        self.steps.sync(&self.file, &self.path)?;
        Ok(self.index.rows)
    }

    fn seal_chunk(&mut self) -> Result<(), Error> {
        let before = self.buffer.len();
        let place = place_of_chunk(self.index.chunks.len() as u64);
        self.sealing.seal(&place, &self.chunk, &mut self.buffer)?;
        let length = u32::try_from(self.buffer.len() - before).map_err(|_| Error::TooMany)?;
        self.index.chunks.push(Chunk {
            first_key: std::mem::take(&mut self.first_key),
            last_end: self.last_end,
            offset: self.offset,
            length,
        });
        self.offset += u64::from(length);
        self.chunk.clear();
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.steps.write(&mut self.file, &self.path, &self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}
