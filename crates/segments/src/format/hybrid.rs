//! The hybrid of run lengths and packed bits: definition levels and places in a dictionary.
//!
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/>

use super::thrift::{Malformed, Parsed, Reader};

const CUT_OFF: Malformed = Malformed("runs end too early");

/// Decodes `count` values of `width` bits.
pub(crate) fn decode(bytes: &[u8], width: u8, count: usize) -> Parsed<Vec<u32>> {
    if width > 32 {
        return Err(Malformed("runs of more than 32 bits"));
    }
    let mut values = Vec::with_capacity(count);
    let mut rest = bytes;
    while values.len() < count {
        let mut reader = Reader::new(rest);
        let head = reader.varint()?;
        rest = reader.rest();
        let left = count - values.len();
        let run = usize::try_from(head >> 1).unwrap_or(usize::MAX);
        if head & 1 == 0 {
            let length = usize::from(width.div_ceil(8));
            let (value, after) = rest.split_at_checked(length).ok_or(CUT_OFF)?;
            rest = after;
            if run == 0 || run > left {
                return Err(Malformed("a run longer than its page"));
            }
            let value = value
                .iter()
                .rev()
                .fold(0, |all, &byte| all << 8 | u32::from(byte));
            values.resize(values.len() + run, value);
        } else {
            // Groups of eight; the last may be filled up with values that mean nothing.
            let groups = run;
            if groups == 0 || groups > left.div_ceil(8) {
                return Err(Malformed("a run longer than its page"));
            }
            let (packed, after) = rest
                .split_at_checked(groups * usize::from(width))
                .ok_or(CUT_OFF)?;
            rest = after;
            unpack(packed, width, left.min(groups * 8), &mut values);
        }
    }
    Ok(values)
}

fn unpack(packed: &[u8], width: u8, count: usize, values: &mut Vec<u32>) {
    let (mut word, mut bits) = (0_u64, 0_u8);
    let mut bytes = packed.iter();
    let mask = (1_u64 << width) - 1;
    for _ in 0..count {
        while bits < width {
            word |= u64::from(bytes.next().copied().unwrap_or(0)) << bits;
            bits += 8;
        }
        values.push((word & mask) as u32);
        word >>= width;
        bits -= width;
    }
}

/// Which of the values of an optional column are there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Present {
    All,
    None,
    Some(Vec<u32>),
}

/// Reads the definition levels at the start of a page, which are 0 for null and 1 for a value,
/// behind their length in four bytes. Returns the bytes after them too.
pub(crate) fn present(bytes: &[u8], count: usize) -> Parsed<(Present, &[u8])> {
    let (length, rest) = bytes.split_first_chunk().ok_or(CUT_OFF)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (levels, rest) = rest.split_at_checked(length).ok_or(CUT_OFF)?;
    // Most pages have all or none, and say so in one run.
    let mut reader = Reader::new(levels);
    if reader.varint() == Ok((count as u64) << 1) {
        match reader.rest() {
            [0] => return Ok((Present::None, rest)),
            [1] => return Ok((Present::All, rest)),
            _ => {}
        }
    }
    let levels = decode(levels, 1, count)?;
    let values = levels.iter().filter(|&&level| level == 1).count();
    let present = match values {
        0 => Present::None,
        all if all == count => Present::All,
        _ => Present::Some(levels),
    };
    Ok((present, rest))
}
