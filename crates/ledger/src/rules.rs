//! Rules over time: who has ports by a rule rather than by a record of each.
//!
//! ```text
//!  records     began "west" A        held "west" A       began "west" B      ended "west"
//!                   │ March                                    │ April            │ June
//!  in force         ├────────────────── A ─────────────────────┤├────── B ────────┤
//! ```
//! A rule is in force from the record that says so, or from when an interim record says it began,
//! until the next rule of its device and name begins or an end is told. As with allocations, what
//! it comes to does not depend on the order in which records arrive.

mod kept;

pub(crate) use kept::{Telling, Tellings};

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
    sync::Arc,
};

use portledger_model::{
    Allocation, Block, ByRule, Device, Event, External, Grant, Nearest, Record, RecordNumber, Rule,
    RuleName, Sharing, Span, Subscriber, Timestamp,
};

/// Addresses of which a subscriber's answer names each, where a rule gives it a whole prefix.
const NAMED: usize = 256;

/// Allocations by one rule of those who are in one prefix.
const FOUND: usize = 65_536;

/// The rules that a ledger knows of.
#[derive(Default)]
pub(crate) struct Rules {
    facts: Vec<Fact>,
    named: HashMap<(Device, RuleName), Named>,
    /// Rules of one address, which may be many.
    by_address: HashMap<Ipv4Addr, Vec<usize>>,
    /// Rules of many addresses.
    wide: Vec<usize>,
    forgotten: Forgotten,
}

/// The time of which nothing is told any more, though a rule that was in force may still be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Forgotten {
    /// All before this.
    pub(crate) until: Option<Timestamp>,
    /// Days that were deleted, in order.
    pub(crate) days: Vec<Span>,
}

/// A rule that was in force from some time on.
struct Fact {
    device: Device,
    rule: Arc<Rule>,
    from: Timestamp,
    /// The record that told of it first, of those that were not deleted.
    record: RecordNumber,
}

/// What is told of one name of a device.
#[derive(Default)]
struct Named {
    facts: Vec<usize>,
    ends: BTreeSet<Timestamp>,
}

/// A rule that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Since when.
    pub since: Timestamp,
}

/// The rule that a record tells of, and since when it is in force.
pub(crate) fn told(record: &Record) -> Option<(&Arc<Rule>, Timestamp)> {
    match &record.event {
        Event::RuleBegan(rule) => Some((rule, record.at)),
        Event::RuleHeld { rule, since } => Some((rule, *since)),
        _ => None,
    }
}

/// Whether a record tells of a rule or the end of one.
pub(crate) fn is_of_rule(record: &Record) -> bool {
    told(record).is_some() || matches!(record.event, Event::RuleEnded(_))
}

impl Rules {
    pub(crate) fn forgetting(forgotten: Forgotten) -> Self {
        Self {
            forgotten,
            ..Self::default()
        }
    }

    /// Takes in a record; those that tell of no rule change nothing.
    pub(crate) fn apply(&mut self, number: RecordNumber, record: &Record) {
        if let Some((rule, from)) = told(record) {
            self.add(record.device.clone(), rule, from, number);
        } else if let Event::RuleEnded(name) = &record.event {
            let named = (record.device.clone(), name.clone());
            self.named.entry(named).or_default().ends.insert(record.at);
        }
    }

    fn add(&mut self, device: Device, rule: &Arc<Rule>, from: Timestamp, number: RecordNumber) {
        let named = (device.clone(), rule.name.clone());
        let named = self.named.entry(named).or_default();
        for place in &named.facts {
            if let Some(fact) = self.facts.get_mut(*place)
                && fact.from == from
                && fact.rule == *rule
            {
                fact.record = fact.record.min(number);
                return;
            }
        }
        let place = self.facts.len();
        named.facts.push(place);
        match &rule.sharing {
            Sharing::Deterministic(_) | Sharing::Map(_) => self.wide.push(place),
            Sharing::Softwire(_) | Sharing::PortSet(_) => {
                for (address, _) in rule.addresses() {
                    self.by_address.entry(address).or_default().push(place);
                }
            }
        }
        self.facts.push(Fact {
            device,
            rule: Arc::clone(rule),
            from,
            record: number,
        });
    }

    /// Every allocation of the endpoint by a rule that overlaps `span`.
    pub(crate) fn holders(&self, external: External, span: Span) -> Vec<Allocation> {
        let mut found = Vec::new();
        for fact in self.of_address(external.address) {
            let in_force = self.span(fact);
            if self.tells_of(in_force, span) {
                let grants = fact.rule.grants(external.address, external.port);
                found.extend(grants.filter_map(|grant| {
                    allocation(fact, in_force, &grant, external.address, external.port)
                }));
            }
        }
        found
    }

    /// What those have by rules within `span` whom one asks for as `asked`: an allocation for each
    /// address. Of each rule so many at most: a prefix may have more subscribers in it than
    /// anybody reads.
    pub(crate) fn of_subscriber(&self, asked: &Subscriber, span: Span) -> Vec<Allocation> {
        let mut found = Vec::new();
        for fact in &self.facts {
            let in_force = self.span(fact);
            if !self.tells_of(in_force, span) {
                continue;
            }
            let all = fact.rule.grants_of(asked).flat_map(|grant| {
                let network = grant.external.network().to_bits();
                let addresses = network..=grant.external.broadcast().to_bits();
                let addresses = addresses.take(NAMED).map(Ipv4Addr::from_bits);
                let held = addresses
                    .filter_map(|address| allocation(fact, in_force, &grant, address, None));
                held.collect::<Vec<_>>()
            });
            found.extend(all.take(FOUND));
        }
        found
    }

    /// The allocations by rules on either side of a moment; of many who share an address, one.
    pub(crate) fn nearest(&self, external: External, at: Timestamp) -> Nearest {
        let mut nearest = Nearest::default();
        for fact in self.of_address(external.address) {
            let in_force = self.span(fact);
            let better = if in_force.to <= at {
                let known = nearest.before.as_ref();
                known.is_none_or(|known| known.span().to < in_force.to)
            } else if at < in_force.from {
                let known = nearest.after.as_ref();
                known.is_none_or(|known| in_force.from < known.from)
            } else {
                false
            };
            if !better || !self.tells_of(in_force, Span::ALWAYS) {
                continue;
            }
            let grant = fact.rule.grants(external.address, external.port).next();
            let held = grant.and_then(|grant| {
                allocation(fact, in_force, &grant, external.address, external.port)
            });
            if let Some(held) = held {
                match in_force.to <= at {
                    true => nearest.before = Some(held),
                    false => nearest.after = Some(held),
                }
            }
        }
        nearest
    }

    /// The times for which a device's rules say all there is to say of the endpoint.
    pub(crate) fn decided(&self, device: &Device, external: External) -> Vec<Span> {
        let facts = self.of_address(external.address);
        let deciding = facts.filter(|fact| {
            fact.device == *device && fact.rule.decides(external.address, external.port)
        });
        let mut spans = Vec::new();
        for fact in deciding {
            let mut rest = vec![self.span(fact)];
            for gone in self.forgotten.spans() {
                rest = without(&rest, gone);
            }
            spans.extend(rest);
        }
        spans
    }

    /// The parts of `span` that were forgotten and for which a rule was in force on an address.
    pub(crate) fn forgotten(&self, external: Ipv4Addr, span: Span) -> Vec<Span> {
        let Some(until) = self.forgotten.until else {
            return Vec::new();
        };
        let facts = self.of_address(external);
        let spans = facts.map(|fact| {
            let in_force = self.span(fact);
            Span::new(
                in_force.from.max(span.from),
                in_force.to.min(until).min(span.to),
            )
        });
        spans.filter(|span| !span.is_empty()).collect()
    }

    /// The rules of a device that are in force as far as is known.
    pub(crate) fn in_force(&self, device: &Device) -> Vec<InForce> {
        let facts = self.facts.iter().filter(|fact| fact.device == *device);
        let open = facts.filter(|fact| self.span(fact).to == Timestamp::MAX);
        open.map(|fact| InForce {
            rule: Arc::clone(&fact.rule),
            since: fact.from,
        })
        .collect()
    }

    /// Whether a rule of a device that began at a time is told of.
    pub(crate) fn knows(&self, device: &Device, rule: &Arc<Rule>, from: Timestamp) -> bool {
        let named = self.named.get(&(device.clone(), rule.name.clone()));
        let facts = named.into_iter().flat_map(|named| &named.facts);
        let mut facts = facts.filter_map(|place| self.facts.get(*place));
        facts.any(|fact| fact.from == from && fact.rule == *rule)
    }

    /// Whether a record tells nothing new of a rule.
    pub(crate) fn knows_all_of(&self, record: &Record) -> bool {
        match (told(record), &record.event) {
            (Some((rule, from)), _) => self.knows(&record.device, rule, from),
            (None, Event::RuleEnded(name)) => {
                let named = self.named.get(&(record.device.clone(), name.clone()));
                named.is_some_and(|named| named.ends.contains(&record.at))
            }
            _ => false,
        }
    }

    /// When what a record tells of was over: a rule, or the end of one.
    pub(crate) fn over(&self, record: &Record) -> Timestamp {
        let Some((rule, from)) = told(record) else {
            return record.at;
        };
        self.end(&record.device, &rule.name, from)
    }

    fn of_address(&self, external: Ipv4Addr) -> impl Iterator<Item = &Fact> {
        let own = self.by_address.get(&external).into_iter().flatten();
        let places = own.chain(&self.wide);
        let facts = places.filter_map(|place| self.facts.get(*place));
        facts.filter(move |fact| fact.rule.has(external))
    }

    /// When a rule was in force: a microsecond at least.
    fn span(&self, fact: &Fact) -> Span {
        let end = self.end(&fact.device, &fact.rule.name, fact.from);
        Span::new(fact.from, end.max(fact.from.after(Span::TICK)))
    }

    /// When a rule of this name ended that was in force from a time on: with the next one, or when
    /// an end was told.
    fn end(&self, device: &Device, name: &RuleName, from: Timestamp) -> Timestamp {
        let Some(named) = self.named.get(&(device.clone(), name.clone())) else {
            return Timestamp::MAX;
        };
        let told = named.ends.range(from.after(Span::TICK)..).next().copied();
        let facts = named.facts.iter().filter_map(|at| self.facts.get(*at));
        let next = facts
            .map(|next| next.from)
            .filter(|next| from < *next)
            .min();
        told.into_iter().chain(next).min().unwrap_or(Timestamp::MAX)
    }

    /// Whether what was in force is told of within a span: not where all of it is forgotten.
    fn tells_of(&self, in_force: Span, span: Span) -> bool {
        let both = Span::new(in_force.from.max(span.from), in_force.to.min(span.to));
        if both.is_empty() {
            return false;
        }
        let mut rest = vec![both];
        for gone in self.forgotten.spans() {
            rest = without(&rest, gone);
        }
        !rest.is_empty()
    }
}

impl Forgotten {
    fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        let before = self.until.map(|until| Span::new(Timestamp::MIN, until));
        before.into_iter().chain(self.days.iter().copied())
    }
}

/// What is left of spans without another.
pub(crate) fn without(spans: &[Span], gone: Span) -> Vec<Span> {
    let rest = spans.iter().flat_map(|span| {
        [
            Span::new(span.from, span.to.min(gone.from)),
            Span::new(span.from.max(gone.to), span.to),
        ]
    });
    rest.filter(|span| !span.is_empty()).collect()
}

/// What a rule gives its holder of one address; `None` where that is no port.
fn allocation(
    fact: &Fact,
    in_force: Span,
    grant: &Grant,
    external: Ipv4Addr,
    port: Option<u16>,
) -> Option<Allocation> {
    let ports = match port {
        Some(port) => grant.ports.range_around(port)?,
        None => grant.ports.first()?,
    };
    Some(Allocation {
        block: Block {
            subscriber: grant.subscriber.clone(),
            external,
            ports,
            transport: None,
        },
        from: in_force.from,
        to: Some(in_force.to).filter(|to| *to != Timestamp::MAX),
        device: fact.device.clone(),
        record: fact.record,
        by_rule: Some(Box::new(ByRule {
            name: fact.rule.name.clone(),
            ports: grant.ports.clone(),
        })),
    })
}
