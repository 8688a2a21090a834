//! The tables: mappings and their sessions.

use portledger_model::Transport;
use portledger_ports::{BlockIndex, EventNumber, RealmIndex};

use crate::{
    Side,
    index::Index,
    tcp::State,
    wheel::{NONE, Tick, Wheel},
};

/// An internal endpoint and its external one: the unit of endpoint-independent mapping
/// (RFC 4787 REQ-1). One cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Mapping {
    pub(crate) internal: u32,
    pub(crate) external: u32,
    pub(crate) internal_port: u16,
    pub(crate) external_port: u16,
    pub(crate) realm: RealmIndex,
    pub(crate) transport: Transport,
    pub(crate) kind: Kind,
    pub(crate) block: BlockIndex,
    /// The block's event, as long as it is not known to be durable.
    pub(crate) pending: Pending,
    /// The last second in which its block was told of a packet.
    pub(crate) touched: Tick,
    /// The bucket of the wheel it is in.
    deadline: Tick,
    /// The first session; without address-dependent filtering the only one of UDP and ICMP.
    pub(crate) first: Session,
    /// The first of the further sessions, by number, or none.
    pub(crate) more: u32,
    pub(crate) more_count: u16,
    /// UDP: all packets from the inside so far went to this well-known port, or 0.
    pub(crate) only_port: u16,
    hash: u32,
    next: u32,
    previous: u32,
}

/// The event that a mapping's packets wait for, by the low half of its number: 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pending(u32);

impl Pending {
    pub(crate) const NONE: Self = Self(0);

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low half is what is wanted"
    )]
    pub(crate) const fn on(event: EventNumber) -> Self {
        Self(event.0 as u32)
    }

    /// The event, unless it is one of the first `durable`. Fewer than 2^31 events are ever under
    /// way, so the low half tells which one it is.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low half is what is wanted"
    )]
    pub(crate) const fn event(self, durable: EventNumber) -> EventNumber {
        let ahead = self.0.wrapping_sub(durable.0 as u32);
        if self.0 == 0 || ahead == 0 || ahead > u32::MAX / 2 {
            return EventNumber(0);
        }
        EventNumber(durable.0 + ahead as u64)
    }
}

/// Whether a mapping ever ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// It ends with its last session.
    Dynamic,
    /// It was configured and stays.
    Static,
    /// A vacant place of the table.
    Vacant,
}

/// One peer of a mapping, and when it was last heard of in a way that counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Session {
    pub(crate) peer: u32,
    pub(crate) peer_port: u16,
    pub(crate) state: State,
    pub(crate) last: Tick,
}

/// A session beyond the first.
#[derive(Debug, Clone, Copy)]
struct Further {
    session: Session,
    mapping: u32,
    hash: u32,
    /// The next further session of the mapping, or the next vacant place.
    next: u32,
}

/// The key of an internal endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InternalKey(u64);

impl InternalKey {
    pub(crate) fn new(realm: RealmIndex, transport: Transport, address: u32, port: u16) -> Self {
        // 32 + 16 + 14 + 2 bits: the configuration keeps realms below 2^14.
        let transport = match transport {
            Transport::Tcp => 0,
            Transport::Udp => 1,
            Transport::Icmp => 2,
        };
        Self(
            u64::from(address) << 32
                | u64::from(port) << 16
                | u64::from(realm.0 & 0x3FFF) << 2
                | transport,
        )
    }
}

impl Mapping {
    pub(crate) fn key(&self) -> InternalKey {
        InternalKey::new(
            self.realm,
            self.transport,
            self.internal,
            self.internal_port,
        )
    }
}

/// All mappings and sessions of a shard.
#[derive(Debug)]
pub(crate) struct Table {
    mappings: Vec<Mapping>,
    /// The first vacant place; the rest follow by `next`.
    vacant: u32,
    count: u32,
    most: u32,
    by_internal: Index,
    further: Vec<Further>,
    further_vacant: u32,
    further_count: u32,
    further_most: u32,
    by_peer: Index,
    wheel: Wheel,
}

/// What a new mapping is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewMapping {
    pub(crate) realm: RealmIndex,
    pub(crate) transport: Transport,
    pub(crate) internal: u32,
    pub(crate) internal_port: u16,
    pub(crate) external: u32,
    pub(crate) external_port: u16,
    pub(crate) block: BlockIndex,
    pub(crate) pending: Pending,
    pub(crate) kind: Kind,
}

impl Table {
    pub(crate) fn new(mappings: u32, sessions: u32, key: [u64; 4]) -> Self {
        Self {
            mappings: Vec::new(),
            vacant: NONE,
            count: 0,
            most: mappings,
            by_internal: Index::new(mappings, [key[0], key[1]]),
            further: Vec::new(),
            further_vacant: NONE,
            further_count: 0,
            further_most: sessions,
            by_peer: Index::new(sessions, [key[2], key[3]]),
            wheel: Wheel::new(),
        }
    }

    pub(crate) const fn len(&self) -> u32 {
        self.count
    }

    pub(crate) const fn further_len(&self) -> u32 {
        self.further_count
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.count >= self.most
    }

    /// Bytes in use and set aside for quick use.
    pub(crate) fn bytes(&self) -> usize {
        self.mappings.capacity() * size_of::<Mapping>()
            + self.further.capacity() * size_of::<Further>()
            + self.by_internal.bytes()
            + self.by_peer.bytes()
    }

    pub(crate) fn get(&self, number: u32) -> &Mapping {
        &self.mappings[number as usize]
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> &mut Mapping {
        &mut self.mappings[number as usize]
    }

    /// As [`Table::get_mut`], by a number that may be none.
    #[inline]
    pub(crate) fn candidate_mut(&mut self, number: u32) -> Option<&mut Mapping> {
        self.mappings.get_mut(number as usize)
    }

    pub(crate) fn hash(&self, key: InternalKey) -> u32 {
        self.by_internal.hash(key.0)
    }

    /// Reads what [`Table::find`] will read first, so that it is near by then. A candidate only.
    pub(crate) fn approach(&self, hash: u32) -> Option<u32> {
        self.by_internal.candidate(hash)
    }

    /// Reads a mapping so that it is near when it is needed.
    pub(crate) fn glance(&self, number: u32) -> u32 {
        self.mappings
            .get(number as usize)
            .map_or(0, |mapping| mapping.internal)
    }

    pub(crate) fn find(&self, hash: u32, key: InternalKey) -> Option<u32> {
        self.by_internal
            .find(hash, |number| self.get(number).key() == key)
    }

    /// The number that the next mapping will have, where there is room for one.
    pub(crate) fn next_number(&self) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        Some(if self.vacant == NONE {
            u32::try_from(self.mappings.len()).ok()?
        } else {
            self.vacant
        })
    }

    /// Adds a mapping under the number that [`Table::next_number`] said.
    pub(crate) fn insert(&mut self, new: NewMapping) -> u32 {
        let key = InternalKey::new(new.realm, new.transport, new.internal, new.internal_port);
        let mapping = Mapping {
            internal: new.internal,
            external: new.external,
            internal_port: new.internal_port,
            external_port: new.external_port,
            realm: new.realm,
            transport: new.transport,
            kind: new.kind,
            block: new.block,
            pending: new.pending,
            touched: Tick::default(),
            deadline: Tick::default(),
            first: Session::default(),
            more: NONE,
            more_count: 0,
            only_port: 0,
            hash: self.by_internal.hash(key.0),
            next: NONE,
            previous: NONE,
        };
        let number = if self.vacant == NONE {
            self.mappings.push(mapping);
            u32::try_from(self.mappings.len() - 1).unwrap_or(NONE)
        } else {
            let number = self.vacant;
            self.vacant = self.get(number).next;
            *self.get_mut(number) = mapping;
            number
        };
        self.count += 1;
        self.by_internal.insert(mapping.hash, number);
        number
    }

    /// Removes a mapping, which must have been taken off the wheel, with all its sessions.
    pub(crate) fn remove(&mut self, number: u32) -> Mapping {
        while self.get(number).more != NONE {
            self.remove_further_after(number, NONE);
        }
        let removed = *self.get(number);
        self.by_internal.remove(removed.hash, number);
        let vacant = self.vacant;
        let place = self.get_mut(number);
        place.kind = Kind::Vacant;
        place.next = vacant;
        self.vacant = number;
        self.count -= 1;
        removed
    }

    /// Puts a mapping on the wheel.
    pub(crate) fn schedule(&mut self, number: u32, deadline: Tick) {
        let head = self.wheel.head(deadline);
        let mapping = self.get_mut(number);
        mapping.deadline = deadline;
        mapping.next = head;
        mapping.previous = NONE;
        if head != NONE {
            self.get_mut(head).previous = number;
        }
        self.wheel.set_head(deadline, number);
    }

    /// Whether a mapping waits for a deadline at all.
    pub(crate) fn is_waiting(&self, number: u32) -> bool {
        self.get(number).deadline != Tick::NEVER
    }

    /// Moves a mapping to an earlier deadline; a later one is found out when the wheel comes by.
    pub(crate) fn hasten(&mut self, number: u32, deadline: Tick) {
        if self.get(number).deadline > deadline {
            self.unschedule(number);
            self.schedule(number, deadline);
        }
    }

    /// Takes a mapping off the wheel.
    fn unschedule(&mut self, number: u32) {
        let Mapping {
            next,
            previous,
            deadline,
            ..
        } = *self.get(number);
        if next != NONE {
            self.get_mut(next).previous = previous;
        }
        if previous == NONE {
            self.wheel.set_head(deadline, next);
        } else {
            self.get_mut(previous).next = next;
        }
    }

    /// Empties the bucket for `tick`: its entries, linked by [`Table::following`].
    pub(crate) fn take_due(&mut self, tick: Tick) -> u32 {
        let head = self.wheel.head(tick);
        self.wheel.set_head(tick, NONE);
        head
    }

    /// The entry after `number` in a bucket that was taken.
    pub(crate) fn following(&self, number: u32) -> u32 {
        self.get(number).next
    }

    /// The session of mapping `number` with this peer.
    pub(crate) fn session(&self, number: u32, peer: u32, peer_port: u16) -> Option<SessionRef> {
        let mapping = self.get(number);
        let first = &mapping.first;
        if first.state != State::Closed && (first.peer, first.peer_port) == (peer, peer_port) {
            return Some(SessionRef::First);
        }
        if mapping.more == NONE {
            return None;
        }
        let hash = self.by_peer.hash(peer_key(number, peer, peer_port));
        let found = self.by_peer.find(hash, |place| {
            let further = &self.further[place as usize];
            further.mapping == number
                && (further.session.peer, further.session.peer_port) == (peer, peer_port)
        })?;
        Some(SessionRef::Further(found))
    }

    pub(crate) fn session_mut(&mut self, number: u32, session: SessionRef) -> &mut Session {
        match session {
            SessionRef::First => &mut self.get_mut(number).first,
            SessionRef::Further(place) => &mut self.further[place as usize].session,
        }
    }

    /// Whether some session of mapping `number` is with the address `peer`, at any port.
    pub(crate) fn knows_address(&self, number: u32, peer: u32) -> bool {
        let first = &self.get(number).first;
        (first.state != State::Closed && first.peer == peer)
            || self.further_of(number).any(|session| session.peer == peer)
    }

    /// Adds a session to mapping `number`, where the limits allow.
    pub(crate) fn add_session(
        &mut self,
        number: u32,
        session: Session,
        side: Side,
        most: u16,
    ) -> Option<SessionRef> {
        let mapping = self.get_mut(number);
        if mapping.first.state == State::Closed {
            mapping.first = session;
            return Some(SessionRef::First);
        }
        let (more, more_count, kind) = (mapping.more, mapping.more_count, mapping.kind);
        // Half of the room is the inside's alone: whoever sends SYNs from the outside cannot keep
        // a subscriber from opening connections. A forwarded port is there for the outside.
        let share = match side {
            Side::Outside if kind == Kind::Dynamic => 2,
            Side::Outside | Side::Inside => 1,
        };
        if more_count >= most / share || self.further_count >= self.further_most / u32::from(share)
        {
            return None;
        }
        let hash = self
            .by_peer
            .hash(peer_key(number, session.peer, session.peer_port));
        let further = Further {
            session,
            mapping: number,
            hash,
            next: more,
        };
        let place = if self.further_vacant == NONE {
            self.further.push(further);
            u32::try_from(self.further.len() - 1).ok()?
        } else {
            let place = self.further_vacant;
            self.further_vacant = self.further[place as usize].next;
            self.further[place as usize] = further;
            place
        };
        self.further_count += 1;
        self.by_peer.insert(hash, place);
        let mapping = self.get_mut(number);
        mapping.more = place;
        mapping.more_count += 1;
        Some(SessionRef::Further(place))
    }

    /// Ends the sessions for which `deadline` is at or before `now`. The earliest deadline of
    /// those that remain.
    pub(crate) fn end_sessions(
        &mut self,
        number: u32,
        now: Tick,
        deadline: impl Fn(&Session) -> Tick,
    ) -> Option<Tick> {
        let mut earliest: Option<Tick> = None;
        let mut keep = |at: Tick| earliest = Some(earliest.map_or(at, |other| other.min(at)));
        let first = &mut self.get_mut(number).first;
        if first.state != State::Closed {
            match deadline(first) {
                at if at <= now => first.state = State::Closed,
                at => keep(at),
            }
        }
        let (mut before, mut place) = (NONE, self.get(number).more);
        while place != NONE {
            let Further { session, next, .. } = self.further[place as usize];
            match deadline(&session) {
                at if at <= now => self.remove_further_after(number, before),
                at => {
                    keep(at);
                    before = place;
                }
            }
            place = next;
        }
        earliest
    }

    fn further_of(&self, number: u32) -> impl Iterator<Item = &Session> {
        let mut place = self.get(number).more;
        std::iter::from_fn(move || {
            let further = self.further.get(place as usize)?;
            place = further.next;
            Some(&further.session)
        })
    }

    /// Removes the further session after `before`, or the first one.
    fn remove_further_after(&mut self, number: u32, before: u32) {
        let place = match before {
            NONE => self.get(number).more,
            before => self.further[before as usize].next,
        };
        let Further { hash, next, .. } = self.further[place as usize];
        match before {
            NONE => self.get_mut(number).more = next,
            before => self.further[before as usize].next = next,
        }
        self.by_peer.remove(hash, place);
        self.further[place as usize].next = self.further_vacant;
        self.further_vacant = place;
        self.further_count -= 1;
        self.get_mut(number).more_count -= 1;
    }
}

/// Where a session is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionRef {
    First,
    Further(u32),
}

fn peer_key(number: u32, peer: u32, peer_port: u16) -> u64 {
    (u64::from(peer) << 32 | u64::from(number)) ^ u64::from(peer_port).rotate_left(47)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_one_cache_line() {
        assert_eq!(size_of::<Mapping>(), 64);
    }
}
