//! What FreeRADIUS writes of accounting: detail files.
//!
//! A record is a line with the time of receipt, lines `Attribute = value` that begin with a tab,
//! and an empty line. The server adds `Timestamp`, the time of receipt in seconds since 1970.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use portledger_model::Timestamp;
use thiserror::Error;

use super::{
    Accounting, AttributeError,
    accounting::{Builder, kind},
};

/// Reads the lines of a detail file, one after another, in the memory of one record.
///
/// ```
/// use portledger_wire::radius::{DetailReader, Status};
///
/// let file = "Sat Nov 21 12:00:00 2026\n\
///             \tAcct-Status-Type = Start\n\
///             \tAcct-Session-Id = \"0017\"\n\
///             \tUser-Name = \"nemo\"\n\
///             \tFramed-IP-Address = 100.64.3.9\n\
///             \tTimestamp = 1795262400\n\
///             \n";
/// let mut reader = DetailReader::default();
/// let mut records: Vec<_> = file.lines().filter_map(|line| reader.line(line.as_bytes())).collect();
/// records.extend(reader.finish());
/// let record = records.pop().unwrap()?;
/// assert_eq!(record.accounting.status, Status::Start);
/// assert_eq!(record.received.to_string(), "2026-11-21T12:00:00.000Z");
/// # Ok::<(), portledger_wire::radius::DetailError>(())
/// ```
#[derive(Default)]
pub struct DetailReader {
    record: Option<Record>,
}

/// A record of a detail file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detailed {
    /// What the request told.
    pub accounting: Accounting,
    /// When the server received it.
    pub received: Timestamp,
}

/// Why a record of a detail file tells nothing. It does not repeat the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DetailError {
    /// A line that is neither a record's first nor an attribute.
    #[error("line {0} of the record is no 'Attribute = value' behind a tab")]
    Line(usize),
    /// The value of an attribute is not of its form.
    #[error("line {0} of the record: {1} has a value that is none")]
    Value(usize, &'static str),
    /// More lines than a record has, or a line longer than any.
    #[error("the record has more than {0} lines, or a line of more than {1} bytes")]
    TooLong(usize, usize),
    /// There is no time.
    #[error("the record has no Timestamp: when it was received is not told")]
    NoTime,
    /// Attributes that contradict each other, or are missing.
    #[error(transparent)]
    Attributes(#[from] AttributeError),
}

/// A record that is being read.
#[derive(Default)]
struct Record {
    lines: usize,
    builder: Builder,
    received: Option<Timestamp>,
    error: Option<DetailError>,
}

/// More attributes than a packet of 4,096 bytes holds of two bytes or more.
const MOST_LINES: usize = 2_100;
/// More than an attribute of 253 octets has, each written with four characters.
const LONGEST_LINE: usize = 4_096;

impl DetailReader {
    /// Takes the next line, without or with its end. Gives the record that it ends, if it does.
    pub fn line(&mut self, line: &[u8]) -> Option<Result<Detailed, DetailError>> {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            return self.finish();
        }
        let begins = !line.starts_with(b"\t") && !line.starts_with(b" ");
        // A record whose empty line is missing ends where the next one begins.
        let ended = if begins { self.finish() } else { None };
        let record = self.record.get_or_insert_default();
        record.lines += 1;
        if record.lines > MOST_LINES || line.len() > LONGEST_LINE {
            let error = DetailError::TooLong(MOST_LINES, LONGEST_LINE);
            record.error.get_or_insert(error);
        } else if !begins && let Err(error) = record.attribute(line) {
            record.error.get_or_insert(error);
        }
        ended
    }

    /// There are no more lines. Gives the record that ends here, if one does.
    pub fn finish(&mut self) -> Option<Result<Detailed, DetailError>> {
        self.record.take().map(Record::finish)
    }

    /// No record is begun: the next line begins one.
    pub const fn is_between(&self) -> bool {
        self.record.is_none()
    }
}

impl Record {
    fn attribute(&mut self, line: &[u8]) -> Result<(), DetailError> {
        let malformed = DetailError::Line(self.lines);
        // A value that is no UTF-8 is written as it is.
        let text = String::from_utf8_lossy(line);
        let (name, value) = text.trim().split_once('=').ok_or(malformed)?;
        let name = name.trim_end_matches([' ', '+', ':']);
        let value = value.trim();
        if name.is_empty() {
            return Err(malformed);
        }
        if name == "Timestamp" {
            let seconds = value.parse().map(Timestamp::from_secs);
            let none = DetailError::Value(self.lines, "Timestamp");
            self.received = Some(seconds.map_err(|_| none)?);
            return Ok(());
        }
        let Some((name, of, number, form)) = KNOWN.iter().find(|known| known.0 == name) else {
            return Ok(());
        };
        let octets = form.octets(value);
        // A date in a zone that only its abbreviation names is none that could be relied on:
        // the receipt less the delay is what remains.
        if octets.is_none() && *form == Form::Date {
            return Ok(());
        }
        let octets = octets.ok_or(DetailError::Value(self.lines, name))?;
        let taken = match of {
            Of::Standard => self.builder.take(*number, &octets),
            Of::BroadbandForum => self.builder.take_agent(*number, &octets),
        };
        taken.map_err(|error| match error {
            AttributeError::Value { .. } => DetailError::Value(self.lines, name),
            other => other.into(),
        })
    }

    fn finish(self) -> Result<Detailed, DetailError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        Ok(Detailed {
            accounting: self.builder.finish()?,
            received: self.received.ok_or(DetailError::NoTime)?,
        })
    }
}

/// Whose attribute.
#[derive(Clone, Copy)]
enum Of {
    Standard,
    BroadbandForum,
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Integer,
    Status,
    Date,
    Ipv4,
    Ipv6,
    Prefix,
}

/// The attributes that are read, as FreeRADIUS's dictionaries name them.
const KNOWN: [(&str, Of, u8, Form); 21] = {
    use self::Of::{BroadbandForum as B, Standard as S};
    [
        ("User-Name", S, kind::USER_NAME, Form::Text),
        (
            "Calling-Station-Id",
            S,
            kind::CALLING_STATION_ID,
            Form::Text,
        ),
        ("Class", S, kind::CLASS, Form::Text),
        ("NAS-Port-Id", S, kind::NAS_PORT_ID, Form::Text),
        ("NAS-Identifier", S, kind::NAS_IDENTIFIER, Form::Text),
        ("Acct-Session-Id", S, kind::ACCT_SESSION_ID, Form::Text),
        (
            "Acct-Multi-Session-Id",
            S,
            kind::ACCT_MULTI_SESSION_ID,
            Form::Text,
        ),
        ("Acct-Status-Type", S, kind::ACCT_STATUS_TYPE, Form::Status),
        ("Acct-Delay-Time", S, kind::ACCT_DELAY_TIME, Form::Integer),
        (
            "Acct-Session-Time",
            S,
            kind::ACCT_SESSION_TIME,
            Form::Integer,
        ),
        ("Event-Timestamp", S, kind::EVENT_TIMESTAMP, Form::Date),
        ("NAS-IP-Address", S, kind::NAS_IP_ADDRESS, Form::Ipv4),
        ("NAS-IPv6-Address", S, kind::NAS_IPV6_ADDRESS, Form::Ipv6),
        ("Framed-IP-Address", S, kind::FRAMED_IP_ADDRESS, Form::Ipv4),
        (
            "Framed-IPv6-Address",
            S,
            kind::FRAMED_IPV6_ADDRESS,
            Form::Ipv6,
        ),
        (
            "Framed-IPv6-Prefix",
            S,
            kind::FRAMED_IPV6_PREFIX,
            Form::Prefix,
        ),
        (
            "Delegated-IPv6-Prefix",
            S,
            kind::DELEGATED_IPV6_PREFIX,
            Form::Prefix,
        ),
        (
            "ADSL-Agent-Circuit-Id",
            B,
            kind::AGENT_CIRCUIT_ID,
            Form::Text,
        ),
        ("ADSL-Agent-Remote-Id", B, kind::AGENT_REMOTE_ID, Form::Text),
        ("Agent-Circuit-Id", B, kind::AGENT_CIRCUIT_ID, Form::Text),
        ("Agent-Remote-Id", B, kind::AGENT_REMOTE_ID, Form::Text),
    ]
};

impl Form {
    /// The value as it was in the packet.
    fn octets(self, value: &str) -> Option<Vec<u8>> {
        let bare = value.trim_matches('"');
        let integer = |number: u32| number.to_be_bytes().to_vec();
        Some(match self {
            Self::Text => text(value)?,
            Self::Integer => integer(bare.parse().ok()?),
            Self::Status => integer(match bare {
                "Start" => 1,
                "Stop" => 2,
                "Interim-Update" | "Alive" => 3,
                "Accounting-On" => 7,
                "Accounting-Off" => 8,
                "Tunnel-Start" => 9,
                "Tunnel-Stop" => 10,
                "Tunnel-Reject" => 11,
                "Tunnel-Link-Start" => 12,
                "Tunnel-Link-Stop" => 13,
                "Tunnel-Link-Reject" => 14,
                "Failed" => 15,
                number => number.parse().ok()?,
            }),
            Self::Date => integer(date(bare)?),
            Self::Ipv4 => bare.parse::<Ipv4Addr>().ok()?.octets().to_vec(),
            Self::Ipv6 => bare.parse::<Ipv6Addr>().ok()?.octets().to_vec(),
            Self::Prefix => {
                let (address, length) = bare.split_once('/')?;
                let address: Ipv6Addr = address.parse().ok()?;
                let mut octets = vec![0, length.parse().ok()?];
                octets.extend_from_slice(&address.octets());
                octets
            }
        })
    }
}

/// Octets in quotation marks with escapes, in hex behind `0x`, or as they are.
fn text(value: &str) -> Option<Vec<u8>> {
    if let Some(hex) = value.strip_prefix("0x") {
        let digits = hex.as_bytes();
        let pairs = digits.chunks(2).map(|pair| {
            let pair = str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        });
        return pairs.collect();
    }
    let Some(quoted) = value.strip_prefix('"') else {
        return Some(value.as_bytes().to_vec());
    };
    let mut rest = quoted.strip_suffix('"')?.as_bytes();
    let mut octets = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            octets.push(*first);
            continue;
        }
        let [escaped, after @ ..] = rest else {
            return None;
        };
        rest = after;
        octets.push(match escaped {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0'..=b'3' => {
                let (more, after) = rest.split_at_checked(2)?;
                rest = after;
                let digits = [&[*escaped], more].concat();
                u8::from_str_radix(str::from_utf8(&digits).ok()?, 8).ok()?
            }
            other => *other,
        });
    }
    Some(octets)
}

/// Seconds since 1970, `Nov 21 2026 12:00:00 UTC`, or RFC 3339. Other zones' abbreviations mean
/// several zones each, and are refused.
fn date(text: &str) -> Option<u32> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let at = if let Ok(at) = text.parse::<Timestamp>() {
        at
    } else {
        let civil = ["UTC", "GMT", "Z"]
            .iter()
            .find_map(|zone| text.strip_suffix(zone))?;
        let civil = jiff::civil::DateTime::strptime("%b %d %Y %H:%M:%S", civil.trim()).ok()?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Timestamp::from_micros(zoned.timestamp().as_microsecond())
    };
    u32::try_from(at.as_millis() / 1_000).ok()
}

impl fmt::Debug for DetailReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.record.as_ref().map_or(0, |record| record.lines);
        write!(f, "DetailReader({lines} lines of a record)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Vec<Result<Detailed, DetailError>> {
        let mut reader = DetailReader::default();
        let mut found: Vec<_> = lines
            .lines()
            .filter_map(|line| reader.line(line.as_bytes()))
            .collect();
        found.extend(reader.finish());
        found
    }

    #[test]
    fn every_form_of_a_value_is_read() {
        let found = read(
            "Sat Nov 21 12:00:00 2026\n\
             \tPacket-Type = Accounting-Request\n\
             \tAcct-Status-Type = Alive\n\
             \tUser-Name = \"a\\\"b\\303\\253\"\n\
             \tClass = 0x0001ff\n\
             \tADSL-Agent-Circuit-Id = 0x6f6c7431\n\
             \tDelegated-IPv6-Prefix = 2001:db8:0:100::/56\n\
             \tEvent-Timestamp = \"Nov 21 2026 11:59:58 UTC\"\n\
             \tTimestamp = 1795262400\n",
        );
        let told = &found[0].as_ref().unwrap().accounting;
        assert_eq!(told.status, super::super::Status::InterimUpdate);
        assert_eq!(told.who.user_name.as_deref(), Some("a\"bë"));
        assert_eq!(told.who.class.as_deref(), Some("0x0001ff"));
        assert_eq!(told.who.circuit_id.as_deref(), Some("olt1"));
        assert_eq!(told.framed[0].length, 56);
        let at = told.event_timestamp.unwrap();
        assert_eq!(at.to_string(), "2026-11-21T11:59:58.000Z");
    }

    #[test]
    fn a_zone_that_is_only_an_abbreviation_is_not_believed() {
        let found = read(
            "x\n\tAcct-Status-Type = Start\n\tEvent-Timestamp = \"Nov 21 2026 11:59:58 CST\"\n\tAcct-Delay-Time = 2\n\tTimestamp = 100\n",
        );
        let Detailed {
            accounting,
            received,
        } = found[0].as_ref().unwrap();
        assert_eq!(accounting.event_timestamp, None);
        assert_eq!(accounting.at(*received), Timestamp::from_secs(98));
    }

    #[test]
    fn a_record_that_cannot_be_read_costs_only_itself_and_is_not_shown() {
        let found = read(
            "x\n\tAcct-Status-Type = Start\n\tFramed-IP-Address = Example\n\tTimestamp = 1\n\n\
             x\n\tAcct-Status-Type = Stop\n\tTimestamp = 2\ny\n\tnonsense\n\n\
             x\n\tUser-Name = \"nemo\"\n\tTimestamp = 2\n",
        );
        let errors: Vec<String> = found
            .iter()
            .map(|it| {
                it.as_ref()
                    .map_or_else(ToString::to_string, |_| "read".into())
            })
            .collect();
        assert_eq!(
            errors,
            [
                "line 3 of the record: Framed-IP-Address has a value that is none",
                "read",
                "line 2 of the record is no 'Attribute = value' behind a tab",
                "there is no Acct-Status-Type (40), which every Accounting-Request has",
            ]
        );
    }
}
