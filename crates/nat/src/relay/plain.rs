//! The usual packet on a short way: TCP or UDP, whole, without options and extension headers, not
//! too large, and between a customer and the Internet. Whatever is unusual about a packet sends it
//! the long way, which decides the same: a property here says so.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Relay, Step};
use crate::{
    Offload, Side, Slot,
    checksum::is_right,
    header::{TCP, UDP, long, word},
    translate::{
        Fields, IPV4_HEADER, LEAST_IPV6_MTU, MAY_BE_CUT, Pair, Prefix, Translator, address,
        ipv4_header, ipv6_header, is_host_v4, is_host_v6, readdress, sum_v4, sum_v6,
    },
    tunnel::{self, HEADER, Template},
};

/// What is read of a plain IPv4 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plain {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    source_port: u16,
    destination_port: u16,
    total: usize,
    class: u8,
    hops: u8,
    protocol: u8,
    dont_fragment: bool,
}

impl Plain {
    #[inline]
    fn read(data: &[u8]) -> Option<Self> {
        let head = data.first_chunk::<28>()?;
        let (ip, _) = head.split_first_chunk::<20>()?;
        let total = usize::from(word(head, 2));
        let is_whole = word(head, 6) & 0x3FFF == 0;
        // As many bytes as the transport's header has, and those of UDP within the packet.
        let is_there = is_there(head[9], total.saturating_sub(20), word(head, 24));
        let is_plain = head[0] == 0x45 && is_whole && is_there && total <= data.len();
        if !is_plain || !is_right(ip) {
            return None;
        }
        Some(Self {
            source: long(head, 12).into(),
            destination: long(head, 16).into(),
            source_port: word(head, 20),
            destination_port: word(head, 22),
            total,
            class: head[1],
            hops: head[8],
            protocol: head[9],
            dont_fragment: head[6] & 0x40 != 0,
        })
    }
}

/// What is read of a plain IPv6 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plain6 {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    source_port: u16,
    payload: usize,
    class: u8,
    hops: u8,
    protocol: u8,
}

impl Plain6 {
    #[inline]
    fn read(data: &[u8]) -> Option<Self> {
        let head = data.first_chunk::<48>()?;
        let payload = usize::from(word(head, 4));
        let is_plain = head[0] >> 4 == 6
            && HEADER + payload <= data.len()
            && is_there(head[6], payload, word(head, 44));
        is_plain.then(|| Self {
            source: address(head, 8),
            destination: address(head, 24),
            source_port: word(head, 40),
            payload,
            class: tunnel::class(head),
            hops: head[7],
            protocol: head[6],
        })
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

impl Relay {
    #[inline]
    pub(super) fn plain(&mut self, from: Side, slot: &mut Slot<'_>) -> Option<Step> {
        match (from, self.translation) {
            (Side::Inside, None) => self.unwrap_plain(slot),
            (Side::Outside, None) => self.wrap_plain(slot),
            (Side::Inside, Some((prefix, translator))) => {
                self.translate_out_plain(prefix, &translator, slot)
            }
            (Side::Outside, Some((prefix, translator))) => {
                self.translate_in_plain(prefix, &translator, slot)
            }
        }
    }

    /// Out of a softwire to the outside.
    #[inline]
    fn unwrap_plain(&self, slot: &mut Slot<'_>) -> Option<Step> {
        let bytes = slot.bytes();
        let (end, _) = tunnel::plain(bytes, self.config.address)?;
        let class = tunnel::class(bytes);
        let payload = usize::from(word(bytes, 4));
        let plain = Plain::read(bytes.get(HEADER..HEADER + payload)?)?;
        let is_own = self.holders.find(plain.source, Some(plain.source_port)) == Some(end);
        let leaves = is_host_v4(plain.destination)
            && !self.holders.cover(plain.destination)
            && plain.total <= usize::from(self.config.mtu.outside);
        // Where the class or a mark of congestion differs, it is carried over on the long way.
        if !is_own || !leaves || class != plain.class {
            return None;
        }
        let start = slot.packet.start + HEADER;
        slot.packet = start..start + plain.total;
        Some(Step::Forward(Side::Outside))
    }

    /// From the outside into a softwire.
    #[inline]
    fn wrap_plain(&self, slot: &mut Slot<'_>) -> Option<Step> {
        let plain = Plain::read(slot.bytes())?;
        let end = self
            .holders
            .find(plain.destination, Some(plain.destination_port))?;
        let is_stranger = is_host_v4(plain.source) && !self.holders.cover(plain.source);
        let fits = HEADER + plain.total <= usize::from(self.config.mtu.inside);
        if !is_stranger || !fits || slot.offload != Offload::None {
            return None;
        }
        let template = Template {
            source: self.config.address,
            destination: end,
            class: plain.class,
            hop_limit: self.config.hop_limit,
        };
        let start = slot.packet.start;
        let place = start.checked_sub(HEADER)?;
        let header = slot.buffer.get_mut(place..start)?;
        header.copy_from_slice(&template.with_payload(plain.total));
        slot.packet = place..start + plain.total;
        Some(Step::Forward(Side::Inside))
    }

    /// From IPv6 to IPv4.
    #[inline]
    fn translate_out_plain(
        &mut self,
        prefix: Prefix,
        translator: &Translator,
        slot: &mut Slot<'_>,
    ) -> Option<Step> {
        let plain = Plain6::read(slot.bytes())?;
        let destination = prefix.extract(plain.destination)?;
        let source = self.holders.address_of(plain.source).ok()?;
        let is_own = is_host_v6(plain.source)
            && self.holders.find(source, Some(plain.source_port)) == Some(plain.source);
        let leaves = is_host_v4(destination)
            && prefix.allows(destination)
            && !self.holders.cover(destination);
        let total = IPV4_HEADER + plain.payload;
        let fits = total <= usize::from(self.config.mtu.outside);
        let config = translator.config();
        let is_plain = slot.offload == Offload::None && config.type_of_service.is_none();
        if !is_own || !leaves || !fits || !is_plain {
            return None;
        }
        let start = slot.packet.start + HEADER - IPV4_HEADER;
        let end = start + total;
        let place = slot.buffer.get_mut(start..end)?;
        let pair = Pair {
            source,
            destination,
        };
        let identification = self.identification(&pair, plain.protocol);
        let header = ipv4_header(Fields {
            class: plain.class,
            total: u16::try_from(total).ok()?,
            identification,
            // RFC 7915 §5.1.
            fragmentation: if total <= MAY_BE_CUT { 0 } else { 0x4000 },
            hops: plain.hops,
            protocol: plain.protocol,
            pair,
        });
        let (before, payload) = place.split_at_mut_checked(IPV4_HEADER)?;
        before.copy_from_slice(&header);
        let old = sum_v6(plain.source, plain.destination);
        let new = sum_v4(source, destination);
        readdress(payload, plain.protocol, old, new, Offload::None);
        slot.packet = start..end;
        Some(Step::Forward(Side::Outside))
    }

    /// From IPv4 to IPv6.
    #[inline]
    fn translate_in_plain(
        &self,
        prefix: Prefix,
        translator: &Translator,
        slot: &mut Slot<'_>,
    ) -> Option<Step> {
        let plain = Plain::read(slot.bytes())?;
        let end = self
            .holders
            .find(plain.destination, Some(plain.destination_port))?;
        let is_stranger = is_host_v4(plain.source)
            && prefix.allows(plain.source)
            && !self.holders.cover(plain.source);
        let size = plain.total + HEADER - IPV4_HEADER;
        let may_be_larger = plain.dont_fragment && size <= usize::from(self.config.mtu.inside);
        let fits = size <= usize::from(LEAST_IPV6_MTU) || may_be_larger;
        let config = translator.config();
        let is_plain = slot.offload == Offload::None && config.traffic_class.is_none();
        let start = slot.packet.start;
        let place = (start + IPV4_HEADER).checked_sub(HEADER)?;
        let packet = slot.buffer.get_mut(place..start + plain.total)?;
        let (before, payload) = packet.split_at_mut_checked(HEADER)?;
        // RFC 7915 §4.5: a checksum that is missing is the long way's.
        let is_summed = plain.protocol != UDP || word(payload, 6) != 0;
        if !is_stranger || !fits || !is_plain || !is_summed {
            return None;
        }
        let pair = Pair {
            source: prefix.embed(plain.source),
            destination: end,
        };
        let length = payload.len();
        let header = ipv6_header(plain.class, length, plain.protocol, plain.hops, pair);
        before.copy_from_slice(&header);
        let old = sum_v4(plain.source, plain.destination);
        let new = sum_v6(pair.source, pair.destination);
        readdress(payload, plain.protocol, old, new, Offload::None);
        slot.packet = place..place + size;
        Some(Step::Forward(Side::Inside))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        HEADROOM, Output, RelayConfig, checksum::checksum, header::set_word, relay::Relay,
    };
    use portledger_model::{MapRule, PortParameters, PortSet, SoftwireBinding, Timestamp};

    const END: &str = "2001:db8:12:3400:0:c000:212:34";
    const RELAY: &str = "2001:db8:ffff::1";

    fn configs() -> [RelayConfig; 3] {
        let rule = MapRule::new(
            "2001:db8::/40".parse().unwrap(),
            "192.0.2.0/24".parse().unwrap(),
            16,
            6,
        );
        let rules = vec![rule.unwrap()];
        let prefix = Prefix::new("2001:db8:ffff::".parse().unwrap(), 64).unwrap();
        let binding = SoftwireBinding {
            b4: END.parse().unwrap(),
            ipv4: Ipv4Addr::new(192, 0, 2, 18),
            ports: PortSet::Psid(PortParameters::new(6, 8).unwrap(), 0x34),
        };
        [
            RelayConfig::map_e(rules.clone(), RELAY.parse().unwrap()),
            RelayConfig::map_t(rules, prefix, RELAY.parse().unwrap()),
            RelayConfig::lw4o6(vec![binding], RELAY.parse().unwrap()),
        ]
    }

    fn ipv4(outward: bool, port: u16, protocol: u8, payload: usize) -> Vec<u8> {
        let own = [192, 0, 2, 18];
        let other = [198, 51, 100, 7];
        let length = u16::try_from(28 + payload).unwrap();
        let mut packet = vec![0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 64, protocol, 0, 0];
        set_word(&mut packet, 2, length);
        packet.extend(if outward {
            [own, other].concat()
        } else {
            [other, own].concat()
        });
        let port = port.to_be_bytes();
        packet.extend(if outward {
            [port, [0, 53]].concat()
        } else {
            [[0, 53], port].concat()
        });
        packet.extend((length - 20).to_be_bytes());
        packet.extend([0xAB, 0xCD]);
        packet.extend(std::iter::repeat_n(0x50, payload));
        packet
    }

    fn ipv6(next: u8, to: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
        let pair = Pair {
            source: END.parse().unwrap(),
            destination: to,
        };
        let header = ipv6_header(0, payload.len(), next, 64, pair);
        [&header[..], payload].concat()
    }

    /// What becomes of a packet, with or without the short way.
    fn carried(config: &RelayConfig, short: bool, from: Side, packet: &[u8]) -> (Vec<u8>, String) {
        let mut relay = Relay::new(config.clone(), [3; 32]).unwrap();
        relay.has_short_way &= short;
        let mut buffer = [&[0; HEADROOM][..], packet].concat();
        let range = HEADROOM..buffer.len();
        let mut slots = [Slot::new(&mut buffer, range)];
        let mut output = Output::default();
        relay.batch(Timestamp::from_secs(9), from, &mut slots, &mut output);
        let [slot] = slots;
        let told = format!("{:?} {:?}", slot.verdict, output.packets);
        (slot.bytes().to_vec(), told)
    }

    proptest! {
        /// Usual packets, some of which are changed in a few places: all of them go the same way.
        #[test]
        fn the_short_way_leads_where_the_long_one_does(
            which in 0_usize..3,
            outward in any::<bool>(),
            port in prop_oneof![Just(1_232_u16), Just(1_236), Just(80)],
            protocol in prop_oneof![Just(TCP), Just(UDP), Just(1_u8), Just(47)],
            payload in prop_oneof![0_usize..100, 1_180_usize..1_600],
            fragmentation in prop_oneof![Just(0x4000_u16), Just(0), Just(0x2000), Just(5)],
            changes in prop::collection::vec((0_usize..80, any::<u8>()), 0..3),
            mend in any::<bool>(),
        ) {
            let config = &configs()[which];
            let is_translated = which == 1;
            let mut inner = ipv4(outward, port, protocol, payload);
            set_word(&mut inner, 6, fragmentation);
            let sum = |packet: &mut [u8]| {
                set_word(packet, 10, 0);
                let sum = checksum(&packet[..20]);
                set_word(packet, 10, sum);
            };
            sum(&mut inner);
            let mut packet = match (outward, is_translated) {
                (false, _) => inner,
                (true, false) => ipv6(4, RELAY.parse().unwrap(), &inner),
                (true, true) => {
                    let to = "2001:db8:ffff:0:c6:3364:700:0".parse().unwrap();
                    ipv6(protocol, to, &inner[20..])
                }
            };
            for (at, value) in changes {
                if let Some(byte) = packet.get_mut(at) {
                    *byte = value;
                }
            }
            if mend && !outward && packet[0] == 0x45 {
                sum(&mut packet);
            }
            let from = if outward { Side::Inside } else { Side::Outside };
            let short = carried(config, true, from, &packet);
            prop_assert_eq!(short, carried(config, false, from, &packet));
        }
    }

    /// Or the property above would hold for want of packets that go it.
    #[test]
    fn usual_packets_go_the_short_way() {
        for (which, config) in configs().iter().enumerate() {
            let mut relay = Relay::new(config.clone(), [3; 32]).unwrap();
            for outward in [true, false] {
                let mut inner = ipv4(outward, 1_232, UDP, 30);
                let sum = checksum(&inner[..20]);
                set_word(&mut inner, 10, sum);
                let packet = match (outward, which) {
                    (false, _) => inner,
                    (true, 1) => {
                        let to = "2001:db8:ffff:0:c6:3364:700:0".parse().unwrap();
                        ipv6(UDP, to, &inner[20..])
                    }
                    (true, _) => ipv6(4, RELAY.parse().unwrap(), &inner),
                };
                let mut buffer = [&[0; HEADROOM][..], &packet].concat();
                let range = HEADROOM..buffer.len();
                let mut slot = Slot::new(&mut buffer, range);
                let from = if outward { Side::Inside } else { Side::Outside };
                assert!(relay.plain(from, &mut slot).is_some(), "{which} {outward}");
            }
        }
    }
}
