//! Where events go, and in which form.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use portledger_model::Device;
use portledger_wire::syslog::TimeQuality;
use rustls::{ClientConfig, pki_types::ServerName};
use thiserror::Error;

/// One device's events to one place.
#[derive(Debug, Clone)]
pub struct Target {
    /// What it is called in what the operator hears, and its cursor's file.
    pub name: TargetName,
    /// Whose events go there.
    pub device: Device,
    /// In which form, and where.
    pub sends: Sends,
    /// How far it may lag.
    pub keep: Keep,
}

/// The forms, each with the ways it can go.
#[derive(Debug, Clone)]
pub enum Sends {
    /// IPFIX with the elements of RFC 8158.
    Ipfix {
        /// The observation domain (RFC 7011 §3.1).
        domain: u32,
        /// The way.
        over: IpfixOver,
    },
    /// NetFlow v9 (RFC 3954), for collectors that drop port blocks over IPFIX.
    NetFlow9 {
        /// The source ID.
        source: u32,
        /// Who receives it.
        to: Peer,
        /// How often templates are repeated.
        refresh: Duration,
    },
    /// Syslog (RFC 5424) with the event in structured data.
    Syslog {
        /// What is said of the device's clock (RFC 5424 §7.1).
        quality: TimeQuality,
        /// The way.
        over: SyslogOver,
    },
    /// JSON, one object a line.
    JsonLines(LinesOver),
}

/// How IPFIX travels (RFC 7011 §10).
#[derive(Debug, Clone)]
pub enum IpfixOver {
    /// Datagrams.
    Udp {
        /// Who receives them.
        to: Peer,
        /// How often templates are repeated (RFC 7011 §8.4).
        refresh: Duration,
    },
    /// A connection.
    Tcp(Peer),
    /// A connection under TLS.
    Tls(Peer, Tls),
}

/// How syslog travels.
#[derive(Debug, Clone)]
pub enum SyslogOver {
    /// A datagram a message (RFC 5426).
    Udp(Peer),
    /// A connection (RFC 6587).
    Tcp(Peer, StreamFraming),
    /// A connection under TLS, where messages are counted (RFC 5425 §4.3).
    Tls(Peer, Tls),
}

/// How messages are told apart on a connection without TLS (RFC 6587 §3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StreamFraming {
    /// The length before each.
    #[default]
    OctetCounting,
    /// A line feed behind each.
    LineFeed,
}

/// How lines travel.
#[derive(Debug, Clone)]
pub enum LinesOver {
    /// A connection.
    Tcp(Peer),
    /// A connection under TLS.
    Tls(Peer, Tls),
    /// The end of a file, or a pipe such as `/dev/stdout`. A file that was moved away is begun
    /// anew.
    File(PathBuf),
}

/// Whoever receives, by name or address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// A DNS name or an address. A name is looked up at each connection.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How TLS is spoken; made of files by [`crate::tls`].
#[derive(Debug, Clone)]
pub struct Tls {
    /// Whom to believe and what to show.
    pub config: Arc<ClientConfig>,
    /// The name that the certificate must be for.
    pub name: ServerName<'static>,
}

/// How far a target may lag before it is moved on and told what it lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// For how long a record waits for it; `None` while the ledger keeps it.
    pub time: Option<Duration>,
    /// How many records wait for it; `None` is any number.
    pub records: Option<u64>,
}

impl Default for Keep {
    /// Two days, however many records.
    fn default() -> Self {
        Self {
            time: Some(Duration::from_secs(2 * 86_400)),
            records: None,
        }
    }
}

/// A target's name: 1 to 64 of the letters, digits, `.`, `_` and `-`, as a file's, and not `.` or
/// `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetName(Box<str>);

/// A name that cannot be a target's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "'{0}' cannot name a target: 1 to 64 of the letters, digits, '.', '_' and '-' do, a letter or digit first"
)]
pub struct TargetNameError(String);

impl TargetName {
    /// A target's name.
    ///
    /// # Errors
    /// When it is not a file's name of 64 characters at most.
    pub fn new(name: &str) -> Result<Self, TargetNameError> {
        // What a device may be called can stand in a file's name; a dot first would hide it.
        let sound = Device::new(name).is_ok()
            && name
                .bytes()
                .next()
                .is_some_and(|b| b.is_ascii_alphanumeric());
        if sound {
            Ok(Self(name.into()))
        } else {
            Err(TargetNameError(name.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is not a host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not a host and a port; write collector.example.org:4739 or [2001:db8::1]:4739")]
pub struct PeerError(String);

impl std::str::FromStr for Peer {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || PeerError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(wrong)?,
            // Without brackets, where an IPv6 address ends cannot be told.
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        let port: u16 = port.parse().map_err(|_| wrong())?;
        if host.is_empty() || port == 0 {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port_are_read_as_they_are_written() {
        for text in [
            "collector.example.org:4739",
            "192.0.2.1:514",
            "[2001:db8::1]:4739",
        ] {
            assert_eq!(text.parse::<Peer>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "host",
            ":1",
            "host:",
            "host:0",
            "host:65536",
            "2001:db8::1:4739",
            "[::1:9",
        ] {
            assert!(text.parse::<Peer>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_that_leads_out_of_its_folder_is_refused() {
        assert_eq!(TargetName::new("noc-1").unwrap().as_str(), "noc-1");
        for name in ["", ".", "..", ".x", "a/b", "a b", &"x".repeat(65)] {
            assert!(TargetName::new(name).is_err(), "{name}");
        }
    }
}
