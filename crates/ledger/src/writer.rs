//! Writing the log.

use std::{
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use portledger_model::{Record, RecordNumber};

use crate::{
    Error, Ledger,
    error::is_full,
    load::load,
    log::{
        disk::{Disk, LogFile, Real},
        folder::{self, LastFile},
        frame::{self, HEADER},
        names::Names,
        payload,
    },
};

/// How to write a log.
#[derive(Debug, Clone)]
pub struct Options {
    /// A new file is begun when the last has reached so many bytes. A file is read as a whole.
    pub file_bytes: u64,
}

impl Default for Options {
    /// Files of 64 MiB.
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
        }
    }
}

/// What opening a log for writing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// What was cut off the log's end; `None` where it was whole.
    pub cut: Option<Cut>,
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
/// Nothing is durable before [`Writer::sync`] has returned. After a failed sync nothing more is
/// taken: the system may have dropped what it could not write, and a later sync would not say so.
pub struct Writer {
    dir: PathBuf,
    options: Options,
    disk: Box<dyn Disk>,
    file: Box<dyn LogFile>,
    path: PathBuf,
    /// The last file's first record: without one, that file need not be ended.
    first: RecordNumber,
    names: Names,
    /// Bytes in the files before the last.
    sealed: u64,
    /// Bytes in the last file.
    length: u64,
    /// How many of these are durable, and how many a mark says to be.
    durable: u64,
    marked: u64,
    next: RecordNumber,
    ledger: Ledger,
    buffer: Vec<u8>,
    poison: Option<String>,
    _lock: File,
}

impl Writer {
    /// Opens the log in `dir`, or begins one. The unfinished end of a crash is cut off.
    ///
    /// # Errors
    /// When another process writes it, a file is damaged, or the system refuses.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Recovery), Error> {
        Self::open_on(Box::new(Real), dir, options)
    }

    /// As [`Writer::open`], on a disk of the caller's making.
    pub(crate) fn open_on(
        disk: Box<dyn Disk>,
        dir: &Path,
        options: Options,
    ) -> Result<(Self, Recovery), Error> {
        fs::create_dir_all(dir).map_err(|error| Error::io(dir, "create", error))?;
        let lock = folder::lock(dir)?;
        let (mut ledger, contents) = load(dir)?;
        ledger.follow();
        let last_bytes = contents
            .last
            .as_ref()
            .map_or(0, |last| last.bytes.len() as u64);
        let tail = match contents.last {
            Some(last) => mend(disk.as_ref(), dir, last)?,
            None => begin(disk.as_ref(), dir, contents.next)?,
        };
        let cut = tail.cut;
        let mut writer = Self {
            dir: dir.into(),
            options,
            disk,
            file: tail.file,
            path: tail.path,
            first: tail.first,
            names: tail.names,
            sealed: contents.bytes - last_bytes,
            length: tail.length,
            durable: tail.length,
            marked: tail.marked,
            next: contents.next,
            ledger,
            buffer: Vec::new(),
            poison: None,
            _lock: lock,
        };
        writer.count_bytes();
        writer.mark()?;
        Ok((writer, Recovery { cut }))
    }

    /// Writes the records, all of them or none. Returns the last one's number; `None` where
    /// there was no record. They are in the log and in [`Writer::ledger`] when this returns, and
    /// durable after the next [`Writer::sync`].
    ///
    /// # Errors
    /// [`Error::Full`] when there is no room: the same records may be tried again. After any
    /// other error the writer takes nothing more.
    pub fn append(&mut self, records: &[Record]) -> Result<Option<RecordNumber>, Error> {
        self.check()?;
        if records.is_empty() {
            return Ok(None);
        }
        if self.length >= self.options.file_bytes && self.next != self.first {
            self.rotate()?;
        }
        let names = self.names.len();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        for record in records {
            payload::write_record(record, &mut self.names, &mut buffer);
        }
        let written = self.write(&buffer);
        self.buffer = buffer;
        if written.is_err() {
            self.names.truncate(names);
        }
        written?;
        for record in records {
            if let Err(error) = self.ledger.apply(self.next, record) {
                let error = Error::from(error);
                self.poison = Some(error.to_string());
                return Err(error);
            }
            self.next.0 += 1;
        }
        Ok(self.next.0.checked_sub(1).map(RecordNumber))
    }

    /// Returns when all that was appended is durable.
    ///
    /// # Errors
    /// When the disk fails; nothing since the last sync may be taken for durable then, and the
    /// writer takes nothing more.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.check()?;
        if self.durable < self.length {
            if let Err(error) = self.file.sync() {
                return Err(self.poisoned("sync", error));
            }
            self.durable = self.length;
        }
        self.mark()
    }

    /// The folder of the log.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the log says, up to the last record appended.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The number the next record will get.
    pub fn next_record(&self) -> RecordNumber {
        self.next
    }

    /// Writes down how much is durable, so that damage to it is told from a torn end. No sync:
    /// a mark that is lost was not needed.
    fn mark(&mut self) -> Result<(), Error> {
        if self.marked >= self.durable {
            return Ok(());
        }
        let mut mark = Vec::new();
        payload::write_mark(self.durable, &mut mark);
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
        match begin(self.disk.as_ref(), &self.dir, self.next) {
            Ok(fresh) => {
                self.sealed += self.length;
                self.file = fresh.file;
                self.path = fresh.path;
                self.first = fresh.first;
                self.names = Names::default();
                (self.length, self.durable, self.marked) =
                    (HEADER as u64, HEADER as u64, HEADER as u64);
                self.count_bytes();
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
            self.count_bytes();
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

    fn count_bytes(&mut self) {
        self.ledger.set_bytes(self.sealed + self.length);
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

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("dir", &self.dir)
            .field("next", &self.next)
            .field("poison", &self.poison)
            .finish_non_exhaustive()
    }
}

/// The file that will be written to.
struct Tail {
    file: Box<dyn LogFile>,
    path: PathBuf,
    first: RecordNumber,
    names: Names,
    length: u64,
    marked: u64,
    cut: Option<Cut>,
}

/// Begins the file whose first record is `first`. Its header is durable before a record follows.
fn begin(disk: &dyn Disk, dir: &Path, first: RecordNumber) -> Result<Tail, Error> {
    let path = folder::log_path(dir, first);
    let failed = |action| {
        let path = path.clone();
        move |error| Error::io(path, action, error)
    };
    let mut file = disk.create(&path).map_err(failed("create"))?;
    file.write(&frame::header(first)).map_err(failed("write"))?;
    file.sync().map_err(failed("sync"))?;
    folder::sync(dir).map_err(|error| Error::io(dir, "sync", error))?;
    Ok(Tail {
        file,
        path,
        first,
        names: Names::default(),
        length: HEADER as u64,
        marked: HEADER as u64,
        cut: None,
    })
}

/// Cuts the last file after its last sound record and makes the rest durable.
fn mend(disk: &dyn Disk, dir: &Path, last: LastFile) -> Result<Tail, Error> {
    let (path, image) = (last.path, last.image);
    let end = image.end as u64;
    let lost = last.bytes.len() as u64 - end;
    let cut = (lost > 0).then(|| Cut {
        file: path.clone(),
        offset: end,
        bytes: lost,
        record: image.next,
    });
    if image.end < HEADER {
        return Ok(Tail {
            cut,
            ..begin(disk, dir, image.next)?
        });
    }
    let failed = |action| {
        let path = path.clone();
        move |error| Error::io(path, action, error)
    };
    // What no mark vouches for may be in memory only, if a sync failed before the crash: the
    // system then takes it for written. Written once more, in place, it reaches the disk.
    let marked = image.marked.clamp(HEADER, image.end);
    let mut file = disk
        .open(&path, end, marked as u64)
        .map_err(failed("open"))?;
    let unmarked = last.bytes.get(marked..image.end).unwrap_or_default();
    file.write(unmarked).map_err(failed("write"))?;
    file.sync().map_err(failed("sync"))?;
    folder::sync(dir).map_err(|error| Error::io(dir, "sync", error))?;
    Ok(Tail {
        file,
        path,
        first: image.first,
        names: image.names,
        length: end,
        marked: marked as u64,
        cut,
    })
}

#[cfg(test)]
mod tests;
