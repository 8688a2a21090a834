//! RFC 6052: IPv4 addresses inside IPv6 addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use portledger_nat::translate::{Prefix, PrefixError};

const EXAMPLE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 33);

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix::new(address.parse().unwrap(), length.parse().unwrap()).unwrap()
}

/// Tables 1 and 2 of the RFC.
const TABLE: [(&str, &str); 7] = [
    ("2001:db8::/32", "2001:db8:c000:221::"),
    ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
    ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
    ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
    ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
    ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
    ("64:ff9b::/96", "64:ff9b::192.0.2.33"),
];

#[test]
pub fn section_2_1_the_well_known_prefix() {
    assert_eq!(prefix("64:ff9b::/96"), Prefix::WELL_KNOWN);
    // Section 2.2: it is used in the last form of the table only.
    let shorter = Prefix::new("64:ff9b::".parse().unwrap(), 64).unwrap();
    assert_ne!(shorter, Prefix::WELL_KNOWN);
}

#[test]
pub fn section_2_2_prefixes_have_one_of_six_lengths() {
    for length in 0..=255 {
        let made = Prefix::new(Ipv6Addr::UNSPECIFIED, length);
        match length {
            32 | 40 | 48 | 56 | 64 | 96 => assert_eq!(made.unwrap().length(), length),
            _ => assert_eq!(made, Err(PrefixError::Length(length))),
        }
    }
    let long = "2001:db8:0:0:1::".parse().unwrap();
    assert_eq!(Prefix::new(long, 64), Err(PrefixError::HostBits(long, 64)));
}

#[test]
pub fn section_2_2_bits_64_to_71_are_zero() {
    for (text, _) in TABLE {
        for bits in [0, 1, 0xCB00_7107, u32::MAX] {
            assert_eq!(prefix(text).embed(bits.into()).octets()[8], 0);
        }
        // An address in which they are not is none of ours.
        let mut octets = prefix(text).embed(EXAMPLE).octets();
        octets[8] = 1;
        assert_eq!(prefix(text).extract(octets.into()), None);
    }
    let wrong = "2001:db8:0:0:100::".parse().unwrap();
    assert_eq!(Prefix::new(wrong, 96), Err(PrefixError::Octet(wrong)));
}

#[test]
pub fn section_2_2_a_suffix_is_zero_and_ignored() {
    for (text, whole) in &TABLE[..5] {
        let whole: Ipv6Addr = whole.parse().unwrap();
        assert_eq!(prefix(text).embed(EXAMPLE), whole);
        let with_suffix = Ipv6Addr::from(whole.to_bits() | 0xFF_FFFF);
        assert_eq!(prefix(text).extract(with_suffix), Some(EXAMPLE));
    }
}

#[test]
pub fn section_2_3_the_tables_of_the_rfc() {
    for (text, whole) in TABLE {
        let whole: Ipv6Addr = whole.parse().unwrap();
        assert_eq!(prefix(text).embed(EXAMPLE), whole, "{text}");
        assert_eq!(prefix(text).extract(whole), Some(EXAMPLE), "{text}");
        let elsewhere = Ipv6Addr::from(whole.to_bits() ^ 1 << 127);
        assert_eq!(prefix(text).extract(elsewhere), None, "{text}");
    }
}

#[test]
pub fn section_3_1_no_private_address_behind_the_well_known_prefix() {
    let global = [
        "8.8.8.8",
        "1.1.1.1",
        "100.63.255.255",
        "172.32.0.1",
        "223.255.255.255",
    ];
    let other = [
        "0.0.0.1",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "169.254.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ];
    let own = prefix("2001:db8::/96");
    for text in global {
        assert!(Prefix::WELL_KNOWN.allows(text.parse().unwrap()), "{text}");
    }
    for text in other {
        assert!(!Prefix::WELL_KNOWN.allows(text.parse().unwrap()), "{text}");
        assert!(own.allows(text.parse().unwrap()), "{text}");
    }
}
