//! The same engine where the inside speaks IPv6: what is around it.
//!
//! ```text
//!   from the inside    Form::enter   IPv6 off, a host number in the place of the inside address
//!                      Nat::batch    the engine, which knows nothing of all this
//!   to the inside      Form::leave   the number out again, IPv6 on: packets, and what it emitted
//! ```

use std::{fmt::Debug, hint::black_box};

use portledger_model::{Block, Event, Timestamp};
use portledger_ports::{EventNumber, RealmIndex};

use crate::{
    Counters, DropReason, Emitted, HEADROOM, Nat, Output, Past, Side, Size, Slot, Verdict,
    engine::STAGE,
    header::long,
    hosts::{Host, Numbers},
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

    use super::{Debug, Host, Left, Nat, Output, Slot, Timestamp};
    use crate::{DropReason, hosts::Numbers};

    use super::{Entered, Staged};

    /// What is done to packets on their way from the inside and to it.
    pub trait Form: Debug {
        /// The host that a plain packet is from: enough to bring the memory near.
        fn peek(&self, slot: &Slot<'_>) -> Option<Host>;

        /// The realm in which an IPv6 address of the inside is.
        fn realm_of(&self, address: Ipv6Addr) -> Option<RealmIndex>;

        /// Makes of a packet from the inside an IPv4 packet of a numbered host.
        fn enter(
            &mut self,
            nat: &mut Nat,
            slot: &mut Slot<'_>,
            staged: Option<Staged>,
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

/// The host of a packet, and its hash.
#[derive(Debug, Clone, Copy)]
pub struct Staged {
    pub(crate) host: Host,
    pub(crate) hash: u32,
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
                Side::Outside => {
                    for slot in &*slots {
                        self.form.arrive(&mut self.nat, slot, output);
                    }
                    self.through(from, slots, &[true; STAGE], output);
                }
            }
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
        let mut hosts = [NONE; STAGE];
        let mut goes = [false; STAGE];
        for (place, slot) in slots.iter_mut().enumerate() {
            match self.form.enter(&mut self.nat, slot, staged[place], output) {
                Ok(Entered::Packet(host)) => {
                    // No number changes hands while a packet that has it is under way.
                    self.nat.hold_host(host);
                    (hosts[place], goes[place]) = (host, true);
                }
                Ok(Entered::Whole(buffer, host)) => {
                    self.nat.hold_host(host);
                    hosts[place] = host;
                    slot.verdict = Verdict::Kept;
                    self.whole(slot.realm, buffer, output);
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
        self.through(Side::Inside, slots, &goes, output);
        for host in hosts.into_iter().filter(|&host| host != NONE) {
            self.nat.release_host(host);
        }
    }

    /// Reads the memory that the packets' hosts are in, so that the waits overlap.
    fn approach(&self, slots: &[Slot<'_>]) -> [Option<Staged>; STAGE] {
        let mut staged = [None; STAGE];
        let Some(numbers) = self.nat.numbers() else {
            return staged;
        };
        for (staged, slot) in staged.iter_mut().zip(slots) {
            *staged = self.form.peek(slot).map(|host| Staged {
                host,
                hash: numbers.hash(&host),
            });
        }
        let mut candidates = [NONE; STAGE];
        for (candidate, staged) in candidates.iter_mut().zip(&staged) {
            let found = staged.and_then(|staged| numbers.approach(staged.hash));
            *candidate = found.unwrap_or(NONE);
        }
        black_box(glance(numbers, &candidates));
        staged
    }

    /// Brings those of `slots` that go through the engine, and those that come out of it for the
    /// inside into the inside's form.
    fn through(
        &mut self,
        from: Side,
        slots: &mut [Slot<'_>],
        goes: &[bool; STAGE],
        output: &mut Output,
    ) {
        let mark = output.packets.len();
        self.nat.batch_slots(from, slots, goes, output);
        // What waited for a fragment leaves behind it.
        let emitted = output.packets.split_off(mark);
        self.leave(slots, goes, output);
        self.leave_emitted(emitted, output);
    }

    fn leave(&mut self, slots: &mut [Slot<'_>], goes: &[bool; STAGE], output: &mut Output) {
        let Some(numbers) = self.nat.numbers() else {
            return;
        };
        let mut hosts = [NONE; STAGE];
        for ((host, slot), goes) in hosts.iter_mut().zip(&*slots).zip(goes) {
            if *goes && is_for_inside(&slot.verdict) {
                *host = long(slot.bytes(), 16);
            }
        }
        black_box(glance(numbers, &hosts));
        for (slot, _) in slots
            .iter_mut()
            .zip(goes)
            .filter(|(slot, goes)| **goes && is_for_inside(&slot.verdict))
        {
            self.leave_one(slot, output);
        }
    }

    fn leave_one(&mut self, slot: &mut Slot<'_>, output: &mut Output) {
        let Verdict::Forward { to, realm, after } = slot.verdict else {
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

    /// A packet that was put together here, behind [`HEADROOM`].
    fn whole(&mut self, realm: RealmIndex, mut buffer: Vec<u8>, output: &mut Output) {
        let range = HEADROOM..buffer.len();
        let mut slots = [Slot::new(&mut buffer, range)];
        slots[0].realm = realm;
        self.through(Side::Inside, &mut slots, &[true; STAGE], output);
        emit(&slots[0], output);
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

const fn is_for_inside(verdict: &Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Forward {
            to: Side::Inside,
            ..
        }
    )
}

fn glance(numbers: &Numbers, candidates: &[u32; STAGE]) -> u32 {
    candidates
        .iter()
        .fold(0, |read, &candidate| read ^ numbers.glance(candidate))
}
