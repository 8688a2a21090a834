//! Attributes of the extended types 241 to 246 (RFC 6929).

use std::{borrow::Cow, fmt};

use thiserror::Error;

use super::Packet;

/// The first extended type, and the first long one (RFC 6929 §2.1, §2.2).
const EXTENDED: u8 = 241;
const LONG: u8 = 245;
const LAST: u8 = 246;
/// Of a long attribute's flags: more of it follows in the next one.
const MORE: u8 = 0x80;

/// An attribute of an extended type, put together where it came in fragments. `Debug` shows no
/// value.
#[derive(Clone, PartialEq, Eq)]
pub struct Extended<'a> {
    /// 241 to 246.
    pub kind: u8,
    /// The extended type: what comes behind the dot.
    pub extended: u8,
    /// Its value, at least a byte.
    pub value: Cow<'a, [u8]>,
    /// Where in the packet it begins, from 1.
    pub at: usize,
}

/// An attribute of an extended type that is not formed as RFC 6929 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "byte {at}: attribute {kind} is cut short, or a fragment of it is missing; it is passed over"
)]
pub struct ExtendedError {
    /// 241 to 246.
    pub kind: u8,
    /// Where it begins, from 1.
    pub at: usize,
}

impl<'a> Packet<'a> {
    /// The attributes of extended types, in their order. One that is not well formed costs only
    /// itself (RFC 6929 §2.8: it is an invalid attribute, and the packet is not discarded).
    pub fn extended(&self) -> Vec<Result<Extended<'a>, ExtendedError>> {
        let mut found: Vec<Result<Extended<'a>, ExtendedError>> = Vec::new();
        // The attribute whose rest is to follow at once (RFC 6929 §2.2).
        let mut open: Option<Extended<'a>> = None;
        for attribute in self.attributes() {
            let (kind, at) = (attribute.kind, attribute.at);
            let read = read(kind, attribute.value);
            if let Some(mut begun) = open.take() {
                match read {
                    Some((extended, more, value))
                        if kind == begun.kind && extended == begun.extended =>
                    {
                        begun.value.to_mut().extend_from_slice(value);
                        if more {
                            open = Some(begun);
                        } else {
                            found.push(Ok(begun));
                        }
                        continue;
                    }
                    _ => found.push(Err(begun.unfinished())),
                }
            }
            match read {
                Some((extended, more, value)) => {
                    let begun = Extended {
                        kind,
                        extended,
                        value: Cow::Borrowed(value),
                        at,
                    };
                    if more {
                        open = Some(begun);
                    } else {
                        found.push(Ok(begun));
                    }
                }
                None if (EXTENDED..=LAST).contains(&kind) => {
                    found.push(Err(ExtendedError { kind, at }));
                }
                None => {}
            }
        }
        found.extend(open.map(|begun| Err(begun.unfinished())));
        found
    }
}

/// The extended type, whether more follows, and the value; `None` where it is not of such a type,
/// or not well formed.
fn read(kind: u8, value: &[u8]) -> Option<(u8, bool, &[u8])> {
    let (extended, more, value) = match (kind, value) {
        (EXTENDED..LONG, [extended, value @ ..]) => (*extended, false, value),
        (LONG..=LAST, [extended, flags, value @ ..]) => (*extended, flags & MORE != 0, value),
        _ => return None,
    };
    (!value.is_empty()).then_some((extended, more, value))
}

impl Extended<'_> {
    const fn unfinished(&self) -> ExtendedError {
        ExtendedError {
            kind: self.kind,
            at: self.at,
        }
    }
}

impl fmt::Debug for Extended<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, extended, bytes) = (self.kind, self.extended, self.value.len());
        write!(f, "Extended({kind}.{extended}, {bytes} bytes, redacted)")
    }
}
