use md5::{Digest as _, Md5};
use proptest::prelude::*;

use super::*;

const SECRET: &[u8] = b"xyzzy5461";

#[test]
fn debug_shows_nobody() {
    let datagram = signed(&[(1, b"nemo"), (40, &[0, 0, 0, 1]), (8, &[100, 64, 3, 9])]);
    let packet = Packet::parse(&datagram).unwrap();
    let told = packet.verify(&Secret::new(SECRET).unwrap()).unwrap();
    let shown = format!(
        "{packet:?} {told:?} {:?} {:?}",
        told.accounting().unwrap(),
        packet.attributes().collect::<Vec<_>>()
    );
    assert!(!shown.contains("nemo") && !shown.contains("100"), "{shown}");
    let shown = format!("{:?}", Secret::new(SECRET).unwrap());
    assert_eq!(shown, "Secret(redacted)");
}

/// An Accounting-Request, signed as RFC 2866 §3 says, by other code than ours.
pub(super) fn signed(attributes: &[(u8, &[u8])]) -> Vec<u8> {
    let mut packet = vec![4, 7, 0, 0];
    packet.extend_from_slice(&[0; 16]);
    for (kind, value) in attributes {
        packet.extend_from_slice(&[*kind, u8::try_from(value.len() + 2).unwrap()]);
        packet.extend_from_slice(value);
    }
    let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
    packet[2..4].copy_from_slice(&length);
    let made = Md5::digest([&packet[..], SECRET].concat());
    packet[4..20].copy_from_slice(&made);
    packet
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(packet) = Packet::parse(&bytes) {
            let attributes: usize = packet.attributes().map(|it| it.value.len() + 2).sum();
            prop_assert_eq!(attributes + Packet::HEADER, packet.bytes().len());
            let _ = packet.extended();
        }
    }

    #[test]
    fn a_flipped_bit_is_found(place in 0_usize..44 * 8) {
        let datagram = signed(&[(1, b"nemo"), (40, &[0, 0, 0, 1]), (44, b"0017"), (25, b"gold")]);
        let secret = Secret::new(SECRET).unwrap();
        let mut changed = datagram.clone();
        changed[place / 8] ^= 1 << (place % 8);
        prop_assert!(Packet::parse(&datagram).is_ok_and(|it| it.verify(&secret).is_ok()));
        prop_assert!(!Packet::parse(&changed).is_ok_and(|it| it.verify(&secret).is_ok()));
    }
}
