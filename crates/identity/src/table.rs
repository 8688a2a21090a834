//! A file of identities: rows in order, in chunks, each sealed.
//!
//! ```text
//!  "PLGIDENT" version(4)      12 bytes
//!  chunk 0                    sealed: length(4) row, length(4) row, …
//!  chunk 1
//!  …
//!  index                      sealed: rows, first end, kinds of prefixes, and of each chunk
//!                                     its first key, its last end and its length
//!  offset of the index(8) "PLGI-END"     16 bytes
//! ```
//!
//! Numbers are written low end first. A chunk is bound to its number and to what the file is
//! (the store's or a run of a sort), the index to that too, and the index says how long each
//! chunk is: none can be changed, moved, left out or taken from elsewhere.

mod index;
mod read;
mod write;

use portledger_keys::{DataKey, OVERHEAD, Sealing};

pub(crate) use read::Stream;
pub use read::Table;
pub(crate) use write::TableWriter;

const MAGIC: &[u8; 8] = b"PLGIDENT";
const VERSION: u32 = 1;
const HEADER: u64 = 12;
const END: &[u8; 8] = b"PLGI-END";
const TRAILER: u64 = 16;

/// A chunk is full with so many bytes: a few microseconds to open.
const CHUNK: usize = 16 << 10;

/// No sealed chunk is longer: one row more than full.
const LONGEST_CHUNK: usize = CHUNK + crate::row::LONGEST + 4 + OVERHEAD;

/// What a file is. The same key seals a file and the runs it is sorted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The store's.
    Whole,
    /// A run of an external sort, by its number.
    Run(u64),
}

impl Part {
    fn sealing(self, key: &DataKey) -> Sealing {
        match self {
            Self::Whole => key.sealing("identities 1"),
            Self::Run(number) => key.sealing(&format!("identities 1 run {number}")),
        }
    }
}

fn place_of_chunk(number: u64) -> [u8; 13] {
    let mut place = *b"chunk\0\0\0\0\0\0\0\0";
    if let Some(end) = place.last_chunk_mut::<8>() {
        *end = number.to_le_bytes();
    }
    place
}

const PLACE_OF_INDEX: &[u8] = b"index";

#[cfg(test)]
pub(crate) mod tests;
