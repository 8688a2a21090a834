//! Where in a file which rows are.

use std::collections::BTreeSet;

use portledger_keys::OVERHEAD;
use portledger_model::Timestamp;

use super::{HEADER, LONGEST_CHUNK};
use crate::{Error, Flaw};

/// Where in a file which rows are.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) rows: u64,
    /// When the first of the intervals ends.
    pub(super) first_end: Timestamp,
    /// The family (4 or 6) and length of each kind of prefix in the file.
    pub(super) kinds: BTreeSet<(u8, u8)>,
    pub(super) chunks: Vec<Chunk>,
}

/// Where a chunk is, and what is in it.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) first_key: Box<[u8]>,
    /// When the last of its intervals ends.
    pub(super) last_end: Timestamp,
    pub(super) offset: u64,
    /// In bytes, sealed.
    pub(super) length: u32,
}

impl Index {
    pub(super) const fn new() -> Self {
        Self {
            rows: 0,
            first_end: Timestamp::MAX,
            kinds: BTreeSet::new(),
            chunks: Vec::new(),
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&self.first_end.as_micros().to_le_bytes());
        // At most 33 lengths of one family and 129 of the other.
        out.push(u8::try_from(self.kinds.len()).map_err(|_| Error::TooMany)?);
        for (family, length) in &self.kinds {
            out.extend_from_slice(&[*family, *length]);
        }
        let chunks = u32::try_from(self.chunks.len()).map_err(|_| Error::TooMany)?;
        out.extend_from_slice(&chunks.to_le_bytes());
        for chunk in &self.chunks {
            // A realm of 64 letters, and 27 bytes.
            out.push(u8::try_from(chunk.first_key.len()).map_err(|_| Error::TooMany)?);
            out.extend_from_slice(&chunk.first_key);
            out.extend_from_slice(&chunk.last_end.as_micros().to_le_bytes());
            out.extend_from_slice(&chunk.length.to_le_bytes());
        }
        Ok(out)
    }

    /// Reads an index of a file in which the chunks end at byte `end`.
    pub(super) fn decode(bytes: &[u8], end: u64) -> Result<Self, Flaw> {
        let (index, chunks_end) = Self::parse(bytes).ok_or(Flaw::Meaning("the index"))?;
        if chunks_end != end {
            return Err(Flaw::Meaning("the chunks' lengths are not the file's"));
        }
        Ok(index)
    }

    fn parse(bytes: &[u8]) -> Option<(Self, u64)> {
        let mut index = Self::new();
        let mut rest = bytes;
        index.rows = u64::from_le_bytes(take(&mut rest)?);
        index.first_end = Timestamp::from_micros(i64::from_le_bytes(take(&mut rest)?));
        let [kinds] = take(&mut rest)?;
        for _ in 0..kinds {
            let [family, length] = take(&mut rest)?;
            index.kinds.insert((family, length));
        }
        let chunks = u32::from_le_bytes(take(&mut rest)?);
        let mut offset = HEADER;
        // The number is not believed: each of them has to be there.
        for _ in 0..chunks {
            let [key] = take(&mut rest)?;
            let (first_key, after) = rest.split_at_checked(key.into())?;
            rest = after;
            let last_end = Timestamp::from_micros(i64::from_le_bytes(take(&mut rest)?));
            let length = u32::from_le_bytes(take(&mut rest)?);
            let fits = (OVERHEAD..=LONGEST_CHUNK).contains(&usize::try_from(length).ok()?);
            index.chunks.push(Chunk {
                first_key: first_key.into(),
                last_end,
                offset,
                length: fits.then_some(length)?,
            });
            offset = offset.checked_add(length.into())?;
        }
        rest.is_empty().then_some((index, offset))
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_an_index_or_none(bytes in any::<Vec<u8>>(), end in any::<u64>()) {
            let _ = Index::decode(&bytes, end);
        }
    }

    #[test]
    fn a_number_of_chunks_that_are_not_there_takes_no_memory() {
        let mut bytes = Index::new().encode().unwrap();
        bytes.truncate(bytes.len() - 4);
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(Index::decode(&bytes, HEADER).is_err());
    }
}
