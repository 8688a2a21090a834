//! Connections of load balancers whose first data is awaited: it tells who the client is.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use portledger_model::Timestamp;
use portledger_servers::{
    connection_log::{NotTold, Record, Told},
    packet::Key,
    proxy_protocol::{self, Fault, Header},
};

/// How many are awaited at once. Beyond it the oldest is told without a client.
const MOST: usize = 65_536;

pub(crate) struct Pending {
    wait: Duration,
    awaited: HashMap<Key, Awaited>,
    /// In the order in which they began; some are told already.
    order: VecDeque<(Key, u32)>,
}

struct Awaited {
    record: Record,
    /// The sequence number of the SYN.
    initial: u32,
}

impl Pending {
    pub(crate) fn new(wait: Duration) -> Self {
        Self {
            wait,
            awaited: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// A balancer began a connection with a SYN of this sequence number.
    pub(crate) fn begin(
        &mut self,
        key: Key,
        initial: u32,
        record: Record,
        told: &mut impl FnMut(Record),
    ) {
        let awaited = Awaited { record, initial };
        if let Some(before) = self.awaited.insert(key, awaited) {
            // The same ends again, before the first said anything.
            told(without(before.record, NotTold::Missing));
        }
        self.order.push_back((key, initial));
        while self.awaited.len() > MOST || self.order.len() > 2 * MOST {
            let Some((key, initial)) = self.order.pop_front() else {
                break;
            };
            if let Some(record) = self.take(key, initial) {
                told(without(record, NotTold::Missing));
            }
        }
    }

    /// Data of a connection: its record, where this is the first and it was awaited. What a client
    /// sends later can look like a header, so it must be the first byte of the stream (RFC 9293
    /// §3.4: the SYN takes one number).
    pub(crate) fn data(&mut self, key: Key, sequence: u32, payload: &[u8]) -> Option<Record> {
        let awaited = self.awaited.get(&key)?;
        if payload.is_empty() || sequence != awaited.initial.wrapping_add(1) {
            return None;
        }
        let initial = awaited.initial;
        let record = self.take(key, initial)?;
        Some(match proxy_protocol::parse(payload) {
            Ok(Header::Client(client)) if client.transport == record.transport => Record {
                client: client.client,
                told: Some(Told::Client {
                    hop: record.client,
                    front: client.front,
                }),
                ..record
            },
            Ok(Header::Client(_) | Header::Unknown) => without(record, NotTold::Unknown),
            Ok(Header::Local) => without(record, NotTold::Local),
            Err(Fault::Malformed) => without(record, NotTold::Malformed),
            Err(Fault::Cut) => without(record, NotTold::Cut),
        })
    }

    /// Tells those that waited for too long.
    pub(crate) fn tick(&mut self, now: Timestamp, told: &mut impl FnMut(Record)) {
        while let Some(&(key, initial)) = self.order.front() {
            let since = match self.awaited.get(&key) {
                Some(awaited) if awaited.initial == initial => awaited.record.at,
                // Told already.
                _ => Timestamp::MIN,
            };
            // A clock that was set back must not hold them for ever.
            let waited = now.since(since).max(since.since(now));
            if waited < self.wait {
                break;
            }
            self.order.pop_front();
            if let Some(record) = self.take(key, initial) {
                told(without(record, NotTold::Missing));
            }
        }
    }

    /// Tells all.
    pub(crate) fn finish(&mut self, told: &mut impl FnMut(Record)) {
        while let Some((key, initial)) = self.order.pop_front() {
            if let Some(record) = self.take(key, initial) {
                told(without(record, NotTold::Missing));
            }
        }
    }

    /// The first moment of which a record may still be to come.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        let begun = self.order.iter().filter_map(|(key, initial)| {
            let awaited = self.awaited.get(key)?;
            (awaited.initial == *initial).then_some(awaited.record.at)
        });
        begun.min()
    }

    fn take(&mut self, key: Key, initial: u32) -> Option<Record> {
        if self.awaited.get(&key)?.initial != initial {
            return None;
        }
        self.awaited.remove(&key).map(|awaited| awaited.record)
    }
}

fn without(record: Record, why: NotTold) -> Record {
    Record {
        told: Some(Told::Not(why)),
        ..record
    }
}
