//! What collecting comes to, counted.

use std::{collections::BTreeMap, net::SocketAddr};

use portledger_model::{Device, Timestamp};

/// What collecting came to so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Of each device that was heard.
    pub devices: Vec<(Device, DeviceFigures)>,
    /// Of each listener.
    pub listeners: Vec<(SocketAddr, ListenerFigures)>,
    /// Records handed to the ledger.
    pub submitted: u64,
    /// Of these, records that are durable.
    pub durable: u64,
    /// Rejections that were kept aside.
    pub kept_aside: u64,
    /// Rejections for which there was no room aside.
    pub not_kept_aside: u64,
}

/// Of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceFigures {
    /// Messages: datagrams of flows or pieces of their streams, lines.
    pub messages: u64,
    /// NAT events.
    pub events: u64,
    /// Of these, events of which a ledger has no need, or that name nobody.
    pub unkept: u64,
    /// Lines of something else.
    pub skipped: u64,
    /// What was not understood.
    pub rejected: u64,
    /// What sequence numbers show to be missing: records of IPFIX, messages of NetFlow v9.
    pub missing: u64,
    /// Gaps that were noted in the ledger.
    pub losses: u64,
    /// When it was heard last, by our clock.
    pub heard: Option<Timestamp>,
    /// Its last event, by its own clock.
    pub last_event: Option<Timestamp>,
}

/// Of one listener.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenerFigures {
    /// Datagrams, or pieces read of connections.
    pub received: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Datagrams that the kernel dropped, because nobody took them in time.
    pub dropped: u64,
    /// Messages of nobody who is known, or of more than are told apart.
    pub refused: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Connections that were refused, since too many are open, or that failed to agree on TLS.
    pub refused_connections: u64,
}

impl ListenerFigures {
    pub(super) const fn add(&mut self, more: &Self) {
        self.received += more.received;
        self.bytes += more.bytes;
        self.dropped += more.dropped;
        self.refused += more.refused;
        self.connections += more.connections;
        self.refused_connections += more.refused_connections;
    }
}

impl Figures {
    /// The sum of a figure over all devices.
    pub fn sum(&self, of: impl Fn(&DeviceFigures) -> u64) -> u64 {
        self.devices.iter().map(|(_, figures)| of(figures)).sum()
    }

    /// The devices by name.
    pub fn by_device(&self) -> BTreeMap<&str, &DeviceFigures> {
        let each = self.devices.iter();
        each.map(|(device, figures)| (device.as_str(), figures))
            .collect()
    }
}
