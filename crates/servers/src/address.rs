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
    let text = match memchr::memchr(b'%', text) {
        Some(scope) => text.get(..scope)?,
        None => text,
    };
    let address = match plain_ipv6(text) {
        Some(address) => address,
        None => std::str::from_utf8(text).ok()?.parse().ok()?,
    };
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
    let (address, length) = leading_ipv4(text)?;
    (length == text.len()).then_some(address)
}

/// The dotted quad that `text` begins with, and its length.
pub(crate) fn leading_ipv4(text: &[u8]) -> Option<(Ipv4Addr, usize)> {
    let mut octets = [0_u8; 4];
    let mut at = 0;
    for (place, octet) in octets.iter_mut().enumerate() {
        if place > 0 {
            (*text.get(at)? == b'.').then_some(())?;
            at += 1;
        }
        let mut value = digit(*text.get(at)?)?;
        at += 1;
        // An octet with a leading zero may be octal: nobody writes one, so it is no address.
        if value > 0 {
            while let Some(next) = text.get(at).copied().and_then(digit) {
                value = value * 10 + next;
                at += 1;
                if value > 255 {
                    return None;
                }
            }
        }
        *octet = u8::try_from(value).ok()?;
    }
    Some((Ipv4Addr::from(octets), at))
}

/// An address of hexadecimal groups with at most one `::`, as nearly all are written: three times
/// as fast as what reads all forms, and nothing where that has to decide.
fn plain_ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    let mut groups = [0_u16; 8];
    let (mut count, mut gap) = (0, None);
    let mut at = 0;
    if text.starts_with(b"::") {
        gap = Some(0);
        at = 2;
    }
    while at < text.len() {
        let start = at;
        let mut value = 0_u16;
        while let Some(digit) = text.get(at).and_then(|byte| char::from(*byte).to_digit(16)) {
            if at - start == 4 {
                return None;
            }
            value = value << 4 | u16::try_from(digit).ok()?;
            at += 1;
        }
        *groups.get_mut(count)? = value;
        count += 1;
        if at == start {
            return None;
        }
        match text.get(at..)? {
            [] => break,
            [b':', b':', ..] if gap.is_none() => {
                gap = Some(count);
                at += 2;
            }
            [b':', _, ..] => at += 1,
            _ => return None,
        }
    }
    match gap {
        None => (count == 8).then(|| Ipv6Addr::from(groups)),
        Some(gap) if count < 8 => {
            let mut spread = [0_u16; 8];
            let (head, tail) = groups.get(..count)?.split_at_checked(gap)?;
            spread.get_mut(..gap)?.copy_from_slice(head);
            spread.get_mut(8 - tail.len()..)?.copy_from_slice(tail);
            Some(Ipv6Addr::from(spread))
        }
        Some(_) => None,
    }
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

        /// The standard library reads every form.
        #[test]
        fn what_is_read_quickly_is_read_as_others_read_it(
            text in "(::)?([0-9a-fA-F]{0,5}:{1,2}){0,8}[0-9a-f]{0,5}|[0-9.]{0,16}|[:0-9a-f.]{0,20}",
        ) {
            if let Some(address) = plain_ipv6(text.as_bytes()) {
                prop_assert_eq!(Ok(address), text.parse());
            }
            let expected = text.parse().ok();
            prop_assert_eq!(ipv4(text.as_bytes()), expected, "{}", text);
        }

        #[test]
        fn nothing_panics(text: Vec<u8>) {
            let _ = (Written::read(&text), endpoint(&text));
        }
    }
}
