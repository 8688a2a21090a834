//! Version 2 of the format: a file's header and the frame around each chunk and mark.
//!
//! ```text
//! header  magic (8)  version (u32)  first record (u64)  hashes (u8)  edge of the tree (32 each)
//!         crc32c of all before (u32)
//! frame   length (u32)  crc32c of length and payload (u32)  payload (1 to MAX_PAYLOAD bytes)
//! ```
//! Integers are little-endian. The edge is that of the tree over all records before the first, so
//! that a file alone is enough to go on with the tree.

use portledger_model::RecordNumber;
use portledger_proof::{Frontier, Hash};

use crate::Flaw;

/// The first bytes of each log file. A carriage return and a line feed in it show at once when a
/// transfer "mended" line ends.
pub(crate) const MAGIC: &[u8; 8] = b"plglog\r\n";

/// The version that is written.
pub(crate) const VERSION: u32 = 2;

/// Bytes of the header before the hashes.
const FIXED: usize = 21;

/// How long the header of the file is that begins with record `first`: a tree's edge has a hash a
/// bit of its size.
pub(crate) const fn header_length(first: RecordNumber) -> usize {
    FIXED + first.0.count_ones() as usize * 32 + 4
}

/// Bytes of a frame before its payload.
pub(crate) const FRAME: usize = 8;

/// No payload is longer; a length is checked against it before it is used.
pub(crate) const MAX_PAYLOAD: usize = 4 << 20;

/// A file's header.
pub(crate) fn header(edge: &Frontier) -> Vec<u8> {
    let mut header = Vec::with_capacity(header_length(RecordNumber(edge.size())));
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&edge.size().to_le_bytes());
    header.push(edge.hashes().len() as u8);
    for hash in edge.hashes() {
        header.extend_from_slice(hash.as_bytes());
    }
    let crc = crc32c::crc32c(&header);
    header.extend_from_slice(&crc.to_le_bytes());
    header
}

/// What a file's header says.
pub(crate) struct Header {
    pub(crate) edge: Frontier,
    pub(crate) bytes: usize,
}

impl Header {
    pub(crate) fn first(&self) -> RecordNumber {
        RecordNumber(self.edge.size())
    }
}

/// The version in a file's first bytes; `None` where they are not a log's.
pub(crate) fn version(bytes: &[u8]) -> Option<u32> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (version, _) = rest.split_first_chunk()?;
    (magic == MAGIC).then(|| u32::from_le_bytes(*version))
}

/// The first record of a file by its header, whose checksum may be cut off; `None` where the
/// number is.
pub(crate) fn claimed_first(bytes: &[u8]) -> Option<RecordNumber> {
    let (first, _) = bytes.get(12..)?.split_first_chunk()?;
    Some(RecordNumber(u64::from_le_bytes(*first)))
}

/// Reads a file's header; `None` where the bytes are none of this version.
pub(crate) fn parse_header(bytes: &[u8]) -> Option<Header> {
    version(bytes).filter(|version| *version == VERSION)?;
    let (first, rest) = bytes.get(12..)?.split_first_chunk()?;
    let (count, rest) = rest.split_first()?;
    let hashes = rest.get(..usize::from(*count) * 32)?;
    let end = FIXED + hashes.len();
    let (crc, _) = bytes.get(end..)?.split_first_chunk()?;
    if crc32c::crc32c(bytes.get(..end)?) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (hashes, _) = hashes.as_chunks::<32>();
    let hashes = hashes.iter().copied().map(Hash::from_bytes).collect();
    let edge = Frontier::from_parts(u64::from_le_bytes(*first), hashes).ok()?;
    Some(Header {
        edge,
        bytes: end + 4,
    })
}

/// Appends a frame around what `payload` writes.
pub(crate) fn write(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&[0; FRAME]);
    payload(out);
    let length = out.len() - begin - FRAME;
    debug_assert!((1..=MAX_PAYLOAD).contains(&length));
    let length = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let crc = checksum(length, &out[begin + FRAME..]).to_le_bytes();
    out[begin..begin + 4].copy_from_slice(&length);
    out[begin + 4..begin + FRAME].copy_from_slice(&crc);
}

/// The payload of the frame at the start of `bytes`, checked.
pub(crate) fn read(bytes: &[u8]) -> Result<&[u8], Flaw> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(Flaw::CutOff)?;
    let size = u32::from_le_bytes(*length);
    let fits = usize::try_from(size).ok();
    let fits = fits.filter(|size| (1..=MAX_PAYLOAD).contains(size));
    let fits = fits.ok_or(Flaw::Length(size))?;
    let (crc, rest) = rest.split_first_chunk().ok_or(Flaw::CutOff)?;
    let payload = rest.get(..fits).ok_or(Flaw::CutOff)?;
    if checksum(*length, payload) == u32::from_le_bytes(*crc) {
        Ok(payload)
    } else {
        Err(Flaw::Checksum)
    }
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portledger_proof::leaf_hash;
    use proptest::prelude::*;

    fn edge(size: u64) -> Frontier {
        let mut edge = Frontier::new();
        for n in 0..size {
            edge.append(leaf_hash(&n.to_le_bytes()), |_, _| {});
        }
        edge
    }

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
        fn a_header_comes_back_and_no_flipped_bit_passes(size in 0..300_u64, at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let edge = edge(size);
            let mut bytes = header(&edge);
            prop_assert_eq!(bytes.len(), header_length(RecordNumber(size)));
            let read = parse_header(&bytes).unwrap();
            prop_assert_eq!((read.first().0, read.bytes), (size, bytes.len()));
            prop_assert_eq!(read.edge.root(), edge.root());
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(parse_header(&bytes).is_none());
        }
    }
}
