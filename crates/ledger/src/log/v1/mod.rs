//! Version 1 of the format, which is read and no longer written: one frame a record, neither
//! sealed nor hashed. What it wrote must load for ever.

mod file;
mod frame;

use std::{fs, path::Path};

use portledger_model::{Record, RecordNumber};

use self::file::Place;
use super::folder;
use crate::{Error, Flaw};

/// Reads all records in order, up to a torn tail. `None` where the folder holds no log of this
/// version.
pub(crate) fn read(
    dir: &Path,
    mut each: impl FnMut(RecordNumber, Record) -> Result<(), Error>,
) -> Result<Option<u64>, Error> {
    let files = folder::list(dir)?;
    let mut next = RecordNumber(0);
    for (position, (named, path)) in files.iter().enumerate() {
        let place = if position + 1 == files.len() {
            Place::Last
        } else {
            Place::Sealed
        };
        if *named != next {
            let (expected, found) = (next, *named);
            return Err(Error::from(Flaw::Sequence { expected, found }).at(path, 0, next));
        }
        let bytes = fs::read(path).map_err(|error| Error::io(path, "read", error))?;
        next = file::read(path, &bytes, next, place, &mut each)?;
    }
    Ok((!files.is_empty()).then_some(next.0))
}

/// Reads the bytes of one file, as if it were the last of its log.
pub(crate) fn read_bytes(
    bytes: &[u8],
    each: impl FnMut(RecordNumber, Record) -> Result<(), Error>,
) -> Result<(), Error> {
    let first = frame::parse_header(bytes).map_or(RecordNumber(0), |header| header.first);
    file::read(Path::new("image"), bytes, first, Place::Last, each).map(drop)
}
