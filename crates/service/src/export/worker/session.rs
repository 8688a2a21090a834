//! What a connection is at: what was read, what leaves, what has not arrived yet.

use std::{collections::VecDeque, io, time::Instant};

use portledger_wire::NatEvent;

use crate::export::{cursor::Mark, link::Link, source::Next};

/// What was sent and is not sure to have arrived.
pub(super) struct Sent {
    /// Where it ended, in bytes of the connection.
    pub(super) end: u64,
    pub(super) mark: Mark,
    pub(super) at: Instant,
    pub(super) acknowledged: Option<Instant>,
}

/// What a connection is at.
pub(super) struct Session {
    pub(super) link: Link,
    pub(super) began: Instant,
    /// What was read, and how many of it were made a parcel of.
    pub(super) events: Vec<NatEvent>,
    pub(super) places: Vec<Next>,
    pub(super) done: usize,
    pub(super) parcel: Vec<u8>,
    pub(super) at: Stage,
    /// Everything before it was given to the system.
    pub(super) sent: Mark,
    pub(super) flight: VecDeque<Sent>,
    /// Bytes that were counted.
    pub(super) counted: u64,
    pub(super) asked: Instant,
    pub(super) written: Instant,
}

/// What becomes of the parcel.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    /// It is gone; the next is to be made.
    Free,
    /// It waits for room; it ends at the mark and holds so many events.
    Waiting(Mark, u64),
    /// The link has it, the system not all of it.
    Leaving(Mark),
}

impl Session {
    pub(super) fn new(link: Link, sent: Mark) -> Self {
        let now = Instant::now();
        Self {
            link,
            began: now,
            events: Vec::new(),
            places: Vec::new(),
            done: 0,
            parcel: Vec::new(),
            at: Stage::Free,
            sent,
            flight: VecDeque::new(),
            counted: 0,
            asked: now,
            written: now,
        }
    }

    /// Whether the parcel is gone, once the system takes what is left of it.
    pub(super) fn has_left(&mut self) -> io::Result<bool> {
        if let Stage::Leaving(mark) = self.at {
            if !self.link.flush()? {
                return Ok(false);
            }
            self.at = Stage::Free;
            self.sent = mark;
            self.flight.push_back(Sent {
                end: self.link.given(),
                mark,
                at: Instant::now(),
                acknowledged: None,
            });
        }
        Ok(true)
    }
}
