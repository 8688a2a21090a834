//! Values of a column from which deltas can be summed up.

use super::cursor::Cursor;
use crate::format::{
    numbers::Numbers,
    packed::{WINDOW, windows},
    thrift::Parsed,
};

/// The last value before each window of a page of packed deltas, but before the first, and which
/// page that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restarts {
    /// The page's checksum; 0 where pages are encrypted, as the shortcuts are under the same tag.
    pub(crate) checksum: u32,
    pub(crate) values: Numbers,
}

impl Restarts {
    /// Of a page with these values; nulls are none.
    pub(super) fn of(checksum: u32, values: &[i64]) -> Self {
        let restarts = values.iter().copied().step_by(WINDOW).skip(1);
        let count = windows(values.len()).saturating_sub(1);
        let restarts: Vec<i64> = restarts.take(count).collect();
        Self {
            checksum,
            values: Numbers::new(&restarts),
        }
    }

    /// Appends them as the file has them.
    ///
    /// ```text
    /// checksum: u32    count: u16    bytes of each: u8    least: i64
    /// what each exceeds the least by
    /// ```
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.checksum.to_le_bytes());
        out.extend((self.values.len() as u16).to_le_bytes());
        out.push(self.values.width() as u8);
        out.extend(self.values.least().to_le_bytes());
        out.extend_from_slice(self.values.bytes());
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let (checksum, count) = (cursor.u32()?, usize::from(cursor.u16()?));
        let (width, least) = (usize::from(cursor.u8()?), cursor.i64()?);
        let bytes = cursor.take(count * width)?;
        let values = Numbers::of_bytes(least, width, count, bytes)?;
        Ok(Self { checksum, values })
    }

    /// The bytes of memory they take.
    pub(crate) const fn memory(&self) -> usize {
        self.values.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn restarts_are_those_that_were_written(values in prop::collection::vec(any::<i64>(), 0..700), near in any::<bool>()) {
            let values: Vec<i64> = values.iter().map(|&value| if near { value % 1_000 } else { value }).collect();
            let restarts = Restarts::of(9, &values);
            for window in 1..windows(values.len()) {
                prop_assert_eq!(restarts.values.get(window - 1), Some(values[window * WINDOW]));
            }
            prop_assert_eq!(restarts.values.len(), windows(values.len()).saturating_sub(1));
            let mut bytes = Vec::new();
            restarts.write(&mut bytes);
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(Restarts::read(&mut cursor), Ok(restarts));
            prop_assert!(cursor.rest().is_empty());
        }
    }
}
