//! Our own records: NAT events as IPFIX (RFC 8158) or NetFlow v9 messages.

mod row;

use std::time::Duration;

use portledger_model::Timestamp;
use thiserror::Error;

use self::row::{Row, Value};
use super::{
    life::TEXT_LENGTH,
    message::{IPFIX_HEADER, V9_HEADER, Version},
    template::VARIABLE,
};
use crate::NatEvent;

/// Where NetFlow v9 needs a fixed length: that of the longest realm's name.
const REALM_LENGTH: u16 = 64;
/// RFC 3954 §6.1: the scope of an options template that is about the whole device.
const V9_SCOPE_SYSTEM: u16 = 1;
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
}

/// Writes events into messages, and keeps their sequence number and their templates.
///
/// What each event is written as:
///
/// | event | natEvent | fields besides the time |
/// |---|---|---|
/// | block begun, held, ended | 16, 16, 17 | inside (8 or 27), 225, 361 to 364, since, [4] |
/// | session begun, held, ended | 4/6, 4/6, 5/7 | inside, 225, 227, since, [4], [7], [11 and 12 or 28] |
/// | mapping begun, held, ended | 8/10, 8/10, 9/11 | inside, 225, 227, since, [4], [7] |
/// | address | 14, 14, 15 | inside, 225 |
/// | pool exhausted, threshold | 12, 18 | [283], 467, 94 |
/// | limit | 13 | 466, inside, 94 |
/// | started, stopped, heartbeat, lost | options record | scope, 94 |
///
/// *Since* is flowStartMilliseconds (152): when it began, in releases and in what is still held,
/// which is a creation (RFC 8158 has no number for it) that began before it was observed, with 0
/// where it is not known when. A realm other than `default` is internalAddressRealm (464). What no
/// element of the registry says stands as text in applicationDescription (94).
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

/// A template of ours.
#[derive(Debug)]
struct Template {
    is_options: bool,
    fields: Vec<(u16, u16)>,
    is_sent: bool,
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
        let mut writing = Writing {
            version: self.settings.version,
            message,
            set: None,
            records: 0,
            templates: 0,
        };
        writing.header();
        let mut taken = 0;
        for event in events {
            if let Err(why) = self.row.fill(event, self.settings) {
                if taken == 0 {
                    writing.message.clear();
                    return Err(why);
                }
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

/// The place of the template that describes a row; made where there is none. There are as many as
/// there are kinds of events with fields that may be missing: under a hundred.
fn find(templates: &mut Vec<Template>, row: &Row, version: Version) -> usize {
    let is_same = |template: &Template| {
        template.is_options == row.is_options
            && template.fields.len() == row.fields.len()
            && template
                .fields
                .iter()
                .zip(&row.fields)
                .all(|((element, _), (other, _))| element == other)
    };
    if let Some(at) = templates.iter().position(is_same) {
        return at;
    }
    templates.push(Template {
        is_options: row.is_options,
        fields: row
            .fields
            .iter()
            .map(|(element, value)| (*element, length(value, version)))
            .collect(),
        is_sent: false,
    });
    templates.len() - 1
}

/// The length a template gives a value.
fn length(value: &Value, version: Version) -> u16 {
    match (value, version) {
        (Value::U8(_), _) => 1,
        (Value::U16(_), _) => 2,
        (Value::U32(_) | Value::V4(_), _) => 4,
        (Value::U64(_), _) => 8,
        (Value::V6(_), _) => 16,
        (Value::Realm(_) | Value::Text(_), Version::Ipfix) => VARIABLE,
        (Value::Realm(_), Version::NetFlow9) => REALM_LENGTH,
        (Value::Text(_), Version::NetFlow9) => TEXT_LENGTH,
    }
}

/// A message being written.
struct Writing<'a> {
    version: Version,
    message: &'a mut Vec<u8>,
    /// The template of the data set that is open, and where that begins.
    set: Option<(usize, usize)>,
    records: u32,
    templates: u32,
}

impl Writing<'_> {
    fn header(&mut self) {
        let length = match self.version {
            Version::Ipfix => IPFIX_HEADER,
            Version::NetFlow9 => V9_HEADER,
        };
        self.message.resize(length, 0);
    }

    /// How long the message would be with one more record.
    fn length_with(&self, at: usize, template: &Template, row: &Row) -> usize {
        let mut length = self.message.len();
        if !template.is_sent {
            length += 4 + 6 + 4 * template.fields.len();
        }
        if self.set.is_none_or(|(open, _)| open != at) {
            length += 4;
        }
        for ((_, size), (_, value)) in template.fields.iter().zip(&row.fields) {
            length += match value {
                Value::Realm(text) if *size == VARIABLE => 3 + text.as_str().len(),
                Value::Text(text) if *size == VARIABLE => 3 + text.len(),
                _ => usize::from(*size),
            };
        }
        // NetFlow v9's sets end on four bytes: this one, and one that may be open.
        length + 6
    }

    fn template(&mut self, at: usize, template: &Template) {
        self.close();
        let begin = self.message.len();
        let id = match (self.version, template.is_options) {
            (Version::Ipfix, is_options) => 2 + u16::from(is_options),
            (Version::NetFlow9, is_options) => u16::from(is_options),
        };
        self.u16(id);
        self.u16(0);
        self.u16(number(at));
        let fields = narrow(template.fields.len());
        match (self.version, template.is_options) {
            (_, false) => self.u16(fields),
            // RFC 7011 §3.4.2.2: all fields, then how many of them are scope.
            (Version::Ipfix, true) => {
                self.u16(fields);
                self.u16(1);
            }
            // RFC 3954 §6.1: bytes of scope, then bytes of the rest.
            (Version::NetFlow9, true) => {
                self.u16(4);
                self.u16(4 * (fields - 1));
            }
        }
        for (place, (element, length)) in template.fields.iter().enumerate() {
            let is_scope = template.is_options && place == 0;
            self.u16(match self.version {
                Version::NetFlow9 if is_scope => V9_SCOPE_SYSTEM,
                _ => *element,
            });
            self.u16(*length);
        }
        self.end_set(begin);
        self.templates += 1;
    }

    fn record(&mut self, at: usize, template: &Template, row: &Row) {
        if self.set.is_none_or(|(open, _)| open != at) {
            self.close();
            self.set = Some((at, self.message.len()));
            self.u16(number(at));
            self.u16(0);
        }
        for ((_, length), (_, value)) in template.fields.iter().zip(&row.fields) {
            match value {
                Value::U8(value) => self.message.push(*value),
                Value::U16(value) => self.u16(*value),
                Value::U32(value) => self.message.extend_from_slice(&value.to_be_bytes()),
                Value::U64(value) => self.message.extend_from_slice(&value.to_be_bytes()),
                Value::V4(address) => self.message.extend_from_slice(&address.octets()),
                Value::V6(address) => self.message.extend_from_slice(&address.octets()),
                Value::Realm(realm) => self.text(realm.as_str(), *length),
                Value::Text(text) => self.text(text, *length),
            }
        }
        self.records += 1;
    }

    /// With its length before it (RFC 7011 §7), or filled up with zeros.
    fn text(&mut self, text: &str, length: u16) {
        let bytes = text.as_bytes();
        if length == VARIABLE {
            match u8::try_from(bytes.len()) {
                Ok(short) if short < 255 => self.message.push(short),
                _ => {
                    self.message.push(255);
                    self.u16(narrow(bytes.len()));
                }
            }
            self.message.extend_from_slice(bytes);
        } else {
            let end = self.message.len() + usize::from(length);
            let fitting = bytes.get(..usize::from(length)).unwrap_or(bytes);
            self.message.extend_from_slice(fitting);
            self.message.resize(end, 0);
        }
    }

    fn close(&mut self) {
        if let Some((_, begin)) = self.set.take() {
            self.end_set(begin);
        }
    }

    fn end_set(&mut self, begin: usize) {
        // RFC 3954 §5.3: a set ends on four bytes. IPFIX does without (RFC 7011 §3.3.1).
        if self.version == Version::NetFlow9 {
            let padded = (self.message.len() - begin).next_multiple_of(4);
            self.message.resize(begin + padded, 0);
        }
        let length = narrow(self.message.len() - begin);
        self.put(begin + 2, &length.to_be_bytes());
    }

    fn finish(&mut self, now: Timestamp, settings: ExportSettings, sequence: u32) {
        self.close();
        let seconds = now.as_micros().div_euclid(1_000_000);
        let seconds = u32::try_from(seconds).unwrap_or(0);
        match self.version {
            Version::Ipfix => {
                let length = narrow(self.message.len());
                self.put(0, &10_u16.to_be_bytes());
                self.put(2, &length.to_be_bytes());
                self.put(4, &seconds.to_be_bytes());
                self.put(8, &sequence.to_be_bytes());
                self.put(12, &settings.domain.to_be_bytes());
            }
            Version::NetFlow9 => {
                let count = u16::try_from(self.records + self.templates).unwrap_or(u16::MAX);
                // Milliseconds in 32 bits, which turn over after 49.7 days.
                let uptime = now.since(settings.booted).as_millis() & u128::from(u32::MAX);
                let uptime = u32::try_from(uptime).unwrap_or(0);
                self.put(0, &9_u16.to_be_bytes());
                self.put(2, &count.to_be_bytes());
                self.put(4, &uptime.to_be_bytes());
                self.put(8, &seconds.to_be_bytes());
                self.put(12, &sequence.to_be_bytes());
                self.put(16, &settings.domain.to_be_bytes());
            }
        }
    }

    fn u16(&mut self, value: u16) {
        self.message.extend_from_slice(&value.to_be_bytes());
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        if let Some(place) = self.message.get_mut(offset..offset + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

/// The number of the template in this place: they begin at 256 (RFC 7011 §3.4.1).
fn number(at: usize) -> u16 {
    narrow(at).saturating_add(256)
}

/// Messages are bounded to 65,535 bytes, so that lengths in them fit.
fn narrow(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}
