//! One exporter over one transport session.

mod learn;

use std::{collections::HashMap, time::Duration};

use portledger_model::Timestamp;

use super::{
    clock::Sent,
    decode::{Job, State},
    item::{Counters, Item, Limits, Reject, Unit, Unread},
    message::{self, Domain, Message, Set, Sets, Version},
    realm::Realms,
    sequence::{Arrival, Missing},
    stream::Framing,
    templates::Templates,
    waiting::{Waiting, WaitingSet},
};

/// How an exporter's messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Medium {
    /// UDP: messages may be lost and overtake each other, templates are repeated and expire, and a
    /// withdrawal is ignored (RFC 7011 §8.4).
    Datagrams,
    /// TCP or TLS: templates are sent once and last until they are withdrawn or the connection
    /// ends. A new connection is a new session.
    Stream,
}

/// Decodes what one exporter sends over one transport session: a UDP address and port, a
/// connection. Templates belong to it and to one domain of it (RFC 7011 §8).
///
/// What it keeps is bounded by [`Limits`]: with the defaults 1 MiB of templates, 4 MiB of data
/// that waits for its template, 64 domains of about 4 KiB each, 8,192 realms' names, and over a
/// stream one unfinished message of 64 KiB.
#[derive(Debug)]
pub struct Session {
    medium: Medium,
    limits: Limits,
    domains: HashMap<Domain, State>,
    templates: Templates,
    waiting: Waiting,
    realms: Realms,
    counters: Counters,
    framing: Framing,
    /// When to look again at what has a time.
    due: Timestamp,
}

/// How often what expires is looked at.
const LOOK: Duration = Duration::from_millis(500);

impl Session {
    /// A session that has heard nothing yet.
    pub fn new(medium: Medium, limits: Limits) -> Self {
        Self {
            medium,
            limits,
            domains: HashMap::new(),
            templates: Templates::default(),
            waiting: Waiting::default(),
            realms: Realms::default(),
            counters: Counters::default(),
            framing: Framing::default(),
            due: Timestamp::MIN,
        }
    }

    /// Everything counted so far.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether data waits for its template: what it tells is not known yet.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Reads one datagram, received at `now` by our clock: one message of IPFIX or NetFlow v9.
    pub fn datagram(&mut self, bytes: &[u8], now: Timestamp, out: &mut impl FnMut(Item)) {
        match message::read(bytes) {
            Ok(message) => {
                self.message(message, now, out);
                let end = message.offset + message.body.len();
                if end < bytes.len() {
                    let why = Reject::MessageLength {
                        said: end,
                        got: bytes.len(),
                    };
                    self.reject(end, why, out);
                }
            }
            Err(why) => self.reject(0, why, out),
        }
        if now >= self.due {
            self.tick(now, out);
        }
    }

    /// Reads the next bytes of a stream, however they were cut; an unfinished message is kept
    /// until the rest of it comes. Only IPFIX goes over streams (RFC 7011 §10.4).
    ///
    /// # Errors
    /// When what comes is no IPFIX message: where the next one begins nobody can say. The
    /// connection is of no use any more and is best closed; what was read stays read.
    pub fn stream(
        &mut self,
        mut bytes: &[u8],
        now: Timestamp,
        out: &mut impl FnMut(Item),
    ) -> Result<(), Reject> {
        let mut framing = std::mem::take(&mut self.framing);
        let result = loop {
            match framing.next(&mut bytes) {
                Ok(Some(whole)) => match message::read(whole) {
                    Ok(message) => self.message(message, now, out),
                    Err(why) => break Err(why),
                },
                Ok(None) => break Ok(()),
                Err(why) => break Err(why),
            }
        };
        self.framing = framing;
        if let Err(why) = result {
            self.reject(0, why, out);
        }
        if now >= self.due {
            self.tick(now, out);
        }
        result
    }

    /// Lets time pass: tells gaps that nothing fills any more, drops what waited too long, forgets
    /// templates that were not repeated. Reading does this too; an exporter that is silent needs a
    /// call now and then, every second or so.
    pub fn tick(&mut self, now: Timestamp, out: &mut impl FnMut(Item)) {
        self.due = now.after(LOOK);
        let too_old = self
            .waiting
            .take_older(now.before(self.limits.waiting_time));
        for set in too_old {
            self.drop_set(set, now, out);
        }
        if self.medium == Medium::Datagrams {
            let expired = self.templates.expire(now.before(self.limits.template_life));
            self.counters.expired += expired;
        }
        let (time, messages) = (self.limits.reorder_time, self.limits.reorder_messages);
        for (domain, state) in &mut self.domains {
            if state.sequence.has_holes() {
                let counters = &mut self.counters;
                state.sequence.settle(now, time, messages, |missing| {
                    tell_gap(*domain, missing, counters, out);
                });
            }
        }
    }

    /// Nothing more will come: tells every gap and drops what still waits. Counters stay.
    pub fn finish(&mut self, now: Timestamp, out: &mut impl FnMut(Item)) {
        for set in self.waiting.take_older(Timestamp::MAX) {
            self.drop_set(set, now, out);
        }
        let counters = &mut self.counters;
        for (domain, state) in &mut self.domains {
            let all = Duration::ZERO;
            state.sequence.settle(now, all, 0, |missing| {
                tell_gap(*domain, missing, counters, out);
            });
        }
    }

    fn message(&mut self, message: Message<'_>, now: Timestamp, out: &mut impl FnMut(Item)) {
        let Message { domain, head, .. } = message;
        if !self.domains.contains_key(&domain) && self.domains.len() >= self.limits.domains {
            let why = Reject::TooManyDomains {
                domain: domain.number,
                room: self.limits.domains,
            };
            self.reject(0, why, out);
            return;
        }
        self.counters.messages += 1;
        let state = self.domains.entry(domain).or_default();
        let before = state.sequence.last_sent();
        let arrival = if state.is_disordered {
            Arrival::Next
        } else {
            state.sequence.arrive(head, now)
        };
        let booted = state.booted;
        match arrival {
            Arrival::Next => {}
            Arrival::Late => self.counters.out_of_order += 1,
            Arrival::Restarted { since, until } => {
                self.restarted(domain, since, until, now, out);
            }
        }
        let mut reading = Reading {
            domain,
            sent: Sent {
                at: head.sent,
                uptime: head.uptime,
                booted,
            },
            since: before.unwrap_or(head.sent),
            offset: message.offset,
            records: 0,
            waiting: Vec::new(),
            earliest: None,
        };
        let sets = Sets {
            body: message.body,
            offset: 0,
        };
        for set in sets {
            match set {
                Ok(set) => self.set(set, &mut reading, now, out),
                Err((offset, why)) => self.reject(reading.offset + offset, why, out),
            }
        }
        self.count(arrival, message, reading, now, out);
    }

    /// Tells the sequence what the message held.
    fn count(
        &mut self,
        arrival: Arrival,
        message: Message<'_>,
        reading: Reading,
        now: Timestamp,
        out: &mut impl FnMut(Item),
    ) {
        let Message { domain, head, .. } = message;
        let (counted, open) = match domain.version.unit() {
            Unit::Messages => (1, 0),
            Unit::Records => (reading.records, reading.waiting.len()),
        };
        let Some(state) = self.domains.get_mut(&domain) else {
            return;
        };
        let open = u32::try_from(open).unwrap_or(u32::MAX);
        let junction = if state.is_disordered {
            0
        } else {
            state
                .sequence
                .read(arrival, head, counted, open, reading.earliest)
        };
        if state.sequence.has_holes() {
            let (time, messages) = (self.limits.reorder_time, self.limits.reorder_messages);
            let counters = &mut self.counters;
            state.sequence.settle(now, time, messages, |missing| {
                tell_gap(domain, missing, counters, out);
            });
        }
        let mut dropped = Vec::new();
        for mut set in reading.waiting {
            set.junction = junction;
            let bytes = self.limits.waiting_bytes;
            self.waiting.push(set, bytes, |oldest| dropped.push(oldest));
        }
        for set in dropped {
            self.drop_set(set, now, out);
        }
    }

    fn set(
        &mut self,
        set: Set<'_>,
        reading: &mut Reading,
        now: Timestamp,
        out: &mut impl FnMut(Item),
    ) {
        let options = match (reading.domain.version, set.id) {
            (Version::Ipfix, 2) | (Version::NetFlow9, 0) => Some(false),
            (Version::Ipfix, 3) | (Version::NetFlow9, 1) => Some(true),
            _ => None,
        };
        if let Some(options) = options {
            self.define(set, options, reading, now, out);
        } else if set.id < 256 {
            self.counters.reserved_sets += 1;
        } else {
            self.data(set, reading, now, out);
        }
    }

    fn data(
        &mut self,
        set: Set<'_>,
        reading: &mut Reading,
        now: Timestamp,
        out: &mut impl FnMut(Item),
    ) {
        let Some(template) = self.templates.get(reading.domain, set.id) else {
            self.counters.waited_sets += 1;
            reading.waiting.push(WaitingSet {
                domain: reading.domain,
                template: set.id,
                bytes: set.contents.into(),
                junction: 0,
                sent: reading.sent,
                since: reading.since,
                received: now,
            });
            return;
        };
        let Some(state) = self.domains.get_mut(&reading.domain) else {
            return;
        };
        let job = Job {
            domain: reading.domain.number,
            number: set.id,
            template,
            offset: reading.offset + set.offset,
            sent: reading.sent,
        };
        let done = job.read(
            set.contents,
            state,
            &mut self.realms,
            &mut self.counters,
            out,
        );
        reading.records = reading.records.wrapping_add(done.records);
        reading.earliest = reading.earliest.into_iter().chain(done.earliest).min();
        reading.sent.booted = state.booted;
    }

    fn drop_set(&mut self, set: WaitingSet, now: Timestamp, out: &mut impl FnMut(Item)) {
        self.counters.dropped_sets += 1;
        if let Some(state) = self.domains.get_mut(&set.domain) {
            state.sequence.resolve(set.junction, None, now);
        }
        out(Item::Dropped {
            domain: set.domain.number,
            template: set.template,
            set: Unread(set.bytes),
            since: set.since,
            until: set.sent.at.after(Duration::from_secs(1)),
        });
    }

    fn reject(&mut self, offset: usize, why: Reject, out: &mut impl FnMut(Item)) {
        self.counters.rejected += 1;
        out(Item::Rejected { offset, why });
    }
}

fn tell_gap(domain: Domain, missing: Missing, counters: &mut Counters, out: &mut impl FnMut(Item)) {
    let unit = domain.version.unit();
    match unit {
        Unit::Records => counters.missing_records += u64::from(missing.count),
        Unit::Messages => counters.missing_messages += u64::from(missing.count),
    }
    out(Item::Gap {
        domain: domain.number,
        missing: missing.count,
        unit,
        since: missing.since,
        until: missing.until,
    });
}

/// What is known of a message while it is read.
struct Reading {
    domain: Domain,
    sent: Sent,
    /// The header's time of the message before.
    since: Timestamp,
    /// Where its body begins.
    offset: usize,
    records: u32,
    waiting: Vec<WaitingSet>,
    earliest: Option<Timestamp>,
}
