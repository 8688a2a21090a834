//! A page of packed deltas that stays as it is: values are read at their places, a window at a
//! time, from a value that is known before each window.

use super::{
    bits::Ranks,
    delta::{self, CUT_OFF, Head, RUN},
    hybrid::{self, Present},
    numbers::Numbers,
    thrift::{Malformed, Parsed},
};

/// How many values are unpacked at a time: mini blocks are of so many or a multiple, and so many
/// deltas of any width fill whole bytes.
pub(crate) const WINDOW: usize = RUN;

/// How many windows a page of `values` values has: the first value stands in the page's head.
pub(crate) const fn windows(values: usize) -> usize {
    values.saturating_sub(1).div_ceil(WINDOW)
}

/// A block of deltas.
#[derive(Debug, Clone, Copy)]
struct Block {
    /// The least of its deltas.
    least: i64,
    /// Where the widths of its mini blocks are, and behind them these.
    widths: usize,
}

/// A page of packed deltas.
#[derive(Debug)]
pub(crate) struct Packed {
    bytes: Box<[u8]>,
    blocks: Box<[Block]>,
    minis: usize,
    mini: usize,
    rows: usize,
    values: usize,
    first: i64,
    /// The last value before each window but the first.
    restarts: Numbers,
    /// Which rows have a value, where not all have.
    present: Option<Ranks>,
}

impl Packed {
    /// A page of `rows` rows. `None` when it has another number of values than `restarts` are for,
    /// or none.
    pub(crate) fn new(
        bytes: &[u8],
        optional: bool,
        rows: usize,
        restarts: &Numbers,
    ) -> Parsed<Option<Self>> {
        let (present, bytes) = match optional {
            true => hybrid::present(bytes, rows)?,
            false => (Present::All, bytes),
        };
        let (values, present) = match present {
            Present::All => (rows, None),
            Present::None => return Ok(None),
            Present::Some(bits) => (bits.ones(), Some(Ranks::new(bits))),
        };
        let head = Head::read(bytes)?;
        if head.values != values {
            return Err(Malformed("another number of values than the page says"));
        }
        if restarts.len() != windows(values).saturating_sub(1) {
            return Ok(None);
        }
        Ok(Some(Self {
            blocks: blocks(&head)?,
            bytes: head.rest.into(),
            minis: head.minis,
            mini: head.mini,
            rows,
            values,
            first: head.first,
            restarts: restarts.clone(),
            present,
        }))
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// The value of a row, null being the greatest, unpacked into `window` unless it is there.
    /// `None` when there is no such row, or its delta has no meaning.
    #[inline]
    pub(crate) fn get(&self, row: usize, window: &mut Window) -> Option<i64> {
        let place = match &self.present {
            None => row,
            Some(ranks) => match ranks.rank(row) {
                Some(place) => place,
                None => return (row < self.rows).then_some(i64::MAX),
            },
        };
        let Some(delta) = place.checked_sub(1) else {
            return Some(self.first);
        };
        if delta / WINDOW != window.number {
            self.unpack(delta / WINDOW, window)?;
        }
        Some(window.values[delta % WINDOW])
    }

    #[inline(never)]
    fn unpack(&self, number: usize, window: &mut Window) -> Option<()> {
        // What is there after an error is of no window.
        window.number = usize::MAX;
        let left = self.values.saturating_sub(number * WINDOW + 1).min(WINDOW);
        let out = window.values.get_mut(..left).filter(|_| left > 0)?;
        self.fill(number, out).ok()?;
        window.number = number;
        Some(())
    }

    /// Fills `out` with the values of a window.
    fn fill(&self, number: usize, out: &mut [i64]) -> Parsed<()> {
        let (delta, block) = (number * WINDOW, self.minis * self.mini);
        let value = match number.checked_sub(1) {
            None => self.first,
            Some(before) => self.restarts.get(before).ok_or(CUT_OFF)?,
        };
        let &Block { least, widths } = self.blocks.get(delta / block).ok_or(CUT_OFF)?;
        let bytes = self.bytes.get(widths..).ok_or(CUT_OFF)?;
        let (widths, packed) = bytes.split_at_checked(self.minis).ok_or(CUT_OFF)?;
        let (mini, within) = (delta % block / self.mini, delta % self.mini);
        let (before, rest) = widths.split_at_checked(mini).ok_or(CUT_OFF)?;
        let &width = rest.first().ok_or(CUT_OFF)?;
        let before: usize = before.iter().map(|&width| usize::from(width)).sum();
        let skipped = self.mini / 8 * before + within / 8 * usize::from(width);
        let packed = packed.get(skipped..).ok_or(CUT_OFF)?;
        delta::mini_block(packed, width, least, value, out)?;
        Ok(())
    }

    /// The bytes of memory it takes.
    pub(crate) fn memory(&self) -> usize {
        let present = self.present.as_ref().map_or(0, Ranks::memory);
        size_of::<Self>()
            + self.bytes.len()
            + size_of_val(&*self.blocks)
            + self.restarts.memory()
            + present
    }
}

/// The blocks; all of them are there.
fn blocks(head: &Head<'_>) -> Parsed<Box<[Block]>> {
    let mut left = head.values.saturating_sub(1);
    let mut rest = head.rest;
    let mut blocks = Vec::with_capacity(left.div_ceil(head.minis * head.mini).min(rest.len()));
    while left > 0 {
        let (least, widths, packed) = delta::block(rest, head.minis)?;
        let after = widths.len() + packed.len();
        blocks.push(Block {
            least,
            widths: head.rest.len() - after,
        });
        let mut length = 0;
        for &width in widths {
            // Mini blocks after the last value have a width but no bytes.
            if left > 0 {
                length += head.mini / 8 * usize::from(width);
                left = left.saturating_sub(head.mini);
            }
        }
        rest = packed.get(length..).ok_or(CUT_OFF)?;
    }
    Ok(blocks.into())
}

/// Values that were unpacked last.
#[derive(Debug)]
pub(crate) struct Window {
    number: usize,
    values: [i64; WINDOW],
}

impl Default for Window {
    fn default() -> Self {
        Self {
            number: usize::MAX,
            values: [0; WINDOW],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the format says: the head, then blocks, each with its least delta, the widths of its mini
    /// blocks, and what the deltas exceed the least by.
    fn encoded(values: &[i64], minis: usize, mini: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [minis * mini, minis, values.len()] {
            varint(number as u64, &mut bytes);
        }
        zigzag(values[0], &mut bytes);
        let pairs = values.windows(2);
        let deltas: Vec<i64> = pairs.map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        for block in deltas.chunks(minis * mini) {
            let least = *block.iter().min().unwrap();
            zigzag(least, &mut bytes);
            let exceeding: Vec<u64> = block
                .iter()
                .map(|delta| delta.wrapping_sub(least).cast_unsigned())
                .collect();
            let width = |mini: &[u64]| mini.iter().map(|&n| 64 - n.leading_zeros()).max().unwrap();
            let widths: Vec<u32> = exceeding.chunks(mini).map(width).collect();
            bytes.extend((0..minis).map(|at| widths.get(at).map_or(9, |&width| width as u8)));
            for (of_mini, width) in exceeding.chunks(mini).zip(widths) {
                let mut bits: Vec<bool> = of_mini
                    .iter()
                    .flat_map(|&n| (0..width).map(move |bit| n >> bit & 1 == 1))
                    .collect();
                bits.resize(mini * width as usize, false);
                bytes.extend(bits.chunks(8).map(|eight| {
                    eight
                        .iter()
                        .rev()
                        .fold(0, |all, &one| all << 1 | u8::from(one))
                }));
            }
        }
        bytes
    }

    fn varint(mut number: u64, out: &mut Vec<u8>) {
        while number > 127 {
            out.push(number as u8 | 128);
            number >>= 7;
        }
        out.push(number as u8);
    }

    fn zigzag(number: i64, out: &mut Vec<u8>) {
        varint((number << 1 ^ number >> 63).cast_unsigned(), out);
    }

    fn restarts(values: &[i64]) -> Numbers {
        let restarts = (1..windows(values.len())).map(|window| values[window * WINDOW]);
        Numbers::new(&restarts.collect::<Vec<_>>())
    }

    fn numbers() -> impl Strategy<Value = Vec<i64>> {
        prop_oneof![
            prop::collection::vec(any::<i64>(), 1..700),
            prop::collection::vec(0..1_000_i64, 1..700),
            prop::collection::vec(Just(7_i64), 1..700),
        ]
    }

    proptest! {
        #[test]
        fn every_value_is_read_at_its_place(values in numbers(), rows in prop::collection::vec(any::<prop::sample::Index>(), 1..60)) {
            let bytes = encoded(&values, 4, 64);
            let packed = Packed::new(&bytes, false, values.len(), &restarts(&values)).unwrap().unwrap();
            let mut window = Window::default();
            for row in rows.iter().map(|row| row.index(values.len())).chain(0..values.len()) {
                prop_assert_eq!(packed.get(row, &mut window), Some(values[row]));
            }
            prop_assert!(packed.get(values.len() + WINDOW, &mut window).is_none());
        }

        #[test]
        fn mini_blocks_of_any_size_are_read(values in numbers(), minis in 1..6_usize, runs in 1..4_usize) {
            let bytes = encoded(&values, minis, runs * WINDOW);
            let packed = Packed::new(&bytes, false, values.len(), &restarts(&values)).unwrap().unwrap();
            let mut window = Window::default();
            for (row, &value) in values.iter().enumerate().rev() {
                prop_assert_eq!(packed.get(row, &mut window), Some(value));
            }
        }

        #[test]
        fn nulls_are_the_greatest(values in prop::collection::vec(prop::option::of(0..1_000_i64), 1..700)) {
            let there: Vec<i64> = values.iter().flatten().copied().collect();
            prop_assume!(!there.is_empty());
            let levels: Vec<bool> = values.iter().map(Option::is_some).collect();
            let packed_levels: Vec<u8> = levels.chunks(8).map(|eight| {
                eight.iter().rev().fold(0, |all, &one| all << 1 | u8::from(one))
            }).collect();
            let mut run = vec![];
            let head = packed_levels.len() << 1 | 1;
            run.extend([head as u8 & 0x7f | 0x80, (head >> 7) as u8]);
            run.extend(packed_levels);
            let mut bytes = (run.len() as u32).to_le_bytes().to_vec();
            bytes.extend(run);
            bytes.extend(encoded(&there, 4, 64));
            let packed = Packed::new(&bytes, true, values.len(), &restarts(&there)).unwrap().unwrap();
            let mut window = Window::default();
            for (row, value) in values.iter().enumerate() {
                prop_assert_eq!(packed.get(row, &mut window), Some(value.unwrap_or(i64::MAX)));
            }
        }

        #[test]
        fn bytes_of_any_kind_never_panic(values in numbers(), cut in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = encoded(&values, 4, 64);
            let place = place.index(bytes.len());
            bytes[place] = byte;
            bytes.truncate(cut.index(bytes.len()) + 1);
            if let Ok(Some(packed)) = Packed::new(&bytes, false, values.len(), &restarts(&values)) {
                let mut window = Window::default();
                for row in 0..values.len() {
                    let _ = packed.get(row, &mut window);
                }
            }
        }
    }
}
