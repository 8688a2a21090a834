//! Bytes of messages: headers, sets, templates and records.

use portledger_model::Timestamp;

use super::{
    ExportSettings,
    row::{Row, Value},
};
use crate::flow::{
    life::TEXT_LENGTH,
    message::{IPFIX_HEADER, V9_HEADER, Version},
    template::VARIABLE,
};

/// Where NetFlow v9 needs a fixed length: that of the longest realm's name.
const REALM_LENGTH: u16 = 64;
/// RFC 3954 §6.1: the scope of an options template that is about the whole device.
const V9_SCOPE_SYSTEM: u16 = 1;

/// A template of ours.
#[derive(Debug)]
pub(super) struct Template {
    is_options: bool,
    fields: Vec<(u16, u16)>,
    /// The collector knows it.
    pub(super) is_sent: bool,
}

/// The place of the template that describes a row; made where there is none. There are as many as
/// there are kinds of events with fields that may be missing: a few hundred, of which a NAT needs
/// a handful.
pub(super) fn find(templates: &mut Vec<Template>, row: &Row, version: Version) -> usize {
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

/// A message being written.
pub(super) struct Writing<'a> {
    version: Version,
    message: &'a mut Vec<u8>,
    /// The template of the data set that is open, and where that begins.
    set: Option<(usize, usize)>,
    pub(super) records: u32,
    templates: u32,
}

impl<'a> Writing<'a> {
    /// Begins a message: room for its header, which is written at last.
    pub(super) fn new(version: Version, message: &'a mut Vec<u8>) -> Self {
        let length = match version {
            Version::Ipfix => IPFIX_HEADER,
            Version::NetFlow9 => V9_HEADER,
        };
        message.clear();
        message.resize(length, 0);
        Self {
            version,
            message,
            set: None,
            records: 0,
            templates: 0,
        }
    }

    /// How long the message would be with one more record.
    pub(super) fn length_with(&self, at: usize, template: &Template, row: &Row) -> usize {
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
                Value::Note(text) if *size == VARIABLE => 3 + text.len(),
                _ => usize::from(*size),
            };
        }
        // NetFlow v9's sets end on four bytes: this one, and one that may be open.
        length + 6
    }

    pub(super) fn template(&mut self, at: usize, template: &Template) {
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

    pub(super) fn record(&mut self, at: usize, template: &Template, row: &Row) {
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
                Value::Note(text) => self.text(text, *length),
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

    pub(super) fn finish(&mut self, now: Timestamp, settings: ExportSettings, sequence: u32) {
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

/// The length a template gives a value.
fn length(value: &Value, version: Version) -> u16 {
    match (value, version) {
        (Value::U8(_), _) => 1,
        (Value::U16(_), _) => 2,
        (Value::U32(_) | Value::V4(_), _) => 4,
        (Value::U64(_), _) => 8,
        (Value::V6(_), _) => 16,
        (Value::Realm(_) | Value::Text(_) | Value::Note(_), Version::Ipfix) => VARIABLE,
        (Value::Realm(_), Version::NetFlow9) => REALM_LENGTH,
        (Value::Text(_), Version::NetFlow9) => TEXT_LENGTH,
        (Value::Note(text), Version::NetFlow9) => narrow(text.len()),
    }
}
