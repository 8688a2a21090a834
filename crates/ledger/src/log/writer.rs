//! Writing a log.

use std::{
    fs::{self, File},
    io,
    marker::PhantomData,
    path::{Path, PathBuf},
    sync::Arc,
};

use portledger_model::RecordNumber;
use portledger_proof::{Frontier, Hash};

use super::{
    chunk::{self, Chunk},
    content::Content,
    disk::{Disk, LogFile},
    folder::{self, LastFile},
    frame,
    key_use::KeyUse,
    keys::{DayKey, Keys, LeafRoom},
    names::Names,
    payload,
    tree::Tree,
};
use crate::{
    Error, Flaw,
    calendar::{Calendar, Day},
    error::is_full,
};

/// How a log is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    /// A new file is begun when the last has reached so many bytes.
    pub(crate) file_bytes: u64,
    /// When its days begin.
    pub(crate) calendar: Calendar,
}

/// The unfinished end of a log, left by a crash and never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The log file.
    pub file: PathBuf,
    /// Its length from now on, in bytes.
    pub offset: u64,
    /// How many bytes were cut.
    pub bytes: u64,
    /// The number of the first record that was cut, and will be given again.
    pub record: RecordNumber,
}

/// The one writer of a log. It holds the folder's lock until it is dropped.
///
/// Nothing is durable before [`LogWriter::sync`] has returned. After a failed sync nothing more is
/// taken: the system may have dropped what it could not write, and a later sync would not say so.
pub(crate) struct LogWriter<C> {
    dir: PathBuf,
    form: Form,
    disk: Box<dyn Disk>,
    keys: Arc<Keys>,
    key_use: KeyUse,
    tree: Tree,
    file: Box<dyn LogFile>,
    path: PathBuf,
    /// The last file's first record: without one, that file need not be ended.
    first: RecordNumber,
    /// Bytes in the last file.
    length: u64,
    /// How many of these are durable, and how many a mark says to be.
    durable: u64,
    marked: u64,
    scratch: Scratch,
    poison: Option<String>,
    _lock: File,
    content: PhantomData<fn(C)>,
}

/// Room that is used again and again.
#[derive(Default)]
struct Scratch {
    frames: Vec<u8>,
    entries: Vec<u8>,
    leaves: LeafRoom,
}

impl<C: Content> LogWriter<C> {
    /// Opens the log in `dir`, whose lock was taken, or begins one. The unfinished end of a crash
    /// is cut off. `is_deleted` says whether a chunk that cannot be opened was deleted.
    pub(crate) fn open(
        disk: Box<dyn Disk>,
        dir: &Path,
        lock: File,
        keys: Arc<Keys>,
        form: Form,
        mut is_deleted: impl FnMut(&Chunk<'_>) -> Result<bool, Error>,
    ) -> Result<(Self, Option<Cut>), Error> {
        let key_use = KeyUse::open(dir)?;
        let headless = remove_headless(dir)?;
        let files = folder::list(dir)?;
        let from = files.last().map_or(RecordNumber(0), |(first, _)| *first);
        let mut leaves = Vec::new();
        let mut hasher = Hasher::<C>::new(&keys);
        let contents = folder::read(dir, from, |chunk| {
            let known = match hasher.chunk(&chunk)? {
                Leaves::Known(known) => Some(known),
                // What stands for it are stored hashes: nothing else may be passed over so.
                Leaves::Shut(flaw) if !is_deleted(&chunk)? => return Err(flaw.into()),
                Leaves::Shut(_) => None,
            };
            leaves.push((chunk.first.0 + u64::from(chunk.records), known));
            Ok(())
        })?;
        let edge = contents.last.as_ref().and_then(|l| l.scan.edge.clone());
        let mut tree = Tree::open(dir, edge.unwrap_or_else(Frontier::new))?;
        let mut skipped = None;
        for (end, known) in leaves {
            let Some(known) = known else {
                skipped = Some(end);
                continue;
            };
            if let Some(end) = skipped.take() {
                tree.skip_to(end)?;
            }
            tree.append(&known);
        }
        if let Some(end) = skipped {
            tree.skip_to(end)?;
        }
        let tail = match contents.last {
            Some(last) => mend(disk.as_ref(), last)?,
            None => begin(disk.as_ref(), dir, tree.edge())?,
        };
        // Only now is all of the log on the disk.
        tree.cut()?;
        tree.write()?;
        let cut = tail.cut.or(headless);
        let mut writer = Self {
            dir: dir.into(),
            form,
            disk,
            keys,
            key_use,
            tree,
            file: tail.file,
            path: tail.path,
            first: tail.first,
            length: tail.length,
            durable: tail.length,
            marked: tail.marked,
            scratch: Scratch::default(),
            poison: None,
            _lock: lock,
            content: PhantomData,
        };
        writer.mark()?;
        Ok((writer, cut))
    }

    /// Writes the items, all of them or none; they are durable after the next
    /// [`LogWriter::sync`].
    pub(crate) fn append(&mut self, items: &[C::Item]) -> Result<(), Error> {
        self.check()?;
        if items.is_empty() {
            return Ok(());
        }
        if self.length >= self.form.file_bytes && self.next() != self.first {
            self.rotate()?;
        }
        if self.key_use.begin()? {
            // What is sealed with a destroyed key nobody can read.
            self.keys.look_again();
        }
        let before = self.tree.before();
        let mut scratch = std::mem::take(&mut self.scratch);
        let written = self
            .frames(items, &mut scratch)
            .and_then(|()| self.write(&scratch.frames));
        self.scratch = scratch;
        if written.is_err() {
            self.tree.go_back(before);
        }
        if self.durable == self.length {
            self.key_use.end()?;
        }
        written
    }

    /// Returns when all that was appended is durable.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.check()?;
        if self.durable < self.length {
            if let Err(error) = self.file.sync() {
                return Err(self.poisoned("sync", error));
            }
            self.durable = self.length;
            self.tree.write()?;
        }
        self.key_use.end()?;
        self.mark()
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The number the next record will get.
    pub(crate) fn next(&self) -> RecordNumber {
        RecordNumber(self.tree.edge().size())
    }

    /// The tree over all that was appended.
    pub(crate) const fn edge(&self) -> &Frontier {
        self.tree.edge()
    }

    /// Why it takes nothing more, where that is so.
    pub(crate) fn poison(&self) -> Option<&str> {
        self.poison.as_deref()
    }

    /// Builds the frames of the items' chunks, and appends their leaves to the tree.
    fn frames(&mut self, items: &[C::Item], scratch: &mut Scratch) -> Result<(), Error> {
        scratch.frames.clear();
        let calendar = self.form.calendar;
        let mut rest = items;
        while let Some(item) = rest.first() {
            let day = calendar.day_of(C::at(item));
            let run = rest
                .iter()
                .take(chunk::MAX_RECORDS)
                .take_while(|item| calendar.day_of(C::at(item)) == day)
                .count();
            let (now, later) = rest.split_at(run);
            self.frame(day, now, scratch)?;
            rest = later;
        }
        Ok(())
    }

    fn frame(&mut self, day: Day, items: &[C::Item], scratch: &mut Scratch) -> Result<(), Error> {
        let key: Arc<DayKey> = self.keys.get_or_create(day)?;
        let first = self.next();
        let records = u32::try_from(items.len()).unwrap_or(u32::MAX);
        scratch.entries.clear();
        let mut names = Names::default();
        for item in items {
            C::write(item, &mut names, &mut scratch.entries);
        }
        scratch.leaves.leaves.clear();
        let mut texts = C::Texts::default();
        let text = |item: &_, out: &mut _| C::text(item, &mut texts, out);
        key.leaves(first, items, text, &mut scratch.leaves);
        self.tree.append(&scratch.leaves.leaves);
        // Always, also where sealed days are plain files: a day that is deleted may stand in a
        // log file that goes on being written.
        let sealing = Some(key.sealing());
        let mut sealed = Ok(());
        frame::write(&mut scratch.frames, |out| {
            sealed = chunk::write(day, first, records, &scratch.entries, sealing, out);
        });
        sealed
    }

    /// Writes down how much is durable, so that damage to it is told from a torn end. No sync:
    /// a mark that is lost was not needed.
    fn mark(&mut self) -> Result<(), Error> {
        if self.marked >= self.durable {
            return Ok(());
        }
        let mut mark = Vec::new();
        frame::write(&mut mark, |out| payload::write_mark(self.durable, out));
        match self.write(&mark) {
            Ok(()) => {
                self.marked = self.length;
                if self.durable + mark.len() as u64 == self.length {
                    self.durable = self.length;
                }
                Ok(())
            }
            // The records are safe; the mark comes with the next sync.
            Err(Error::Full { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends the last file and begins another.
    fn rotate(&mut self) -> Result<(), Error> {
        self.sync()?;
        let begun = self
            .tree
            .sync()
            .and_then(|()| begin(self.disk.as_ref(), &self.dir, self.tree.edge()));
        match begun {
            Ok(fresh) => {
                self.file = fresh.file;
                self.path = fresh.path;
                self.first = fresh.first;
                self.length = fresh.length;
                (self.durable, self.marked) = (fresh.length, fresh.marked);
                Ok(())
            }
            Err(Error::Io { path, source, .. }) if is_full(&source) => Err(Error::Full { path }),
            Err(Error::Io { action, source, .. }) => Err(self.poisoned(action, source)),
            Err(error) => Err(error),
        }
    }

    /// Writes all or nothing.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Err(error) = self.file.write(bytes) else {
            self.length += bytes.len() as u64;
            return Ok(());
        };
        if let Err(error) = self.file.cut(self.length) {
            return Err(self.poisoned("cut back", error));
        }
        if is_full(&error) {
            return Err(Error::Full {
                path: self.path.clone(),
            });
        }
        Err(self.poisoned("write", error))
    }

    fn check(&self) -> Result<(), Error> {
        match &self.poison {
            None => Ok(()),
            Some(cause) => Err(Error::Poisoned {
                cause: cause.clone(),
            }),
        }
    }

    fn poisoned(&mut self, action: &'static str, source: io::Error) -> Error {
        let error = Error::io(&self.path, action, source);
        self.poison = Some(error.to_string());
        error
    }
}

/// The leaves of a chunk's records.
pub(crate) enum Leaves {
    Known(Vec<Hash>),
    /// It does not open: it was deleted with its day's key, or it or the key was changed or removed.
    Shut(Flaw),
}

/// Makes the leaves of what a log holds.
pub(crate) struct Hasher<'a, C: Content> {
    keys: &'a Keys,
    texts: C::Texts,
    text: Vec<u8>,
    entry: Vec<u8>,
    content: PhantomData<fn(C)>,
}

impl<'a, C: Content> Hasher<'a, C> {
    pub(crate) fn new(keys: &'a Keys) -> Self {
        Self {
            keys,
            texts: C::Texts::default(),
            text: Vec::new(),
            entry: Vec::new(),
            content: PhantomData,
        }
    }

    /// The leaves of a chunk's records.
    pub(crate) fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<Leaves, Error> {
        let Some(key) = self.keys.get(chunk.day)? else {
            return Ok(Leaves::Shut(Flaw::Sealed(chunk.day)));
        };
        let mut all = Vec::new();
        let read = items::<C>(chunk, Some(&key), |_, item| {
            all.push(item);
            Ok(())
        });
        match read {
            // The day may have been deleted, and have another key since, for what came late.
            Err(Error::Flawed(flaw @ Flaw::Key(_))) => return Ok(Leaves::Shut(flaw)),
            read => read?,
        }
        let mut room = LeafRoom::default();
        let text = |item: &_, out: &mut _| C::text(item, &mut self.texts, out);
        key.leaves(chunk.first, &all, text, &mut room);
        Ok(Leaves::Known(room.leaves))
    }

    /// The leaf of one record.
    pub(crate) fn leaf(&mut self, key: &DayKey, number: RecordNumber, item: &C::Item) -> Hash {
        self.text.clear();
        C::text(item, &mut self.texts, &mut self.text);
        key.leaf(number, &self.text, &mut self.entry)
    }
}

/// Hands over what a chunk holds, as many items as it says.
pub(crate) fn items<C: Content>(
    chunk: &Chunk<'_>,
    key: Option<&DayKey>,
    mut each: impl FnMut(RecordNumber, C::Item) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut names = Names::default();
    let mut number = chunk.first;
    chunk.entries(key.map(DayKey::sealing), |entry| {
        if let Some(item) = C::read(entry, &mut names).map_err(Flaw::Meaning)? {
            each(number, item)?;
            number.0 = number.0.saturating_add(1);
        }
        Ok::<_, Error>(())
    })?;
    if number.0.saturating_sub(chunk.first.0) == u64::from(chunk.records) {
        Ok(())
    } else {
        Err(Flaw::Meaning("a chunk with other records than it says").into())
    }
}

/// The file that will be written to.
struct Tail {
    file: Box<dyn LogFile>,
    path: PathBuf,
    first: RecordNumber,
    length: u64,
    marked: u64,
    cut: Option<Cut>,
}

/// Begins the file that goes on from the tree's edge. Its header is durable before a record
/// follows.
fn begin(disk: &dyn Disk, dir: &Path, edge: &Frontier) -> Result<Tail, Error> {
    let first = RecordNumber(edge.size());
    let path = folder::log_path(dir, first);
    let failed = |action| {
        let path = path.clone();
        move |error| Error::io(path, action, error)
    };
    let header = frame::header(edge);
    let mut file = disk.create(&path).map_err(failed("create"))?;
    file.write(&header).map_err(failed("write"))?;
    file.sync().map_err(failed("sync"))?;
    folder::sync(dir).map_err(|error| Error::io(dir, "sync", error))?;
    Ok(Tail {
        file,
        path,
        first,
        length: header.len() as u64,
        marked: header.len() as u64,
        cut: None,
    })
}

/// Removes a last file that a crash kept from getting its header: it holds nothing.
fn remove_headless(dir: &Path) -> Result<Option<Cut>, Error> {
    let Some((first, path)) = folder::list(dir)?.pop() else {
        return Ok(None);
    };
    let bytes = fs::read(&path).map_err(|error| Error::io(&path, "read", error))?;
    if bytes.len() > frame::header_length(first)
        || frame::parse_header(&bytes).is_some()
        || frame::version(&bytes).is_some_and(|version| version != frame::VERSION)
    {
        return Ok(None);
    }
    fs::remove_file(&path).map_err(|error| Error::io(&path, "remove", error))?;
    folder::sync(dir).map_err(|error| Error::io(dir, "sync", error))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some(Cut {
        file: path,
        offset: 0,
        bytes: bytes.len() as u64,
        record: first,
    }))
}

/// Cuts the last file after its last sound record and makes the rest durable.
fn mend(disk: &dyn Disk, last: LastFile) -> Result<Tail, Error> {
    let (path, scan) = (last.path, last.scan);
    let end = scan.end as u64;
    let lost = last.bytes.len() as u64 - end;
    let cut = (lost > 0).then(|| Cut {
        file: path.clone(),
        offset: end,
        bytes: lost,
        record: scan.next,
    });
    let failed = |action| {
        let path = path.clone();
        move |error| Error::io(path, action, error)
    };
    // What no mark vouches for may be in memory only, if a sync failed before the crash: the
    // system then takes it for written. Written once more, in place, it reaches the disk.
    let marked = scan.marked.min(scan.end);
    let mut file = disk
        .open(&path, end, marked as u64)
        .map_err(failed("open"))?;
    let unmarked = last.bytes.get(marked..scan.end).unwrap_or_default();
    file.write(unmarked).map_err(failed("write"))?;
    file.sync().map_err(failed("sync"))?;
    Ok(Tail {
        file,
        first: RecordNumber(scan.edge.map_or(scan.next.0, |edge| edge.size())),
        path,
        length: end,
        marked: marked as u64,
        cut,
    })
}
