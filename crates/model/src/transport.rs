//! The transports whose ports (or identifiers) a NAT shares out.

use std::{fmt, str::FromStr};

use serde::Serialize;
use thiserror::Error;

/// A transport protocol whose port space is shared: RFC 6888 REQ-1 asks for these three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP (RFC 9293); the port space is its source ports.
    Tcp,
    /// UDP (RFC 768); the port space is its source ports.
    Udp,
    /// ICMP queries (RFC 792); the "port" is the query's identifier (RFC 5508 §3.1).
    Icmp,
}

impl Transport {
    /// All of them, in the order of [`Transport::index`].
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Icmp];

    /// A dense number, 0 to 2, for tables with a column a transport.
    pub const fn index(self) -> usize {
        match self {
            Self::Tcp => 0,
            Self::Udp => 1,
            Self::Icmp => 2,
        }
    }

    /// The protocol number of the IPv4 header (IANA).
    pub const fn protocol_number(self) -> u8 {
        match self {
            Self::Icmp => 1,
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// Its name in text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }

    /// The transport of an IPv4 protocol number, where it is one of ours.
    pub const fn from_protocol_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Icmp),
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is not a [`Transport`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not a transport: tcp, udp or icmp")]
pub struct TransportError(String);

impl FromStr for Transport {
    type Err = TransportError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "icmp" => Ok(Self::Icmp),
            _ => Err(TransportError(text.to_owned())),
        }
    }
}
