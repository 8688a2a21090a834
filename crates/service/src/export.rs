//! Sends what a device's ledger says to the collectors that operators run.
//!
//! ```text
//!            ┌─ follow ─▶ encode ─▶ UDP, TCP, TLS, file ──▶ target 1     a thread each
//!  ledger ───┤                                 └─ arrived ─▶ LEDGER/export/1.cursor
//!            └─ follow ─▶ encode ─▶ …                   ──▶ target 2
//! ```
//! The ledger is the spool: nothing is kept for a target that is away, it is read when the target
//! is back. How far each target has come is in a file of its own, so that a restart goes on there.
//!
//! - Over **UDP** what was sent counts as received after a second without a refusal.
//! - Over **TCP and TLS** it does when the peer's system has acknowledged it and the connection
//!   has lived on for three seconds: a system acknowledges what its program has not read yet. What
//!   is not sure to have been received when a connection breaks is sent again on the next. So
//!   records may come twice, and none is missing.
//! - A target that lags by more than it may ([`Keep`]) is moved on, and told what it lost in an
//!   event of its own.
//!
//! ```no_run
//! use std::{path::Path, sync::Arc};
//! use portledger_model::Device;
//! use portledger_service::export::{
//!     Exporting, IpfixOver, Keep, Sends, Target, TargetName,
//! };
//!
//! let target = Target {
//!     name: TargetName::new("noc")?,
//!     device: Device::new("cgn1")?,
//!     sends: Sends::Ipfix { domain: 1, over: IpfixOver::Tcp("collector.example.org:4739".parse()?) },
//!     keep: Keep::default(),
//! };
//! let tell = Arc::new(|name: &TargetName, notice| eprintln!("{name}: {notice}"));
//! let exporting = Exporting::start(Path::new("/var/lib/portledger/ledger"), vec![target], 7, tell)?;
//! for (name, figures) in exporting.figures() {
//!     println!("{name}: {} records behind", figures.lag);
//! }
//! exporting.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod acknowledged;
mod backoff;
mod cursor;
mod encoder;
mod figures;
mod link;
mod source;
mod target;
mod worker;

use std::{
    collections::HashSet,
    io,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use portledger_model::{RecordNumber, Timestamp};
use thiserror::Error;

use self::{
    backoff::Backoff,
    cursor::{Cursor, Mark},
    encoder::Encoder,
    figures::Counters,
    link::Route,
    source::Source,
    worker::{Trouble, Worker},
};

pub use self::{
    cursor::CursorError,
    figures::Figures,
    target::{
        IpfixOver, Keep, LinesOver, Peer, PeerError, Sends, StreamFraming, SyslogOver, Target,
        TargetName, TargetNameError, Tls,
    },
};

/// How long the end waits until what was sent has arrived.
const FAREWELL: Duration = Duration::from_secs(6);
/// And for threads that wait for a name or a connection.
const LEAVE: Duration = Duration::from_secs(2);

/// Targets that are served, a thread each, until [`Exporting::stop`].
///
/// Dropped without it, threads go on as long as the process does.
#[derive(Debug)]
pub struct Exporting {
    targets: Vec<(TargetName, Arc<Shared>, JoinHandle<()>)>,
}

/// What the operator should hear of a target. No notice names a subscriber.
#[derive(Debug, Error)]
pub enum Notice {
    /// It cannot be reached, or the connection broke. Said once until it is back.
    #[error("cannot send to it, what is for it waits in the ledger: {0}")]
    Away(io::Error),
    /// It takes what is sent again.
    #[error("it takes what is sent again")]
    Back,
    /// It lagged too far or the ledger no longer had the records; the target was told too.
    #[error("{records} records are lost for it: it lagged too far, or the ledger has deleted them")]
    Lost {
        /// How many.
        records: u64,
    },
    /// The ledger cannot be read. Said once until it can.
    #[error("the ledger cannot be read for it: {0}")]
    Ledger(portledger_ledger::Error),
    /// The ledger can be read again.
    #[error("the ledger is read again")]
    LedgerAgain,
    /// How far it has come cannot be written down: after a restart, records may go there twice.
    /// Said once until it can.
    #[error("{0}")]
    Cursor(CursorError),
    /// The ledger has fewer records than the target had already: it was put back from a copy.
    #[error(
        "it was sent records up to {next}, of which the ledger knows only those before {end}: was the ledger put back from a copy? It goes on from there"
    )]
    Ahead {
        /// What should have come next.
        next: RecordNumber,
        /// The number after the ledger's last record.
        end: RecordNumber,
    },
}

/// Is told what the operator should hear, from the targets' threads.
pub type Tell = Arc<dyn Fn(&TargetName, Notice) + Send + Sync>;

/// Why targets cannot be served at all. That one cannot be reached is none of it.
#[derive(Debug, Error)]
pub enum StartError {
    /// Two targets would share a cursor.
    #[error("two targets are called '{0}'; each needs a name of its own")]
    Twice(TargetName),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] portledger_ledger::Error),
    /// A cursor's file cannot be used.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// The system gives no thread.
    #[error("cannot start a thread for target '{name}': {error}")]
    Thread {
        /// The target.
        name: TargetName,
        /// Why not.
        error: io::Error,
    },
}

impl Exporting {
    /// Serves the targets from the ledger in `ledger`, which is there. A target that is new begins
    /// with what is written from now on. `seed` spreads the times of attempts to connect.
    ///
    /// # Errors
    /// When the ledger or a cursor cannot be used; then no target is served.
    pub fn start(
        ledger: &Path,
        targets: Vec<Target>,
        seed: u64,
        tell: Tell,
    ) -> Result<Self, StartError> {
        let mut names = HashSet::new();
        if let Some(twice) = targets.iter().find(|target| !names.insert(&target.name)) {
            return Err(StartError::Twice(twice.name.clone()));
        }
        let mut workers = Vec::with_capacity(targets.len());
        for (number, target) in (0..).zip(targets) {
            let seed = seed.wrapping_add(number);
            workers.push(prepare(ledger, target, seed, &tell)?);
        }
        let mut exporting = Self {
            targets: Vec::with_capacity(workers.len()),
        };
        for worker in workers {
            let (name, shared) = (worker.name.clone(), Arc::clone(&worker.shared));
            let done = Done(Arc::clone(&shared));
            let thread = thread::Builder::new()
                .name(format!("export-{name}"))
                .spawn(move || {
                    let _done = done;
                    worker.run();
                });
            match thread {
                Ok(thread) => exporting.targets.push((name, shared, thread)),
                Err(error) => {
                    exporting.stop();
                    return Err(StartError::Thread { name, error });
                }
            }
        }
        Ok(exporting)
    }

    /// How each target fares.
    pub fn figures(&self) -> impl Iterator<Item = (&TargetName, Figures)> {
        let targets = self.targets.iter();
        targets.map(|(name, shared, _)| (name, shared.counters.figures()))
    }

    /// Sends what the ledger still has, ends the connections, waits up to 8 s until all has
    /// arrived, and writes down how far each target has come. Returns how each fared.
    pub fn stop(self) -> Vec<(TargetName, Figures)> {
        let now = Instant::now();
        for (_, shared, _) in &self.targets {
            shared.desk().stops_at.get_or_insert(now + FAREWELL);
            shared.changed.notify_all();
        }
        let deadline = now + FAREWELL + LEAVE;
        let stopped = self.targets.into_iter().map(|(name, shared, thread)| {
            // One that waits for a name to be looked up would hold up everybody: it has nothing
            // to write down.
            if shared.wait_until_done(deadline) {
                let _ = thread.join();
            }
            (name, shared.counters.figures())
        });
        stopped.collect()
    }
}

/// What a target's thread shares with others.
#[derive(Debug, Default)]
struct Shared {
    counters: Counters,
    desk: Mutex<Desk>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Desk {
    /// It is to stop, and to have taken leave by this time.
    stops_at: Option<Instant>,
    is_done: bool,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stops_at(&self) -> Option<Instant> {
        self.desk().stops_at
    }

    /// Waits so long, or until it is time to stop.
    fn wait(&self, time: Duration) {
        let waits = |desk: &mut Desk| desk.stops_at.is_none();
        drop(self.changed.wait_timeout_while(self.desk(), time, waits));
    }

    fn wait_until_done(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let waits = |desk: &mut Desk| !desk.is_done;
        let waited = self.changed.wait_timeout_while(self.desk(), left, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_done
    }
}

/// Says that a thread has ended, however it did.
struct Done(Arc<Shared>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.desk().is_done = true;
        self.0.changed.notify_all();
    }
}

/// When the machine was booted, from where NetFlow v9 counts (RFC 3954 §5.1): not the process, of
/// which a restart loses nothing and must not look as if it had.
fn booted() -> Timestamp {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let since = Duration::new(
        u64::try_from(since.tv_sec).unwrap_or(0),
        u32::try_from(since.tv_nsec).unwrap_or(0),
    );
    now().before(since)
}

/// The system's clock.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::EPOCH.after(since.unwrap_or_default())
}

fn prepare(ledger: &Path, target: Target, seed: u64, tell: &Tell) -> Result<Worker, StartError> {
    let Target {
        name,
        device,
        sends,
        keep,
    } = target;
    let encoder = Encoder::new(&sends, &device, booted());
    let mut source = Source::open(ledger, device, keep)?;
    let end = source.end()?;
    let begin = |next| Mark {
        next,
        last: None,
        sequence: 0,
    };
    let (mut cursor, known) = Cursor::open(ledger, source.ledger(), &name)?;
    let mut settled = match known {
        Ok(Some(mark)) => mark,
        Ok(None) => begin(end),
        // What it has had nobody knows: what it may have missed is sent, some of it again.
        Err(error) => {
            tell(&name, Notice::Cursor(error));
            begin(RecordNumber(0))
        }
    };
    if end < settled.next {
        let next = settled.next;
        tell(&name, Notice::Ahead { next, end });
        settled.next = end;
    }
    // Written now, so that a new target misses nothing of what is written from now on.
    cursor.write(settled)?;
    let shared = Arc::new(Shared::default());
    figures::set(&shared.counters.acknowledged, settled.next.0);
    figures::set(&shared.counters.end, end.0);
    Ok(Worker {
        name,
        route: Route::of(&sends),
        encoder,
        source,
        cursor,
        backoff: Backoff::new(seed),
        shared,
        tell: Arc::clone(tell),
        settled,
        furthest: settled.next,
        attempts: 0,
        trouble: Trouble::default(),
    })
}
