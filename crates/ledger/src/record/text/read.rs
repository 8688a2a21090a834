//! Reading a text.

use std::time::Duration;

use portledger_model::{
    Block, Device, Durability, Event, Internal, Level, Limit, PortRange, Realm, Record, Start,
    Subscriber, Timestamp, Transport,
};
use serde_json::{Map, Value};

use super::LIMITS;
use crate::record::rules;

/// Reads the text of a record that has no block; `None` where it is none.
pub(crate) fn read(text: &str) -> Option<Record> {
    let Value::Object(fields) = serde_json::from_str(text).ok()? else {
        return None;
    };
    let event = match fields.get("event")?.as_str()? {
        "started" => Event::Started(read_start(&fields)?),
        "joined" => Event::Joined {
            clock_error: Duration::from_nanos(fields.get("clock_error_ns")?.as_u64()?),
        },
        "stopped" => Event::Stopped,
        "heartbeat" => Event::Heartbeat,
        "lost" => Event::Lost {
            since: read_time(&fields, "since")?,
            events: match fields.get("events") {
                None => None,
                Some(events) => Some(events.as_u64()?),
            },
        },
        "limit-reached" => Event::LimitReached {
            subscriber: read_subscriber(&fields)?,
            limit: read_limit(fields.get("limit")?.as_str()?)?,
        },
        "pool-exhausted" => Event::PoolExhausted {
            blocks: read_u32(&fields, "blocks")?,
            resting: read_u32(&fields, "resting")?,
        },
        "pool-threshold" => Event::PoolThreshold {
            level: match fields.get("level")?.as_str()? {
                "high" => Level::High,
                "low" => Level::Low,
                _ => return None,
            },
            in_use: read_u32(&fields, "in_use")?,
            blocks: read_u32(&fields, "blocks")?,
        },
        "allocated" => Event::Allocated(read_block(&fields)?),
        "held" => Event::Held {
            block: read_block(&fields)?,
            since: read_time(&fields, "since")?,
        },
        "released" => Event::Released {
            block: read_block(&fields)?,
            since: read_time(&fields, "since")?,
        },
        "rule-began" => Event::RuleBegan(rules::read(&fields)?),
        "rule-held" => Event::RuleHeld {
            rule: rules::read(&fields)?,
            since: read_time(&fields, "since")?,
        },
        "rule-ended" => Event::RuleEnded(rules::read_name(&fields)?),
        _ => return None,
    };
    Some(Record {
        at: read_time(&fields, "at")?,
        device: Device::new(fields.get("device")?.as_str()?).ok()?,
        event,
    })
}

fn read_limit(name: &str) -> Option<Limit> {
    let known = LIMITS.iter().find(|(_, known)| *known == name);
    known.map(|(limit, _)| *limit)
}

fn read_start(fields: &Map<String, Value>) -> Option<Start> {
    let duration = |name| match fields.get(name) {
        None => Some(None),
        Some(nanos) => nanos
            .as_u64()
            .map(|nanos| Some(Duration::from_nanos(nanos))),
    };
    Some(Start {
        clock_error: duration("clock_error_ns")??,
        guard_time: duration("guard_time_ns")??,
        durability: match duration("loss_ns")? {
            None => Durability::LogBeforeUse,
            Some(loss) => Durability::BoundedLoss(loss),
        },
        continues: fields.get("continues")?.as_bool()?,
        heartbeat: duration("heartbeat_ns")?,
    })
}

fn read_block(fields: &Map<String, Value>) -> Option<Block> {
    let port = |name| u16::try_from(fields.get(name)?.as_u64()?).ok();
    Some(Block {
        subscriber: read_subscriber(fields)?,
        external: fields.get("external")?.as_str()?.parse().ok()?,
        ports: PortRange::new(port("first")?, port("last")?).ok()?,
        transport: match fields.get("transport")?.as_str()? {
            "any" => None,
            "tcp" => Some(Transport::Tcp),
            "udp" => Some(Transport::Udp),
            "icmp" => Some(Transport::Icmp),
            _ => return None,
        },
    })
}

fn read_subscriber(fields: &Map<String, Value>) -> Option<Subscriber> {
    let is_softwire = match fields.get("internal_kind") {
        None => false,
        Some(kind) if kind == Internal::SOFTWIRE => true,
        Some(_) => return None,
    };
    Some(Subscriber::of(
        Realm::new(fields.get("realm")?.as_str()?).ok()?,
        Internal::parse(fields.get("internal")?.as_str()?, is_softwire).ok()?,
    ))
}

fn read_time(fields: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    match fields.get(name)? {
        Value::String(text) => text.parse().ok(),
        micros => micros.as_i64().map(Timestamp::from_micros),
    }
}

fn read_u32(fields: &Map<String, Value>, name: &str) -> Option<u32> {
    u32::try_from(fields.get(name)?.as_u64()?).ok()
}
