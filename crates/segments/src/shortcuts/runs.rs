//! Rows of one address and the same ports, which stand together in a page.

use std::{net::Ipv4Addr, ops::Range};

use super::cursor::Cursor;
use crate::format::{
    Malformed,
    bits::{self, Bits},
    thrift::Parsed,
};

/// The rows of a page by address and ports. A **run** is of rows that follow each other and have
/// the same address, first and last port: a block's holders one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Runs {
    /// Each address and its first run, both ascending.
    addresses: Box<[(u32, u16)]>,
    /// The first and last port of each run.
    ports: Box<[(u16, u16)]>,
    /// Where each run begins, and where the last ends.
    starts: Box<[u16]>,
}

impl Runs {
    /// Of a page with these columns.
    pub(crate) fn of(externals: &[u32], firsts: &[u32], lasts: &[u32]) -> Parsed<Self> {
        // A page of rows at most, and as many runs as rows nearly always.
        let (mut ports, mut starts) = (
            Vec::with_capacity(externals.len()),
            Vec::with_capacity(externals.len() + 1),
        );
        let mut addresses = Vec::new();
        let mut before = None;
        let rows = externals.iter().zip(firsts).zip(lasts);
        for (row, ((&external, &first), &last)) in rows.enumerate() {
            if before == Some((external, first, last)) {
                continue;
            }
            let port = |port| u16::try_from(port).map_err(|_| Malformed("a port above 65,535"));
            let (of_first, of_last) = (port(first)?, port(last)?);
            if of_last < of_first {
                return Err(Malformed("a port range that ends before it begins"));
            }
            match before {
                Some((same, port, _)) if same == external && first < port => return Err(ORDER),
                Some((same, ..)) if same == external => {}
                Some((lower, ..)) if external < lower => return Err(ORDER),
                _ => addresses.push((external, place(ports.len())?)),
            }
            ports.push((of_first, of_last));
            starts.push(place(row)?);
            before = Some((external, first, last));
        }
        starts.push(place(externals.len())?);
        Ok(Self {
            addresses: addresses.into(),
            ports: ports.into(),
            starts: starts.into(),
        })
    }

    pub(crate) const fn len(&self) -> usize {
        self.ports.len()
    }

    /// The runs of an address.
    pub(crate) fn of_address(&self, address: Ipv4Addr) -> Range<usize> {
        let address = address.to_bits();
        match self
            .addresses
            .binary_search_by_key(&address, |&(address, _)| address)
        {
            Ok(at) => {
                let run = |at: usize| self.addresses.get(at).map(|&(_, run)| usize::from(run));
                run(at).unwrap_or(0)..run(at + 1).unwrap_or(self.len())
            }
            Err(_) => 0..0,
        }
    }

    /// The first and last port of each run.
    pub(crate) fn ports(&self) -> &[(u16, u16)] {
        &self.ports
    }

    /// The rows of a run.
    #[inline]
    pub(crate) fn rows(&self, run: usize) -> Range<usize> {
        let place = |at: usize| self.starts.get(at).map_or(0, |&row| usize::from(row));
        place(run)..place(run + 1)
    }

    /// The address, first and last port of a row.
    pub(crate) fn at(&self, row: usize) -> Option<(Ipv4Addr, (u16, u16))> {
        let run = self
            .starts
            .partition_point(|&start| usize::from(start) <= row)
            .checked_sub(1)?;
        let ports = *self.ports.get(run)?;
        let address = self
            .addresses
            .partition_point(|&(_, first)| usize::from(first) <= run)
            .checked_sub(1)?;
        let (address, _) = *self.addresses.get(address)?;
        Some((Ipv4Addr::from_bits(address), ports))
    }

    /// Appends them as the file has them.
    ///
    /// ```text
    /// runs, addresses: u16 each      address: u32 and its first run: u16, each
    /// a bit for each row, 1 where a run begins
    /// first ports, then last ports less first ports, as `Numbers`
    /// ```
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend((self.len() as u16).to_le_bytes());
        out.extend((self.addresses.len() as u16).to_le_bytes());
        for (address, run) in &self.addresses {
            out.extend(address.to_le_bytes());
            out.extend(run.to_le_bytes());
        }
        let rows = self.starts.last().map_or(0, |&rows| usize::from(rows));
        let start = out.len();
        out.resize(start + rows.div_ceil(8), 0);
        for row in self.starts.iter().take(self.len()) {
            if let Some(byte) = out.get_mut(start + usize::from(row / 8)) {
                *byte |= 1 << (row % 8);
            }
        }
        Numbers::write(|| self.ports.iter().map(|&(first, _)| first), out);
        Numbers::write(|| self.ports.iter().map(|&(first, last)| last - first), out);
    }

    /// Those of a page of `rows` rows.
    pub(super) fn read(cursor: &mut Cursor<'_>, rows: usize) -> Parsed<Self> {
        let (count, addresses) = (usize::from(cursor.u16()?), usize::from(cursor.u16()?));
        let (of_addresses, _) = cursor.take(addresses * 6)?.as_chunks::<6>();
        let of_addresses = of_addresses.iter().map(|&[a, b, c, d, e, f]| {
            (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]))
        });
        let begins = Bits::of_bytes(cursor.take(rows.div_ceil(8))?, rows);
        if begins.ones() != count {
            return Err(Malformed("another number of runs"));
        }
        let mut starts = vec![place(rows)?; count + 1];
        let mut next = starts.iter_mut();
        // No place is beyond the last, which fits.
        begins.each_place(|row| {
            if let Some(start) = next.next() {
                *start = row as u16;
            }
        });
        let firsts = Numbers::read(cursor, count)?;
        let widths = Numbers::read(cursor, count)?;
        let mut all = 0;
        let ports = firsts.into_iter().zip(widths).map(|(first, width)| {
            let last = first + width;
            all |= last;
            (first as u16, last as u16)
        });
        let ports = ports.collect();
        // A bit above the lowest 16 is one of a greater number.
        if all > u16::MAX.into() {
            return Err(Malformed("a port above 65,535"));
        }
        let runs = Self {
            addresses: of_addresses.collect(),
            ports,
            starts: starts.into(),
        };
        match runs.is_sound(count) {
            true => Ok(runs),
            false => Err(ORDER),
        }
    }

    /// Whether every run has rows, every address has runs, and all are in order.
    fn is_sound(&self, count: usize) -> bool {
        let begins = self.starts.first() == Some(&0) || count == 0;
        let first = self.addresses.first().map(|&(_, run)| run);
        let last = self.addresses.last().map(|&(_, run)| usize::from(run));
        begins
            && first == (count > 0).then_some(0)
            && last.is_none_or(|last| last < count)
            && self
                .addresses
                .is_sorted_by(|(a, run), (b, next)| a < b && run < next)
            && self.addresses.iter().all(|&(address, _)| {
                let runs = self.of_address(Ipv4Addr::from_bits(address));
                // Without an end at the first that is not: several are compared at a time.
                let ascend = |ports: &[(u16, u16)]| {
                    let pairs = ports.iter().zip(ports.iter().skip(1));
                    pairs.fold(true, |all, ((first, _), (next, _))| all & (first <= next))
                };
                self.ports.get(runs).is_some_and(ascend)
            })
    }

    /// The bytes of memory they take.
    pub(crate) fn memory(&self) -> usize {
        self.addresses.len() * 8 + self.ports.len() * 4 + self.starts.len() * 2
    }
}

const ORDER: Malformed = Malformed("rows that are not in order");

fn place(at: usize) -> Parsed<u16> {
    u16::try_from(at).map_err(|_| Malformed("a page of too many rows"))
}

/// Numbers of 16 bits in as few as it takes: what each exceeds the least by, without the low bits
/// that none has. Blocks of 256 ports on an address have first ports of eight bits so.
///
/// ```text
/// least: u16    bits left out: u8    bits of each: u8    the numbers, packed
/// ```
struct Numbers;

impl Numbers {
    fn write<I: Iterator<Item = u16>>(values: impl Fn() -> I, out: &mut Vec<u8>) {
        let least = values().min().unwrap_or(0);
        let all = values().fold(0, |all, value| all | (value - least));
        let shift = if all == 0 { 0 } else { all.trailing_zeros() };
        let width = 16 - (all >> shift).leading_zeros();
        out.extend(least.to_le_bytes());
        out.extend([shift as u8, width as u8]);
        let packed = values().map(|value| u32::from(value - least) >> shift);
        bits::pack(packed, width as u8, out);
    }

    /// Numbers that may be too large for a port, but for no sum.
    fn read(cursor: &mut Cursor<'_>, count: usize) -> Parsed<Vec<u32>> {
        let least = u32::from(cursor.u16()?);
        let (shift, width) = (cursor.u8()?, cursor.u8()?);
        if shift > 16 || width > 16 - shift {
            return Err(Malformed("ports of more than 16 bits"));
        }
        let packed = cursor.take(bits::packed_bytes(width, count))?;
        // What most pages have: one size of block, and first ports of eight bits.
        Ok(match width {
            0 => vec![least; count],
            8 => packed
                .iter()
                .map(|&value| least + (u32::from(value) << shift))
                .collect(),
            width => bits::unpack(packed, width, count)
                .map(|value| least + (value << shift))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The columns of a page, sorted.
    fn pages() -> impl Strategy<Value = Vec<(u32, u32, u32)>> {
        let row = prop_oneof![
            (0..4_u32, 0..20_u32).prop_map(|(address, n)| (address, n * 256, n * 256 + 255)),
            (0..900_u32, 0..65_536_u32).prop_map(|(address, port)| (address, port, port)),
            (any::<u32>(), 0..65_536_u32).prop_map(|(address, port)| (address, port, 65_535)),
        ];
        prop::collection::vec(row, 0..500).prop_map(|mut rows| {
            rows.sort_unstable_by_key(|&(address, first, _)| (address, first));
            rows
        })
    }

    fn of(rows: &[(u32, u32, u32)]) -> Runs {
        let externals: Vec<u32> = rows.iter().map(|row| row.0).collect();
        let firsts: Vec<u32> = rows.iter().map(|row| row.1).collect();
        let lasts: Vec<u32> = rows.iter().map(|row| row.2).collect();
        Runs::of(&externals, &firsts, &lasts).unwrap()
    }

    proptest! {
        #[test]
        fn every_row_is_in_its_run(rows in pages()) {
            let runs = of(&rows);
            let mut next = 0;
            for (run, &(first, last)) in runs.ports().iter().enumerate() {
                let held = runs.rows(run);
                prop_assert!(held.start == next && held.end > next);
                next = held.end;
                for row in held {
                    let (address, first_of, last_of) = rows[row];
                    prop_assert_eq!((u32::from(first), u32::from(last)), (first_of, last_of));
                    let address = Ipv4Addr::from_bits(address);
                    prop_assert!(runs.of_address(address).contains(&run));
                    prop_assert_eq!(runs.at(row), Some((address, (first, last))));
                }
            }
            prop_assert_eq!(next, rows.len());
            prop_assert_eq!(runs.at(next), None);
        }

        #[test]
        fn runs_are_those_that_were_written(rows in pages()) {
            let runs = of(&rows);
            let mut bytes = Vec::new();
            runs.write(&mut bytes);
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(Runs::read(&mut cursor, rows.len()), Ok(runs));
            prop_assert!(cursor.rest().is_empty());
        }

        #[test]
        fn bytes_of_any_kind_never_panic(rows in pages(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = Vec::new();
            of(&rows).write(&mut bytes);
            *place.get_mut(&mut bytes) = byte;
            if let Ok(runs) = Runs::read(&mut Cursor::new(&bytes), rows.len()) {
                for row in 0..rows.len() {
                    prop_assert!(runs.at(row).is_some());
                }
            }
        }
    }

    #[test]
    fn a_block_of_256_ports_on_a_full_address_takes_eight_bits() {
        let rows: Vec<_> = (0..252)
            .map(|n| (7, 1_024 + n * 256, 1_279 + n * 256))
            .collect();
        let mut bytes = Vec::new();
        of(&rows).write(&mut bytes);
        assert_eq!(bytes.len(), 4 + 6 + 32 + 4 + 252 + 4);
    }

    #[test]
    fn rows_out_of_order_make_no_runs() {
        assert!(Runs::of(&[2, 1], &[0, 0], &[1, 1]).is_err());
        assert!(Runs::of(&[1, 1], &[5, 4], &[5, 4]).is_err());
        assert!(Runs::of(&[1], &[5], &[4]).is_err());
        assert!(Runs::of(&[1], &[5], &[65_536]).is_err());
    }
}
