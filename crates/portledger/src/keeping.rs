//! The ledger is kept while it is written: what is in the log goes into segments, days that are
//! over are sealed. In a thread of its own and behind the others, so that no packet waits for it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use portledger_ledger::{Error, Keeper};

use crate::{failure::Failure, questions};

/// How often is looked whether there is enough for a segment.
const FLUSH: Duration = Duration::from_secs(1);
/// How often days that are over are sealed. Each time the rest of the log becomes a segment too,
/// however small, so not all the time.
const SEAL: Duration = Duration::from_secs(600);
/// How much nicer the thread is than the others: of a processor that these want too it gets a fourth,
/// of one that is idle all. Who stops waits for what it is at, so it is not much nicer.
const NICER: i32 = 5;
/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(10);

/// The thread.
pub(crate) struct Keeping {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    written: AtomicBool,
    stopping: Mutex<bool>,
    stop: Condvar,
}

/// For whoever writes: notes that there is something new.
pub(crate) struct Written(Arc<Shared>);

impl Written {
    pub(crate) fn note(&self) {
        self.0.written.store(true, Ordering::Relaxed);
    }
}

impl Keeping {
    /// Begins to keep the ledger in `dir`, for a command of this name. After each look it waits
    /// `rest` times as long as that took, so that the rest of the core is for others.
    pub(crate) fn start(dir: &Path, by: &'static str, rest: u32) -> Result<Self, Failure> {
        let shared = Arc::new(Shared::default());
        let keeping = Work {
            dir: dir.to_owned(),
            by,
            rest,
            shared: Arc::clone(&shared),
            next_seal: Instant::now(),
            fails: false,
        };
        let thread = thread::Builder::new()
            .name("keeper".into())
            .spawn(move || keeping.run())?;
        Ok(Self { shared, thread })
    }

    pub(crate) fn written(&self) -> Written {
        Written(Arc::clone(&self.shared))
    }

    /// Ends the thread when it has done what it is at.
    pub(crate) fn stop(self) {
        *self
            .shared
            .stopping
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.stop.notify_all();
        if self.thread.join().is_err() {
            eprintln!(
                "portledger: the thread that seals the ledger's days has failed; this is a bug"
            );
        }
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        *self.stopping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits so long; `true` when it is time to stop.
    fn wait(&self, time: Duration) -> bool {
        let stopping = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .stop
            .wait_timeout_while(stopping, time, |stopping| !*stopping);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The thread's side.
struct Work {
    dir: PathBuf,
    /// Which command deletes what is past its time.
    by: &'static str,
    rest: u32,
    shared: Arc<Shared>,
    next_seal: Instant,
    fails: bool,
}

impl Work {
    fn run(mut self) {
        // Under Linux this is of the thread. Where it is not allowed all is as it was.
        let _ = rustix::process::nice(NICER);
        let mut wait = FLUSH;
        while !self.shared.wait(wait) {
            let began = Instant::now();
            let done = self.keep();
            wait = match &done {
                Ok(()) => FLUSH.max(began.elapsed() * self.rest),
                Err(_) => {
                    // What is new still is.
                    self.shared.written.store(true, Ordering::Relaxed);
                    RETRY
                }
            };
            self.tell(done);
        }
    }

    fn keep(&mut self) -> Result<(), Error> {
        let seals = self.next_seal <= Instant::now();
        if !seals && !self.shared.written.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        // Opened for each turn: in between, others may place holds, import or verify.
        let mut keeper = Keeper::open(&self.dir)?;
        if seals {
            let by = serde_json::Map::from_iter([("user".into(), self.by.into())]);
            keeper.retain(questions::now(), &by)?;
            self.next_seal = Instant::now() + SEAL;
        }
        keeper.flush_while(|| !self.shared.is_stopping())?;
        Ok(())
    }

    /// Says once that it fails, and once that it works again.
    fn tell(&mut self, done: Result<(), Error>) {
        match done {
            Ok(()) if self.fails => eprintln!("portledger: the ledger's days are sealed again"),
            Err(error) if !self.fails => eprintln!(
                "portledger: the ledger's days cannot be sealed, its log grows until they can be: {}",
                Failure::from(error)
            ),
            _ => return,
        }
        self.fails = !self.fails;
    }
}
