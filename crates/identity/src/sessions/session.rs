//! A session of RADIUS accounting.

use std::{collections::BTreeMap, time::Duration};

use portledger_model::{Span, Timestamp};

use super::fact::{Packet, Phase};
use crate::{Customer, Prefix};

/// Starts that differ by more than this are of two sessions: the same one, sent again without a
/// time of its own, differs by what is lost on the way.
const TOLERANCE: Duration = Duration::from_secs(60);
/// More addresses and prefixes than a session has.
const MOST_PREFIXES: usize = 64;

/// All that was told of a session. Only the earliest and the latest of everything is kept, so that
/// the order of packets, and packets that come twice, change nothing.
#[derive(Clone, Default)]
pub(super) struct Session {
    started: Option<Bounds>,
    /// By how long it had lasted.
    begun: Option<Bounds>,
    heard: Option<Bounds>,
    stopped: Option<Bounds>,
    /// Its NAS ended all its sessions then.
    ended: Option<Timestamp>,
    /// The latest packet that told addresses.
    addressed: Option<Timestamp>,
    /// The latest stop that told none.
    bare_stop: bool,
    prefixes: Vec<(Prefix, Addressed)>,
    pub(super) customers: Customers,
}

/// The earliest and the latest of some times.
#[derive(Clone, Copy)]
struct Bounds {
    first: Timestamp,
    last: Timestamp,
}

/// When an address was told to be the session's.
#[derive(Clone, Copy)]
struct Addressed {
    bounds: Bounds,
    /// By packets that began a session.
    starts: Option<Bounds>,
    at_stop: bool,
}

/// The customers of one session: one, or two where it contradicts itself; more would not make it
/// more ambiguous.
#[derive(Clone, Default)]
pub(super) struct Customers(BTreeMap<Box<str>, BTreeMap<Box<str>, Box<str>>>);

impl Session {
    pub(super) fn take(&mut self, packet: &Packet) {
        let at = packet.at;
        widen(&mut self.heard, at);
        if let Some(begun) = packet.begun {
            widen(&mut self.begun, begun);
        }
        match packet.phase {
            Phase::Start => widen(&mut self.started, at),
            Phase::Stop => {
                widen(&mut self.stopped, at);
                self.bare_stop |= packet.prefixes.is_empty();
            }
            Phase::Interim => {}
        }
        if !packet.prefixes.is_empty() {
            self.addressed = self.addressed.max(Some(at));
        }
        for prefix in &packet.prefixes {
            self.address(*prefix, packet.phase, at);
        }
        if let Some(customer) = &packet.customer {
            self.customers.take(customer);
        }
    }

    fn address(&mut self, prefix: Prefix, phase: Phase, at: Timestamp) {
        let known = self.prefixes.iter().position(|(known, _)| *known == prefix);
        let place = match known {
            Some(place) => place,
            None if self.prefixes.len() < MOST_PREFIXES => {
                let bounds = Bounds {
                    first: at,
                    last: at,
                };
                let addressed = Addressed {
                    bounds,
                    starts: None,
                    at_stop: false,
                };
                self.prefixes.push((prefix, addressed));
                self.prefixes.len() - 1
            }
            None => return,
        };
        if let Some((_, addressed)) = self.prefixes.get_mut(place) {
            addressed.bounds.widen(at);
            if phase == Phase::Start {
                widen(&mut addressed.starts, at);
            }
            addressed.at_stop |= phase == Phase::Stop;
        }
    }

    pub(super) fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        self.prefixes.iter().map(|(prefix, _)| *prefix)
    }

    /// The last that was heard of it.
    pub(super) fn heard(&self) -> Timestamp {
        self.heard.map_or(Timestamp::MIN, |heard| heard.last)
    }

    /// The first that was heard of it.
    pub(super) fn first_heard(&self) -> Timestamp {
        self.heard.map_or(Timestamp::MAX, |heard| heard.first)
    }

    /// It ends, for good, by then.
    pub(super) fn end_by(&mut self, at: Timestamp) {
        self.ended = Some(self.ended.map_or(at, |known| known.min(at)));
    }

    /// From when to when an address was the session's, as far as was told; a second time where one
    /// session's id was used for two. `reset` is when its NAS first ended all sessions after a time.
    pub(super) fn spans(
        &self,
        prefix: Prefix,
        reset: impl Fn(Timestamp) -> Option<Timestamp>,
    ) -> Vec<Span> {
        let known = self.prefixes.iter().find(|(known, _)| *known == prefix);
        let Some((_, told)) = known else {
            return Vec::new();
        };
        let mut spans = Vec::new();
        let mut from = self.beginning(told);
        let mut stop = self.stopped.map(|stopped| stopped.first);
        let reused = self
            .started
            .is_some_and(|started| started.last.since(started.first) > TOLERANCE);
        if let Some(started) = self.started.filter(|_| reused) {
            // Of packets in between nobody knows which session they are of: of the earlier one its
            // start is certain, and of the last what its own start told, or the last packet.
            spans.extend(told.starts.map(|starts| instant(starts.first)));
            if told.bounds.last < started.last {
                return spans;
            }
            let begins = told
                .starts
                .is_some_and(|starts| starts.last == started.last);
            from = if begins {
                started.last
            } else {
                told.bounds.last
            };
            let last = self.stopped.map(|stopped| stopped.last);
            stop = last.filter(|stop| *stop >= from);
        }
        // A session's end is the end of the addresses that its last packets told, where the
        // packet that ended it told none.
        let current = self.addressed == Some(told.bounds.last);
        let ends_with_it = told.at_stop || (self.bare_stop && current);
        let end = match stop.filter(|_| ends_with_it) {
            Some(stop) => stop,
            None => told.bounds.last.min(stop.unwrap_or(Timestamp::MAX)),
        };
        let end = end.max(from).max(instant(from).to);
        // RFC 2866 §5.1: what the NAS had is over when it starts anew.
        let resets = [reset(from), self.ended].into_iter().flatten();
        let to = resets.fold(end, Timestamp::min);
        spans.push(Span::new(from, to));
        spans.retain(|span| !span.is_empty());
        spans
    }

    /// When an address became the session's, as far as is told.
    fn beginning(&self, told: &Addressed) -> Timestamp {
        match (self.started, self.begun) {
            // The start told it; or it told other addresses, or none.
            (Some(_), _) => told.starts.map_or(told.bounds.first, |starts| starts.first),
            // Each packet says how long the session had lasted, rounded: the latest claims least.
            (None, Some(begun)) => begun.last.min(told.bounds.first),
            (None, None) => told.bounds.first,
        }
    }
}

impl Customers {
    const MOST: usize = 2;

    pub(super) fn take(&mut self, customer: &Customer) {
        let fields = self.0.entry(customer.id().into()).or_default();
        for (name, value) in customer.fields() {
            let known = fields.entry(name.as_str().into());
            let known = known.or_insert_with(|| value.as_str().into());
            // Of two values one is shown, the same in whatever order they came.
            if value.as_str() < &**known {
                *known = value.as_str().into();
            }
        }
        while self.0.len() > Self::MOST {
            // The first and the last remain, in whatever order they came.
            let middle = self.0.keys().nth(1).cloned();
            if let Some(middle) = middle {
                self.0.remove(&middle);
            }
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Customer> {
        self.0.iter().filter_map(|(id, fields)| {
            // They come from a customer, whose bounds they keep.
            let mut customer = Customer::new(id).ok()?;
            for (name, value) in fields {
                let _ = customer.insert(name, value);
            }
            Some(customer)
        })
    }
}

impl Bounds {
    fn widen(&mut self, at: Timestamp) {
        self.first = self.first.min(at);
        self.last = self.last.max(at);
    }
}

fn widen(bounds: &mut Option<Bounds>, at: Timestamp) {
    match bounds {
        Some(bounds) => bounds.widen(at),
        None => {
            *bounds = Some(Bounds {
                first: at,
                last: at,
            });
        }
    }
}

/// What was so at one time, and is not known before or after.
pub(super) fn instant(at: Timestamp) -> Span {
    Span::new(at, at.after(Span::TICK))
}
