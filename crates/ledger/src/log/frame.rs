//! Version 1 of the format: a file's header and the frame around each record.
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
pub(crate) const VERSION: u32 = 1;

/// Bytes before the first frame.
pub(crate) const HEADER: usize = 24;

/// Bytes of a frame before its payload.
pub(crate) const FRAME: usize = 6;

/// No payload is longer; a length is checked against it before it is used.
pub(crate) const MAX_PAYLOAD: usize = 512;

/// A file's header.
pub(crate) fn header(first: RecordNumber) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..20].copy_from_slice(&first.0.to_le_bytes());
    let crc = crc32c::crc32c(&header[..20]);
    header[20..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// What a file's header says.
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) first: RecordNumber,
}

/// Reads a file's header; `None` where the bytes are none.
pub(crate) fn parse_header(bytes: &[u8]) -> Option<Header> {
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

/// Appends a frame around what `payload` writes.
pub(crate) fn write(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&[0; FRAME]);
    payload(out);
    let length = out.len() - begin - FRAME;
    debug_assert!((1..=MAX_PAYLOAD).contains(&length));
    let length = u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes();
    let crc = checksum(length, &out[begin + FRAME..]).to_le_bytes();
    out[begin..begin + 2].copy_from_slice(&length);
    out[begin + 2..begin + FRAME].copy_from_slice(&crc);
}

/// The payload of the frame at the start of `bytes`, checked.
pub(crate) fn read(bytes: &[u8]) -> Result<&[u8], Flaw> {
    let (length, rest) = bytes.split_first_chunk::<2>().ok_or(Flaw::CutOff)?;
    let size = u16::from_le_bytes(*length);
    if size == 0 || usize::from(size) > MAX_PAYLOAD {
        return Err(Flaw::Length(size));
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn zeros_are_no_frame() {
        assert!(read(&[0; 64]).is_err());
    }

    proptest! {
        #[test]
        fn a_frame_comes_back_and_no_flipped_bit_passes(
            payload in prop::collection::vec(any::<u8>(), 1..64), at in any::<prop::sample::Index>(), bit in 0..8_u8,
        ) {
            let mut bytes = Vec::new();
            write(&mut bytes, |out| out.extend_from_slice(&payload));
            prop_assert_eq!(read(&bytes).unwrap(), &payload[..]);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(read(&bytes).is_err());
        }

        #[test]
        fn a_header_comes_back_and_no_flipped_bit_passes(first in any::<u64>(), at in 0..HEADER, bit in 0..8_u8) {
            let mut bytes = header(RecordNumber(first));
            let read = parse_header(&bytes).unwrap();
            prop_assert_eq!((read.version, read.first.0), (VERSION, first));
            bytes[at] ^= 1 << bit;
            prop_assert!(parse_header(&bytes).is_none());
        }
    }
}
