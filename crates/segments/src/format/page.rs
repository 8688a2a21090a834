//! The values of one page.

use super::{
    delta::{self, Texts, Value},
    hybrid::{self, Present},
    thrift::{Malformed, Parsed},
};
use crate::layout::{Column, Encoding, Kind, TEXT_BYTES};

/// The values of one page. Null is the greatest value of the type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Values {
    /// Numbers of up to 32 bits, or places in the chunk's dictionary.
    Narrow(Box<[u32]>),
    /// Times, record numbers, and numbers of 32 bits that may be null.
    Wide(Box<[i64]>),
    /// Texts; null is empty.
    Texts(Texts),
}

impl Values {
    pub(crate) fn narrow(&self) -> &[u32] {
        match self {
            Self::Narrow(values) => values,
            Self::Wide(_) | Self::Texts(_) => &[],
        }
    }

    pub(crate) fn wide(&self) -> &[i64] {
        match self {
            Self::Wide(values) => values,
            Self::Narrow(_) | Self::Texts(_) => &[],
        }
    }

    pub(crate) fn text(&self, at: usize) -> Option<&str> {
        match self {
            Self::Texts(texts) => texts.get(at),
            Self::Narrow(_) | Self::Wide(_) => None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Narrow(values) => values.len(),
            Self::Wide(values) => values.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    /// The bytes of memory they take.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Narrow(values) => size_of_val(&**values),
                Self::Wide(values) => size_of_val(&**values),
                Self::Texts(texts) => texts.memory(),
            }
    }
}

/// The bytes that a page of `rows` rows may unpack to: no more are made room for.
pub(crate) const fn most_bytes(column: &Column, rows: usize) -> usize {
    let a_row = match column.kind {
        Kind::Text if !matches!(column.encoding, Encoding::Dictionary) => TEXT_BYTES + 16,
        Kind::Text | Kind::Number(_) | Kind::Time => 12,
    };
    rows * a_row + 4_096
}

/// The number that stands for an encoding in a page's header.
pub(crate) const fn code(encoding: Encoding) -> i64 {
    match encoding {
        Encoding::Plain => 0,
        Encoding::Delta => 5,
        Encoding::DeltaText => 7,
        Encoding::Dictionary => 8,
        Encoding::Split => 9,
    }
}

/// Decodes a page of `rows` rows, unpacked and checked.
pub(crate) fn decode(column: &Column, bytes: &[u8], rows: usize) -> Parsed<Values> {
    let (present, bytes) = if column.optional {
        hybrid::present(bytes, rows)?
    } else {
        (Present::All, bytes)
    };
    let count = match &present {
        Present::All => rows,
        Present::None => 0,
        Present::Some(bits) => bits.ones(),
    };
    Ok(match column.encoding {
        Encoding::Delta if column.is_narrow() => {
            Values::Narrow(spread(deltas(bytes, count)?, &present, rows, u32::MAX))
        }
        Encoding::Delta => {
            let values = match column.kind {
                Kind::Number(32) => deltas::<u32>(bytes, count)?
                    .into_iter()
                    .map(i64::from)
                    .collect(),
                _ => deltas(bytes, count)?,
            };
            Values::Wide(spread(values, &present, rows, i64::MAX))
        }
        Encoding::Plain => Values::Narrow(spread(plain(bytes, count)?, &present, rows, u32::MAX)),
        Encoding::Split => match column.kind {
            Kind::Time | Kind::Number(33..) => {
                let values = split(bytes, count, i64::from_le_bytes)?;
                Values::Wide(spread(values, &present, rows, i64::MAX))
            }
            _ if column.is_narrow() => {
                let values = split(bytes, count, u32::from_le_bytes)?;
                Values::Narrow(spread(values, &present, rows, u32::MAX))
            }
            _ => {
                let wide = |bytes| i64::from(u32::from_le_bytes(bytes));
                let values = split(bytes, count, wide)?;
                Values::Wide(spread(values, &present, rows, i64::MAX))
            }
        },
        Encoding::DeltaText => {
            let texts = match count {
                0 => Texts::default(),
                count => Texts::deltas(bytes, count, most_bytes(column, rows))?,
            };
            Values::Texts(match present {
                Present::All => texts,
                Present::None => texts.spread(std::iter::repeat_n(false, rows)),
                Present::Some(bits) => texts.spread(bits.iter()),
            })
        }
        Encoding::Dictionary => {
            let places = match bytes.split_first() {
                _ if count == 0 => Vec::new(),
                Some((&width, packed)) => hybrid::decode(packed, width, count)?,
                None => return Err(CUT_OFF),
            };
            Values::Narrow(spread(places, &present, rows, u32::MAX))
        }
    })
}

const CUT_OFF: Malformed = Malformed("values end too early");

/// A page without values may leave out even the deltas' head.
fn deltas<T: Value>(bytes: &[u8], count: usize) -> Parsed<Vec<T>> {
    let mut values = vec![T::default(); count];
    if count > 0 {
        delta::decode(bytes, &mut values)?;
    }
    Ok(values)
}

fn plain(bytes: &[u8], count: usize) -> Parsed<Vec<u32>> {
    let (values, _) = bytes.as_chunks::<4>();
    let values = values.get(..count).ok_or(CUT_OFF)?;
    Ok(values
        .iter()
        .map(|value| u32::from_le_bytes(*value))
        .collect())
}

/// First the lowest byte of every value, then the next.
fn split<T, const N: usize>(bytes: &[u8], count: usize, value: fn([u8; N]) -> T) -> Parsed<Vec<T>> {
    let mut values = vec![[0; N]; count];
    let mut rest = bytes;
    for at in 0..N {
        let (plane, after) = rest.split_at_checked(count).ok_or(CUT_OFF)?;
        for (value, &byte) in values.iter_mut().zip(plane) {
            // `at` is below the array's length.
            if let Some(place) = value.get_mut(at) {
                *place = byte;
            }
        }
        rest = after;
    }
    Ok(values.into_iter().map(value).collect())
}

/// Puts null where no value is.
fn spread<T: Copy>(values: Vec<T>, present: &Present, rows: usize, null: T) -> Box<[T]> {
    match present {
        Present::All => values.into(),
        Present::None => vec![null; rows].into(),
        Present::Some(bits) => {
            let mut spread = vec![null; rows];
            let mut values = values.into_iter();
            bits.each_place(|place| {
                if let (Some(spread), Some(value)) = (spread.get_mut(place), values.next()) {
                    *spread = value;
                }
            });
            spread.into()
        }
    }
}
