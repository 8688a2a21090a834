//! A chunk: consecutive records of one ledger day, sealed with that day's key.
//!
//! ```text
//! payload  kind 2 (u8)  flags (u8)  day (i32)  first record (u64)  records (u32)  body
//! body     entries, each: length (u16)  bytes;  sealed: nonce (12)  ciphertext  tag (16)
//! ```
//! What stands before the body is authenticated with it, so that no chunk passes for another.

use portledger_keys::Sealing;
use portledger_model::RecordNumber;

use crate::{Error, Flaw, calendar::Day};

const KIND: u8 = 2;
const SEALED: u8 = 1;
const HEAD: usize = 18;

/// Records of one chunk at most: what a reader who wants one of them opens with it.
pub(crate) const MAX_RECORDS: usize = 4_096;

/// Bytes of one entry at most.
pub(crate) const MAX_ENTRY: usize = u16::MAX as usize;

/// What a chunk says of itself before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk<'a> {
    pub(crate) day: Day,
    pub(crate) first: RecordNumber,
    pub(crate) records: u32,
    sealed: bool,
    payload: &'a [u8],
}

/// Appends a chunk's payload. `entries` are framed by [`write_entry`].
pub(crate) fn write(
    day: Day,
    first: RecordNumber,
    records: u32,
    entries: &[u8],
    sealing: Option<&Sealing>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let begin = out.len();
    out.push(KIND);
    out.push(if sealing.is_some() { SEALED } else { 0 });
    out.extend_from_slice(&day.number().to_le_bytes());
    out.extend_from_slice(&first.0.to_le_bytes());
    out.extend_from_slice(&records.to_le_bytes());
    match sealing {
        None => out.extend_from_slice(entries),
        Some(sealing) => {
            let mut head = [0; HEAD];
            head.copy_from_slice(&out[begin..begin + HEAD]);
            sealing.seal(&head, entries, out)?;
        }
    }
    Ok(())
}

/// Appends one entry of a chunk.
pub(crate) fn write_entry(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&[0; 2]);
    payload(out);
    let length = out.len() - begin - 2;
    debug_assert!(length <= MAX_ENTRY);
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    out[begin..begin + 2].copy_from_slice(&length.to_le_bytes());
}

/// Whether a payload is a chunk's; what it says of itself.
pub(crate) fn parse(payload: &[u8]) -> Option<Chunk<'_>> {
    let (&[kind, flags], rest) = payload.split_first_chunk()?;
    let (day, rest) = rest.split_first_chunk()?;
    let (first, rest) = rest.split_first_chunk()?;
    let (records, _) = rest.split_first_chunk()?;
    (kind == KIND && flags & !SEALED == 0).then(|| Chunk {
        day: Day::from_number(i32::from_le_bytes(*day)),
        first: RecordNumber(u64::from_le_bytes(*first)),
        records: u32::from_le_bytes(*records),
        sealed: flags & SEALED != 0,
        payload,
    })
}

impl Chunk<'_> {
    /// Hands over its entries, opened.
    ///
    /// `sealing` is the day's; without one, a sealed chunk cannot be opened.
    pub(crate) fn entries<E: From<Flaw>>(
        &self,
        sealing: Option<&Sealing>,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (head, body) = self.payload.split_at_checked(HEAD).ok_or(Flaw::CutOff)?;
        let mut opened;
        let mut rest: &[u8] = if self.sealed {
            opened = body.to_vec();
            let sealing = sealing.ok_or(Flaw::Sealed(self.day))?;
            sealing
                .open(head, &mut opened)
                .map_err(|_| Flaw::Key(self.day))?
        } else {
            body
        };
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk().ok_or(Flaw::CutOff)?;
            let length = usize::from(u16::from_le_bytes(*length));
            let (entry, after) = after.split_at_checked(length).ok_or(Flaw::CutOff)?;
            each(entry)?;
            rest = after;
        }
        Ok(())
    }
}
