//! An event as names and values: what JSON lines and our syslog have in common.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use portledger_model::{
    Durability, Internal, Level, Limit, PortRange, Realm, Rule, RuleFieldError, RuleName,
    RuleValue, Start, Subscriber, Timestamp, Transport,
};
use thiserror::Error;

use crate::event::{EventTime, Holding, Kind, NatEvent, Phase, Told};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
}

impl Value {
    /// As it stands in a syslog parameter.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}

/// Why names and values are no event. The values themselves are not shown: they are subscribers'.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FieldError {
    /// A field is not there.
    #[error("'{0}' is missing")]
    Missing(&'static str),
    /// A field is not what it should be.
    #[error("'{0}' cannot be read")]
    Malformed(&'static str),
    /// A field stands twice.
    #[error("'{0}' stands twice")]
    Twice(Box<str>),
    /// A field that this event does not have.
    #[error("'{0}' is not known here: is the event of a later version?")]
    Unknown(Box<str>),
}

/// An event's fields, in their order.
pub(crate) fn of(event: &NatEvent) -> Vec<(&'static str, Value)> {
    let mut fields = Fields(Vec::with_capacity(16));
    let (at, of) = match event.at {
        EventTime::Told(at) | EventTime::Late { told: at, .. } => (at, "event"),
        EventTime::Message(at) => (at, "message"),
    };
    fields.text("at", time(at));
    fields.text("at_of", of);
    fields.text("event", name(&event.told));
    match &event.told {
        Told::Ports(holding) => fields.holding(holding),
        Told::Address {
            phase,
            subscriber,
            external,
        } => {
            fields.text("phase", phase_name(*phase));
            fields.subscriber(Some(subscriber));
            fields.text("external", external.to_string());
        }
        Told::PoolExhausted {
            pool,
            blocks,
            resting,
        } => {
            fields.number("pool", *pool);
            fields.number("blocks", *blocks);
            fields.number("resting", *resting);
        }
        Told::LimitReached { subscriber, limit } => {
            fields.subscriber(subscriber.as_ref());
            fields.limit(*limit);
        }
        Told::PoolThreshold {
            level,
            pool,
            in_use,
            blocks,
        } => {
            fields.text(
                "level",
                match level {
                    Level::High => "high",
                    Level::Low => "low",
                },
            );
            fields.number("pool", *pool);
            fields.number("in_use", *in_use);
            fields.number("blocks", *blocks);
        }
        Told::Started(start) => fields.start(*start),
        Told::Stopped | Told::Heartbeat => {}
        Told::Lost { since, events } => {
            fields.text("since", time(*since));
            fields.number("events", *events);
        }
        Told::Rule { rule, since } => {
            fields.rule(rule);
            if let Some(since) = since {
                fields.text("since", time(*since));
            }
        }
        Told::RuleEnded(name) => fields.text("rule", name.as_str()),
    }
    fields.0
}

/// The event's name.
pub(crate) const fn name(told: &Told) -> &'static str {
    match told {
        Told::Ports(_) => "ports",
        Told::Address { .. } => "address",
        Told::PoolExhausted { .. } => "pool-exhausted",
        Told::LimitReached { .. } => "limit-reached",
        Told::PoolThreshold { .. } => "pool-threshold",
        Told::Started(_) => "started",
        Told::Stopped => "stopped",
        Told::Heartbeat => "heartbeat",
        Told::Lost { .. } => "lost",
        Told::Rule { since: None, .. } => "rule-began",
        Told::Rule { since: Some(_), .. } => "rule-held",
        Told::RuleEnded(_) => "rule-ended",
    }
}

struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn text(&mut self, name: &'static str, text: impl Into<String>) {
        self.0.push((name, Value::Text(text.into())));
    }

    fn number(&mut self, name: &'static str, number: Option<impl Into<u64>>) {
        if let Some(number) = number {
            self.0.push((name, Value::Number(number.into())));
        }
    }

    fn holding(&mut self, holding: &Holding) {
        self.text("phase", phase_name(holding.phase));
        let (kind, internal_port, destination) = match holding.kind {
            Kind::Block => ("block", None, None),
            Kind::Mapping { internal_port } => ("mapping", internal_port, None),
            Kind::Session {
                internal_port,
                destination,
            } => ("session", internal_port, destination),
        };
        self.text("kind", kind);
        self.subscriber(holding.subscriber.as_ref());
        self.number("internal_port", internal_port);
        self.text("external", holding.external.to_string());
        self.number("first", Some(holding.ports.first()));
        self.number("last", Some(holding.ports.last()));
        if let Some(transport) = holding.transport {
            self.text("transport", transport.to_string());
        }
        if let Some(destination) = destination {
            self.text("destination", destination.ip().to_string());
            self.number("destination_port", Some(destination.port()));
        }
        if let Some(since) = holding.since {
            self.text("since", time(since));
        }
    }

    fn subscriber(&mut self, subscriber: Option<&Subscriber>) {
        if let Some(subscriber) = subscriber {
            self.text("realm", subscriber.realm().as_str());
            let internal = subscriber.internal();
            match internal.prefix() {
                Some(prefix) => self.text("internal", prefix.to_string()),
                None => self.text("internal", internal.to_string()),
            }
            if internal.is_softwire() {
                self.text("internal_kind", Internal::SOFTWIRE);
            }
        }
    }

    fn limit(&mut self, limit: Limit) {
        let name = match limit {
            Limit::Blocks => "blocks",
            Limit::Ports(_) => "ports",
            Limit::Rate => "rate",
            Limit::State => "state",
        };
        self.text("limit", name);
        if let Limit::Ports(transport) = limit {
            self.text("transport", transport.to_string());
        }
    }

    fn rule(&mut self, rule: &Rule) {
        for (name, value) in rule.fields() {
            match value {
                RuleValue::Text(text) => self.text(name, text),
                RuleValue::Number(number) => self.number(name, Some(number)),
            }
        }
    }

    fn start(&mut self, start: Start) {
        self.text("clock_error_s", seconds(start.clock_error));
        self.text("guard_time_s", seconds(start.guard_time));
        match start.durability {
            Durability::LogBeforeUse => self.text("durability", "log-before-use"),
            Durability::BoundedLoss(loss) => {
                self.text("durability", "bounded-loss");
                self.text("loss_s", seconds(loss));
            }
        }
        self.0.push(("continues", Value::Flag(start.continues)));
        if let Some(heartbeat) = start.heartbeat {
            self.text("heartbeat_s", seconds(heartbeat));
        }
    }
}

const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Begun => "begun",
        Phase::Held => "held",
        Phase::Ended => "ended",
    }
}

/// RFC 3339 in UTC, or microseconds since 1970 and `us` where there is no such date.
fn time(at: Timestamp) -> String {
    at.to_string()
}

/// Decimal seconds: as many places as there are.
fn seconds(duration: Duration) -> String {
    let text = format!("{}.{:09}", duration.as_secs(), duration.subsec_nanos());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Names and values as they were read, each to be taken once.
#[derive(Default)]
pub(crate) struct Given(Vec<(Box<str>, Box<str>)>);

/// No event has more fields.
const MOST: usize = 32;

impl Given {
    /// Adds a field.
    pub(crate) fn add(&mut self, name: &str, value: &str) -> Result<(), FieldError> {
        if self.0.iter().any(|(known, _)| **known == *name) {
            return Err(FieldError::Twice(name.into()));
        }
        if self.0.len() == MOST {
            return Err(FieldError::Unknown(name.into()));
        }
        self.0.push((name.into(), value.into()));
        Ok(())
    }

    /// The event that the fields are.
    pub(crate) fn event(mut self) -> Result<NatEvent, FieldError> {
        let at = self.time("at")?;
        let at = match &*self.needed("at_of")? {
            "event" => EventTime::Told(at),
            "message" => EventTime::Message(at),
            _ => return Err(FieldError::Malformed("at_of")),
        };
        let told = self.told()?;
        match self.0.into_iter().next() {
            Some((name, _)) => Err(FieldError::Unknown(name)),
            None => Ok(NatEvent { at, told }),
        }
    }

    fn told(&mut self) -> Result<Told, FieldError> {
        Ok(match &*self.needed("event")? {
            "ports" => Told::Ports(self.holding()?),
            "address" => Told::Address {
                phase: self.phase()?,
                subscriber: self.subscriber()?.ok_or(FieldError::Missing("internal"))?,
                external: self.parsed("external")?,
            },
            "pool-exhausted" => Told::PoolExhausted {
                pool: self.maybe("pool")?,
                blocks: self.maybe("blocks")?,
                resting: self.maybe("resting")?,
            },
            "limit-reached" => Told::LimitReached {
                subscriber: self.subscriber()?,
                limit: self.limit()?,
            },
            "pool-threshold" => Told::PoolThreshold {
                level: match &*self.needed("level")? {
                    "high" => Level::High,
                    "low" => Level::Low,
                    _ => return Err(FieldError::Malformed("level")),
                },
                pool: self.maybe("pool")?,
                in_use: self.maybe("in_use")?,
                blocks: self.maybe("blocks")?,
            },
            "started" => Told::Started(self.start()?),
            "stopped" => Told::Stopped,
            "heartbeat" => Told::Heartbeat,
            "lost" => Told::Lost {
                since: self.time("since")?,
                events: self.maybe("events")?,
            },
            "rule-began" => Told::Rule {
                rule: self.rule()?,
                since: None,
            },
            "rule-held" => Told::Rule {
                since: Some(self.time("since")?),
                rule: self.rule()?,
            },
            "rule-ended" => {
                let name = RuleName::new(&self.needed("rule")?);
                Told::RuleEnded(name.map_err(|_| FieldError::Malformed("rule"))?)
            }
            _ => return Err(FieldError::Malformed("event")),
        })
    }

    fn rule(&mut self) -> Result<Arc<Rule>, FieldError> {
        let rule = Rule::from_fields(|name| self.take(name).map(String::from));
        rule.map(Arc::new).map_err(|error| match error {
            RuleFieldError::Missing(name) => FieldError::Missing(name),
            RuleFieldError::Malformed(name) => FieldError::Malformed(name),
            RuleFieldError::Rule(_) => FieldError::Malformed("kind"),
        })
    }

    fn holding(&mut self) -> Result<Holding, FieldError> {
        let phase = self.phase()?;
        let kind = self.needed("kind")?;
        let internal_port = self.maybe("internal_port")?;
        let destination = match self.maybe::<IpAddr>("destination")? {
            Some(address) => Some(SocketAddr::new(address, self.parsed("destination_port")?)),
            None => None,
        };
        let kind = match (&*kind, internal_port, destination) {
            ("block", None, None) => Kind::Block,
            ("mapping", internal_port, None) => Kind::Mapping { internal_port },
            ("session", internal_port, destination) => Kind::Session {
                internal_port,
                destination,
            },
            _ => return Err(FieldError::Malformed("kind")),
        };
        let (first, last) = (self.parsed("first")?, self.parsed("last")?);
        Ok(Holding {
            phase,
            kind,
            subscriber: self.subscriber()?,
            external: self.parsed::<Ipv4Addr>("external")?,
            ports: PortRange::new(first, last).map_err(|_| FieldError::Malformed("last"))?,
            transport: self.maybe("transport")?,
            since: self.maybe_time("since")?,
        })
    }

    fn start(&mut self) -> Result<Start, FieldError> {
        Ok(Start {
            clock_error: self.duration("clock_error_s")?,
            guard_time: self.duration("guard_time_s")?,
            durability: match &*self.needed("durability")? {
                "log-before-use" => Durability::LogBeforeUse,
                "bounded-loss" => Durability::BoundedLoss(self.duration("loss_s")?),
                _ => return Err(FieldError::Malformed("durability")),
            },
            continues: self.parsed("continues")?,
            heartbeat: match self.take("heartbeat_s") {
                Some(text) => Some(parse_seconds(&text, "heartbeat_s")?),
                None => None,
            },
        })
    }

    fn limit(&mut self) -> Result<Limit, FieldError> {
        Ok(match &*self.needed("limit")? {
            "blocks" => Limit::Blocks,
            "ports" => Limit::Ports(self.parsed::<Transport>("transport")?),
            "rate" => Limit::Rate,
            "state" => Limit::State,
            _ => return Err(FieldError::Malformed("limit")),
        })
    }

    fn subscriber(&mut self) -> Result<Option<Subscriber>, FieldError> {
        let is_softwire = match self.take("internal_kind").as_deref() {
            None => false,
            Some(Internal::SOFTWIRE) => true,
            Some(_) => return Err(FieldError::Malformed("internal_kind")),
        };
        let Some(internal) = self.take("internal") else {
            return match is_softwire {
                true => Err(FieldError::Missing("internal")),
                false => Ok(None),
            };
        };
        let internal = Internal::parse(&internal, is_softwire);
        let internal = internal.map_err(|_| FieldError::Malformed("internal"))?;
        let realm = self.needed("realm")?;
        let realm = Realm::new(&realm).map_err(|_| FieldError::Malformed("realm"))?;
        Ok(Some(Subscriber::of(realm, internal)))
    }

    fn phase(&mut self) -> Result<Phase, FieldError> {
        match &*self.needed("phase")? {
            "begun" => Ok(Phase::Begun),
            "held" => Ok(Phase::Held),
            "ended" => Ok(Phase::Ended),
            _ => Err(FieldError::Malformed("phase")),
        }
    }

    fn take(&mut self, name: &str) -> Option<Box<str>> {
        let at = self.0.iter().position(|(known, _)| **known == *name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn needed(&mut self, name: &'static str) -> Result<Box<str>, FieldError> {
        self.take(name).ok_or(FieldError::Missing(name))
    }

    fn maybe<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>, FieldError> {
        let parse = |text: Box<str>| text.parse().map_err(|_| FieldError::Malformed(name));
        self.take(name).map(parse).transpose()
    }

    fn parsed<T: FromStr>(&mut self, name: &'static str) -> Result<T, FieldError> {
        self.maybe(name)?.ok_or(FieldError::Missing(name))
    }

    fn maybe_time(&mut self, name: &'static str) -> Result<Option<Timestamp>, FieldError> {
        let parse = |text: Box<str>| match text.strip_suffix("us") {
            Some(micros) => micros.parse().ok().map(Timestamp::from_micros),
            None => text.parse().ok(),
        };
        match self.take(name) {
            Some(text) => parse(text).map(Some).ok_or(FieldError::Malformed(name)),
            None => Ok(None),
        }
    }

    fn time(&mut self, name: &'static str) -> Result<Timestamp, FieldError> {
        self.maybe_time(name)?.ok_or(FieldError::Missing(name))
    }

    fn duration(&mut self, name: &'static str) -> Result<Duration, FieldError> {
        parse_seconds(&self.needed(name)?, name)
    }
}

fn parse_seconds(text: &str, name: &'static str) -> Result<Duration, FieldError> {
    let malformed = || FieldError::Malformed(name);
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 9 {
        return Err(malformed());
    }
    let nanos: u32 = format!("{part:0<9}").parse().map_err(|_| malformed())?;
    Ok(Duration::new(
        whole.parse().map_err(|_| malformed())?,
        nanos,
    ))
}
