//! The kernel's side: first packets, as the kernel gets them, with its own time stamps.
//!
//! A packet socket for IPv4 and one for IPv6, each with a filter in the kernel and a ring of
//! memory. They are bound to the protocols, not to "all": so a packet comes once, on the interface
//! on which the machine's own IP gets it, without VLAN tags, and nothing that goes out comes.
//! Opening them takes CAP_NET_RAW; reading takes no right at all.
//!
//! Why not conntrack's events: docs/watch.md has the measurement.

#[allow(unsafe_code)]
mod ring;

use std::{
    ffi::CString,
    hash::BuildHasher,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use portledger_model::Timestamp;
use portledger_servers::connection_log::{Entry, LeftOut, Mark, Says, Why};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::netdevice::name_to_index,
    time::{ClockId, clock_gettime},
};
use serde::Serialize;
use thiserror::Error;

use crate::{
    Counts, Settings, Watcher,
    filter::{Version, filter},
    output::{Output, OutputError, Written},
};
use ring::{Ring, Size};

/// What the kernel has for a protocol's first packets until we come: 16 MiB. A block that is not
/// full is closed after its wait all the same, so many small ones outlast a longer absence of ours
/// than few large ones: 12 s at up to some 8,000 packets/s, 100,000 packets at more.
const RING: Size = Size {
    block: 1 << 16,
    blocks: 256,
    wait: 50,
};

/// How long the process sleeps at most: signals are looked at after each sleep.
const NAP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};
/// How often the kernel's counts, what waits and the log are looked after.
const TICK: Duration = Duration::from_secs(1);
/// A packet that was stamped so long ago has reached the ring, and its block was ours since.
const MARGIN: Duration = Duration::from_secs(1);
/// How often the log says that it is complete.
const COMPLETE: Duration = Duration::from_secs(10);
/// From which step of the system's clock on the log says so.
const STEP: Duration = Duration::from_millis(500);

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// Why watching is not possible.
#[derive(Debug, Error)]
pub enum WatchError {
    /// There is no such interface.
    #[error("no interface '{name}': {error}")]
    Interface {
        /// What was given.
        name: String,
        /// The kernel's reason.
        error: io::Error,
    },
    /// The right to it is missing.
    #[error(
        "cannot watch packets without CAP_NET_RAW: in the systemd unit set `AmbientCapabilities=CAP_NET_RAW`, or as root run `setcap cap_net_raw+ep` on the program's file"
    )]
    Right,
    /// The kernel refuses the socket.
    #[error("cannot open a packet socket for {what}: {error}")]
    Open {
        /// For which protocol.
        what: &'static str,
        /// The kernel's reason.
        error: io::Error,
    },
    /// The kernel ends it: most likely the interface went away.
    #[error("the packet socket for {what} failed: {error}; is the interface up?")]
    Failed {
        /// For which protocol.
        what: &'static str,
        /// The kernel's reason.
        error: io::Error,
    },
    /// Waiting failed.
    #[error("cannot wait for packets: {0}")]
    Wait(io::Error),
    /// The log cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// What others ask of a watcher that runs: set by signals.
#[derive(Debug, Default)]
pub struct Control {
    /// End.
    pub stop: Arc<AtomicBool>,
    /// Tell the figures.
    pub report: Arc<AtomicBool>,
    /// Open the log's file anew.
    pub reopen: Arc<AtomicBool>,
}

/// The figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was seen.
    #[serde(flatten)]
    pub seen: Counts,
    /// What was written.
    pub written: Written,
    /// How often the system's clock was set.
    pub clock_steps: u64,
}

/// What the operator should hear.
#[derive(Debug)]
pub enum Notice<'a> {
    /// It watches from now on.
    Ready,
    /// The figures, which were asked for.
    Report(&'a Report),
    /// The kernel had no room for so many packets.
    Lost(u64),
    /// The log cannot be written, or is written again.
    Output(&'a Result<(), OutputError>),
    /// The system's clock was set: from one time to another.
    ClockSet(Timestamp, Timestamp),
}

/// The sockets.
#[derive(Debug)]
pub struct Sockets {
    rings: Vec<(&'static str, Ring)>,
}

impl Sockets {
    /// Opens them: on one interface, or on all.
    ///
    /// # Errors
    /// Where the interface is not there, or the right to it.
    pub fn open(settings: &Settings, interface: Option<&str>) -> Result<Self, WatchError> {
        let index = interface.map_or(Ok(0), index)?;
        let open = |what, protocol, version| {
            let filter = filter(settings, version);
            let ring = Ring::open(protocol, &filter, index, settings.mirror, RING);
            ring.map(|ring| (what, ring))
                .map_err(|error| match error.kind() {
                    io::ErrorKind::PermissionDenied => WatchError::Right,
                    _ => WatchError::Open { what, error },
                })
        };
        Ok(Self {
            rings: vec![
                open("IPv4", ETHERTYPE_IPV4, Version::V4)?,
                open("IPv6", ETHERTYPE_IPV6, Version::V6)?,
            ],
        })
    }

    /// Watches until it is told to stop.
    ///
    /// # Errors
    /// Where the kernel ends it, or the log cannot be opened anew.
    pub fn run<S: BuildHasher>(
        self,
        watcher: Watcher<S>,
        output: &mut dyn Output,
        control: &Control,
        notice: &mut dyn FnMut(Notice<'_>),
    ) -> Result<Report, WatchError> {
        let now = Moment::now();
        let watched = watcher.settings().watched.clone();
        let mut run = Run {
            rings: self.rings,
            watcher,
            output,
            last: now,
            completed: now.steady,
            clock_steps: 0,
            was_written: true,
        };
        // What came since the sockets were opened is in the rings, so this is no too early.
        run.output.write(&Entry::Mark(Mark {
            at: now.system,
            says: Says::Start(watched),
        }));
        run.flush(notice);
        notice(Notice::Ready);
        let ended = run.until_stopped(control, notice);
        // Also where it failed: what was seen until then is in the log.
        let stopped = run.finish(notice);
        ended.and(stopped)
    }
}

fn index(name: &str) -> Result<u32, WatchError> {
    let refused = |error| WatchError::Interface {
        name: name.to_owned(),
        error,
    };
    CString::new(name).map_err(|_| refused(io::ErrorKind::InvalidInput.into()))?;
    let flags = rustix::net::SocketFlags::CLOEXEC;
    let (family, kind) = (
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
    );
    let any = rustix::net::socket_with(family, kind, flags, None)
        .map_err(|error| refused(error.into()))?;
    name_to_index(any, name).map_err(|error| refused(error.into()))
}

/// Both clocks, read together.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// Since the machine started, sleep included: nobody sets it.
    steady: Duration,
    system: Timestamp,
}

impl Moment {
    fn now() -> Self {
        let steady = clock_gettime(ClockId::Boottime);
        let system = clock_gettime(ClockId::Realtime);
        let nanos = |nanos: i64| u32::try_from(nanos).unwrap_or(0);
        Self {
            steady: Duration::new(steady.tv_sec.try_into().unwrap_or(0), nanos(steady.tv_nsec)),
            system: Timestamp::from_secs(system.tv_sec)
                .after(Duration::from_nanos(nanos(system.tv_nsec).into())),
        }
    }
}

struct Run<'a, S> {
    rings: Vec<(&'static str, Ring)>,
    watcher: Watcher<S>,
    output: &'a mut dyn Output,
    /// When it was last looked after.
    last: Moment,
    /// When the log last said that it is complete.
    completed: Duration,
    clock_steps: u64,
    was_written: bool,
}

impl<S: BuildHasher> Run<'_, S> {
    fn until_stopped(
        &mut self,
        control: &Control,
        notice: &mut dyn FnMut(Notice<'_>),
    ) -> Result<Report, WatchError> {
        loop {
            self.wait()?;
            // Before the rings are read: of what comes meanwhile nothing is known.
            let now = Moment::now();
            self.read();
            if now.steady.saturating_sub(self.last.steady) >= TICK {
                self.tick(now, notice)?;
            }
            if control.report.swap(false, Ordering::Relaxed) {
                notice(Notice::Report(&self.report()));
            }
            if control.reopen.swap(false, Ordering::Relaxed) {
                let complete = self.complete_before(now);
                let watched = &self.watcher.settings().watched;
                self.output.reopen(complete, watched)?;
            }
            if control.stop.load(Ordering::Relaxed) {
                return Ok(self.report());
            }
        }
    }

    fn wait(&self) -> Result<(), WatchError> {
        let mut fds: Vec<PollFd<'_>> = self
            .rings
            .iter()
            .map(|(_, ring)| PollFd::new(ring, PollFlags::IN))
            .collect();
        match poll(&mut fds, Some(&NAP)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(WatchError::Wait(error.into())),
        }
        for ((what, ring), fd) in self.rings.iter().zip(&fds) {
            if fd.revents().contains(PollFlags::ERR) {
                let what = *what;
                ring.error()
                    .map_err(|error| WatchError::Failed { what, error })?;
            }
        }
        Ok(())
    }

    fn read(&mut self) {
        let (watcher, output) = (&mut self.watcher, &mut *self.output);
        let mut told = |entry: Entry| output.write(&entry);
        for (_, ring) in &mut self.rings {
            // No more than the ring holds: the other one has its turn.
            for _ in 0..RING.blocks {
                let more = ring.block(|at, packet| watcher.packet(at, packet, &mut told));
                if !more {
                    break;
                }
            }
        }
    }

    fn tick(&mut self, now: Moment, notice: &mut dyn FnMut(Notice<'_>)) -> Result<(), WatchError> {
        self.look_at_clock(now, notice);
        let mut dropped = 0;
        for (what, ring) in &self.rings {
            let statistics = ring.statistics();
            let statistics = statistics.map_err(|error| WatchError::Failed { what, error })?;
            dropped += u64::from(statistics.dropped);
        }
        let (watcher, output) = (&mut self.watcher, &mut *self.output);
        let mut told = |entry: Entry| output.write(&entry);
        if dropped > 0 {
            notice(Notice::Lost(dropped));
            // A packet that found no room came after the last look at the counts.
            let counted = Moment::now().system;
            let lost = LeftOut {
                from: self.last.system.before(MARGIN).min(counted),
                to: counted,
                connections: dropped,
                source: None,
                why: Why::Lost,
            };
            watcher.left_out(lost, &mut told);
        }
        watcher.tick(now.system, now.system.before(MARGIN), &mut told);
        self.last = now;
        let complete = self.complete_before(now);
        if now.steady.saturating_sub(self.completed) >= COMPLETE {
            self.completed = now.steady;
            self.output.write(&Entry::Mark(Mark {
                at: complete,
                says: Says::Complete,
            }));
        }
        let watched = &self.watcher.settings().watched;
        self.output.rotate(complete, watched)?;
        self.flush(notice);
        Ok(())
    }

    fn complete_before(&self, now: Moment) -> Timestamp {
        self.watcher.complete_before(now.system.before(MARGIN))
    }

    fn look_at_clock(&mut self, now: Moment, notice: &mut dyn FnMut(Notice<'_>)) {
        let passed = now.steady.saturating_sub(self.last.steady);
        let expected = self.last.system.after(passed);
        let step = now.system.since(expected).max(expected.since(now.system));
        if step < STEP {
            return;
        }
        self.clock_steps += 1;
        notice(Notice::ClockSet(expected, now.system));
        let clock = LeftOut {
            from: self.last.system.min(now.system),
            to: expected.max(now.system),
            connections: 0,
            source: None,
            why: Why::ClockSet,
        };
        let output = &mut *self.output;
        self.watcher
            .left_out(clock, &mut |entry| output.write(&entry));
    }

    fn flush(&mut self, notice: &mut dyn FnMut(Notice<'_>)) {
        let flushed = self.output.flush();
        // Said when it changes, not each second.
        if flushed.is_ok() != self.was_written {
            self.was_written = flushed.is_ok();
            notice(Notice::Output(&flushed));
        }
    }

    fn report(&self) -> Report {
        Report {
            seen: *self.watcher.counts(),
            written: self.output.written(),
            clock_steps: self.clock_steps,
        }
    }

    fn finish(mut self, notice: &mut dyn FnMut(Notice<'_>)) -> Result<Report, WatchError> {
        // Blocks that are not full become ours after their wait.
        std::thread::sleep(Duration::from_millis(2 * u64::from(RING.wait)));
        let stopped = Moment::now();
        self.read();
        self.tick(stopped, notice)?;
        let output = &mut *self.output;
        self.watcher
            .finish(stopped.system, &mut |entry| output.write(&entry));
        self.output.write(&Entry::Mark(Mark {
            at: stopped.system.before(MARGIN),
            says: Says::Stop,
        }));
        let flushed = self.output.flush();
        let report = self.report();
        flushed?;
        Ok(report)
    }
}
