//! The addresses of one customer.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use portledger_model::Internal;
use thiserror::Error;

/// An internal address or prefix: an IPv4 address, or what an IPv6 customer was delegated.
/// Personal data: `Debug` does not print it and there is no `Display`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix(IpNet);

/// Why a text is no [`Prefix`]. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PrefixError {
    /// Neither an address nor a prefix.
    #[error("it is neither an address (100.64.3.9) nor a prefix (2001:db8:0:100::/56)")]
    Malformed,
    /// Bits are set behind the prefix's length: the length or the address is a slip of the hand.
    #[error("its address has bits set behind the prefix length {0}; give the prefix's own address")]
    HostBits(u8),
}

impl Prefix {
    /// An address, or a prefix with its length.
    ///
    /// # Errors
    /// When it is neither, and when bits behind the length are set: which of the two was meant is
    /// not for us to guess.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.into()));
        }
        let net: IpNet = text.parse().map_err(|_| PrefixError::Malformed)?;
        Self::of(net).ok_or(PrefixError::HostBits(net.prefix_len()))
    }

    /// The prefix of that length that holds the address; `None` where there is no such length.
    pub fn around(address: IpAddr, length: u8) -> Option<Self> {
        IpNet::new(address, length)
            .ok()
            .map(|net| Self(net.trunc()))
    }

    /// Whether some address is in both: one is inside the other then.
    pub fn overlaps(&self, other: Self) -> bool {
        self.contains(other.address()) || other.contains(self.address())
    }

    /// Its first address: personal data.
    pub fn address(&self) -> IpAddr {
        self.0.network()
    }

    /// How many bits all its addresses share: 0 to 32 or 0 to 128.
    pub fn length(&self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether the address is inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// 4 or 6, the address's bytes, the length: in this order, so that they sort.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self.0 {
            IpNet::V4(net) => {
                out.push(4);
                out.extend_from_slice(&net.addr().octets());
            }
            IpNet::V6(net) => {
                out.push(6);
                out.extend_from_slice(&net.addr().octets());
            }
        }
        out.push(self.length());
    }

    /// The prefix that the bytes begin with, and the rest.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (family, rest) = bytes.split_first()?;
        let (address, rest): (IpAddr, &[u8]) = match family {
            4 => {
                let (octets, rest) = rest.split_first_chunk::<4>()?;
                (Ipv4Addr::from_octets(*octets).into(), rest)
            }
            6 => {
                let (octets, rest) = rest.split_first_chunk::<16>()?;
                (Ipv6Addr::from_octets(*octets).into(), rest)
            }
            _ => return None,
        };
        let (length, rest) = rest.split_first()?;
        let prefix = Self::of(IpNet::new(address, *length).ok()?)?;
        Some((prefix, rest))
    }

    fn of(net: IpNet) -> Option<Self> {
        (net.trunc() == net).then_some(Self(net))
    }
}

/// The addresses that a subscriber is known by.
impl From<Internal> for Prefix {
    fn from(internal: Internal) -> Self {
        let address = internal.network();
        // A subscriber's length is one that its address can have.
        Self::around(address, internal.length()).unwrap_or_else(|| Self(address.into()))
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefix(redacted/{})", self.length())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_prefix_of_full_length() {
        assert_eq!(Prefix::parse("100.64.3.9").unwrap().length(), 32);
        assert_eq!(Prefix::parse("2001:db8::1").unwrap().length(), 128);
        let prefix = Prefix::parse("2001:db8:0:100::/56").unwrap();
        assert!(prefix.contains("2001:db8:0:1ff::1".parse().unwrap()));
        assert!(!prefix.contains("2001:db8:0:200::1".parse().unwrap()));
    }

    #[test]
    fn host_bits_and_rubbish_are_refused_and_not_repeated() {
        assert_eq!(
            Prefix::parse("2001:db8::1/56"),
            Err(PrefixError::HostBits(56))
        );
        for text in [
            "",
            "Example Person",
            "100.64.7",
            "100.64.7.9/33",
            "100.64.7.0-9",
        ] {
            let error = Prefix::parse(text).unwrap_err();
            assert_eq!(error, PrefixError::Malformed);
            assert!(text.is_empty() || !error.to_string().contains(text));
        }
    }

    #[test]
    fn debug_shows_no_address() {
        let prefix = Prefix::parse("100.64.3.9").unwrap();
        assert_eq!(format!("{prefix:?}"), "Prefix(redacted/32)");
    }
}
