//! Writing a ledger.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use portledger_keys::DataKey;
use portledger_model::{Record, RecordNumber};
use portledger_proof::Checkpoint;

use crate::{
    Error, Ledger, Settings,
    home::Home,
    journal::Journal,
    log::{
        chunk::Chunk,
        content::Content,
        disk::{Disk, Real},
        folder, v1,
        writer::{Cut, Form, LogWriter},
    },
    manifest::Manifest,
    record::Records,
    sign::{self, Signing},
};

/// How to write a ledger.
#[derive(Debug, Clone)]
pub struct Options {
    /// A new log file is begun when the last has reached so many bytes. A file is read as a whole.
    pub file_bytes: u64,
    /// What the ledger is, where it has to be made; `None` for [`Settings::new`].
    pub settings: Option<Settings>,
    /// What is written was told by other devices: that this process lives does not mean that they
    /// were heard, so their logs are complete up to their last record only.
    pub collects: bool,
}

impl Default for Options {
    /// Files of 8 MiB, and a ledger as everyone's, which the device itself writes.
    fn default() -> Self {
        Self {
            file_bytes: 8 << 20,
            settings: None,
            collects: false,
        }
    }
}

/// What opening a ledger for writing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// What was cut off the log's end; `None` where it was whole.
    pub cut: Option<Cut>,
    /// How many records of a log of version 1 were taken over; `None` where there was none.
    pub upgraded: Option<u64>,
}

/// The one writer of a ledger. It holds the log's lock until it is dropped.
///
/// Nothing is durable before [`Writer::sync`] has returned. After a failed sync nothing more is
/// taken: the system may have dropped what it could not write, and a later sync would not say so.
pub struct Writer {
    home: Home,
    log: LogWriter<Records>,
    signing: Signing,
    /// Records that the newest checkpoint speaks of.
    signed: u64,
    collects: bool,
}

impl Writer {
    /// Opens the ledger in `dir`, or makes one. The unfinished end of a crash is cut off; a log of
    /// version 1 is taken over.
    ///
    /// # Errors
    /// When another process writes it, something in it is damaged, or the system refuses.
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
        // Held while a ledger is made or taken over; it is also the lock of version 1.
        let making = folder::lock(dir)?;
        let (home, fresh) = match Home::open(dir)? {
            Some(home) => (home, false),
            None => {
                let settings = match &options.settings {
                    Some(settings) => settings.clone(),
                    None => Settings::new(DataKey::random()?.derive::<16>("a ledger's name")),
                };
                (Home::make(dir, &settings)?, true)
            }
        };
        let form = form(&home, options.file_bytes);
        let (mut log, cut) = open_log(disk, &home, form, options.collects)?;
        let upgraded = if fresh {
            let taken = take_over(dir, &mut log)?;
            Journal::take_over(dir, &home)?;
            home.settle()?;
            taken
        } else {
            None
        };
        remove_version_1(dir)?;
        drop(making);
        let signing = home.signing::<Records>()?;
        let mut writer = Self {
            signed: 0,
            collects: options.collects,
            home,
            log,
            signing,
        };
        writer.checkpoint()?;
        Ok((writer, Recovery { cut, upgraded }))
    }

    /// Writes the records, all of them or none. Returns the last one's number; `None` where
    /// there was no record. They are durable after the next [`Writer::sync`].
    ///
    /// # Errors
    /// [`Error::Full`] when there is no room: the same records may be tried again. After any
    /// other error the writer takes nothing more.
    pub fn append(&mut self, records: &[Record]) -> Result<Option<RecordNumber>, Error> {
        self.log.append(records)?;
        let last = self.log.next().0.checked_sub(1).map(RecordNumber);
        Ok(last.filter(|_| !records.is_empty()))
    }

    /// Returns when all that was appended is durable.
    ///
    /// # Errors
    /// When the disk fails; nothing since the last sync may be taken for durable then, and the
    /// writer takes nothing more.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.log.sync()
    }

    /// Makes all that was appended durable and signs it: from then on no record of it can be
    /// changed or removed unnoticed by whoever has seen the checkpoint.
    ///
    /// # Errors
    /// As [`Writer::sync`], and when the checkpoint cannot be written.
    pub fn checkpoint(&mut self) -> Result<(), Error> {
        self.log.sync()?;
        let edge = self.log.edge();
        if self.signed < edge.size() {
            let note = self.signing.sign(edge)?;
            sign::publish(self.log.dir(), &note)?;
            self.signed = edge.size();
        }
        Ok(())
    }

    /// The ledger's folder.
    pub fn dir(&self) -> &Path {
        self.home.dir()
    }

    /// What the ledger says, up to the last record appended.
    ///
    /// # Errors
    /// As [`Ledger::read`].
    pub fn ledger(&self) -> Result<Ledger, Error> {
        let mut ledger = Ledger::of(&self.home)?;
        if !self.collects {
            ledger.follow();
        }
        Ok(ledger)
    }

    /// The number the next record will get.
    pub fn next_record(&self) -> RecordNumber {
        self.log.next()
    }
}

/// Signs what was written last, so that a log which is cut short later is noticed.
impl Drop for Writer {
    fn drop(&mut self) {
        if self.log.poison().is_none() {
            // Without it the log is as it was; the next who opens it signs.
            let _ = self.checkpoint();
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("dir", &self.dir())
            .field("next", &self.next_record())
            .field("poison", &self.log.poison())
            .finish_non_exhaustive()
    }
}

fn form(home: &Home, file_bytes: u64) -> Form {
    Form {
        file_bytes,
        calendar: home.settings().calendar,
    }
}

fn open_log(
    disk: Box<dyn Disk>,
    home: &Home,
    form: Form,
    collects: bool,
) -> Result<(LogWriter<Records>, Option<Cut>), Error> {
    let dir = home.log_dir();
    let lock = folder::lock(&dir)?;
    folder::say_who_writes(&lock, collects).map_err(|error| Error::io(&dir, "lock", error))?;
    let signed = sign::published(&dir, home.signing::<Records>()?.verifier())?;
    let signed = signed.map(|(checkpoint, _)| checkpoint);
    let mut manifest = None;
    // The list of sealed days is looked at where a chunk does not open, which is seldom.
    let is_deleted = |chunk: &Chunk<'_>| {
        let manifest = match &mut manifest {
            Some(manifest) => manifest,
            unread => unread.insert(Manifest::newest_or_new(&home.store()?, form.calendar)?),
        };
        Ok(manifest.has_deleted(chunk))
    };
    let keys = home.keys::<Records>();
    let (log, cut) = LogWriter::open(disk, &dir, lock, keys, form, is_deleted)?;
    if let Some(signed) = signed {
        signed_is_there(&log, &signed)?;
    }
    Ok((log, cut))
}

/// Whether the log still has all that was signed. Where the newest checkpoint speaks of the whole
/// log, as after every orderly end, it is compared to the last byte; `verify` compares all of it.
pub(crate) fn signed_is_there<C: Content>(
    log: &LogWriter<C>,
    signed: &Checkpoint,
) -> Result<(), Error> {
    let edge = log.edge();
    if edge.size() < signed.size() {
        return Err(Error::Short {
            dir: log.dir().into(),
            next: log.next(),
            signed: signed.size(),
        });
    }
    if edge.size() == signed.size() && edge.root() != signed.root() {
        return Err(Error::Checkpoint {
            file: log.dir().join(sign::CHECKPOINT),
            reason: "the log's records are not those that were signed; run 'portledger verify' to find which".into(),
        });
    }
    Ok(())
}

/// How many records are taken over at once.
const BATCH: usize = 1 << 14;

/// Takes over the records of a log of version 1.
fn take_over(dir: &Path, log: &mut LogWriter<Records>) -> Result<Option<u64>, Error> {
    let mut batch = Vec::with_capacity(BATCH);
    let taken = v1::read(dir, |_, record| {
        batch.push(record);
        if batch.len() == BATCH {
            log.append(&batch)?;
            batch.clear();
        }
        Ok(())
    })?;
    log.append(&batch)?;
    log.sync()?;
    Ok(taken)
}

/// Removes what was taken over: it is neither encrypted nor ever deleted by its time.
fn remove_version_1(dir: &Path) -> Result<(), Error> {
    let files = folder::list(dir)?.into_iter().map(|(_, path)| path);
    for path in files.collect::<Vec<PathBuf>>() {
        fs::remove_file(&path).map_err(|error| Error::io(&path, "remove", error))?;
    }
    Ok(())
}

/// How long somebody who asks waits for another who is being recorded.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
