//! What a ledger keeps, as it is told to others.

use std::sync::Arc;

use portledger_model::{Block, Event, Record, Timestamp};

use super::{EventTime, Holding, Kind, NatEvent, Phase, Told};

/// The event that a record of a ledger tells; its device is told by whatever carries it.
///
/// A log that begins on a device which ran already ([`Event::Joined`]) has no event of its own: it
/// is a loss that ends with the record, since what was held before is not known. Who knows the
/// time of the record before puts it as the beginning of the loss.
impl From<&Record> for NatEvent {
    fn from(record: &Record) -> Self {
        Self {
            at: EventTime::Told(record.at),
            told: told(record),
        }
    }
}

fn told(record: &Record) -> Told {
    match &record.event {
        Event::Started(start) => Told::Started(*start),
        Event::Joined { .. } => Told::Lost {
            since: record.at,
            events: None,
        },
        Event::Stopped => Told::Stopped,
        Event::Heartbeat => Told::Heartbeat,
        Event::Lost { since, events } => Told::Lost {
            since: *since,
            events: *events,
        },
        Event::Allocated(block) => ports(Phase::Begun, block, None),
        Event::Held { block, since } => ports(Phase::Held, block, Some(*since)),
        Event::Released { block, since } => ports(Phase::Ended, block, Some(*since)),
        Event::LimitReached { subscriber, limit } => Told::LimitReached {
            subscriber: Some(subscriber.clone()),
            limit: *limit,
        },
        Event::PoolExhausted { blocks, resting } => Told::PoolExhausted {
            pool: None,
            blocks: Some(*blocks),
            resting: Some(*resting),
        },
        Event::PoolThreshold {
            level,
            in_use,
            blocks,
        } => Told::PoolThreshold {
            level: *level,
            pool: None,
            in_use: Some(*in_use),
            blocks: Some(*blocks),
        },
        Event::RuleBegan(rule) => Told::Rule {
            rule: Arc::clone(rule),
            since: None,
        },
        Event::RuleHeld { rule, since } => Told::Rule {
            rule: Arc::clone(rule),
            since: Some(*since),
        },
        Event::RuleEnded(name) => Told::RuleEnded(name.clone()),
    }
}

fn ports(phase: Phase, block: &Block, since: Option<Timestamp>) -> Told {
    Told::Ports(Holding {
        phase,
        kind: Kind::Block,
        subscriber: Some(block.subscriber.clone()),
        external: block.external,
        ports: block.ports,
        transport: block.transport,
        since,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portledger_model::{
        Device, Durability, Level, Limit, PortRange, Realm, Start, Subscriber, Transport,
    };

    use super::*;
    use crate::Pairing;

    /// A subscriber of each kind of NAT.
    const SUBSCRIBERS: [&str; 4] = [
        "100.64.3.9",
        "2001:db8::9",
        "2001:db8:1:2::/64",
        "softwire 2001:db8:0:100::/56",
    ];

    /// Every kind of event that our NAT tells.
    fn events(internal: &str) -> Vec<Event> {
        let block = Block {
            subscriber: Subscriber::of(Realm::default(), internal.parse().unwrap()),
            external: [203, 0, 113, 7].into(),
            ports: PortRange::new(1_024, 1_279).unwrap(),
            transport: Some(Transport::Udp),
        };
        let since = Timestamp::from_secs(1_790_000_001);
        vec![
            Event::Started(Start {
                clock_error: Duration::from_millis(100),
                guard_time: Duration::from_secs(120),
                durability: Durability::LogBeforeUse,
                continues: true,
                heartbeat: Some(Duration::from_secs(60)),
            }),
            Event::Allocated(block.clone()),
            Event::Held {
                block: block.clone(),
                since,
            },
            Event::LimitReached {
                subscriber: block.subscriber.clone(),
                limit: Limit::Ports(Transport::Tcp),
            },
            Event::PoolThreshold {
                level: Level::High,
                in_use: 9,
                blocks: 10,
            },
            Event::PoolExhausted {
                blocks: 10,
                resting: 1,
            },
            Event::Released { block, since },
            Event::Lost {
                since,
                events: Some(3),
            },
            Event::Heartbeat,
            Event::Stopped,
        ]
    }

    #[test]
    fn every_record_comes_back_from_the_pairing_on_the_other_side() {
        let device = Device::new("cgn1").unwrap();
        for internal in SUBSCRIBERS {
            let mut pairing = Pairing::new(device.clone());
            for (second, event) in (1_790_000_000..).zip(events(internal)) {
                let record = Record {
                    at: Timestamp::from_secs(second),
                    device: device.clone(),
                    event,
                };
                let mut back = Vec::new();
                pairing.take(NatEvent::from(&record), &mut back).unwrap();
                assert_eq!(back, [record]);
            }
        }
    }

    #[test]
    fn a_log_that_begins_later_than_its_device_is_told_as_a_loss() {
        let record = Record {
            at: Timestamp::from_secs(1_790_000_000),
            device: Device::new("cgn1").unwrap(),
            event: Event::Joined {
                clock_error: Duration::from_secs(1),
            },
        };
        let lost = Told::Lost {
            since: record.at,
            events: None,
        };
        assert_eq!(NatEvent::from(&record).told, lost);
    }
}
