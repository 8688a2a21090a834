//! The connection log: what `portledger watch` writes, line by line.
//!
//! ```text
//! # 1795258400.000000 start tcp=80,443 udp=none
//! 1795258402.123456 203.0.113.7 49152 192.0.2.80 443 tcp
//! 1795258402.130021 2001:db8::7 40123 192.0.2.80 443 tcp hop=192.0.2.9:5000 front=[2001:db8::80]:443
//! 1795258402.140021 192.0.2.9 5001 192.0.2.80 443 tcp proxy=unknown
//! # 1795258404.000000 left-out from=1795258402.200000 to=1795258403.999000 connections=17 why=lost
//! # 1795258410.000000 complete
//! # 1795258411.000000 stop
//! ```
//!
//! A connection is seconds since 1970 (UTC) with microseconds, the client's endpoint, the server's
//! own, the transport, and what is to be said beside them. A line that begins with `#` is a mark:
//! from when to when the log is complete, and what it left out. Whoever claims that a connection
//! was *not* there needs them.

mod carried;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use portledger_model::{Timestamp, Transport};
use thiserror::Error;

use crate::address;

pub use carried::{Line, PROGRAM};

/// An address and a port.
pub type Endpoint = (IpAddr, u16);

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A connection began.
    Connection(Record),
    /// What holds for the log itself.
    Mark(Mark),
}

/// A connection that began, or tried to: its first packet was seen on the way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// When the kernel got its first packet.
    pub at: Timestamp,
    /// TCP or UDP.
    pub transport: Transport,
    /// Who began it: the hop's endpoint where `told` is [`Told::Not`].
    pub client: Endpoint,
    /// The server's own end, as the packet has it.
    pub server: Endpoint,
    /// What a load balancer told of the connection, where its word is taken.
    pub told: Option<Told>,
}

/// What a load balancer's PROXY protocol header told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The client, who is the record's.
    Client {
        /// The balancer's own end of the connection.
        hop: Endpoint,
        /// The end that the client connected to.
        front: Endpoint,
    },
    /// No client: the record's is the hop.
    Not(NotTold),
}

/// Why a load balancer told no client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTold {
    /// The connection is the balancer's own, such as a check of health: there is no client.
    Local,
    /// It says that it does not know, or names no IP endpoint.
    Unknown,
    /// What came first is no header.
    Malformed,
    /// The header goes on beyond the first segment.
    Cut,
    /// No data came in time, or there was no room to wait for it.
    Missing,
}

impl NotTold {
    const ALL: [Self; 5] = [
        Self::Local,
        Self::Unknown,
        Self::Malformed,
        Self::Cut,
        Self::Missing,
    ];

    /// The word for it in the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Unknown => "unknown",
            Self::Malformed => "malformed",
            Self::Cut => "cut",
            Self::Missing => "missing",
        }
    }
}

/// What a line that begins with `#` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Of when it is.
    pub at: Timestamp,
    /// What it says.
    pub says: Says,
}

/// What a mark says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// From here on what is watched is complete, but for what is said to be left out.
    Start(Watched),
    /// The same, at the head of a file that goes on where another ended.
    GoesOn(Watched),
    /// All that began before this mark's time is written.
    Complete,
    /// The same, and from here on nothing is.
    Stop,
    /// Connections of these times are not in the log.
    LeftOut(LeftOut),
}

/// Which ports are watched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watched {
    /// TCP's.
    pub tcp: Ports,
    /// UDP's.
    pub udp: Ports,
}

/// A set of ports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Ports {
    /// Every one.
    All,
    /// These.
    These(Vec<u16>),
    /// None at all.
    #[default]
    None,
}

impl Ports {
    /// Whether the port is one of them.
    pub fn contains(&self, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::These(ports) => ports.contains(&port),
            Self::None => false,
        }
    }
}

/// Connections that are not in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// They began at this time at the earliest.
    pub from: Timestamp,
    /// And at this time at the latest.
    pub to: Timestamp,
    /// Their number, as far as it is known.
    pub connections: u64,
    /// Where all of them came from; anywhere where it is not said.
    pub source: Option<IpNet>,
    /// Why.
    pub why: Why,
}

/// Why connections were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The kernel had no room for them: the watcher was not quick enough.
    Lost,
    /// The operator's rule for floods: one of so many sources is kept.
    Sampled,
    /// The operator's rule for floods: they are counted and not listed.
    Aggregated,
    /// Packets that may have begun a connection could not be read.
    Unread,
    /// They could not be written: the disk was full, the log's host did not take them.
    Unwritten,
    /// The system's clock was set: times of these hours occur twice, or never.
    ClockSet,
}

impl Why {
    const ALL: [Self; 6] = [
        Self::Lost,
        Self::Sampled,
        Self::Aggregated,
        Self::Unread,
        Self::Unwritten,
        Self::ClockSet,
    ];

    /// The word for it in the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Sampled => "sampled",
            Self::Aggregated => "aggregated",
            Self::Unread => "unread",
            Self::Unwritten => "unwritten",
            Self::ClockSet => "clock-set",
        }
    }
}

/// A line that is none of the connection log's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotEntry {
    /// A comment that is not this program's.
    #[error("a comment")]
    Comment,
    /// A connection of another program's making: time, endpoints and a text of its own.
    #[error("not the line of a connection as portledger watch writes it")]
    Other,
    /// A mark that cannot be understood, or was cut short.
    #[error("a mark that cannot be understood: it was cut short, or a newer portledger wrote it")]
    Mark,
}

impl Entry {
    /// Reads a line, without its end.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn parse(line: &[u8]) -> Result<Self, NotEntry> {
        if line.starts_with(b"#") {
            return Mark::parse(line).map(Self::Mark);
        }
        Record::parse(line)
            .map(Self::Connection)
            .ok_or(NotEntry::Other)
    }
}

impl Record {
    /// Reads the line of a connection.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line.split(|byte| *byte == b' ');
        let at = time(words.next()?)?;
        let mut endpoint = || {
            Some((
                address::parse(words.next()?)?,
                address::port(words.next()?)?,
            ))
        };
        let (client, server) = (endpoint()?, endpoint()?);
        let transport = match words.next()? {
            b"tcp" => Transport::Tcp,
            b"udp" => Transport::Udp,
            _ => return None,
        };
        let told = match (words.next(), words.next()) {
            (None, _) => None,
            (Some(hop), Some(front)) => Some(Told::Client {
                hop: address::endpoint(hop.strip_prefix(b"hop=")?)?,
                front: address::endpoint(front.strip_prefix(b"front=")?)?,
            }),
            (Some(word), None) => {
                let word = word.strip_prefix(b"proxy=")?;
                let known = NotTold::ALL.into_iter();
                let mut known = known.filter(|known| known.word().as_bytes() == word);
                Some(Told::Not(known.next()?))
            }
        };
        words.next().is_none().then_some(Self {
            at,
            transport,
            client,
            server,
            told,
        })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((client, port), (server, server_port)) = (self.client, self.server);
        let (at, transport) = (Epoch(self.at), self.transport);
        write!(f, "{at} {client} {port} {server} {server_port} {transport}")?;
        match self.told {
            None => Ok(()),
            Some(Told::Client { hop, front }) => {
                let (hop, front) = (SocketAddr::from(hop), SocketAddr::from(front));
                write!(f, " hop={hop} front={front}")
            }
            Some(Told::Not(why)) => write!(f, " proxy={}", why.word()),
        }
    }
}

impl Mark {
    fn parse(line: &[u8]) -> Result<Self, NotEntry> {
        let text = line.strip_prefix(b"# ").ok_or(NotEntry::Comment)?;
        let text = std::str::from_utf8(text).map_err(|_| NotEntry::Comment)?;
        let mut words = text.split(' ');
        let at = words.next().and_then(|word| time(word.as_bytes()));
        let at = at.ok_or(NotEntry::Comment)?;
        let says = says(&mut words).filter(|_| words.next().is_none());
        let says = says.ok_or(NotEntry::Mark)?;
        Ok(Self { at, says })
    }
}

fn says<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Says> {
    Some(match words.next()? {
        "start" => Says::Start(watched(words)?),
        "go-on" => Says::GoesOn(watched(words)?),
        "complete" => Says::Complete,
        "stop" => Says::Stop,
        "left-out" => Says::LeftOut(left_out(words)?),
        _ => return None,
    })
}

fn watched<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Watched> {
    Some(Watched {
        tcp: ports(words.next()?.strip_prefix("tcp=")?)?,
        udp: ports(words.next()?.strip_prefix("udp=")?)?,
    })
}

fn ports(text: &str) -> Option<Ports> {
    Some(match text {
        "all" => Ports::All,
        "none" => Ports::None,
        list => {
            let ports = list.split(',').map(|port| address::port(port.as_bytes()));
            Ports::These(ports.collect::<Option<_>>()?)
        }
    })
}

fn left_out<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<LeftOut> {
    let from = time(words.next()?.strip_prefix("from=")?.as_bytes())?;
    let to = time(words.next()?.strip_prefix("to=")?.as_bytes())?;
    let connections = words.next()?.strip_prefix("connections=")?.parse().ok()?;
    let (source, last) = match words.next()? {
        word if word.starts_with("source=") => {
            let source = word.strip_prefix("source=")?.parse().ok()?;
            (Some(source), words.next()?)
        }
        word => (None, word),
    };
    let why = last.strip_prefix("why=")?;
    Some(LeftOut {
        from,
        to,
        connections,
        source,
        why: Why::ALL.into_iter().find(|known| known.word() == why)?,
    })
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "# {} ", Epoch(self.at))?;
        match &self.says {
            Says::Start(watched) => write!(f, "start {watched}"),
            Says::GoesOn(watched) => write!(f, "go-on {watched}"),
            Says::Complete => f.write_str("complete"),
            Says::Stop => f.write_str("stop"),
            Says::LeftOut(left_out) => {
                let (from, to) = (Epoch(left_out.from), Epoch(left_out.to));
                let (count, why) = (left_out.connections, left_out.why.word());
                write!(f, "left-out from={from} to={to} connections={count}")?;
                if let Some(source) = left_out.source {
                    write!(f, " source={source}")?;
                }
                write!(f, " why={why}")
            }
        }
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp={} udp={}", self.tcp, self.udp)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::None => f.write_str("none"),
            Self::These(ports) => {
                for (index, port) in ports.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{port}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(record) => record.fmt(f),
            Self::Mark(mark) => mark.fmt(f),
        }
    }
}

/// Seconds since 1970 with microseconds, always six places: so that nobody takes whole
/// milliseconds for it.
struct Epoch(Timestamp);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No kernel stamps a packet before 1970.
        let micros = self.0.as_micros().max(0);
        write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

fn time(text: &[u8]) -> Option<Timestamp> {
    let (seconds, micros) = text.split_last_chunk::<7>()?;
    let (b'.', micros) = micros.split_first()? else {
        return None;
    };
    let seconds = i64::try_from(number(seconds)?).ok()?;
    let micros = Duration::from_micros(number(micros)?);
    Some(Timestamp::from_secs(seconds).after(micros))
}

/// Digits and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    let value = digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    });
    value.filter(|_| !digits.is_empty())
}
