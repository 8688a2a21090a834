//! Any bytes as an IPv4 and as an IPv6 packet, with right checksums where the first byte asks for
//! them. What comes out of the translation is read the plain way.
#![no_main]

use std::net::{Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use portledger_nat::{
    HEADROOM, Slot,
    translate::{
        Config, Done, Mapped, Pair, Prefix, Refused, Translator, UdpWithoutChecksum, answer_v4,
        answer_v6, read_v4, read_v6,
    },
};

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, packet)) = bytes.split_first() else {
        return;
    };
    let config = config(choice);
    let mut packet = packet.to_vec();
    if choice & 1 != 0 {
        mend(&mut packet);
    }
    match packet.first().map(|first| first >> 4) {
        Some(6) => from_six(config, &packet),
        _ => from_four(config, &packet),
    }
});

fn config(choice: u8) -> Config {
    let small = choice & 2 != 0;
    Config {
        ipv6_mtu: if small { 1_280 } else { u16::MAX },
        ipv4_mtu: if small { 576 } else { u16::MAX },
        lowest_ipv6_mtu: if choice & 4 != 0 { 1_400 } else { 1_280 },
        udp_without_checksum: if choice & 8 != 0 {
            UdpWithoutChecksum::Drop
        } else {
            UdpWithoutChecksum::Compute
        },
        traffic_class: (choice & 16 != 0).then_some(0x28),
        type_of_service: (choice & 32 != 0).then_some(0x28),
        counts_as_hop: choice & 64 != 0,
    }
}

fn prefix() -> Prefix {
    Prefix::new("2001:db8:64::".parse().unwrap(), 96).unwrap()
}

fn from_four(config: Config, packet: &[u8]) {
    let mut buffer = [&[0; HEADROOM][..], packet].concat();
    let range = HEADROOM..buffer.len();
    let mut slot = Slot::new(&mut buffer, range);
    let incoming = match read_v4(slot.bytes()) {
        Ok(incoming) => incoming,
        Err(refused) => return check_refused(refused, packet),
    };
    let pair = |source, destination| Pair {
        source: prefix().embed(source),
        destination: prefix().embed(destination),
    };
    let mapped = Mapped {
        outer: pair(incoming.outer.source, incoming.outer.destination),
        quoted: incoming
            .quoted
            .map(|quoted| pair(quoted.source, quoted.destination)),
    };
    let translator = Translator::new(config).unwrap();
    let made = match translator.to_v6(&mut slot, &incoming, &mapped) {
        Ok(Done::InPlace) => vec![slot.bytes().to_vec()],
        Ok(Done::Instead(pieces)) => pieces,
        Err(refused) => {
            assert_eq!(slot.bytes(), packet, "a refused packet is as it came");
            return check_refused(refused, packet);
        }
    };
    assert!(!made.is_empty());
    for packet in &made {
        check_six(packet);
    }
    let is_icmp = packet[9] == 1;
    let dont_fragment = packet[6] & 0x40 != 0;
    assert!(dont_fragment || is_icmp || made.iter().all(|made| made.len() <= 1_400));
}

fn from_six(config: Config, packet: &[u8]) {
    let mut buffer = [&[0; HEADROOM][..], packet].concat();
    let range = HEADROOM..buffer.len();
    let mut slot = Slot::new(&mut buffer, range);
    let incoming = match read_v6(slot.bytes()) {
        Ok(incoming) => incoming,
        Err(refused) => return check_refused(refused, packet),
    };
    let four = |address: Ipv6Addr| {
        let last = address.to_bits() as u32;
        prefix().extract(address).unwrap_or(Ipv4Addr::from(last))
    };
    let pair = |source, destination| Pair {
        source: four(source),
        destination: four(destination),
    };
    let mapped = Mapped {
        outer: pair(incoming.outer.source, incoming.outer.destination),
        quoted: incoming
            .quoted
            .map(|quoted| pair(quoted.source, quoted.destination)),
    };
    let translator = Translator::new(config).unwrap();
    match translator.to_v4(&mut slot, &incoming, &mapped, 7) {
        Ok(Done::InPlace) => check_four(slot.bytes()),
        Ok(Done::Instead(_)) => panic!("IPv4 is shorter"),
        Err(refused) => {
            assert_eq!(slot.bytes(), packet, "a refused packet is as it came");
            check_refused(refused, packet);
        }
    }
}

/// Whatever may be told of a packet can be made, and is a packet.
fn check_refused(refused: Refused, about: &[u8]) {
    let Some(answer) = refused.answer else { return };
    if about[0] >> 4 == 4 {
        if let Some(told) = answer_v4(Ipv4Addr::new(192, 0, 2, 1), answer, about) {
            check_four(&told);
            assert!(told.len() <= 576);
        }
    } else if let Some(told) = answer_v6("2001:db8::1".parse().unwrap(), answer, about) {
        check_six(&told);
        assert!(told.len() <= 1_280);
    }
}

fn check_six(packet: &[u8]) {
    assert!(packet.len() >= 40 && packet[0] >> 4 == 6);
    assert_eq!(usize::from(word(packet, 4)) + 40, packet.len());
    assert_eq!([packet[1] & 0x0F, packet[2], packet[3]], [0; 3]);
    if packet[6] == 44 {
        assert!(packet.len() >= 48);
        assert!(word(packet, 42) != 0, "no atomic fragment");
        return;
    }
    // An error of ours, or one whose checksum was found right, has a right one.
    if packet[6] == 58 && packet[40] < 128 {
        let mut all = packet[8..40].to_vec();
        all.extend(u32::try_from(packet.len() - 40).unwrap().to_be_bytes());
        all.extend([0, 0, 0, 58]);
        all.extend(&packet[40..]);
        assert_eq!(sum(&all), 0xFFFF);
    }
}

fn check_four(packet: &[u8]) {
    assert!(packet.len() >= 20 && packet[0] == 0x45);
    assert_eq!(usize::from(word(packet, 2)), packet.len());
    assert_eq!(sum(&packet[..20]), 0xFFFF);
    let fragmentation = word(packet, 6);
    assert!(fragmentation & 0x4000 == 0 || fragmentation & 0x3FFF == 0);
    let is_whole = fragmentation & 0x3FFF == 0;
    if packet[9] == 1 && is_whole && matches!(packet.get(20), Some(3 | 11 | 12)) {
        assert_eq!(sum(&packet[20..]), 0xFFFF);
    }
}

/// Gives a packet the length and the checksums that its fields ask for.
fn mend(packet: &mut Vec<u8>) {
    let is_six = packet.first().is_some_and(|first| first >> 4 == 6);
    if is_six && packet.len() >= 48 {
        let length = packet.len() - 40;
        set_word(packet, 4, u16::try_from(length).unwrap_or(0));
        if packet[6] == 58 {
            let mut all = packet[8..40].to_vec();
            all.extend([0, 0]);
            all.extend(u16::try_from(length).unwrap_or(0).to_be_bytes());
            all.extend([0, 0, 0, 58]);
            set_word(packet, 42, 0);
            all.extend(&packet[40..]);
            set_word(packet, 42, !sum(&all));
        }
    } else if !is_six && packet.len() >= 28 {
        packet[0] = 0x40 | (packet[0] & 0x0F).clamp(5, 7);
        let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
        packet.truncate(usize::from(length));
        set_word(packet, 2, length);
        let header = usize::from(packet[0] & 0x0F) * 4;
        if packet[9] == 1 && packet.len() >= header + 8 {
            set_word(packet, header + 2, 0);
            let right = !sum(&packet[header..]);
            set_word(packet, header + 2, right);
        }
        set_word(packet, 10, 0);
        let right = !sum(&packet[..header.min(packet.len())]);
        set_word(packet, 10, right);
    }
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn set_word(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// RFC 1071, word by word.
fn sum(bytes: &[u8]) -> u16 {
    let mut total = 0_u32;
    for pair in bytes.chunks(2) {
        total += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        total = (total & 0xFFFF) + (total >> 16);
    }
    total as u16
}
