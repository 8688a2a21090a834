//! Values of a column from which deltas can be summed up.

use super::cursor::Cursor;
use crate::format::{
    Malformed,
    packed::{WINDOW, windows},
    thrift::Parsed,
};

/// The last value before each window of a page of packed deltas, but before the first, and which
/// page that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restarts {
    /// The page's checksum; 0 where pages are encrypted, as the shortcuts are under the same tag.
    pub(crate) checksum: u32,
    pub(crate) values: Box<[i64]>,
}

impl Restarts {
    /// Of a page with these values; nulls are none.
    pub(super) fn of(checksum: u32, values: &[i64]) -> Self {
        let restarts = values.iter().copied().step_by(WINDOW).skip(1);
        let count = windows(values.len()).saturating_sub(1);
        Self {
            checksum,
            values: restarts.take(count).collect(),
        }
    }

    /// Appends them as the file has them.
    ///
    /// ```text
    /// checksum: u32    count: u16    bytes of each: u8    least: i64
    /// what each exceeds the least by
    /// ```
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let least = self.values.iter().min().copied().unwrap_or(0);
        let exceeding = |&value: &i64| value.wrapping_sub(least).cast_unsigned();
        let most = self.values.iter().map(exceeding).max().unwrap_or(0);
        let width = 8 - most.leading_zeros() as usize / 8;
        out.extend(self.checksum.to_le_bytes());
        out.extend((self.values.len() as u16).to_le_bytes());
        out.push(width as u8);
        out.extend(least.to_le_bytes());
        for value in self.values.iter().map(exceeding) {
            out.extend(value.to_le_bytes().iter().take(width));
        }
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let (checksum, count) = (cursor.u32()?, usize::from(cursor.u16()?));
        let (width, least) = (usize::from(cursor.u8()?), cursor.i64()?);
        if width > 8 {
            return Err(Malformed("values of more than 64 bits"));
        }
        let packed = cursor.take(count * width)?;
        let values = match width {
            0 => vec![least; count].into(),
            width => packed
                .chunks_exact(width)
                .map(|bytes| {
                    let value = bytes
                        .iter()
                        .rev()
                        .fold(0, |all, &byte| all << 8 | u64::from(byte));
                    least.wrapping_add(value.cast_signed())
                })
                .collect(),
        };
        Ok(Self { checksum, values })
    }

    /// The bytes of memory they take.
    pub(crate) fn memory(&self) -> usize {
        self.values.len() * 8
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
            for (window, &value) in (1..).zip(&restarts.values) {
                prop_assert_eq!(value, values[window * WINDOW]);
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
