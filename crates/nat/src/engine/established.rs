//! The short way: a segment of an established TCP connection.

use portledger_model::Transport;
use portledger_ports::{EventNumber, RealmIndex};

use super::Nat;
use crate::{
    Offload, Packet, Side, Verdict,
    checksum::is_right,
    header::{Ends, TCP, TcpFlags, word},
    mapping::{Kind, Pending},
    rewrite::{self, End},
    tcp::State,
    wheel::NONE,
};

/// What an established connection has for its own end on the other side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OtherEnd {
    pub(crate) address: u32,
    pub(crate) port: u16,
    pub(crate) realm: RealmIndex,
}

impl Nat {
    /// Translates a whole segment that changes nothing but the time of its connection's last
    /// packet: by far the most frequent packet. Whatever else the long way checks was checked when
    /// the connection was opened between the same ends. `false` where the packet is no such
    /// segment: then nothing has been done.
    #[inline]
    pub(super) fn established(
        &mut self,
        from: Side,
        packet: &mut Packet<'_>,
        ends: &Ends,
        candidate: u32,
    ) -> bool {
        let length = packet.data.len();
        let Some(head) = packet.data.first_chunk_mut::<40>() else {
            return false;
        };
        if candidate == NONE || !self.is_plain(from, head, length, packet.offload) {
            return false;
        }
        let Some(other) = self.established_end(from, candidate, packet.realm, ends) else {
            return false;
        };
        let to = match from {
            Side::Inside => {
                self.leave_segment(head, other, ends.destination, packet.offload);
                Side::Outside
            }
            Side::Outside => {
                let OtherEnd { address, port, .. } = other;
                rewrite::set_segment_end(head, End::Destination, address, port, packet.offload);
                Side::Inside
            }
        };
        packet.realm = other.realm;
        packet.verdict = Verdict::Forward {
            to,
            realm: packet.realm,
            after: EventNumber(0),
        };
        true
    }

    /// The other name of the NAT's own end of an established connection, of which it is noted that
    /// a packet came: of the source of one from the inside, of the destination of one from the
    /// outside. `None` where `candidate` is not its mapping.
    #[inline]
    pub(crate) fn established_end(
        &mut self,
        from: Side,
        candidate: u32,
        realm: RealmIndex,
        ends: &Ends,
    ) -> Option<OtherEnd> {
        let source = (ends.source, ends.source_port);
        let destination = (ends.destination, ends.destination_port);
        let (own, peer) = match from {
            Side::Inside => (source, destination),
            Side::Outside => (destination, source),
        };
        // Hairpinned connections concern two mappings; their peer is external.
        if self.ports.is_external(peer.0.into()) {
            return None;
        }
        let (tick, now) = (self.tick, self.now);
        let mapping = self.table.candidate_mut(candidate)?;
        let internal = (mapping.internal, mapping.internal_port);
        let external = (mapping.external, mapping.external_port);
        let (is_mine, (address, port)) = match from {
            Side::Inside => (internal == own && mapping.realm == realm, external),
            Side::Outside => (external == own, internal),
        };
        let first = &mut mapping.first;
        let is_established = is_mine
            && mapping.transport == Transport::Tcp
            && mapping.kind != Kind::Vacant
            && mapping.pending == Pending::NONE
            && first.state == State::Established
            && (first.peer, first.peer_port) == peer;
        if !is_established {
            return None;
        }
        first.last = tick;
        let realm = mapping.realm;
        if mapping.touched != tick {
            mapping.touched = tick;
            let block = mapping.block;
            self.ports.touch(now, block);
        }
        Some(OtherEnd {
            address,
            port,
            realm,
        })
    }

    /// Gives a segment that goes out to `peer` its external end.
    #[inline]
    pub(crate) fn leave_segment(
        &mut self,
        head: &mut [u8; 40],
        external: OtherEnd,
        peer: u32,
        offload: Offload,
    ) {
        let OtherEnd { address, port, .. } = external;
        rewrite::set_segment_end(head, End::Source, address, port, offload);
        if word(head, 6) & 0x4000 == 0 {
            // An identification that means something is the NAT's to choose (RFC 6864 §5.3.1).
            let identification = self.next_identification(address, peer, TCP);
            rewrite::set_identification(head, identification);
        }
    }

    /// Whether a packet whose [`Ends`] were seen is a well-formed, whole TCP segment that fits the
    /// next link and opens, closes or resets nothing.
    pub(crate) fn is_plain(
        &self,
        from: Side,
        head: &[u8; 40],
        length: usize,
        offload: Offload,
    ) -> bool {
        let total = usize::from(word(head, 2));
        let fragmentation = word(head, 6);
        let (mtu, is_whole) = match from {
            Side::Inside => (self.config.mtu.outside, fragmentation & 0x3FFF == 0),
            // What may be fragmented may have to be (RFC 7915 §4).
            Side::Outside if fragmentation & 0x4000 == 0 => {
                (self.cut_inside, fragmentation & 0x3FFF == 0)
            }
            Side::Outside => (self.config.mtu.inside, fragmentation & 0x3FFF == 0),
        };
        let fits = match offload {
            Offload::None | Offload::Checksum => total <= usize::from(mtu),
            Offload::Segments(_) => mtu == u16::MAX,
        };
        let (ip, _) = head
            .split_first_chunk::<20>()
            .map_or((&[0; 20], &[][..]), |split| split);
        head[9] == TCP
            && is_whole
            && fits
            && (40..=length).contains(&total)
            && head[32] >> 4 >= 5
            && TcpFlags(head[33]).is_plain()
            && is_right(ip)
    }
}
