//! Parts of a file that stand one after the other, read at once: a cold disk is asked once.

use super::{LONGEST_PART, Table};

/// Some bytes of a file.
pub(crate) struct Region {
    start: u64,
    bytes: Vec<u8>,
}

impl Region {
    /// The bytes from the first to the last of `parts`, each an offset and a length. `None` where
    /// they do not fill that, or cannot be read: each is then read, and judged, by itself.
    pub(crate) fn read(table: &Table, parts: impl Iterator<Item = (u64, u64)>) -> Option<Self> {
        let (mut start, mut end, mut length) = (u64::MAX, 0, 0_u64);
        for (offset, bytes) in parts {
            start = start.min(offset);
            end = end.max(offset.checked_add(bytes)?);
            length = length.checked_add(bytes)?;
        }
        let all = end.checked_sub(start)?;
        if all > length.min(LONGEST_PART) || end > table.source.len() {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(all).ok()?];
        table.read(&mut bytes, start).ok()?;
        Some(Self { start, bytes })
    }

    /// A part of it.
    pub(super) fn part(&self, offset: u64, length: u64) -> Option<&[u8]> {
        let start = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        self.bytes.get(start..end)
    }
}
