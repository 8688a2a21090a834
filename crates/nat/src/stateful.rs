//! The same engine where the inside speaks IPv6: what is around it.
//!
//! ```text
//!   from the inside    Form::enter   IPv6 off, a host number in the place of the inside address
//!                      Nat           the engine, which knows nothing of all this
//!   to the inside      Form::leave   the number out again, IPv6 on: packets, and what it emitted
//!
//!   established        a plain segment of a known connection goes from one form to the other in
//!                      one step, by what the engine's tables say
//! ```

use std::{fmt::Debug, hint::black_box};

use portledger_model::{Block, Event, Timestamp, Transport};
use portledger_ports::{EventNumber, RealmIndex};

use crate::{
    Counters, DropReason, Emitted, HEADROOM, Nat, Output, Past, Side, Size, Slot, Verdict,
    engine::{self, STAGE, UNSTAGED},
    header::{Ends, long},
    hosts::Host,
    translate::ICMP6,
    wheel::NONE,
};

/// A stateful translator whose inside speaks IPv6: [`Aftr`](crate::Aftr) or
/// [`Nat64`](crate::Nat64). Its packets come in [`Slot`]s, as they change their length; its
/// outside, its verdicts and its events are those of [`Nat`].
#[derive(Debug)]
pub struct Stateful<F> {
    nat: Nat,
    form: F,
}

/// In which form packets travel on the inside.
pub trait Form: sealed::Form {}

impl<F: sealed::Form> Form for F {}

pub(crate) mod sealed {
    use std::net::Ipv6Addr;

    use portledger_ports::RealmIndex;

    use super::{Debug, Ends, Entered, Left, Nat, Output, Sender, Slot, StagedSender, Timestamp};
    use crate::{DropReason, hosts::Numbers};

    /// What is done in one step to plain segments of established connections, by what the
    /// engine's tables say.
    pub trait Established {
        /// Makes of a plain segment of an established connection what goes to the outside, and
        /// says in whose realm it began. `None` where it is none: then nothing was done.
        fn enter_established(
            &self,
            nat: &mut Nat,
            slot: &mut Slot<'_>,
            staged: &StagedSender,
        ) -> Option<RealmIndex>;

        /// Makes of a plain segment of an established connection what goes to the inside, and
        /// says into which realm. `None` where it is none: then nothing was done.
        fn leave_established(
            &self,
            nat: &mut Nat,
            slot: &mut Slot<'_>,
            ends: &Ends,
            candidate: u32,
        ) -> Option<RealmIndex>;
    }

    /// What is done to packets on their way from the inside and to it.
    pub trait Form: Established + Debug {
        /// Who a plain packet is from: enough to bring the memory near.
        fn peek(&self, slot: &Slot<'_>) -> Option<Sender>;

        /// The realm in which an IPv6 address of the inside is.
        fn realm_of(&self, address: Ipv6Addr) -> Option<RealmIndex>;

        /// Makes of a packet from the inside an IPv4 packet of a numbered host.
        fn enter(
            &mut self,
            nat: &mut Nat,
            slot: &mut Slot<'_>,
            staged: Option<&StagedSender>,
            output: &mut Output,
        ) -> Result<Entered, DropReason>;

        /// Looks at a packet from the outside before the engine does.
        fn arrive(&mut self, _nat: &mut Nat, _slot: &Slot<'_>, _output: &mut Output) {}

        /// Makes of an IPv4 packet for a numbered host what goes to the inside.
        fn leave(
            &mut self,
            numbers: &Numbers,
            now: Timestamp,
            slot: &mut Slot<'_>,
        ) -> Result<Left, DropReason>;

        /// Lets time pass: ends what waits too long. How many fragments that were.
        fn expire(&mut self, now: Timestamp) -> u64;

        /// Whether something waits.
        fn is_waiting(&self) -> bool;

        /// Bytes that wait.
        fn bytes(&self) -> usize;
    }
}

/// Who a packet is from, as it shows at first sight.
#[derive(Debug, Clone, Copy)]
pub struct Sender {
    pub(crate) host: Host,
    /// Its transport, and its port or identifier, where these are where they usually are.
    pub(crate) endpoint: Option<(Transport, u16)>,
}

/// The sender of a packet, and guesses of where it is in the tables.
#[derive(Debug, Clone, Copy)]
pub struct StagedSender {
    pub(crate) host: Host,
    pub(crate) hash: u32,
    /// Its number, or [`NONE`].
    pub(crate) number: u32,
    /// Its mapping, or [`NONE`].
    pub(crate) candidate: u32,
    endpoint: Option<(Transport, u16)>,
}

/// What became of a packet that came from the inside.
#[derive(Debug)]
pub enum Entered {
    /// It is in its slot, from this host.
    Packet(u32),
    /// It was the last fragment of this one, which lies behind [`HEADROOM`], from this host.
    Whole(Vec<u8>, u32),
    /// It was taken: a fragment, or something for the translator itself.
    Taken,
}

/// What became of a packet that goes to the inside.
#[derive(Debug)]
pub enum Left {
    /// It is in its slot.
    InPlace,
    /// These stand for it.
    Instead(Vec<Vec<u8>>),
    /// It waits for others.
    Kept,
}

impl<F: Form> Stateful<F> {
    pub(crate) const fn around(nat: Nat, form: F) -> Self {
        Self { nat, form }
    }

    /// Begins at `now` with what is known of the time before: see [`Nat::start`].
    pub fn start(&mut self, now: Timestamp, past: Past, output: &mut Output) {
        self.nat.start(now, past, output);
    }

    /// Translates the packets in `slots`, which came from one side, and sets their verdicts: see
    /// [`Nat::batch`].
    pub fn batch(
        &mut self,
        now: Timestamp,
        from: Side,
        slots: &mut [Slot<'_>],
        output: &mut Output,
    ) {
        self.advance(now, output);
        for slots in slots.chunks_mut(STAGE) {
            match from {
                Side::Inside => self.enter(slots, output),
                Side::Outside => self.arrive(slots, output),
            }
            self.nat.collect_events(output);
        }
    }

    /// Lets time pass: ends what has timed out.
    pub fn advance(&mut self, now: Timestamp, output: &mut Output) {
        let mark = output.packets.len();
        self.nat.advance(now, output);
        for _ in 0..self.form.expire(self.nat.now()) {
            self.nat.count_drop(DropReason::FragmentTimeout);
        }
        let emitted = output.packets.split_off(mark);
        self.leave_emitted(emitted, output);
    }

    /// When [`Stateful::advance`] next has something to do, at the latest.
    pub fn next_timeout(&self) -> Option<Timestamp> {
        let next = self.nat.next_timeout();
        if self.form.is_waiting() {
            let soon = self.nat.next_second();
            return Some(next.map_or(soon, |next| next.min(soon)));
        }
        next
    }

    /// Notes that the first `events` events are durable.
    pub fn durable(&mut self, events: EventNumber) {
        self.nat.durable(events);
    }

    /// Appends an event of the driver's own.
    pub fn tell(&mut self, at: Timestamp, event: Event, output: &mut Output) -> EventNumber {
        self.nat.tell(at, event, output)
    }

    /// What is held, for interim records.
    pub fn held_blocks(&self) -> impl Iterator<Item = (Block, Timestamp)> {
        self.nat.held_blocks()
    }

    /// What has been done so far.
    pub const fn counters(&self) -> &Counters {
        self.nat.counters()
    }

    /// What is held now.
    pub fn size(&mut self) -> Size {
        let mut size = self.nat.size();
        size.fragment_bytes += self.form.bytes();
        size
    }

    /// The side and the realm that a packet comes from, by its addresses or, for an ICMPv6 error,
    /// by whom it is about: see [`Nat::origin`].
    pub fn origin(&self, packet: &[u8]) -> Option<(Side, RealmIndex)> {
        match packet.first()? >> 4 {
            4 => {
                let (source, destination) = (long(packet, 12), long(packet, 16));
                self.nat
                    .origin(source.into(), destination.into())
                    .filter(|&(side, _)| side == Side::Outside)
            }
            6 => {
                let realm_at = |at: usize| {
                    let &address = packet.get(at..at + 16)?.first_chunk::<16>()?;
                    self.form.realm_of(address.into())
                };
                // An error of a router on the way is of the realm of whom it is about.
                let about = || realm_at(QUOTED_DESTINATION).filter(|_| packet[6] == ICMP6);
                let realm = realm_at(8).or_else(about)?;
                Some((Side::Inside, realm))
            }
            _ => None,
        }
    }

    fn enter(&mut self, slots: &mut [Slot<'_>], output: &mut Output) {
        let staged = self.approach(slots);
        for (slot, staged) in slots.iter_mut().zip(&staged) {
            let staged = staged.as_ref();
            let established =
                staged.and_then(|staged| self.form.enter_established(&mut self.nat, slot, staged));
            match established {
                Some(realm) => self.nat.send_segment(Side::Inside, slot, realm),
                None => self.enter_one(slot, staged, output),
            }
        }
    }

    fn enter_one(
        &mut self,
        slot: &mut Slot<'_>,
        staged: Option<&StagedSender>,
        output: &mut Output,
    ) {
        match self.form.enter(&mut self.nat, slot, staged, output) {
            Ok(Entered::Packet(host)) => {
                let staged = engine::Staged {
                    candidate: staged.map_or(NONE, |staged| staged.candidate),
                    ..UNSTAGED
                };
                self.through_of(host, slot, &staged, output);
            }
            Ok(Entered::Whole(buffer, host)) => {
                slot.verdict = Verdict::Kept;
                self.whole(slot.realm, buffer, host, output);
            }
            Ok(Entered::Taken) => {
                self.nat.count_taken();
                slot.verdict = Verdict::Kept;
            }
            Err(reason) => {
                self.nat.count_taken();
                self.nat.count_drop(reason);
                slot.verdict = Verdict::Drop(reason);
            }
        }
    }

    /// Reads the memory that the packets' hosts and mappings are in, so that the waits overlap.
    fn approach(&self, slots: &[Slot<'_>]) -> [Option<StagedSender>; STAGE] {
        let mut stage = [None; STAGE];
        let Some(numbers) = self.nat.numbers() else {
            return stage;
        };
        for (staged, slot) in stage.iter_mut().zip(slots) {
            *staged = self.form.peek(slot).map(|sender| StagedSender {
                host: sender.host,
                hash: numbers.hash(&sender.host),
                number: NONE,
                candidate: NONE,
                endpoint: sender.endpoint,
            });
        }
        for staged in stage.iter_mut().flatten() {
            staged.number = numbers.approach(staged.hash).unwrap_or(NONE);
        }
        let mut read = 0;
        for staged in stage.iter_mut().flatten() {
            read ^= numbers.glance(staged.number);
            if let Some(endpoint) = staged.endpoint {
                let (realm, number) = (staged.host.realm, staged.number);
                staged.candidate = self.nat.approach_internal(realm, endpoint, number);
            }
        }
        for staged in stage.iter().flatten() {
            read ^= self.nat.glance(staged.candidate);
        }
        black_box(read);
        stage
    }

    /// Takes packets from the outside.
    fn arrive(&mut self, slots: &mut [Slot<'_>], output: &mut Output) {
        let stage = self.nat.approach_slots(slots);
        for (slot, staged) in slots.iter_mut().zip(&stage) {
            let established = staged.ends.as_ref().and_then(|ends| {
                self.form
                    .leave_established(&mut self.nat, slot, ends, staged.candidate)
            });
            match established {
                Some(realm) => self.nat.send_segment(Side::Outside, slot, realm),
                None => self.arrive_one(slot, staged, output),
            }
        }
    }

    fn arrive_one(&mut self, slot: &mut Slot<'_>, staged: &engine::Staged, output: &mut Output) {
        self.form.arrive(&mut self.nat, slot, output);
        self.through(Side::Outside, slot, staged, output);
    }

    /// Brings a packet through the engine, and what comes out of it for the inside into the
    /// inside's form.
    fn through(
        &mut self,
        from: Side,
        slot: &mut Slot<'_>,
        staged: &engine::Staged,
        output: &mut Output,
    ) {
        let mark = output.packets.len();
        self.nat.translate_slot(from, slot, staged, output);
        // What waited for a fragment leaves behind it.
        let emitted = output.packets.split_off(mark);
        self.leave_one(slot, output);
        self.leave_emitted(emitted, output);
    }

    /// As [`Stateful::through`], from a host of the inside: no number changes hands while a packet
    /// that has it is under way.
    fn through_of(
        &mut self,
        host: u32,
        slot: &mut Slot<'_>,
        staged: &engine::Staged,
        output: &mut Output,
    ) {
        self.nat.hold_host(host);
        self.through(Side::Inside, slot, staged, output);
        self.nat.release_host(host);
    }

    fn leave_one(&mut self, slot: &mut Slot<'_>, output: &mut Output) {
        let Verdict::Forward {
            to: to @ Side::Inside,
            realm,
            after,
        } = slot.verdict
        else {
            return;
        };
        let Some(numbers) = self.nat.numbers() else {
            return;
        };
        match self.form.leave(numbers, self.nat.now(), slot) {
            Ok(Left::InPlace) => {}
            Ok(Left::Kept) => {
                slot.verdict = Verdict::Kept;
                self.nat.count_left_kept();
            }
            Ok(Left::Instead(pieces)) => {
                slot.verdict = Verdict::Kept;
                self.nat.count_cut(pieces.len());
                output
                    .packets
                    .extend(pieces.into_iter().map(|data| Emitted {
                        data,
                        to,
                        realm,
                        after,
                    }));
            }
            Err(reason) => {
                self.nat.count_undelivered(reason);
                slot.verdict = Verdict::Drop(reason);
            }
        }
    }

    /// Brings what the engine emitted into the form of the side it goes to.
    fn leave_emitted(&mut self, emitted: Vec<Emitted>, output: &mut Output) {
        for emitted in emitted {
            if emitted.to == Side::Outside {
                output.packets.push(emitted);
                continue;
            }
            let Emitted {
                data,
                to,
                realm,
                after,
            } = emitted;
            let mut buffer = [&[0; HEADROOM][..], &data].concat();
            let mut slot = Slot::new(&mut buffer, HEADROOM..HEADROOM + data.len());
            (slot.realm, slot.verdict) = (realm, Verdict::Forward { to, realm, after });
            self.leave_one(&mut slot, output);
            emit(&slot, output);
        }
    }

    /// A packet of a host that was put together here, behind [`HEADROOM`].
    fn whole(&mut self, realm: RealmIndex, mut buffer: Vec<u8>, host: u32, output: &mut Output) {
        let range = HEADROOM..buffer.len();
        let mut slot = Slot::new(&mut buffer, range);
        slot.realm = realm;
        self.through_of(host, &mut slot, &UNSTAGED, output);
        emit(&slot, output);
    }
}

/// Where the destination of the packet is that an ICMPv6 error quotes, behind two headers.
const QUOTED_DESTINATION: usize = 40 + 8 + 24;

/// A packet that nobody's slot holds, where it is to be forwarded.
fn emit(slot: &Slot<'_>, output: &mut Output) {
    if let Verdict::Forward { to, realm, after } = slot.verdict {
        output.packets.push(Emitted {
            data: slot.bytes().to_vec(),
            to,
            realm,
            after,
        });
    }
}

#[cfg(test)]
mod tests;
