//! What is around the engine asks it: about numbers of hosts, and to count.

use std::{hint::black_box, net::Ipv4Addr, time::Duration};

use portledger_model::{Timestamp, Transport};
use portledger_ports::{EventNumber, RealmIndex};

use super::{Nat, STAGE, Staged, UNSTAGED};
use crate::{
    DropReason, Emitted, Output, Packet, Side, Slot, Verdict,
    header::Ends,
    hosts::{Host, Hosts, Numbers},
    mapping::InternalKey,
    wheel::NONE,
};

impl Nat {
    /// Reads the memory that packets from the outside, at most a stage of them, will need: see
    /// [`Nat::approach`].
    pub(crate) fn approach_slots(&self, slots: &[Slot<'_>]) -> [Staged; STAGE] {
        let mut stage = [UNSTAGED; STAGE];
        for (staged, slot) in stage.iter_mut().zip(slots) {
            staged.ends = Ends::peek(slot.bytes());
        }
        self.approach(Side::Outside, RealmIndex(0), &mut stage);
        let hosts = stage.iter().fold(0, |read, staged| {
            let internal = self.table.glance(staged.candidate);
            read ^ self.numbers().map_or(0, |numbers| numbers.glance(internal))
        });
        black_box(hosts);
        stage
    }

    /// The mapping that an internal endpoint may have: enough to bring the memory near.
    pub(crate) fn approach_internal(
        &self,
        realm: RealmIndex,
        (transport, port): (Transport, u16),
        number: u32,
    ) -> u32 {
        let key = InternalKey::new(realm, transport, number, port);
        self.table.approach(self.table.hash(key)).unwrap_or(NONE)
    }

    /// Reads a mapping so that it is near when it is needed.
    pub(crate) fn glance(&self, candidate: u32) -> u32 {
        self.table.glance(candidate)
    }

    /// As [`Nat::batch`] at the time it is, for one packet that lies in a slot. The events are
    /// left to [`Nat::collect_events`].
    pub(crate) fn translate_slot(
        &mut self,
        from: Side,
        slot: &mut Slot<'_>,
        staged: &Staged,
        output: &mut Output,
    ) {
        let mut packet = Packet {
            data: slot.buffer.get_mut(slot.packet.clone()).unwrap_or_default(),
            realm: slot.realm,
            offload: slot.offload,
            verdict: Verdict::Drop(DropReason::NotSeen),
        };
        if let Err(reason) = self.translate(from, &mut packet, staged, output) {
            packet.verdict = Verdict::Drop(reason);
        }
        self.count(&packet.verdict);
        (slot.verdict, slot.realm) = (packet.verdict, packet.realm);
    }

    /// Sends a segment of an established connection on, which is in its slot as the other side
    /// has it.
    #[inline]
    pub(crate) const fn send_segment(
        &mut self,
        from: Side,
        slot: &mut Slot<'_>,
        realm: RealmIndex,
    ) {
        let to = match from {
            Side::Inside => {
                self.counters.from_inside += 1;
                self.counters.to_outside += 1;
                Side::Outside
            }
            Side::Outside => {
                self.counters.from_outside += 1;
                self.counters.to_inside += 1;
                Side::Inside
            }
        };
        slot.realm = realm;
        slot.verdict = Verdict::Forward {
            to,
            realm,
            after: EventNumber(0),
        };
    }

    /// Whether a packet of so many bytes fits the next link outside.
    pub(crate) const fn fits_outside(&self, total: usize) -> bool {
        total <= self.config.mtu.outside as usize
    }

    /// The time, which never goes back.
    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// A second from now.
    pub(crate) fn next_second(&self) -> Timestamp {
        self.now.after(Duration::from_secs(1))
    }

    /// The hosts that have numbers, unless they are known by address.
    pub(crate) const fn numbers(&self) -> Option<&Numbers> {
        match &self.hosts {
            Hosts::Addresses => None,
            Hosts::Numbers(numbers) => Some(numbers),
        }
    }

    pub(crate) fn hash_host(&self, host: &Host) -> u32 {
        self.numbers().map_or(0, |numbers| numbers.hash(host))
    }

    /// Whether a number is this host's.
    #[inline]
    pub(crate) fn is_of(&self, number: u32, host: &Host) -> bool {
        self.numbers()
            .is_some_and(|numbers| numbers.get(number).as_ref() == Some(host))
    }

    /// As [`Nat::known_number`], by a hash that is known.
    pub(crate) fn known(&self, hash: u32, host: &Host) -> Option<u32> {
        self.numbers()?.find(hash, host)
    }

    /// The number of a host, where something names it already.
    pub(crate) fn known_number(&self, host: &Host) -> Option<u32> {
        let numbers = self.numbers()?;
        numbers.find(numbers.hash(host), host)
    }

    /// The number of a host. A new one is given to another unless it is held soon.
    pub(crate) fn number(&mut self, hash: u32, host: Host) -> Option<u32> {
        match &mut self.hosts {
            Hosts::Addresses => None,
            Hosts::Numbers(numbers) => numbers
                .find(hash, &host)
                .or_else(|| numbers.add(hash, host)),
        }
    }

    pub(crate) fn hold_host(&mut self, number: u32) {
        self.hosts.hold(number);
    }

    /// Gives back the number of a host that nothing has come to name.
    pub(crate) fn forget_unheld(&mut self, number: u32) {
        self.hosts.hold(number);
        self.hosts.release(number);
    }

    pub(crate) fn release_host(&mut self, number: u32) {
        self.hosts.release(number);
    }

    /// Whether an internal endpoint has a mapping.
    pub(crate) fn has_mapping(
        &self,
        realm: RealmIndex,
        transport: Transport,
        number: u32,
        port: u16,
    ) -> bool {
        self.find_internal(realm, transport, number, port).is_some()
    }

    /// The largest packet towards the inside that is or may be fragmented.
    pub(crate) const fn set_cut_inside(&mut self, most: u16) {
        self.cut_inside = most;
    }

    pub(crate) fn is_external(&self, address: Ipv4Addr) -> bool {
        self.ports.is_external(address)
    }

    /// Whether an error may be sent yet, within the rate: it is counted as sent.
    pub(crate) fn may_tell(&mut self) -> bool {
        let may = self.icmp_budget.spend(self.now);
        if may {
            self.counters.icmp_sent += 1;
        } else {
            self.counters.icmp_withheld += 1;
        }
        may
    }

    /// Sends an error that is made by whoever is around the engine, within the rate.
    pub(crate) fn tell_around(
        &mut self,
        to: Side,
        realm: RealmIndex,
        output: &mut Output,
        error: impl FnOnce() -> Option<Vec<u8>>,
    ) {
        if !self.icmp_budget.spend(self.now) {
            self.counters.icmp_withheld += 1;
            return;
        }
        let Some(data) = error() else { return };
        self.counters.icmp_sent += 1;
        let after = EventNumber(0);
        self.emit(
            Emitted {
                data,
                to,
                realm,
                after,
            },
            output,
        );
    }

    /// Counts a packet to the inside that is kept for now.
    pub(crate) const fn count_left_kept(&mut self) {
        self.counters.to_inside -= 1;
        self.counters.fragments_kept += 1;
    }

    /// Counts a packet from the inside that does not go through the engine.
    pub(crate) const fn count_taken(&mut self) {
        self.counters.from_inside += 1;
    }

    /// Counts a packet to the inside that the engine let through, and that ends here.
    pub(crate) fn count_undelivered(&mut self, reason: DropReason) {
        self.counters.to_inside -= 1;
        self.counters.count_drop(reason);
    }

    /// Counts the pieces that stand for a packet to the inside.
    pub(crate) const fn count_cut(&mut self, pieces: usize) {
        self.counters.to_inside += (pieces as u64).saturating_sub(1);
    }

    pub(crate) const fn count_fragment_kept(&mut self) {
        self.counters.fragments_kept += 1;
    }

    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        self.counters.count_drop(reason);
    }
}
