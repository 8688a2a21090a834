//! Numbers in as few whole bytes each as it takes, read at their places.

use super::{Malformed, thrift::Parsed};

/// Numbers as what each exceeds the least by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbers {
    least: i64,
    /// Bytes of each, up to 8.
    width: usize,
    len: usize,
    bytes: Box<[u8]>,
}

impl Numbers {
    pub(crate) fn new(values: &[i64]) -> Self {
        let least = values.iter().min().copied().unwrap_or(0);
        let exceeding = |&value: &i64| value.wrapping_sub(least).cast_unsigned();
        let most = values.iter().map(exceeding).max().unwrap_or(0);
        let width = 8 - most.leading_zeros() as usize / 8;
        let bytes = values
            .iter()
            .flat_map(|value| exceeding(value).to_le_bytes().into_iter().take(width));
        Self {
            least,
            width,
            len: values.len(),
            bytes: bytes.collect(),
        }
    }

    /// Those of which `bytes` are the bytes.
    pub(crate) fn of_bytes(least: i64, width: usize, len: usize, bytes: &[u8]) -> Parsed<Self> {
        if width > 8 || bytes.len() != width * len {
            return Err(Malformed("numbers of another width"));
        }
        Ok(Self {
            least,
            width,
            len,
            bytes: bytes.into(),
        })
    }

    pub(crate) const fn least(&self) -> i64 {
        self.least
    }

    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn get(&self, at: usize) -> Option<i64> {
        if at >= self.len {
            return None;
        }
        let start = at * self.width;
        let bytes = self.bytes.get(start..start + self.width)?;
        let exceeds = bytes
            .iter()
            .rev()
            .fold(0_u64, |all, &byte| all << 8 | u64::from(byte));
        Some(self.least.wrapping_add(exceeds.cast_signed()))
    }

    /// The bytes of memory they take.
    pub(crate) const fn memory(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_those_that_were_kept(values in prop::collection::vec(any::<i64>(), 0..50), few in any::<bool>()) {
            let values: Vec<i64> = values.iter().map(|&value| if few { value % 300 } else { value }).collect();
            let numbers = Numbers::new(&values);
            prop_assert_eq!((0..values.len() + 3).map_while(|at| numbers.get(at)).collect::<Vec<_>>(), values.clone());
            if few {
                prop_assert!(numbers.bytes().len() <= values.len() * 2);
            }
        }
    }
}
