//! What can be asked of a ledger.

use std::{
    fmt,
    net::Ipv4Addr,
    path::Path,
    time::{Duration, SystemTime},
};

use portledger_model::{
    Allocation, Block, Coverage, Device, Durability, Evidence, External, Gap, GapReason, Nearest,
    Record, RecordNumber, Span, Subscriber, Timestamp,
};

use crate::{
    Error,
    error::TooLarge,
    index::{Index, Timeline},
    load::load,
    log::{
        folder,
        image::{self, Place},
    },
};

/// The allocations that a log's records add up to, in memory.
///
/// A ledger that was read is as the log was at that moment; [`Writer::ledger`](crate::Writer::ledger)
/// keeps up with what is written.
pub struct Ledger {
    index: Index,
    records: u64,
    bytes: u64,
    writer: WriterSeen,
}

/// Whether someone keeps the log up to date.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WriterSeen {
    /// Nobody holds the lock.
    No,
    /// Another process held the lock at this time, and all it had written then was read.
    At(Timestamp),
    /// This process writes it, and the index follows.
    Here,
}

/// Figures of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Records in the log.
    pub records: u64,
    /// Allocations they add up to.
    pub allocations: u64,
    /// Allocations still held.
    pub open: u64,
    /// Bytes of the log files.
    pub bytes: u64,
    /// The earliest record's time.
    pub first: Option<Timestamp>,
    /// The latest record's time.
    pub last: Option<Timestamp>,
}

/// What a device needs to go on where it stopped or crashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// What is held, by start.
    pub open: Vec<Held>,
    /// What was given back lately and may still have to rest, by start.
    pub released: Vec<Rested>,
    /// The last record says that the device stopped of its own will.
    pub stopped: bool,
    /// What its last start promised of the log; `None` where it never said that it started.
    pub durability: Option<Durability>,
    /// The last record's time.
    pub last: Timestamp,
}

/// A block in somebody's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What is held, and by whom.
    pub block: Block,
    /// When it was handed out.
    pub since: Timestamp,
}

/// A block that was given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rested {
    /// What was held, and by whom.
    pub block: Block,
    /// When it was handed out.
    pub since: Timestamp,
    /// When it was given back.
    pub at: Timestamp,
}

impl Ledger {
    /// Reads the log in `dir`, also while another process writes it: an unfinished record at its
    /// end is left for the next time.
    ///
    /// Take the time of the question (`asked_at` of [`Evidence::coverage`]) *before* reading: of
    /// the time after the reading began, the ledger knows nothing.
    ///
    /// # Errors
    /// When the folder cannot be read or a file in it is damaged: never a part of the log.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        // First the time, then the lock, then the log: what the living writer had let out by
        // that time is in the log.
        let now = now();
        let alive = folder::is_locked(dir);
        let (mut ledger, contents) = load(dir)?;
        ledger.bytes = contents.bytes;
        if alive {
            ledger.writer = WriterSeen::At(now);
        }
        Ok(ledger)
    }

    /// Reads the bytes of one log file, as if it were the last of its log.
    ///
    /// # Errors
    /// When the bytes are damaged or are no log file; errors name the file `image`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut ledger = Self::empty();
        image::read(bytes, None, Place::Last, |number, record| {
            ledger.apply(number, &record)
        })
        .map_err(|fault| folder::error(Path::new("image"), fault))?;
        ledger.bytes = bytes.len() as u64;
        Ok(ledger)
    }

    /// Allocations of the subscriber that overlap `span`, by start.
    pub fn by_subscriber(&self, subscriber: &Subscriber, span: Span) -> Vec<Allocation> {
        self.index.by_subscriber(subscriber, span)
    }

    /// What `device` needs to go on: what it held, and what it took back at `released_since` or
    /// later (now less the guard time). `None` where the log has no record of it.
    pub fn resume(&self, device: &Device, released_since: Timestamp) -> Option<Resume> {
        let timeline = self.index.timeline(device)?;
        let last = timeline.last()?;
        let open = self.index.open_of(device).into_iter().map(|open| Held {
            block: open.block,
            since: open.from,
        });
        let ended = self.index.ended_of(device, released_since);
        let released = ended.into_iter().filter_map(|ended| {
            Some(Rested {
                block: ended.block,
                since: ended.from,
                at: ended.to?,
            })
        });
        Some(Resume {
            open: open.collect(),
            released: released.collect(),
            stopped: last.stopped,
            durability: timeline.promised(),
            last: last.at,
        })
    }

    /// Every device the log has a record of, by first record.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.index.devices()
    }

    /// Its figures.
    pub fn stats(&self) -> Stats {
        let (allocations, open) = self.index.counts();
        let times = self.index.times();
        Stats {
            records: self.records,
            allocations,
            open,
            bytes: self.bytes,
            first: times.map(|(first, _)| first),
            last: times.map(|(_, last)| last),
        }
    }

    pub(crate) fn empty() -> Self {
        Self {
            index: Index::default(),
            records: 0,
            bytes: 0,
            writer: WriterSeen::No,
        }
    }

    pub(crate) fn apply(&mut self, number: RecordNumber, record: &Record) -> Result<(), TooLarge> {
        self.index.apply(number, record)?;
        self.records += 1;
        Ok(())
    }

    pub(crate) fn apply_all(&mut self, records: &[(RecordNumber, Record)]) -> Result<(), TooLarge> {
        self.index.apply_all(records)?;
        self.records += records.len() as u64;
        Ok(())
    }

    /// From now on the writer in this process keeps it up to date.
    pub(crate) fn follow(&mut self) {
        self.writer = WriterSeen::Here;
    }

    pub(crate) fn set_bytes(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    fn gaps(
        &self,
        device: &Device,
        timeline: &Timeline,
        span: Span,
        asked_at: Timestamp,
    ) -> Vec<Gap> {
        let alive_until = match self.writer {
            WriterSeen::No => None,
            WriterSeen::At(seen) if seen < asked_at => Some(seen),
            WriterSeen::At(_) | WriterSeen::Here => Some(just_after(asked_at)),
        };
        let gaps = timeline.gaps(alive_until).into_iter();
        gaps.map(|(gap, reason)| Gap {
            span: Span::new(gap.from.max(span.from), gap.to.min(span.to)),
            device: Some(device.clone()),
            reason,
        })
        .filter(|gap| !gap.span.is_empty())
        .collect()
    }
}

/// Figures only: what it holds is personal data.
impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ledger").field(&self.stats()).finish()
    }
}

impl Evidence for Ledger {
    /// Nothing can fail in memory; a larger ledger reads from the disk.
    type Error = Error;

    fn holders(&self, external: External, span: Span) -> Result<Vec<Allocation>, Error> {
        Ok(self.index.holders(external, span))
    }

    fn nearest(&self, external: External, at: Timestamp) -> Result<Nearest, Error> {
        Ok(self.index.nearest(external, at))
    }

    fn coverage(
        &self,
        external: Ipv4Addr,
        span: Span,
        asked_at: Timestamp,
    ) -> Result<Coverage, Error> {
        let span = Span::new(span.from, span.to.min(just_after(asked_at)));
        let concerned = self.index.concerned(external);
        if span.is_empty() {
            return Ok(Coverage::default());
        }
        if concerned.is_empty() {
            let nothing = Gap {
                span,
                device: None,
                reason: GapReason::BeforeFirstRecord,
            };
            return Ok(Coverage {
                gaps: vec![nothing],
                clock_error: Duration::ZERO,
            });
        }
        let mut coverage = Coverage::default();
        for (device, timeline) in concerned {
            coverage
                .gaps
                .extend(self.gaps(device, timeline, span, asked_at));
            coverage.clock_error = coverage.clock_error.max(timeline.clock_error(span));
        }
        coverage
            .gaps
            .sort_by_key(|gap| (gap.span.from, gap.span.to));
        Ok(coverage)
    }
}

/// The end of a span whose last instant is `at`.
fn just_after(at: Timestamp) -> Timestamp {
    at.after(Duration::from_micros(1))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::EPOCH.after(since.unwrap_or_default())
}

#[cfg(test)]
mod tests;
