//! The engine on a TUN device: one thread a queue, one engine, one committer.
//!
//! ```text
//!   queue 0 ─ thread ┐             ┌─> events ─> Committer ─> ledger ┐
//!   queue 1 ─ thread ┼─ Mutex<Hub> ┤                                 │ durable
//!   queue n ─ thread ┘             └─> verdicts ─> write, or wait <──┘
//! ```
//!
//! The two system calls a packet takes far outweigh its time in the engine, so that the queues'
//! threads share one under a lock. A packet whose block's event is not durable yet waits in its
//! thread (log before use); the committer rings when it has come further.

mod wait;
mod worker;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use portledger_ledger::{Committer, State, SubmitError, Writer};
use portledger_model::{Event, Record, Timestamp};
use portledger_nat::{Counters, EventNumber, Output, Size};
use thiserror::Error;

use crate::{
    clock::{Clock, Step},
    engine::Engine,
    start::{Declared, StartError},
    tun::{Queue, ReadError, Wake},
};
use worker::Worker;

/// How to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the device declares.
    pub declared: Declared,
    /// A packet waits until its block's event is durable. Less than the declared durability
    /// promises it must not be: what may go out before it is durable is declared as such.
    pub log_before_use: bool,
    /// How often the ledger is told that the device is alive.
    pub heartbeat: Duration,
    /// How often held blocks are logged again.
    pub interim: Duration,
    /// What happens to new blocks while the ledger cannot be written.
    pub ledger_full: LedgerFull,
}

/// What happens while the ledger's disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LedgerFull {
    /// Packets of new blocks wait, and are dropped when too many do. What has a block goes on.
    #[default]
    HoldNewBlocks,
    /// Packets of new blocks go out before their event is durable, and are counted.
    Forward,
}

/// What a run has done, besides what the engine counts.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What the engine counts.
    pub counters: Counters,
    /// What it holds, where it is one that holds anything.
    pub size: Option<Size>,
    /// Events told.
    pub events: u64,
    /// Of these, durable.
    pub durable: u64,
    /// Steps of the system's clock.
    pub clock_steps: u64,
    /// What the threads count, in sum.
    pub device: DeviceCounters,
}

/// What happens between device and engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceCounters {
    /// Packets that waited until their block's event was durable.
    pub waited: u64,
    /// Packets dropped because too many waited so.
    pub dropped_waiting: u64,
    /// Packets of new blocks sent while the ledger was full, before their event was durable.
    pub sent_before_durable: u64,
    /// Packets that the device did not take.
    pub dropped_write: u64,
    /// Packets whose virtio header contradicted them.
    pub dropped_malformed: u64,
    /// Packets that were cut into segments here, as the device could not cut what became of them.
    pub cut: u64,
}

impl DeviceCounters {
    fn add(&mut self, other: Self) {
        let Self {
            waited,
            dropped_waiting,
            sent_before_durable,
            dropped_write,
            dropped_malformed,
            cut,
        } = other;
        self.waited += waited;
        self.dropped_waiting += dropped_waiting;
        self.sent_before_durable += sent_before_durable;
        self.dropped_write += dropped_write;
        self.dropped_malformed += dropped_malformed;
        self.cut += cut;
    }
}

/// What the operator hears of while it runs.
#[derive(Debug, Clone)]
pub enum Notice {
    /// The device translates.
    Ready,
    /// The system's clock was set.
    ClockStep(Step),
    /// The ledger's disk is full, or it is so no more.
    Ledger(State),
    /// Asked for by [`Control::report`].
    Report(Box<Report>),
}

/// Why a run ended.
#[derive(Debug, Error)]
pub enum RunError {
    /// It must not begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The device.
    #[error(transparent)]
    Device(#[from] ReadError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] portledger_ledger::Error),
    /// The system gave no thread or no bell.
    #[error("cannot start a queue's thread: {0}")]
    Thread(std::io::Error),
    /// A queue's thread ended without a word.
    #[error("a queue's thread has failed; this is a bug")]
    Panicked,
}

/// Stops a run, or asks it for a report, from another thread.
#[derive(Debug, Clone)]
pub struct Control(Arc<Signals>);

#[derive(Debug)]
struct Signals {
    stop: AtomicBool,
    report: AtomicBool,
    /// One a queue: the first to be woken silences its own.
    wakes: Vec<Wake>,
}

impl Control {
    /// For a device of so many queues.
    ///
    /// # Errors
    /// When the system gives no bell.
    pub fn new(queues: usize) -> Result<Self, RunError> {
        let wakes: Result<_, _> = (0..queues).map(|_| Wake::new()).collect();
        Ok(Self(Arc::new(Signals {
            stop: AtomicBool::new(false),
            report: AtomicBool::new(false),
            wakes: wakes.map_err(RunError::Thread)?,
        })))
    }

    /// Ends the run: cleanly, with all events durable.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        self.ring();
    }

    /// Asks for a [`Notice::Report`].
    pub fn report(&self) {
        self.0.report.store(true, Ordering::Release);
        self.ring();
    }

    /// Wakes every queue's thread: something may have become durable.
    pub fn ring(&self) {
        for wake in &self.0.wakes {
            wake.ring();
        }
    }

    fn stopped(&self) -> bool {
        self.0.stop.load(Ordering::Acquire)
    }

    fn take_report(&self) -> bool {
        self.0.report.swap(false, Ordering::AcqRel)
    }
}

/// What the queues' threads share.
struct Hub {
    nat: Engine,
    clock: Clock,
    output: Output,
    declared: Declared,
    /// Records that the committer has not taken yet, in order.
    backlog: VecDeque<Record>,
    clock_steps: u64,
    /// What the threads have counted until they last came here.
    device: DeviceCounters,
    told: EventNumber,
    heartbeat_at: Timestamp,
    interim_at: Timestamp,
    /// Since when each of the declared rules is in force.
    rules_since: Vec<Timestamp>,
    ledger_state: State,
}

/// Runs until `control` stops it or the device is gone. `nat` is new, `writer` the ledger's, and
/// `commit` makes the committer of it, to ring `control` on progress.
///
/// # Errors
/// Why it could not begin or go on; what was durable stays so.
pub fn run(
    nat: Engine,
    queues: Vec<Queue>,
    settings: &Settings,
    writer: Writer,
    commit: impl FnOnce(Writer) -> Result<Committer, portledger_ledger::Error>,
    control: &Control,
    notice: &(dyn Fn(Notice) + Sync),
) -> Result<Report, RunError> {
    let whole = nat.whole();
    let mut hub = Hub::begin(nat, &settings.declared, &writer)?;
    let committer = commit(writer)?;
    hub.submit(&committer);
    let hub = Mutex::new(hub);
    notice(Notice::Ready);
    let failure = thread::scope(|scope| {
        let workers: Vec<_> = queues
            .into_iter()
            .zip(&control.0.wakes)
            .enumerate()
            .map(|(number, (queue, wake))| {
                let worker = Worker {
                    queue,
                    wake,
                    hub: &hub,
                    committer: &committer,
                    control,
                    settings,
                    whole,
                    notice,
                    leads: number == 0,
                };
                let name = format!("queue-{number}");
                thread::Builder::new()
                    .name(name)
                    .spawn_scoped(scope, move || worker.run())
            })
            .collect();
        let mut failure = None;
        for worker in workers {
            let ended = match worker.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(ended)) => ended,
                Ok(Err(_)) => Err(RunError::Panicked),
                Err(error) => Err(RunError::Thread(error)),
            };
            match ended {
                Ok(()) => {}
                Err(error) => {
                    control.stop();
                    failure.get_or_insert(error);
                }
            }
        }
        failure
    });
    let mut hub = hub.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failure.is_none() {
        hub.end(&committer);
    }
    let mut report = hub.report(&committer);
    // Closing makes durable what was submitted.
    let closed = committer.close();
    if let Some(error) = failure {
        return Err(error);
    }
    closed?;
    report.durable = report.events;
    Ok(report)
}

/// Records handed over at once: interim records of a large NAT are more than a queue holds.
const MOST_SUBMITTED: usize = 4_096;

impl Hub {
    fn begin(mut nat: Engine, declared: &Declared, writer: &Writer) -> Result<Self, RunError> {
        let mut clock = Clock::start();
        let now = clock.now().now;
        let since = declared.resting_since(now);
        let ledger = writer.ledger()?;
        let past = declared.past(ledger.resume(&declared.device, since)?, now)?;
        let in_force = ledger.rules_in_force(&declared.device);
        let (rules, rules_since) = declared.rules(&in_force, now);
        let mut output = Output::default();
        nat.tell(now, declared.started(), &mut output);
        for rule in rules {
            nat.tell(now, rule, &mut output);
        }
        nat.start(now, past, &mut output);
        let mut hub = Self {
            nat,
            clock,
            output,
            declared: declared.clone(),
            backlog: VecDeque::new(),
            clock_steps: 0,
            device: DeviceCounters::default(),
            told: EventNumber(0),
            heartbeat_at: now,
            interim_at: now,
            rules_since,
            ledger_state: State::Running,
        };
        hub.take_events();
        Ok(hub)
    }

    /// The time, and a step of the system's clock where there was one.
    fn now(&mut self) -> (Timestamp, Option<Step>) {
        let tick = self.clock.now();
        self.clock_steps += u64::from(tick.step.is_some());
        (tick.now, tick.step)
    }

    /// Does what is to be done at intervals.
    fn keep_house(&mut self, now: Timestamp, settings: &Settings) {
        if now >= self.heartbeat_at.after(settings.heartbeat) {
            self.heartbeat_at = now;
            self.nat.tell(now, Event::Heartbeat, &mut self.output);
        }
        if now >= self.interim_at.after(settings.interim) {
            self.interim_at = now;
            for (block, since) in self.nat.held_blocks() {
                self.nat
                    .tell(now, Event::Held { block, since }, &mut self.output);
            }
            for held in self.declared.held_since(&self.rules_since) {
                self.nat.tell(now, held, &mut self.output);
            }
        }
    }

    fn take_events(&mut self) {
        for told in self.output.events.drain(..) {
            self.told = told.number;
            self.backlog.push_back(self.declared.record(told));
        }
    }

    /// Hands the committer what has been told, in order. What it does not take is kept.
    ///
    /// The engine's numbers are the committer's, because every record comes this way.
    fn submit(&mut self, committer: &Committer) {
        self.take_events();
        while !self.backlog.is_empty() {
            let some = self.backlog.len().min(MOST_SUBMITTED);
            let records: Vec<Record> = self.backlog.drain(..some).collect();
            if let Err(refused) = committer.submit(records) {
                let (SubmitError::QueueFull { records, .. } | SubmitError::Failed { records, .. }) =
                    refused;
                for record in records.into_iter().rev() {
                    self.backlog.push_front(record);
                }
                return;
            }
        }
    }

    /// The ledger's state, where it has changed.
    fn ledger_change(&mut self, committer: &Committer) -> Option<State> {
        let state = committer.state();
        (state != self.ledger_state).then(|| {
            self.ledger_state = state.clone();
            state
        })
    }

    fn end(&mut self, committer: &Committer) {
        let (now, _) = self.now();
        self.nat.advance(now, &mut self.output);
        self.nat.tell(now, Event::Stopped, &mut self.output);
        self.submit(committer);
    }

    fn report(&mut self, committer: &Committer) -> Report {
        Report {
            counters: self.nat.counters().clone(),
            size: self.nat.size(),
            events: self.told.0,
            durable: committer.durable(),
            clock_steps: self.clock_steps,
            device: self.device,
        }
    }
}

fn lock(hub: &Mutex<Hub>) -> MutexGuard<'_, Hub> {
    // A thread that failed under the lock ends the run; until then the others finish theirs.
    hub.lock().unwrap_or_else(PoisonError::into_inner)
}
