//! The short way: a segment of an established TCP connection.

use portledger_model::Transport;
use portledger_ports::EventNumber;

use super::{Nat, Staged};
use crate::{
    Packet, Side, Verdict,
    header::{Content, Fragment},
    mapping::{Kind, Pending},
    rewrite::{self, End},
    tcp::State,
    wheel::NONE,
};

impl Nat {
    /// Translates a whole segment that changes nothing but the time of its connection's last
    /// packet: by far the most frequent packet. Whatever the long way checks was checked when the
    /// connection was opened, between the same ends. `false` where the packet is no such segment:
    /// then nothing has been done.
    #[inline]
    pub(super) fn established(
        &mut self,
        from: Side,
        packet: &mut Packet<'_>,
        staged: &Staged,
    ) -> bool {
        let (header, number) = (&staged.header, staged.candidate);
        let Content::Tcp {
            source,
            destination,
            flags,
        } = header.content
        else {
            return false;
        };
        let (to, peer) = match from {
            Side::Inside => (Side::Outside, (header.destination, destination)),
            Side::Outside => (Side::Inside, (header.source, source)),
        };
        let is_plain = number != NONE
            && header.fragment == Fragment::Whole
            && !(flags.syn() || flags.fin() || flags.rst())
            // An identification that means something is the NAT's to choose.
            && (from == Side::Outside || header.is_atomic())
            && self.fits(to, packet, header)
            // Hairpinned: two mappings are concerned.
            && !self.ports.is_external(peer.0.into());
        if !is_plain {
            return false;
        }
        let (tick, now) = (self.tick, self.now);
        let mapping = self.table.get_mut(number);
        let is_mine = match from {
            Side::Inside => {
                (mapping.realm, mapping.internal, mapping.internal_port)
                    == (packet.realm, header.source, source)
            }
            Side::Outside => {
                (mapping.external, mapping.external_port) == (header.destination, destination)
            }
        };
        let first = &mut mapping.first;
        let is_established = is_mine
            && mapping.kind != Kind::Vacant
            && mapping.transport == Transport::Tcp
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
        let (end, address, port) = match from {
            Side::Inside => (End::Source, mapping.external, mapping.external_port),
            Side::Outside => (End::Destination, mapping.internal, mapping.internal_port),
        };
        packet.realm = mapping.realm;
        rewrite::set_end(packet.data, header, end, address, port, packet.offload);
        packet.verdict = Verdict::Forward {
            to,
            realm: packet.realm,
            after: EventNumber(0),
        };
        true
    }
}
