//! IPv4 packets of the tests in the form they have on the inside of a NAT64, and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portledger_nat::{
    Config, HEADROOM, Nat64Config, Packet, RealmIndex, Slot,
    translate::{Done, Mapped, Pair, Prefix, Translator, read_v4, read_v6},
};
use portledger_ports::SubscriberKind;

use super::{
    engine::{b4, outer},
    packet::{renew_header_checksum, renew_icmp_checksum},
    reference::{
        header_length, is_fragment, is_icmp_error, set_word, transport_checksum_is_right, word,
    },
};

/// Behind which the inside of the tests sees the IPv4 Internet.
pub fn prefix() -> Prefix {
    Prefix::new("2001:db8:64::".parse().unwrap(), 96).unwrap()
}

/// The NAT64's own address.
pub const OWN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x64);

/// The defaults of a NAT64 for the hosts of [`b4`].
pub fn nat64_config(nat: Config) -> Nat64Config {
    let mut config = Nat64Config::new(nat.ports.clone(), prefix(), &[], OWN);
    for number in 0..u16::try_from(nat.ports.realms.len()).unwrap() {
        let net = ipnet::Ipv6Net::new(b4(RealmIndex(number), Ipv4Addr::UNSPECIFIED), 48);
        config.inside.push((RealmIndex(number), net.unwrap()));
    }
    config.translation.ipv6_mtu = nat.mtu.inside.max(1_500);
    config.nat = nat;
    config.nat.inside.clear();
    config.nat.ports.subscribers = SubscriberKind::Prefix(128);
    for mapping in &mut config.nat.ports.static_mappings {
        if let IpAddr::V4(host) = mapping.internal {
            mapping.internal = b4(mapping.realm, host).into();
        }
    }
    config
}

/// A packet of the inside as IPv6.
pub fn to_six(packet: &Packet<'_>) -> Vec<u8> {
    let mut buffer = [&[0; HEADROOM], &*packet.data].concat();
    let range = HEADROOM..buffer.len();
    let mut slot = Slot::new(&mut buffer, range);
    slot.offload = packet.offload;
    let Ok(incoming) = read_v4(slot.bytes()) else {
        return whatever(packet);
    };
    let realm = packet.realm;
    let mapped = Mapped {
        outer: Pair {
            source: b4(realm, incoming.outer.source),
            destination: prefix().embed(incoming.outer.destination),
        },
        quoted: incoming.quoted.map(|quoted| Pair {
            source: prefix().embed(quoted.source),
            destination: b4(realm, quoted.destination),
        }),
    };
    match Translator::default().to_v6(&mut slot, &incoming, &mapped) {
        Ok(Done::InPlace) => slot.bytes().to_vec(),
        // The sender would have cut it.
        Ok(Done::Instead(pieces)) => pieces[0].clone(),
        Err(_) => whatever(packet),
    }
}

/// What IPv6 has no form for: the bytes, behind an IPv6 header.
fn whatever(packet: &Packet<'_>) -> Vec<u8> {
    let data = &packet.data;
    let source = b4(packet.realm, Ipv4Addr::new(100, 64, 0, 1));
    let mut header = outer(source, prefix().embed([198, 51, 100, 1].into()), data);
    header[6] = match data.get(9) {
        Some(1) => 58,
        Some(&other) => other,
        None => 59,
    };
    let payload = if data.len() >= 20 {
        data.get(header_length(data)..).unwrap_or_default()
    } else {
        data
    };
    set_word(&mut header, 4, u16::try_from(payload.len()).unwrap());
    [&header[..], payload].concat()
}

/// An IPv6 packet to the inside as IPv4.
pub fn from_six(realm: RealmIndex, packet: &[u8]) -> Vec<u8> {
    let mut buffer = [&[0; HEADROOM], packet].concat();
    let range = HEADROOM..buffer.len();
    let mut slot = Slot::new(&mut buffer, range);
    let incoming = read_v6(slot.bytes()).unwrap();
    let host = |address: Ipv6Addr| {
        let host = Ipv4Addr::from_bits(address.to_bits() as u32);
        assert_eq!(b4(realm, host), address, "a host of the realm");
        host
    };
    let remote = |address: Ipv6Addr| match address {
        OWN => Ipv4Addr::new(192, 0, 0, 8),
        other => prefix().extract(other).unwrap(),
    };
    let mapped = Mapped {
        outer: Pair {
            source: remote(incoming.outer.source),
            destination: host(incoming.outer.destination),
        },
        quoted: incoming.quoted.map(|quoted| Pair {
            source: host(quoted.source),
            destination: remote(quoted.destination),
        }),
    };
    let done = Translator::default().to_v4(&mut slot, &incoming, &mapped, 0);
    assert_eq!(done, Ok(Done::InPlace));
    slot.bytes().to_vec()
}

/// RFC 7915 §4, §5: on the way through IPv6 a packet loses its identification, its don't fragment
/// bit, and some of the codes of ICMP errors. Of that the tests know nothing.
pub fn as_before(after: &mut [u8], before: &[u8]) {
    let is_ipv4 = |packet: &[u8]| packet.len() >= 20 && packet[0] == 0x45;
    if !is_ipv4(before) || !is_ipv4(after) {
        return;
    }
    header_as_before(after, before);
    if after.len() >= 48 && before.len() >= 48 && is_icmp_error(after) && is_icmp_error(before) {
        assert_ne!(transport_checksum_is_right(after), Some(false));
        if after[20] == before[20] && after[20] == 3 {
            after[21] = before[21];
            if before[21] == 4 && before[24..28] == [0; 4] {
                // RFC 7915 §4.2: a size from the table of usual ones.
                after[24..28].fill(0);
            }
        }
        header_as_before(&mut after[28..], &before[28..]);
        renew_icmp_checksum(after);
    }
}

fn header_as_before(after: &mut [u8], before: &[u8]) {
    if word(before, 6) & 0x4000 == 0 {
        return;
    }
    if !is_fragment(before) {
        set_word(after, 4, word(before, 4));
    }
    let flags = word(after, 6) | 0x4000;
    set_word(after, 6, flags);
    renew_header_checksum(after);
}
