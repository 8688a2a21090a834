//! A file's header and the frame around each record.
//!
//! ```text
//! header  magic (8)  version (u32)  first record (u64)  crc32c of the 20 bytes before (u32)
//! frame   length (u16)  crc32c of length and payload (u32)  payload (1 to MAX_PAYLOAD bytes)
//! ```
//! Integers are little-endian.

use portledger_model::RecordNumber;

use crate::Flaw;

/// The first bytes of each log file. A carriage return and a line feed in it show at once when a
/// transfer "mended" line ends.
const MAGIC: &[u8; 8] = b"plglog\r\n";

/// The one version there is.
pub(super) const VERSION: u32 = 1;

/// Bytes before the first frame.
pub(super) const HEADER: usize = 24;

/// Bytes of a frame before its payload.
pub(super) const FRAME: usize = 6;

/// No payload is longer; a length is checked against it before it is used.
pub(super) const MAX_PAYLOAD: usize = 512;

/// What a file's header says.
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) first: RecordNumber,
}

/// Reads a file's header; `None` where the bytes are none.
pub(super) fn parse_header(bytes: &[u8]) -> Option<Header> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (version, rest) = rest.split_first_chunk()?;
    let (first, rest) = rest.split_first_chunk()?;
    let (crc, _) = rest.split_first_chunk()?;
    let sound = magic == MAGIC && crc32c::crc32c(bytes.get(..20)?) == u32::from_le_bytes(*crc);
    sound.then(|| Header {
        version: u32::from_le_bytes(*version),
        first: RecordNumber(u64::from_le_bytes(*first)),
    })
}

/// The payload of the frame at the start of `bytes`, checked.
pub(super) fn read(bytes: &[u8]) -> Result<&[u8], Flaw> {
    let (length, rest) = bytes.split_first_chunk::<2>().ok_or(Flaw::CutOff)?;
    let size = u16::from_le_bytes(*length);
    if size == 0 || usize::from(size) > MAX_PAYLOAD {
        return Err(Flaw::Length(size.into()));
    }
    let (crc, rest) = rest.split_first_chunk().ok_or(Flaw::CutOff)?;
    let payload = rest.get(..usize::from(size)).ok_or(Flaw::CutOff)?;
    if checksum(*length, payload) == u32::from_le_bytes(*crc) {
        Ok(payload)
    } else {
        Err(Flaw::Checksum)
    }
}

fn checksum(length: [u8; 2], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), payload)
}
