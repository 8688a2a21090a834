//! Ports of one address that need not lie side by side.

use crate::{PortParameters, PortRange};

/// Ports of one address in one subscriber's hands, not necessarily side by side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortSet {
    /// Ports side by side.
    Range(PortRange),
    /// The ports of a PSID (RFC 7597 §5.1).
    Psid(PortParameters, u16),
    /// The ports that agree with a value where a mask says so (RFC 6431 §2.1).
    Mask(PortMask),
    /// Ranges that were told one by one, ascending and apart, as of RFC 6431 §2.2's random sets.
    Listed(Vec<PortRange>),
}

/// A Port Range Value and its Port Range Mask (RFC 6431 §2.1): the mask's ones are the bits of a
/// port that must be the value's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortMask {
    value: u16,
    mask: u16,
}

impl PortMask {
    /// The ports that have the bits of `value` where `mask` is one.
    pub const fn new(value: u16, mask: u16) -> Self {
        Self {
            value: value & mask,
            mask,
        }
    }

    /// The Port Range Value: 0 where the mask is.
    pub const fn value(self) -> u16 {
        self.value
    }

    /// The Port Range Mask.
    pub const fn mask(self) -> u16 {
        self.mask
    }

    /// Whether `port` is one of them.
    pub const fn contains(self, port: u16) -> bool {
        port & self.mask == self.value
    }

    /// How many ports: 2 for each bit that is free.
    pub const fn count(self) -> u32 {
        1 << self.mask.count_zeros()
    }

    /// The ranges, ascending and apart.
    pub fn ranges(self) -> impl Iterator<Item = PortRange> + Clone + use<> {
        // The free bits below the lowest of the mask are the ports of a range; those above number
        // the ranges.
        let within = (1_u32 << self.mask.trailing_zeros()) - 1;
        let above = !u32::from(self.mask) & 0xffff & !within;
        let mut next = Some(0_u32);
        std::iter::from_fn(move || {
            let number = next?;
            // The next subset of the bits of `above`, in order.
            next = Some((number.wrapping_sub(above)) & above).filter(|next| *next != 0);
            let first = u32::from(self.value) | number;
            PortRange::new(
                u16::try_from(first).ok()?,
                u16::try_from(first | within).ok()?,
            )
            .ok()
        })
    }
}

impl PortSet {
    /// Ranges that were told one by one, in any order. Those that touch become one.
    pub fn listed(mut ranges: Vec<PortRange>) -> Self {
        ranges.sort_unstable();
        ranges.dedup_by(|later, kept| {
            let touches = u32::from(later.first()) <= u32::from(kept.last()) + 1;
            if touches && let Ok(both) = PortRange::new(kept.first(), kept.last().max(later.last()))
            {
                *kept = both;
            }
            touches
        });
        match ranges.as_slice() {
            [only] => Self::Range(*only),
            _ => Self::Listed(ranges),
        }
    }

    /// Whether `port` is one of them.
    pub fn contains(&self, port: u16) -> bool {
        match self {
            Self::Range(range) => range.contains(port),
            Self::Psid(parameters, psid) => parameters.psid_of(port) == Some(*psid),
            Self::Mask(mask) => mask.contains(port),
            Self::Listed(ranges) => around(ranges, port).is_some(),
        }
    }

    /// The range in which `port` is, where it is one of them.
    pub fn range_around(&self, port: u16) -> Option<PortRange> {
        match self {
            Self::Range(range) => Some(*range).filter(|range| range.contains(port)),
            Self::Psid(parameters, psid) => parameters.range_around(*psid, port),
            Self::Mask(mask) => mask.contains(port).then(|| {
                let within = ((1_u32 << mask.mask.trailing_zeros()) - 1) as u16;
                PortRange::new(port & !within, port | within).ok()
            })?,
            Self::Listed(ranges) => around(ranges, port),
        }
    }

    /// The ranges, ascending and apart.
    pub fn ranges(&self) -> Box<dyn Iterator<Item = PortRange> + '_> {
        match self {
            Self::Range(range) => Box::new(std::iter::once(*range)),
            Self::Psid(parameters, psid) => Box::new(parameters.ranges(*psid)),
            Self::Mask(mask) => Box::new(mask.ranges()),
            Self::Listed(ranges) => Box::new(ranges.iter().copied()),
        }
    }

    /// The first range; `None` where there is no port.
    pub fn first(&self) -> Option<PortRange> {
        self.ranges().next()
    }

    /// How many ports.
    pub fn count(&self) -> u32 {
        match self {
            Self::Range(range) => range.count(),
            Self::Psid(parameters, psid) if parameters.has(*psid) => parameters.ports_each(),
            Self::Psid(..) => 0,
            Self::Mask(mask) => mask.count(),
            Self::Listed(ranges) => ranges.iter().map(|range| range.count()).sum(),
        }
    }
}

fn around(ranges: &[PortRange], port: u16) -> Option<PortRange> {
    let after = ranges.partition_point(|range| range.first() <= port);
    let range = after.checked_sub(1).and_then(|at| ranges.get(at));
    range.copied().filter(|range| range.contains(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(set: &PortSet) -> Vec<String> {
        set.ranges().map(|range| range.to_string()).collect()
    }

    #[test]
    fn a_mask_of_the_highest_bits_is_one_range() {
        let mask = PortMask::new(0x0400, 0xfc00);
        assert_eq!(text(&PortSet::Mask(mask)), ["1024-2047"]);
        assert_eq!(mask.count(), 1_024);
    }

    /// Bits 12 and 10 of the port are 0 and 1: ranges that are not side by side.
    #[test]
    fn a_mask_with_holes_is_many_ranges() {
        let mask = PortMask::new(0b0000_0100_0000_0000, 0b0001_0100_0000_0000);
        let ranges = text(&PortSet::Mask(mask));
        assert_eq!(ranges[..3], ["1024-2047", "3072-4095", "9216-10239"]);
        assert_eq!((ranges.len(), mask.count()), (16, 16_384));
    }

    #[test]
    fn a_mask_of_all_and_of_none() {
        assert_eq!(text(&PortSet::Mask(PortMask::new(7, 0))), ["0-65535"]);
        assert_eq!(text(&PortSet::Mask(PortMask::new(7, 0xffff))), ["7"]);
    }

    /// The ports of a PSID with offset 0 are those of a mask, and the other way around.
    #[test]
    fn a_psid_without_an_offset_is_a_mask() {
        let psid = PortSet::Psid(PortParameters::new(0, 8).unwrap(), 0x34);
        assert_eq!(
            text(&psid),
            text(&PortSet::Mask(PortMask::new(0x3400, 0xff00)))
        );
    }

    #[test]
    fn what_is_listed_is_put_in_order_and_together() {
        let range = |first, last| PortRange::new(first, last).unwrap();
        let set = PortSet::listed(vec![
            range(30, 40),
            range(5, 9),
            range(10, 12),
            range(35, 36),
        ]);
        assert_eq!(text(&set), ["5-12", "30-40"]);
        assert_eq!(
            PortSet::listed(vec![range(6, 9), range(5, 5)]),
            PortSet::Range(range(5, 9))
        );
    }

    fn any_set() -> impl Strategy<Value = PortSet> {
        let range = (any::<u16>(), any::<u16>())
            .prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap());
        let narrow = (any::<u16>(), 0..40_u16)
            .prop_map(|(a, n)| PortRange::new(a, a.saturating_add(n)).unwrap());
        prop_oneof![
            range.prop_map(PortSet::Range),
            (0..16_u8, 0..=16_u8, any::<u16>()).prop_map(|(a, k, psid)| {
                let k = k.min(16 - a);
                let psid = u32::from(psid) % (1 << k);
                PortSet::Psid(PortParameters::new(a, k).unwrap(), psid as u16)
            }),
            (any::<u16>(), any::<u16>())
                .prop_map(|(value, mask)| PortSet::Mask(PortMask::new(value, mask))),
            prop::collection::vec(narrow, 0..20).prop_map(PortSet::listed),
        ]
    }

    proptest! {
        #[test]
        fn what_the_ranges_hold_is_what_the_set_holds(set in any_set(), port: u16) {
            let ranges: Vec<_> = set.ranges().collect();
            prop_assert!(ranges.windows(2).all(|two| two[0].last() < two[1].first()));
            let around: Vec<_> = ranges.iter().copied().filter(|range| range.contains(port)).collect();
            prop_assert_eq!(around.first().copied(), set.range_around(port));
            prop_assert_eq!(!around.is_empty(), set.contains(port));
            prop_assert_eq!(ranges.iter().map(|range| range.count()).sum::<u32>(), set.count());
            prop_assert_eq!(set.first(), ranges.first().copied());
            for range in ranges.iter().take(50) {
                prop_assert!(set.contains(range.first()) && set.contains(range.last()));
            }
        }
    }
}
