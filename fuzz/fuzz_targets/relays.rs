//! Any bytes as packets at a border relay, from both sides and with time between them. Whoever a
//! packet is from or for is worked out here a second time, bit by bit.
#![no_main]

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use portledger_model::{MapRule, PortParameters, PortSet, SoftwireBinding, Timestamp};
use portledger_nat::{
    HEADROOM, Output, Relay, RelayConfig, Side, Slot, Verdict, translate::Prefix,
};

const RELAY: Ipv6Addr = Ipv6Addr::new(0x2001, 0x0db8, 0xffff, 0, 0, 0, 0, 1);
const INTERNET: Ipv6Addr = Ipv6Addr::new(0x2001, 0x0db8, 0xffff, 0, 0, 0, 0, 0);
const FRAGMENT_BYTES: usize = 20_000;
const REASSEMBLY_BYTES: usize = 70_000;

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, mut rest)) = bytes.split_first() else {
        return;
    };
    let is_translated = choice & 3 == 1;
    let mut relay = Relay::new(config(choice), [7; 32]).unwrap();
    let mut now = Timestamp::from_secs(1_000);
    while let [what, length, tail @ ..] = rest {
        let (taken, left) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = left;
        now = now.after(Duration::from_millis(u64::from(what >> 6) * 700));
        let from = if what & 1 == 0 {
            Side::Inside
        } else {
            Side::Outside
        };
        let packet = build(*what, from, is_translated, taken);
        step(&mut relay, now, from, is_translated, &packet);
        assert!(relay.fragment_bytes() <= FRAGMENT_BYTES + REASSEMBLY_BYTES);
    }
    relay.advance(now.after(Duration::from_secs(61)));
    assert!(!relay.is_waiting());
    assert_eq!(relay.fragment_bytes(), 0);
});

fn config(choice: u8) -> RelayConfig {
    let rule = MapRule::new(
        "2001:db8::/40".parse().unwrap(),
        "192.0.2.0/24".parse().unwrap(),
        16,
        6,
    )
    .unwrap();
    let bindings = (0..256).map(|psid| SoftwireBinding {
        b4: end(Ipv4Addr::new(192, 0, 2, 18), psid),
        ipv4: Ipv4Addr::new(192, 0, 2, 18),
        ports: PortSet::Psid(PortParameters::new(6, 8).unwrap(), psid),
    });
    let mut config = match choice & 3 {
        0 => RelayConfig::map_e(vec![rule], RELAY),
        1 => RelayConfig::map_t(vec![rule], Prefix::new(INTERNET, 64).unwrap(), RELAY),
        _ => RelayConfig::lw4o6(bindings.collect(), RELAY),
    };
    config.counts_as_hop = choice & 4 != 0;
    config.mss = (choice & 8 != 0).then_some(1_000);
    config.mtu.inside = 1_280;
    config.mtu.outside = if choice & 16 != 0 { 576 } else { 1_500 };
    config.honour_dont_fragment = choice & 32 == 0;
    config.hairpinning = choice & 64 == 0;
    config.followed.bytes = FRAGMENT_BYTES;
    config.reassembly.bytes = REASSEMBLY_BYTES;
    config
}

/// RFC 7597 §5.2, §6, for the rule of its example 1.
fn end(address: Ipv4Addr, psid: u16) -> Ipv6Addr {
    let [_, _, _, last] = address.octets();
    let ea = u16::from(last) << 8 | psid;
    let mut bits = 0x2001_0db8_u128 << 96 | u128::from(ea) << 72;
    bits |= u128::from(address.to_bits()) << 16 | u128::from(psid);
    Ipv6Addr::from(bits)
}

/// RFC 7597 §5.1, with six bits of offset and eight of PSID.
fn holder(address: Ipv4Addr, port: u16) -> Option<Ipv6Addr> {
    let is_ours = address.octets()[..3] == [192, 0, 2];
    (is_ours && port >= 1_024).then(|| end(address, (port >> 2) & 0xFF))
}

/// A packet of the bytes, made to look like one of its side's as far as `what` says.
fn build(what: u8, from: Side, is_translated: bool, bytes: &[u8]) -> Vec<u8> {
    let mut packet = bytes.to_vec();
    if what & 2 != 0 || packet.len() < 28 {
        return packet;
    }
    let own = Ipv4Addr::new(192, 0, 2, 18);
    if from == Side::Outside || !is_translated {
        packet[0] = 0x45;
        let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
        set_word(&mut packet, 2, length);
        let at = if from == Side::Outside { 16 } else { 12 };
        if what & 4 == 0 {
            packet[at..at + 4].copy_from_slice(&own.octets());
        }
        if what & 8 == 0 {
            packet[9] = [6, 17, 1, 17][usize::from(packet[9] & 3)];
        }
        set_word(&mut packet, 10, 0);
        let right = !sum(&packet[..20]);
        set_word(&mut packet, 10, right);
    }
    if from == Side::Outside {
        return packet;
    }
    let source = end(own, u16::from(packet[packet.len() - 1]));
    let (next, destination, payload) = if is_translated {
        let to = Prefix::new(INTERNET, 64).unwrap();
        let to = to.embed(Ipv4Addr::from(u32::from_be_bytes([
            198, 51, 100, packet[0],
        ])));
        (if what & 8 == 0 { 17 } else { packet[1] }, to, &packet[2..])
    } else {
        (if what & 16 == 0 { 4 } else { 44 }, RELAY, &packet[..])
    };
    let mut outer = vec![0x60, 0, 0, 0, 0, 0, next, 64];
    set_word(
        &mut outer,
        4,
        u16::try_from(payload.len()).unwrap_or(u16::MAX),
    );
    outer.extend(source.octets());
    outer.extend(destination.octets());
    outer.extend(payload);
    outer
}

fn step(relay: &mut Relay, now: Timestamp, from: Side, is_translated: bool, packet: &[u8]) {
    let mut buffer = [&[0; HEADROOM][..], packet].concat();
    let range = HEADROOM..buffer.len();
    let mut slots = [Slot::new(&mut buffer, range)];
    let mut output = Output::default();
    relay.batch(now, from, &mut slots, &mut output);
    let [slot] = slots;
    match slot.verdict {
        Verdict::Forward { to, .. } => {
            check(to, slot.bytes());
            match (from, to) {
                (Side::Inside, Side::Outside) => check_source(packet, slot.bytes()),
                (_, Side::Inside) => check_holder(slot.bytes(), is_translated),
                (Side::Outside, Side::Outside) => panic!("nothing goes back"),
            }
        }
        Verdict::Kept => {}
        // What hairpins may be dropped on its second way.
        Verdict::Drop(_) => assert_eq!(slot.bytes().len(), packet.len()),
    }
    for emitted in &output.packets {
        check(emitted.to, &emitted.data);
    }
}

/// What leaves is from the customer that it came from.
fn check_source(came: &[u8], left: &[u8]) {
    let source = address(came, 8);
    if let Some((from, _)) = ports(left) {
        let own = Ipv4Addr::new(left[12], left[13], left[14], left[15]);
        assert_eq!(holder(own, from), Some(source));
    }
}

/// What goes to a customer is for it.
fn check_holder(packet: &[u8], is_translated: bool) {
    let to = address(packet, 24);
    if is_translated {
        // The address holds the IPv4 address and the PSID.
        let bits = to.to_bits();
        let own = Ipv4Addr::from((bits >> 16) as u32);
        assert_eq!(end(own, bits as u16), to);
        if matches!(packet[6], 6 | 17) {
            assert_eq!(holder(own, word(packet, 42)), Some(to));
        }
        return;
    }
    let inner = &packet[40..];
    if let Some((_, port)) = ports(inner) {
        let own = Ipv4Addr::new(inner[16], inner[17], inner[18], inner[19]);
        assert_eq!(holder(own, port), Some(to));
    }
}

/// The ports of an IPv4 packet that shows them.
fn ports(packet: &[u8]) -> Option<(u16, u16)> {
    let at = usize::from(packet[0] & 0x0F) * 4;
    let shows = word(packet, 6) & 0x1FFF == 0 && matches!(packet[9], 6 | 17);
    shows.then(|| (word(packet, at), word(packet, at + 2)))
}

fn check(to: Side, packet: &[u8]) {
    match to {
        Side::Inside => {
            assert_eq!(packet[0] >> 4, 6);
            assert_eq!(usize::from(word(packet, 4)) + 40, packet.len());
            assert!(packet.len() <= 1_280);
        }
        Side::Outside => {
            let header = usize::from(packet[0] & 0x0F) * 4;
            assert!(packet[0] >> 4 == 4 && header >= 20);
            assert_eq!(usize::from(word(packet, 2)), packet.len());
            assert_eq!(sum(&packet[..header]), 0xFFFF);
            assert!(packet.len() <= 1_500);
        }
    }
}

fn address(packet: &[u8], at: usize) -> Ipv6Addr {
    let octets: [u8; 16] = packet[at..at + 16].try_into().unwrap();
    octets.into()
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
