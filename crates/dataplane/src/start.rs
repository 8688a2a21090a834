//! How a device begins: what its ledger says of the time before, and what it says of itself.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use portledger_ledger::{InForce, Resume};
use portledger_model::{
    DETERMINISTIC_RULE, Device, Durability, Event, Record, Rule, RuleName, Start, Timestamp,
};
use portledger_nat::{Config, Past, Restored, Told};
use thiserror::Error;

/// What a device promises and declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its name in the ledger.
    pub device: Device,
    /// How far its clock may be off, either way; at least what rounding its times takes.
    pub clock_error: Duration,
    /// How long a released block rests.
    pub guard_time: Duration,
    /// What a crash may cost its log.
    pub durability: Durability,
    /// Who has which ports without a record of each: of a deterministic NAT (RFC 7422) one rule, of
    /// a border relay all that it has.
    pub rules: Vec<Arc<Rule>>,
    /// Whether it hands out ports, so that of the rules in force under its name only that of RFC
    /// 7422 is its own.
    pub has_ports: bool,
}

/// Why a device must not begin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StartError {
    /// Its clock, or its capture, is behind its own ledger.
    #[error(
        "it is {now}, but the ledger's last record of {device} is of {last}: what was logged from now on would contradict it; set the clock, or use another ledger or device name"
    )]
    BehindLedger {
        /// The device.
        device: Device,
        /// The time at which it would begin.
        now: Timestamp,
        /// The last record's time.
        last: Timestamp,
    },
}

impl Declared {
    /// What `config` declares, for a device of this name.
    pub fn new(device: Device, config: &Config, durability: Durability) -> Self {
        Self {
            device,
            clock_error: config.ports.device_clock_error.max(TICK),
            guard_time: config.ports.guard_time,
            durability,
            rules: config.ports.rule().map(Arc::new).into_iter().collect(),
            has_ports: true,
        }
    }

    /// What a device declares that hands out no ports: who has which follows from its rules.
    pub fn without_ports(
        device: Device,
        clock_error: Duration,
        durability: Durability,
        rules: Vec<Arc<Rule>>,
    ) -> Self {
        Self {
            device,
            clock_error: clock_error.max(TICK),
            guard_time: Duration::ZERO,
            durability,
            rules,
            has_ports: false,
        }
    }

    /// What the ledger is told of the rules at a start, where `in_force` is what it knows: what of
    /// the last start's no longer is, what began, and what still is in force. And since when each of
    /// [`Declared::rules`] is, in their order.
    pub fn rules(&self, in_force: &[InForce], now: Timestamp) -> (Vec<Event>, Vec<Timestamp>) {
        let own: HashSet<_> = self.rules.iter().map(|rule| &rule.name).collect();
        let known: HashMap<_, _> = in_force
            .iter()
            .map(|known| (&known.rule.name, known))
            .collect();
        let is_of_device = |name: &RuleName| !self.has_ports || name.as_str() == DETERMINISTIC_RULE;
        let mut events: Vec<Event> = in_force
            .iter()
            .map(|known| &known.rule.name)
            .filter(|name| is_of_device(name) && !own.contains(name))
            .map(|name| Event::RuleEnded(name.clone()))
            .collect();
        let mut since = Vec::with_capacity(self.rules.len());
        for rule in &self.rules {
            let held = known
                .get(&rule.name)
                .filter(|known| known.rule == *rule)
                .map(|known| known.since);
            since.push(held.unwrap_or(now));
            let rule = Arc::clone(rule);
            events.push(match held {
                Some(since) => Event::RuleHeld { rule, since },
                None => Event::RuleBegan(rule),
            });
        }
        (events, since)
    }

    /// The interim records of the rules, in force since these times.
    pub fn held_since(&self, since: &[Timestamp]) -> impl Iterator<Item = Event> {
        let rules = self.rules.iter().zip(since);
        rules.map(|(rule, &since)| Event::RuleHeld {
            rule: Arc::clone(rule),
            since,
        })
    }

    /// From when on releases still matter to a device that begins at `now`: the guard time, and
    /// what the clock may have been off then and now.
    pub fn resting_since(&self, now: Timestamp) -> Timestamp {
        now.before(self.guard_time.saturating_add(2 * self.clock_error))
    }

    /// What the engine is told of the time before. What rested goes on resting for the whole
    /// guard time: nobody knows how far the clock was set while the device was off.
    ///
    /// # Errors
    /// When the ledger is ahead of `now`.
    pub fn past(&self, resume: Option<Resume>, now: Timestamp) -> Result<Past, StartError> {
        let Some(resume) = resume else {
            return Ok(Past::default());
        };
        if resume.last > now.after(self.clock_error) {
            let (device, last) = (self.device.clone(), resume.last);
            return Err(StartError::BehindLedger { device, now, last });
        }
        let held = resume.open.into_iter();
        Ok(Past {
            held: held
                .map(|held| Restored {
                    block: held.block,
                    since: held.since,
                })
                .collect(),
            resting: resume
                .released
                .into_iter()
                .map(|rested| (now, rested.block))
                .collect(),
            // What is durable before it is used is never lost; what may be lost may be in use.
            // What counts is what was promised then, not what is promised from now on.
            events_lost: !resume.stopped && resume.durability != Some(Durability::LogBeforeUse),
        })
    }

    /// The event of its start: its ports' past is known, from the ledger or because there is none.
    pub const fn started(&self) -> Event {
        Event::Started(Start {
            clock_error: self.clock_error,
            guard_time: self.guard_time,
            durability: self.durability,
            continues: true,
            heartbeat: None,
        })
    }

    /// An engine's event as a record of this device, its times in whole milliseconds.
    ///
    /// No clock of a device or a server is right to the microsecond, and sealed days whose times
    /// are in milliseconds are an eighth smaller. All times of a record are rounded the same way,
    /// so that a block that is held since a moment is the one handed out then, and the order of
    /// records stays; the declared clock error is at least what rounding takes.
    pub fn record(&self, told: Told) -> Record {
        let mut event = told.event;
        match &mut event {
            Event::Held { since, .. }
            | Event::Released { since, .. }
            | Event::Lost { since, .. }
            | Event::RuleHeld { since, .. } => *since = rounded(*since),
            Event::Started(_)
            | Event::Joined { .. }
            | Event::Stopped
            | Event::Heartbeat
            | Event::Allocated(_)
            | Event::LimitReached { .. }
            | Event::PoolExhausted { .. }
            | Event::PoolThreshold { .. }
            | Event::RuleBegan(_)
            | Event::RuleEnded(_) => {}
        }
        Record {
            at: rounded(told.at),
            device: self.device.clone(),
            event,
        }
    }
}

/// What the times of records are rounded down to.
const TICK: Duration = Duration::from_millis(1);

fn rounded(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use portledger_ports::Pool;

    fn declared(durability: Durability) -> Declared {
        let ports = portledger_ports::Config::new(Pool::parse(&["203.0.113.1"]).unwrap());
        let config = Config::new(ports, &["100.64.0.0/10".parse().unwrap()]);
        Declared::new(Device::new("cgn1").unwrap(), &config, durability)
    }

    fn resume(stopped: bool, durability: Option<Durability>) -> Resume {
        let last = Timestamp::from_secs(1_000);
        Resume {
            open: Vec::new(),
            released: Vec::new(),
            stopped,
            durability,
            last,
        }
    }

    /// After a crash the promise of before the crash counts, whatever is promised now.
    #[test]
    fn events_are_lost_when_they_might_have_been() {
        let lossy = Some(Durability::BoundedLoss(Duration::from_secs(1)));
        let sure = Some(Durability::LogBeforeUse);
        for now in [
            Durability::LogBeforeUse,
            Durability::BoundedLoss(Duration::from_secs(1)),
        ] {
            let lost = |stopped, promised| {
                let at = Timestamp::from_secs(1_010);
                declared(now)
                    .past(Some(resume(stopped, promised)), at)
                    .unwrap()
                    .events_lost
            };
            assert!(lost(false, lossy) && lost(false, None));
            assert!(!lost(false, sure) && !lost(true, lossy));
        }
    }

    /// A restored block keeps the moment it was handed out: what is told of it later must be of
    /// the same allocation.
    #[test]
    fn times_are_whole_milliseconds_and_keep_their_order() {
        let device = declared(Durability::LogBeforeUse);
        assert!(device.clock_error >= TICK);
        let block = portledger_model::Block {
            subscriber: portledger_model::Subscriber::new(
                portledger_model::Realm::default(),
                "100.64.3.9".parse().unwrap(),
            ),
            external: "203.0.113.1".parse().unwrap(),
            ports: portledger_model::PortRange::new(1_024, 1_279).unwrap(),
            transport: None,
        };
        let at = Timestamp::from_micros;
        let told = |micros, event| {
            let number = portledger_nat::EventNumber(1);
            let at = at(micros);
            device.record(Told { number, at, event })
        };
        let given = told(1_999, Event::Allocated(block.clone()));
        let held = told(
            5_001,
            Event::Held {
                block: block.clone(),
                since: at(1_999),
            },
        );
        let since = at(1_999);
        let back = told(5_999, Event::Released { block, since });
        assert_eq!(
            (given.at, held.at, back.at),
            (at(1_000), at(5_000), at(5_000))
        );
        for record in [held, back] {
            let (Event::Held { since, .. } | Event::Released { since, .. }) = record.event else {
                panic!("another event");
            };
            assert_eq!(since, given.at);
        }
    }

    #[test]
    fn a_clock_that_is_said_to_be_right_is_off_by_what_is_rounded() {
        let mut ports = portledger_ports::Config::new(Pool::parse(&["203.0.113.1"]).unwrap());
        ports.device_clock_error = Duration::ZERO;
        let config = Config::new(ports, &["100.64.0.0/10".parse().unwrap()]);
        let device = Device::new("cgn1").unwrap();
        let declared = Declared::new(device, &config, Durability::LogBeforeUse);
        assert_eq!(declared.clock_error, TICK);
    }

    fn deterministic(compression: u32) -> Declared {
        let pool = Pool::parse(&["203.0.113.1"]).unwrap();
        let mut ports = portledger_ports::Config::new(pool);
        ports.deterministic = Some(portledger_ports::DeterministicConfig {
            inside: "100.64.0.0/30".parse().unwrap(),
            compression,
            dynamic: 0,
        });
        let config = Config::new(ports, &["100.64.0.0/30".parse().unwrap()]);
        let device = Device::new("cgn1").unwrap();
        Declared::new(device, &config, Durability::LogBeforeUse)
    }

    /// A rule that stays is told of again, with its beginning; another ends it.
    #[test]
    fn a_rule_begins_is_held_and_ends() {
        let (sixteen, eight) = (deterministic(16), deterministic(8));
        let rule = Arc::clone(&sixteen.rules[0]);
        let now = Timestamp::from_secs(2_000);
        let began = vec![Event::RuleBegan(Arc::clone(&rule))];
        assert_eq!(sixteen.rules(&[], now), (began, vec![now]));
        let since = Timestamp::from_secs(1_000);
        let known = [InForce {
            rule: Arc::clone(&rule),
            since,
        }];
        let held = vec![Event::RuleHeld { rule, since }];
        assert_eq!(sixteen.rules(&known, now), (held, vec![since]));
        let other = vec![Event::RuleBegan(Arc::clone(&eight.rules[0]))];
        assert_eq!(eight.rules(&known, now), (other, vec![now]));
        let drawn = declared(Durability::LogBeforeUse);
        let ended = vec![Event::RuleEnded(known[0].rule.name.clone())];
        assert_eq!(drawn.rules(&known, now), (ended, Vec::new()));
        assert_eq!(drawn.rules(&[], now), (Vec::new(), Vec::new()));
    }

    /// Rules of other names that somebody has brought in stay where ports are handed out; of a
    /// relay nothing is in force but what it has.
    #[test]
    fn a_relay_ends_what_it_has_no_more() {
        let named = |name| {
            let rule = Rule {
                name: RuleName::new(name).unwrap(),
                ..Rule::clone(&deterministic(16).rules[0])
            };
            Arc::new(rule)
        };
        let (since, now) = (Timestamp::from_secs(1_000), Timestamp::from_secs(2_000));
        let known = ["a", "b"].map(|name| InForce {
            rule: named(name),
            since,
        });
        let device = Device::new("br1").unwrap();
        let durability = Durability::LogBeforeUse;
        let rules = vec![named("b"), named("c")];
        let relay = Declared::without_ports(device, Duration::ZERO, durability, rules);
        let (events, held) = relay.rules(&known, now);
        assert_eq!(
            events,
            [
                Event::RuleEnded(RuleName::new("a").unwrap()),
                Event::RuleHeld {
                    rule: named("b"),
                    since,
                },
                Event::RuleBegan(named("c")),
            ]
        );
        assert_eq!(held, [since, now]);
        assert_eq!(relay.held_since(&held).count(), 2);
        let drawn = declared(durability);
        assert_eq!(drawn.rules(&known, now).0, []);
    }

    #[test]
    fn a_device_behind_its_own_ledger_does_not_begin() {
        let at = Timestamp::from_secs(999);
        let refused = declared(Durability::LogBeforeUse).past(Some(resume(true, None)), at);
        assert!(matches!(refused, Err(StartError::BehindLedger { .. })));
    }
}
