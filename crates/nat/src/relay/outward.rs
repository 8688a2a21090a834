//! From a customer to the Internet, or to another customer.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Fate, Relay, Step, followed::Key, read::read};
use crate::{
    DropReason, HEADROOM, Offload, Output, Side, Slot, fragment,
    header::word,
    mss,
    reassembly::{self, Piece},
    translate::{
        Answer, Datagram, Incoming, Mapped, Pair, Prefix, Refused, Translator, is_host_v4, read_v6,
    },
    tunnel::{self, Content, Outer, Template},
};

impl Relay {
    pub(super) fn outward(
        &mut self,
        slot: &mut Slot<'_>,
        output: &mut Output,
    ) -> Result<Step, Refused> {
        match self.translation {
            Some((prefix, translator)) => self.translate_out(prefix, &translator, slot, output),
            None => self.unwrap(slot, output),
        }
    }

    /// RFC 7597 §8.1, RFC 7596 §6.2.
    #[inline]
    fn unwrap(&mut self, slot: &mut Slot<'_>, output: &mut Output) -> Result<Step, Refused> {
        if let Some((end, _)) = tunnel::plain(slot.bytes(), self.config.address) {
            let class = tunnel::class(slot.bytes());
            slot.packet = tunnel::inner(slot);
            return self.unwrapped(end, class, slot, output);
        }
        self.unwrap_unusual(slot, output)
    }

    /// A packet with extension headers, a fragment, or one for the relay itself.
    #[cold]
    fn unwrap_unusual(
        &mut self,
        slot: &mut Slot<'_>,
        output: &mut Output,
    ) -> Result<Step, Refused> {
        let Outer {
            source,
            class,
            content,
        } = Outer::parse(slot.bytes(), self.config.address).map_err(Refused::silently)?;
        match content {
            Content::Inner(range) => {
                let start = slot.packet.start;
                slot.packet = start + range.start..start + range.end;
                self.unwrapped(source, class, slot, output)
            }
            Content::Fragment {
                offset,
                more,
                identification,
                payload,
            } => {
                // RFC 2473 §7: what was cut in IPv6 is put together before it is looked at, though
                // not for strangers.
                if !self.holders.know(source) {
                    return Err(spoofed(DropReason::UnknownSoftwire));
                }
                let key = reassembly::Key {
                    realm: 0,
                    source: source.to_bits(),
                    destination: 0,
                    identification,
                };
                let payload = slot.bytes().get(payload).unwrap_or_default();
                let piece = Piece {
                    offset,
                    more,
                    payload,
                };
                let expires = self.now.after(self.config.reassembly.time).as_micros();
                let whole = self
                    .reassembly
                    .add(expires, key, piece)
                    .map_err(Refused::silently)?;
                match whole {
                    Some(whole) => self.unwrapped_whole(source, class, whole, output),
                    None => self.counters.fragments_kept += 1,
                }
                Ok(Step::Kept)
            }
            Content::Error(range) => {
                let message = slot.bytes().get(range).unwrap_or_default().to_vec();
                self.about_tunnel(source, &message, output)
                    .map_err(Refused::silently)?;
                Ok(Step::Kept)
            }
        }
    }

    /// A packet that was put together goes on as one of the relay's own.
    fn unwrapped_whole(
        &mut self,
        end: Ipv6Addr,
        class: u8,
        mut whole: Vec<u8>,
        output: &mut Output,
    ) {
        let range = HEADROOM..whole.len();
        let mut slot = Slot::new(&mut whole, range);
        match self.unwrapped(end, class, &mut slot, output) {
            Ok(Step::Forward(to)) => {
                let data = slot.bytes().to_vec();
                self.emit(to, data, output);
            }
            Ok(Step::Kept) => {}
            Err(refused) => self.counters.count_drop(refused.reason),
        }
    }

    /// The IPv4 packet that came out of the softwire of this end.
    #[inline]
    fn unwrapped(
        &mut self,
        end: Ipv6Addr,
        class: u8,
        slot: &mut Slot<'_>,
        output: &mut Output,
    ) -> Result<Step, Refused> {
        let incoming = read(slot.bytes()).map_err(Refused::silently)?;
        let outer = &incoming.outer;
        if !is_host_v4(outer.destination) {
            return Err(Refused::silently(DropReason::NotForwardable));
        }
        if !self.is_own(end, class, &incoming, slot)? {
            return Ok(Step::Kept);
        }
        let hairpins = self.hairpins(outer.destination)?;
        slot.packet.end = slot.packet.start + outer.total as usize;
        if !hairpins {
            self.refuse_leaving(slot, &incoming, output)?;
        }
        let Some(data) = slot.buffer.get_mut(slot.packet.clone()) else {
            return Err(Refused::silently(DropReason::Truncated));
        };
        tunnel::carry_class(data, class).map_err(Refused::silently)?;
        if hairpins {
            return self.hairpin(slot, output);
        }
        if self.config.counts_as_hop {
            take_hop(data);
        }
        if let Some(most) = self.config.mss {
            mss::clamp(data, most, slot.offload);
        }
        if outer.total > u32::from(self.config.mtu.outside) {
            return self.leave_cut(slot.bytes(), output);
        }
        Ok(Step::Forward(Side::Outside))
    }

    /// Refuses what cannot go on to the outside, and tells its sender through the softwire.
    #[inline]
    fn refuse_leaving(
        &mut self,
        slot: &Slot<'_>,
        incoming: &Incoming<Ipv4Addr>,
        output: &mut Output,
    ) -> Result<(), Refused> {
        let outer = &incoming.outer;
        let mtu = u32::from(self.config.mtu.outside);
        let (reason, answer) = if self.config.counts_as_hop && outer.hops <= 1 {
            (DropReason::HopLimit, Answer::HopsExceeded)
        } else if outer.total > mtu && outer.dont_fragment {
            (DropReason::TooBig, Answer::TooBig(mtu))
        } else {
            return Ok(());
        };
        self.tell_v4(answer, incoming, slot.bytes(), output);
        Err(Refused::silently(reason))
    }

    #[cold]
    fn leave_cut(&mut self, packet: &[u8], output: &mut Output) -> Result<Step, Refused> {
        let header = usize::from(packet.first().map_or(0, |first| first & 0x0F)) * 4;
        let pieces = fragment::cut(packet, header, self.config.mtu.outside)
            .ok_or(Refused::silently(DropReason::TooBig))?;
        for piece in pieces {
            self.emit(Side::Outside, piece, output);
        }
        Ok(Step::Kept)
    }

    /// Whether the packet is from its customer's own address and port; `false` where it waits for
    /// the fragment that shows its port.
    #[inline]
    fn is_own(
        &mut self,
        end: Ipv6Addr,
        class: u8,
        incoming: &Incoming<Ipv4Addr>,
        slot: &Slot<'_>,
    ) -> Result<bool, Refused> {
        let Incoming { outer, quoted } = incoming;
        if let Some(quoted) = quoted {
            // An error is from whoever got what it quotes, and for whoever sent it.
            self.holders
                .permit_address(end, outer.source)
                .map_err(Refused::silently)?;
            let port = quoted.ports.map(|(_, port)| port);
            self.holders
                .permit(end, quoted.destination, port)
                .map_err(Refused::silently)?;
            return Ok(true);
        }
        let source = outer.source;
        let decide = |holders: &super::Holders, ports: Option<(u16, u16)>| {
            let port = ports.map(|(port, _)| port);
            holders
                .permit(end, source, port)
                .map(|()| Fate::Passed(end))
        };
        let key = || Key::of_v4(Side::Inside, end.to_bits(), outer);
        // However it was wrapped, it comes again in the plain way.
        let (destination, hop_limit) = (self.config.address, self.config.hop_limit);
        let packet = || {
            let template = Template {
                source: end,
                destination,
                class,
                hop_limit,
            };
            let inner = slot.bytes().get(..outer.total as usize)?;
            Some([&template.with_payload(inner.len())[..], inner].concat())
        };
        self.by_ports(Side::Inside, key, outer, packet, decide)
            .map(|fate| fate.is_some())
            .map_err(spoofed)
    }

    /// Whether the packet is for another customer, where that is allowed.
    #[inline]
    fn hairpins(&self, destination: Ipv4Addr) -> Result<bool, Refused> {
        let hairpins = self.holders.cover(destination);
        if hairpins && !self.config.hairpinning {
            return Err(Refused::silently(DropReason::HairpinningOff));
        }
        Ok(hairpins)
    }

    /// Out of one softwire and into another (RFC 7596 §6.2). What is refused there is told here,
    /// since the packet is not what it was when it came.
    fn hairpin(&mut self, slot: &mut Slot<'_>, output: &mut Output) -> Result<Step, Refused> {
        let packet = slot.packet.clone();
        self.inward(slot, Side::Inside, output)
            .inspect(|_| self.counters.hairpinned += 1)
            .map_err(|refused| {
                slot.packet = packet;
                if let Some(answer) = refused.answer
                    && let Ok(incoming) = read(slot.bytes())
                {
                    let about = slot.bytes().to_vec();
                    self.tell_v4(answer, &incoming, &about, output);
                }
                Refused::silently(refused.reason)
            })
    }

    /// RFC 7599 §8.3.
    #[inline]
    fn translate_out(
        &mut self,
        prefix: Prefix,
        translator: &Translator,
        slot: &mut Slot<'_>,
        output: &mut Output,
    ) -> Result<Step, Refused> {
        let incoming = read_v6(slot.bytes())?;
        let Some(destination) = prefix.extract(incoming.outer.destination) else {
            return Err(Refused::silently(DropReason::NotATunnel));
        };
        if !is_host_v4(destination) {
            return Err(Refused::silently(DropReason::NotForwardable));
        }
        if !prefix.allows(destination) {
            return Err(Refused::silently(DropReason::WellKnownPrefix));
        }
        let Some(mapped) = self.mapped_out(prefix, &incoming, destination, slot)? else {
            return Ok(Step::Kept);
        };
        let hairpins = self.hairpins(destination)?;
        let identification = self.identification(&mapped.outer, incoming.outer.protocol);
        translator.to_v4(slot, &incoming, &mapped, identification)?;
        let Some(data) = slot.buffer.get_mut(slot.packet.clone()) else {
            return Err(Refused::silently(DropReason::NoRoom));
        };
        if let Some(most) = self.config.mss {
            mss::clamp(data, most, slot.offload);
        }
        if hairpins {
            return self.hairpin(slot, output);
        }
        // Larger than the next link is only what may be cut.
        let is_large = data.len() > usize::from(self.config.mtu.outside);
        if is_large && slot.offload == Offload::None {
            return self.leave_cut(slot.bytes(), output);
        }
        Ok(Step::Forward(Side::Outside))
    }

    /// The IPv4 addresses of a customer's packet, once they are found to be its own; `None` where
    /// it waits for the fragment that shows its port.
    #[inline]
    fn mapped_out(
        &mut self,
        prefix: Prefix,
        incoming: &Incoming<Ipv6Addr>,
        destination: Ipv4Addr,
        slot: &Slot<'_>,
    ) -> Result<Option<Mapped<Ipv4Addr>>, Refused> {
        let Incoming { outer, quoted } = incoming;
        if let Some(quoted) = quoted {
            return self.mapped_error_out(prefix, outer, quoted, destination);
        }
        let end = outer.source;
        let source = self.holders.address_of(end).map_err(spoofed)?;
        let decide = |holders: &super::Holders, ports: Option<(u16, u16)>| {
            let port = ports.map(|(port, _)| port);
            holders
                .permit(end, source, port)
                .map(|()| Fate::Passed(end))
        };
        let key = || Key::of_v6(outer);
        let fate = self
            .by_ports(
                Side::Inside,
                key,
                outer,
                || Some(slot.bytes().to_vec()),
                decide,
            )
            .map_err(spoofed)?;
        let pair = Pair {
            source,
            destination,
        };
        Ok(fate.map(|_| Mapped {
            outer: pair,
            quoted: None,
        }))
    }

    /// An ICMPv6 error about a packet that was carried to a customer. It may be from any router on
    /// the way, which then has no IPv4 address but the relay's (RFC 6791).
    #[cold]
    fn mapped_error_out(
        &self,
        prefix: Prefix,
        outer: &Datagram<Ipv6Addr>,
        quoted: &Datagram<Ipv6Addr>,
        destination: Ipv4Addr,
    ) -> Result<Option<Mapped<Ipv4Addr>>, Refused> {
        let customer = self
            .holders
            .address_of(quoted.destination)
            .map_err(Refused::silently)?;
        let port = quoted.ports.map(|(_, port)| port);
        self.holders
            .permit(quoted.destination, customer, port)
            .map_err(Refused::silently)?;
        // An error is for whoever sent what it quotes.
        if prefix.extract(quoted.source) != Some(destination) {
            return Err(Refused::silently(DropReason::NoMapping));
        }
        let source = if outer.source == quoted.destination {
            customer
        } else {
            self.config.own_address
        };
        Ok(Some(Mapped {
            outer: Pair {
                source,
                destination,
            },
            quoted: Some(Pair {
                source: destination,
                destination: customer,
            }),
        }))
    }

    /// An identification for an IPv4 packet that brings none (RFC 6864 §4.3: different within the
    /// time that a packet lives, for the same ends).
    #[inline]
    pub(super) fn identification(&mut self, pair: &Pair<Ipv4Addr>, protocol: u8) -> u16 {
        let ends = u64::from(pair.source.to_bits()) << 32 | u64::from(pair.destination.to_bits());
        let mixed = (ends ^ u64::from(protocol)).wrapping_mul(self.key);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let place = (mixed >> 53) as usize % super::COUNTERS;
        let first = (mixed >> 16) as u16;
        match self.counters_v4.get_mut(place) {
            Some(counter) => {
                *counter = counter.wrapping_add(1);
                first.wrapping_add(*counter)
            }
            None => first,
        }
    }
}

/// A packet whose source is not its customer's own: its sender may be told (RFC 7596 §6.2, RFC
/// 7599 §8.3).
fn spoofed(reason: DropReason) -> Refused {
    match reason {
        DropReason::UnknownSoftwire
        | DropReason::SoftwireAddress
        | DropReason::SoftwireSource
        | DropReason::SoftwirePort => Refused::telling(reason, Answer::SourcePolicy),
        reason => Refused::silently(reason),
    }
}

/// Takes a hop off an IPv4 packet that has more than one left.
pub(super) fn take_hop(data: &mut [u8]) {
    let old = word(data, 8);
    let Some(hops) = data.get_mut(8) else {
        return;
    };
    *hops = hops.saturating_sub(1);
    let delta = crate::checksum::Delta::default().word(old, word(data, 8));
    let sum = delta.apply(word(data, 10));
    crate::header::set_word(data, 10, sum);
}
