//! Keeping a ledger: what is written goes from the log into parts, parts of days that are over
//! into one sealed segment a day, and what was replaced goes away.
//!
//! ```text
//!  log ── flush ──► part part part ── merge ──► part
//!                         │
//!                         └── seal ──► the day, whole, with what was held on from the day before
//! ```
//! Whoever keeps a ledger holds its KEEPER lock. It reads the log and never writes it, so that
//! nothing that is written waits for it; each change is one new list of what is sealed.
//!
//! **Memory** does not grow with the backlog. A flush holds a part's worth of records and the rest
//! of the log file they end in, a file's bytes among them: with files of 8 MiB at most 530,000
//! records, about 250 bytes each. A merge or a seal holds one row group of each file it writes
//! (2^20 rows), the subscribers of what it merges, and eight bytes an allocation.

mod flush;
mod merge;
mod rules;
mod seal;
mod staging;
mod tell;

pub(crate) use staging::hex;

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
    sync::Arc,
};

use portledger_model::{RecordNumber, Timestamp};

use crate::{
    Error,
    home::Home,
    log::{folder, frame},
    manifest::{Manifest, segment_path},
    record::Records,
    shelf::Shelf,
    writer::PATIENCE,
};

/// How large parts are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Records of the log that make a part. A question reads all that are in the log, so these
    /// are few.
    pub(crate) part: u64,
    /// Parts of one size that make one of the next: a question looks into fewer than this of
    /// each.
    pub(crate) fan_in: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            part: 1 << 17,
            fan_in: 8,
        }
    }
}

/// What keeping a ledger did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Records that went from the log into parts.
    pub flushed: u64,
    /// Days that were sealed, or sealed again because something came late.
    pub sealed: u64,
}

/// One who keeps a ledger.
pub struct Keeper {
    home: Home,
    shelf: Shelf,
    manifest: Manifest,
    sizes: Sizes,
    /// What a test has left before the power fails.
    #[cfg(test)]
    steps: Option<std::sync::atomic::AtomicU64>,
    /// What a test has happen at each step.
    #[cfg(test)]
    meanwhile: Option<Box<dyn Fn()>>,
    _lock: File,
}

impl Keeper {
    /// Takes the keeper's lock of the ledger in `dir`, waiting a while for another to give it up.
    ///
    /// # Errors
    /// When there is no ledger, another keeps it, or its list of sealed days cannot be read.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let home = Home::open(dir)?.ok_or_else(|| Error::NoLedger { dir: dir.into() })?;
        let lock = folder::lock_file_patiently(&dir.join("KEEPER"), PATIENCE)?;
        let store = Arc::new(home.store()?);
        let manifest = Manifest::newest_or_new(&store, home.settings().calendar)?;
        let shelf = Shelf::new(store, home.keys::<Records>());
        staging::clear(dir, shelf.store(), &manifest)?;
        Ok(Self {
            home,
            shelf,
            manifest,
            sizes: Sizes::default(),
            #[cfg(test)]
            steps: None,
            #[cfg(test)]
            meanwhile: None,
            _lock: lock,
        })
    }

    pub(crate) const fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    pub(crate) const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(crate) const fn manifest_mut(&mut self) -> &mut Manifest {
        &mut self.manifest
    }

    #[cfg(test)]
    pub(crate) fn set_sizes(&mut self, sizes: Sizes) {
        self.sizes = sizes;
    }

    /// From now on, the store takes so many more changes and refuses every later one.
    #[cfg(test)]
    pub(crate) fn fail_after(&mut self, changes: u64) {
        let store = self.home.store().unwrap().failing_after(changes);
        self.shelf = Shelf::new(Arc::new(store), self.home.keys::<Records>());
    }

    /// From now on, so many more things beside the store are removed or kept, and no later one.
    #[cfg(test)]
    pub(crate) fn fail_after_steps(&mut self, steps: u64) {
        self.steps = Some(steps.into());
    }

    /// From now on, this happens before each thing beside the store is removed or kept.
    #[cfg(test)]
    pub(crate) fn meanwhile(&mut self, happens: impl Fn() + 'static) {
        self.meanwhile = Some(Box::new(happens));
    }

    /// Comes before each change of what is not in the store, so that a test can fail it.
    pub(crate) fn step(&self) -> Result<(), Error> {
        #[cfg(test)]
        if let Some(happens) = &self.meanwhile {
            happens();
        }
        #[cfg(test)]
        if let Some(steps) = &self.steps {
            use std::sync::atomic::Ordering::Relaxed;

            let taken = steps.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
            if taken.is_err() {
                let failed = std::io::Error::other("the power failed");
                return Err(Error::io(self.home.dir(), "change", failed));
            }
        }
        Ok(())
    }

    /// Makes parts of the log while it has enough for one, and keeps parts few.
    ///
    /// # Errors
    /// When something cannot be read or written; what is in the ledger stays as it was.
    pub fn flush(&mut self) -> Result<Kept, Error> {
        self.flush_while(|| true)
    }

    /// As [`Keeper::flush`], while `goes_on` says so before each part: what is left is for the next
    /// time.
    ///
    /// # Errors
    /// As [`Keeper::flush`].
    pub fn flush_while(&mut self, goes_on: impl Fn() -> bool) -> Result<Kept, Error> {
        let flushed = self.flush_log(self.sizes.part, &goes_on)?;
        if goes_on() {
            self.merge_parts()?;
        }
        Ok(Kept { flushed, sealed: 0 })
    }

    /// Seals the days that ended before `now`, the rest of the log with them.
    ///
    /// # Errors
    /// As [`Keeper::flush`].
    pub fn seal(&mut self, now: Timestamp) -> Result<Kept, Error> {
        let flushed = self.flush_log(1, || true)?;
        let sealed = self.seal_days(now)?;
        Ok(Kept { flushed, sealed })
    }

    /// Publishes the changed list, which has others instead of the `replaced` segments, and
    /// removes what nobody needs any more.
    pub(crate) fn publish(
        &mut self,
        replaced: impl IntoIterator<Item = (crate::Day, u64)>,
    ) -> Result<(), Error> {
        let folders = replaced
            .into_iter()
            .map(|(day, id)| Ok(segment_path(day, id)?.to_string()))
            .collect::<Result<Vec<_>, Error>>()?;
        let gone = std::mem::replace(&mut self.manifest.replaced, folders);
        self.manifest.publish(self.shelf.store())?;
        staging::remove(self.home.dir())?;
        for folder in gone {
            self.shelf.store().delete_all(&folder.parse()?)?;
        }
        self.cut_log(self.manifest.sealed_until)
    }

    /// Removes log files all of whose records are in segments. The last file stays: the tree goes
    /// on from it.
    fn cut_log(&self, until: RecordNumber) -> Result<(), Error> {
        let files = folder::list(&self.home.log_dir())?;
        for pair in files.windows(2) {
            let [(_, path), (next, following)] = pair else {
                continue;
            };
            // A crash may have kept the following file from getting its header; then the tree
            // goes on from this one.
            if until < *next || !has_header(following, *next)? {
                break;
            }
            self.step()?;
            fs::remove_file(path).map_err(|error| Error::io(path, "remove", error))?;
        }
        Ok(())
    }
}

/// Whether the log file that begins with record `first` has its header.
fn has_header(path: &Path, first: RecordNumber) -> Result<bool, Error> {
    let failed = |error| Error::io(path, "read", error);
    let mut header = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(frame::header_length(first) as u64)
        .read_to_end(&mut header)
        .map_err(failed)?;
    Ok(frame::parse_header(&header).is_some())
}
