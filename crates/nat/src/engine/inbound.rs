//! From the outside, and from the inside to the inside.

use portledger_ports::EventNumber;

use super::{Nat, destination_endpoint, outbound::is_forwardable, sessions::Peer};
use crate::{
    DropReason, Offload, Output, Packet, Side, Verdict,
    fragment::{DatagramKey, cut},
    header::{Content, Fragment, Header},
    mapping::Kind,
    rewrite::{self, End},
    wheel::NONE,
};

impl Nat {
    pub(super) fn inbound(
        &mut self,
        packet: &mut Packet<'_>,
        header: &Header,
        candidate: u32,
        output: &mut Output,
    ) -> Result<(), DropReason> {
        if !self.ports.is_external(header.destination.into()) {
            // RFC 6888 REQ-6: what went out untranslated comes back so.
            if self.is_exempt(header.source)
                && let Some(realm) = self.realm_of(header.destination)
            {
                self.counters.exempt += 1;
                packet.verdict = Verdict::Forward {
                    to: Side::Inside,
                    realm,
                    after: EventNumber(0),
                };
                return Ok(());
            }
            return Err(DropReason::NotExternal);
        }
        let is_ours =
            self.realm_of(header.source).is_some() || self.ports.is_external(header.source.into());
        // RFC 1812 §5.3.7: and nothing comes from a group, a loopback or no host at all.
        if is_ours || !is_forwardable(header.source) {
            return Err(DropReason::Spoofed);
        }
        match header.content {
            Content::Error => return self.inbound_error(packet, header, output),
            Content::Nothing => return self.later_fragment(Side::Outside, packet, header, output),
            _ => {}
        }
        let realm = packet.realm;
        let translated = self.inbound_first(packet, header, candidate, output);
        if header.fragment == Fragment::First {
            let key = DatagramKey::new(Side::Outside, realm, header);
            self.settle_fragments(key, packet, translated, output);
        }
        translated
    }

    fn inbound_first(
        &mut self,
        packet: &mut Packet<'_>,
        header: &Header,
        candidate: u32,
        output: &mut Output,
    ) -> Result<(), DropReason> {
        let found = self.inbound_mapping(header, candidate);
        let number = match found {
            Some(number) if self.passes_filter(number, header.source) => number,
            refused => {
                self.hold_syn(packet.data, header);
                let reason = if refused.is_some() {
                    DropReason::Filtered
                } else {
                    DropReason::NoMapping
                };
                return Err(reason);
            }
        };
        // Only now: who reaches nobody is told nothing (RFC 5382 REQ-4).
        self.refuse_too_big(Side::Outside, Side::Inside, packet, header, output)?;
        self.deliver(number, packet, header, EventNumber(0), output)
    }

    /// A packet from the inside to the external endpoint of another subscriber, its source
    /// translated already (RFC 4787 REQ-9, RFC 5382 REQ-8, RFC 5508 REQ-7).
    pub(super) fn hairpin(
        &mut self,
        packet: &mut Packet<'_>,
        header: &Header,
        after: EventNumber,
        output: &mut Output,
    ) -> Result<(), DropReason> {
        let number = self
            .inbound_mapping(header, NONE)
            .ok_or(DropReason::HairpinNoMapping)?;
        if !self.passes_filter(number, header.source) {
            return Err(DropReason::Filtered);
        }
        self.counters.hairpinned += 1;
        self.deliver(number, packet, header, after, output)
    }

    fn deliver(
        &mut self,
        number: u32,
        packet: &mut Packet<'_>,
        header: &Header,
        after: EventNumber,
        output: &mut Output,
    ) -> Result<(), DropReason> {
        let peer = |port| Peer {
            address: header.source,
            port,
        };
        match header.content {
            Content::Tcp { source, flags, .. } => {
                self.tcp_session(number, Side::Outside, peer(source), flags)?;
            }
            Content::Udp { source, .. } => self.plain_inbound(number, peer(source)),
            Content::Query { identifier, .. } => self.plain_inbound(number, peer(identifier)),
            Content::Error | Content::Nothing => return Err(DropReason::Malformed),
        }
        self.touch(number);
        let after = after.max(self.pending(number));
        let mapping = self.table.get(number);
        let (internal, port) = (mapping.internal, mapping.internal_port);
        rewrite::set_end(
            packet.data,
            header,
            End::Destination,
            internal,
            port,
            packet.offload,
        );
        packet.realm = mapping.realm;
        self.send(packet, header, Side::Inside, after, output)
    }

    /// The mapping that a packet is for: by block and offset, or the guess of the stage where
    /// that is still right.
    fn inbound_mapping(&self, header: &Header, candidate: u32) -> Option<u32> {
        let (transport, port) = destination_endpoint(&header.content)?;
        if candidate != NONE {
            let mapping = self.table.get(candidate);
            if mapping.kind != Kind::Vacant
                && (mapping.external, mapping.external_port, mapping.transport)
                    == (header.destination, port, transport)
            {
                return Some(candidate);
            }
        }
        Some(
            self.ports
                .find(header.destination.into(), port, transport)?
                .0,
        )
    }

    /// Sends a translated packet on, in pieces where it is too large for the link.
    pub(super) fn send(
        &mut self,
        packet: &mut Packet<'_>,
        header: &Header,
        to: Side,
        after: EventNumber,
        output: &mut Output,
    ) -> Result<(), DropReason> {
        let realm = packet.realm;
        if self.fits(to, packet, header) {
            packet.verdict = Verdict::Forward { to, realm, after };
            return Ok(());
        }
        // What comes here with this set is what nobody may be told about: an error, or a later
        // fragment (RFC 1122 §3.2.2).
        if header.dont_fragment {
            return Err(DropReason::TooBig);
        }
        let data = &mut packet.data[..header.total];
        match (packet.offload, header.content) {
            (Offload::None, _) => {}
            // Several datagrams, which no device will tell apart in the pieces.
            (Offload::Segments(_), Content::Udp { .. }) => return Err(DropReason::TooBig),
            (_, Content::Tcp { .. } | Content::Udp { .. }) => {
                rewrite::complete_checksum(data, header);
            }
            _ => {}
        }
        let mtu = self.mtu(to, header);
        let pieces = cut(data, header.length, mtu).ok_or(DropReason::TooBig)?;
        for data in pieces {
            self.emit(
                crate::Emitted {
                    data,
                    to,
                    realm,
                    after,
                },
                output,
            );
        }
        packet.verdict = Verdict::Kept;
        Ok(())
    }
}
