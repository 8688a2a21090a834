//! Ports shared out by port set identifier (RFC 7597 §5.1).
//!
//! ```text
//!  bit 0           a                  a + k             16
//!      ├───────────┼──────────────────┼─────────────────┤
//! port │ A: range  │ PSID: whose it is│ j: in the range │
//!      └───────────┴──────────────────┴─────────────────┘
//!        a bits      k bits             m bits
//! ```
//! The holder of a PSID has one range of 2^m ports for each A. Where a > 0, A = 0 belongs to
//! nobody: with the usual a = 6 these are the ports 0-1023.

use thiserror::Error;

use crate::PortRange;

/// The lengths that say how the 16 bits of a port are read: the offset a and the PSID length k.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortParameters {
    offset: u8,
    psid_length: u8,
}

/// Lengths that do not fit in a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a PSID offset of {offset} bits and a PSID of {psid_length} bits: an offset is 0 to 15 bits, and the two together at most 16"
)]
pub struct PortParametersError {
    /// The offset given.
    pub offset: u8,
    /// The PSID length given.
    pub psid_length: u8,
}

impl PortParameters {
    /// The offset that is taken where none is given (RFC 7597 §5.1): it excludes the ports 0-1023.
    pub const DEFAULT_OFFSET: u8 = 6;

    /// An offset of a bits and a PSID of k bits.
    ///
    /// # Errors
    /// When the offset is more than 15 (RFC 7598 §4.5) or both are more than 16 together.
    pub const fn new(offset: u8, psid_length: u8) -> Result<Self, PortParametersError> {
        if offset <= 15 && psid_length <= 16 - offset {
            Ok(Self {
                offset,
                psid_length,
            })
        } else {
            Err(PortParametersError {
                offset,
                psid_length,
            })
        }
    }

    /// a: how many bits come before the PSID.
    pub const fn offset(self) -> u8 {
        self.offset
    }

    /// k: how many bits the PSID has.
    pub const fn psid_length(self) -> u8 {
        self.psid_length
    }

    /// m: how many bits come after the PSID.
    pub const fn contiguous_bits(self) -> u8 {
        16 - self.offset - self.psid_length
    }

    /// How many share the ports of one address: 2^k.
    pub const fn sharing_ratio(self) -> u32 {
        1 << self.psid_length
    }

    /// Whether this is one of the PSIDs.
    pub const fn has(self, psid: u16) -> bool {
        (psid as u32) < self.sharing_ratio()
    }

    /// How many ranges the holder of a PSID has.
    pub const fn ranges_each(self) -> u32 {
        match self.offset {
            0 => 1,
            a => (1 << a) - 1,
        }
    }

    /// How many ports the holder of a PSID has.
    pub const fn ports_each(self) -> u32 {
        self.ranges_each() << self.contiguous_bits()
    }

    /// The PSID that has `port`; `None` where nobody has it.
    pub const fn psid_of(self, port: u16) -> Option<u16> {
        let port = port as u32;
        if self.offset > 0 && port >> (16 - self.offset) == 0 {
            return None;
        }
        let psid = (port >> self.contiguous_bits()) & (self.sharing_ratio() - 1);
        Some(psid as u16)
    }

    /// The range of `psid` in which `port` is, where it is one of its ports.
    pub fn range_around(self, psid: u16, port: u16) -> Option<PortRange> {
        if self.psid_of(port) != Some(psid) {
            return None;
        }
        let within = ((1_u32 << self.contiguous_bits()) - 1) as u16;
        PortRange::new(port & !within, port | within).ok()
    }

    /// The ranges of `psid`, ascending; none where it is none of the PSIDs.
    pub fn ranges(self, psid: u16) -> impl Iterator<Item = PortRange> + Clone + use<> {
        let m = self.contiguous_bits();
        let first = if self.offset == 0 { 0 } else { 1 };
        let end = if self.has(psid) { 1 << self.offset } else { 0 };
        (first..end).filter_map(move |a: u32| {
            let first = (a << (16 - self.offset)) | (u32::from(psid) << m);
            let last = first + ((1 << m) - 1);
            PortRange::new(u16::try_from(first).ok()?, u16::try_from(last).ok()?).ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameters(offset: u8, psid_length: u8) -> PortParameters {
        PortParameters::new(offset, psid_length).unwrap()
    }

    fn text(offset: u8, psid_length: u8, psid: u16) -> Vec<String> {
        let ranges = parameters(offset, psid_length).ranges(psid);
        ranges.map(|range| range.to_string()).collect()
    }

    /// RFC 7597 Appendix A, example 1: a = 6, k = 8, PSID 0x34.
    #[test]
    fn rfc_7597_example_1() {
        let ranges = text(6, 8, 0x34);
        assert_eq!(ranges.len(), 63);
        assert_eq!(&ranges[..3], ["1232-1235", "2256-2259", "3280-3283"]);
        assert_eq!(&ranges[61..], ["63696-63699", "64720-64723"]);
        let parameters = parameters(6, 8);
        assert_eq!(parameters.ports_each(), 252);
        assert_eq!(parameters.sharing_ratio(), 256);
        assert_eq!(parameters.contiguous_bits(), 2);
    }

    /// RFC 7597 Appendix B.2: both of its examples, PSID 0.
    #[test]
    fn rfc_7597_appendix_b_2() {
        let first = text(6, 8, 0);
        assert_eq!(first.len(), 63);
        assert_eq!(first[..2], ["1024-1027", "2048-2051"]);
        assert_eq!(first[61..], ["63488-63491", "64512-64515"]);
        assert_eq!(text(0, 6, 0), ["0-1023"]);
    }

    /// Layouts that the RFC does not spell out, and those at the edges.
    #[test]
    fn other_layouts() {
        let zero = text(4, 10, 0);
        assert_eq!(zero.len(), 15);
        assert_eq!((&*zero[0], &*zero[14]), ("4096-4099", "61440-61443"));
        assert_eq!(text(4, 10, 1)[..2], ["4100-4103", "8196-8199"]);
        assert_eq!(text(0, 8, 0x34), ["13312-13567"]);
        let eleven = text(5, 4, 0xb);
        assert_eq!(eleven.len(), 31);
        assert_eq!(eleven[..2], ["3456-3583", "5504-5631"]);
        assert_eq!(text(0, 0, 0), ["0-65535"]);
        assert_eq!(text(0, 16, 0xffff), ["65535"]);
        assert_eq!(text(6, 8, 0x100), Vec::<String>::new());
    }

    /// A layout that was seen elsewhere puts the index at the port's end and the PSID at a's place:
    /// it has no port in common with the RFC's.
    #[test]
    fn the_layout_is_not_mirrored() {
        let mirrored = |a: u8, k: u8, psid: u16| {
            let m = 16 - a - k;
            (0..1_u32 << m).flat_map(move |j| {
                (1..1_u32 << a)
                    .map(move |index| ((j << (a + k)) | (u32::from(psid) << a) | index) as u16)
            })
        };
        for k in [6, 8] {
            let parameters = parameters(6, k);
            assert!(mirrored(6, k, 1).all(|port| parameters.psid_of(port) != Some(1)));
        }
    }

    #[test]
    fn the_system_ports_are_nobodys_by_default() {
        let parameters = parameters(PortParameters::DEFAULT_OFFSET, 8);
        assert_eq!(parameters.psid_of(1_023), None);
        assert_eq!(parameters.psid_of(1_024), Some(0));
    }

    #[test]
    fn what_does_not_fit_in_a_port_is_refused() {
        for (offset, psid_length) in [(16, 0), (6, 11), (0, 17), (15, 255)] {
            assert!(PortParameters::new(offset, psid_length).is_err());
        }
        assert!(PortParameters::new(15, 1).is_ok());
    }

    prop_compose! {
        fn any_parameters()(offset in 0..16_u8)(psid_length in 0..=16 - offset, offset in Just(offset)) -> PortParameters {
            parameters(offset, psid_length)
        }
    }

    proptest! {
        /// Each port is in the ranges of one PSID, or of none where its A is 0; and that is what
        /// the way back says.
        #[test]
        fn a_port_has_one_psid(parameters in any_parameters(), port: u16) {
            match parameters.psid_of(port) {
                Some(psid) => {
                    prop_assert!(parameters.has(psid));
                    let around: Vec<_> = parameters.ranges(psid).filter(|range| range.contains(port)).collect();
                    prop_assert_eq!(&around, &[parameters.range_around(psid, port).unwrap()]);
                    // Of the others, those whose bits differ in one place.
                    for bit in 0..parameters.psid_length() {
                        let other = psid ^ (1 << bit);
                        prop_assert!(!parameters.ranges(other).any(|range| range.contains(port)));
                    }
                }
                None => prop_assert!(parameters.offset() > 0 && port < 1 << (16 - parameters.offset())),
            }
        }

        #[test]
        fn ranges_ascend_and_add_up(parameters in any_parameters(), psid: u16) {
            let psid = (u32::from(psid) % parameters.sharing_ratio()) as u16;
            let ranges: Vec<_> = parameters.ranges(psid).collect();
            prop_assert!(ranges.windows(2).all(|two| two[0].last() < two[1].first()));
            prop_assert_eq!(ranges.len() as u32, parameters.ranges_each());
            prop_assert_eq!(ranges.iter().map(|range| range.count()).sum::<u32>(), parameters.ports_each());
            prop_assert!(ranges.iter().all(|range| parameters.psid_of(range.first()) == Some(psid)));
        }
    }
}
