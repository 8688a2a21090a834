//! From the inside.

use portledger_model::{Limit, Transport};
use portledger_ports::{EventNumber, Handle, Refusal};

use super::{IDENTIFICATIONS, Nat, sessions::Peer, source_endpoint};
use crate::{
    DropReason, IcmpRefusal, Output, Packet, Side, Verdict,
    fragment::DatagramKey,
    header::{Content, Fragment, Header},
    icmp,
    mapping::{InternalKey, Kind, NewMapping, Pending},
    rewrite::{self, End},
    tcp::State,
    wheel::Tick,
};

impl Nat {
    pub(super) fn outbound(
        &mut self,
        packet: &mut Packet<'_>,
        header: &Header,
        candidate: u32,
        output: &mut Output,
    ) -> Result<(), DropReason> {
        if !self.may_send(packet.realm, header.source) {
            return Err(DropReason::NotASubscriber);
        }
        if !is_forwardable(header.destination) {
            return Err(DropReason::NotForwardable);
        }
        if self.is_exempt(header.destination) {
            self.counters.exempt += 1;
            let (realm, after) = (packet.realm, EventNumber(0));
            packet.verdict = Verdict::Forward {
                to: Side::Outside,
                realm,
                after,
            };
            return Ok(());
        }
        // RFC 6598 §4: no packet for a subscriber's own address goes to the Internet.
        if self.is_subscriber(packet.realm, header.destination) {
            return Err(DropReason::NotForwardable);
        }
        match header.content {
            Content::Error => return self.outbound_error(packet, header, output),
            Content::Nothing => return self.later_fragment(Side::Inside, packet, header, output),
            _ => {}
        }
        let realm = packet.realm;
        let translated = self.outbound_first(packet, header, candidate, output);
        if header.fragment == Fragment::First {
            let key = DatagramKey::new(Side::Inside, realm, header);
            self.settle_fragments(key, packet, translated, output);
        }
        translated
    }

    /// A whole packet, or the first fragment of one.
    fn outbound_first(
        &mut self,
        packet: &mut Packet<'_>,
        header: &Header,
        candidate: u32,
        output: &mut Output,
    ) -> Result<(), DropReason> {
        let hairpins = self.ports.is_external(header.destination.into());
        let to = if hairpins {
            Side::Inside
        } else {
            Side::Outside
        };
        self.refuse_too_big(Side::Inside, to, packet, header, output)?;
        let number = self.outbound_mapping(packet, header, candidate, output)?;
        self.outbound_session(number, header)?;
        self.touch(number);
        let after = self.pending(number);
        let mapping = self.table.get(number);
        let (external, port) = (mapping.external, mapping.external_port);
        rewrite::set_end(
            packet.data,
            header,
            End::Source,
            external,
            port,
            packet.offload,
        );
        if !header.is_atomic() {
            let new = self.next_identification(external, header.destination, header.protocol);
            rewrite::set_identification(packet.data, new);
        }
        if hairpins {
            // RFC 4787 REQ-9a: delivered with the sender's external endpoint as its source.
            let header = rewrite::after_set_end(*header, End::Source, external, port);
            return self.hairpin(packet, &header, after, output);
        }
        self.send(packet, header, Side::Outside, after, output)
    }

    fn outbound_mapping(
        &mut self,
        packet: &Packet<'_>,
        header: &Header,
        candidate: u32,
        output: &mut Output,
    ) -> Result<u32, DropReason> {
        let Some((transport, port)) = source_endpoint(&header.content) else {
            return Err(DropReason::Malformed);
        };
        let key = InternalKey::new(packet.realm, transport, header.source, port);
        // The stage's guess is right unless a packet before this one has changed the tables.
        if candidate != crate::wheel::NONE {
            let mapping = self.table.get(candidate);
            if mapping.kind != Kind::Vacant && mapping.key() == key {
                return Ok(candidate);
            }
        }
        if let Some(found) = self.table.find(self.table.hash(key), key) {
            return Ok(found);
        }
        self.open_mapping(packet, header, transport, port)
            .inspect_err(|&reason| {
                self.tell_refusal(reason, packet, output);
            })
    }

    fn open_mapping(
        &mut self,
        packet: &Packet<'_>,
        header: &Header,
        transport: Transport,
        port: u16,
    ) -> Result<u32, DropReason> {
        match header.content {
            Content::Tcp { flags, .. } => {
                State::opened_by(Side::Inside, flags, self.config.tcp_pick_up)
                    .ok_or(DropReason::NotOpening)?;
            }
            // A reply to a query that never came in.
            Content::Query { request: false, .. } => return Err(DropReason::NoMapping),
            _ => {}
        }
        let number = self.table.next_number().ok_or(DropReason::MappingLimit)?;
        let subscriber = self.hosts.subscriber(packet.realm, header.source);
        let opened = self
            .ports
            .open(self.now, subscriber, transport, port, Handle(number))
            .map_err(|refusal| match refusal {
                Refusal::PoolExhausted | Refusal::AddressFull => DropReason::PoolExhausted,
                Refusal::Limit(Limit::Rate) => DropReason::RateLimit,
                Refusal::Limit(_) => DropReason::SubscriberLimit,
                Refusal::NotInRule => DropReason::NotASubscriber,
            })?;
        let number = self.table.insert(NewMapping {
            realm: packet.realm,
            transport,
            internal: header.source,
            internal_port: port,
            external: opened.address.to_bits(),
            external_port: opened.port,
            block: opened.block,
            pending: Pending::on(opened.event),
            kind: Kind::Dynamic,
        });
        self.hosts.hold(header.source);
        self.counters.mappings_opened += 1;
        // Until its first session is noted, which follows at once.
        self.table.schedule(number, Tick::NEVER);
        Ok(number)
    }

    fn outbound_session(&mut self, number: u32, header: &Header) -> Result<(), DropReason> {
        let peer = |port| Peer {
            address: header.destination,
            port,
        };
        match header.content {
            Content::Tcp {
                destination, flags, ..
            } => {
                if flags.syn() && !self.syns.is_empty() {
                    self.answer_held_syn(number, peer(destination));
                }
                self.tcp_session(number, Side::Inside, peer(destination), flags)
            }
            Content::Udp { destination, .. } => self.plain_session(number, peer(destination)),
            Content::Query { identifier, .. } => self.plain_session(number, peer(identifier)),
            Content::Error | Content::Nothing => Err(DropReason::Malformed),
        }
    }

    /// Tells the block of the packet, once a second: RFC 7768 §2 asks which block was idle for
    /// longest, in either direction.
    pub(super) fn touch(&mut self, number: u32) {
        let (tick, now) = (self.tick, self.now);
        let mapping = self.table.get_mut(number);
        if mapping.touched != tick {
            mapping.touched = tick;
            let block = mapping.block;
            self.ports.touch(now, block);
        }
    }

    /// The event that packets of a mapping wait for.
    pub(super) fn pending(&mut self, number: u32) -> EventNumber {
        let durable = self.durable;
        let mapping = self.table.get_mut(number);
        if mapping.pending == Pending::NONE {
            return EventNumber(0);
        }
        let event = mapping.pending.event(durable);
        if event == EventNumber(0) {
            mapping.pending = Pending::NONE;
        }
        event
    }

    /// The next identification for a datagram that may be fragmented. Two subscribers behind one
    /// address may choose the same one at the same time, so the NAT chooses (RFC 6864 §5.3.1).
    pub(crate) fn next_identification(
        &mut self,
        source: u32,
        destination: u32,
        protocol: u8,
    ) -> u16 {
        let ends = u64::from(source) << 32 | u64::from(destination);
        let mixed = (ends ^ u64::from(protocol)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let place = usize::try_from(mixed >> 40).unwrap_or(0) % IDENTIFICATIONS;
        let counter = &mut self.identifications[place];
        *counter = counter.wrapping_add(1);
        *counter
    }

    /// RFC 6888 REQ-11 (B), RFC 5508 REQ-8: the host may be told why it gets no mapping.
    fn tell_refusal(&mut self, reason: DropReason, packet: &Packet<'_>, output: &mut Output) {
        let refused = matches!(
            reason,
            DropReason::PoolExhausted
                | DropReason::SubscriberLimit
                | DropReason::RateLimit
                | DropReason::MappingLimit
        );
        let error = match self.config.icmp_refusal {
            IcmpRefusal::HostUnreachable => icmp::Error::HostUnreachable,
            IcmpRefusal::AdministrativelyProhibited => icmp::Error::AdministrativelyProhibited,
            IcmpRefusal::Silent => return,
        };
        if refused {
            let source = self.config.own_address;
            let realm = packet.realm;
            self.tell_error(Side::Inside, realm, source, error, packet.data, output);
        }
    }
}

/// RFC 1812 §5.3.7, RFC 1122 §3.2.1.3: no packet is forwarded to or from the other addresses.
pub(super) const fn is_forwardable(destination: u32) -> bool {
    let first = destination >> 24;
    first != 0 && first != 127 && first < 224
}
