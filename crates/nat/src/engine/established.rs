//! The short way: a segment of an established TCP connection.

use portledger_model::Transport;
use portledger_ports::EventNumber;

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
        // Hairpinned connections concern two mappings; their peer is external.
        if candidate == NONE || !self.is_plain(from, head, length, packet.offload) {
            return false;
        }
        let (own, peer, end, to) = match from {
            Side::Inside => (
                (ends.source, ends.source_port),
                (ends.destination, ends.destination_port),
                End::Source,
                Side::Outside,
            ),
            Side::Outside => (
                (ends.destination, ends.destination_port),
                (ends.source, ends.source_port),
                End::Destination,
                Side::Inside,
            ),
        };
        if self.ports.is_external(peer.0.into()) {
            return false;
        }
        let (tick, now) = (self.tick, self.now);
        let mapping = self.table.get_mut(candidate);
        let internal = (mapping.internal, mapping.internal_port);
        let external = (mapping.external, mapping.external_port);
        let (is_mine, new) = match from {
            Side::Inside => (internal == own && mapping.realm == packet.realm, external),
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
            return false;
        }
        first.last = tick;
        if mapping.touched != tick {
            mapping.touched = tick;
            self.ports.touch(now, mapping.block);
        }
        packet.realm = mapping.realm;
        rewrite::set_segment_end(head, end, new.0, new.1, packet.offload);
        if from == Side::Inside && word(head, 6) & 0x4000 == 0 {
            // An identification that means something is the NAT's to choose (RFC 6864 §5.3.1).
            let identification = self.next_identification(new.0, peer.0, TCP);
            rewrite::set_identification(head, identification);
        }
        packet.verdict = Verdict::Forward {
            to,
            realm: packet.realm,
            after: EventNumber(0),
        };
        true
    }

    /// Whether a packet without IPv4 options is a well-formed, whole TCP segment that fits the
    /// next link and opens, closes or resets nothing.
    fn is_plain(&self, from: Side, head: &[u8; 40], length: usize, offload: Offload) -> bool {
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
        let flags = TcpFlags(head[33]);
        let (ip, _) = head
            .split_first_chunk::<20>()
            .map_or((&[0; 20], &[][..]), |split| split);
        head[9] == TCP
            && is_whole
            && fits
            && (40..=length).contains(&total)
            && head[32] >> 4 >= 5
            && !(flags.syn() || flags.fin() || flags.rst())
            && is_right(ip)
    }
}
