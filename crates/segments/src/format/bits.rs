//! Bits one after the other, lowest first, and numbers of a few bits each.

/// Bits by place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    /// None yet, with room for `len`.
    pub(crate) fn with_room(len: usize) -> Self {
        Self {
            words: Vec::with_capacity(len.div_ceil(64)),
            len: 0,
        }
    }

    /// The first `len` bits of `bytes`, or as many as there are.
    pub(crate) fn of_bytes(bytes: &[u8], len: usize) -> Self {
        let mut bits = Self::with_room(len);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words.iter().take(len / 64) {
            bits.words.push(u64::from_le_bytes(*word));
        }
        bits.len = bits.words.len() * 64;
        let rest = match words.get(bits.words.len()) {
            Some(word) => word,
            None => rest,
        };
        for &byte in rest {
            bits.push(byte, len.saturating_sub(bits.len).min(8));
        }
        bits
    }

    /// Adds the lowest `count` bits of a byte, up to eight.
    pub(crate) fn push(&mut self, byte: u8, count: usize) {
        if count == 0 {
            return;
        }
        let word = u64::from(byte) & (u64::MAX >> (64 - count.min(8)));
        let at = self.len % 64;
        match self.words.last_mut() {
            Some(last) if at > 0 => *last |= word << at,
            _ => self.words.push(word),
        }
        if at + count > 64 {
            self.words.push(word >> (64 - at));
        }
        self.len += count;
    }

    /// Adds `count` bits of one value.
    pub(crate) fn push_run(&mut self, one: bool, mut count: usize) {
        let byte = if one { u8::MAX } else { 0 };
        while count > 0 && !self.len.is_multiple_of(64) {
            let some = count.min(8).min(64 - self.len % 64);
            self.push(byte, some);
            count -= some;
        }
        let words = count / 64;
        let word = if one { u64::MAX } else { 0 };
        self.words.resize(self.words.len() + words, word);
        self.len += words * 64;
        let rest = count % 64;
        (0..rest / 8).for_each(|_| self.push(byte, 8));
        self.push(byte, rest % 8);
    }

    /// How many are 1.
    pub(crate) fn ones(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// Whether the bit at a place is 1; beyond the last none is.
    pub(crate) fn get(&self, at: usize) -> bool {
        let word = self.words.get(at / 64);
        word.is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = bool> {
        (0..self.len).map(|at| self.get(at))
    }

    /// Calls `each` with the places of all that are 1.
    #[inline]
    pub(crate) fn each_place(&self, mut each: impl FnMut(usize)) {
        for (at, &word) in self.words.iter().enumerate() {
            let mut left = word;
            while left != 0 {
                each(at * 64 + left.trailing_zeros() as usize);
                left &= left - 1;
            }
        }
    }
}

/// Bits that tell how many of those before a place are 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranks {
    bits: Bits,
    /// For each word, the ones before it.
    before: Box<[u32]>,
}

impl Ranks {
    pub(crate) fn new(bits: Bits) -> Self {
        let mut all = 0;
        let before = bits.words.iter().map(|word| {
            let before = all;
            all += word.count_ones();
            before
        });
        Self {
            before: before.collect(),
            bits,
        }
    }

    /// How many before the place are 1; `None` where the bit there is not.
    pub(crate) fn rank(&self, at: usize) -> Option<usize> {
        let word = *self.bits.words.get(at / 64)?;
        let bit = at % 64;
        if word >> bit & 1 == 0 {
            return None;
        }
        let below = (word & ((1 << bit) - 1)).count_ones();
        Some((*self.before.get(at / 64)? + below) as usize)
    }

    /// The bytes of memory it takes.
    pub(crate) fn memory(&self) -> usize {
        self.bits.words.capacity() * 8 + self.before.len() * 4
    }
}

/// The bytes that `count` numbers of `width` bits take.
pub(crate) fn packed_bytes(width: u8, count: usize) -> usize {
    (count * usize::from(width)).div_ceil(8)
}

/// Appends numbers of `width` bits, up to 32.
pub(crate) fn pack(values: impl Iterator<Item = u32>, width: u8, out: &mut Vec<u8>) {
    let (mut word, mut bits) = (0_u64, 0);
    for value in values {
        word |= u64::from(value) << bits;
        bits += u32::from(width);
        while bits >= 8 {
            out.push(word as u8);
            word >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(word as u8);
    }
}

/// `count` numbers of `width` bits, up to 32; what is beyond the last byte is 0.
pub(crate) fn unpack(packed: &[u8], width: u8, count: usize) -> impl Iterator<Item = u32> {
    let mask = (1_u64 << width.min(32)) - 1;
    (0..count).map(move |at| {
        let bit = at * usize::from(width);
        let rest = packed.get(bit / 8..).unwrap_or(&[]);
        let eight = match rest.first_chunk::<8>() {
            Some(eight) => u64::from_le_bytes(*eight),
            None => rest
                .iter()
                .rev()
                .fold(0, |all, &byte| all << 8 | u64::from(byte)),
        };
        (eight >> (bit % 8) & mask) as u32
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_are_those_that_were_pushed(runs in prop::collection::vec((any::<bool>(), 0..200_usize, any::<u8>(), 0..=8_usize), 0..20)) {
            let (mut bits, mut list) = (Bits::default(), Vec::new());
            for (one, count, byte, few) in runs {
                bits.push_run(one, count);
                bits.push(byte, few);
                list.extend(std::iter::repeat_n(one, count));
                list.extend((0..few).map(|at| byte >> at & 1 == 1));
            }
            prop_assert_eq!(bits.iter().collect::<Vec<_>>(), list.clone());
            let ones: Vec<usize> = (0..list.len()).filter(|&at| list[at]).collect();
            let mut places = Vec::new();
            bits.each_place(|place| places.push(place));
            prop_assert_eq!(&places, &ones);
            prop_assert_eq!(bits.ones(), ones.len());
            let ranks = Ranks::new(bits);
            for at in 0..list.len() + 70 {
                prop_assert_eq!(ranks.rank(at), ones.iter().position(|&one| one == at));
            }
        }

        #[test]
        fn numbers_are_those_that_were_packed(values in prop::collection::vec(any::<u32>(), 0..100), width in 0..=32_u8) {
            let mask = ((1_u64 << width) - 1) as u32;
            let values: Vec<u32> = values.into_iter().map(|value| value & mask).collect();
            let mut bytes = Vec::new();
            pack(values.iter().copied(), width, &mut bytes);
            prop_assert_eq!(bytes.len(), packed_bytes(width, values.len()));
            prop_assert_eq!(unpack(&bytes, width, values.len()).collect::<Vec<_>>(), values);
        }
    }
}
