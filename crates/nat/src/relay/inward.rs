//! From the Internet, or from another customer, to a customer.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Fate, Relay, Step, followed::Key, outward::take_hop, read::read};
use crate::{
    DropReason, Offload, Output, Side, Slot,
    header::{Header, word},
    mss, rewrite,
    translate::{
        Answer, Done, Incoming, Mapped, Pair, Prefix, Refused, Translator, is_host_v4, read_v4,
    },
    tunnel::{self, HEADER, Template},
};

impl Relay {
    /// Carries the IPv4 packet in the slot into the softwire of whoever it is for.
    #[inline]
    pub(super) fn inward(
        &mut self,
        slot: &mut Slot<'_>,
        from: Side,
        output: &mut Output,
    ) -> Result<Step, Refused> {
        match self.translation {
            Some((prefix, translator)) => {
                let incoming = read_v4(slot.bytes())?;
                let Some(end) = self.end_for(&incoming, from, slot)? else {
                    return Ok(Step::Kept);
                };
                self.translate_in(prefix, &translator, &incoming, end, slot, output)
            }
            None => {
                let incoming = read(slot.bytes()).map_err(Refused::silently)?;
                let Some(end) = self.end_for(&incoming, from, slot)? else {
                    return Ok(Step::Kept);
                };
                self.wrap(&incoming, end, slot, output)
            }
        }
    }

    /// The end of the softwire that a packet is for; `None` where it waits for the fragment that
    /// shows its port.
    #[inline]
    fn end_for(
        &mut self,
        incoming: &Incoming<Ipv4Addr>,
        from: Side,
        slot: &Slot<'_>,
    ) -> Result<Option<Ipv6Addr>, Refused> {
        let Incoming { outer, quoted } = incoming;
        if from == Side::Outside {
            // RFC 2827: what is a customer's comes from the inside.
            if !is_host_v4(outer.source) || self.holders.cover(outer.source) {
                return Err(Refused::silently(DropReason::Spoofed));
            }
            if !self.holders.cover(outer.destination) {
                return Err(Refused::silently(DropReason::NotExternal));
            }
        }
        if let Some(quoted) = quoted {
            // RFC 7596 §8.1: an error is for whoever sent what it quotes.
            let port = quoted.ports.map(|(port, _)| port);
            let end = (quoted.source == outer.destination)
                .then(|| self.holders.find(quoted.source, port))
                .flatten();
            let nobody = Refused::silently(DropReason::NoMapping);
            return end.map(Some).ok_or(nobody);
        }
        let destination = outer.destination;
        let decide = |holders: &super::Holders, ports: Option<(u16, u16)>| {
            let port = ports.map(|(_, port)| port);
            holders
                .find(destination, port)
                .map(Fate::Passed)
                .ok_or(DropReason::NoMapping)
        };
        let key = || Key::of_v4(Side::Outside, 0, outer);
        // What hairpins has waited for its first already, if it had to.
        let packet = || (from == Side::Outside).then(|| slot.bytes().to_vec());
        let fate =
            self.by_ports(from, key, outer, packet, decide)
                .map_err(|reason| match reason {
                    // RFC 7596 §6.2.
                    DropReason::NoMapping => Refused::telling(reason, Answer::Unreachable),
                    reason => Refused::silently(reason),
                })?;
        Ok(match fate {
            Some(Fate::Passed(end)) => Some(end),
            _ => None,
        })
    }

    /// RFC 2473 §3.1, §7.2.
    #[inline]
    fn wrap(
        &mut self,
        incoming: &Incoming<Ipv4Addr>,
        end: Ipv6Addr,
        slot: &mut Slot<'_>,
        output: &mut Output,
    ) -> Result<Step, Refused> {
        let outer = &incoming.outer;
        let total = outer.total as usize;
        let start = slot.packet.start;
        let is_large = HEADER + total > usize::from(self.config.mtu.inside);
        if is_large && outer.dont_fragment && self.config.honour_dont_fragment {
            let answer = Answer::TooBig(u32::from(self.config.mtu.inside) - 40);
            let refused = Refused::telling(DropReason::TooBig, answer);
            return Err(refused.unless(incoming.quoted.is_some()));
        }
        if matches!(slot.offload, Offload::Segments(_)) {
            // No device cuts what is wrapped.
            return Err(Refused::silently(DropReason::TooBig));
        }
        if self.config.counts_as_hop && outer.hops <= 1 {
            let refused = Refused::telling(DropReason::HopLimit, Answer::HopsExceeded);
            return Err(refused.unless(incoming.quoted.is_some()));
        }
        let Some(place) = start.checked_sub(HEADER) else {
            return Err(Refused::silently(DropReason::NoRoom));
        };
        let Some(data) = slot.buffer.get_mut(start..start + total) else {
            return Err(Refused::silently(DropReason::Truncated));
        };
        if slot.offload == Offload::Checksum {
            // Behind an IPv6 header the device would not find it.
            let header = Header::parse(data).map_err(Refused::silently)?;
            rewrite::complete_checksum(data, &header);
            slot.offload = Offload::None;
        }
        if self.config.counts_as_hop {
            take_hop(data);
        }
        if let Some(most) = self.config.mss {
            mss::clamp(data, most, slot.offload);
        }
        let template = Template {
            source: self.config.address,
            destination: end,
            // RFC 2983 §3, RFC 6040 §4.1: the class and the mark are those of the packet.
            class: outer.class,
            hop_limit: self.config.hop_limit,
        };
        if is_large {
            let identification = self.identifications.next();
            let pieces = tunnel::cut(data, template, self.config.mtu.inside, identification);
            for piece in pieces {
                self.emit(Side::Inside, piece, output);
            }
            return Ok(Step::Kept);
        }
        let Some(header) = slot.buffer.get_mut(place..start) else {
            return Err(Refused::silently(DropReason::NoRoom));
        };
        header.copy_from_slice(&template.with_payload(total));
        slot.packet = place..start + total;
        Ok(Step::Forward(Side::Inside))
    }

    /// RFC 7599 §8.4.
    #[inline]
    fn translate_in(
        &mut self,
        prefix: Prefix,
        translator: &Translator,
        incoming: &Incoming<Ipv4Addr>,
        end: Ipv6Addr,
        slot: &mut Slot<'_>,
        output: &mut Output,
    ) -> Result<Step, Refused> {
        if !prefix.allows(incoming.outer.source) {
            return Err(Refused::silently(DropReason::WellKnownPrefix));
        }
        let mapped = Mapped {
            outer: Pair {
                source: prefix.embed(incoming.outer.source),
                destination: end,
            },
            quoted: incoming.quoted.map(|quoted| Pair {
                source: end,
                destination: prefix.embed(quoted.destination),
            }),
        };
        if let Some(most) = self.config.mss
            && let Some(data) = slot.buffer.get_mut(slot.packet.clone())
        {
            mss::clamp(data, most, slot.offload);
        }
        match translator.to_v6(slot, incoming, &mapped)? {
            Done::InPlace => Ok(Step::Forward(Side::Inside)),
            Done::Instead(pieces) => {
                for piece in pieces {
                    self.emit(Side::Inside, piece, output);
                }
                Ok(Step::Kept)
            }
        }
    }

    /// Whether an IPv4 packet of the relay's own, such as a message, is for a customer.
    pub(super) fn is_for_customer(&self, packet: &[u8]) -> bool {
        let high = u32::from(word(packet, 16));
        let address = high << 16 | u32::from(word(packet, 18));
        self.holders.cover(Ipv4Addr::from_bits(address))
    }
}
