//! The ledger against a list of allocations that is read from one end to the other: whatever is
//! flushed, merged and sealed in between, the answers are the same.

use std::net::Ipv4Addr;

use portledger_model::{
    Allocation, Block, Device, Event, Evidence as _, External, Nearest, PortRange, Realm, Record,
    RecordNumber, Span, Subscriber, Timestamp, Transport,
};
use proptest::prelude::*;

use crate::{Keeper, Ledger, Options, Writer, keeper::Sizes};

mod rules;

/// A step of the histories' time: some hours, so that they touch many days.
fn time(steps: i64) -> Timestamp {
    Timestamp::from_secs(1_790_000_000 + steps * 7_777)
}

/// The list: each allocation with its release, where one is known.
#[derive(Default)]
struct List(Vec<Item>);

struct Item {
    block: Block,
    from: Timestamp,
    released: Option<Timestamp>,
    device: Device,
    record: u64,
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
            });
            self.0.len() - 1
        });
        let item = &mut self.0[place];
        if let Event::Released { .. } = record.event {
            // The earliest counts: a port that may have been free has no holder.
            let released = record.at.max(from);
            item.released = item.released.into_iter().chain([released]).min();
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
            by_rule: None,
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

/// Of two realms that use the same addresses, and of all kinds.
fn subscriber(who: u8) -> Subscriber {
    let internal = [
        "100.64.0.0",
        "100.64.0.1",
        "2001:db8:0:100::/56",
        "softwire 2001:db8:0:101::9",
    ];
    Subscriber::of(
        Realm::new(["west", "east"][usize::from(who / 4)]).unwrap(),
        internal[usize::from(who % 4)].parse().unwrap(),
    )
}

fn block() -> impl Strategy<Value = Block> {
    let transport = prop_oneof![
        5 => Just(None),
        1 => Just(Some(Transport::Tcp)),
        1 => Just(Some(Transport::Udp)),
    ];
    (0..8_u8, 0..2_u8, ports(), transport).prop_map(|(who, host, ports, transport)| Block {
        subscriber: subscriber(who),
        external: external(host),
        ports,
        transport,
    })
}

/// A block's life: handed out, perhaps said to be still held, perhaps given back; any of it may
/// be lost, and arrive in any order.
fn life() -> impl Strategy<Value = Vec<(u32, Record)>> {
    let times = (0..60_i64, -2..20_i64);
    (block(), times, any::<[bool; 4]>(), any::<[u32; 4]>()).prop_map(
        |(block, (from, lasts), heard, order)| {
            let since = time(from);
            let to = time(from + lasts);
            let record = |at, event| Record {
                at,
                device: Device::new(["cgn1", "cgn2"][usize::from(block.external.octets()[3] % 2)])
                    .unwrap(),
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
                record(to.max(time(30)), released()),
            ];
            let parts = all.into_iter().zip(heard).zip(order);
            parts
                .filter(|((_, heard), _)| *heard)
                .map(|((r, _), order)| (order, r))
                .collect()
        },
    )
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

/// What is done between two records.
#[derive(Debug, Clone, Copy)]
enum Chore {
    Nothing,
    Flush,
    /// Days that ended before this step are sealed.
    Seal(i64),
    /// The same, by a keeper that is killed after so many changes of what is on the disk.
    Crash(i64, u64),
}

fn chore() -> impl Strategy<Value = Chore> {
    prop_oneof![
        6 => Just(Chore::Nothing),
        3 => Just(Chore::Flush),
        1 => (0..90_i64).prop_map(Chore::Seal),
    ]
}

/// As [`chore`], by keepers that are killed at times.
fn crashing_chore() -> impl Strategy<Value = Chore> {
    prop_oneof![
        9 => chore(),
        2 => (0..90_i64, 0..40_u64).prop_map(|(step, changes)| Chore::Crash(step, changes)),
    ]
}

/// A folder, in memory where there is such a place: thousands of syncs take minutes on a disk.
fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

fn writer(dir: &std::path::Path) -> Writer {
    let options = Options {
        file_bytes: 2_000,
        ..Options::default()
    };
    Writer::open(dir, options).unwrap().0
}

fn keeper(dir: &std::path::Path) -> Keeper {
    let mut keeper = Keeper::open(dir).unwrap();
    keeper.set_sizes(Sizes { part: 1, fan_in: 3 });
    keeper
}

fn written(history: &[Record], chores: &[Chore]) -> (tempfile::TempDir, Ledger) {
    let dir = folder();
    let (mut writer, mut keeper) = (writer(dir.path()), keeper(dir.path()));
    for (record, chore) in history
        .iter()
        .zip(chores.iter().chain(std::iter::repeat(&Chore::Nothing)))
    {
        writer.append(std::slice::from_ref(record)).unwrap();
        writer.sync().unwrap();
        match chore {
            Chore::Nothing => {}
            Chore::Flush => {
                keeper.flush().unwrap();
            }
            // No day is sealed before it is over; late records may still come for it.
            Chore::Seal(step) => {
                keeper.seal(time(*step).min(record.at)).unwrap();
            }
            Chore::Crash(step, changes) => {
                keeper.fail_after(*changes);
                let _ = keeper.seal(time(*step).min(record.at));
                drop(keeper);
                keeper = self::keeper(dir.path());
            }
        }
    }
    if chores.len() % 2 == 1 {
        keeper.seal(time(200)).unwrap();
    }
    drop(writer);
    let ledger = Ledger::read(dir.path()).unwrap();
    (dir, ledger)
}

/// What is asked: of an address, a port or all, a transport or all, from a step on for so many.
type Question = (u8, Option<u16>, u8, i64, i64);

fn questions() -> impl Strategy<Value = Vec<Question>> {
    let port = prop::option::of(prop_oneof![4_090..4_180_u16, 0..12_000_u16]);
    prop::collection::vec((0..3_u8, port, 0..4_u8, 0..90_i64, 0..12_i64), 1..20)
}

/// Whether a ledger to which all this happened answers as the list does.
fn agrees(history: &[Record], chores: &[Chore], asked: Vec<Question>) -> Result<(), TestCaseError> {
    let mut list = List::default();
    for (number, record) in (0..).zip(history) {
        list.apply(number, record);
    }
    let (_dir, ledger) = written(history, chores);
    let all = list.allocations();
    for (host, port, transport, from, lasts) in asked {
        let transport = transport
            .checked_sub(1)
            .map(|t| Transport::ALL[usize::from(t)]);
        let endpoint = External {
            address: external(host),
            port,
            transport,
        };
        let at = time(from);
        let span = Span::new(at, time(from + lasts));
        let mine: Vec<_> = all
            .iter()
            .filter(|a| a.block.external == endpoint.address && a.block.covers(port, transport))
            .collect();

        let expected = mine
            .iter()
            .filter(|a| a.span().overlaps(span))
            .map(|a| (*a).clone())
            .collect();
        let found = ledger.holders(endpoint, span).unwrap();
        prop_assert!(found.is_sorted_by_key(|a| a.from));
        prop_assert_eq!(sorted(found), sorted(expected));

        let Nearest { before, after } = ledger.nearest(endpoint, at).unwrap();
        prop_assert_eq!(
            before.map(|a| a.span().to),
            mine.iter()
                .map(|a| a.span().to)
                .filter(|to| *to <= at)
                .max()
        );
        prop_assert_eq!(
            after.map(|a| a.from),
            mine.iter().map(|a| a.from).filter(|from| at < *from).min()
        );

        let asked = [
            "2001:db8:0:101::9",
            "2001:db8::/48",
            "softwire 2001:db8:0:101::/64",
        ];
        let asked = asked
            .map(|internal| Subscriber::of(Realm::new("west").unwrap(), internal.parse().unwrap()));
        let held = all.iter().map(|a| &a.block.subscriber).take(3);
        for asked in held.chain(&asked) {
            let expected = all
                .iter()
                .filter(|a| a.block.subscriber.meets(asked) && a.span().overlaps(span))
                .cloned()
                .collect();
            prop_assert_eq!(
                sorted(ledger.by_subscriber(asked, span).unwrap()),
                sorted(expected)
            );
        }
    }
    for device in ["cgn1", "cgn2"].map(|name| Device::new(name).unwrap()) {
        let open: Vec<_> = all
            .iter()
            .filter(|a| a.device == device && a.to.is_none())
            .map(|a| (a.from, a.block.clone()))
            .collect();
        let resume = ledger.resume(&device, time(80)).unwrap();
        let mut found: Vec<_> = resume
            .map(|r| r.open)
            .unwrap_or_default()
            .into_iter()
            .map(|h| (h.since, h.block))
            .collect();
        let mut open = open;
        let key = |(from, block): &(Timestamp, Block)| {
            (
                *from,
                block.external,
                block.ports,
                block.transport,
                block.subscriber.clone(),
            )
        };
        open.sort_by_key(key);
        found.sort_by_key(key);
        prop_assert_eq!(found, open);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_says_what_the_list_says(
        history in history(),
        chores in prop::collection::vec(chore(), 0..100),
        asked in questions(),
    ) {
        agrees(&history, &chores, asked)?;
    }

    #[test]
    fn the_ledger_says_it_whenever_sealing_is_killed(
        history in history(),
        chores in prop::collection::vec(crashing_chore(), 0..100),
        asked in questions(),
    ) {
        agrees(&history, &chores, asked)?;
    }
}

/// A ledger may begin while ports are held since the day before, and be told of still earlier days
/// when the first is sealed.
#[test]
fn a_day_that_is_no_longer_the_first_still_has_what_was_held_into_it() {
    let held_since = |since| Block {
        subscriber: Subscriber::new(Realm::default(), Ipv4Addr::new(100, 64, 0, 1).into()),
        external: external(since),
        ports: PortRange::new(4_096, 4_159).unwrap(),
        transport: None,
    };
    let record = |step, event| Record {
        at: time(step),
        device: Device::new("cgn1").unwrap(),
        event,
    };
    let history = [
        record(
            18,
            Event::Held {
                block: held_since(0),
                since: time(16),
            },
        ),
        record(40, Event::Heartbeat),
        record(0, Event::Allocated(held_since(1))),
        record(1, Event::Heartbeat),
    ];
    let chores = [
        Chore::Nothing,
        Chore::Seal(40),
        Chore::Flush,
        Chore::Seal(1),
    ];
    let (_dir, ledger) = written(&history, &chores);
    let endpoint = External {
        address: external(0),
        port: Some(4_100),
        transport: None,
    };
    let held = ledger
        .holders(endpoint, Span::new(time(20), time(21)))
        .unwrap();
    assert_eq!(held.len(), 1);
    assert_eq!((held[0].from, held[0].record), (time(16), RecordNumber(0)));
}

/// Lives of which releases and beginnings are lost, in order of time, and then late records.
fn lossy_lives() -> (Vec<Record>, Vec<Record>) {
    let (mut in_time, mut late) = (Vec::new(), Vec::new());
    for n in 0..30_i64 {
        let block = Block {
            subscriber: Subscriber::new(
                Realm::default(),
                Ipv4Addr::new(100, 64, 0, n as u8).into(),
            ),
            external: external(0),
            ports: PortRange::new(4_096 + 64 * (n % 4) as u16, 4_159 + 64 * (n % 4) as u16)
                .unwrap(),
            transport: None,
        };
        let (since, until) = (time(2 * n), time(2 * n + 5));
        let record = |at, event| Record {
            at,
            device: Device::new("cgn1").unwrap(),
            event,
        };
        let begun = record(since, Event::Allocated(block.clone()));
        let ended = record(until, Event::Released { block, since });
        match n % 6 {
            0 => in_time.push(begun),
            1 => in_time.push(ended),
            2 => late.extend([begun, ended]),
            3 => {
                in_time.push(begun);
                late.push(ended);
            }
            _ => in_time.extend([begun, ended]),
        }
    }
    in_time.sort_by_key(|record| record.at);
    (in_time, late)
}

#[test]
fn a_crash_at_any_change_of_what_is_sealed_loses_nothing_and_names_nobody_else() {
    let (in_time, late) = lossy_lives();
    let check = |dir: &std::path::Path, told: &[&[Record]], when: &str| {
        let mut list = List::default();
        for (number, record) in (0..).zip(told.iter().copied().flatten()) {
            list.apply(number, record);
        }
        let (all, ledger) = (list.allocations(), Ledger::read(dir).unwrap());
        let address = External {
            address: external(0),
            port: None,
            transport: None,
        };
        for step in 0..70 {
            let span = Span::new(time(step), time(step + 1));
            let expected = all.iter().filter(|a| a.span().overlaps(span)).cloned();
            let found = ledger.holders(address, span).unwrap();
            assert_eq!(sorted(found), sorted(expected.collect()), "{when}, {step}");
        }
    };
    let mut crashes = 0;
    for changes in 0.. {
        let dir = folder();
        let mut failed = false;
        let mut keep = |told: &[&[Record]]| {
            let mut keeper = keeper(dir.path());
            if !failed {
                keeper.fail_after(changes);
                failed = keeper.flush().and_then(|_| keeper.seal(time(66))).is_err();
                drop(keeper);
                check(dir.path(), told, &format!("after {changes} changes"));
            }
        };
        writer(dir.path()).append(&in_time).unwrap();
        keep(&[&in_time]);
        writer(dir.path()).append(&late).unwrap();
        keep(&[&in_time, &late]);
        keeper(dir.path()).seal(time(66)).unwrap();
        check(
            dir.path(),
            &[&in_time, &late],
            &format!("mended after {changes} changes"),
        );
        if !failed {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 50, "{crashes}");
}
