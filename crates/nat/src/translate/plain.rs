//! The short way: a whole TCP segment or UDP datagram that needs nothing but another header. What
//! it says is read once, whoever maps addresses decides by that, and then it is written.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    LEAST_IPV6_MTU, Pair, Translator,
    headers::{Fields, IPV4_HEADER, dont_fragment, ipv4_header, may_be_cut},
    transport::{as_read_v4, as_read_v6},
};
use crate::{
    Offload, Slot,
    checksum::{Exchange, is_right},
    header::{TCP, UDP, long, set_word, word},
    ipv6::{self, HEADER as IPV6_HEADER},
    rewrite::checksum_at,
};

/// What a whole IPv4 packet without options says that carries TCP or UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plain4 {
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) total: usize,
    pub(crate) class: u8,
    pub(crate) hops: u8,
    pub(crate) protocol: u8,
    pub(crate) dont_fragment: bool,
    /// Whether its transport has a checksum (RFC 768: UDP may do without).
    is_summed: bool,
}

impl Plain4 {
    #[inline]
    pub(crate) fn read(data: &[u8]) -> Option<Self> {
        let head = data.first_chunk::<28>()?;
        let (ip, _) = head.split_first_chunk::<20>()?;
        let total = usize::from(word(head, 2));
        let is_whole = word(head, 6) & 0x3FFF == 0;
        let is_there = is_there(head[9], total.saturating_sub(IPV4_HEADER), word(head, 24));
        let is_plain = head[0] == 0x45 && is_whole && is_there && total <= data.len();
        (is_plain && is_right(ip)).then(|| Self::of_checked(head))
    }

    /// What a packet says that is known to be a plain one.
    #[inline]
    pub(crate) fn of_checked(head: &[u8; 28]) -> Self {
        Self {
            source: long(head, 12).into(),
            destination: long(head, 16).into(),
            source_port: word(head, 20),
            destination_port: word(head, 22),
            total: usize::from(word(head, 2)),
            class: head[1],
            hops: head[8],
            protocol: head[9],
            dont_fragment: head[6] & 0x40 != 0,
            is_summed: head[9] != UDP || word(head, 26) != 0,
        }
    }
}

/// What an IPv6 packet without extension headers says that carries TCP or UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plain6 {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) payload: usize,
    pub(crate) class: u8,
    pub(crate) hops: u8,
    pub(crate) protocol: u8,
}

impl Plain6 {
    #[inline]
    pub(crate) fn read(data: &[u8]) -> Option<Self> {
        let head = data.first_chunk::<48>()?;
        let payload = usize::from(word(head, 4));
        let is_plain = head[0] >> 4 == 6
            && IPV6_HEADER + payload <= data.len()
            && is_there(head[6], payload, word(head, 44));
        is_plain.then(|| Self {
            source: ipv6::address(head, 8),
            destination: ipv6::address(head, 24),
            source_port: word(head, 40),
            destination_port: word(head, 42),
            payload,
            class: ipv6::class(head),
            hops: head[7],
            protocol: head[6],
        })
    }

    /// The length of the packet in IPv4.
    #[inline]
    pub(crate) const fn total(&self) -> usize {
        IPV4_HEADER + self.payload
    }

    /// Whether it may be cut on its way in IPv4, so that its identification means something.
    pub(crate) const fn may_be_cut(&self) -> bool {
        may_be_cut(self.total())
    }
}

/// Whether so many bytes have all of a transport's header; UDP says its length itself.
#[inline]
fn is_there(protocol: u8, bytes: usize, udp_length: u16) -> bool {
    match protocol {
        TCP => bytes >= 20,
        UDP => (8..=bytes).contains(&usize::from(udp_length)),
        _ => false,
    }
}

impl Translator {
    /// Whether a plain packet needs nothing but another header to be IPv6. UDP without a checksum
    /// needs one besides (RFC 7915 §4.5).
    #[inline]
    pub(crate) const fn takes_plain_v4(&self, plain: &Plain4, offload: Offload) -> bool {
        let size = plain.total + IPV6_HEADER - IPV4_HEADER;
        let fits = size <= LEAST_IPV6_MTU as usize
            || (plain.dont_fragment && size <= self.config.ipv6_mtu as usize);
        fits && plain.is_summed && !self.config.counts_as_hop && matches!(offload, Offload::None)
    }

    /// Whether a plain packet needs nothing but another header to be IPv4.
    #[inline]
    pub(crate) const fn takes_plain_v6(&self, plain: &Plain6, offload: Offload) -> bool {
        let total = plain.total();
        let fits = may_be_cut(total) || total <= self.config.ipv4_mtu as usize;
        fits && total <= 65_535 && !self.config.counts_as_hop && matches!(offload, Offload::None)
    }

    /// Makes IPv6 of a plain packet that is taken, with these ends and this destination port.
    /// `false` where the slot has no room: then nothing was done.
    // Addresses that were just made of halves are slow to read whole: inlined, they never lie in
    // memory (4 to 5 ns a packet).
    #[inline(always)]
    pub(crate) fn plain_to_v6(
        &self,
        slot: &mut Slot<'_>,
        plain: &Plain4,
        pair: Pair<Ipv6Addr>,
        port: u16,
    ) -> bool {
        let (payload_at, end) = (
            slot.packet.start + IPV4_HEADER,
            slot.packet.start + plain.total,
        );
        let place = payload_at
            .checked_sub(IPV6_HEADER)
            .and_then(|at| Some((at, slot.buffer.get_mut(at..end)?)));
        let Some((header_at, place)) = place else {
            return false;
        };
        let Some((header, payload)) = place.split_first_chunk_mut::<IPV6_HEADER>() else {
            return false;
        };
        let exchange = Exchange::new(
            as_read_v4(plain.source, plain.destination),
            as_read_v6(pair.source, pair.destination),
        );
        set_word(payload, 2, port);
        update(
            payload,
            plain.protocol,
            exchange.word(plain.destination_port, port),
        );
        let class = self.config.traffic_class.unwrap_or(plain.class);
        *header = ipv6::header(
            class,
            payload.len(),
            plain.protocol,
            plain.hops,
            pair.source,
            pair.destination,
        );
        slot.packet = header_at..end;
        true
    }

    /// Makes IPv4 of a plain packet that is taken, with these ends and this source port. `false`
    /// where there is no such packet in the slot: then nothing was done.
    #[inline]
    pub(crate) fn plain_to_v4(
        &self,
        slot: &mut Slot<'_>,
        plain: &Plain6,
        pair: Pair<Ipv4Addr>,
        port: u16,
        identification: u16,
    ) -> bool {
        let start = slot.packet.start + IPV6_HEADER - IPV4_HEADER;
        let end = start + plain.total();
        let place = slot
            .buffer
            .get_mut(start..end)
            .and_then(<[u8]>::split_first_chunk_mut::<IPV4_HEADER>);
        let Some((header, payload)) = place else {
            return false;
        };
        let exchange = Exchange::new(
            as_read_v6(plain.source, plain.destination),
            as_read_v4(pair.source, pair.destination),
        );
        set_word(payload, 0, port);
        update(
            payload,
            plain.protocol,
            exchange.word(plain.source_port, port),
        );
        let total = plain.total();
        *header = ipv4_header(Fields {
            class: self.config.type_of_service.unwrap_or(plain.class),
            total: u16::try_from(total).unwrap_or(u16::MAX),
            identification,
            fragmentation: dont_fragment(total),
            hops: plain.hops,
            protocol: plain.protocol,
            pair,
        });
        slot.packet = start..end;
        true
    }
}

/// Updates the checksum of a transport's header that is all there.
#[inline]
fn update(payload: &mut [u8], protocol: u8, exchange: Exchange) {
    let at = checksum_at(protocol);
    let old = word(payload, at);
    // RFC 768: zero means that the sender computed none, and a computed zero is sent as all ones.
    if protocol == UDP && old == 0 {
        return;
    }
    let sum = match exchange.apply(old) {
        0 if protocol == UDP => 0xFFFF,
        sum => sum,
    };
    set_word(payload, at, sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        HEADROOM,
        checksum::checksum,
        translate::{Config, Done, Mapped, read_v4, read_v6},
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
            let sum = checksum(&bytes[..20]);
            set_word(&mut bytes, 10, sum);
            let pair = Pair { source: pair.0.to_be_bytes().into(), destination: pair.1.to_be_bytes().into() };
            let mut short = [&[0; HEADROOM][..], &bytes].concat();
            let mut long = short.clone();
            let range = HEADROOM..short.len();
            let mut slot = Slot::new(&mut short, range.clone());
            let Some(plain) = Plain4::read(&bytes).filter(|plain| translator().takes_plain_v4(plain, Offload::None)) else {
                return Ok(());
            };
            prop_assert!(translator().plain_to_v6(&mut slot, &plain, pair, plain.destination_port));
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
            let Some(plain) = Plain6::read(&bytes).filter(|plain| translator().takes_plain_v6(plain, Offload::None)) else {
                return Ok(());
            };
            prop_assert!(translator().plain_to_v4(&mut slot, &plain, pair, plain.source_port, 7));
            let mut other = Slot::new(&mut long, range);
            let incoming = read_v6(other.bytes()).unwrap();
            let mapped = Mapped { outer: pair, quoted: None };
            prop_assert_eq!(translator().to_v4(&mut other, &incoming, &mapped, 7), Ok(Done::InPlace));
            prop_assert_eq!(slot.bytes(), other.bytes());
        }
    }
}
