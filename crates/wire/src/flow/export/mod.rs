//! Our own records: NAT events as IPFIX (RFC 8158) or NetFlow v9 messages.

mod row;
mod writing;

use std::time::Duration;

use portledger_model::Timestamp;
use thiserror::Error;

use self::{
    row::Row,
    writing::{Template, Writing, find},
};
use super::message::Version;
use crate::NatEvent;

/// Room for one record of ours and its template, whatever it is.
const LEAST_BYTES: usize = 512;

/// What is exported, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportSettings {
    /// IPFIX, or NetFlow v9 for collectors that drop port blocks over IPFIX (nfdump 1.7.1 does).
    pub version: Version,
    /// The observation domain (IPFIX) or source (NetFlow v9).
    pub domain: u32,
    /// How fine times are.
    pub precision: Precision,
    /// How often templates are repeated: over UDP, since a collector that starts later needs them
    /// (RFC 7011 §8.4); `None` over a stream.
    pub refresh: Option<Duration>,
    /// The longest message in bytes, 512 at least and 65,535 at most: a datagram that is not
    /// fragmented, or what one write to a stream may hold.
    pub max_bytes: usize,
    /// When the device booted: NetFlow v9's header counts from there.
    pub booted: Timestamp,
}

impl Default for ExportSettings {
    /// IPFIX over UDP.
    fn default() -> Self {
        Self {
            version: Version::Ipfix,
            domain: 1,
            precision: Precision::Milliseconds,
            refresh: Some(Duration::from_secs(60)),
            max_bytes: 1_400,
            booted: Timestamp::EPOCH,
        }
    }
}

/// How fine an exported time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// observationTimeMilliseconds (323), as RFC 8158 §5 has it and every collector reads it.
    /// Times are cut to their millisecond.
    Milliseconds,
    /// observationTimeMicroseconds (324), which fewer collectors read: every microsecond is kept.
    Microseconds,
}

/// Why an event cannot be exported. Every event of our own NAT can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ExportError {
    /// It has no time of its own; a record with one would claim more than is known.
    #[error("an event without a time of its own cannot be exported; export what the device told")]
    NoTime,
    /// A time that the field cannot hold.
    #[error("the time {0} cannot be exported: it is not between 1970 and 2104")]
    Time(Timestamp),
    /// Something begins or goes on since a time later than the event's.
    #[error("an event of {at} that began at {since} cannot be")]
    Since {
        /// The event's time.
        at: Timestamp,
        /// When it is said to have begun.
        since: Timestamp,
    },
    /// An address of zeros, which readers take for "not told".
    #[error("an address of zeros means that none is told; leave it out instead")]
    ZeroAddress,
    /// What RFC 8158 has no event for.
    #[error("a rule cannot be told in flow messages; export it as syslog or JSON lines")]
    Rule,
}

/// Writes events into messages, and keeps their sequence number and their templates.
///
/// What each event is written as:
///
/// | event | natEvent | fields besides the time |
/// |---|---|---|
/// | block begun, held, ended | 16, 16, 17 | inside (8 or 27), 225, 361 to 364, since, 4 |
/// | session begun, held, ended | 4/6, 4/6, 5/7 | inside, 225, 227, since, 4, 7, 11, 12 or 28 |
/// | mapping begun, held, ended | 8/10, 8/10, 9/11 | inside, 225, 227, since, 4, 7 |
/// | address | 14, 14, 15 | inside, 225 |
/// | pool exhausted, threshold | 12, 18 | 283, 467, 94 |
/// | limit | 13 | 466, inside, 94 |
/// | started, stopped, heartbeat, lost | options record | scope, 94 |
/// | rules | none: [`ExportError::Rule`] | |
///
/// A field of which an event tells nothing is left out, in a template of its own. *Since* is
/// flowStartMilliseconds (152): when it began, in releases and in what is still held, which is a
/// creation (RFC 8158 has no number for it) that began before it was observed, with 0 where it is
/// not known when. A realm other than `default` is internalAddressRealm (464). Inside is an address
/// (8, 27), or an IPv6 prefix by its first address (27) and its length (sourceIPv6PrefixLength, 29). What no element of
/// the registry says stands as text in applicationDescription (94).
///
/// [`Session`](super::Session) reads all of it back as it was, but for two things: times finer
/// than the [`Precision`], and a holding that is told to be held since that very moment, which is
/// read as begun: the two say the same.
#[derive(Debug)]
pub struct Exporter {
    settings: ExportSettings,
    sequence: u32,
    templates: Vec<Template>,
    repeated: Option<Timestamp>,
    row: Row,
}

impl Exporter {
    /// An exporter that has sent nothing yet.
    pub fn new(mut settings: ExportSettings) -> Self {
        settings.max_bytes = settings.max_bytes.clamp(LEAST_BYTES, usize::from(u16::MAX));
        Self {
            settings,
            sequence: 0,
            templates: Vec::new(),
            repeated: None,
            row: Row::default(),
        }
    }

    /// A new transport session: templates are sent again, and a connection's numbers begin anew
    /// (RFC 7011 §3.1, §8).
    pub fn restart(&mut self) {
        self.sequence = 0;
        self.repeated = None;
        for template in &mut self.templates {
            template.is_sent = false;
        }
    }

    /// As [`Exporter::restart`], but the numbers go on from `sequence`: over UDP, so that a
    /// collector which ran on sees what it missed.
    pub fn resume(&mut self, sequence: u32) {
        self.restart();
        self.sequence = sequence;
    }

    /// The sequence number of the next message.
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Writes one message, sent at `now`, over whatever is in `message`: as many of the events as
    /// fit, in order. Says how many; the rest is for the next message.
    ///
    /// # Errors
    /// When the first event cannot be exported; nothing is written then, and the caller goes on
    /// behind it. An event further behind that cannot be exported ends the message before it.
    pub fn message(
        &mut self,
        now: Timestamp,
        events: &[NatEvent],
        message: &mut Vec<u8>,
    ) -> Result<usize, ExportError> {
        message.clear();
        if events.is_empty() {
            return Ok(0);
        }
        self.repeat(now);
        if let Some(first) = events.first() {
            self.row.fill(first, self.settings)?;
        }
        let mut writing = Writing::new(self.settings.version, message);
        let mut taken = 0;
        for event in events {
            if self.row.fill(event, self.settings).is_err() {
                break;
            }
            let at = find(&mut self.templates, &self.row, self.settings.version);
            let Some(template) = self.templates.get_mut(at) else {
                break;
            };
            if taken > 0 && writing.length_with(at, template, &self.row) > self.settings.max_bytes {
                break;
            }
            if !template.is_sent {
                writing.template(at, template);
                template.is_sent = true;
            }
            writing.record(at, template, &self.row);
            taken += 1;
        }
        writing.finish(now, self.settings, self.sequence);
        let counted = match self.settings.version {
            Version::Ipfix => writing.records,
            Version::NetFlow9 => 1,
        };
        self.sequence = self.sequence.wrapping_add(counted);
        Ok(taken)
    }

    /// Has every template repeated with its next record, where it is time.
    fn repeat(&mut self, now: Timestamp) {
        let Some(refresh) = self.settings.refresh else {
            return;
        };
        let is_due = self
            .repeated
            .is_none_or(|last| now.since(last) >= refresh || now < last);
        if is_due {
            self.repeated = Some(now);
            for template in &mut self.templates {
                template.is_sent = false;
            }
        }
    }
}
