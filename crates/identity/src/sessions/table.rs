//! All sessions and leases that are of interest still.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    net::IpAddr,
};

use portledger_model::{Realm, Span, Timestamp};
use portledger_wire::radius::Nas;

use super::{
    fact::{Fact, Lease, SessionId, Told},
    lease::Tenancy,
    session::Session,
};
use crate::{Customer, Interval, Prefix};

/// Makes intervals of facts, in any order, in bounded memory.
#[derive(Default)]
pub struct Sessions {
    options: Options,
    sessions: HashMap<InRealm<SessionId>, Session>,
    places: HashMap<Place, Held>,
    resets: HashMap<InRealm<NasName>, BTreeSet<Timestamp>>,
    leases: usize,
    /// Places of which something was told since the last drain.
    changed: HashSet<Place>,
    /// Intervals of what was let go.
    ready: Vec<Interval>,
    let_go: u64,
    /// Before then all that was over is forgotten.
    forgotten: Option<Timestamp>,
    late: u64,
    /// Of an address or a NAS, more ends are remembered than may be.
    crowded: bool,
}

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// At most so many sessions and leases; each is about a kilobyte. When there are more, those
    /// that were not heard of for the longest time are let go: their intervals are given as they
    /// are known, and what is told of them later begins anew.
    pub most: usize,
}

impl Default for Options {
    /// 1,000,000.
    fn default() -> Self {
        Self { most: 1_000_000 }
    }
}

/// More starts of one NAS, or releases of one address, than are remembered.
const MOST_TIMES: usize = 4_096;

type InRealm<T> = (Realm, T);
type Place = (Realm, Prefix);

/// A NAS by one of its names: it may be told by either.
#[derive(Clone, PartialEq, Eq, Hash)]
enum NasName {
    Identifier(Box<str>),
    Address(IpAddr),
}

/// Who an address was told to be of.
#[derive(Default)]
struct Held {
    sessions: HashSet<SessionId>,
    leases: HashMap<(Timestamp, Box<str>), Tenancy>,
    /// When it was nobody's.
    freed: BTreeSet<Timestamp>,
}

impl Sessions {
    /// None yet, with these options.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Takes a fact. One that is known already changes nothing.
    pub fn take(&mut self, fact: Fact) {
        let realm = fact.realm;
        match fact.told {
            Told::Packet(packet) => {
                let key = (realm.clone(), packet.session.clone());
                if self.is_forgotten(packet.at) && !self.sessions.contains_key(&key) {
                    self.late += 1;
                    return;
                }
                let session = self.sessions.entry(key).or_default();
                session.take(&packet);
                for prefix in session.prefixes() {
                    let place = (realm.clone(), prefix);
                    let held = self.places.entry(place.clone()).or_default();
                    held.sessions.insert(packet.session.clone());
                    self.changed.insert(place);
                }
            }
            Told::Reset { nas, at } => self.reset(&realm, &nas, at),
            Told::Lease(lease) => self.lease((realm, lease.prefix), &lease),
            Told::Free { prefix, at } => {
                let place = (realm, prefix);
                // Where nobody is known, nobody's time ends; who is told later may have had it
                // before.
                let held = self.places.entry(place.clone()).or_default();
                held.freed.insert(at);
                self.crowded |= held.freed.len() > MOST_TIMES;
                self.changed.insert(place);
            }
        }
        if std::mem::take(&mut self.crowded) {
            self.thin();
        }
        let most = self.options.most.max(1);
        if self.len() > most || self.places.len() > most * 2 || self.resets.len() > most {
            self.let_go_of_the_oldest();
        }
    }

    /// How many sessions and leases are remembered.
    pub fn len(&self) -> usize {
        self.sessions.len() + self.leases
    }

    /// None is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many were let go because there were more than may be remembered.
    pub const fn let_go(&self) -> u64 {
        self.let_go
    }

    /// How many facts came too late, and were not taken.
    pub const fn late(&self) -> u64 {
        self.late
    }

    /// How many of the remembered sessions have an address, and no packet that names a customer:
    /// they make no intervals.
    pub fn unnamed(&self) -> usize {
        let unnamed = |session: &&Session| {
            session.customers.all().next().is_none() && session.prefixes().next().is_some()
        };
        self.sessions.values().filter(unnamed).count()
    }

    /// The intervals of all addresses of which something was told since the last time, as they are
    /// known now, by realm, address and beginning: for [`Store::insert`](crate::Store::insert).
    pub fn drain(&mut self) -> Vec<Interval> {
        let mut intervals = std::mem::take(&mut self.ready);
        for place in std::mem::take(&mut self.changed) {
            self.intervals(&place, &mut intervals);
        }
        intervals.sort_by_cached_key(order);
        intervals.dedup();
        intervals
    }

    /// Forgets what was over before a time. What was told of it is given by the next drain all the
    /// same. A fact that comes later and is of before that time counts as [late](Self::late)
    /// unless its session or lease is remembered: what ended it may be forgotten.
    pub fn forget_before(&mut self, limit: Timestamp) {
        self.forgotten = self.forgotten.max(Some(limit));
        self.settle();
        let over = |last: Timestamp| last < limit;
        self.drop_where(|session| over(session.heard()), |lease| over(lease.over()));
        for times in self.resets.values_mut() {
            *times = times.split_off(&limit);
        }
        self.resets.retain(|_, times| !times.is_empty());
        for held in self.places.values_mut() {
            held.freed = held.freed.split_off(&limit);
        }
        self.places.retain(|_, held| !held.is_empty());
    }

    fn is_forgotten(&self, at: Timestamp) -> bool {
        self.forgotten.is_some_and(|limit| at < limit)
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.places.len().max(self.resets.len())
    }

    fn lease(&mut self, place: Place, lease: &Lease) {
        let late = self.is_forgotten(lease.heard);
        let held = self.places.entry(place.clone()).or_default();
        let key = (lease.from, lease.customer.id().into());
        if late && !held.leases.contains_key(&key) {
            self.late += 1;
            return;
        }
        let tenancy = held.leases.entry(key).or_insert_with(|| {
            self.leases += 1;
            Tenancy::new(lease)
        });
        tenancy.take(lease);
        // An end is an end of what other records of the lease promised too.
        if let Some(ended) = lease.ended {
            held.freed.insert(ended);
            self.crowded |= held.freed.len() > MOST_TIMES;
        }
        self.changed.insert(place);
    }

    fn reset(&mut self, realm: &Realm, nas: &Nas, at: Timestamp) {
        for name in names(nas) {
            let key = (realm.clone(), name);
            let times = self.resets.entry(key).or_default();
            times.insert(at);
            self.crowded |= times.len() > MOST_TIMES;
        }
        let is_of = |session: &SessionId| {
            names(&session.nas).any(|name| names(nas).any(|other| name == other))
        };
        for ((of, id), session) in &self.sessions {
            if of == realm && is_of(id) {
                let places = session.prefixes().map(|prefix| (realm.clone(), prefix));
                self.changed.extend(places);
            }
        }
    }

    /// The intervals of an address.
    fn intervals(&self, place: &Place, out: &mut Vec<Interval>) {
        let Some(held) = self.places.get(place) else {
            return;
        };
        let mut told: Vec<(Span, Customer)> = Vec::new();
        for id in &held.sessions {
            let key = (place.0.clone(), id.clone());
            let Some(session) = self.sessions.get(&key) else {
                continue;
            };
            for span in self.spans(place, id) {
                told.extend(session.customers.all().map(|customer| (span, customer)));
            }
        }
        let begins = self.begins(place);
        for tenancy in held.leases.values() {
            let span = tenancy.span(|heard| next_end(&held.freed, &begins, heard));
            told.extend(tenancy.customers.all().map(|customer| (span, customer)));
        }
        for (span, customer) in joined(told) {
            let to = (span.to < Timestamp::MAX).then_some(span.to);
            let (realm, prefix) = place.clone();
            // Spans are never empty.
            out.extend(Interval::new(realm, prefix, span.from, to, customer));
        }
    }

    fn next_reset(&self, realm: &Realm, nas: &Nas, from: Timestamp) -> Option<Timestamp> {
        let of = |name: NasName| {
            let times = self.resets.get(&(realm.clone(), name))?;
            times.range(from.after(Span::TICK)..).next().copied()
        };
        names(nas).filter_map(of).min()
    }

    fn let_go_of_the_oldest(&mut self) {
        self.settle();
        let sessions = self.sessions.values().map(Session::heard);
        let leases = self.places.values().flat_map(|held| held.leases.values());
        let mut last: Vec<Timestamp> = sessions.chain(leases.map(Tenancy::over)).collect();
        // A quarter at once, so that it is seldom done.
        let quarter = last.len() / 4;
        let before = self.len();
        if before > self.options.most.max(1) && quarter < last.len() {
            let limit = *last.select_nth_unstable(quarter).1;
            self.drop_where(
                |session| session.heard() <= limit,
                |lease| lease.over() <= limit,
            );
        }
        self.let_go += u64::try_from(before - self.len()).unwrap_or(u64::MAX);
        // What ended others' time has done so.
        self.resets.clear();
        self.places
            .retain(|_, held| !held.sessions.is_empty() || !held.leases.is_empty());
    }

    /// Forgets the older half of too many ends, which have ended what they end.
    fn thin(&mut self) {
        self.settle();
        let freed = self.places.values_mut().map(|held| &mut held.freed);
        for times in freed.chain(self.resets.values_mut()) {
            if times.len() > MOST_TIMES
                && let Some(middle) = times.iter().nth(MOST_TIMES / 2).copied()
            {
                *times = times.split_off(&middle);
            }
        }
    }

    /// Makes lasting what ends the time of what is remembered, so that what ended it need not be
    /// remembered.
    fn settle(&mut self) {
        let ends: Vec<(InRealm<SessionId>, Timestamp)> = self
            .sessions
            .iter()
            .filter_map(|(key, session)| {
                let reset = self.next_reset(&key.0, &key.1.nas, session.first_heard())?;
                Some((key.clone(), reset))
            })
            .collect();
        for (key, reset) in ends {
            if let Some(session) = self.sessions.get_mut(&key) {
                session.end_by(reset);
            }
        }
        let places: Vec<Place> = self.places.keys().cloned().collect();
        for place in places {
            let begins = self.begins(&place);
            if let Some(held) = self.places.get_mut(&place) {
                let Held { leases, freed, .. } = held;
                for lease in leases.values_mut() {
                    lease.end_by(|heard| next_end(freed, &begins, heard));
                }
            }
        }
    }

    /// When those of whom an address was told began to have it.
    fn begins(&self, place: &Place) -> BTreeSet<Timestamp> {
        let Some(held) = self.places.get(place) else {
            return BTreeSet::new();
        };
        let mut begins: BTreeSet<Timestamp> = held.leases.values().map(Tenancy::from).collect();
        for id in &held.sessions {
            let spans = self.spans(place, id);
            begins.extend(spans.iter().map(|span| span.from));
        }
        begins
    }

    fn spans(&self, place: &Place, id: &SessionId) -> Vec<Span> {
        let key = (place.0.clone(), id.clone());
        let reset = |from| self.next_reset(&place.0, &id.nas, from);
        self.sessions
            .get(&key)
            .map(|session| session.spans(place.1, reset))
            .unwrap_or_default()
    }

    /// Drops sessions and leases, and keeps their intervals.
    fn drop_where(
        &mut self,
        is_session: impl Fn(&Session) -> bool,
        is_lease: impl Fn(&Tenancy) -> bool,
    ) {
        let mut affected: HashSet<Place> = HashSet::new();
        for ((realm, _), session) in self.sessions.iter().filter(|it| is_session(it.1)) {
            let places = session.prefixes().map(|prefix| (realm.clone(), prefix));
            affected.extend(places);
        }
        for (place, held) in &self.places {
            if held.leases.values().any(&is_lease) {
                affected.insert(place.clone());
            }
        }
        let mut ready = std::mem::take(&mut self.ready);
        // What did not change was given before.
        for place in affected
            .iter()
            .filter(|place| self.changed.contains(*place))
        {
            self.intervals(place, &mut ready);
        }
        self.ready = ready;
        self.sessions.retain(|_, session| !is_session(session));
        for place in &affected {
            let Some(held) = self.places.get_mut(place) else {
                continue;
            };
            let sessions = &self.sessions;
            held.sessions
                .retain(|id| sessions.contains_key(&(place.0.clone(), id.clone())));
            let before = held.leases.len();
            held.leases.retain(|_, lease| !is_lease(lease));
            self.leases -= before - held.leases.len();
        }
    }
}

impl Held {
    fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.leases.is_empty() && self.freed.is_empty()
    }
}

/// When what was promised at `heard` ends: the address is given back, or is another's after it.
fn next_end(
    freed: &BTreeSet<Timestamp>,
    begins: &BTreeSet<Timestamp>,
    heard: Timestamp,
) -> Option<Timestamp> {
    let freed = freed.range(heard..).next().copied();
    let other = begins.range(heard.after(Span::TICK)..).next().copied();
    [freed, other].into_iter().flatten().min()
}

/// Where one customer's spans touch or overlap, they are one: leases are renewed.
fn joined(mut told: Vec<(Span, Customer)>) -> Vec<(Span, Customer)> {
    told.sort_by_key(|(span, _)| (span.from, span.to));
    let mut joined: Vec<(Span, Customer)> = Vec::new();
    // The latest of each customer, by what is known of them.
    let mut latest: HashMap<Customer, usize> = HashMap::new();
    for (span, customer) in told {
        let known = latest
            .get(&customer)
            .and_then(|place| joined.get_mut(*place));
        match known {
            Some((before, _)) if span.from <= before.to => before.to = before.to.max(span.to),
            _ => {
                latest.insert(customer.clone(), joined.len());
                joined.push((span, customer));
            }
        }
    }
    joined
}

fn names(nas: &Nas) -> impl Iterator<Item = NasName> {
    let identifier = nas.identifier.clone().map(NasName::Identifier);
    identifier
        .into_iter()
        .chain(nas.address.map(NasName::Address))
}

/// Intervals in one order, whatever the order in which they were told.
fn order(interval: &Interval) -> impl Ord + use<> {
    let (prefix, span, customer) = (interval.prefix(), interval.span(), interval.customer());
    let fields: BTreeMap<String, String> = customer.fields().clone();
    (
        interval.realm().clone(),
        (prefix.address(), prefix.length()),
        (span.from, span.to),
        customer.id().to_owned(),
        fields,
    )
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({}, redacted)", self.len())
    }
}
