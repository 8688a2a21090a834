//! Reading the bytes of one log file.

use portledger_model::{Record, RecordNumber};

use super::{
    frame::{self, FRAME, HEADER},
    names::Names,
    payload::{self, MARK_PAYLOAD, Payload},
};
use crate::{Flaw, error::TooLarge};

/// What a file held.
pub(crate) struct Image {
    /// The number of its first record.
    pub(crate) first: RecordNumber,
    /// The number after its last record.
    pub(crate) next: RecordNumber,
    /// Where its last sound frame ends; 0 where not even the header is whole.
    pub(crate) end: usize,
    /// Everything before this was durable when the last mark was written.
    pub(crate) marked: usize,
    /// The names it defines.
    pub(crate) names: Names,
}

/// Why a file cannot be read.
pub(crate) struct Fault {
    pub(crate) offset: usize,
    pub(crate) record: RecordNumber,
    pub(crate) cause: Cause,
}

pub(crate) enum Cause {
    Flaw(Flaw),
    Version(u32),
    TooLarge(TooLarge),
}

/// Where a file stands in the log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Others follow: it was complete and durable before the next was begun.
    Sealed,
    /// The last, which a crash may have torn.
    Last,
}

/// Reads a file's records in order. `expected` is the first one's number, where that is known.
pub(crate) fn read(
    bytes: &[u8],
    expected: Option<RecordNumber>,
    place: Place,
    mut each: impl FnMut(RecordNumber, Record) -> Result<(), TooLarge>,
) -> Result<Image, Fault> {
    let mut image = Image {
        first: expected.unwrap_or(RecordNumber(0)),
        next: expected.unwrap_or(RecordNumber(0)),
        end: 0,
        marked: 0,
        names: Names::default(),
    };
    let Some(header) = frame::parse_header(bytes) else {
        // A header is durable before the first frame is written.
        return if place == Place::Last && bytes.len() <= HEADER {
            Ok(image)
        } else {
            Err(image.fault(Flaw::Header))
        };
    };
    if header.version != frame::VERSION {
        return Err(image.because(Cause::Version(header.version)));
    }
    if let Some(expected) = expected.filter(|&expected| expected != header.first) {
        let found = header.first;
        return Err(image.fault(Flaw::Sequence { expected, found }));
    }
    (image.first, image.next) = (header.first, header.first);
    (image.end, image.marked) = (HEADER, HEADER);
    while let Some(rest) = bytes.get(image.end..).filter(|rest| !rest.is_empty()) {
        let payload = match frame::read(rest) {
            Ok(payload) => payload,
            Err(_) if place == Place::Last && is_torn(bytes, image.end) => return Ok(image),
            Err(flaw) => return Err(image.fault(flaw)),
        };
        match payload::read(payload, &mut image.names) {
            Err(what) => return Err(image.fault(Flaw::Meaning(what))),
            Ok(Payload::Name) => {}
            Ok(Payload::Mark(durable)) => {
                let durable = usize::try_from(durable).unwrap_or(usize::MAX);
                // A mark vouches for itself, so that it needs no other one.
                image.marked = if durable < image.end {
                    durable
                } else {
                    image.end + FRAME + payload.len()
                };
            }
            Ok(Payload::Record(record)) => {
                if let Err(error) = each(image.next, record) {
                    return Err(image.because(Cause::TooLarge(error)));
                }
                image.next.0 = image.next.0.wrapping_add(1);
            }
        }
        image.end += FRAME + payload.len();
    }
    Ok(image)
}

/// Whether nothing after the unsound frame at `offset` says that it was durable once. Then it
/// was never acknowledged, and may be cut; otherwise something destroyed it later.
fn is_torn(bytes: &[u8], offset: usize) -> bool {
    let after = bytes.get(offset + 1..).unwrap_or_default();
    let mut no_names = Names::default();
    !after.windows(FRAME + MARK_PAYLOAD).any(|window| {
        usize::from(u16::from_le_bytes([window[0], window[1]])) == MARK_PAYLOAD
            && frame::read(window).is_ok_and(|payload| {
                matches!(payload::read(payload, &mut no_names),
                    Ok(Payload::Mark(durable)) if durable > offset as u64)
            })
    })
}

impl Image {
    fn fault(&self, flaw: Flaw) -> Fault {
        self.because(Cause::Flaw(flaw))
    }

    fn because(&self, cause: Cause) -> Fault {
        Fault {
            offset: self.end,
            record: self.next,
            cause,
        }
    }
}
