//! The short way: a whole TCP segment or UDP datagram that needs nothing but other headers.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    Config, LEAST_IPV6_MTU, Pair, Translator,
    read_v6::IPV6_HEADER,
    to_v4::{IPV4_HEADER, MAY_BE_CUT},
    to_v6::ipv6_header,
    transport::{readdress, sum_v4, sum_v6},
};
use crate::{
    Offload, Slot, checksum,
    header::{TCP, UDP, set_long, set_word, word},
};

impl Translator {
    /// Does what [`Translator::to_v6`] does to a packet whose header was checked. `false` where
    /// there is more to it: then nothing was done.
    #[inline]
    pub(crate) fn plain_to_v6(&self, slot: &mut Slot<'_>, pair: Pair<Ipv6Addr>) -> bool {
        let start = slot.packet.start;
        let Some(&head) = slot.bytes().first_chunk::<{ IPV4_HEADER + 8 }>() else {
            return false;
        };
        let (total, fragmentation) = (usize::from(word(&head, 2)), word(&head, 6));
        let size = total + IPV6_HEADER - IPV4_HEADER;
        let fits = size <= usize::from(LEAST_IPV6_MTU)
            || (fragmentation & 0x4000 != 0 && size <= usize::from(self.config.ipv6_mtu));
        let is_plain = head[0] == 0x45
            && fragmentation & 0x3FFF == 0
            && fits
            && is_transport(
                head[9],
                &head[IPV4_HEADER..],
                total.saturating_sub(IPV4_HEADER),
            )
            && !self.config.counts_as_hop
            && slot.offload == Offload::None;
        let (payload_at, end) = (start + IPV4_HEADER, start + total);
        let Some(header_at) = payload_at.checked_sub(IPV6_HEADER).filter(|_| is_plain) else {
            return false;
        };
        let Some(place) = slot.buffer.get_mut(header_at..end) else {
            return false;
        };
        let (before, payload) = place.split_at_mut(IPV6_HEADER);
        let old = sum_v4(v4(&head, 12), v4(&head, 16));
        let new = sum_v6(pair.source, pair.destination);
        readdress(payload, head[9], old, new, Offload::None);
        let class = self.config.traffic_class.unwrap_or(head[1]);
        before.copy_from_slice(&ipv6_header(class, payload.len(), head[9], head[8], pair));
        slot.packet = header_at..end;
        true
    }

    /// Does what [`Translator::to_v4`] does, with the identification 0, to a packet whose source
    /// was checked. `false` where there is more to it: then nothing was done.
    #[inline]
    pub(crate) fn plain_to_v4(&self, slot: &mut Slot<'_>, pair: Pair<Ipv4Addr>) -> bool {
        let start = slot.packet.start;
        let Some(&head) = slot.bytes().first_chunk::<{ IPV6_HEADER + 8 }>() else {
            return false;
        };
        let payload = usize::from(word(&head, 4));
        let total = IPV4_HEADER + payload;
        let is_plain = head[0] >> 4 == 6
            && is_transport(head[6], &head[IPV6_HEADER..], payload)
            && (total <= MAY_BE_CUT || total <= usize::from(self.config.ipv4_mtu))
            && total <= 65_535
            && !self.config.counts_as_hop
            && slot.offload == Offload::None;
        let (payload_at, end) = (start + IPV6_HEADER, start + IPV6_HEADER + payload);
        if !is_plain || end > slot.packet.end {
            return false;
        }
        let Some((before, payload)) = slot
            .buffer
            .get_mut(..end)
            .and_then(|buffer| buffer.split_at_mut_checked(payload_at))
        else {
            return false;
        };
        let old = sum_v6(v6(&head, 8), v6(&head, 24));
        let new = sum_v4(pair.source, pair.destination);
        readdress(payload, head[6], old, new, Offload::None);
        let class = word(&head, 0) >> 4;
        let header = header_v4(
            &self.config,
            [class.to_be_bytes()[1], head[6], head[7]],
            pair,
            total,
        );
        before[payload_at - IPV4_HEADER..].copy_from_slice(&header);
        slot.packet = payload_at - IPV4_HEADER..end;
        true
    }
}

/// Whether a payload of `length` bytes is a TCP segment, or a UDP datagram with a checksum.
#[inline]
fn is_transport(protocol: u8, head: &[u8], length: usize) -> bool {
    match protocol {
        TCP => length >= 20,
        UDP => length >= 8 && word(head, 6) != 0 && (8..=length).contains(&word(head, 4).into()),
        _ => false,
    }
}

/// An IPv4 header of a packet with this class, protocol and hops.
#[inline]
fn header_v4(
    config: &Config,
    [class, protocol, hops]: [u8; 3],
    pair: Pair<Ipv4Addr>,
    total: usize,
) -> [u8; IPV4_HEADER] {
    let mut header = [0; IPV4_HEADER];
    header[0] = 0x45;
    header[1] = config.type_of_service.unwrap_or(class);
    set_word(&mut header, 2, u16::try_from(total).unwrap_or(u16::MAX));
    if total > MAY_BE_CUT {
        set_word(&mut header, 6, 0x4000);
    }
    (header[8], header[9]) = (hops, protocol);
    set_long(&mut header, 12, pair.source.to_bits());
    set_long(&mut header, 16, pair.destination.to_bits());
    let sum = checksum::of_header(&header);
    set_word(&mut header, 10, sum);
    header
}

#[inline]
fn v4(head: &[u8; IPV4_HEADER + 8], at: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(crate::header::long(head, at))
}

#[inline]
fn v6(head: &[u8; IPV6_HEADER + 8], at: usize) -> Ipv6Addr {
    super::read_v6::address(head, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        HEADROOM,
        translate::{Done, Mapped, read_v4, read_v6},
    };
    use proptest::prelude::*;

    /// A packet with a header of either family, whose sums need not be right.
    fn packet(head: &[u8], protocol_at: usize, mut body: Vec<u8>, total: bool) -> Vec<u8> {
        if head[protocol_at] == UDP && body.len() >= 8 {
            let length = u16::try_from(body.len()).unwrap();
            set_word(&mut body, 4, length);
        }
        if head[protocol_at] == TCP && body.len() >= 13 {
            body[12] = 0x50;
        }
        let mut packet = [head, &body].concat();
        let length = if total { packet.len() } else { body.len() };
        let length = u16::try_from(length).unwrap();
        set_word(&mut packet, if total { 2 } else { 4 }, length);
        packet
    }

    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => prop::collection::vec(1_u8..255, 0..80),
            1 => prop::collection::vec(1_u8..255, 1_200..1_500),
        ]
    }

    fn translator() -> Translator {
        Translator::new(Config {
            ipv6_mtu: 1_400,
            ipv4_mtu: 1_400,
            ..Config::default()
        })
        .unwrap()
    }

    proptest! {
        /// Where the short way takes a packet it makes of it what the long way does.
        #[test]
        fn to_v6_as_the_long_way(
            body in bodies(),
            protocol in prop::sample::select(vec![1_u8, TCP, UDP, 47]),
            bits in prop::sample::select(vec![0_u16, 0x4000, 0x2000, 0x0010]),
            class in any::<u8>(),
            pair in any::<(u128, u128)>(),
        ) {
            let bits = bits.to_be_bytes();
            let head = [0x45, class, 0, 0, 1, 2, bits[0], bits[1], 9, protocol, 0, 0, 192, 0, 2, 1, 10, 1, 2, 3];
            let mut bytes = packet(&head, 9, body, true);
            let sum = checksum::checksum(&bytes[..20]);
            set_word(&mut bytes, 10, sum);
            let pair = Pair { source: pair.0.to_be_bytes().into(), destination: pair.1.to_be_bytes().into() };
            let mut short = [&[0; HEADROOM][..], &bytes].concat();
            let mut long = short.clone();
            let range = HEADROOM..short.len();
            let mut slot = Slot::new(&mut short, range.clone());
            if !translator().plain_to_v6(&mut slot, pair) {
                prop_assert_eq!(slot.bytes(), &bytes[..]);
                return Ok(());
            }
            let mut other = Slot::new(&mut long, range);
            let incoming = read_v4(other.bytes()).unwrap();
            let mapped = Mapped { outer: pair, quoted: None };
            prop_assert_eq!(translator().to_v6(&mut other, &incoming, &mapped), Ok(Done::InPlace));
            prop_assert_eq!(slot.bytes(), other.bytes());
        }

        #[test]
        fn to_v4_as_the_long_way(
            body in bodies(),
            protocol in prop::sample::select(vec![58_u8, TCP, UDP, 44, 60]),
            class in any::<u8>(),
            ends in any::<(u64, u64)>(),
            cut in 0_usize..4,
        ) {
            let mut head = [0_u8; 40];
            (head[0], head[1], head[6], head[7]) = (0x60 | class >> 4, class << 4, protocol, 9);
            head[8..16].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 1]);
            head[16..24].copy_from_slice(&ends.0.to_be_bytes());
            head[24..32].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 2]);
            head[32..40].copy_from_slice(&ends.1.to_be_bytes());
            let mut bytes = packet(&head, 6, body, false);
            bytes.truncate(bytes.len() - if cut == 3 { 1 } else { 0 });
            let pair = Pair { source: Ipv4Addr::new(0, 0, 0, 7), destination: Ipv4Addr::new(192, 0, 2, 1) };
            let mut short = [&[0; HEADROOM][..], &bytes].concat();
            let mut long = short.clone();
            let range = HEADROOM..short.len();
            let mut slot = Slot::new(&mut short, range.clone());
            if !translator().plain_to_v4(&mut slot, pair) {
                prop_assert_eq!(slot.bytes(), &bytes[..]);
                return Ok(());
            }
            let mut other = Slot::new(&mut long, range);
            let incoming = read_v6(other.bytes()).unwrap();
            let mapped = Mapped { outer: pair, quoted: None };
            prop_assert_eq!(translator().to_v4(&mut other, &incoming, &mapped, 0), Ok(Done::InPlace));
            prop_assert_eq!(slot.bytes(), other.bytes());
        }
    }
}
