//! Sightings as abuse reports, which whoever gives out addresses can act on: each tells the address,
//! the source port and the exact time (RFC 6302, RFC 6692).
//!
//! A report that says less than that, or seems to say more than is known, accuses a stranger behind
//! the same address: it is refused.

mod arf;
mod xarf;

use std::{net::IpAddr, str::FromStr, time::Duration};

use portledger_model::{Sighting, Timestamp, Transport};
use thiserror::Error;

/// How reports are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The Abuse Reporting Format (RFC 5965, RFC 6692), a message each, as in a mailbox.
    Arf(Complaint),
    /// X-ARF, version 4: an object of JSON each, on a line.
    Xarf(Attack),
}

/// What mail is complained about for (RFC 5965 §7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complaint {
    /// Unsolicited mail, or another abuse of mail.
    Abuse,
    /// Fraud or phishing.
    Fraud,
    /// A virus.
    Virus,
    /// Something else.
    Other,
}

/// What was done over the connection: the types of X-ARF's category `connection` that need no more
/// than a sighting tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Logins with guessed or stolen passwords.
    LoginAttack,
    /// Ports were tried one after another.
    PortScan,
}

/// Who reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporter {
    organisation: String,
    contact: String,
    domain: String,
}

/// Why a text names no reporter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "'{text}' is not who reports; write the organisation and its address for answers, as in 'Example Org <abuse@example.org>'"
)]
pub struct ReporterError {
    text: String,
}

/// `Example Org <abuse@example.org>`.
impl FromStr for Reporter {
    type Err = ReporterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (organisation, rest) = text.split_once('<')?;
            let organisation = organisation.trim().trim_matches('"');
            let contact = rest.trim_end().strip_suffix('>')?;
            let (local, domain) = contact.split_once('@')?;
            // Neither a header of its own, nor more than a name and an address (RFC 5322 §3.4).
            let is_plain = |text: &str, more: &str| {
                let mut bytes = text.bytes();
                !text.is_empty()
                    && bytes
                        .all(|byte| byte.is_ascii_alphanumeric() || more.as_bytes().contains(&byte))
            };
            let is_name = !organisation.is_empty()
                && organisation.chars().count() <= 200
                && !organisation
                    .chars()
                    .any(|c| c.is_control() || "\"\\<>".contains(c));
            (is_name && is_plain(local, ".+-_=") && is_plain(domain, ".-")).then(|| Self {
                organisation: organisation.to_owned(),
                contact: contact.to_owned(),
                domain: domain.to_owned(),
            })
        };
        read().ok_or_else(|| ReporterError {
            text: text.to_owned(),
        })
    }
}

/// Why a sighting makes no report.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The port is not known.
    #[error(
        "no source port: whoever shares the address with others cannot be told apart; log it, or give --without-port where the address is known to be one customer's"
    )]
    NoPort,
    /// The time is not known.
    #[error("no time: the source writes no zone and none was given; give --zone")]
    NoTime,
    /// In the hour that clocks repeat, two instants have the same name.
    #[error("two times: {one} and {other} have the same name in the hour that clocks repeat")]
    TwoTimes {
        /// The first.
        one: Timestamp,
        /// The second.
        other: Timestamp,
    },
    /// The form would make the time seem more exact than it is.
    #[error(
        "the time is known to {resolution:?} only, from {at} on, and the form cannot say so: its reader would take it for exact"
    )]
    Inexact {
        /// The time.
        at: Timestamp,
        /// Its step.
        resolution: Duration,
    },
    /// The form needs the transport.
    #[error("no transport: the form needs to say tcp, udp or icmp")]
    NoTransport,
    /// Mail does not come over it.
    #[error("over {transport}: an ARF report is of mail, which comes over tcp; use --form xarf")]
    NotMail {
        /// The transport.
        transport: Transport,
    },
}

/// Writes reports.
#[derive(Debug, Clone)]
pub struct Reports {
    /// How.
    pub form: Form,
    /// Whose.
    pub reporter: Reporter,
    /// Whether a sighting whose port is not known makes a report too.
    pub without_port: bool,
}

/// What a report is about, once it is known to be enough.
struct Facts {
    address: IpAddr,
    port: Option<u16>,
    /// The time, as exactly as it is known.
    at: Timestamp,
    /// How many places of a second are known of it.
    places: usize,
}

impl Reports {
    /// The report of one sighting, with its line ends. `id` are random bytes that no other report
    /// has; `now` is when it is written.
    ///
    /// # Errors
    /// When the sighting does not say enough, or the form cannot say it.
    pub fn write(
        &self,
        sighting: &Sighting,
        id: [u8; 16],
        now: Timestamp,
    ) -> Result<String, Refusal> {
        let facts = self.facts(sighting)?;
        match self.form {
            Form::Arf(complaint) => {
                arf::write(&self.reporter, complaint, sighting, &facts, &uuid(id), now)
            }
            Form::Xarf(attack) => xarf::write(&self.reporter, attack, sighting, &facts, &uuid(id)),
        }
    }

    fn facts(&self, sighting: &Sighting) -> Result<Facts, Refusal> {
        if sighting.port.is_none() && !self.without_port {
            return Err(Refusal::NoPort);
        }
        let at = sighting.at.ok_or(Refusal::NoTime)?;
        if let Some(other) = sighting.or_at {
            return Err(Refusal::TwoTimes { one: at, other });
        }
        let finest = match self.form {
            Form::Arf(_) => 0,
            Form::Xarf(_) => 6,
        };
        let (at, places) = written(at, sighting.resolution, finest).ok_or(Refusal::Inexact {
            at,
            resolution: sighting.resolution,
        })?;
        Ok(Facts {
            address: sighting.address,
            port: sighting.port,
            at,
            places,
        })
    }
}

/// The time with as many places of a second, at most `finest`, as make the whole step in which the
/// true instant is a part of the one that is written; `None` where no number of places does.
fn written(at: Timestamp, resolution: Duration, finest: usize) -> Option<(Timestamp, usize)> {
    let known = i64::try_from(resolution.as_micros()).ok()?.max(1);
    let at = at.as_micros();
    (0..=finest).rev().find_map(|places| {
        let step = 10_i64.pow(u32::try_from(6 - places).ok()?);
        let floor = at.checked_sub(at.rem_euclid(step))?;
        (at.checked_add(known)? <= floor + step).then_some((Timestamp::from_micros(floor), places))
    })
}

/// RFC 9562 §5.4, of random bytes.
fn uuid(mut id: [u8; 16]) -> String {
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in id.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// RFC 3339 with so many places of a second.
fn rfc3339(at: Timestamp, places: usize) -> String {
    match jiff::Timestamp::from_microsecond(at.as_micros()) {
        Ok(at) => format!("{at:.places$}"),
        Err(_) => at.to_string(),
    }
}

#[cfg(test)]
mod tests;
