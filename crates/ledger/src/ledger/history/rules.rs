//! Rules beside allocations, against a list of both: whatever is flushed, merged and sealed in
//! between, and in whatever order they are told.

use std::sync::Arc;

use portledger_model::{
    AddressRanges, ByRule, DeterministicRule, MapRule, PortMask, PortSet, Rule, RuleName, Sharing,
    SoftwireBinding,
};

use super::*;
use crate::verify;

/// Rules of all kinds on the addresses of [`external`].
fn sharing() -> Vec<Sharing> {
    let outside = || AddressRanges::new(vec![(external(0), external(1))]).unwrap();
    let ports = PortRange::new(1_024, 65_535).unwrap();
    let deterministic = |compression, each| {
        let inside = "100.64.0.0/29".parse().unwrap();
        let rule = DeterministicRule::new(inside, outside(), ports, compression, each);
        Sharing::Deterministic(rule.unwrap())
    };
    let map = |ipv6: &str, offset| {
        let ipv4 = "203.0.113.0/30".parse().unwrap();
        Sharing::Map(MapRule::new(ipv6.parse().unwrap(), ipv4, 6, offset).unwrap())
    };
    let binding = |host, ports| {
        Sharing::Softwire(SoftwireBinding {
            b4: format!("2001:db8:4::{host}").parse().unwrap(),
            ipv4: external(host),
            ports,
        })
    };
    vec![
        deterministic(4, 3_584),
        deterministic(8, 8_064),
        map("2001:db8::/40", 6),
        map("2001:db8:ff00::/40", 0),
        binding(0, PortSet::Range(PortRange::new(4_096, 8_191).unwrap())),
        binding(1, PortSet::Mask(PortMask::new(4_096, 0xf0f0))),
    ]
}

fn rule() -> impl Strategy<Value = Arc<Rule>> {
    let parts = (0..2_usize, 0..2_usize, prop::sample::select(sharing()));
    parts.prop_map(|(name, realm, sharing)| {
        Arc::new(Rule {
            name: RuleName::new(["a", "b"][name]).unwrap(),
            realm: Realm::new(["west", "east"][realm]).unwrap(),
            sharing,
        })
    })
}

fn told() -> impl Strategy<Value = (u32, Record)> {
    let event = (rule(), 0..5_u8, 0..60_i64, -2..20_i64);
    (event, 0..2_usize, any::<u32>()).prop_map(|((rule, kind, from, lasts), device, order)| {
        let (at, event) = match kind {
            0..3 => (time(from), Event::RuleBegan(rule)),
            3 => {
                let since = time(from);
                (time(from + lasts), Event::RuleHeld { rule, since })
            }
            _ => (time(from), Event::RuleEnded(rule.name.clone())),
        };
        let device = Device::new(["cgn1", "cgn2"][device]).unwrap();
        (order, Record { at, device, event })
    })
}

fn told_history() -> impl Strategy<Value = Vec<Record>> {
    let told = prop::collection::vec(told(), 1..12);
    (told, history(), any::<bool>()).prop_map(|(told, history, shuffled)| {
        let mut all = told;
        let lives = history.into_iter().enumerate();
        all.extend(lives.map(|(n, record)| ((n as u32).wrapping_mul(0x9e37_79b9), record)));
        all.sort_by_key(|(order, record)| match shuffled {
            true => i64::from(*order),
            false => record.at.as_micros(),
        });
        all.into_iter().map(|(_, record)| record).collect()
    })
}

struct Fact {
    device: Device,
    rule: Arc<Rule>,
    from: Timestamp,
    to: Timestamp,
    record: u64,
}

/// The rules that records tell of, each with its end.
fn facts(records: &[Record]) -> Vec<Fact> {
    let mut facts: Vec<Fact> = Vec::new();
    for (number, record) in (0..).zip(records) {
        let (rule, from) = match &record.event {
            Event::RuleBegan(rule) => (rule, record.at),
            Event::RuleHeld { rule, since } => (rule, *since),
            _ => continue,
        };
        let is_it = |f: &Fact| f.device == record.device && f.rule == *rule && f.from == from;
        if !facts.iter().any(is_it) {
            facts.push(Fact {
                device: record.device.clone(),
                rule: Arc::clone(rule),
                from,
                to: Timestamp::MAX,
                record: number,
            });
        }
    }
    let ends: Vec<_> = facts
        .iter()
        .map(|f| (f.device.clone(), f.rule.name.clone(), f.from))
        .chain(records.iter().filter_map(|r| match &r.event {
            Event::RuleEnded(name) => Some((r.device.clone(), name.clone(), r.at)),
            _ => None,
        }))
        .collect();
    for fact in &mut facts {
        let of_it = |(device, name, at): &&(Device, RuleName, Timestamp)| {
            *device == fact.device && *name == fact.rule.name && fact.from < *at
        };
        let end = ends.iter().filter(of_it).map(|(_, _, at)| *at).min();
        fact.to = end.unwrap_or(Timestamp::MAX);
    }
    facts
}

/// What facts give of an address, port by port where one is asked for.
fn by_rules(facts: &[Fact], external: External) -> Vec<Allocation> {
    let mut all = Vec::new();
    for fact in facts {
        for grant in fact.rule.grants(external.address, None) {
            let ports = match external.port {
                Some(port) => grant.ports.ranges().find(|range| range.contains(port)),
                None => grant.ports.ranges().next(),
            };
            if let Some(ports) = ports {
                all.push(Allocation {
                    block: Block {
                        subscriber: grant.subscriber,
                        external: external.address,
                        ports,
                        transport: None,
                    },
                    from: fact.from,
                    to: Some(fact.to).filter(|to| *to != Timestamp::MAX),
                    device: fact.device.clone(),
                    record: RecordNumber(fact.record),
                    by_rule: Some(Box::new(ByRule {
                        name: fact.rule.name.clone(),
                        ports: grant.ports,
                    })),
                });
            }
        }
    }
    all
}

fn ordered(mut found: Vec<Allocation>) -> Vec<Allocation> {
    found.sort_by_key(|a| (a.from, a.record, a.block.ports, a.block.subscriber.clone()));
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn rules_and_allocations_answer_together(
        history in told_history(),
        chores in prop::collection::vec(chore(), 0..100),
        asked in prop::collection::vec((0..3_u8, prop::option::of(prop_oneof![4_090..4_180_u16, 0..12_000_u16]), 0..90_i64, 0..12_i64), 1..20),
    ) {
        let mut list = List::default();
        for (number, record) in (0..).zip(&history) {
            list.apply(number, record);
        }
        let facts = facts(&history);
        let (dir, ledger) = written(&history, &chores);
        for (host, port, from, lasts) in asked {
            let endpoint = External { address: external(host), port, transport: None };
            let (at, span) = (time(from), Span::new(time(from), time(from + lasts)));
            let mut all = list.allocations();
            all.retain(|a| a.block.external == endpoint.address && a.block.covers(port, None));
            all.extend(by_rules(&facts, endpoint));

            let found = ledger.holders(endpoint, span).unwrap();
            prop_assert!(found.is_sorted_by_key(|a| a.from));
            let expected = all.iter().filter(|a| a.span().overlaps(span)).cloned();
            prop_assert_eq!(ordered(found), ordered(expected.collect()));

            let Nearest { before, after } = ledger.nearest(endpoint, at).unwrap();
            prop_assert_eq!(before.map(|a| a.span().to), all.iter().map(|a| a.span().to).filter(|to| *to <= at).max());
            prop_assert_eq!(after.map(|a| a.from), all.iter().map(|a| a.from).filter(|from| at < *from).min());

            // Whoever is found on an address is found by name, with the same.
            let mut who: Vec<_> = all.iter().map(|a| a.block.subscriber.clone()).collect();
            who.truncate(3);
            for subscriber in who {
                let found = ledger.by_subscriber(&subscriber, span).unwrap();
                let on_it = found.into_iter().filter(|a| a.block.external == endpoint.address);
                let whole = External { port: None, ..endpoint };
                let expected = list.allocations().into_iter().filter(|a| a.block.external == endpoint.address).chain(by_rules(&facts, whole));
                let expected = expected.filter(|a| a.block.subscriber.meets(&subscriber) && a.span().overlaps(span));
                prop_assert_eq!(ordered(on_it.collect()), ordered(expected.collect()));
            }
        }
        for device in ["cgn1", "cgn2"].map(|name| Device::new(name).unwrap()) {
            let open = facts.iter().filter(|f| f.device == device && f.to == Timestamp::MAX);
            let mut open: Vec<_> = open.map(|f| (f.from, Arc::clone(&f.rule))).collect();
            let mut found: Vec<_> = ledger.rules_in_force(&device).into_iter().map(|f| (f.since, f.rule)).collect();
            open.sort();
            found.sort();
            prop_assert_eq!(found, open);
        }
        let verified = verify(dir.path(), &[], |_, _| {}).unwrap();
        prop_assert!(verified.problems.iter().all(|p| !p.what.contains("rule")), "{:?}", verified.problems);
    }
}

#[test]
fn a_crash_at_any_change_of_what_is_sealed_keeps_the_rules() {
    let record = |at, event| Record {
        at,
        device: Device::new("cgn1").unwrap(),
        event,
    };
    let rule = |n: usize| {
        Arc::new(Rule {
            name: RuleName::new("a").unwrap(),
            realm: Realm::default(),
            sharing: sharing()[n].clone(),
        })
    };
    let (lives, _) = lossy_lives();
    let mut all = vec![
        record(time(1), Event::RuleBegan(rule(0))),
        record(time(20), Event::RuleBegan(rule(2))),
        record(
            time(40),
            Event::RuleHeld {
                rule: rule(2),
                since: time(20),
            },
        ),
        record(time(50), Event::RuleEnded(rule(2).name.clone())),
    ];
    all.extend(lives);
    all.sort_by_key(|record| record.at);
    let expected = facts(&all);
    let endpoint = External {
        address: external(0),
        port: Some(5_000),
        transport: None,
    };
    for changes in 0.. {
        let dir = folder();
        writer(dir.path()).append(&all).unwrap();
        let mut keeper = keeper(dir.path());
        keeper.fail_after(changes);
        let failed = keeper.flush().and_then(|_| keeper.seal(time(66))).is_err();
        drop(keeper);
        let ledger = Ledger::read(dir.path()).unwrap();
        for step in 0..70 {
            let span = Span::new(time(step), time(step + 1));
            let mut found = ledger.holders(endpoint, span).unwrap();
            found.retain(|held| held.by_rule.is_some());
            let mut all = by_rules(&expected, endpoint);
            all.retain(|held| held.span().overlaps(span));
            assert_eq!(
                ordered(found),
                ordered(all),
                "after {changes} changes, {step}"
            );
        }
        if !failed {
            assert!(changes > 10, "{changes}");
            break;
        }
    }
}
