//! One target's thread.
//!
//! ```text
//!              ┌──────────── wait, 1 s to 60 s ◀───────────┐
//!              ▼                                           │ broken: back to the last place
//!  seek ──▶ connect ──▶ read ──▶ encode ──▶ send ──────────┤ that is sure to have arrived
//!                         ▲                  │ sent        │
//!                         │                  ▼             │
//!                         └──────────── acknowledged, settled ──▶ cursor's file
//! ```
//! Nothing is kept in memory for a target that is away: the ledger has it.

mod session;

use std::{
    io, mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use portledger_model::RecordNumber;

use self::session::{Sent, Session, Stage};
use super::{
    Notice, Shared, Tell,
    backoff::Backoff,
    cursor::{Cursor, Mark},
    encoder::Encoder,
    figures::{add, set},
    link::{Link, Route, is_end},
    now,
    source::Source,
    target::TargetName,
};

/// How long to wait for something new.
const TICK: Duration = Duration::from_millis(100);
/// How often is asked what has arrived.
const ASK: Duration = Duration::from_millis(250);
/// How often the cursor's file is written, at most.
const WRITE: Duration = Duration::from_secs(1);
/// Parcels whose arrival is not sure yet, at most; a slow peer's system holds fewer.
const IN_FLIGHT: usize = 1 << 16;

/// A target's thread, before and while it runs.
pub(super) struct Worker {
    pub(super) name: TargetName,
    pub(super) route: Route,
    pub(super) encoder: Encoder,
    pub(super) source: Source,
    pub(super) cursor: Cursor,
    pub(super) backoff: Backoff,
    pub(super) shared: Arc<Shared>,
    pub(super) tell: Tell,
    /// Everything before it is sure to have arrived.
    pub(super) settled: Mark,
    /// The furthest place that was ever sent: what is before it is sent again.
    pub(super) furthest: RecordNumber,
    pub(super) attempts: usize,
    pub(super) trouble: Trouble,
}

/// What the operator has been told, so that it is told once.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    target: bool,
    ledger: bool,
    cursor: bool,
}

/// Why a connection is over.
enum Over {
    /// It is time to stop.
    Stopped,
    Broken(io::Error),
    Ledger(portledger_ledger::Error),
}

impl From<io::Error> for Over {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<portledger_ledger::Error> for Over {
    fn from(error: portledger_ledger::Error) -> Self {
        Self::Ledger(error)
    }
}

impl Worker {
    pub(super) fn run(mut self) {
        loop {
            let over = match self.connect() {
                Ok(link) => self.serve(link),
                Err(over) => over,
            };
            self.shared.counters.connected.store(false, Relaxed);
            self.note();
            match over {
                Over::Stopped => break,
                Over::Broken(error) => {
                    add(&self.shared.counters.errors, 1);
                    if !mem::replace(&mut self.trouble.target, true) {
                        (self.tell)(&self.name, Notice::Away(error));
                    }
                }
                Over::Ledger(error) => {
                    if !mem::replace(&mut self.trouble.ledger, true) {
                        (self.tell)(&self.name, Notice::Ledger(error));
                    }
                }
            }
            self.shared.wait(self.backoff.wait());
            if self.shared.stops_at().is_some() {
                break;
            }
        }
        self.note();
    }

    fn connect(&mut self) -> Result<Link, Over> {
        self.attempts = self.attempts.wrapping_add(1);
        let link = self.route.open(self.attempts)?;
        self.source.seek(self.settled)?;
        self.encoder.begin(self.settled.sequence);
        add(&self.shared.counters.connections, 1);
        self.shared.counters.connected.store(true, Relaxed);
        Ok(link)
    }

    /// Sends until the connection breaks or it is time to stop.
    fn serve(&mut self, link: Link) -> Over {
        let mut session = Session::new(link, self.settled);
        match self.send_all(&mut session) {
            Ok(deadline) => self.farewell(session, deadline),
            Err(over) => over,
        }
    }

    /// Sends until it is time to stop and there is nothing more; until when to take leave.
    fn send_all(&mut self, session: &mut Session) -> Result<Instant, Over> {
        loop {
            // Asked first: what was written before somebody asked to stop is sent.
            let stops_at = self.shared.stops_at();
            let moved = self.move_on(session)?;
            if session.asked.elapsed() >= ASK {
                self.settle(session)?;
            }
            if let Some(deadline) = stops_at
                && (deadline <= Instant::now() || (!moved && matches!(session.at, Stage::Free)))
            {
                return Ok(deadline);
            }
            if !moved {
                let wants_room = !matches!(session.at, Stage::Free);
                session.link.wait(TICK, wants_room)?;
            }
        }
    }

    /// Reads, encodes or sends something; `false` where there is nothing to do for now.
    fn move_on(&mut self, session: &mut Session) -> Result<bool, Over> {
        if !session.has_left()? || session.flight.len() >= IN_FLIGHT {
            return Ok(false);
        }
        if let Stage::Waiting(mark, events) = session.at {
            if !session.link.send(&session.parcel)? {
                return Ok(false);
            }
            session.at = Stage::Leaving(mark);
            self.count(mark, events);
            return Ok(true);
        }
        if session.done < session.events.len() {
            self.encode(session);
            return Ok(true);
        }
        self.read(session)
    }

    fn read(&mut self, session: &mut Session) -> Result<bool, Over> {
        session.events.clear();
        session.places.clear();
        session.done = 0;
        let read = self.source.read(now(), &mut session.places);
        let events = session.places.iter().map(|place| place.event.clone());
        session.events.extend(events);
        if !session.events.is_empty() {
            // What is wrong is met again behind these.
            return Ok(true);
        }
        let has_moved = read?;
        if mem::take(&mut self.trouble.ledger) {
            (self.tell)(&self.name, Notice::LedgerAgain);
        }
        // Records that are not for this target need not be read again.
        if let Some(passed) = self.source.passed() {
            session.sent.next = session.sent.next.max(passed);
        }
        Ok(has_moved)
    }

    /// Makes the next parcel.
    fn encode(&mut self, session: &mut Session) {
        let rest = session.events.get(session.done..).unwrap_or_default();
        let encoded = self.encoder.parcel(now(), rest, &mut session.parcel);
        add(&self.shared.counters.unsendable, encoded.left_out as u64);
        let taken = (encoded.written + encoded.left_out).max(1);
        let places = session.places.iter().skip(session.done).take(taken);
        session.done += taken;
        let (mut lost, mut mark) = (0, None);
        for place in places {
            // What is read again after a broken connection was counted.
            if self.furthest < place.next {
                lost += place.lost;
            }
            mark = Some(Mark {
                next: place.next,
                last: Some(place.event.at.timestamp()),
                sequence: self.encoder.sequence(),
            });
        }
        if lost > 0 {
            add(&self.shared.counters.lost, lost);
            (self.tell)(&self.name, Notice::Lost { records: lost });
        }
        if let Some(mark) = mark.filter(|_| encoded.written > 0) {
            session.at = Stage::Waiting(mark, encoded.written as u64);
        }
    }

    fn count(&mut self, mark: Mark, events: u64) {
        add(&self.shared.counters.sent, events);
        if mark.next <= self.furthest {
            add(&self.shared.counters.repeated, events);
        }
        self.furthest = self.furthest.max(mark.next);
    }

    /// Asks what has arrived, and moves the cursor behind what is sure to have.
    fn settle(&mut self, session: &mut Session) -> io::Result<()> {
        let now = Instant::now();
        session.asked = now;
        let given = session.link.given();
        add(&self.shared.counters.bytes, given - session.counted);
        session.counted = given;
        let settles = self.route.settles();
        if !session.flight.is_empty() {
            let arrived = session.link.acknowledged()?;
            for sent in &mut session.flight {
                let is_there = match arrived {
                    Some(arrived) => sent.end <= arrived,
                    None => now.duration_since(sent.at) >= Link::CERTAIN_AFTER,
                };
                if is_there && sent.acknowledged.is_none() {
                    sent.acknowledged = Some(now);
                }
            }
        }
        let is_sure = |sent: &mut Sent| {
            let since = sent.acknowledged.map(|at| now.duration_since(at));
            since.is_some_and(|since| since >= settles)
        };
        while let Some(sent) = session.flight.pop_front_if(is_sure) {
            self.settled = sent.mark;
        }
        if session.flight.is_empty() {
            self.settled = session.sent;
        }
        if session.began.elapsed() >= settles {
            self.works();
        }
        if session.written.elapsed() >= WRITE {
            session.written = now;
            self.note();
        }
        Ok(())
    }

    /// The target takes what is sent.
    fn works(&mut self) {
        self.backoff.reset();
        if mem::take(&mut self.trouble.target) {
            (self.tell)(&self.name, Notice::Back);
        }
    }

    /// Ends the connection and has what was sent arrive, for a while.
    fn farewell(&mut self, mut session: Session, deadline: Instant) -> Over {
        let mut has_ended = false;
        while Instant::now() < deadline {
            match self.take_leave(&mut session, &mut has_ended) {
                Ok(false) => {}
                Ok(true) => break,
                Err(error) => {
                    if has_ended && is_end(&error) && has_arrived(&mut session.link, deadline) {
                        self.settled = session.sent;
                    }
                    break;
                }
            }
        }
        Over::Stopped
    }

    fn take_leave(&mut self, session: &mut Session, has_ended: &mut bool) -> io::Result<bool> {
        let has_left = session.has_left()?;
        if has_left && !*has_ended {
            session.link.end()?;
            *has_ended = true;
        }
        self.settle(session)?;
        if has_left && session.flight.is_empty() {
            return Ok(true);
        }
        session.link.wait(TICK, !has_left)?;
        Ok(false)
    }

    /// Writes down how far the target has come.
    fn note(&mut self) {
        set(&self.shared.counters.acknowledged, self.settled.next.0);
        if let Ok(end) = self.source.end() {
            set(&self.shared.counters.end, end.0);
        }
        match self.cursor.write(self.settled) {
            Ok(()) => self.trouble.cursor = false,
            Err(error) => {
                if !mem::replace(&mut self.trouble.cursor, true) {
                    (self.tell)(&self.name, Notice::Cursor(error));
                }
            }
        }
    }
}

/// Whether all has arrived: the peer's program read it before it ended the connection.
fn has_arrived(link: &mut Link, deadline: Instant) -> bool {
    while Instant::now() < deadline {
        match link.has_arrived() {
            Ok(true) => return true,
            Ok(false) => thread::sleep(Duration::from_millis(5)),
            Err(_) => return false,
        }
    }
    false
}
