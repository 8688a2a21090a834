//! Writing in the background, many records a sync.

use std::{
    fmt, mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use portledger_model::Record;
use thiserror::Error;

use crate::{Error, Writer};

/// How to commit.
pub struct CommitOptions {
    /// Records that may wait for the disk, those it is busy with included.
    pub queue: usize,
    /// How long to wait before a full disk is tried again.
    pub retry: Duration,
    /// How long to wait for more before a sync, so that it is of many records. Each record becomes
    /// durable later by so much.
    pub gather: Duration,
    /// Called on the committer's thread after each sync and each change of state. It must not
    /// wait for the committer.
    pub on_progress: Option<Box<dyn Fn() + Send>>,
}

impl Default for CommitOptions {
    /// 65,536 records, a full disk tried again each second, no wait for more, no call.
    fn default() -> Self {
        Self {
            queue: 1 << 16,
            retry: Duration::from_secs(1),
            gather: Duration::ZERO,
            on_progress: None,
        }
    }
}

/// How many records had been submitted when one's own had: they are durable as soon as
/// [`Committer::durable`] is not below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// How a [`Committer`] fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// What is submitted becomes durable.
    Running,
    /// The disk is full; what is submitted waits, and is tried again.
    Full,
    /// Nothing will become durable any more.
    Failed {
        /// Why.
        cause: String,
    },
}

/// Why records were not taken. They come back, to be submitted again or counted as lost.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SubmitError {
    /// Too many wait for the disk already.
    #[error(
        "{waiting} records wait for the ledger's disk already: try again when it has caught up"
    )]
    QueueFull {
        /// How many.
        waiting: u64,
        /// The records that were not taken.
        records: Vec<Record>,
    },
    /// Nothing is written any more.
    #[error("the ledger takes no more records: {cause}")]
    Failed {
        /// Why.
        cause: String,
        /// The records that were not taken.
        records: Vec<Record>,
    },
}

/// A thread that owns a [`Writer`] and makes what is submitted durable, as many records a sync
/// as came in during the last one.
///
/// Several threads may submit. Records of one thread keep their order. Dropping it writes what
/// waits, as [`Committer::close`] does, but says nothing.
pub struct Committer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<Writer, Error>>>,
}

struct Shared {
    desk: Mutex<Desk>,
    /// Something was submitted, or it is time to close.
    submitted: Condvar,
    /// Something became durable, or the state changed.
    progress: Condvar,
    durable: AtomicU64,
    capacity: u64,
}

struct Desk {
    waiting: Vec<Record>,
    /// Records that were written, to be dropped by whoever submits: the names in them are counted,
    /// and counts that two processors change in turn go to and fro between them.
    spent: Vec<Record>,
    submitted: u64,
    state: State,
    closing: bool,
}

impl Committer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(writer: Writer, options: CommitOptions) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            desk: Mutex::new(Desk {
                waiting: Vec::new(),
                spent: Vec::new(),
                submitted: 0,
                state: State::Running,
                closing: false,
            }),
            submitted: Condvar::new(),
            progress: Condvar::new(),
            durable: AtomicU64::new(0),
            capacity: options.queue as u64,
        });
        let dir = writer.dir().to_owned();
        let worker = Worker {
            writer,
            shared: Arc::clone(&shared),
            retry: options.retry,
            gather: options.gather,
            on_progress: options.on_progress,
        };
        let thread = thread::Builder::new()
            .name("ledger".into())
            .spawn(move || worker.run())
            .map_err(|error| Error::io(dir, "start a thread to write", error))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Hands over records to be written, in order and without a wait for the disk.
    ///
    /// # Errors
    /// When too many wait already or the disk has failed; the records come back.
    pub fn submit(&self, records: Vec<Record>) -> Result<Ticket, SubmitError> {
        let room = self.room();
        let mut desk = self.shared.desk();
        if let State::Failed { cause } = &desk.state {
            let cause = cause.clone();
            return Err(SubmitError::Failed { cause, records });
        }
        let waiting = desk.submitted - self.durable();
        // However large, what comes alone is taken: otherwise it never could be.
        if waiting > 0 && waiting + records.len() as u64 > self.shared.capacity {
            return Err(SubmitError::QueueFull { waiting, records });
        }
        desk.submitted += records.len() as u64;
        if desk.waiting.capacity() == 0 {
            desk.waiting = room;
        }
        desk.waiting.extend(records);
        let ticket = Ticket(desk.submitted);
        drop(desk);
        self.shared.submitted.notify_one();
        Ok(ticket)
    }

    /// The room of records that were written, without them.
    fn room(&self) -> Vec<Record> {
        let mut spent = mem::take(&mut self.shared.desk().spent);
        spent.clear();
        spent
    }

    /// How many of the records submitted are durable: always the first ones.
    pub fn durable(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Waits until the ticket's records are durable. `false` when time ran out or the disk has
    /// failed; [`Committer::state`] tells which.
    pub fn wait(&self, ticket: Ticket, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut desk = self.shared.desk();
        while self.durable() < ticket.0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || matches!(desk.state, State::Failed { .. }) {
                return false;
            }
            let woken = self.shared.progress.wait_timeout(desk, left);
            desk = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// How it fares.
    pub fn state(&self) -> State {
        self.shared.desk().state.clone()
    }

    /// Writes what waits, ends the thread and gives the writer back.
    ///
    /// # Errors
    /// [`Error::NotWritten`] when the disk has failed, or is full and stays so at one last
    /// attempt.
    pub fn close(mut self) -> Result<Writer, Error> {
        match self.end() {
            Some(Ok(result)) => result,
            _ => Err(Error::NotWritten {
                records: self.shared.desk().submitted - self.durable(),
                cause: "its thread is gone".into(),
            }),
        }
    }

    fn end(&mut self) -> Option<thread::Result<Result<Writer, Error>>> {
        let thread = self.thread.take()?;
        self.shared.desk().closing = true;
        self.shared.submitted.notify_one();
        Some(thread.join())
    }
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer")
            .field("durable", &self.durable())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl Shared {
    /// A thread that panicked leaves the desk in order: each change of it is complete.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's side.
struct Worker {
    writer: Writer,
    shared: Arc<Shared>,
    retry: Duration,
    gather: Duration,
    on_progress: Option<Box<dyn Fn() + Send>>,
}

impl Worker {
    fn run(mut self) -> Result<Writer, Error> {
        let mut batch = Vec::new();
        while self.next_batch(&mut batch) {
            if let Err(error) = self.commit(&batch) {
                return Err(self.fail(&error));
            }
            self.shared
                .durable
                .fetch_add(batch.len() as u64, Ordering::Release);
            self.say(State::Running);
        }
        Ok(self.writer)
    }

    /// Waits for records and takes all there are; `false` when it is time to close and there are
    /// none. What was in `batch` is given back.
    fn next_batch(&self, batch: &mut Vec<Record>) -> bool {
        let mut desk = self.shared.desk();
        let unclaimed = mem::replace(&mut desk.spent, mem::take(batch));
        if !unclaimed.is_empty() {
            // Nobody has submitted since.
            drop(desk);
            drop(unclaimed);
            desk = self.shared.desk();
        }
        while desk.waiting.is_empty() && !desk.closing {
            let woken = self.shared.submitted.wait(desk);
            desk = woken.unwrap_or_else(PoisonError::into_inner);
        }
        if !self.gather.is_zero() && !desk.closing {
            drop(desk);
            // Whoever submits meanwhile has nobody to wake.
            thread::sleep(self.gather);
            desk = self.shared.desk();
        }
        *batch = mem::take(&mut desk.waiting);
        !batch.is_empty()
    }

    /// Makes a batch durable, trying again while the disk is full.
    fn commit(&mut self, batch: &[Record]) -> Result<(), Error> {
        loop {
            let last_attempt = self.shared.desk().closing;
            match self.writer.append(batch) {
                Ok(_) => return self.writer.sync(),
                Err(Error::Full { .. }) if !last_attempt => {
                    self.say(State::Full);
                    self.pause();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits before a full disk is tried again, or until it is time to close.
    fn pause(&self) {
        let deadline = Instant::now() + self.retry;
        let mut desk = self.shared.desk();
        while !desk.closing {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.shared.submitted.wait_timeout(desk, left);
            desk = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn fail(&self, error: &Error) -> Error {
        let cause = error.to_string();
        self.say(State::Failed {
            cause: cause.clone(),
        });
        let durable = self.shared.durable.load(Ordering::Acquire);
        let records = self.shared.desk().submitted - durable;
        Error::NotWritten { records, cause }
    }

    fn say(&self, state: State) {
        self.shared.desk().state = state;
        self.shared.progress.notify_all();
        if let Some(on_progress) = &self.on_progress {
            on_progress();
        }
    }
}

#[cfg(test)]
mod tests;
