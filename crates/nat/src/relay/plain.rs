//! The usual packet on a short way: TCP or UDP, whole, without options and extension headers, not
//! too large, and between a customer and the Internet. Whatever is unusual about a packet sends it
//! the long way, which decides the same: a property here says so.

use super::{Relay, Step};
use crate::{
    Offload, Side, Slot,
    translate::{Pair, Plain4, Plain6, Prefix, Translator, is_host_v4, is_host_v6},
    tunnel::{self, HEADER, Template},
};

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
        let inner = tunnel::inner(slot);
        let plain = Plain4::read(slot.buffer.get(inner.clone())?)?;
        let is_own = self.holders.find(plain.source, Some(plain.source_port)) == Some(end);
        let leaves = is_host_v4(plain.destination)
            && !self.holders.cover(plain.destination)
            && plain.total <= usize::from(self.config.mtu.outside);
        // Where the class or a mark of congestion differs, it is carried over on the long way.
        if !is_own || !leaves || class != plain.class {
            return None;
        }
        slot.packet = inner.start..inner.start + plain.total;
        Some(Step::Forward(Side::Outside))
    }

    /// From the outside into a softwire.
    #[inline]
    fn wrap_plain(&self, slot: &mut Slot<'_>) -> Option<Step> {
        let plain = Plain4::read(slot.bytes())?;
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
        let fits = plain.total() <= usize::from(self.config.mtu.outside);
        if !is_own || !leaves || !fits || !translator.takes_plain_v6(&plain, slot.offload) {
            return None;
        }
        let pair = Pair {
            source,
            destination,
        };
        let identification = self.identification(&pair, plain.protocol);
        translator
            .plain_to_v4(slot, &plain, pair, plain.source_port, identification)
            .then_some(Step::Forward(Side::Outside))
    }

    /// From IPv4 to IPv6.
    #[inline]
    fn translate_in_plain(
        &self,
        prefix: Prefix,
        translator: &Translator,
        slot: &mut Slot<'_>,
    ) -> Option<Step> {
        let plain = Plain4::read(slot.bytes())?;
        let end = self
            .holders
            .find(plain.destination, Some(plain.destination_port))?;
        let is_stranger = is_host_v4(plain.source)
            && prefix.allows(plain.source)
            && !self.holders.cover(plain.source);
        if !is_stranger || !translator.takes_plain_v4(&plain, slot.offload) {
            return None;
        }
        let pair = Pair {
            source: prefix.embed(plain.source),
            destination: end,
        };
        translator
            .plain_to_v6(slot, &plain, pair, plain.destination_port)
            .then_some(Step::Forward(Side::Inside))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        HEADROOM, Output, RelayConfig,
        checksum::checksum,
        header::{TCP, UDP, set_word},
        ipv6,
        relay::Relay,
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
        let header = ipv6::header(0, payload.len(), next, 64, END.parse().unwrap(), to);
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
