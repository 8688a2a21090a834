//! What a NAT knows a subscriber by, inside a realm.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Serialize, Serializer};
use thiserror::Error;

/// What a NAT knows a subscriber by, inside a realm: personal data. `Debug` does not print it,
/// `Display` does, as the text that files keep and `FromStr` reads.
///
/// An IPv6 address is a prefix of all 128 bits and is written without its length, so that nobody
/// has two names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Internal {
    /// An IPv4 address, of NAT44.
    Address(Ipv4Addr),
    /// An IPv6 prefix or address, of NAT64 (RFC 6146), or of a log that does not say what it is.
    Prefix(Ipv6Prefix),
    /// A softwire by the address of its B4, or the prefix that is the customer's (RFC 7785), of
    /// DS-Lite (RFC 6333) and lightweight 4over6 (RFC 7596). The IPv4 addresses inside are not
    /// told apart: every home may use the same ones, and who holds the softwire holds them all.
    Softwire(Ipv6Prefix),
}

/// A text that names no subscriber. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InternalError {
    /// Neither an address nor a prefix.
    #[error(
        "it is neither an address (100.64.3.9) nor an IPv6 prefix (2001:db8:1:2::/64) nor a softwire (softwire 2001:db8::1)"
    )]
    Malformed,
    /// A prefix that cannot be.
    #[error(transparent)]
    Prefix(Ipv6PrefixError),
}

impl From<Ipv6PrefixError> for InternalError {
    fn from(error: Ipv6PrefixError) -> Self {
        match error {
            Ipv6PrefixError::Malformed => Self::Malformed,
            other => Self::Prefix(other),
        }
    }
}

impl Internal {
    /// What the text of a softwire begins with.
    pub const SOFTWIRE: &'static str = "softwire";
    /// The longest text, in bytes.
    pub const LONGEST: usize = Self::SOFTWIRE.len() + 1 + Ipv6Prefix::LONGEST;

    /// The addresses of `text`, an address or a prefix, as those of a softwire's B4 or a
    /// subscriber's own.
    ///
    /// # Errors
    /// When it is neither, and when bits are set behind the prefix's length.
    pub fn parse(text: &str, is_softwire: bool) -> Result<Self, InternalError> {
        if let (false, Ok(address)) = (is_softwire, text.parse()) {
            return Ok(Self::Address(address));
        }
        let prefix = text.parse()?;
        Ok(if is_softwire {
            Self::Softwire(prefix)
        } else {
            Self::Prefix(prefix)
        })
    }

    /// The IPv6 prefix; `None` of an IPv4 address.
    pub const fn prefix(self) -> Option<Ipv6Prefix> {
        match self {
            Self::Address(_) => None,
            Self::Prefix(prefix) | Self::Softwire(prefix) => Some(prefix),
        }
    }

    /// Whether it is a softwire.
    pub const fn is_softwire(self) -> bool {
        matches!(self, Self::Softwire(_))
    }

    /// Its first address, which is its only one where [`Internal::length`] is the address's.
    pub const fn network(self) -> IpAddr {
        match self {
            Self::Address(address) => IpAddr::V4(address),
            Self::Prefix(prefix) | Self::Softwire(prefix) => IpAddr::V6(prefix.network()),
        }
    }

    /// How many bits all its addresses share: 32 of an IPv4 address.
    pub const fn length(self) -> u8 {
        match self {
            Self::Address(_) => 32,
            Self::Prefix(prefix) | Self::Softwire(prefix) => prefix.length(),
        }
    }

    /// Whether the two have an address in common: what is asked for by an address or a prefix is
    /// found by whatever holds it or lies in it. A softwire is asked for by its B4's address.
    pub const fn meets(self, asked: Self) -> bool {
        match (self, asked) {
            (Self::Address(one), Self::Address(other)) => one.to_bits() == other.to_bits(),
            (Self::Prefix(one), Self::Prefix(other))
            | (Self::Softwire(one), Self::Prefix(other) | Self::Softwire(other)) => {
                one.overlaps(other)
            }
            _ => false,
        }
    }
}

impl From<IpAddr> for Internal {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Address(address),
            IpAddr::V6(address) => Self::Prefix(address.into()),
        }
    }
}

impl FromStr for Internal {
    type Err = InternalError;

    fn from_str(text: &str) -> Result<Self, InternalError> {
        let softwire = text.strip_prefix(Self::SOFTWIRE);
        match softwire.and_then(|rest| rest.strip_prefix(' ')) {
            Some(prefix) => Self::parse(prefix, true),
            None => Self::parse(text, false),
        }
    }
}

impl fmt::Display for Internal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Softwire(prefix) => write!(f, "{} {prefix}", Self::SOFTWIRE),
        }
    }
}

impl fmt::Debug for Internal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address(_) => "Address(redacted)",
            Self::Prefix(_) => "Prefix(redacted)",
            Self::Softwire(_) => "Softwire(redacted)",
        })
    }
}

/// The IPv6 addresses that share their first bits. No bit is set behind these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ipv6Prefix {
    network: Ipv6Addr,
    length: u8,
}

/// What is no [`Ipv6Prefix`]. It does not repeat the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Ipv6PrefixError {
    /// Not an address, or not one with a length.
    #[error("it is not an IPv6 prefix (2001:db8:1:2::/64)")]
    Malformed,
    /// An IPv6 address has fewer bits.
    #[error("an IPv6 prefix has 0 to 128 bits, not {0}")]
    Length(u8),
    /// Bits are set behind the length: the length or the address is a slip of the hand.
    #[error("its address has bits set behind the prefix length {0}; give the prefix's own address")]
    HostBits(u8),
}

impl Ipv6Prefix {
    /// The longest text, in bytes: eight groups of four digits, and a length. (An address that is
    /// written with an IPv4 address at its end is shorter.)
    pub const LONGEST: usize = "1111:2222:3333:4444:5555:6666:7777:8888/127".len();

    /// The prefix that begins with `network`.
    ///
    /// # Errors
    /// When `length` is more than 128, and when a bit behind it is set in `network`: which of the
    /// two was meant is not for us to guess.
    pub const fn new(network: Ipv6Addr, length: u8) -> Result<Self, Ipv6PrefixError> {
        match Self::around(network, length) {
            Ok(prefix) if prefix.network.to_bits() == network.to_bits() => Ok(prefix),
            Ok(_) => Err(Ipv6PrefixError::HostBits(length)),
            Err(error) => Err(error),
        }
    }

    /// The prefix of that length that holds `address`.
    ///
    /// # Errors
    /// When `length` is more than 128.
    pub const fn around(address: Ipv6Addr, length: u8) -> Result<Self, Ipv6PrefixError> {
        if length > 128 {
            return Err(Ipv6PrefixError::Length(length));
        }
        Ok(Self {
            network: Ipv6Addr::from_bits(address.to_bits() & mask(length)),
            length,
        })
    }

    /// Its first address.
    pub const fn network(self) -> Ipv6Addr {
        self.network
    }

    /// How many bits all its addresses share: 0 to 128.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// Whether it is one address.
    pub const fn is_address(self) -> bool {
        self.length == 128
    }

    /// Whether the address is inside.
    pub const fn contains(self, address: Ipv6Addr) -> bool {
        address.to_bits() & mask(self.length) == self.network.to_bits()
    }

    /// Whether some address is in both: one is inside the other then.
    pub const fn overlaps(self, other: Self) -> bool {
        self.contains(other.network) || other.contains(self.network)
    }
}

/// The first `length` bits, of 128 at most.
const fn mask(length: u8) -> u128 {
    match u128::MAX.checked_shl(128 - length as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

/// An address is the prefix of all its bits.
impl From<Ipv6Addr> for Ipv6Prefix {
    fn from(network: Ipv6Addr) -> Self {
        let length = 128;
        Self { network, length }
    }
}

impl FromStr for Ipv6Prefix {
    type Err = Ipv6PrefixError;

    fn from_str(text: &str) -> Result<Self, Ipv6PrefixError> {
        let (network, length) = match text.split_once('/') {
            // `u8::from_str` would take a sign, and zeros before.
            Some((network, length)) => match (length.as_bytes(), length.parse()) {
                ([b'0'], _) => (network, 0),
                ([b'1'..=b'9', ..], Ok(length)) => (network, length),
                _ => return Err(Ipv6PrefixError::Malformed),
            },
            None => (text, 128),
        };
        let network = network.parse().map_err(|_| Ipv6PrefixError::Malformed)?;
        Self::new(network, length)
    }
}

/// The length of a single address is not written.
impl fmt::Display for Ipv6Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.network)?;
        match self.length {
            128 => Ok(()),
            length => write!(f, "/{length}"),
        }
    }
}

impl Serialize for Ipv6Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for Ipv6Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ipv6Prefix(redacted/{})", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_prefix() -> impl Strategy<Value = Ipv6Prefix> {
        (any::<Ipv6Addr>(), 0..=128_u8)
            .prop_map(|(address, length)| Ipv6Prefix::around(address, length).unwrap())
    }

    fn any_internal() -> impl Strategy<Value = Internal> {
        prop_oneof![
            any::<Ipv4Addr>().prop_map(Internal::Address),
            any_prefix().prop_map(Internal::Prefix),
            any_prefix().prop_map(Internal::Softwire),
        ]
    }

    proptest! {
        #[test]
        fn a_text_reads_back_and_is_not_too_long(internal in any_internal()) {
            let text = internal.to_string();
            prop_assert!(text.len() <= Internal::LONGEST);
            prop_assert_eq!(text.parse(), Ok(internal));
        }

        #[test]
        fn a_prefix_holds_what_shares_its_bits(prefix in any_prefix(), flip in 0..128_u8) {
            let flipped = prefix.network().to_bits() ^ (1 << (127 - flip));
            let inside = prefix.contains(Ipv6Addr::from_bits(flipped));
            prop_assert_eq!(inside, flip >= prefix.length());
            let host_bits = Ipv6Prefix::new(Ipv6Addr::from_bits(flipped), prefix.length());
            prop_assert_eq!(host_bits.is_ok(), !inside);
        }
    }

    fn internal(text: &str) -> Internal {
        text.parse().unwrap()
    }

    #[test]
    fn texts_say_what_they_name() {
        for text in [
            "100.64.3.9",
            "2001:db8::9",
            "2001:db8:1:2::/64",
            "::/0",
            "softwire 2001:db8::9",
            "softwire 2001:db8:0:100::/56",
        ] {
            assert_eq!(internal(text).to_string(), text);
        }
        assert_eq!(internal("2001:db8::9/128"), internal("2001:db8::9"));
        assert_ne!(internal("softwire 2001:db8::9"), internal("2001:db8::9"));
    }

    #[test]
    fn host_bits_and_rubbish_are_refused_and_not_repeated() {
        let error = |text: &str| text.parse::<Internal>().unwrap_err();
        assert_eq!(
            error("2001:db8::1/64"),
            InternalError::Prefix(Ipv6PrefixError::HostBits(64))
        );
        assert_eq!(
            error("2001:db8::/129"),
            InternalError::Prefix(Ipv6PrefixError::Length(129))
        );
        for text in [
            "",
            "100.64.3.9/32",
            "softwire",
            "softwire 100.64.3.9",
            "softwire  2001:db8::9",
            "2001:db8::/+64",
            "2001:db8::/064",
            "2001:db8::/",
            "2001:db8::/300",
            "2001:db8::/64/64",
        ] {
            assert_eq!(error(text), InternalError::Malformed, "{text}");
        }
    }

    #[test]
    fn who_is_asked_for_by_an_address_is_found_by_the_prefix_that_holds_it() {
        for (held, asked, meets) in [
            ("2001:db8:1:2::/64", "2001:db8:1:2::77", true),
            ("2001:db8:1:2::/64", "2001:db8:1:3::77", false),
            ("2001:db8:1:2::/64", "2001:db8:1::/48", true),
            ("softwire 2001:db8::9", "2001:db8::9", true),
            ("softwire 2001:db8::9", "softwire 2001:db8::/64", true),
            // Whoever asks for a softwire does not mean a subscriber of NAT64.
            ("2001:db8::9", "softwire 2001:db8::9", false),
            ("100.64.3.9", "100.64.3.9", true),
            ("100.64.3.9", "100.64.3.8", false),
            ("::ffff:100.64.3.9", "100.64.3.9", false),
        ] {
            assert_eq!(
                internal(held).meets(internal(asked)),
                meets,
                "{held} {asked}"
            );
        }
    }

    #[test]
    fn debug_shows_no_address() {
        let shown = format!("{:?}", internal("softwire 2001:db8::9"));
        assert_eq!(shown, "Softwire(redacted)");
        let prefix: Ipv6Prefix = "2001:db8:1::/48".parse().unwrap();
        assert_eq!(format!("{prefix:?}"), "Ipv6Prefix(redacted/48)");
    }
}
