//! What can be asked of a ledger.

use std::{
    fmt,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use portledger_model::{
    Allocation, Coverage, Device, Durability, Evidence, External, Gap, GapReason, Nearest, Record,
    RecordNumber, Span, Subscriber, Timestamp,
};

use crate::{
    Error,
    calendar::{Calendar, Day},
    home::Home,
    log::{
        file::{self, Place},
        folder, frame, v1,
        writer::items,
    },
    manifest::{DayState, Manifest},
    recent::Recent,
    record::Records,
    rules::{InForce, Rules, without},
    shelf::Shelf,
    timeline::Timeline,
};

mod days;
#[cfg(test)]
mod history;
mod resume;
mod settle;
#[cfg(test)]
mod tests;
pub(crate) mod told;

pub use resume::{Held, Rested, Resume};

use days::Days;

/// A ledger, as it was when it was read.
///
/// Sealed days are read from their files when a question touches them; what is not sealed yet
/// is in memory.
pub struct Ledger {
    days: Days,
    recent: Recent,
    rules: Rules,
    devices: Vec<(Device, Timeline)>,
    /// The number after the last record.
    next: RecordNumber,
    log_bytes: u64,
    writer: WriterSeen,
}

/// Whether someone keeps the log up to date.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WriterSeen {
    /// Nobody holds the lock.
    No,
    /// Another process held the lock at this time, and all it had written then was read.
    At(Timestamp),
    /// This process writes it, and had written nothing more.
    Here,
}

/// Figures of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Records that were ever written.
    pub records: u64,
    /// Of these, records that are in no segment yet.
    pub unsealed: u64,
    /// Sealed days.
    pub days: u64,
    /// Days whose records were deleted.
    pub deleted_days: u64,
    /// Allocations in segments; one that touches several days counts in each.
    pub sealed_allocations: u64,
    /// Bytes of the log files.
    pub log_bytes: u64,
    /// Bytes of the segments.
    pub segment_bytes: u64,
}

/// Figures of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayStats {
    /// The day.
    pub day: Day,
    /// Whether it is sealed; `None` where its records were deleted.
    pub sealed: Option<bool>,
    /// Records that were made on it, those in the log alone not counted.
    pub records: u64,
    /// Allocations that touch it; of a day that is not sealed, those told of in parts.
    pub allocations: u64,
    /// Bytes of its files.
    pub bytes: u64,
}

impl Ledger {
    /// Reads the ledger in `dir`, also while another process writes it: an unfinished record at
    /// its end is left for the next time.
    ///
    /// Take the time of the question (`asked_at` of [`Evidence::coverage`]) *before* reading: of
    /// the time after the reading began, the ledger knows nothing.
    ///
    /// # Errors
    /// When the folder cannot be read or something in it is damaged: never a part of it.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        // First the time, then the lock, then the log: what the living writer had let out by
        // that time is in the log.
        let now = now();
        let Some(home) = Home::open(dir)? else {
            return Self::read_v1(dir);
        };
        let alive = folder::is_alive(&home.log_dir());
        let mut ledger = Self::of(&home)?;
        // Asked again: whoever took the lock just before may not have said yet who it is.
        let alive = alive && folder::is_alive(&home.log_dir());
        if alive {
            ledger.writer = WriterSeen::At(now);
        }
        Ok(ledger)
    }

    /// Reads the ledger of a home, whoever writes it.
    pub(crate) fn of(home: &Home) -> Result<Self, Error> {
        let store = Arc::new(home.store()?);
        let keys = home.keys::<Records>();
        // The list before the log: what is sealed meanwhile is then read from the log, which is
        // cut off behind the list, never before it.
        let calendar = home.settings().calendar;
        loop {
            let manifest = Manifest::newest_or_new(&store, calendar)?;
            let generation = manifest.generation;
            let shelf = Shelf::new(Arc::clone(&store), Arc::clone(&keys));
            let rules = Rules::of(&manifest, calendar, &keys);
            let mut ledger = Self::empty(Days::new(manifest, calendar, Some(shelf)));
            let read = rules.and_then(|rules| {
                ledger.rules = rules;
                ledger.read_log(home)
            });
            match read {
                Ok(()) => return Ok(ledger),
                // Files of the log may have gone because they were sealed meanwhile.
                Err(_) if Manifest::newest_or_new(&store, calendar)?.generation != generation => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn read_log(&mut self, home: &Home) -> Result<(), Error> {
        let from = self.days.manifest().sealed_until;
        let keys = home.keys::<Records>();
        let contents = folder::read(&home.log_dir(), from, |chunk| {
            if chunk.first.0 + u64::from(chunk.records) <= from.0 {
                return Ok(());
            }
            let key = keys.get(chunk.day)?;
            items::<Records>(&chunk, key.as_deref(), |number, record| {
                if number >= from {
                    self.take(number, record);
                }
                Ok(())
            })
        })?;
        self.next = self.next.max(from);
        self.log_bytes = contents.bytes;
        Ok(())
    }

    /// Reads a log of version 1, which lies in the ledger's folder itself.
    fn read_v1(dir: &Path) -> Result<Self, Error> {
        let now = now();
        let alive = folder::is_alive(dir);
        let mut ledger = Self::unsealed();
        v1::read(dir, |number, record| {
            ledger.take(number, record);
            Ok(())
        })?;
        if alive {
            ledger.writer = WriterSeen::At(now);
        }
        Ok(ledger)
    }

    /// Reads the bytes of one log file of any version, as if it were the last of its log. What is
    /// sealed in it cannot be read: there are no keys.
    ///
    /// # Errors
    /// When the bytes are damaged or are no log file; errors name the file `image`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut ledger = Self::unsealed();
        let take = |number, record| {
            ledger.take(number, record);
            Ok(())
        };
        if frame::version(bytes) == Some(frame::VERSION) {
            // A file is named after its first record; an image has no name.
            let first = frame::claimed_first(bytes).unwrap_or(RecordNumber(0));
            let mut take = take;
            file::scan(Path::new("image"), bytes, first, Place::Last, |chunk| {
                items::<Records>(&chunk, None, &mut take)
            })?;
        } else {
            v1::read_bytes(bytes, take)?;
        }
        ledger.log_bytes = bytes.len() as u64;
        Ok(ledger)
    }

    /// A ledger without segments.
    pub(crate) fn unsealed() -> Self {
        let calendar = Calendar::default();
        let manifest = Manifest::new(calendar);
        Self::empty(Days::new(manifest, calendar, None))
    }

    fn empty(days: Days) -> Self {
        let devices = days.manifest().devices.iter();
        let devices = devices
            .filter_map(|(name, timeline)| Some((Device::new(name).ok()?, timeline.clone())));
        Self {
            devices: devices.collect(),
            days,
            recent: Recent::default(),
            rules: Rules::default(),
            next: RecordNumber(0),
            log_bytes: 0,
            writer: WriterSeen::No,
        }
    }

    /// Takes in the next record of the log.
    pub(crate) fn take(&mut self, number: RecordNumber, record: Record) {
        let known = self.devices.iter().position(|(d, _)| *d == record.device);
        let place = known.unwrap_or_else(|| {
            self.devices
                .push((record.device.clone(), Timeline::default()));
            self.devices.len() - 1
        });
        if let Some((_, timeline)) = self.devices.get_mut(place) {
            timeline.apply(&record);
        }
        self.rules.apply(number, &record);
        self.recent.push(number, record);
        self.next = RecordNumber(number.0.saturating_add(1));
    }

    /// This process writes it.
    pub(crate) fn follow(&mut self) {
        self.writer = WriterSeen::Here;
    }

    /// Allocations that overlap `span` of those whom one asks for as `subscriber`, by start: an
    /// IPv6 address leads to whoever holds a prefix or a softwire around it, a prefix to all that
    /// is in it ([`Subscriber::meets`]). Those by a rule, too.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn by_subscriber(
        &self,
        subscriber: &Subscriber,
        span: Span,
    ) -> Result<Vec<Allocation>, Error> {
        let mut told = self.days.by_subscriber(subscriber, span)?;
        told.extend(self.days.unsettled_of_subscriber(subscriber)?);
        told.extend(self.recent.of_subscriber(subscriber));
        let mut found = self.settle(told, span)?;
        found.extend(self.rules.of_subscriber(subscriber, span));
        found.sort_by_key(|held| held.from);
        Ok(found)
    }

    /// Whether a record of a rule tells nothing that the ledger was not told; `false` of other
    /// records.
    pub fn knows_of_rule(&self, record: &Record) -> bool {
        self.rules.knows_all_of(record)
    }

    /// The rules of a device that are in force as far as the ledger knows.
    pub fn rules_in_force(&self, device: &Device) -> Vec<InForce> {
        self.rules.in_force(device)
    }

    /// Every device the ledger has a record of, by first record.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().map(|(device, _)| device)
    }

    /// Its figures.
    pub fn stats(&self) -> Stats {
        let manifest = self.days.manifest();
        let entries = || manifest.days.values();
        let in_state = |state| entries().filter(|day| day.state == state).count() as u64;
        let segments = || entries().flat_map(|day| &day.segments);
        Stats {
            records: self.next.0,
            unsealed: self.recent.records().len() as u64,
            days: in_state(DayState::Sealed),
            deleted_days: in_state(DayState::Deleted) + in_state(DayState::Deleting),
            sealed_allocations: segments().map(|segment| segment.allocations).sum(),
            log_bytes: self.log_bytes,
            segment_bytes: segments().flat_map(|s| &s.files).map(|f| f.bytes).sum(),
        }
    }

    /// The figures of each day of which something is in segments, or was.
    pub fn days(&self) -> impl Iterator<Item = DayStats> {
        self.days.manifest().days.iter().map(|(day, entry)| {
            let files = entry.segments.iter().flat_map(|segment| &segment.files);
            DayStats {
                day: *day,
                sealed: entry.is_there().then_some(entry.whole().is_some()),
                records: entry.runs.iter().map(|run| run.records).sum(),
                allocations: entry.segments.iter().map(|s| s.allocations).sum(),
                bytes: files.map(|file| file.bytes).sum(),
            }
        })
    }

    fn gaps(
        &self,
        device: &Device,
        timeline: &Timeline,
        external: External,
        span: Span,
        asked_at: Timestamp,
    ) -> Vec<Gap> {
        let alive_until = match self.writer {
            WriterSeen::No => None,
            WriterSeen::At(seen) if seen < asked_at => Some(seen),
            WriterSeen::At(_) | WriterSeen::Here => Some(just_after(asked_at)),
        };
        // Where a rule says all of the endpoint, it takes no log to know who had it: until the
        // next rule is told, and a device tells of that before it obeys it.
        let decided = match timeline.promised() {
            Some(Durability::BoundedLoss(_)) => Vec::new(),
            _ => self.rules.decided(device, external),
        };
        let mut gaps = Vec::new();
        for (gap, reason) in timeline.gaps(alive_until) {
            let gap = Span::new(gap.from.max(span.from), gap.to.min(span.to));
            let mut rest = if gap.is_empty() { vec![] } else { vec![gap] };
            if is_without_records(reason) {
                for decided in &decided {
                    rest = without(&rest, *decided);
                }
            }
            gaps.extend(rest.into_iter().map(|span| Gap {
                span,
                device: Some(device.clone()),
                reason,
            }));
        }
        gaps
    }
}

/// Whether a time is a gap because there are no records of it, rather than because some were lost.
const fn is_without_records(reason: GapReason) -> bool {
    match reason {
        GapReason::BeforeFirstRecord | GapReason::HeldBefore | GapReason::AfterLastRecord => true,
        GapReason::LostInCrash
        | GapReason::LostOnTheWay
        | GapReason::Silence
        | GapReason::Deleted => false,
    }
}

/// Figures only: what it holds is personal data.
impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ledger").field(&self.stats()).finish()
    }
}

impl Evidence for Ledger {
    type Error = Error;

    fn holders(&self, external: External, span: Span) -> Result<Vec<Allocation>, Error> {
        let mut told = self.days.holders(external, span)?;
        told.extend(self.unsettled(external)?);
        let mut found = self.settle(told, span)?;
        let by_rules = self.rules.holders(external, span);
        if !by_rules.is_empty() {
            found.extend(by_rules);
            found.sort_by_key(|held| held.from);
        }
        Ok(found)
    }

    fn nearest(&self, external: External, at: Timestamp) -> Result<Nearest, Error> {
        let (later, earlier): (Vec<_>, Vec<_>) = self
            .unsettled(external)?
            .into_iter()
            .partition(|told| at < told.known.from);
        // An allocation may be told of here by its beginning and there by its release.
        let after = self.settle(later, Span::ALWAYS)?.into_iter().next();
        let sealed = self.days.nearest_after(external, at)?;
        let after = after.into_iter().chain(sealed).min_by_key(|held| held.from);
        let beginnings = self.beginnings(external.address)?;
        let all_later = beginnings.iter().all(|begun| at < begun.from);
        let before = if all_later && !self.days.is_any_behind() {
            self.days.nearest_before(external, at)?
        } else {
            self.nearest_before(external, at, &earlier)?
        };
        let by_rules = self.rules.nearest(external, at);
        let before = before.into_iter().chain(by_rules.before);
        let after = after.into_iter().chain(by_rules.after);
        Ok(Nearest {
            before: before.max_by_key(|held| held.span().to),
            after: after.min_by_key(|held| held.from),
        })
    }

    fn coverage(
        &self,
        external: External,
        span: Span,
        asked_at: Timestamp,
    ) -> Result<Coverage, Error> {
        let span = Span::new(span.from, span.to.min(just_after(asked_at)));
        if span.is_empty() {
            return Ok(Coverage::default());
        }
        let mut coverage = Coverage {
            gaps: self.days.deleted(span),
            clock_error: Duration::ZERO,
        };
        let forgotten = self.rules.forgotten(external.address, span);
        coverage.gaps.extend(forgotten.into_iter().map(|span| Gap {
            span,
            device: None,
            reason: GapReason::Deleted,
        }));
        let address = external.address;
        let knows = self.devices.iter().any(|(_, t)| t.has(address));
        let concerned = self
            .devices
            .iter()
            .filter(|(_, t)| !knows || t.has(address));
        for (device, timeline) in concerned {
            coverage
                .gaps
                .extend(self.gaps(device, timeline, external, span, asked_at));
            coverage.clock_error = coverage.clock_error.max(timeline.clock_error(span));
        }
        if self.devices.is_empty() {
            coverage.gaps.push(Gap {
                span,
                device: None,
                reason: GapReason::BeforeFirstRecord,
            });
        }
        coverage
            .gaps
            .sort_by_key(|gap| (gap.span.from, gap.span.to));
        Ok(coverage)
    }
}

/// The end of a span whose last instant is `at`.
fn just_after(at: Timestamp) -> Timestamp {
    at.after(Span::TICK)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::EPOCH.after(since.unwrap_or_default())
}
