//! The store: a folder of files of identities.

mod change;
mod folder;

use std::{
    fmt,
    io::BufRead,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use portledger_keys::KeyRing;
use portledger_model::{Span, Subscriber, Timestamp};

use self::folder::{Folder, Snapshot};
use crate::{Error, Interval, Intervals, Line, Reject, row, steps::Steps};

/// Which customer stood behind a subscriber, and when.
///
/// One process at a time imports, merges or forgets; any number ask meanwhile, and see a change
/// as soon as it is made. Each import adds a file, and the more there are, the longer a question
/// takes: [`Store::compact`] makes one of them.
pub struct Store {
    folder: Folder,
    snapshot: RwLock<Arc<Snapshot>>,
    options: Options,
}

/// How the store works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many bytes of rows an import sorts in memory; what is more is sorted on the disk.
    pub memory: usize,
}

impl Default for Options {
    /// 64 MiB.
    fn default() -> Self {
        Self { memory: 64 << 20 }
    }
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Intervals that count from now on.
    pub rows: u64,
    /// Lines that say what another line of the table says.
    pub repeated: u64,
    /// Lines that say nothing that could be kept.
    pub rejected: u64,
}

/// What a merge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// Files that were merged.
    pub files: usize,
    /// Intervals that are left.
    pub kept: u64,
    /// Intervals that a later import had replaced, or repeated.
    pub replaced: u64,
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// Intervals that are gone for good.
    pub forgotten: u64,
    /// Intervals that are left; where nothing was to be forgotten, those that a later import
    /// replaced are counted too.
    pub kept: u64,
}

impl Store {
    /// The store in the folder `dir` with its own key ring, made (for its owner alone) where there
    /// is none. What a crash left half done is finished or taken back.
    ///
    /// # Errors
    /// When the folder or the ring cannot be read or written, when they are not of one store, and
    /// when a byte of the manifest or an index was changed.
    pub fn open(dir: &Path, keys: KeyRing) -> Result<Self, Error> {
        Self::open_with(dir, keys, Options::default())
    }

    /// The same with other options.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(dir: &Path, keys: KeyRing, options: Options) -> Result<Self, Error> {
        Self::open_by(dir, keys, options, Steps::new())
    }

    fn open_by(dir: &Path, keys: KeyRing, options: Options, steps: Steps) -> Result<Self, Error> {
        let folder = Folder::open(dir, keys, steps)?;
        let snapshot = folder.snapshot(&Snapshot::default())?;
        Ok(Self {
            folder,
            snapshot: RwLock::new(Arc::new(snapshot)),
            options,
        })
    }

    /// All intervals that overlap `span` and of which a prefix holds the subscriber's address, by
    /// their beginning. Of a subscriber who is a prefix, as of NAT64, also those of prefixes and
    /// addresses inside it; of a softwire those that its B4's address leads to. A longer prefix
    /// hides no shorter one: where two customers are named, who it was is ambiguous. None for an
    /// empty span.
    ///
    /// # Errors
    /// When a file cannot be read, or a byte of what was asked for was changed.
    pub fn at(&self, subscriber: &Subscriber, span: Span) -> Result<Vec<Interval>, Error> {
        if span.is_empty() {
            return Ok(Vec::new());
        }
        let snapshot = self.current()?;
        let (realm, asked) = (subscriber.realm(), subscriber.internal().into());
        let mut found = Vec::new();
        for (age, table) in snapshot.tables.iter().enumerate() {
            let mut rows = Vec::new();
            table.find(realm, asked, span, |row| rows.push(row.to_vec()))?;
            for row in rows {
                let newer = snapshot.tables.get(age + 1..).unwrap_or_default();
                let key = row::split(&row).map_or(&row[..], |(key, _)| key);
                let mut replaced = false;
                for table in newer {
                    replaced = replaced || table.has(key)?;
                }
                if !replaced {
                    found.push(table.decode(&row)?);
                }
            }
        }
        found.sort_by_key(Interval::from);
        Ok(found)
    }

    /// Takes a table of customers: CSV with a header, with the columns `internal`, `from`, `to`
    /// and `customer`, perhaps `realm`, and others that become fields of the customer. Each line
    /// that says nothing that could be kept is given to `reject`, and stops no other.
    ///
    /// Where a line has the realm, prefix and beginning of one of an earlier import, it replaces
    /// that one. Within one table nothing is replaced: two customers are two.
    ///
    /// Durable when it returns; after a crash all of the table was imported, or nothing.
    ///
    /// # Errors
    /// When the table cannot be read or has no header, when another process changes the store,
    /// and when the store cannot be written. Nothing was imported then, unless the disk failed
    /// while the manifest was put in place; importing the same table again changes nothing more.
    pub fn import(
        &self,
        table: impl BufRead,
        mut reject: impl FnMut(Reject),
    ) -> Result<Imported, Error> {
        let mut intervals = Intervals::new(table)?;
        let mut rejected = 0;
        let next = || {
            loop {
                match intervals.next_line()? {
                    Some(Line::Interval(interval)) => return Ok(Some(interval)),
                    Some(Line::Reject(line)) => {
                        rejected += 1;
                        reject(line);
                    }
                    None => return Ok(None),
                }
            }
        };
        let mut imported = self.add(next)?;
        imported.rejected = rejected;
        Ok(imported)
    }

    /// Takes intervals from elsewhere, as [`Store::import`] does from a table.
    ///
    /// # Errors
    /// As [`Store::import`].
    pub fn insert(&self, intervals: impl IntoIterator<Item = Interval>) -> Result<Imported, Error> {
        let mut intervals = intervals.into_iter();
        self.add(|| Ok(intervals.next()))
    }

    /// Merges all files into one, under a new key, in the memory of a chunk of each.
    ///
    /// # Errors
    /// When another process changes the store, and when a file cannot be read or written. Either
    /// nothing was changed then, or all is done once the store is opened.
    pub fn compact(&self) -> Result<Merged, Error> {
        self.merge(None)
    }

    /// Forgets all intervals that ended before `limit` or then: what remains is written anew under
    /// a new key, and the old files and their keys are destroyed, so that no copy of them can be
    /// read again. Nothing is written where nothing is to be forgotten.
    ///
    /// # Errors
    /// As [`Store::compact`].
    pub fn forget_before(&self, limit: Timestamp) -> Result<Forgotten, Error> {
        self.forget(limit)
    }

    /// How many files there are.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub fn files(&self) -> Result<usize, Error> {
        Ok(self.current()?.tables.len())
    }

    /// The files as the manifest lists them now: another process may have changed it.
    fn current(&self) -> Result<Arc<Snapshot>, Error> {
        let known = self.known();
        if self.folder.is_current(&known)? {
            return Ok(known);
        }
        let snapshot = Arc::new(self.folder.snapshot(&known)?);
        *self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::clone(&snapshot);
        Ok(snapshot)
    }

    fn known(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.folder.dir().display())
    }
}

#[cfg(test)]
mod tests;
