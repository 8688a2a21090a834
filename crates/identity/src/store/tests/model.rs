//! The store against a plain list.

use std::net::Ipv6Addr;

use portledger_model::{Internal, Ipv6Prefix};
use proptest::prelude::*;

use super::*;
use crate::row::tests::intervals;

#[derive(Debug, Clone)]
enum Deed {
    Import(Vec<Interval>),
    Forget(i64),
    Compact,
    OpenAgain,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        4 => prop::collection::vec(intervals(), 0..12).prop_map(Deed::Import),
        1 => (-20..20_i64).prop_map(Deed::Forget),
        1 => Just(Deed::Compact),
        1 => Just(Deed::OpenAgain),
    ];
    prop::collection::vec(deed, 1..7)
}

/// The store as plainly as it can be said.
#[derive(Default)]
struct Model(Vec<Interval>);

impl Model {
    fn import(&mut self, table: &[Interval]) {
        let begins_alike = |one: &Interval, two: &Interval| {
            (one.realm(), one.prefix(), one.from()) == (two.realm(), two.prefix(), two.from())
        };
        self.0
            .retain(|old| !table.iter().any(|new| begins_alike(old, new)));
        for new in table {
            if !self.0.contains(new) {
                self.0.push(new.clone());
            }
        }
    }

    fn at(&self, subscriber: &Subscriber, span: Span) -> Vec<Vec<u8>> {
        let found = self.0.iter().filter(|interval| {
            interval.realm() == subscriber.realm()
                && interval.prefix().overlaps(subscriber.internal().into())
                && interval.span().overlaps(span)
        });
        sorted(found)
    }
}

fn sorted<'a>(intervals: impl Iterator<Item = &'a Interval>) -> Vec<Vec<u8>> {
    let mut rows: Vec<_> = intervals.map(row::encode).collect();
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_store_says_what_a_plain_list_says(deeds in deeds(), questions in prop::collection::vec((0..3_usize, 0..8_u8, 0..4_u8, 0..10_u8, -22..22_i64, 1..9_i64), 12)) {
        let place = Place::new();
        let mut store = place.open();
        let mut model = Model::default();
        for deed in deeds {
            match deed {
                Deed::Import(table) => {
                    let imported = store.insert(table.clone()).unwrap();
                    prop_assert_eq!(imported.rows + imported.repeated, table.len() as u64);
                    model.import(&table);
                }
                Deed::Forget(limit) => {
                    let limit = Timestamp::from_micros(limit);
                    let before = model.0.len() as u64;
                    model.0.retain(|interval| interval.span().to > limit);
                    let kept = model.0.len() as u64;
                    let forgotten = store.forget_before(limit).unwrap();
                    prop_assert_eq!(forgotten.forgotten, before - kept);
                }
                Deed::Compact => {
                    store.compact().unwrap();
                    prop_assert!(store.files().unwrap() <= 1);
                }
                Deed::OpenAgain => store = place.open(),
            }
            for (realm, last, kind, length, from, lasts) in &questions {
                let realm = Realm::new(["a", "ab", "default"][*realm]).unwrap();
                let network = Ipv6Addr::from([0x2001, 0xdb8, 0, u16::from(*last) << 6, 0, 0, 0, 1]);
                let prefix = Ipv6Prefix::around(network, 50 + *length).unwrap();
                let internal = match kind {
                    0 => Internal::Address([100, 64, 0, *last].into()),
                    1 => Internal::Prefix(network.into()),
                    2 => Internal::Prefix(prefix),
                    _ => Internal::Softwire(prefix),
                };
                let subscriber = Subscriber::of(realm, internal);
                let span = Span::new(Timestamp::from_micros(*from), Timestamp::from_micros(from + lasts));
                let found = store.at(&subscriber, span).unwrap();
                prop_assert!(found.is_sorted_by_key(Interval::from));
                prop_assert_eq!(sorted(found.iter()), model.at(&subscriber, span));
            }
        }
        prop_assert_eq!(all(&store), sorted(model.0.iter()));
        place.assert_tidy(&store);
    }
}
