//! Abuse reports, each of which tells of one sighting in many lines.
//!
//! Only what the reporter wrote for machines is read: evidence, such as the message complained
//! about, is the abuser's own text and stands in a part of its own.

pub(super) mod arf;
mod date;
mod parts;
pub(super) mod xarf;

pub(crate) use xarf::MARKS;

use crate::Skip;

/// A line that is not the last of a report, or of none.
const IN_BETWEEN: crate::reader::Outcome = Ok(Err(Skip::NoClient));
