//! The index against a list of allocations that is read from one end to the other.

use std::net::Ipv4Addr;

use portledger_model::{
    Allocation, Block, Device, Event, External, Nearest, PortRange, Realm, Record, RecordNumber,
    Span, Subscriber, Timestamp, Transport,
};
use proptest::prelude::*;

use super::Index;

/// The list: each allocation with its release, where one is known.
#[derive(Default)]
struct List(Vec<Item>);

struct Item {
    block: Block,
    from: Timestamp,
    released: Option<Timestamp>,
    device: Device,
    record: u64,
    handed: bool,
}

impl List {
    fn apply(&mut self, number: u64, record: &Record) {
        let (block, from) = match &record.event {
            Event::Allocated(block) => (block, record.at),
            Event::Held { block, since } | Event::Released { block, since } => (block, *since),
            _ => return,
        };
        let same = self
            .0
            .iter()
            .position(|i| i.block == *block && i.from == from);
        let place = same.unwrap_or_else(|| {
            self.0.push(Item {
                block: block.clone(),
                from,
                released: None,
                device: record.device.clone(),
                record: number,
                handed: false,
            });
            self.0.len() - 1
        });
        let item = &mut self.0[place];
        match record.event {
            Event::Released { .. } if item.released.is_none() => {
                item.released = Some(record.at.max(from));
            }
            Event::Allocated(_) if !item.handed => {
                (item.handed, item.record) = (true, number);
            }
            _ => {}
        }
    }

    fn allocations(&self) -> Vec<Allocation> {
        let mut all: Vec<_> = self.0.iter().map(|item| self.allocation(item)).collect();
        all.sort_by_key(|a| a.from);
        all
    }

    fn allocation(&self, item: &Item) -> Allocation {
        let successors = self.0.iter().filter(|other| {
            item.from < other.from
                && other.block.external == item.block.external
                && other.block.ports.overlaps(item.block.ports)
                && item.block.covers(None, other.block.transport)
        });
        Allocation {
            block: item.block.clone(),
            from: item.from,
            to: item
                .released
                .or_else(|| successors.map(|other| other.from).min()),
            device: item.device.clone(),
            record: RecordNumber(item.record),
        }
    }
}

fn external(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, host)
}

/// Blocks as they come: aligned ones of several sizes, single ports, RFC 7422's odd ranges.
fn ports() -> impl Strategy<Value = PortRange> {
    let aligned = (prop::sample::select(vec![64_u16, 256, 4_096]), 0..3_u16)
        .prop_map(|(size, n)| PortRange::new(4_096 + n * size, 4_096 + (n + 1) * size - 1));
    let odd = (0..3_u16).prop_map(|n| PortRange::new(1_024 + n * 3_584, 1_023 + (n + 1) * 3_584));
    let single = (4_150..4_170_u16).prop_map(|port| Ok(PortRange::single(port)));
    prop_oneof![4 => aligned, 1 => odd, 2 => single].prop_map(Result::unwrap)
}

fn block() -> impl Strategy<Value = Block> {
    let transport = prop_oneof![
        5 => Just(None),
        1 => Just(Some(Transport::Tcp)),
        1 => Just(Some(Transport::Udp)),
    ];
    (0..4_u8, 0..2_u8, ports(), transport).prop_map(|(who, host, ports, transport)| Block {
        subscriber: Subscriber::new(
            Realm::new(["west", "east"][usize::from(who / 2)]).unwrap(),
            Ipv4Addr::new(100, 64, 0, who % 2).into(),
        ),
        external: external(host),
        ports,
        transport,
    })
}

/// A block's life: handed out, perhaps said to be still held, perhaps given back; any of it may
/// be lost, and arrive in any order.
fn life() -> impl Strategy<Value = Vec<(u32, Record)>> {
    let times = (0..60_i64, -2..20_i64);
    (
        block(),
        times,
        any::<[bool; 4]>(),
        any::<[u32; 4]>(),
        0..2_u8,
    )
        .prop_map(|(block, (from, lasts), heard, order, device)| {
            let since = Timestamp::from_secs(from);
            let to = Timestamp::from_secs(from + lasts);
            let record = |at, event| Record {
                at,
                device: Device::new(["cgn1", "cgn2"][usize::from(device)]).unwrap(),
                event,
            };
            let released = || Event::Released {
                block: block.clone(),
                since,
            };
            let all = [
                record(since, Event::Allocated(block.clone())),
                record(
                    to,
                    Event::Held {
                        block: block.clone(),
                        since,
                    },
                ),
                record(to, released()),
                record(to.max(Timestamp::from_secs(30)), released()),
            ];
            let parts = all.into_iter().zip(heard).zip(order);
            parts
                .filter(|((_, heard), _)| *heard)
                .map(|((r, _), order)| (order, r))
                .collect()
        })
}

/// Many lives; in order of time, or shuffled.
fn history() -> impl Strategy<Value = Vec<Record>> {
    (prop::collection::vec(life(), 1..40), any::<bool>()).prop_map(|(lives, shuffled)| {
        let mut all: Vec<_> = lives.into_iter().flatten().collect();
        all.sort_by_key(|(order, record)| {
            if shuffled {
                i64::from(*order)
            } else {
                record.at.as_micros()
            }
        });
        all.into_iter().map(|(_, record)| record).collect()
    })
}

fn sorted(mut found: Vec<Allocation>) -> Vec<Allocation> {
    found.sort_by_key(|a| (a.from, a.record));
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn the_index_says_what_the_list_says(
        history in history(),
        together in any::<bool>(),
        asked in prop::collection::vec((0..3_u8, prop::option::of(prop_oneof![4_090..4_180_u16, 0..12_000_u16]), 0..4_u8, 0..90_i64, 0..12_i64), 1..20),
    ) {
        let (mut index, mut list) = (Index::default(), List::default());
        for (number, record) in (0..).zip(&history) {
            list.apply(number, record);
            if !together {
                index.apply(RecordNumber(number), record).unwrap();
            }
        }
        if together {
            let numbered: Vec<_> = (0..).map(RecordNumber).zip(history).collect();
            for chunk in numbered.chunks(13) {
                index.apply_all(chunk).unwrap();
            }
        }
        let all = list.allocations();
        let open = all.iter().filter(|a| a.to.is_none()).count() as u64;
        prop_assert_eq!(index.counts(), (all.len() as u64, open));

        for (host, port, transport, from, lasts) in asked {
            let transport = transport.checked_sub(1).map(|t| Transport::ALL[usize::from(t)]);
            let endpoint = External { address: external(host), port, transport };
            let at = Timestamp::from_secs(from);
            let span = Span::new(at, Timestamp::from_secs(from + lasts));
            let mine: Vec<_> = all.iter().filter(|a| a.block.external == endpoint.address && a.block.covers(port, transport)).collect();

            let expected = mine.iter().filter(|a| a.span().overlaps(span)).map(|a| (*a).clone()).collect();
            let found = index.holders(endpoint, span);
            prop_assert!(found.is_sorted_by_key(|a| a.from));
            prop_assert_eq!(sorted(found), sorted(expected));

            let Nearest { before, after } = index.nearest(endpoint, at);
            prop_assert_eq!(before.map(|a| a.to), mine.iter().map(|a| a.to).filter(|to| to.is_some_and(|to| to <= at)).max());
            prop_assert_eq!(after.map(|a| a.from), mine.iter().map(|a| a.from).filter(|from| at < *from).min());

            for subscriber in all.iter().map(|a| &a.block.subscriber).take(3) {
                let expected = all.iter().filter(|a| a.block.subscriber == *subscriber && a.span().overlaps(span)).cloned().collect();
                prop_assert_eq!(sorted(index.by_subscriber(subscriber, span)), sorted(expected));
            }
        }
        for device in ["cgn1", "cgn2"].map(|name| Device::new(name).unwrap()) {
            let of = |open: bool| all.iter().filter(|a| a.device == device && a.to.is_none() == open).cloned().collect::<Vec<_>>();
            prop_assert_eq!(sorted(index.open_of(&device)), sorted(of(true)));
            prop_assert_eq!(sorted(index.ended_of(&device, Timestamp::MIN)), sorted(of(false)));
        }
    }
}

#[test]
fn ten_thousand_lives_of_one_block_are_found_one_by_one() {
    let mut index = Index::default();
    let block = crate::testing::block("100.64.3.9", 1_024, 1_279);
    for n in 0..10_000 {
        let record = crate::testing::record(n * 10, Event::Allocated(block.clone()));
        index
            .apply(RecordNumber(n.cast_unsigned()), &record)
            .unwrap();
    }
    let endpoint = External {
        address: crate::testing::EXTERNAL,
        port: Some(1_100),
        transport: None,
    };
    let at = Timestamp::from_secs(45_675);
    let found = index.holders(
        endpoint,
        Span::new(at, at.after(std::time::Duration::from_secs(1))),
    );
    assert_eq!(
        found.iter().map(|a| a.record.0).collect::<Vec<_>>(),
        [4_567]
    );
    assert_eq!(index.counts(), (10_000, 1));
}
