//! Hears RADIUS accounting (RFC 2866) and keeps who the customers were.
//!
//! ```text
//! Accounting-Request ──▶ verify ─┬▶ Fact ──▶ Sessions ──▶ Store, several times a second
//!                                └▶ IP-Port-Range (RFC 8045) ──▶ the ledger
//!                                                            │ durable
//! Accounting-Response ◀──────────────────────────────────────┘
//! ```
//! A response is a promise that the request was recorded (RFC 2866 §2), so it goes out when what
//! the request told is on the disk. Until then, and where it cannot be written, the NAS asks again.
//! Whoever does not know the secret gets no answer.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use ipnet::IpNet;
use portledger_identity::{Error as StoreError, Interval, Sessions, Store, sessions::Reading};
use portledger_model::Timestamp;
use portledger_wire::{
    NatEvent,
    radius::{self, Duplicates, IpPorts, IpPortsError, Packet, Secret, Status},
};

/// A socket for accounting.
pub struct Accounting {
    socket: UdpSocket,
    clients: Vec<Client>,
    reading: Reading,
    store: Store,
    figures: Mutex<Figures>,
    stops: AtomicBool,
}

/// Who may send accounting, and the secret that is shared with them.
#[derive(Debug)]
pub struct Client {
    /// Where it sends from.
    pub from: IpNet,
    /// Never printed.
    pub secret: Secret,
}

/// What hearing accounting came to so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests of those who know the secret, repeated ones included.
    pub requests: u64,
    /// Of these, requests that came again.
    pub repeated: u64,
    /// Of these, requests that tell nothing that can be relied on; they are answered.
    pub refused: u64,
    /// Datagrams that are no request, or of nobody who knows the secret.
    pub unverified: u64,
    /// Intervals written.
    pub intervals: u64,
    /// Responses sent.
    pub answered: u64,
    /// Times the identities could not be written; it is tried again.
    pub failures: u64,
}

/// A ledger, for the ranges of ports that requests tell of (RFC 8045 §3.1.2).
pub trait PortRanges: Sync {
    /// Takes what a request told: an event each, or why there is none. It came from there, from a NAS
    /// that calls itself so. `false` where that is no device that is heard.
    fn take(&self, from: IpAddr, nas: Option<&str>, told: Vec<Result<NatEvent, String>>) -> bool;

    /// A NAS began or ends at that time: its sessions are over, and so is what they held.
    fn over(&self, from: IpAddr, nas: Option<&str>, at: Timestamp);

    /// Whether all that was taken is on the disk; waits a little until it is.
    fn are_durable(&self) -> bool;
}

/// How long a request waits for others before it is written.
const FLUSH: Duration = Duration::from_millis(250);
/// How long to wait before identities that could not be written are written again.
const RETRY: Duration = Duration::from_secs(2);
/// Requests that wait to be written; more are left to their senders, who ask again.
const WAITING: usize = 65_536;
/// How long a request may come again: RFC 5080 §2.2.2's retransmissions end by then.
const AGAIN: Duration = Duration::from_secs(60);
/// The longest packet (RFC 2866 §3).
const LONGEST: usize = 4_096;
/// Files of identities before they are made one.
const FILES: usize = 64;
/// A session that was not heard of for so long has ended, or its NAS tells no interim.
const FORGOTTEN: Duration = Duration::from_secs(7 * 86_400);

impl Accounting {
    /// Takes the socket.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn bind(
        address: SocketAddr,
        clients: Vec<Client>,
        reading: Reading,
        store: Store,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(FLUSH))?;
        Ok(Self {
            socket,
            clients,
            reading,
            store,
            figures: Mutex::default(),
            stops: AtomicBool::new(false),
        })
    }

    /// The socket's address.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What it came to so far.
    pub fn figures(&self) -> Figures {
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends [`Accounting::run`].
    pub fn stop(&self) {
        self.stops.store(true, Ordering::Relaxed);
    }

    /// Hears until [`Accounting::stop`]; what came in is written then. Ranges of ports go to `ranges`,
    /// where there are any; `tell` hears once of each failure to write.
    ///
    /// # Errors
    /// When the socket has failed.
    pub fn run(
        &self,
        ranges: Option<&dyn PortRanges>,
        tell: impl Fn(&StoreError),
    ) -> io::Result<()> {
        let mut hearing = Hearing {
            accounting: self,
            ranges,
            sessions: Sessions::default(),
            duplicates: Duplicates::new(WAITING, AGAIN),
            unwritten: Vec::new(),
            owed: Vec::new(),
            due: Instant::now() + FLUSH,
        };
        let mut datagram = [0; LONGEST];
        while !self.stops.load(Ordering::Relaxed) {
            match self.socket.recv_from(&mut datagram) {
                Ok((length, from)) => {
                    hearing.take(datagram.get(..length).unwrap_or_default(), from);
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
            if hearing.due <= Instant::now() {
                hearing.flush(&tell);
            }
        }
        hearing.flush(&tell);
        Ok(())
    }

    fn count(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.figures.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn secret_of(&self, from: IpAddr) -> Option<&Secret> {
        let client = self.clients.iter().find(|it| it.from.contains(&from))?;
        Some(&client.secret)
    }
}

/// What was heard and is not written yet.
struct Hearing<'a> {
    accounting: &'a Accounting,
    ranges: Option<&'a dyn PortRanges>,
    sessions: Sessions,
    duplicates: Duplicates,
    /// Intervals that could not be written the last time.
    unwritten: Vec<Interval>,
    /// Responses to what is not written yet.
    owed: Vec<(SocketAddr, Vec<u8>)>,
    due: Instant,
}

impl Hearing<'_> {
    fn take(&mut self, datagram: &[u8], from: SocketAddr) {
        if self.owed.len() >= WAITING {
            return;
        }
        let now = now();
        let secret = self.accounting.secret_of(from.ip().to_canonical());
        let request = secret.and_then(|secret| {
            let packet = Packet::parse(datagram).ok()?;
            Some((packet, packet.verify(secret).ok()?, secret))
        });
        let Some((packet, request, secret)) = request else {
            self.accounting.count(|figures| figures.unverified += 1);
            return;
        };
        self.owed.push((from, request.response(secret)));
        let is_new = self.duplicates.is_new(from, &packet, now);
        let told = if is_new {
            let told = request.accounting().map_err(drop);
            if let Ok(told) = &told {
                let from = from.ip().to_canonical();
                self.ranges(request.ports(), told, from, now);
                self.over(told, from, now);
            }
            told.and_then(|told| self.accounting.reading.accounting(&told, now).map_err(drop))
        } else {
            Ok(None)
        };
        self.accounting.count(|figures| {
            figures.requests += 1;
            figures.repeated += u64::from(!is_new);
            // Answered all the same: it would come again and again, and be no better.
            figures.refused += u64::from(told.is_err());
        });
        if let Ok(Some(fact)) = told {
            self.sessions.take(fact);
        }
    }

    /// Hands over the ranges of ports that a request tells of.
    fn ranges(
        &self,
        ports: Vec<Result<IpPorts, IpPortsError>>,
        told: &radius::Accounting,
        from: IpAddr,
        now: Timestamp,
    ) {
        let Some(ranges) = self.ranges else {
            return;
        };
        let realm = &self.accounting.reading.realm;
        let events = ports.into_iter().filter_map(|ports| {
            match ports.and_then(|ports| ports.event(told, now, realm)) {
                Err(IpPortsError::NoRange) => None,
                event => Some(event.map_err(|error| error.to_string())),
            }
        });
        let events: Vec<_> = events.collect();
        let nas = told.nas.identifier.as_deref();
        if !events.is_empty() && !ranges.take(from, nas, events) {
            self.accounting.count(|figures| figures.refused += 1);
        }
    }

    /// RFC 2866 §5.1: at an Accounting-On or -Off the sessions of a NAS are over, and the ranges of
    /// ports that it handed out to them.
    fn over(&self, told: &radius::Accounting, from: IpAddr, now: Timestamp) {
        let is_over = matches!(told.status, Status::AccountingOn | Status::AccountingOff);
        if let (true, Some(ranges)) = (is_over, self.ranges) {
            ranges.over(from, told.nas.identifier.as_deref(), told.at(now));
        }
    }

    /// Writes what was told, and then says so to who told it.
    fn flush(&mut self, tell: &impl Fn(&StoreError)) {
        self.due = Instant::now() + FLUSH;
        self.unwritten.extend(self.sessions.drain());
        if !self.unwritten.is_empty() {
            if let Err(error) = self.write() {
                self.accounting.count(|figures| figures.failures += 1);
                tell(&error);
                self.due = Instant::now() + RETRY;
                return;
            }
            let written = self.unwritten.len() as u64;
            self.accounting
                .count(|figures| figures.intervals += written);
            self.unwritten.clear();
        }
        if !self.owed.is_empty() && self.ranges.is_some_and(|ranges| !ranges.are_durable()) {
            self.accounting.count(|figures| figures.failures += 1);
            self.due = Instant::now() + RETRY;
            return;
        }
        for (to, response) in self.owed.drain(..) {
            // One that is lost on the way is asked for again.
            if self.accounting.socket.send_to(&response, to).is_ok() {
                self.accounting.count(|figures| figures.answered += 1);
            }
        }
        self.sessions.forget_before(now().before(FORGOTTEN));
    }

    fn write(&self) -> Result<(), StoreError> {
        let store = &self.accounting.store;
        store.insert(self.unwritten.iter().cloned())?;
        if store.files()? > FILES {
            store.compact()?;
        }
        Ok(())
    }
}

/// Whether a socket goes on: nothing came for a while, or one of those written to is not there.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(
        error.kind(),
        WouldBlock | TimedOut | Interrupted | ConnectionRefused
    )
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::EPOCH.after(since.unwrap_or_default())
}
