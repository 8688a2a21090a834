//! ICMP errors: those of others, translated, and our own.

use std::net::Ipv4Addr;

use portledger_model::Transport;
use portledger_ports::{EventNumber, RealmIndex};

use super::Nat;
use crate::{
    DropReason, Emitted, Offload, Output, Packet, Side,
    header::{Content, Header},
    icmp::{self, Quoted},
    mapping::InternalKey,
    rewrite::{self, End},
};

impl Nat {
    /// An error from the outside about a packet that we sent (RFC 5508 REQ-4). It ends no mapping
    /// and refreshes none (RFC 4787 REQ-12, RFC 5382 REQ-10, RFC 5508 REQ-6), and whoever it
    /// comes from may send it (RFC 4787 REQ-12a).
    pub(super) fn inbound_error(
        &mut self,
        packet: &mut Packet<'_>,
        header: &Header,
        output: &mut Output,
    ) -> Result<(), DropReason> {
        let quoted = quoted(packet, header)?;
        // An error is for whoever sent what it quotes.
        if quoted.source != header.destination {
            return Err(DropReason::NoMapping);
        }
        self.error_to_inside(packet, header, quoted, EventNumber(0), output)
    }

    /// An error from the inside about a packet that we delivered (RFC 5508 REQ-5).
    pub(super) fn outbound_error(
        &mut self,
        packet: &mut Packet<'_>,
        header: &Header,
        output: &mut Output,
    ) -> Result<(), DropReason> {
        let quoted = quoted(packet, header)?;
        let Quoted {
            destination,
            destination_port,
            transport,
            ..
        } = quoted;
        // An error is for whoever sent what it quotes.
        if quoted.source != header.destination {
            return Err(DropReason::NoMapping);
        }
        let number = self
            .find_internal(packet.realm, transport, destination, destination_port)
            .ok_or(DropReason::NoMapping)?;
        let after = self.pending(number);
        let mapping = *self.table.get(number);
        let (external, port) = (mapping.external, mapping.external_port);
        let message = &mut packet.data[header.length..header.total];
        icmp::set_quoted_end(message, &quoted, End::Destination, external, port);
        icmp::finish(message);
        // RFC 5508 REQ-5c: whichever host inside it comes from, outside it comes from the NAT.
        rewrite::set_end(packet.data, header, End::Source, external, 0, Offload::None);
        if self.ports.is_external(header.destination.into()) {
            // RFC 5508 REQ-7: about a packet that was hairpinned.
            let header = rewrite::after_set_end(*header, End::Source, external, 0);
            let quoted = Quoted {
                destination: external,
                destination_port: port,
                ..quoted
            };
            self.counters.hairpinned += 1;
            return self.error_to_inside(packet, &header, quoted, after, output);
        }
        self.send(packet, header, Side::Outside, after, output)
    }

    /// Brings an error to the subscriber whose packet it quotes.
    fn error_to_inside(
        &mut self,
        packet: &mut Packet<'_>,
        header: &Header,
        quoted: Quoted,
        after: EventNumber,
        output: &mut Output,
    ) -> Result<(), DropReason> {
        let Quoted {
            source,
            source_port,
            transport,
            ..
        } = quoted;
        let number = self
            .ports
            .find(source.into(), source_port, transport)
            .ok_or(DropReason::NoMapping)?
            .0;
        let after = after.max(self.pending(number));
        let mapping = *self.table.get(number);
        let (internal, port) = (mapping.internal, mapping.internal_port);
        let message = &mut packet.data[header.length..header.total];
        icmp::set_quoted_end(message, &quoted, End::Source, internal, port);
        icmp::finish(message);
        rewrite::set_end(
            packet.data,
            header,
            End::Destination,
            internal,
            0,
            Offload::None,
        );
        packet.realm = mapping.realm;
        self.send(packet, header, Side::Inside, after, output)
    }

    pub(super) fn find_internal(
        &self,
        realm: RealmIndex,
        transport: Transport,
        address: u32,
        port: u16,
    ) -> Option<u32> {
        let key = InternalKey::new(realm, transport, address, port);
        self.table.find(self.table.hash(key), key)
    }

    /// RFC 4787 REQ-13: a packet that is too large for the next link and must not be cut is
    /// answered, so that its sender learns the size that fits (RFC 1191).
    pub(super) fn refuse_too_big(
        &mut self,
        from: Side,
        to: Side,
        packet: &Packet<'_>,
        header: &Header,
        output: &mut Output,
    ) -> Result<(), DropReason> {
        if !header.dont_fragment || self.fits(to, packet, header) {
            return Ok(());
        }
        let source = match from {
            Side::Inside => self.config.own_address,
            Side::Outside => header.destination.into(),
        };
        let error = icmp::Error::TooBig(self.mtu(to, header));
        self.tell_error(from, packet.realm, source, error, packet.data, output);
        Err(DropReason::TooBig)
    }

    pub(super) const fn mtu(&self, to: Side, header: &Header) -> u16 {
        match to {
            Side::Inside if header.is_atomic() => self.config.mtu.inside,
            Side::Inside => self.cut_inside,
            Side::Outside => self.config.mtu.outside,
        }
    }

    pub(super) fn fits(&self, to: Side, packet: &Packet<'_>, header: &Header) -> bool {
        let size = match packet.offload {
            Offload::None | Offload::Checksum => header.total,
            // The device cuts it: each piece has this much payload behind the same headers.
            Offload::Segments(payload) => {
                let transport = match header.content {
                    Content::Tcp { .. } => usize::from(packet.data[header.length + 12] >> 4) * 4,
                    _ => 8,
                };
                header.length + transport + usize::from(payload)
            }
        };
        size <= usize::from(self.mtu(to, header))
    }

    /// Sends an error about `about` back to where it came from, within the rate.
    pub(super) fn tell_error(
        &mut self,
        to: Side,
        realm: RealmIndex,
        source: Ipv4Addr,
        error: icmp::Error,
        about: &[u8],
        output: &mut Output,
    ) {
        if !self.may_tell() {
            return;
        }
        let data = icmp::error(source, error, about);
        self.emit(
            Emitted {
                data,
                to,
                realm,
                after: EventNumber(0),
            },
            output,
        );
    }
}

fn quoted(packet: &Packet<'_>, header: &Header) -> Result<Quoted, DropReason> {
    icmp::quoted(&packet.data[header.length..header.total])
}
