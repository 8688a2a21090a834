//! Our own events as syslog: RFC 5424, with all of it in structured data.

use std::io::Write;

use portledger_model::{Device, Timestamp};
use thiserror::Error;

use super::{elements::TimeQuality, message::Message, message::Priority};
use crate::{
    event::NatEvent,
    json_lines::{
        FieldError,
        fields::{self, Given},
    },
};

/// The identifier of our structured data. 32473 is the enterprise number that RFC 5612 keeps for
/// examples: an operator who has one of their own puts it there ([`Export::with_id`]).
pub const EVENT_ID: &str = "nat@32473";

/// How events are written as syslog.
///
/// ```text
/// <134>1 2026-11-01T12:00:00.000Z cgn1 portledger - ports
///     [timeQuality tzKnown="1" isSynced="1" syncAccuracy="500000"][meta sequenceId="7"]
///     [nat@32473 at="2026-11-01T12:00:00.000Z" at_of="event" event="ports" phase="begun" …]
/// ```
///
/// The message identifier is the event's name, the parameters are the names and values of
/// [`crate::json_lines`]. `timeQuality` (RFC 5424 §7.1) says how far the clock may be off, which no
/// other log of a NAT does, and `sequenceId` (§7.3.1) lets whoever receives it notice a loss.
#[derive(Debug, Clone)]
pub struct Export {
    priority: Priority,
    device: Device,
    id: Box<str>,
    quality: TimeQuality,
}

/// A message's number among those of its sender (RFC 5424 §7.3.1): 1 to 2,147,483,647, then 1 again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence(u32);

impl Sequence {
    /// The first message's.
    pub const FIRST: Self = Self(1);

    /// The message's that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 >= i32::MAX.unsigned_abs() {
            Self::FIRST
        } else {
            Self(self.0 + 1)
        }
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// A message that is none of our events.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExportError {
    /// It has none of our structured data.
    #[error("the message has no structured data of ours: {EVENT_ID}, whatever the number")]
    NotOurs,
    /// Its fields are no event.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A value is not text.
    #[error("a value is not UTF-8")]
    NotText,
}

impl Export {
    /// The events of this device, whose clock is of this quality; facility local0, severity
    /// informational.
    pub fn new(device: Device, quality: TimeQuality) -> Self {
        Self {
            priority: Priority::LOCAL0_INFO,
            device,
            id: EVENT_ID.into(),
            quality,
        }
    }

    /// The same with this facility and severity.
    #[must_use]
    pub const fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// The same under an enterprise number of one's own.
    #[must_use]
    pub fn with_id(mut self, enterprise: u32) -> Self {
        self.id = format!("nat@{enterprise}").into();
        self
    }

    /// Appends an event that is sent at `sent` as one message, without a frame or a line feed.
    pub fn write(&self, event: &NatEvent, sent: Timestamp, sequence: Sequence, into: &mut Vec<u8>) {
        let name = fields::name(&event.told);
        let sent = sent.to_string();
        // RFC 5424 §6.2.3 has no year beyond 9999.
        let sent = if sent.ends_with('Z') && sent.as_bytes().get(4) == Some(&b'-') {
            &*sent
        } else {
            "-"
        };
        let priority = self.priority.number();
        let device = &self.device;
        // Writing into memory does not fail.
        let _ = write!(into, "<{priority}>1 {sent} {device} portledger - {name} ");
        self.write_quality(into);
        let _ = write!(into, "[meta sequenceId=\"{}\"][{}", sequence.0, self.id);
        for (name, value) in fields::of(event) {
            let _ = write!(into, " {name}=\"");
            escape(&value.into_text(), into);
            into.push(b'"');
        }
        into.push(b']');
    }

    /// Our times are UTC, so the zone is known unless it is said otherwise.
    fn write_quality(&self, into: &mut Vec<u8>) {
        let flag = |flag: bool| u8::from(flag);
        let zone_known = flag(self.quality.zone_known.unwrap_or(true));
        let synced = self.quality.synced.unwrap_or(false);
        let _ = write!(
            into,
            "[timeQuality tzKnown=\"{zone_known}\" isSynced=\"{}\"",
            flag(synced)
        );
        // RFC 5424 §7.1.3: not where isSynced is 0.
        if let Some(accuracy) = self.quality.accuracy.filter(|_| synced) {
            let _ = write!(into, " syncAccuracy=\"{}\"", accuracy.as_micros());
        }
        into.push(b']');
    }
}

/// RFC 5424 §6.3.3: these three are escaped.
fn escape(text: &str, into: &mut Vec<u8>) {
    for byte in text.bytes() {
        if b"\"\\]".contains(&byte) {
            into.push(b'\\');
        }
        into.push(byte);
    }
}

/// The event in a message that [`Export`] wrote, under whatever enterprise number.
///
/// # Errors
/// [`ExportError`]; it names the field and shows no value.
pub fn read_event(message: &Message<'_>) -> Result<NatEvent, ExportError> {
    let ours = message.elements.iter().find(|(id, _)| {
        id.strip_prefix(b"nat@")
            .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
    });
    let (_, parameters) = ours.ok_or(ExportError::NotOurs)?;
    let mut given = Given::default();
    for (name, value) in parameters {
        let name = std::str::from_utf8(name).map_err(|_| ExportError::NotText)?;
        let value = value.unescaped();
        let value = std::str::from_utf8(&value).map_err(|_| ExportError::NotText)?;
        given.add(name, value)?;
    }
    Ok(given.event()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{json_lines, syslog::Form};

    fn export(quality: TimeQuality) -> Export {
        Export::new(Device::new("cgn1").unwrap(), quality)
    }

    #[test]
    fn a_block_as_it_goes_out() {
        let line = br#"{"at":"2026-11-01T12:00:00.000Z","at_of":"event","event":"ports","phase":"begun","kind":"block","realm":"default","internal":"100.64.3.9","external":"203.0.113.7","first":1024,"last":1535}"#;
        let event = json_lines::read(line).unwrap();
        let quality = TimeQuality {
            zone_known: Some(true),
            synced: Some(true),
            accuracy: Some(Duration::from_millis(500)),
        };
        let mut bytes = Vec::new();
        export(quality).write(
            &event,
            "2026-11-01T12:00:00.25Z".parse().unwrap(),
            Sequence(7),
            &mut bytes,
        );
        insta::assert_snapshot!(
            String::from_utf8(bytes).unwrap(),
            @r#"<134>1 2026-11-01T12:00:00.250Z cgn1 portledger - ports [timeQuality tzKnown="1" isSynced="1" syncAccuracy="500000"][meta sequenceId="7"][nat@32473 at="2026-11-01T12:00:00.000Z" at_of="event" event="ports" phase="begun" kind="block" realm="default" internal="100.64.3.9" external="203.0.113.7" first="1024" last="1535"]"#
        );
    }

    #[test]
    fn numbers_begin_again_at_one() {
        assert_eq!(Sequence::FIRST.next().number(), 2);
        assert_eq!(Sequence(2_147_483_647).next(), Sequence::FIRST);
    }

    proptest! {
        #[test]
        fn every_event_comes_back_from_syslog(
            event in json_lines::tests::event(),
            sent in 0_i64..4_102_444_800_000_000,
            synced in proptest::option::of(any::<bool>()),
            micros in any::<u32>(),
            enterprise in any::<u32>(),
        ) {
            let quality = TimeQuality {
                zone_known: Some(true),
                synced,
                accuracy: Some(Duration::from_micros(micros.into())),
            };
            let sent = Timestamp::from_micros(sent);
            let mut bytes = Vec::new();
            export(quality).with_id(enterprise).write(&event, sent, Sequence::FIRST, &mut bytes);
            let message = Message::parse(&bytes);
            prop_assert_eq!(message.form, Form::Rfc5424);
            prop_assert_eq!(message.hostname, Some(&b"cgn1"[..]));
            prop_assert_eq!(message.message_id, Some(fields::name(&event.told).as_bytes()));
            prop_assert_eq!(message.sequence, Some(1));
            prop_assert_eq!(message.quality.synced, Some(synced == Some(true)));
            prop_assert_eq!(
                message.quality.accuracy,
                quality.accuracy.filter(|_| synced == Some(true))
            );
            prop_assert_eq!(read_event(&message), Ok(event));
        }
    }
}
