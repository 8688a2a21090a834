//! The hybrid of run lengths and packed bits: definition levels and places in a dictionary.
//!
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/>

use super::{
    bits::{self, Bits},
    thrift::{Malformed, Parsed, Reader},
};

const CUT_OFF: Malformed = Malformed("runs end too early");

/// Decodes `count` values of `width` bits.
pub(crate) fn decode(bytes: &[u8], width: u8, count: usize) -> Parsed<Vec<u32>> {
    if width > 32 {
        return Err(Malformed("runs of more than 32 bits"));
    }
    let mut values = Vec::with_capacity(count);
    each_run(bytes, width, count, |run| match run {
        Run::Same(value, count) => values.resize(values.len() + count, value),
        Run::Packed(packed, count) => values.extend(bits::unpack(packed, width, count)),
    })?;
    Ok(values)
}

/// Several values.
enum Run<'a> {
    /// One value so many times.
    Same(u32, usize),
    /// So many values packed.
    Packed(&'a [u8], usize),
}

fn each_run<'a>(
    bytes: &'a [u8],
    width: u8,
    count: usize,
    mut each: impl FnMut(Run<'a>),
) -> Parsed<()> {
    let (mut left, mut rest) = (count, bytes);
    while left > 0 {
        let mut reader = Reader::new(rest);
        let head = reader.varint()?;
        rest = reader.rest();
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
            each(Run::Same(value, run));
            left -= run;
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
            let count = left.min(groups * 8);
            each(Run::Packed(packed, count));
            left -= count;
        }
    }
    Ok(())
}

/// Which of the values of an optional column are there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Present {
    All,
    None,
    Some(Bits),
}

/// Reads the definition levels at the start of a page, which are 0 for null and 1 for a value,
/// behind their length in four bytes. Returns the bytes after them too.
pub(crate) fn present(bytes: &[u8], count: usize) -> Parsed<(Present, &[u8])> {
    let (length, rest) = bytes.split_first_chunk().ok_or(CUT_OFF)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (levels, rest) = rest.split_at_checked(length).ok_or(CUT_OFF)?;
    let mut present = Bits::with_room(count);
    each_run(levels, 1, count, |run| match run {
        Run::Same(level, count) => present.push_run(level == 1, count),
        Run::Packed(packed, count) => {
            for (at, &byte) in packed.iter().enumerate() {
                present.push(byte, count.saturating_sub(at * 8).min(8));
            }
        }
    })?;
    let present = match present.ones() {
        0 => Present::None,
        all if all == count => Present::All,
        _ => Present::Some(present),
    };
    Ok((present, rest))
}
