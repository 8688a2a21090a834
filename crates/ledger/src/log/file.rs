//! Reading the bytes of one log file.

use std::path::Path;

use portledger_model::RecordNumber;
use portledger_proof::Frontier;

use super::{
    chunk::{self, Chunk},
    frame::{self, FRAME},
    payload::{self, MARK_PAYLOAD},
};
use crate::{Error, Flaw};

/// What a file held.
pub(crate) struct Scan {
    /// The tree's edge before its first record; `None` where not even the header is whole.
    pub(crate) edge: Option<Frontier>,
    /// The number after its last record.
    pub(crate) next: RecordNumber,
    /// The number after the last record that is known to be durable.
    pub(crate) durable: RecordNumber,
    /// Where its last sound frame ends; 0 where not even the header is whole.
    pub(crate) end: usize,
    /// Everything before this was durable when the last mark was written.
    pub(crate) marked: usize,
}

/// Where a file stands in the log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Others follow: it was complete and durable before the next was begun.
    Sealed,
    /// The last, which a crash may have torn.
    Last,
}

/// Hands over a file's chunks in order. `expected` is its first record's number.
///
/// What `each` finds wrong with a chunk is said of the chunk's place.
pub(crate) fn scan(
    path: &Path,
    bytes: &[u8],
    expected: RecordNumber,
    place: Place,
    mut each: impl FnMut(Chunk<'_>) -> Result<(), Error>,
) -> Result<Scan, Error> {
    let mut scan = Scan {
        edge: None,
        next: expected,
        durable: expected,
        end: 0,
        marked: 0,
    };
    let Some(header) = frame::parse_header(bytes) else {
        return match frame::version(bytes) {
            Some(version) if version != frame::VERSION => Err(Error::Version {
                file: path.into(),
                version,
            }),
            // A header is durable before the first frame is written.
            _ if place == Place::Last && bytes.len() <= frame::header_length(expected) => Ok(scan),
            _ => Err(scan.damaged(path, Flaw::Header)),
        };
    };
    if header.first() != expected {
        let found = header.first();
        return Err(scan.damaged(path, Flaw::Sequence { expected, found }));
    }
    (scan.end, scan.marked) = (header.bytes, header.bytes);
    scan.edge = Some(header.edge);
    while let Some(rest) = bytes.get(scan.end..).filter(|rest| !rest.is_empty()) {
        let payload = match frame::read(rest) {
            Ok(payload) => payload,
            Err(_) if place == Place::Last && is_torn(bytes, scan.end) => return Ok(scan),
            Err(flaw) => return Err(scan.damaged(path, flaw)),
        };
        let after = scan.end + FRAME + payload.len();
        if let Some(durable) = payload::read_mark(payload) {
            let durable = usize::try_from(durable).unwrap_or(usize::MAX);
            // A mark vouches for itself, so that it needs no other one.
            if durable < scan.end {
                scan.marked = durable;
            } else {
                (scan.marked, scan.durable) = (after, scan.next);
            }
        } else {
            let chunk = chunk::parse(payload)
                .ok_or_else(|| scan.damaged(path, Flaw::Meaning("neither a chunk nor a mark")))?;
            if chunk.first != scan.next {
                let (expected, found) = (scan.next, chunk.first);
                return Err(scan.damaged(path, Flaw::Sequence { expected, found }));
            }
            each(chunk).map_err(|error| error.at(path, scan.end as u64, scan.next))?;
            scan.next.0 = scan.next.0.saturating_add(chunk.records.into());
        }
        scan.end = after;
    }
    Ok(scan)
}

/// Whether nothing after the unsound frame at `offset` says that it was durable once. Then it
/// was never acknowledged, and may be cut; otherwise something destroyed it later.
fn is_torn(bytes: &[u8], offset: usize) -> bool {
    let after = bytes.get(offset + 1..).unwrap_or_default();
    let length = (MARK_PAYLOAD as u32).to_le_bytes();
    !memchr::memmem::find_iter(after, &length).any(|at| {
        let frame = after.get(at..).unwrap_or_default();
        frame::read(frame)
            .ok()
            .and_then(payload::read_mark)
            .is_some_and(|durable| durable > offset as u64)
    })
}

impl Scan {
    fn damaged(&self, path: &Path, flaw: Flaw) -> Error {
        Error::from(flaw).at(path, self.end as u64, self.next)
    }
}
