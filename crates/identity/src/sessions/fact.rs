//! What was told of a customer's address, of whatever origin.

use std::fmt;

use portledger_model::{Realm, Timestamp};
use portledger_wire::radius::Nas;

use crate::{Customer, Prefix};

/// What was told of a customer's address: of a session, a lease or a NAS. Made by
/// [`Reading`](super::Reading), taken by [`Sessions`](super::Sessions). `Debug` shows nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Fact {
    pub(super) realm: Realm,
    pub(super) told: Told,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// A packet of a session.
    Packet(Packet),
    /// A NAS begins or ends: its sessions are over.
    Reset { nas: Nas, at: Timestamp },
    /// A client holds an address, or held it.
    Lease(Lease),
    /// Nobody holds it from then on.
    Free { prefix: Prefix, at: Timestamp },
}

/// What a packet tells of a session.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) session: SessionId,
    pub(super) phase: Phase,
    pub(super) at: Timestamp,
    /// When the session began, by how long it has lasted.
    pub(super) begun: Option<Timestamp>,
    pub(super) prefixes: Vec<Prefix>,
    /// A stop may name nobody.
    pub(super) customer: Option<Customer>,
}

/// RFC 2866 §5.5: unique on its NAS.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct SessionId {
    pub(super) nas: Nas,
    pub(super) id: Box<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Start,
    Interim,
    Stop,
}

/// What a server tells of a lease.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) prefix: Prefix,
    pub(super) customer: Customer,
    pub(super) from: Timestamp,
    pub(super) heard: Timestamp,
    /// [`Timestamp::MAX`] is never.
    pub(super) until: Timestamp,
    /// It ended so, whatever was promised.
    pub(super) ended: Option<Timestamp>,
}

impl fmt::Debug for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.told {
            Told::Packet(packet) => format!("{:?} at {}", packet.phase, packet.at),
            Told::Reset { at, .. } => format!("reset at {at}"),
            Told::Lease(lease) => format!("lease from {}", lease.from),
            Told::Free { at, .. } => format!("free at {at}"),
        };
        write!(f, "Fact({}, redacted, {what})", self.realm)
    }
}
