//! What is known of each place: who holds it, and when it was given back last.
//!
//! A device has a million places and more, and each event is about another one: it is the way to
//! memory that costs. So each place has one small slot of a [`Table`], and what is rare (a second
//! holder of the same port) stands elsewhere.

use std::{collections::HashMap, mem};

use portledger_model::{Realm, Subscriber, Timestamp};

use super::table::{NEVER, Place, Slot, Table, Who};

/// How many blocks or mappings of one device are remembered. One that does not fit is kept in the
/// ledger all the same; its release has to say since when it was held, or is a gap.
const ROOM: usize = 8 << 20;

/// The places of one device.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// With one holder each, where there is any.
    known: Table,
    others: Others,
    realms: Realms,
}

/// Further holders of places, where a device lets subscribers share a port among destinations.
#[derive(Debug, Default)]
struct Others {
    of: HashMap<Place, Vec<Other>>,
    count: usize,
}

/// One of several who hold a place.
#[derive(Debug)]
struct Other {
    who: Who,
    since: Timestamp,
    sessions: u32,
}

/// What the beginning of a holding came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// It is one.
    New,
    /// It is known already.
    Known,
}

/// What the end of a holding came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is over: whose it was, and since when.
    Over(Subscriber, Timestamp),
    /// Other sessions still use the port.
    InUse,
    /// Nobody is known to hold it, or not who of several is meant.
    Unknown,
}

impl Places {
    /// Fetches what is known of a place into the processor's cache.
    #[inline]
    pub(super) fn fetch(&self, place: Place) {
        self.known.fetch(place);
    }

    /// A subscriber got a place at a time, for one more session or as a whole.
    pub(super) fn begin(
        &mut self,
        place: Place,
        subscriber: &Subscriber,
        at: Timestamp,
        is_session: bool,
    ) -> Begun {
        let who = self.realms.who(subscriber);
        let Some((slot, who)) = self.known.get_or_insert(place, ROOM).zip(who) else {
            return Begun::New;
        };
        let Some((since, sessions)) = self.others.find(place, slot, who) else {
            self.others.add(place, slot, who, at);
            return Begun::New;
        };
        if is_session {
            *sessions = sessions.saturating_add(1);
            return Begun::Known;
        }
        if *since == at {
            return Begun::Known;
        }
        (*since, *sessions) = (at, 1);
        Begun::New
    }

    /// A subscriber holds a place since a time, whatever was known of that.
    pub(super) fn remember(&mut self, place: Place, subscriber: &Subscriber, at: Timestamp) {
        let who = self.realms.who(subscriber);
        let Some((slot, who)) = self.known.get_or_insert(place, ROOM).zip(who) else {
            return;
        };
        match self.others.find(place, slot, who) {
            Some((since, sessions)) => (*since, *sessions) = (at, 1),
            None => self.others.add(place, slot, who, at),
        }
    }

    /// Since when a subscriber is known to hold a place.
    pub(super) fn held_since(
        &mut self,
        place: Place,
        subscriber: &Subscriber,
    ) -> Option<Timestamp> {
        let who = self.realms.who(subscriber)?;
        let slot = self.known.get(place)?;
        self.others.find(place, slot, who).map(|(since, _)| *since)
    }

    /// A place, or one session of it, was given back; by whom where that is told. Where it is not,
    /// it is clear when nobody else holds it.
    pub(super) fn end(
        &mut self,
        place: Place,
        subscriber: Option<&Subscriber>,
        at: Timestamp,
    ) -> Ended {
        let Some(slot) = self.known.get(place) else {
            return Ended::Unknown;
        };
        let who = match subscriber {
            Some(subscriber) => self.realms.who(subscriber),
            None => Some(slot.who).filter(|_| !self.others.has(place)),
        };
        let Some(who) = who else {
            return Ended::Unknown;
        };
        let since = match self.others.find(place, slot, who) {
            None => return Ended::Unknown,
            Some((_, sessions)) if *sessions > 1 => {
                *sessions -= 1;
                return Ended::InUse;
            }
            Some((since, _)) => *since,
        };
        slot.ended = slot.ended.max(at);
        self.others.remove(place, slot, who);
        Ended::Over(self.realms.subscriber(who), since)
    }

    /// When a place was given back last.
    pub(super) fn ended(&mut self, place: Place) -> Option<Timestamp> {
        let slot = self.known.get(place)?;
        (slot.ended != NEVER).then_some(slot.ended)
    }

    /// A place was given back of which nobody knew that it was held.
    pub(super) fn has_ended(&mut self, place: Place, at: Timestamp) {
        if let Some(slot) = self.known.get_or_insert(place, ROOM) {
            slot.ended = slot.ended.max(at);
        }
    }

    /// Forgets all, and says who held what since when, in the order of the places.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (Place, Subscriber, Timestamp)> + use<> {
        let Self {
            known,
            mut others,
            realms,
        } = mem::take(self);
        let mut known: Vec<_> = known.into_entries().collect();
        known.sort_unstable_by_key(|(place, _)| *place);
        known.into_iter().flat_map(move |(place, slot)| {
            let first = (slot.sessions > 0).then_some((slot.who, slot.since));
            let others = others.of.remove(&place).unwrap_or_default();
            let others = others.into_iter().map(|other| (other.who, other.since));
            let holders = first.into_iter().chain(others);
            let told = holders.map(|(who, since)| (place, realms.subscriber(who), since));
            told.collect::<Vec<_>>()
        })
    }
}

impl Others {
    /// Whether a place has several holders. Hardly any device has such places.
    fn has(&self, place: Place) -> bool {
        !self.of.is_empty() && self.of.contains_key(&place)
    }

    /// Of a holder of a place: since when, and for how many sessions.
    fn find<'f>(
        &'f mut self,
        place: Place,
        slot: &'f mut Slot,
        who: Who,
    ) -> Option<(&'f mut Timestamp, &'f mut u32)> {
        if slot.sessions == 0 {
            return None;
        }
        if slot.who == who {
            return Some((&mut slot.since, &mut slot.sessions));
        }
        if self.of.is_empty() {
            return None;
        }
        let others = self.of.get_mut(&place)?;
        let found = others.iter_mut().find(|other| other.who == who)?;
        Some((&mut found.since, &mut found.sessions))
    }

    /// Adds a holder to a place that does not have it.
    fn add(&mut self, place: Place, slot: &mut Slot, who: Who, since: Timestamp) {
        let sessions = 1;
        if slot.sessions == 0 {
            (slot.who, slot.since, slot.sessions) = (who, since, sessions);
        } else if self.count < ROOM {
            self.count += 1;
            self.of.entry(place).or_default().push(Other {
                who,
                since,
                sessions,
            });
        }
    }

    /// Removes a holder of a place; where there are others, one of them takes the slot.
    fn remove(&mut self, place: Place, slot: &mut Slot, who: Who) {
        let is_first = slot.who == who;
        if is_first {
            slot.sessions = 0;
        }
        if !self.has(place) {
            return;
        }
        let Some(others) = self.of.get_mut(&place) else {
            return;
        };
        let gone = if is_first {
            Some(0)
        } else {
            others.iter().position(|other| other.who == who)
        };
        if let Some(other) = gone.map(|gone| others.swap_remove(gone)) {
            self.count -= 1;
            if is_first {
                (slot.who, slot.since, slot.sessions) = (other.who, other.since, other.sessions);
            }
        }
        if others.is_empty() {
            self.of.remove(&place);
        }
    }
}

/// The realms of a device, by numbers.
#[derive(Debug, Default)]
struct Realms {
    names: Vec<Realm>,
    numbers: HashMap<Realm, u16>,
    /// The one that was asked for last: a device has one or two, and they come in runs.
    last: Option<(Realm, u16)>,
}

impl Realms {
    /// A subscriber in few bytes; `None` where there are more realms than numbers.
    fn who(&mut self, subscriber: &Subscriber) -> Option<Who> {
        let realm = subscriber.realm();
        let number = match &self.last {
            Some((last, number)) if last == realm => *number,
            _ => {
                let number = self.number(realm)?;
                self.last = Some((realm.clone(), number));
                number
            }
        };
        Who::new(number, subscriber.internal())
    }

    fn number(&mut self, realm: &Realm) -> Option<u16> {
        if let Some(number) = self.numbers.get(realm) {
            return Some(*number);
        }
        let number = u16::try_from(self.names.len()).ok()?;
        self.names.push(realm.clone());
        self.numbers.insert(realm.clone(), number);
        Some(number)
    }

    fn subscriber(&self, who: Who) -> Subscriber {
        // Each number was given to a name.
        let realm = self.names.get(usize::from(who.realm())).cloned();
        Subscriber::of(realm.unwrap_or_default(), who.internal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portledger_model::PortRange;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    /// What is known of one place, as a list.
    #[derive(Default)]
    struct Plain {
        holders: Vec<(u8, Timestamp, u32)>,
        ended: Option<Timestamp>,
    }

    #[derive(Debug, Clone)]
    enum Told {
        Begins(u8, bool),
        IsHeld(u8),
        Ends(Option<u8>),
        HadEnded,
    }

    fn told() -> impl Strategy<Value = (u8, Told)> {
        let who = 0..4_u8;
        let told = prop_oneof![
            4 => (who.clone(), any::<bool>()).prop_map(|(who, session)| Told::Begins(who, session)),
            1 => who.clone().prop_map(Told::IsHeld),
            4 => prop::option::of(who).prop_map(Told::Ends),
            1 => Just(Told::HadEnded),
        ];
        (0..3_u8, told)
    }

    /// Of two realms that use the same addresses, and of all kinds.
    fn subscriber(who: u8) -> Subscriber {
        let realm = Realm::new(if who == 0 { "west" } else { "east" }).unwrap();
        let internal = [
            "100.64.0.0",
            "100.64.0.0",
            "2001:db8::/56",
            "softwire 2001:db8::/56",
        ];
        Subscriber::of(realm, internal[usize::from(who)].parse().unwrap())
    }

    proptest! {
        #[test]
        fn places_know_what_a_list_knows(told in prop::collection::vec(told(), 0..60)) {
            let mut places = Places::default();
            let mut plain: [Plain; 3] = Default::default();
            for (second, (place, told)) in (0..).zip(told) {
                let at = Timestamp::from_secs(second / 2);
                let list = &mut plain[usize::from(place)];
                let ports = PortRange::new(1_024, 2_047).unwrap();
                let place = (Ipv4Addr::new(203, 0, 113, place), ports, None);
                places.fetch(place);
                let holder = |list: &Plain, who| list.holders.iter().position(|it| it.0 == who);
                match told {
                    Told::Begins(who, session) => {
                        let expected = match holder(list, who) {
                            None => {
                                list.holders.push((who, at, 1));
                                Begun::New
                            }
                            Some(found) if session => {
                                list.holders[found].2 += 1;
                                Begun::Known
                            }
                            Some(found) if list.holders[found].1 == at => Begun::Known,
                            Some(found) => {
                                list.holders[found] = (who, at, 1);
                                Begun::New
                            }
                        };
                        prop_assert_eq!(places.begin(place, &subscriber(who), at, session), expected);
                    }
                    Told::IsHeld(who) => {
                        let known = holder(list, who);
                        let since = known.map(|found| list.holders[found].1);
                        prop_assert_eq!(places.held_since(place, &subscriber(who)), since);
                        places.remember(place, &subscriber(who), at);
                        match known {
                            Some(found) => list.holders[found] = (who, at, 1),
                            None => list.holders.push((who, at, 1)),
                        }
                    }
                    Told::Ends(who) => {
                        let found = match who {
                            Some(who) => holder(list, who),
                            None => (list.holders.len() == 1).then_some(0),
                        };
                        let expected = match found {
                            None => Ended::Unknown,
                            Some(found) if list.holders[found].2 > 1 => {
                                list.holders[found].2 -= 1;
                                Ended::InUse
                            }
                            Some(found) => {
                                let (who, since, _) = list.holders.remove(found);
                                list.ended = list.ended.max(Some(at));
                                Ended::Over(subscriber(who), since)
                            }
                        };
                        let who = who.map(subscriber);
                        prop_assert_eq!(places.end(place, who.as_ref(), at), expected);
                    }
                    Told::HadEnded => {
                        places.has_ended(place, at);
                        list.ended = list.ended.max(Some(at));
                    }
                }
                prop_assert_eq!(places.ended(place), list.ended);
            }
            let mut left: Vec<_> = places.drain().map(|(place, who, since)| (place.0, who, since)).collect();
            let mut listed: Vec<_> = (0..).zip(&plain).flat_map(|(place, list)| {
                let held = list.holders.iter();
                held.map(move |(who, since, _)| (Ipv4Addr::new(203, 0, 113, place), subscriber(*who), *since))
            }).collect();
            left.sort();
            listed.sort();
            prop_assert_eq!(left, listed);
        }
    }
}
