//! Hears what NATs tell, on sockets, and makes it durable.
//!
//! ```text
//! UDP socket ── Datagrams ─┬─ Exporters: a Session each ─┐            Desk, one lock
//!   (a thread each)        └─ Speakers: a Reader each ───┤    ┌─ Devices: a Pairing each ─┐
//!                                                        ├──► │  figures, rejects         │
//! TCP, TLS connection ─────┬─ Exporter ──────────────────┤    └─ records of a batch ──────┘
//!   (a thread each)        └─ Frames ── Speakers ────────┘               │ submit
//!                                                                        ▼
//!                                                            Committer ──► the ledger's log
//! ```
//!
//! **What was not heard is told.** Each of these becomes a gap in the ledger, so that a question
//! which touches it is answered `unknown`: numbers that are missing in a sequence, datagrams the
//! kernel dropped (where no number tells whose they were: of each device heard on that socket),
//! what could not be understood, a connection that broke, a silence longer than the operator
//! allows, and the time in which nobody listened.
//!
//! **Nothing waits for ever, and nothing grows.** When the disk does not follow, nothing more is
//! read: TCP makes the sender wait, over UDP the kernel drops and counts. Exporters, devices,
//! connections, templates and waiting data are bounded.
//!
//! That the collector lives is no proof that a device was heard: a device's log is complete up to
//! its last event, and after that up to a minute before its last message, if it tells things as
//! they happen.

mod datagrams;
mod desk;
mod devices;
mod figures;
mod flows;
mod form;
mod lines;
mod ranges;
mod rejects;
mod roster;
mod tcp;
mod udp;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use portledger_ledger::{CommitOptions, Committer, Error as LedgerError, State, Writer};
use portledger_wire::dialect::Dialects;
use rustls::ServerConfig;
use thiserror::Error;

use datagrams::Datagrams;
use desk::{Desk, DiskFailed};

pub use devices::{Came, DeviceIndex, Devices, Loss, Promise};
pub use figures::{DeviceFigures, Figures, ListenerFigures};
pub use form::{Form, FormReader, Line, UnknownForm};
pub use rejects::Rejects;
pub use roster::{Known, Roster, Telling, device_at};

/// How long at most is read on, when it is time to stop, what came before.
const DRAIN: Duration = Duration::from_secs(5);

/// What is heard, and where.
pub struct Settings<'d> {
    /// The sockets.
    pub listeners: Vec<Listener>,
    /// Who may tell.
    pub roster: Roster,
    /// The forms of lines that are known.
    pub dialects: &'d Dialects,
    /// Where what is not understood is kept aside.
    pub rejects: Option<Rejects>,
}

/// A socket.
#[derive(Clone)]
pub struct Listener {
    /// What is sent to it.
    pub protocol: Protocol,
    /// How.
    pub transport: Transport,
    /// Its address and port.
    pub address: SocketAddr,
}

/// What is sent to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// IPFIX (RFC 7011) and, over UDP, NetFlow v9 (RFC 3954); each message says which.
    Flows,
    /// Lines: syslog (RFC 5424, RFC 3164), makers' dialects, JSON.
    Lines,
}

/// How messages come to a socket.
#[derive(Clone)]
pub enum Transport {
    /// Datagrams, which may be lost; the kernel keeps so many bytes of them at most.
    Udp {
        /// In bytes. Without the right to more (`CAP_NET_ADMIN`) it is `net.core.rmem_max` at most.
        buffer: usize,
    },
    /// Connections.
    Tcp,
    /// Connections under TLS (RFC 5425, RFC 7011 §10.4).
    Tls(Arc<ServerConfig>),
}

/// Why nothing is collected.
#[derive(Debug, Error)]
pub enum CollectError {
    /// A socket cannot be had.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// A socket failed while it was heard.
    #[error("{address} cannot be heard any more: {error}")]
    Hear {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The ledger cannot be read, or gives no thread.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Nothing becomes durable any more.
    #[error("the ledger takes no more records: {0}")]
    Disk(String),
}

/// Hears sockets and writes what they tell.
pub struct Collector<'d> {
    settings: Settings<'d>,
    desk: Desk,
    listeners: Vec<(SocketAddr, Mutex<ListenerFigures>)>,
    sockets: Mutex<Vec<Socket>>,
    stops: AtomicBool,
    failed: Mutex<Option<CollectError>>,
}

enum Socket {
    Udp(Datagrams),
    Tcp(TcpListener, Option<Arc<ServerConfig>>),
}

impl<'d> Collector<'d> {
    /// Takes the sockets and the ledger. From here on the kernel keeps what is sent.
    ///
    /// # Errors
    /// When a socket cannot be had, or the ledger not be read.
    pub fn open(
        mut settings: Settings<'d>,
        writer: Writer,
        commit: CommitOptions,
    ) -> Result<Self, CollectError> {
        let mut sockets = Vec::new();
        let mut listeners = Vec::new();
        for listener in &settings.listeners {
            let opened = Socket::open(listener).and_then(|socket| Ok((socket.address()?, socket)));
            let (address, socket) = opened.map_err(|error| CollectError::Listen {
                address: listener.address,
                error,
            })?;
            listeners.push((address, Mutex::default()));
            sockets.push(socket);
        }
        let devices = Devices::new(&writer.ledger()?)?;
        let committer = Committer::start(writer, commit)?;
        Ok(Self {
            desk: Desk::new(devices, committer, settings.rejects.take()),
            settings,
            listeners,
            sockets: Mutex::new(sockets),
            stops: AtomicBool::new(false),
            failed: Mutex::new(None),
        })
    }

    /// The sockets' addresses, in the order of the settings.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(|(address, _)| *address)
    }

    /// Hears until [`Collector::stop`] or until nothing can be written any more.
    ///
    /// # Errors
    /// When a socket or the disk has failed.
    pub fn run(&self) -> Result<(), CollectError> {
        let sockets = std::mem::take(&mut *lock(&self.sockets));
        thread::scope(|scope| {
            let listeners = self.settings.listeners.iter().zip(&self.listeners);
            for (socket, (listener, (address, figures))) in sockets.into_iter().zip(listeners) {
                let note = Note(figures);
                let protocol = listener.protocol;
                scope.spawn(move || {
                    let heard = match socket {
                        Socket::Udp(datagrams) => udp::hear(self, datagrams, protocol, note),
                        Socket::Tcp(socket, tls) => {
                            tcp::hear(scope, self, &socket, protocol, tls.as_ref(), note)
                        }
                    };
                    if let Err(error) = heard {
                        self.fail(CollectError::Hear {
                            address: *address,
                            error,
                        });
                    }
                });
            }
        });
        match lock(&self.failed).take() {
            Some(failed) => Err(failed),
            None => Ok(()),
        }
    }

    /// Ends [`Collector::run`]: what came in is still written.
    pub fn stop(&self) {
        self.stops.store(true, Ordering::Relaxed);
    }

    /// What it came to so far.
    pub fn figures(&self) -> Figures {
        let listeners = self.listeners.iter();
        Figures {
            listeners: listeners
                .map(|(address, figures)| (*address, lock(figures).clone()))
                .collect(),
            ..self.desk.figures()
        }
    }

    /// How the ledger's disk fares.
    pub fn disk(&self) -> State {
        self.desk.disk()
    }

    /// Writes what is left, and says what it came to.
    ///
    /// # Errors
    /// When not all of it could be written.
    pub fn close(self) -> Result<Figures, CollectError> {
        let listeners = self.figures().listeners;
        let closed = self.desk.close();
        let figures = closed.map_err(|DiskFailed(cause)| CollectError::Disk(cause))?;
        Ok(Figures {
            listeners,
            ..figures
        })
    }

    fn stops(&self) -> bool {
        self.stops.load(Ordering::Relaxed)
    }

    fn submit(&self) {
        if let Err(DiskFailed(cause)) = self.desk.submit(|| self.stops()) {
            self.fail(CollectError::Disk(cause));
        }
    }

    /// Ends everything; the first reason is told.
    fn fail(&self, error: CollectError) {
        lock(&self.failed).get_or_insert(error);
        self.stop();
    }
}

impl Socket {
    fn open(listener: &Listener) -> io::Result<Self> {
        Ok(match &listener.transport {
            Transport::Udp { buffer } => Self::Udp(Datagrams::bind(listener.address, *buffer)?),
            Transport::Tcp => Self::Tcp(TcpListener::bind(listener.address)?, None),
            Transport::Tls(tls) => {
                Self::Tcp(TcpListener::bind(listener.address)?, Some(Arc::clone(tls)))
            }
        })
    }

    fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Udp(datagrams) => datagrams.address(),
            Self::Tcp(listener, _) => listener.local_addr(),
        }
    }
}

/// Notes a listener's figures.
#[derive(Clone, Copy)]
struct Note<'c>(&'c Mutex<ListenerFigures>);

impl Note<'_> {
    fn note(self, change: impl FnOnce(&mut ListenerFigures)) {
        change(&mut lock(self.0));
    }

    fn connections(self) -> u64 {
        lock(self.0).connections
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
