//! What no element of the registry can say, as text in applicationDescription (94).
//!
//! A device's start, stop, heartbeat and losses, which limit was reached, how full a pool is, and
//! that a subscriber's IPv6 address is a softwire's B4:
//!
//! ```text
//! portledger/1 started clock_error=0.050000s guard_time=120.000000s durability=log-before-use continues=yes
//! portledger/1 lost since=1790000000000000us events=17
//! portledger/1 limit=ports-tcp
//! portledger/1 blocks=4032 resting=17
//! portledger/1 inside=softwire
//! ```
//!
//! Durations are in seconds, to the microsecond.

use std::{fmt::Write, time::Duration};

use portledger_model::{Durability, Limit, Start, Timestamp, Transport};

use crate::Told;

const MARK: &str = "portledger/1";
/// Where NetFlow v9 needs a fixed length: longer than the longest of these texts.
pub(super) const TEXT_LENGTH: u16 = 160;

/// The text of a device's life event; `None` for other events.
pub(super) fn life_text(told: &Told) -> Option<String> {
    let mut text = String::from(MARK);
    match told {
        Told::Started(start) => {
            let durability = match start.durability {
                Durability::LogBeforeUse => "log-before-use".to_owned(),
                Durability::BoundedLoss(loss) => seconds(loss),
            };
            let _ = write!(
                text,
                " started clock_error={} guard_time={} durability={durability} continues={}",
                seconds(start.clock_error),
                seconds(start.guard_time),
                if start.continues { "yes" } else { "no" },
            );
            if let Some(heartbeat) = start.heartbeat {
                let _ = write!(text, " heartbeat={}", seconds(heartbeat));
            }
        }
        Told::Stopped => text.push_str(" stopped"),
        Told::Heartbeat => text.push_str(" heartbeat"),
        Told::Lost { since, events } => {
            let _ = write!(text, " lost since={}us", since.as_micros());
            if let Some(events) = events {
                let _ = write!(text, " events={events}");
            }
        }
        _ => return None,
    }
    Some(text)
}

/// A device's life event by its text; `None` where it is another program's text.
pub(super) fn life_of(text: &[u8]) -> Option<Told> {
    let mut words = words(text)?;
    Some(match words.next()? {
        "started" => Told::Started(start(words)?),
        "stopped" => Told::Stopped,
        "heartbeat" => Told::Heartbeat,
        "lost" => {
            let (mut since, mut events) = (None, None);
            for (key, value) in words.filter_map(|word| word.split_once('=')) {
                match key {
                    "since" => since = value.strip_suffix("us")?.parse().ok(),
                    "events" => events = Some(value.parse().ok()?),
                    _ => {}
                }
            }
            let since = Timestamp::from_micros(since?);
            Told::Lost { since, events }
        }
        _ => return None,
    })
}

pub(super) fn limit_text(limit: Limit, of_softwire: bool) -> String {
    let name = match limit {
        Limit::Blocks => "blocks",
        Limit::Ports(Transport::Tcp) => "ports-tcp",
        Limit::Ports(Transport::Udp) => "ports-udp",
        Limit::Ports(Transport::Icmp) => "ports-icmp",
        Limit::Rate => "rate",
        Limit::State => "state",
    };
    let mut text = format!("{MARK} limit={name}");
    if of_softwire {
        text.push_str(" inside=softwire");
    }
    text
}

pub(super) fn limit_of(text: &[u8]) -> Option<Limit> {
    Some(match value(text, "limit")? {
        "blocks" => Limit::Blocks,
        "ports-tcp" => Limit::Ports(Transport::Tcp),
        "ports-udp" => Limit::Ports(Transport::Udp),
        "ports-icmp" => Limit::Ports(Transport::Icmp),
        "rate" => Limit::Rate,
        "state" => Limit::State,
        _ => return None,
    })
}

/// That a subscriber is a softwire's, beside what else is told.
pub(super) const SOFTWIRE: &str = "portledger/1 inside=softwire";

pub(super) fn is_softwire(text: &[u8]) -> bool {
    value(text, "inside") == Some("softwire")
}

/// How full a pool is: names and numbers, of which some may be unknown.
pub(super) fn pool_text(numbers: &[(&str, Option<u32>)]) -> String {
    let mut text = String::from(MARK);
    for (name, number) in numbers {
        if let Some(number) = number {
            let _ = write!(text, " {name}={number}");
        }
    }
    text
}

pub(super) fn pool_number(text: &[u8], name: &str) -> Option<u32> {
    value(text, name)?.parse().ok()
}

fn start<'a>(words: impl Iterator<Item = &'a str>) -> Option<Start> {
    let mut start = Start {
        clock_error: Duration::ZERO,
        guard_time: Duration::ZERO,
        durability: Durability::LogBeforeUse,
        continues: false,
        heartbeat: None,
    };
    // What is missing may not be taken for zero: a clock is not perfect because nobody spoke of it.
    let mut needed = ["clock_error", "guard_time", "durability", "continues"].to_vec();
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        needed.retain(|name| *name != key);
        match key {
            "clock_error" => start.clock_error = duration(value)?,
            "guard_time" => start.guard_time = duration(value)?,
            "durability" if value == "log-before-use" => {}
            "durability" => start.durability = Durability::BoundedLoss(duration(value)?),
            "continues" => start.continues = value == "yes",
            "heartbeat" => start.heartbeat = Some(duration(value)?),
            _ => {}
        }
    }
    needed.is_empty().then_some(start)
}

fn words(text: &[u8]) -> Option<impl Iterator<Item = &str>> {
    let mut words = std::str::from_utf8(text)
        .ok()?
        .trim_end_matches('\0')
        .split(' ');
    (words.next() == Some(MARK)).then_some(words)
}

fn value<'a>(text: &'a [u8], name: &str) -> Option<&'a str> {
    words(text)?
        .filter_map(|word| word.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn seconds(duration: Duration) -> String {
    format!("{}.{:06}s", duration.as_secs(), duration.subsec_micros())
}

fn duration(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.strip_suffix('s')?.split_once('.')?;
    let micros: u32 = fraction.parse().ok().filter(|_| fraction.len() == 6)?;
    Some(Duration::new(
        whole.parse().ok()?,
        micros.checked_mul(1_000)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_fits_where_netflow_needs_a_fixed_length() {
        let longest = Duration::new(u64::from(u32::MAX), 999_999_000);
        let text = life_text(&Told::Started(Start {
            clock_error: longest,
            guard_time: longest,
            durability: Durability::BoundedLoss(longest),
            continues: true,
            heartbeat: Some(longest),
        }));
        assert!(text.is_some_and(|text| text.len() <= TEXT_LENGTH.into()));
    }

    #[test]
    fn a_start_that_does_not_speak_of_its_clock_is_not_understood() {
        assert_eq!(
            life_of(b"portledger/1 started guard_time=120.000000s"),
            None
        );
        assert_eq!(life_of(b"somebody else's text"), None);
        assert_eq!(life_of(b"portledger/1 stopped\0\0\0"), Some(Told::Stopped));
    }
}
