//! Addresses and endpoints as logs write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What stands where an address should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// An address.
    Ip(IpAddr),
    /// Nothing, or the dash that stands for it.
    Nothing,
    /// A UNIX domain socket: the client is on the server itself.
    Unix,
    /// Something else: a host name, most likely.
    Other,
}

impl Written {
    pub(crate) fn read(text: &[u8]) -> Self {
        match text {
            b"" | b"-" => Self::Nothing,
            _ if text.starts_with(b"unix:") => Self::Unix,
            _ => parse(text).map_or(Self::Other, Self::Ip),
        }
    }
}

/// An address with or without brackets and scope; an IPv4-mapped one becomes IPv4, since that is
/// what was on the wire.
pub(crate) fn parse(text: &[u8]) -> Option<IpAddr> {
    let text = match text {
        [b'[', inner @ .., b']'] => inner,
        _ => text,
    };
    if let Some(address) = ipv4(text) {
        return Some(IpAddr::V4(address));
    }
    let text = text.split(|&byte| byte == b'%').next().unwrap_or(text);
    let address: Ipv6Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(match address.to_ipv4_mapped() {
        Some(mapped) => IpAddr::V4(mapped),
        None => IpAddr::V6(address),
    })
}

/// `192.0.2.1:4242`, `[2001:db8::1]:4242` and `2001:db8::1:4242`, where the last colon separates.
pub(crate) fn endpoint(text: &[u8]) -> Option<(IpAddr, u16)> {
    let colon = memchr::memrchr(b':', text)?;
    Some((parse(text.get(..colon)?)?, port(text.get(colon + 1..)?)?))
}

/// One to five digits that make a port.
pub(crate) fn port(text: &[u8]) -> Option<u16> {
    if !(1..=5).contains(&text.len()) {
        return None;
    }
    let mut value = 0_u32;
    for &byte in text {
        value = value * 10 + digit(byte)?;
    }
    u16::try_from(value).ok()
}

/// Bytes that occur in an address without brackets.
pub(crate) const fn is_address_byte(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte == b':' || byte == b'.'
}

fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = 0;
    let mut value = None::<u32>;
    for &byte in text.iter().chain(b".") {
        if byte == b'.' {
            *octets.get_mut(parts)? = u8::try_from(value.take()?).ok()?;
            parts += 1;
        } else {
            // An octet with a leading zero may be octal: nobody writes one, so it is no address.
            if value == Some(0) {
                return None;
            }
            value = Some(
                value
                    .unwrap_or(0)
                    .checked_mul(10)?
                    .checked_add(digit(byte)?)?,
            );
        }
    }
    (parts == 4).then_some(Ipv4Addr::from(octets))
}

fn digit(byte: u8) -> Option<u32> {
    byte.is_ascii_digit().then(|| u32::from(byte - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_as_logs_write_them() {
        for (text, expected) in [
            ("203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[203.0.113.7]", "203.0.113.7"),
            ("2001:db8:0:0:0:0:0:1", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
        ] {
            assert_eq!(parse(text.as_bytes()), expected.parse().ok(), "{text}");
        }
        for text in [
            "",
            "-",
            "unix:",
            "example.org",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1.2.3.256",
            "4294967296.1.1.1",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_last_colon_separates_the_port() {
        for text in ["[2001:db8::1]:4242", "2001:db8::1:4242"] {
            assert_eq!(
                endpoint(text.as_bytes()),
                Some(("2001:db8::1".parse().unwrap(), 4242)),
                "{text}"
            );
        }
        assert_eq!(endpoint(b"192.0.2.1:65536"), None);
    }

    proptest! {
        #[test]
        fn every_address_reads_back(v4: u32, v6: u128) {
            let (v4, v6) = (Ipv4Addr::from(v4), Ipv6Addr::from(v6));
            prop_assert_eq!(parse(v4.to_string().as_bytes()), Some(IpAddr::V4(v4)));
            prop_assert_eq!(parse(v4.to_ipv6_mapped().to_string().as_bytes()), Some(IpAddr::V4(v4)));
            if v6.to_ipv4_mapped().is_none() {
                prop_assert_eq!(parse(v6.to_string().as_bytes()), Some(IpAddr::V6(v6)));
            }
        }

        #[test]
        fn nothing_panics(text: Vec<u8>) {
            let _ = (Written::read(&text), endpoint(&text));
        }
    }
}
