//! IPv4 addresses inside IPv6 ones (RFC 6052).

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;
use thiserror::Error;

/// A prefix behind which IPv4 addresses stand in IPv6 ones (RFC 6052 §2.2): of NAT64, and MAP-T's
/// default mapping rule (RFC 7599 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TranslationPrefix(Ipv6Net);

/// A prefix that no IPv4 address can stand behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TranslationPrefixError {
    /// A length that RFC 6052 does not have.
    #[error("{0}: RFC 6052 has prefixes of 32, 40, 48, 56, 64 and 96 bits")]
    Length(Ipv6Net),
    /// Bits 64 to 71.
    #[error("{0}: bits 64 to 71 must be zero (RFC 6052 §2.2)")]
    UBits(Ipv6Net),
}

/// The octet of bits 64 to 71, which is zero and over which an IPv4 address is written.
const U: usize = 8;

impl TranslationPrefix {
    /// A prefix. Bits behind its length do not count.
    ///
    /// # Errors
    /// When the length is none of RFC 6052 §2.2's, or bits 64 to 71 are not zero.
    pub fn new(prefix: Ipv6Net) -> Result<Self, TranslationPrefixError> {
        let prefix = prefix.trunc();
        if !matches!(prefix.prefix_len(), 32 | 40 | 48 | 56 | 64 | 96) {
            Err(TranslationPrefixError::Length(prefix))
        } else if prefix.network().octets()[U] != 0 {
            Err(TranslationPrefixError::UBits(prefix))
        } else {
            Ok(Self(prefix))
        }
    }

    /// The prefix.
    pub const fn prefix(self) -> Ipv6Net {
        self.0
    }

    /// Where the four octets of an IPv4 address stand.
    fn places(self) -> impl Iterator<Item = usize> {
        let first = usize::from(self.0.prefix_len() / 8);
        (first..16).filter(|place| *place != U).take(4)
    }

    /// The IPv6 address in which `address` stands; what is behind it is zero.
    pub fn embed(self, address: Ipv4Addr) -> Ipv6Addr {
        let mut octets = self.0.network().octets();
        for (place, octet) in self.places().zip(address.octets()) {
            if let Some(to) = octets.get_mut(place) {
                *to = octet;
            }
        }
        octets.into()
    }

    /// The IPv4 address that stands in `address`, where it has this prefix. What is behind it does
    /// not count (RFC 6052 §2.2).
    pub fn extract(self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        let octets = address.octets();
        if !self.0.contains(&address) || octets[U] != 0 && self.0.prefix_len() < 96 {
            return None;
        }
        let mut found = [0; 4];
        for (place, to) in self.places().zip(&mut found) {
            *to = *octets.get(place)?;
        }
        Some(found.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(text: &str) -> TranslationPrefix {
        TranslationPrefix::new(text.parse().unwrap()).unwrap()
    }

    /// RFC 6052 §2.4, and the well-known prefix; RFC 7599's default mapping rule of examples 2 and 3.
    #[test]
    fn rfc_6052_and_rfc_7599_examples() {
        for (net, v4, v6) in [
            ("2001:db8::/32", "192.0.2.33", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "192.0.2.33", "2001:db8:1c0:2:21::"),
            (
                "2001:db8:122::/48",
                "192.0.2.33",
                "2001:db8:122:c000:2:2100::",
            ),
            (
                "2001:db8:122:300::/56",
                "192.0.2.33",
                "2001:db8:122:3c0:0:221::",
            ),
            (
                "2001:db8:122:344::/64",
                "192.0.2.33",
                "2001:db8:122:344:c0:2:2100::",
            ),
            (
                "2001:db8:122:344::/96",
                "192.0.2.33",
                "2001:db8:122:344::c000:221",
            ),
            ("64:ff9b::/96", "192.0.2.33", "64:ff9b::c000:221"),
            (
                "2001:db8:ffff::/64",
                "10.2.3.4",
                "2001:db8:ffff:0:a:203:400:0",
            ),
        ] {
            let (v4, v6): (Ipv4Addr, Ipv6Addr) = (v4.parse().unwrap(), v6.parse().unwrap());
            assert_eq!(prefix(net).embed(v4), v6, "{net}");
            assert_eq!(prefix(net).extract(v6), Some(v4), "{net}");
        }
    }

    #[test]
    fn other_prefixes_and_other_addresses_are_refused() {
        for net in [
            "2001:db8::/44",
            "2001:db8::/0",
            "2001:db8::1/128",
            "2001:db8::ff00:0:0:0/96",
        ] {
            assert!(
                TranslationPrefix::new(net.parse().unwrap()).is_err(),
                "{net}"
            );
        }
        let prefix = prefix("2001:db8:122:344::/64");
        assert_eq!(prefix.extract("2001:db8:122:345::".parse().unwrap()), None);
        assert_eq!(
            prefix.extract("2001:db8:122:344:1c0:2:2100::".parse().unwrap()),
            None
        );
    }

    proptest! {
        #[test]
        fn what_is_embedded_comes_out(bits: u128, length in prop::sample::select(vec![32_u8, 40, 48, 56, 64, 96]), v4: u32) {
            let net = Ipv6Net::new(Ipv6Addr::from_bits(bits & !(0xff << 56)), length).unwrap();
            let prefix = TranslationPrefix::new(net).unwrap();
            let v4 = Ipv4Addr::from_bits(v4);
            let v6 = prefix.embed(v4);
            prop_assert!(net.contains(&v6));
            prop_assert_eq!(v6.octets()[U], 0);
            prop_assert_eq!(prefix.extract(v6), Some(v4));
        }
    }
}
