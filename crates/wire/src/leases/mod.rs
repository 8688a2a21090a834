//! DHCP leases: which client held which address, as DHCP servers keep it in files.
//!
//! ```text
//! kea-leases4.csv, kea-leases6.csv, with their .1 .2 .output .completed ─▶ KeaReader ──┐
//! kea-legal.20261121.txt (forensic log) ─────────────────────────────────▶ LegalReader ─┤
//! dhcpd.leases, dhcpd6.leases (ISC) ─────────────────────────────────────▶ IscReader ───┼▶ Lease
//! dnsmasq.leases ────────────────────────────────────────────────────────▶ DnsmasqReader ┘
//! ```
//!
//! A reader takes line after line and remembers at most one declaration; each [`Lease`] says only
//! what its file says:
//!
//! - **Times** are UTC in all of these but for two: Kea's forensic log and ISC's `db-time-format
//!   local` write local time. Of the first, only lines in UTC or with an offset are read, since an
//!   abbreviation such as `CST` is several zones; the second has the time as `epoch` as well.
//! - **The beginning** is the client's last transaction or the lease's start, whichever is told;
//!   dnsmasq tells neither, so its leases are known from the file's own time on.
//! - **The end** is told beforehand (the lease expires), and may come earlier: the client gives
//!   the address back, or another one gets it.
//!
//! ```
//! use portledger_wire::leases::{KeaReader, Reading, Told};
//!
//! let mut reader = KeaReader::default();
//! let header = b"address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,\
//!     hostname,state,user_context,pool_id";
//! assert!(matches!(reader.line(header), Reading::Nothing));
//! let line = b"100.64.3.9,00:00:5e:00:53:af,,3600,1795266000,1,0,0,nemo.example.org,0,,0";
//! let Reading::Lease(lease) = reader.line(line) else { panic!() };
//! assert_eq!(lease.client.hardware_address.as_deref(), Some("00:00:5e:00:53:af"));
//! let Told::Held { heard, until, .. } = lease.told else { panic!() };
//! assert_eq!(heard.to_string(), "2026-11-21T12:00:00.000Z");
//! assert_eq!(until.unwrap().to_string(), "2026-11-21T13:00:00.000Z");
//! ```

mod dnsmasq;
mod isc;
mod kea;
mod legal;
mod scan;
mod values;

use std::{fmt, net::IpAddr};

use portledger_model::Timestamp;
use thiserror::Error;

pub use dnsmasq::DnsmasqReader;
pub use isc::IscReader;
pub use kea::KeaReader;
pub use legal::LegalReader;

/// What a DHCP server says of an address or prefix. `Debug` shows neither it nor its client.
#[derive(Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address, or a delegated prefix's first: personal data.
    pub address: IpAddr,
    /// How many bits of it count: 32 or 128 for one address.
    pub length: u8,
    /// Who held it.
    pub client: Client,
    /// Since when, and how long.
    pub told: Told,
}

/// Since when, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The client holds it.
    Held {
        /// Since when, as far as is told.
        from: Timestamp,
        /// When the client was last heard of: then it certainly held it. Not before `from`.
        heard: Timestamp,
        /// When the lease expires, unless it is renewed or ends earlier; `None` is never.
        until: Option<Timestamp>,
    },
    /// The client held it, and holds it no more.
    Ended {
        /// Since when.
        from: Timestamp,
        /// Until when.
        to: Timestamp,
    },
    /// Nobody holds it from then on, whoever did before.
    Free {
        /// From when on.
        at: Timestamp,
    },
}

/// Who a DHCP client is: personal data, which `Debug` does not print. Octets that are no text are
/// `0x` and hex.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// Its hardware address: `00:00:5e:00:53:af`.
    pub hardware_address: Option<Box<str>>,
    /// DHCPv4's client identifier, in hex as an address is.
    pub client_id: Option<Box<str>>,
    /// DHCPv6's unique identifier, in hex as an address is.
    pub duid: Option<Box<str>>,
    /// The name that it gave itself, or was given.
    pub hostname: Option<Box<str>>,
    /// The relay's circuit id, or interface id (RFC 3046 §3.1, RFC 8415 §21.18).
    pub circuit_id: Option<Box<str>>,
    /// The relay's remote id (RFC 3046 §3.2, RFC 4649).
    pub remote_id: Option<Box<str>>,
    /// The relay's subscriber id (RFC 3993, RFC 4580).
    pub subscriber_id: Option<Box<str>>,
}

/// What came of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Nothing: it goes on, it is empty, a comment, or of no lease.
    Nothing,
    /// It ends what tells of a lease.
    Lease(Lease),
    /// It ends what tells of several: an ISC declaration for IPv6.
    Leases(Vec<Result<Lease, Reason>>),
    /// It should tell of one, and cannot be read.
    Rejected(Reason),
}

/// Why a line or declaration tells of no lease. It does not repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Reason {
    /// A field is not of its form.
    #[error("{0} cannot be read")]
    Field(&'static str),
    /// A field that is needed is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A file of another form, or a header that is missing.
    #[error("no header of a Kea lease file came before it; is the file's beginning missing?")]
    NoHeader,
    /// More or fewer fields than the form has.
    #[error("it has {found} fields, and {expected} are needed")]
    Fields {
        /// How many it has.
        found: usize,
        /// How many are needed.
        expected: usize,
    },
    /// A declaration that is longer than any.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// A declaration that ends inside a quotation, or with the file.
    #[error("it is not finished: the file was cut short, or is being written")]
    Unfinished,
    /// A local time whose zone is not certain.
    #[error(
        "the time's zone is only an abbreviation, and may be one of several; let Kea write UTC (TZ=UTC) or an offset ('timestamp-format' with %z)"
    )]
    Zone,
    /// It ends before it begins.
    #[error("the lease ends before it begins")]
    Backwards,
    /// What dnsmasq had not yet removed.
    #[error("the lease expired before the file was written: when it began is not told")]
    Expired,
    /// It tells of something other than a lease's beginning or end.
    #[error("it is no line that the forensic log's default format has")]
    Unknown,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease(redacted/{}, {:?})", self.length, self.told)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client(redacted)")
    }
}
