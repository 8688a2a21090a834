//! Following a ledger: its durable records in order, from any number on, while others write it.
//!
//! ```text
//!  sealed days          log-…000.plg     log-…812.plg
//!  ┌──────────────┐     ┌────────────┐   ┌──────────────────┐
//!  │ 0 1 2 … 499  │     │ 500 … 811  │   │ 812 813 ▏814 815 │   behind the last mark: not
//!  └──────────────┘     └────────────┘   └─────────▏────────┘   handed out yet
//!         └──── in order ─────┴────────────────────▶
//! ```
//! What has left the log is read from its sealed day. What was deleted is gone, and is told as such
//! ([`Followed::Gone`]), never skipped unsaid.

mod tail;

use std::{fmt, io, path::Path};

use portledger_model::{Record, RecordNumber, Timestamp};

use self::tail::Tail;
use crate::{
    Error, Flaw,
    archive::Archive,
    home::Home,
    log::{chunk, file::Place, folder, keys::Keys, writer::items},
    record::Records,
};

/// Reads the durable records of a ledger in order, whoever writes it meanwhile.
///
/// A record is handed out when a mark behind it, or a later file, says that it is durable. Where
/// nothing is new, asking costs a look at the file's length and the folder's list.
///
/// ```
/// use portledger_ledger::{Followed, Follower, Options, Writer};
/// use portledger_model::{Device, Event, Record, RecordNumber, Timestamp};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let dir = folder.path();
/// let (mut writer, _) = Writer::open(dir, Options::default())?;
/// let mut follower = Follower::open(dir, RecordNumber(0))?;
/// writer.append(&[Record {
///     at: Timestamp::from_secs(1_790_000_000),
///     device: Device::new("cgn1")?,
///     event: Event::Heartbeat,
/// }])?;
///
/// let mut followed = Vec::new();
/// follower.read(100, &mut followed)?;
/// assert!(followed.is_empty(), "not durable yet");
/// writer.sync()?;
/// follower.read(100, &mut followed)?;
/// assert!(matches!(&followed[..], [Followed::Record(RecordNumber(0), _)]));
/// # Ok(())
/// # }
/// ```
pub struct Follower {
    home: Home,
    /// The log file that is read.
    tail: Option<Tail>,
    /// The last log file, of which only the end matters.
    head: Option<Tail>,
    /// The sealed days, while records come from there.
    archive: Option<Archive>,
    /// The first record that was not handed out.
    next: RecordNumber,
    /// When the last one that was handed out happened.
    last: Option<Timestamp>,
    /// Deleted records that were passed since.
    gone: u64,
}

/// What a [`Follower`] comes upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// A record and its number.
    Record(RecordNumber, Record),
    /// Records that are nowhere any more: they were deleted when their retention ended, or
    /// somebody removed their file.
    Gone {
        /// How many.
        records: u64,
        /// When the last one before them happened; `None` where none was handed out before.
        since: Option<Timestamp>,
        /// When the first one behind them happened.
        until: Timestamp,
    },
}

/// Records that are taken from sealed days at once: what is held in memory of them.
const FROM_DAYS: u64 = 1 << 14;

impl Follower {
    /// Follows the ledger in `dir` from record `from` on.
    ///
    /// # Errors
    /// When there is no ledger or it cannot be opened.
    pub fn open(dir: &Path, from: RecordNumber) -> Result<Self, Error> {
        let home = Home::open(dir)?.ok_or_else(|| Error::NoLedger { dir: dir.into() })?;
        Ok(Self {
            home,
            tail: None,
            head: None,
            archive: None,
            next: from,
            last: None,
            gone: 0,
        })
    }

    /// The ledger's name, which is no other's.
    pub fn ledger(&self) -> &str {
        &self.home.settings().name
    }

    /// The first record that was not handed out yet.
    pub const fn next(&self) -> RecordNumber {
        self.next
    }

    /// Goes on with record `next`, forwards or backwards.
    pub fn seek(&mut self, next: RecordNumber) {
        self.tail = None;
        (self.next, self.last, self.gone) = (next, None, 0);
    }

    /// Appends what follows: about `most` records, at most 16,384 more, none where nothing is new.
    ///
    /// # Errors
    /// When something cannot be read or is damaged. What was appended before stays, and a later
    /// call goes on behind it.
    pub fn read(&mut self, most: usize, out: &mut Vec<Followed>) -> Result<(), Error> {
        let enough = out.len().saturating_add(most);
        // Keys are not kept from one call to the next: one that is destroyed meanwhile is gone
        // from memory too.
        let keys = self.home.keys::<Records>();
        while out.len() < enough {
            if !self.step(&keys, out)? {
                break;
            }
        }
        Ok(())
    }

    /// The number after the last durable record, behind [`Follower::next`] by so many as are still
    /// to come.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn end(&mut self) -> Result<RecordNumber, Error> {
        let dir = self.home.log_dir();
        if let Some((first, path)) = folder::list(&dir)?.pop()
            && self.head.as_ref().is_none_or(|head| head.first() != first)
        {
            self.head = Tail::open(&path, first)?;
        }
        let Some(head) = &mut self.head else {
            return Ok(self.next);
        };
        head.look(Place::Last)?;
        head.forget();
        Ok(head.next())
    }

    /// Hands out one chunk, or finds more to read; `false` where nothing is new.
    fn step(&mut self, keys: &Keys, out: &mut Vec<Followed>) -> Result<bool, Error> {
        if let Some(tail) = &mut self.tail {
            if let Some(payload) = tail.pop() {
                let path = tail.path().to_owned();
                let chunk = chunk::parse(&payload)
                    .ok_or(Error::Flawed(Flaw::Meaning("neither a chunk nor a mark")))?;
                return self
                    .take(&chunk, keys, out)
                    .map_err(|error| error.at(&path, 0, chunk.first))
                    .map(|()| true);
            }
            tail.look(Place::Last)?;
            if tail.has_more() {
                return Ok(true);
            }
        }
        self.advance(out)
    }

    /// Hands out the records of a chunk.
    fn take(
        &mut self,
        chunk: &chunk::Chunk<'_>,
        keys: &Keys,
        out: &mut Vec<Followed>,
    ) -> Result<(), Error> {
        let end = chunk.first.0.saturating_add(chunk.records.into());
        if end <= self.next.0 {
            return Ok(());
        }
        let Some(key) = keys.get(chunk.day)? else {
            self.skip_to(end);
            return Ok(());
        };
        items::<Records>(chunk, Some(&key), |number, record| {
            self.hand_out(number, record, out);
            Ok(())
        })
    }

    fn hand_out(&mut self, number: RecordNumber, record: Record, out: &mut Vec<Followed>) {
        if number < self.next {
            return;
        }
        let at = record.at;
        if self.gone > 0 {
            out.push(Followed::Gone {
                records: self.gone,
                since: self.last,
                until: at,
            });
            self.gone = 0;
        }
        self.last = Some(at);
        self.next = RecordNumber(number.0.saturating_add(1));
        out.push(Followed::Record(number, record));
    }

    /// Passes records that are gone.
    fn skip_to(&mut self, number: u64) {
        self.gone = self.gone.saturating_add(number.saturating_sub(self.next.0));
        self.next = self.next.max(RecordNumber(number));
    }

    /// Nothing more is ready in this file: goes on to the next, or to the sealed days where the
    /// log no longer has what follows. `false` where nothing follows.
    fn advance(&mut self, out: &mut Vec<Followed>) -> Result<bool, Error> {
        let files = folder::list(&self.home.log_dir())?;
        let current = self.tail.as_ref().map(Tail::first);
        let behind = |first: RecordNumber| match current {
            Some(current) => current < first,
            // The file that holds the record is the last that does not begin after it.
            None => false,
        };
        if let Some(tail) = &mut self.tail {
            let Some((following, _)) = files.iter().find(|(first, _)| behind(*first)) else {
                // A log that was put in place of this one has other files.
                if !files.iter().any(|(first, _)| *first == tail.first()) {
                    self.tail = None;
                }
                return Ok(false);
            };
            // A file is complete and durable before the next is begun. It may have grown since it
            // was last looked at.
            tail.look(Place::Sealed)?;
            if tail.has_more() {
                return Ok(true);
            }
            let following = *following;
            self.tail = None;
            return if self.next < following {
                self.read_days(following, out)
            } else {
                Ok(true)
            };
        }
        let holding = files.partition_point(|(first, _)| *first <= self.next);
        match holding.checked_sub(1).and_then(|at| files.get(at)) {
            Some((first, path)) => {
                self.tail = Tail::open(path, *first)?;
                let Some(tail) = &mut self.tail else {
                    return Ok(false);
                };
                // Where files in between were removed, this one ends before what is asked for.
                if let Some((following, _)) = files.get(holding) {
                    tail.look(Place::Sealed)?;
                    if tail.next() <= self.next && self.next < *following {
                        let following = *following;
                        self.tail = None;
                        return self.read_days(following, out);
                    }
                }
                Ok(true)
            }
            None => match files.first() {
                Some((first, _)) => self.read_days(*first, out),
                None => Ok(false),
            },
        }
    }

    /// Hands out records before `until` that have left the log.
    fn read_days(&mut self, until: RecordNumber, out: &mut Vec<Followed>) -> Result<bool, Error> {
        let end = until.0.min(self.next.0.saturating_add(FROM_DAYS));
        let was_open = self.archive.is_some();
        let mut taken = self.read_archive(end, out);
        if taken.is_err() && was_open {
            // The list of sealed days may have changed since it was read.
            self.archive = None;
            taken = self.read_archive(end, out);
        }
        if taken.is_err() || end == until.0 {
            self.archive = None;
        }
        taken?;
        self.skip_to(end);
        Ok(true)
    }

    fn read_archive(&mut self, end: u64, out: &mut Vec<Followed>) -> Result<(), Error> {
        // What left the log is in the list of sealed days that was published before it left.
        let known = self.archive.take();
        let known = known.filter(|archive| end <= archive.manifest().sealed_until.0);
        let archive = match known {
            Some(archive) => archive,
            None => Archive::open(self.reopened()?)?,
        };
        // What is neither there nor in the log was removed by somebody.
        let sealed = end.min(archive.manifest().sealed_until.0);
        let taken = archive.range(self.next.0, sealed, |number, record| {
            match record {
                Some(record) => self.hand_out(number, record, out),
                None => self.skip_to(number.0.saturating_add(1)),
            }
            Ok(())
        });
        self.archive = Some(archive);
        taken
    }

    fn reopened(&self) -> Result<Home, Error> {
        let dir = self.home.dir();
        Home::open(dir)?.ok_or_else(|| Error::NoLedger { dir: dir.into() })
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("dir", &self.home.dir())
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// Whether a file went away between being listed and being opened.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests;
