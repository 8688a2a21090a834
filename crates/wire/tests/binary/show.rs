//! Items as text for golden files: `Debug` redacts, and here everything is made up.

use std::fmt::Write;

use portledger_model::Subscriber;
use portledger_wire::{
    EventTime, Holding, Kind, NatEvent, Told,
    flow::{Counters, Item},
};

pub(crate) fn items(items: &[Item]) -> String {
    let mut text = String::new();
    for item in items {
        match item {
            Item::Event { domain, event } => {
                writeln!(text, "{domain} {}", event_line(event)).unwrap();
            }
            other => writeln!(text, "{other:?}").unwrap(),
        }
    }
    text
}

/// Only what is not zero.
pub(crate) fn counters(counters: Counters) -> String {
    let all = format!("{counters:?}");
    let inside = all
        .trim_start_matches("Counters { ")
        .trim_end_matches(" }")
        .split(", ");
    let kept: Vec<_> = inside.filter(|field| !field.ends_with(": 0")).collect();
    kept.join(", ")
}

pub(crate) fn event_line(event: &NatEvent) -> String {
    let at = match event.at {
        EventTime::Told(at) | EventTime::Late { told: at, .. } => at.to_string(),
        EventTime::Message(at) => format!("<={at}"),
    };
    let told = match &event.told {
        Told::Ports(holding) => holding_line(holding),
        Told::Address {
            phase,
            subscriber,
            external,
        } => format!("{phase:?} address {external} of {}", name(Some(subscriber))),
        Told::LimitReached { subscriber, limit } => {
            format!("limit {limit:?} of {}", name(subscriber.as_ref()))
        }
        other => format!("{other:?}"),
    };
    format!("{at} {told}")
}

fn holding_line(holding: &Holding) -> String {
    let transport = holding
        .transport
        .map_or("any".to_owned(), |transport| transport.to_string());
    let port = |port: Option<u16>| port.map_or("?".to_owned(), |port| port.to_string());
    let kind = match holding.kind {
        Kind::Block => "block".to_owned(),
        Kind::Mapping { internal_port } => format!("mapping of port {}", port(internal_port)),
        Kind::Session {
            internal_port,
            destination,
        } => format!(
            "session of port {} to {}",
            port(internal_port),
            destination.map_or("?".to_owned(), |destination| destination.to_string()),
        ),
    };
    let since = holding
        .since
        .map_or(String::new(), |since| format!(" since {since}"));
    format!(
        "{:?} {} {} {transport} by {}: {kind}{since}",
        holding.phase,
        holding.external,
        holding.ports,
        name(holding.subscriber.as_ref()),
    )
}

fn name(subscriber: Option<&Subscriber>) -> String {
    subscriber.map_or("?".to_owned(), |subscriber| {
        format!("{}/{}", subscriber.realm(), subscriber.internal())
    })
}
