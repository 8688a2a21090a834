//! Reading the bytes of one file.

use std::path::Path;

use portledger_model::{Record, RecordNumber};

use super::frame::{self, FRAME, HEADER};
use crate::{
    Error, Flaw,
    log::{
        names::Names,
        payload::{self, MARK_PAYLOAD, Payload},
    },
};

pub(crate) use crate::log::file::Place;

/// Reads a file's records in order; returns the number after the last.
pub(super) fn read(
    path: &Path,
    bytes: &[u8],
    expected: RecordNumber,
    place: Place,
    mut each: impl FnMut(RecordNumber, Record) -> Result<(), Error>,
) -> Result<RecordNumber, Error> {
    let damaged = |flaw, offset: usize, record| Error::from(flaw).at(path, offset as u64, record);
    let Some(header) = frame::parse_header(bytes) else {
        // A header was durable before the first frame was written.
        return if place == Place::Last && bytes.len() <= HEADER {
            Ok(expected)
        } else {
            Err(damaged(Flaw::Header, 0, expected))
        };
    };
    if header.version != frame::VERSION {
        return Err(Error::Version {
            file: path.into(),
            version: header.version,
        });
    }
    let (mut next, mut end) = (header.first, HEADER);
    if next != expected {
        let flaw = Flaw::Sequence {
            expected,
            found: next,
        };
        return Err(damaged(flaw, 0, expected));
    }
    let mut names = Names::default();
    while let Some(rest) = bytes.get(end..).filter(|rest| !rest.is_empty()) {
        let payload = match frame::read(rest) {
            Ok(payload) => payload,
            Err(_) if place == Place::Last && is_torn(bytes, end) => break,
            Err(flaw) => return Err(damaged(flaw, end, next)),
        };
        match payload::read(payload, &mut names) {
            Err(what) => return Err(damaged(Flaw::Meaning(what), end, next)),
            Ok(Payload::Name | Payload::Mark(_)) => {}
            Ok(Payload::Record(record)) => {
                let flaw = Flaw::Meaning("its number is past the last there is");
                let after = next
                    .0
                    .checked_add(1)
                    .ok_or_else(|| damaged(flaw, end, next))?;
                each(next, record).map_err(|error| error.at(path, end as u64, next))?;
                next.0 = after;
            }
        }
        end += FRAME + payload.len();
    }
    Ok(next)
}

/// Whether nothing after the unsound frame at `offset` says that it was durable once. Then it
/// was never acknowledged; otherwise something destroyed it later.
fn is_torn(bytes: &[u8], offset: usize) -> bool {
    let after = bytes.get(offset + 1..).unwrap_or_default();
    !after.windows(FRAME + MARK_PAYLOAD).any(|window| {
        usize::from(u16::from_le_bytes([window[0], window[1]])) == MARK_PAYLOAD
            && frame::read(window)
                .ok()
                .and_then(payload::read_mark)
                .is_some_and(|durable| durable > offset as u64)
    })
}
