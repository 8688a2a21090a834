//! What changes behind the IP header: checksums over addresses, and ICMP's types.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::kinds;
use crate::{
    Offload,
    checksum::{Delta, as_read, fold_wide},
    header::{ICMP, TCP, UDP, set_word, word},
    rewrite::checksum_at,
};

/// The number of ICMPv6 (RFC 4443 §1).
pub(crate) const ICMP6: u8 = 58;

/// The one's complement sum of an IPv4 packet's addresses.
#[inline]
pub(super) fn sum_v4(source: Ipv4Addr, destination: Ipv4Addr) -> u16 {
    u16::from_be(fold_wide(as_read_v4(source, destination)))
}

/// The one's complement sum of an IPv6 packet's addresses.
#[inline]
pub(super) fn sum_v6(source: Ipv6Addr, destination: Ipv6Addr) -> u16 {
    u16::from_be(fold_wide(as_read_v6(source, destination)))
}

/// The same as the processor reads them: see [`as_read`].
#[inline]
pub(super) fn as_read_v4(source: Ipv4Addr, destination: Ipv4Addr) -> u64 {
    as_read(&source.octets()) + as_read(&destination.octets())
}

/// The same as the processor reads them: see [`as_read`].
#[inline]
pub(super) fn as_read_v6(source: Ipv6Addr, destination: Ipv6Addr) -> u64 {
    // In halves, as addresses are made and moved: loads of another width would wait for the stores.
    let halves = |address: Ipv6Addr| {
        let bits = u128::from_ne_bytes(address.octets());
        ((bits >> 64) as u64, bits as u64)
    };
    let ((a, b), (c, d)) = (halves(source), halves(destination));
    let sum = add(add(a, b), add(c, d));
    (sum >> 32) + (sum & 0xFFFF_FFFF)
}

/// One's complement addition.
#[inline]
const fn add(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u64
}

/// The sum of the pseudo-header that IPv6's checksums cover (RFC 8200 §8.1).
#[inline]
pub(crate) fn pseudo_header(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    length: usize,
    next: u8,
) -> u16 {
    let addresses = sum_v6(source, destination);
    fold_wide(u64::from(addresses) + length as u64 + u64::from(next))
}

/// Updates the checksum of TCP and UDP after a change of the addresses whose sums are given (RFC
/// 7915 §4.5, §5.5). IPv4's pseudo-header has the same length and protocol in it. Other
/// transports are passed on as they are.
#[inline]
pub(crate) fn readdress(payload: &mut [u8], protocol: u8, old: u16, new: u16, offload: Offload) {
    if protocol != TCP && protocol != UDP {
        return;
    }
    let at = checksum_at(protocol);
    if payload.len() < at + 2 {
        // A quotation that ends before it.
        return;
    }
    let (field, delta) = (word(payload, at), Delta::default().word(old, new));
    if offload != Offload::None {
        set_word(payload, at, delta.apply_uncomplemented(field));
        return;
    }
    // RFC 768: zero means that the sender computed none, and a computed zero is sent as all ones.
    let is_udp = protocol == UDP;
    if is_udp && field == 0 {
        return;
    }
    let sum = match delta.apply(field) {
        0 if is_udp => 0xFFFF,
        sum => sum,
    };
    set_word(payload, at, sum);
}

/// Gives an ICMP echo its type in ICMPv6, and the pseudo-header to its checksum (RFC 7915 §4.2).
#[inline]
pub(super) fn echo_to_v6(payload: &mut [u8], pseudo: u16) {
    let kind = match payload.first() {
        Some(&kinds::ECHO) => kinds::ECHO6,
        Some(&kinds::ECHO_REPLY) => kinds::ECHO6_REPLY,
        _ => return,
    };
    set_kind(payload, kind, 0, pseudo);
}

/// Gives an ICMPv6 echo its type in ICMP, and takes the pseudo-header from its checksum (RFC 7915
/// §5.2).
#[inline]
pub(super) fn echo_to_v4(payload: &mut [u8], pseudo: u16) {
    let kind = match payload.first() {
        Some(&kinds::ECHO6) => kinds::ECHO,
        Some(&kinds::ECHO6_REPLY) => kinds::ECHO_REPLY,
        _ => return,
    };
    set_kind(payload, kind, pseudo, 0);
}

#[inline]
fn set_kind(payload: &mut [u8], kind: u8, old_pseudo: u16, new_pseudo: u16) {
    let old = word(payload, 0);
    let new = (old & 0x00FF) | (u16::from(kind) << 8);
    let delta = Delta::default().word(old, new).word(old_pseudo, new_pseudo);
    if payload.len() >= 4 {
        set_word(payload, 2, delta.apply(word(payload, 2)));
    }
    payload[0] = kind;
}

/// The number that a protocol of IPv4 has in IPv6 (RFC 7915 §4.1).
#[inline]
pub(super) const fn number_in_v6(protocol: u8) -> u8 {
    if protocol == ICMP { ICMP6 } else { protocol }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::sum;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_of_addresses_are_those_of_their_bytes(a in any::<u128>(), b in any::<u128>(), length in 0_usize..70_000, next in any::<u8>()) {
            let mut bytes = [a.to_be_bytes(), b.to_be_bytes()].concat();
            prop_assert_eq!(sum_v6(a.into(), b.into()), sum(&bytes, 0));
            let short = bytes[..8].to_vec();
            let (c, d) = ((a >> 96) as u32, (a >> 64) as u32);
            prop_assert_eq!(sum_v4(c.into(), d.into()), sum(&short, 0));
            bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
            bytes.extend([0, 0, 0, next]);
            prop_assert_eq!(pseudo_header(a.into(), b.into(), length, next), sum(&bytes, 0));
        }
    }
}
