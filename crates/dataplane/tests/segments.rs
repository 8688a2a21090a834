//! Packets that the kernel leaves to be cut, in the modes in which packets change their family.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking, as tests do.

use portledger_dataplane::engine::{Engine, Whole};
use portledger_model::Timestamp;
use portledger_nat::{
    HEADROOM, Nat64, Nat64Config, Offload, Output, Segments, Side, Slot, Verdict, translate::Prefix,
};
use portledger_ports::{Config, Pool};
use proptest::prelude::*;

const HOST: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
const SERVER: [u8; 4] = [198, 51, 100, 1];

fn nat64() -> Engine {
    let ports = Config::new(Pool::parse(&["203.0.113.7"]).unwrap());
    let prefix = Prefix::new("2001:db8:64::".parse().unwrap(), 96).unwrap();
    let inside = "2001:db8:1::/48".parse().unwrap();
    let own = "2001:db8:ffff::64".parse().unwrap();
    let config = Nat64Config::new(ports, prefix, &[inside], own);
    Nat64::new(config, [7; 32]).unwrap().into()
}

/// The one's complement sum of 16-bit words.
fn sum(bytes: &[u8]) -> u16 {
    bytes.chunks(2).fold(0, |total: u16, pair| {
        let word = u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]);
        let (total, carry) = total.overflowing_add(word);
        total + u16::from(carry)
    })
}

/// A TCP segment with a sum of the pseudo-header where its checksum goes.
fn transport(ports: [u16; 2], addresses: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut tcp: Vec<u8> = ports.into_iter().flat_map(u16::to_be_bytes).collect();
    tcp.extend([0, 0, 1, 0, 0, 0, 2, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
    tcp.extend(payload);
    let length = u16::try_from(tcp.len()).unwrap().to_be_bytes();
    let pseudo = [addresses, &length, &[0, 6]].concat();
    tcp[16..18].copy_from_slice(&sum(&pseudo).to_be_bytes());
    tcp
}

fn out(payload: &[u8]) -> Vec<u8> {
    let to = [
        0x20, 1, 0xd, 0xb8, 0, 0x64, 0, 0, 0, 0, 0, 0, 198, 51, 100, 1,
    ];
    let addresses = [HOST, to].concat();
    let tcp = transport([40_000, 80], &addresses, payload);
    let length = u16::try_from(tcp.len()).unwrap().to_be_bytes();
    let header = [0x60, 0, 0, 0, length[0], length[1], 6, 64];
    [&header[..], &addresses, &tcp].concat()
}

fn back(to: ([u8; 4], u16), dont_fragment: bool, payload: &[u8]) -> Vec<u8> {
    let addresses = [SERVER, to.0].concat();
    let tcp = transport([80, to.1], &addresses, payload);
    let length = u16::try_from(20 + tcp.len()).unwrap().to_be_bytes();
    let fragmentation = if dont_fragment { 0x40 } else { 0 };
    let mut header = vec![
        0x45,
        0,
        length[0],
        length[1],
        0,
        9,
        fragmentation,
        0,
        64,
        6,
        0,
        0,
    ];
    header.extend(addresses);
    let checksum = !sum(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header.extend(tcp);
    header
}

/// What comes of a packet; `None` where it is not sent on.
fn passed(engine: &mut Engine, from: Side, packet: &[u8], offload: Offload) -> Option<Vec<u8>> {
    let mut buffer = [&[0; HEADROOM][..], packet].concat();
    let range = HEADROOM..buffer.len();
    let mut slots = [Slot::new(&mut buffer, range)];
    slots[0].offload = offload;
    let mut output = Output::default();
    engine.batch(Timestamp::from_secs(1), from, &mut slots, &mut output);
    let [slot] = slots;
    let forwards = matches!(slot.verdict, Verdict::Forward { .. });
    forwards.then(|| slot.bytes().to_vec())
}

fn cut(packet: &[u8], size: u16) -> Vec<Vec<u8>> {
    let mut segments = Segments::of(packet, size).unwrap();
    std::iter::from_fn(|| {
        let mut bytes = Vec::new();
        segments.append_next(&mut bytes).map(|_| bytes)
    })
    .collect()
}

/// Of packets that must not be cut the identification means nothing (RFC 6864 §4), but it is in
/// the header's checksum.
fn but_for_identification(mut packet: Vec<u8>) -> Vec<u8> {
    if packet[0] >> 4 == 4 {
        assert_eq!((packet[6], !sum(&packet[..20])), (0x40, 0));
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    packet
}

proptest! {
    /// Whether the device cuts what becomes of a packet, or each segment is translated: the same
    /// goes on the wire.
    #[test]
    fn cutting_and_translating_may_change_places(
        payload in prop::collection::vec(any::<u8>(), 3_000..9_000),
        size in 1_221_u16..1_440,
    ) {
        let mut engine = nat64();
        let whole = out(&payload);
        prop_assert!(engine.whole().takes(&whole, size));
        let translated = passed(&mut engine, Side::Inside, &whole, Offload::Segments(size)).unwrap();
        let external = (*translated[12..].first_chunk().unwrap(), u16::from_be_bytes([translated[20], translated[21]]));
        let first: Vec<_> = cut(&translated, size).into_iter().map(but_for_identification).collect();
        let then: Vec<_> = cut(&whole, size)
            .iter()
            .map(|segment| passed(&mut engine, Side::Inside, segment, Offload::Checksum).unwrap())
            .collect();
        let last = then.len() - 1;
        for (number, (one, other)) in first.iter().zip(then).enumerate() {
            // The last may be so small that by itself it may be cut (RFC 7915 §5.1).
            if number < last || other[6] == 0x40 {
                prop_assert_eq!(one, &but_for_identification(other));
            } else {
                prop_assert_eq!(&one[20..], &other[20..]);
            }
        }

        let whole = back(external, true, &payload);
        prop_assert!(engine.whole().takes(&whole, size));
        let translated = passed(&mut engine, Side::Outside, &whole, Offload::Segments(size)).unwrap();
        let then: Vec<_> = cut(&whole, size)
            .iter()
            .map(|segment| passed(&mut engine, Side::Outside, segment, Offload::Checksum).unwrap())
            .collect();
        prop_assert_eq!(cut(&translated, size), then);
    }
}

/// RFC 7915 §4: 1,440 bytes behind 60 are the largest that a link of 1,500 takes.
#[test]
fn segments_that_do_not_fit_are_not_let_through() {
    let mut engine = nat64();
    let translated = passed(
        &mut engine,
        Side::Inside,
        &out(&[1; 3_000]),
        Offload::Segments(1_300),
    );
    let translated = translated.unwrap();
    let external = (
        *translated[12..].first_chunk().unwrap(),
        u16::from_be_bytes([translated[20], translated[21]]),
    );
    let whole = back(external, true, &[1; 4_000]);
    for (size, fits) in [(1_440, true), (1_441, false)] {
        let passed = passed(&mut engine, Side::Outside, &whole, Offload::Segments(size));
        assert_eq!(passed.is_some(), fits, "{size}");
    }
}

#[test]
fn what_may_be_cut_on_its_way_or_is_wrapped_is_cut_before() {
    let four = |dont_fragment| back(([203, 0, 113, 7], 5_000), dont_fragment, &[1; 4_000]);
    let six = out(&[1; 4_000]);
    for (whole, taken) in [
        (Whole::All, [true, true, true, true]),
        (Whole::Translated, [true, false, true, false]),
        (Whole::Unwrapped, [false, false, true, true]),
    ] {
        let packets = [
            (&four(true), 1_400),
            (&four(false), 1_400),
            (&six, 1_400),
            (&six, 1_220),
        ];
        let takes = packets.map(|(packet, size)| whole.takes(packet, size));
        assert_eq!(takes, taken, "{whole:?}");
    }
}
