//! The shortest way: a plain segment of an established connection comes out of its softwire, or goes
//! into it, with the ends that the engine's tables have for it.

use portledger_ports::RealmIndex;

use super::{HEADER, Softwires, outer, paths};
use crate::{
    Nat, Offload, Side, Slot,
    engine::OtherEnd,
    header::{Ends, word},
    rewrite::{self, End},
    stateful::{StagedSender, sealed},
};

impl sealed::Established for Softwires {
    /// Out of a softwire. `None` where there is more to it: then nothing was done.
    #[inline]
    fn enter_established(
        &self,
        nat: &mut Nat,
        slot: &mut Slot<'_>,
        staged: &StagedSender,
    ) -> Option<RealmIndex> {
        let class = outer::class(slot.bytes());
        let inner = outer::inner(slot);
        let packet = slot.buffer.get_mut(inner.clone())?;
        let ends = Ends::peek(packet)?;
        let length = packet.len();
        let head = packet.first_chunk_mut::<40>()?;
        // Where the class or a mark of congestion differs, it is carried over on the long way.
        let is_plain = class == head[1]
            && slot.offload == Offload::None
            && nat.is_plain(Side::Inside, head, length, Offload::None);
        if !is_plain || !nat.is_of(staged.number, &staged.host) {
            return None;
        }
        let external = nat.established_end(
            Side::Inside,
            staged.candidate,
            slot.realm,
            &Ends {
                source: staged.number,
                ..ends
            },
        )?;
        nat.leave_segment(head, external, ends.destination, Offload::None);
        slot.packet = inner;
        Some(external.realm)
    }

    /// Into a softwire. `None` where there is more to it: then nothing was done.
    #[inline]
    fn leave_established(
        &self,
        nat: &mut Nat,
        slot: &mut Slot<'_>,
        ends: &Ends,
        candidate: u32,
    ) -> Option<RealmIndex> {
        let start = slot.packet.start.checked_sub(HEADER)?;
        let place = slot.buffer.get_mut(start..slot.packet.end)?;
        let (header, packet) = place.split_first_chunk_mut::<HEADER>()?;
        let length = packet.len();
        let head = packet.first_chunk_mut::<40>()?;
        let total = usize::from(word(head, 2));
        let size = HEADER + total;
        // Which path is narrower is looked up on the long way.
        let fits = size <= usize::from(self.config.mtu)
            && (size <= usize::from(paths::LEAST) || self.paths.is_empty());
        let is_plain = slot.offload == Offload::None
            && fits
            && nat.is_plain(Side::Outside, head, length, Offload::None);
        if !is_plain {
            return None;
        }
        let OtherEnd {
            address,
            port,
            realm,
        } = nat.established_end(Side::Outside, candidate, slot.realm, ends)?;
        let host = nat.numbers()?.get(address)?;
        rewrite::set_segment_end(head, End::Destination, host.behind, port, Offload::None);
        *header = self.header(host.address, head[1]).with_payload(total);
        slot.packet = start..start + size;
        Some(realm)
    }
}
