//! DELTA_BINARY_PACKED and the encodings of texts built on it.
//!
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/>

use super::thrift::{Malformed, Parsed, Reader};

/// Values of a mini block that are unpacked at once.
pub(super) const RUN: usize = 32;
/// Bytes that a run takes at most, and what a load of eight may touch beyond it.
const RUN_BYTES: usize = RUN * 8 + 8;

macro_rules! widths {
    ($($width:literal)*) => { [$(run::<Self, $width>),*] };
}

/// A type that a column of deltas is decoded to. Arithmetic wraps, as the encoding demands, so
/// the low 32 bits are right whatever the width they were encoded in.
pub(crate) trait Value: Copy + Default {
    fn from_wrapped(value: i64) -> Self;

    /// What sums up 32 deltas, by their width in bits.
    const RUNS: [Run<Self>; 65] = widths!(
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
        33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62
        63 64
    );
}

/// Packed deltas, what is added to each, the value before, and where the values go; returns the
/// last value.
type Run<T> = fn(&[u8; RUN_BYTES], i64, i64, &mut [T; RUN]) -> i64;

impl Value for i64 {
    fn from_wrapped(value: i64) -> Self {
        value
    }
}

impl Value for u32 {
    fn from_wrapped(value: i64) -> Self {
        value as Self
    }
}

/// What stands before the blocks of deltas.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    /// Mini blocks of a block, and values of a mini block.
    pub(super) minis: usize,
    pub(super) mini: usize,
    /// How many values there are, the first included.
    pub(super) values: usize,
    pub(super) first: i64,
    /// The blocks, and what follows them.
    pub(super) rest: &'a [u8],
}

impl<'a> Head<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Parsed<Self> {
        let mut reader = Reader::new(bytes);
        let block = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        let minis = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        let values = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        let first = reader.integer()?;
        let unknown = Malformed("blocks of deltas of no known size");
        if block == 0 || block > 1 << 16 || minis == 0 || !block.is_multiple_of(minis) {
            return Err(unknown);
        }
        let mini = block / minis;
        if !mini.is_multiple_of(RUN) {
            return Err(unknown);
        }
        Ok(Self {
            minis,
            mini,
            values,
            first,
            rest: reader.rest(),
        })
    }
}

/// The least delta of the block at the start of `bytes`, the widths of its `minis` mini blocks,
/// and what follows.
pub(super) fn block(bytes: &[u8], minis: usize) -> Parsed<(i64, &[u8], &[u8])> {
    let mut reader = Reader::new(bytes);
    let least = reader.integer()?;
    let (widths, packed) = reader.rest().split_at_checked(minis).ok_or(CUT_OFF)?;
    Ok((least, widths, packed))
}

/// Fills `values` with those encoded at the start of `bytes`, which must be as many; returns the
/// bytes after them.
pub(crate) fn decode<'a, T: Value>(bytes: &'a [u8], values: &mut [T]) -> Parsed<&'a [u8]> {
    let head = Head::read(bytes)?;
    let (mut value, mut rest) = (head.first, head.rest);
    if head.values != values.len() {
        return Err(Malformed("another number of values than the page says"));
    }
    let Some((first, mut out)) = values.split_first_mut() else {
        return Ok(rest);
    };
    *first = T::from_wrapped(value);
    while !out.is_empty() {
        let (least, widths, packed) = block(rest, head.minis)?;
        rest = packed;
        for &width in widths {
            // Mini blocks after the last value have a width but no bytes.
            if out.is_empty() {
                break;
            }
            let packed = rest;
            let length = head.mini / 8 * usize::from(width);
            rest = packed.get(length..).ok_or(CUT_OFF)?;
            let length = out.len().min(head.mini);
            let (taken, after) = std::mem::take(&mut out).split_at_mut(length);
            value = mini_block(packed, width, least, value, taken)?;
            out = after;
        }
    }
    Ok(rest)
}

pub(super) const CUT_OFF: Malformed = Malformed("deltas end too early");

/// Fills `out` with the values of the mini block at the start of `packed`, which goes on to the
/// page's end; `value` is the one before. Returns the last.
pub(super) fn mini_block<T: Value>(
    packed: &[u8],
    width: u8,
    least: i64,
    mut value: i64,
    out: &mut [T],
) -> Parsed<i64> {
    if width == 0 {
        for out in out {
            value = value.wrapping_add(least);
            *out = T::from_wrapped(value);
        }
        return Ok(value);
    }
    let width = usize::from(width);
    let run = *T::RUNS
        .get(width)
        .ok_or(Malformed("deltas of more than 64 bits"))?;
    let mut rest = packed;
    let (runs, last) = out.as_chunks_mut::<RUN>();
    for out in runs {
        value = padded(rest, |packed| run(packed, least, value, out));
        rest = rest.get(RUN / 8 * width..).unwrap_or(&[]);
    }
    if !last.is_empty() {
        let mut out = [T::default(); RUN];
        value = padded(rest, |packed| run(packed, least, value, &mut out));
        last.iter_mut().zip(out).for_each(|(last, out)| *last = out);
    }
    Ok(value)
}

/// The bytes that a load may touch: what follows a run is as good as zeros, as its bits are
/// masked out, but must be there.
fn padded<T>(packed: &[u8], each: impl FnOnce(&[u8; RUN_BYTES]) -> T) -> T {
    if let Some(packed) = packed.first_chunk() {
        return each(packed);
    }
    let mut padded = [0; RUN_BYTES];
    padded
        .iter_mut()
        .zip(packed)
        .for_each(|(to, &from)| *to = from);
    each(&padded)
}

/// Sums up 32 deltas of `WIDTH` bits, where reading a page spends its time. The width is known to
/// the compiler, which turns every place into a constant: three times as fast as one function for
/// all widths. The sum stays in a register.
fn run<T: Value, const WIDTH: usize>(
    packed: &[u8; RUN_BYTES],
    least: i64,
    mut value: i64,
    out: &mut [T; RUN],
) -> i64 {
    let mask = if WIDTH == 64 {
        u64::MAX
    } else {
        (1_u64 << WIDTH) - 1
    };
    for (at, out) in out.iter_mut().enumerate() {
        let (byte, bit) = (at * WIDTH / 8, at * WIDTH % 8);
        let mut eight = [0; 8];
        eight.copy_from_slice(&packed[byte..byte + 8]);
        let mut word = u64::from_le_bytes(eight) >> bit;
        if bit + WIDTH > 64 {
            word |= u64::from(packed[byte + 8]) << (64 - bit);
        }
        value = value
            .wrapping_add(least)
            .wrapping_add((word & mask).cast_signed());
        *out = T::from_wrapped(value);
    }
    value
}

/// Texts one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    bytes: String,
    ends: Vec<u32>,
}

impl Texts {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)? as usize;
        let start = match at.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        self.bytes.get(start..end)
    }

    /// The bytes of memory it takes.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 4
    }

    /// Puts an empty text where no value is.
    pub(crate) fn spread(self, present: impl Iterator<Item = bool>) -> Self {
        let mut ends = self.ends.into_iter();
        let mut end = 0;
        let spread = present.map(|present| {
            if present {
                end = ends.next().unwrap_or(end);
            }
            end
        });
        Self {
            ends: spread.collect(),
            bytes: self.bytes,
        }
    }

    fn from_parts(bytes: Vec<u8>, ends: Vec<u32>) -> Parsed<Self> {
        let bytes = String::from_utf8(bytes).map_err(|_| Malformed("a text that is not UTF-8"))?;
        if !ends.iter().all(|&end| bytes.is_char_boundary(end as usize)) {
            return Err(Malformed("a text that is not UTF-8"));
        }
        Ok(Self { bytes, ends })
    }

    /// Reads all texts of a page in PLAIN encoding: the length in four bytes, then the text.
    pub(crate) fn plain(mut bytes: &[u8]) -> Parsed<Self> {
        let (mut all, mut ends) = (Vec::with_capacity(bytes.len()), Vec::new());
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk().ok_or(CUT_OFF_TEXT)?;
            let length = u32::from_le_bytes(*length) as usize;
            let (text, rest) = rest.split_at_checked(length).ok_or(CUT_OFF_TEXT)?;
            all.extend_from_slice(text);
            ends.push(u32::try_from(all.len()).map_err(|_| TOO_LONG)?);
            bytes = rest;
        }
        Self::from_parts(all, ends)
    }

    /// Reads `count` texts in DELTA_BYTE_ARRAY encoding: what each shares with the one before it,
    /// then what it adds. `most` is how many bytes they may come to.
    pub(crate) fn deltas(bytes: &[u8], count: usize, most: usize) -> Parsed<Self> {
        let (mut all, mut ends) = (Vec::with_capacity(bytes.len()), Vec::with_capacity(count));
        let mut start = 0;
        Self::each(bytes, count, |shared, adds| {
            let end = all.len();
            if shared + adds.len() > most.saturating_sub(end) {
                return Err(TOO_LONG);
            }
            all.extend_from_within(start..start + shared);
            all.extend_from_slice(adds);
            ends.push(u32::try_from(all.len()).map_err(|_| TOO_LONG)?);
            start = end;
            Ok(())
        })?;
        Self::from_parts(all, ends)
    }

    /// Hands each of these texts to `each`: how many bytes it shares with the one before, of which
    /// there are so many, and what it adds.
    #[inline]
    pub(crate) fn each(
        bytes: &[u8],
        count: usize,
        mut each: impl FnMut(usize, &[u8]) -> Parsed<()>,
    ) -> Parsed<()> {
        if count == 0 {
            return Ok(());
        }
        let (mut shared, mut added) = (vec![0_u32; count], vec![0_u32; count]);
        let rest = decode(bytes, &mut shared)?;
        let mut rest = decode(rest, &mut added)?;
        let mut length = 0;
        for (shared, added) in shared.into_iter().zip(added) {
            let (shared, added) = (shared as usize, added as usize);
            let (adds, after) = rest.split_at_checked(added).ok_or(CUT_OFF_TEXT)?;
            rest = after;
            if shared > length {
                return Err(Malformed("a text that shares more than there is"));
            }
            length = shared + added;
            each(shared, adds)?;
        }
        Ok(())
    }
}

const CUT_OFF_TEXT: Malformed = Malformed("texts end too early");
const TOO_LONG: Malformed = Malformed("texts longer than a page may be");
