//! The external addresses a NAT shares out.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use thiserror::Error;

/// External addresses of any number, not necessarily contiguous (RFC 6888 REQ-3), numbered from 0
/// in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Disjoint, ascending, not touching.
    runs: Vec<Run>,
    count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u32,
    last: u32,
    /// The number of `first`.
    number: u32,
}

/// A pool that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PoolError {
    /// Neither address, prefix nor range.
    #[error(
        "pool: '{0}' is not an IPv4 address, a prefix such as 203.0.113.0/28, or a range such as 203.0.113.1-203.0.113.9"
    )]
    Malformed(String),
    /// The same address twice would give its ports to two subscribers.
    #[error("pool: '{0}' holds addresses that an earlier entry holds already; list each once")]
    Overlap(String),
    /// Not an address that a packet may come from.
    #[error("pool: '{0}' holds addresses that are no unicast source (RFC 1122 §3.2.1.3)")]
    NotUnicast(String),
    /// No address at all.
    #[error("pool: no address; give at least one")]
    Empty,
    /// More than the layout can number.
    #[error("pool: {0} addresses; at most 65,536 can be shared out by one device")]
    TooMany(u64),
}

/// The most addresses in a pool: with 1,024 blocks an address, block indexes stay within 32 bits.
const MAX_ADDRESSES: u64 = 1 << 16;

impl Pool {
    /// From addresses (`203.0.113.7`), prefixes (`203.0.113.0/28`, all of its addresses) and
    /// ranges (`203.0.113.1-203.0.113.9`).
    ///
    /// # Errors
    /// When an entry cannot be read, entries overlap, or there is nothing or too much of it.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, PoolError> {
        let mut spans: Vec<(u32, u32)> = Vec::new();
        for entry in entries {
            let entry = entry.as_ref();
            let (first, last) = parse_entry(entry)?;
            if spans.iter().any(|&(a, b)| first <= b && a <= last) {
                return Err(PoolError::Overlap(entry.to_owned()));
            }
            if !is_unicast(first) || !is_unicast(last) {
                return Err(PoolError::NotUnicast(entry.to_owned()));
            }
            spans.push((first, last));
        }
        spans.sort_unstable();
        let total: u64 = spans.iter().map(|&(a, b)| u64::from(b - a) + 1).sum();
        match total {
            0 => return Err(PoolError::Empty),
            1..=MAX_ADDRESSES => {}
            more => return Err(PoolError::TooMany(more)),
        }
        let mut runs: Vec<Run> = Vec::new();
        let mut number = 0;
        for (first, last) in spans {
            match runs.last_mut() {
                Some(run) if run.last + 1 == first => run.last = last,
                _ => runs.push(Run {
                    first,
                    last,
                    number,
                }),
            }
            number += last - first + 1;
        }
        Ok(Self {
            runs,
            count: number,
        })
    }

    /// How many addresses.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The addresses as ranges, ascending and apart.
    pub fn ranges(&self) -> impl Iterator<Item = (Ipv4Addr, Ipv4Addr)> {
        let runs = self.runs.iter();
        runs.map(|run| {
            (
                Ipv4Addr::from_bits(run.first),
                Ipv4Addr::from_bits(run.last),
            )
        })
    }

    /// The number of `address`, where it is in the pool.
    pub fn number(&self, address: Ipv4Addr) -> Option<u32> {
        let address = address.to_bits();
        // One run is the usual case and pools have few: a scan beats a search.
        self.runs
            .iter()
            .find(|run| run.first <= address && address <= run.last)
            .map(|run| run.number + (address - run.first))
    }

    /// The address with this number.
    pub fn address(&self, number: u32) -> Option<Ipv4Addr> {
        let run = self.runs.iter().rfind(|run| run.number <= number)?;
        let address = run.first + (number - run.number);
        (address <= run.last).then(|| Ipv4Addr::from_bits(address))
    }
}

fn parse_entry(entry: &str) -> Result<(u32, u32), PoolError> {
    let malformed = || PoolError::Malformed(entry.to_owned());
    if let Some((first, last)) = entry.split_once('-') {
        let first: Ipv4Addr = first.trim().parse().map_err(|_| malformed())?;
        let last: Ipv4Addr = last.trim().parse().map_err(|_| malformed())?;
        return if first <= last {
            Ok((first.to_bits(), last.to_bits()))
        } else {
            Err(malformed())
        };
    }
    if let Ok(address) = entry.trim().parse::<Ipv4Addr>() {
        return Ok((address.to_bits(), address.to_bits()));
    }
    let prefix: Ipv4Net = entry.trim().parse().map_err(|_| malformed())?;
    Ok((prefix.network().to_bits(), prefix.broadcast().to_bits()))
}

fn is_unicast(address: u32) -> bool {
    let address = Ipv4Addr::from_bits(address);
    !(address.is_multicast()
        || address.is_broadcast()
        || address.is_loopback()
        || address.octets()[0] == 0
        || address.octets()[0] >= 240)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_run_over_gaps() {
        let pool =
            Pool::parse(&["203.0.113.8/31", "198.51.100.7", "192.0.2.250-192.0.2.252"]).unwrap();
        let addresses: Vec<String> = (0..pool.count())
            .map(|n| pool.address(n).unwrap().to_string())
            .collect();
        assert_eq!(
            addresses,
            [
                "192.0.2.250",
                "192.0.2.251",
                "192.0.2.252",
                "198.51.100.7",
                "203.0.113.8",
                "203.0.113.9"
            ]
        );
        for (number, address) in addresses.iter().enumerate() {
            assert_eq!(
                pool.number(address.parse().unwrap()),
                u32::try_from(number).ok()
            );
        }
        assert_eq!(pool.address(pool.count()), None);
        assert_eq!(pool.number("198.51.100.8".parse().unwrap()), None);
    }

    #[test]
    fn what_cannot_be_a_pool_is_refused() {
        let refused = |entries: &[&str]| Pool::parse(entries).unwrap_err();
        assert!(matches!(refused(&[]), PoolError::Empty));
        assert!(matches!(
            refused(&["203.0.113.0/24", "203.0.113.9"]),
            PoolError::Overlap(_)
        ));
        assert!(matches!(
            refused(&["203.0.113.9-203.0.113.1"]),
            PoolError::Malformed(_)
        ));
        assert!(matches!(refused(&["2001:db8::1"]), PoolError::Malformed(_)));
        assert!(matches!(
            refused(&["224.0.0.0/30"]),
            PoolError::NotUnicast(_)
        ));
        assert!(matches!(refused(&["10.0.0.0/8"]), PoolError::TooMany(_)));
    }
}
