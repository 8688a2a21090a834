//! IPv4 addresses inside IPv6 addresses (RFC 6052).

use std::net::{Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// A prefix behind which IPv6 addresses hold IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    bits: u128,
    length: u8,
}

/// A prefix that holds no IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PrefixError {
    /// RFC 6052 §2.2.
    #[error("/{0}: a translation prefix is 32, 40, 48, 56, 64 or 96 bits long (RFC 6052 §2.2)")]
    Length(u8),
    /// Bits that belong to no prefix of that length.
    #[error("{0} has bits set after its first {1}; set them to zero")]
    HostBits(Ipv6Addr, u8),
    /// RFC 6052 §2.2.
    #[error("{0}: bits 64 to 71 must be zero (RFC 6052 §2.2)")]
    Octet(Ipv6Addr),
}

/// Where the octet "u" lies, which is zero: bits 64 to 71 (RFC 6052 §2.2).
const OCTET: u128 = 0xFF << 56;
/// The bits behind it.
const BEHIND_OCTET: u128 = OCTET.wrapping_sub(1) & !OCTET;

impl Prefix {
    /// `64:ff9b::/96` (RFC 6052 §2.1).
    pub const WELL_KNOWN: Self = Self {
        bits: 0x0064_FF9B << 96,
        length: 96,
    };

    /// The prefix of the first `length` bits of `address`.
    ///
    /// # Errors
    /// When it is not one of RFC 6052's.
    pub const fn new(address: Ipv6Addr, length: u8) -> Result<Self, PrefixError> {
        let bits = address.to_bits();
        if !matches!(length, 32 | 40 | 48 | 56 | 64 | 96) {
            return Err(PrefixError::Length(length));
        }
        if bits & (u128::MAX >> length) != 0 {
            return Err(PrefixError::HostBits(address, length));
        }
        if bits & OCTET != 0 {
            return Err(PrefixError::Octet(address));
        }
        Ok(Self { bits, length })
    }

    /// Its length in bits.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// Whether `address` begins with it.
    #[inline]
    pub const fn contains(self, address: Ipv6Addr) -> bool {
        address.to_bits() & !(u128::MAX >> self.length) == self.bits
    }

    /// The IPv6 address that holds `address` (RFC 6052 §2.3).
    #[inline]
    pub const fn embed(self, address: Ipv4Addr) -> Ipv6Addr {
        let address = address.to_bits() as u128;
        if self.length == 96 {
            return Ipv6Addr::from_bits(self.bits | address);
        }
        let placed = address << (96 - self.length);
        // What lies behind bit 63 makes room for the octet.
        let placed = (placed & !(OCTET | BEHIND_OCTET)) | ((placed & (OCTET | BEHIND_OCTET)) >> 8);
        Ipv6Addr::from_bits(self.bits | placed)
    }

    /// The IPv4 address that `address` holds; `None` where it has another prefix, or its octet is
    /// not zero. The suffix is ignored, as RFC 6052 §2.2 asks.
    #[inline]
    pub const fn extract(self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        let bits = address.to_bits();
        if self.length == 96 {
            // The octet is the prefix's own.
            let address = Ipv4Addr::from_bits(bits as u32);
            return if bits >> 32 == self.bits >> 32 {
                Some(address)
            } else {
                None
            };
        }
        if !self.contains(address) || bits & OCTET != 0 {
            return None;
        }
        let joined = (bits & !(OCTET | BEHIND_OCTET)) | ((bits & BEHIND_OCTET) << 8);
        Some(Ipv4Addr::from_bits((joined >> (96 - self.length)) as u32))
    }

    /// Whether an address made of this prefix and `address` may be in a packet: RFC 6052 §3.1
    /// allows no non-global IPv4 address behind the well-known prefix.
    #[inline]
    pub const fn allows(self, address: Ipv4Addr) -> bool {
        self.bits != Self::WELL_KNOWN.bits || is_global(address)
    }
}

/// Whether an IPv4 address is global: none of RFC 1918's and none of those that the registry of
/// special-purpose addresses (RFC 6890) calls not global.
pub(super) const fn is_global(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    let [a, b, c, _] = address.octets();
    let special = match a {
        // "This network", RFC 1918, loopback.
        0 | 10 | 127 => true,
        // Shared between a provider and its customers (RFC 6598).
        100 => b & 0xC0 == 64,
        169 => b == 254,
        172 => b & 0xF0 == 16,
        // RFC 1918; RFC 6890's block of protocols; documentation (RFC 5737). RFC 6890 has 6to4's
        // and AS112's as global.
        192 => b == 168 || (b == 0 && matches!(c, 0 | 2)),
        // Benchmarks (RFC 2544), documentation.
        198 => b & 0xFE == 18 || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        // Multicast, reserved, broadcast.
        _ => bits >= 0xE000_0000,
    };
    !special
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_lengths_of_the_rfc_are_prefixes() {
        for length in 0..=128 {
            let is_one = [32, 40, 48, 56, 64, 96].contains(&length);
            assert_eq!(Prefix::new(Ipv6Addr::UNSPECIFIED, length).is_ok(), is_one);
        }
    }

    /// The same octet by octet, as the RFC draws it.
    fn drawn(prefix: u128, length: u8, address: Ipv4Addr) -> Ipv6Addr {
        let mut octets = prefix.to_be_bytes();
        let places = (usize::from(length) / 8..16).filter(|&place| place != 8);
        for (place, octet) in places.zip(address.octets()) {
            octets[place] = octet;
        }
        octets.into()
    }

    proptest! {
        #[test]
        fn what_was_embedded_comes_out(bits in any::<u128>(), which in 0_usize..6, address in any::<u32>(), suffix in any::<u128>()) {
            let length = [32, 40, 48, 56, 64, 96][which];
            let bits = bits & !(u128::MAX >> length) & !OCTET;
            let prefix = Prefix::new(bits.into(), length).unwrap();
            let address = Ipv4Addr::from(address);
            let embedded = prefix.embed(address);
            prop_assert_eq!(drawn(bits, length, address), embedded);
            prop_assert_eq!(embedded.octets()[8], 0);
            prop_assert!(prefix.contains(embedded));
            prop_assert_eq!(prefix.extract(embedded), Some(address));
            // RFC 6052 §2.2: a suffix that is not zero is ignored.
            let end = if length == 96 { 128 } else { u32::from(length) + 40 };
            let suffix = suffix.checked_shr(end).unwrap_or(0);
            let with_suffix = Ipv6Addr::from(embedded.to_bits() | suffix);
            prop_assert_eq!(prefix.extract(with_suffix), Some(address));
        }
    }
}
