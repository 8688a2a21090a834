//! Port ranges by arithmetic: deterministic NAT (RFC 7422 §2).

use std::{fmt, net::Ipv4Addr};

use ipnet::Ipv4Net;
use thiserror::Error;

use crate::PortRange;

/// External addresses as ranges, ascending and apart; their addresses are numbered from 0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRanges(Vec<(Ipv4Addr, Ipv4Addr)>);

/// RFC 7422 §2: the n-th inside address has the n-th range, C ranges on each outside address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeterministicRule {
    inside: Ipv4Net,
    outside: AddressRanges,
    ports: PortRange,
    compression: u32,
    ports_each: u32,
}

/// Who has which range by a [`DeterministicRule`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeterministicRange {
    /// The subscriber's inside address.
    pub inside: Ipv4Addr,
    /// The outside address.
    pub outside: Ipv4Addr,
    /// Its range there.
    pub ports: PortRange,
}

/// A rule that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeterministicRuleError {
    /// Ranges that end before they begin, touch, or are out of order.
    #[error("outside addresses must be ascending ranges that do not overlap")]
    Outside,
    /// More ports than there are, or none.
    #[error(
        "{compression} subscribers on an address with {ports_each} ports each do not fit in ports {ports}"
    )]
    Ports {
        /// The ports.
        ports: PortRange,
        /// C.
        compression: u32,
        /// Ports for each.
        ports_each: u32,
    },
    /// More subscribers than ranges.
    #[error("{inside} has {subscribers} addresses, the outside addresses have {ranges} ranges")]
    TooMany {
        /// I.
        inside: Ipv4Net,
        /// How many inside addresses.
        subscribers: u64,
        /// How many ranges.
        ranges: u64,
    },
}

impl AddressRanges {
    /// Ranges, first and last address of each, both included.
    ///
    /// # Errors
    /// When there is none, one ends before it begins, or they do not ascend.
    pub fn new(ranges: Vec<(Ipv4Addr, Ipv4Addr)>) -> Result<Self, DeterministicRuleError> {
        let ordered = ranges.iter().all(|(first, last)| first <= last);
        let apart = ranges
            .iter()
            .zip(ranges.iter().skip(1))
            .all(|((_, last), (next, _))| last < next);
        if ordered && apart && !ranges.is_empty() {
            Ok(Self(ranges))
        } else {
            Err(DeterministicRuleError::Outside)
        }
    }

    /// The ranges.
    pub fn ranges(&self) -> &[(Ipv4Addr, Ipv4Addr)] {
        &self.0
    }

    /// How many addresses.
    pub fn count(&self) -> u64 {
        let counts = self.0.iter().map(|range| span(*range));
        counts.sum()
    }

    /// The number of an address.
    pub fn number(&self, address: Ipv4Addr) -> Option<u64> {
        let mut before = 0;
        for range in &self.0 {
            if range.0 <= address && address <= range.1 {
                return Some(before + u64::from(address.to_bits() - range.0.to_bits()));
            }
            before += span(*range);
        }
        None
    }

    /// The address with this number.
    pub fn address(&self, number: u64) -> Option<Ipv4Addr> {
        let mut left = number;
        for range in &self.0 {
            if left < span(*range) {
                let left = u32::try_from(left).ok()?;
                return Some(Ipv4Addr::from_bits(range.0.to_bits() + left));
            }
            left -= span(*range);
        }
        None
    }
}

const fn span((first, last): (Ipv4Addr, Ipv4Addr)) -> u64 {
    last.to_bits() as u64 - first.to_bits() as u64 + 1
}

impl DeterministicRule {
    /// A rule of the inside prefix (I), the outside addresses (O), the ports that are shared out
    /// (without the reserved ones, R), how many subscribers an outside address has (C), and how
    /// many ports each of them.
    ///
    /// # Errors
    /// When the ports or the addresses do not suffice.
    pub fn new(
        inside: Ipv4Net,
        outside: AddressRanges,
        ports: PortRange,
        compression: u32,
        ports_each: u32,
    ) -> Result<Self, DeterministicRuleError> {
        let inside = inside.trunc();
        let needed = u64::from(compression) * u64::from(ports_each);
        if needed == 0 || u64::from(ports.count()) < needed {
            return Err(DeterministicRuleError::Ports {
                ports,
                compression,
                ports_each,
            });
        }
        let subscribers = 1 << (32 - inside.prefix_len());
        let ranges = outside.count() * u64::from(compression);
        if ranges < subscribers {
            return Err(DeterministicRuleError::TooMany {
                inside,
                subscribers,
                ranges,
            });
        }
        Ok(Self {
            inside,
            outside,
            ports,
            compression,
            ports_each,
        })
    }

    /// RFC 7422 §2: ports for each subscriber where C share an address and D shares of one are left
    /// to a dynamic pool.
    pub const fn ports_for(ports: PortRange, compression: u32, dynamic: u32) -> u32 {
        match ports
            .count()
            .checked_div(compression.saturating_add(dynamic))
        {
            Some(each) => each,
            None => 0,
        }
    }

    /// The same ranges of ports that end with the last of them: what the division leaves over is
    /// nobody's.
    #[must_use]
    pub fn without_rest(mut self) -> Self {
        let last = u32::from(self.ports.first()) + self.compression * self.ports_each - 1;
        if let Ok(last) = u16::try_from(last)
            && let Ok(ports) = PortRange::new(self.ports.first(), last)
        {
            self.ports = ports;
        }
        self
    }

    /// I: the inside prefix.
    pub const fn inside(&self) -> Ipv4Net {
        self.inside
    }

    /// O: the outside addresses.
    pub const fn outside(&self) -> &AddressRanges {
        &self.outside
    }

    /// The ports that are shared out.
    pub const fn ports(&self) -> PortRange {
        self.ports
    }

    /// C: how many subscribers an outside address has.
    pub const fn compression(&self) -> u32 {
        self.compression
    }

    /// How many ports each of them has.
    pub const fn ports_each(&self) -> u32 {
        self.ports_each
    }

    /// The ports that are no subscriber's range: what is handed out of them is logged (RFC 7422
    /// §2). Where the division leaves a remainder there are some although D is 0.
    pub fn rest(&self) -> Option<PortRange> {
        let first = u32::from(self.ports.first()) + self.compression * self.ports_each;
        PortRange::new(u16::try_from(first).ok()?, self.ports.last()).ok()
    }

    /// The range of an inside address.
    pub fn of_inside(&self, inside: Ipv4Addr) -> Option<DeterministicRange> {
        if !self.inside.contains(&inside) {
            return None;
        }
        let number = u64::from(inside.to_bits() - self.inside.network().to_bits());
        let (outside, place) = (
            number / u64::from(self.compression),
            number % u64::from(self.compression),
        );
        Some(DeterministicRange {
            inside,
            outside: self.outside.address(outside)?,
            ports: self.range(u32::try_from(place).ok()?)?,
        })
    }

    /// Who has `port` of an outside address.
    pub fn of_port(&self, outside: Ipv4Addr, port: u16) -> Option<DeterministicRange> {
        let above = port.checked_sub(self.ports.first())?;
        self.of_place(outside, u32::from(above) / self.ports_each)
    }

    /// All who have ports of an outside address, by port.
    pub fn all_of(&self, outside: Ipv4Addr) -> impl Iterator<Item = DeterministicRange> + '_ {
        (0..self.compression).map_while(move |place| self.of_place(outside, place))
    }

    fn of_place(&self, outside: Ipv4Addr, place: u32) -> Option<DeterministicRange> {
        if self.compression <= place {
            return None;
        }
        let number = self.outside.number(outside)? * u64::from(self.compression) + u64::from(place);
        let inside = u64::from(self.inside.network().to_bits()) + number;
        let inside = Ipv4Addr::from_bits(u32::try_from(inside).ok()?);
        Some(DeterministicRange {
            inside: Some(inside).filter(|inside| self.inside.contains(inside))?,
            outside,
            ports: self.range(place)?,
        })
    }

    /// The n-th range of an address.
    fn range(&self, place: u32) -> Option<PortRange> {
        let first = u32::from(self.ports.first()) + place * self.ports_each;
        let last = first + self.ports_each - 1;
        PortRange::new(u16::try_from(first).ok()?, u16::try_from(last).ok()?).ok()
    }
}

/// Who it is stays out of logs.
impl fmt::Debug for DeterministicRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeterministicRange")
            .field("outside", &self.outside)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outside(ranges: &[(&str, &str)]) -> AddressRanges {
        let ranges = ranges
            .iter()
            .map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap()));
        AddressRanges::new(ranges.collect()).unwrap()
    }

    fn ports(first: u16, last: u16) -> PortRange {
        PortRange::new(first, last).unwrap()
    }

    fn rule(
        inside: &str,
        ranges: &[(&str, &str)],
        compression: u32,
        dynamic: u32,
    ) -> DeterministicRule {
        let shared = ports(1_024, 65_535);
        let each = DeterministicRule::ports_for(shared, compression, dynamic);
        DeterministicRule::new(
            inside.parse().unwrap(),
            outside(ranges),
            shared,
            compression,
            each,
        )
        .unwrap()
    }

    /// RFC 7422 §2's example: C = 16, D = 2, R = 0-1023.
    #[test]
    fn rfc_7422_example() {
        let rule = rule("198.51.100.0/28", &[("192.0.2.1", "192.0.2.1")], 16, 2);
        for (inside, first, last) in [(0, 1_024, 4_607), (1, 4_608, 8_191), (15, 54_784, 58_367)] {
            let range = DeterministicRange {
                inside: Ipv4Addr::new(198, 51, 100, inside),
                outside: Ipv4Addr::new(192, 0, 2, 1),
                ports: ports(first, last),
            };
            assert_eq!(rule.of_inside(range.inside), Some(range));
            assert_eq!(rule.of_port(range.outside, first), Some(range));
            assert_eq!(rule.of_port(range.outside, last), Some(range));
        }
        assert_eq!(rule.rest(), Some(ports(58_368, 65_535)));
        assert_eq!(rule.of_port(Ipv4Addr::new(192, 0, 2, 1), 58_368), None);
        assert_eq!(rule.of_port(Ipv4Addr::new(192, 0, 2, 1), 1_023), None);
        assert_eq!(rule.all_of(Ipv4Addr::new(192, 0, 2, 1)).count(), 16);
    }

    /// Ports by compression ratio: floor(64512 / C).
    #[test]
    fn ports_by_compression_ratio() {
        for (ratio, each) in [
            (1_024, 63),
            (512, 126),
            (256, 252),
            (128, 504),
            (64, 1_008),
            (32, 2_016),
            (16, 4_032),
        ] {
            assert_eq!(
                DeterministicRule::ports_for(ports(1_024, 65_535), ratio, 0),
                each,
                "{ratio}:1"
            );
        }
        assert_eq!(DeterministicRule::ports_for(ports(1_024, 65_535), 0, 0), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let one = || outside(&[("192.0.2.1", "192.0.2.1")]);
        let made = |inside: &str, compression, each| {
            DeterministicRule::new(
                inside.parse().unwrap(),
                one(),
                ports(1_024, 65_535),
                compression,
                each,
            )
        };
        assert!(matches!(
            made("10.0.0.0/28", 15, 1),
            Err(DeterministicRuleError::TooMany { .. })
        ));
        assert!(matches!(
            made("10.0.0.0/28", 16, 4_033),
            Err(DeterministicRuleError::Ports { .. })
        ));
        assert!(matches!(
            made("10.0.0.0/28", 16, 0),
            Err(DeterministicRuleError::Ports { .. })
        ));
        let ranges = |ranges: &[(u32, u32)]| {
            AddressRanges::new(
                ranges
                    .iter()
                    .map(|(a, b)| (Ipv4Addr::from_bits(*a), Ipv4Addr::from_bits(*b)))
                    .collect(),
            )
        };
        assert!(
            ranges(&[]).is_err()
                && ranges(&[(2, 1)]).is_err()
                && ranges(&[(1, 4), (4, 5)]).is_err()
        );
        assert!(ranges(&[(0, u32::MAX)]).is_ok());
    }

    proptest! {
        #[test]
        fn there_and_back(host: u8, compression in 1..300_u32, dynamic in 0..4_u32, port: u16) {
            let rule = rule("10.0.7.0/24", &[("192.0.2.1", "192.0.2.9"), ("198.51.100.0", "198.51.100.255")], compression, dynamic);
            let range = rule.of_inside(Ipv4Addr::new(10, 0, 7, host)).unwrap();
            prop_assert_eq!(range.ports.count(), rule.ports_each());
            prop_assert_eq!(rule.of_port(range.outside, range.ports.first()), Some(range));
            prop_assert_eq!(rule.of_port(range.outside, range.ports.last()), Some(range));
            prop_assert_eq!(rule.all_of(range.outside).filter(|other| other.ports.overlaps(range.ports)).collect::<Vec<_>>(), [range]);
            if let Some(found) = rule.of_port(range.outside, port) {
                prop_assert!(found.ports.contains(port));
                prop_assert_eq!(rule.of_inside(found.inside), Some(found));
            }
        }
    }
}
