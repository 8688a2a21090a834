//! What a target's thread counts, to be read from outside.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How a target fares. All but the last three count from the start of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Events that were sent, those that were sent again included.
    pub sent: u64,
    /// Bytes given to the system for them, TLS included.
    pub bytes: u64,
    /// Events sent again since a connection broke before it was sure that they had arrived.
    pub repeated: u64,
    /// Connections made; over UDP, times it was begun to send.
    pub connections: u64,
    /// Attempts to connect that failed, and connections that broke.
    pub errors: u64,
    /// Events that the target was told were lost for it: it lagged too far, or the ledger no
    /// longer had them.
    pub lost: u64,
    /// Events that have no form in what is sent, and were left out.
    pub unsendable: u64,
    /// Whether there is a connection.
    pub connected: bool,
    /// All records before this number are with the target: what a restart goes on from.
    pub acknowledged: u64,
    /// Records of the ledger that are not yet.
    pub lag: u64,
}

/// The thread's side.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) repeated: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) unsendable: AtomicU64,
    pub(super) connected: AtomicBool,
    pub(super) acknowledged: AtomicU64,
    /// The number after the last record of the ledger.
    pub(super) end: AtomicU64,
}

impl Counters {
    pub(super) fn figures(&self) -> Figures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let acknowledged = read(&self.acknowledged);
        Figures {
            sent: read(&self.sent),
            bytes: read(&self.bytes),
            repeated: read(&self.repeated),
            connections: read(&self.connections),
            errors: read(&self.errors),
            lost: read(&self.lost),
            unsendable: read(&self.unsendable),
            connected: self.connected.load(Ordering::Relaxed),
            acknowledged,
            lag: read(&self.end).saturating_sub(acknowledged),
        }
    }
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Sets a counter.
pub(super) fn set(counter: &AtomicU64, value: u64) {
    counter.store(value, Ordering::Relaxed);
}
