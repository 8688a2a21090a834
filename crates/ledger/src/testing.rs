//! Records and failing disks for tests.

use std::{
    io,
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use portledger_model::{
    AddressRanges, Block, DeterministicRule, Device, Durability, Event, HeldPortSet, Internal,
    Ipv6Prefix, Level, Limit, MAX_RULE_RANGES, MapRule, PortMask, PortParameters, PortRange,
    PortSet, Realm, Record, Rule, RuleName, Sharing, SoftwireBinding, Start, Subscriber, Timestamp,
    Transport,
};
use proptest::prelude::*;

use crate::log::disk::{Disk, LogFile, Real};

/// The one external address of most tests.
pub(crate) const EXTERNAL: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// A time in seconds of the tests' own reckoning.
pub(crate) fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// A block on [`EXTERNAL`].
pub(crate) fn block(internal: &str, first: u16, last: u16) -> Block {
    Block {
        subscriber: Subscriber::of(Realm::default(), internal.parse().unwrap()),
        external: EXTERNAL,
        ports: PortRange::new(first, last).unwrap(),
        transport: None,
    }
}

/// An event of the device `cgn1`.
pub(crate) fn record(secs: i64, event: Event) -> Record {
    record_of("cgn1", secs, event)
}

/// An event of any device.
pub(crate) fn record_of(device: &str, secs: i64, event: Event) -> Record {
    Record {
        at: at(secs),
        device: Device::new(device).unwrap(),
        event,
    }
}

/// A start that promises everything.
pub(crate) fn start() -> Start {
    Start {
        clock_error: Duration::from_millis(10),
        guard_time: Duration::from_secs(120),
        durability: Durability::LogBeforeUse,
        continues: true,
        heartbeat: None,
    }
}

/// The n-th block handed out by `cgn1`, a second after the one before.
pub(crate) fn nth(n: u32) -> Record {
    let internal = Ipv4Addr::from_bits(0x6440_0000 + n).to_string();
    let first = u16::try_from(1_024 + n % 1_000 * 64).unwrap();
    record(
        n.into(),
        Event::Allocated(block(&internal, first, first + 63)),
    )
}

/// A disk that fails when told to. Clones share what they were told.
#[derive(Clone, Default)]
pub(crate) struct Failing(Arc<Mutex<Failures>>);

#[derive(Default)]
struct Failures {
    room: Option<usize>,
    sync: bool,
    cut: bool,
}

impl Failing {
    /// Room for so many more bytes; `None` is enough.
    pub(crate) fn set_room(&self, room: Option<usize>) {
        self.0.lock().unwrap().room = room;
    }

    /// Whether syncs fail.
    pub(crate) fn set_sync(&self, fails: bool) {
        self.0.lock().unwrap().sync = fails;
    }

    /// Whether cutting back fails.
    pub(crate) fn set_cut(&self, fails: bool) {
        self.0.lock().unwrap().cut = fails;
    }

    fn wrap(&self, file: Box<dyn LogFile>) -> Box<dyn LogFile> {
        let failures = self.clone();
        Box::new(FailingFile { file, failures })
    }
}

impl Disk for Failing {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(self.wrap(Real.create(path)?))
    }

    fn open(&self, path: &Path, length: u64, from: u64) -> io::Result<Box<dyn LogFile>> {
        Ok(self.wrap(Real.open(path, length, from)?))
    }
}

struct FailingFile {
    file: Box<dyn LogFile>,
    failures: Failing,
}

impl LogFile for FailingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut failures = self.failures.0.lock().unwrap();
        if let Some(room) = &mut failures.room {
            let fits = bytes.len().min(*room);
            self.file.write(&bytes[..fits])?;
            *room -= fits;
            if fits < bytes.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            return Ok(());
        }
        self.file.write(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if self.failures.0.lock().unwrap().cut {
            return Err(io::Error::other("injected"));
        }
        self.file.cut(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.failures.0.lock().unwrap().sync {
            return Err(io::Error::other("injected"));
        }
        self.file.sync()
    }
}

fn any_duration() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos))
}

fn any_start() -> impl Strategy<Value = Start> {
    (
        any_duration(),
        any_duration(),
        prop::option::of(any_duration()),
        any::<bool>(),
        prop::option::of(any_duration()),
    )
        .prop_map(
            |(clock_error, guard_time, loss, continues, heartbeat)| Start {
                clock_error,
                guard_time,
                durability: loss.map_or(Durability::LogBeforeUse, Durability::BoundedLoss),
                continues,
                heartbeat,
            },
        )
}

fn any_internal() -> impl Strategy<Value = Internal> {
    let prefix = (any::<std::net::Ipv6Addr>(), 0..=128_u8)
        .prop_map(|(address, length)| Ipv6Prefix::around(address, length).unwrap());
    prop_oneof![
        any::<std::net::IpAddr>().prop_map(Internal::from),
        prefix.clone().prop_map(Internal::Prefix),
        prefix.prop_map(Internal::Softwire),
    ]
}

fn any_subscriber() -> impl Strategy<Value = Subscriber> {
    ("[a-z._-]{1,64}", any_internal())
        .prop_map(|(realm, internal)| Subscriber::of(Realm::new(&realm).unwrap(), internal))
}

fn any_transport() -> impl Strategy<Value = Transport> {
    prop::sample::select(Transport::ALL.to_vec())
}

fn any_block() -> impl Strategy<Value = Block> {
    (
        any_subscriber(),
        any::<Ipv4Addr>(),
        any::<(u16, u16)>(),
        prop::option::of(any_transport()),
    )
        .prop_map(|(subscriber, external, (a, b), transport)| Block {
            subscriber,
            external,
            ports: PortRange::new(a.min(b), a.max(b)).unwrap(),
            transport,
        })
}

fn any_limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        Just(Limit::Blocks),
        Just(Limit::Rate),
        Just(Limit::State),
        any_transport().prop_map(Limit::Ports),
    ]
}

/// Any name of a rule.
fn any_rule_name() -> impl Strategy<Value = RuleName> {
    "[a-z0-9._-]{1,64}".prop_map(|name| RuleName::new(&name).unwrap())
}

fn any_port_set() -> impl Strategy<Value = PortSet> {
    let range = || {
        (any::<u16>(), 0..9_u16).prop_map(|(a, n)| PortRange::new(a, a.saturating_add(n)).unwrap())
    };
    prop_oneof![
        range().prop_map(PortSet::Range),
        (0..16_u8, 0..=16_u8, any::<u16>()).prop_map(|(a, k, psid)| {
            let parameters = PortParameters::new(a, k.min(16 - a)).unwrap();
            PortSet::Psid(
                parameters,
                (u32::from(psid) % parameters.sharing_ratio()) as u16,
            )
        }),
        any::<(u16, u16)>().prop_map(|(value, mask)| PortSet::Mask(PortMask::new(value, mask))),
        prop::collection::vec(range(), 1..=MAX_RULE_RANGES).prop_map(PortSet::listed),
    ]
}

fn any_sharing() -> impl Strategy<Value = Sharing> {
    let address = any::<Ipv4Addr>;
    let deterministic =
        (address(), 0..6_u8, 1..300_u32, 1..200_u32).prop_map(|(inside, bits, c, each)| {
            let inside = ipnet::Ipv4Net::new(inside, 32 - bits).unwrap();
            let outside = AddressRanges::new(vec![(
                Ipv4Addr::new(192, 0, 2, 0),
                Ipv4Addr::new(192, 0, 2, 63),
            )]);
            DeterministicRule::new(
                inside,
                outside.unwrap(),
                PortRange::new(1_024, 65_535).unwrap(),
                c,
                each,
            )
            .unwrap()
        });
    let map = (
        any::<std::net::Ipv6Addr>(),
        address(),
        0..=80_u8,
        16..=32_u8,
        0..=6_u8,
        0..=10_u8,
    )
        .prop_map(|(v6, v4, n, r, a, k)| {
            let (ipv6, ipv4) = (
                ipnet::Ipv6Net::new(v6, n).unwrap(),
                ipnet::Ipv4Net::new(v4, r).unwrap(),
            );
            MapRule::new(ipv6, ipv4, 32 - r + k, a).unwrap()
        });
    prop_oneof![
        deterministic.prop_map(Sharing::Deterministic),
        map.prop_map(Sharing::Map),
        (any::<std::net::Ipv6Addr>(), address(), any_port_set())
            .prop_map(|(b4, ipv4, ports)| Sharing::Softwire(SoftwireBinding { b4, ipv4, ports })),
        (any::<std::net::IpAddr>(), address(), any_port_set()).prop_map(
            |(internal, external, ports)| Sharing::PortSet(HeldPortSet {
                internal: internal.into(),
                external,
                ports
            })
        ),
    ]
}

fn any_rule() -> impl Strategy<Value = Arc<Rule>> {
    (any_rule_name(), "[a-z._-]{1,64}", any_sharing()).prop_map(|(name, realm, sharing)| {
        let realm = Realm::new(&realm).unwrap();
        Arc::new(Rule {
            name,
            realm,
            sharing,
        })
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let time = || any::<i64>().prop_map(Timestamp::from_micros);
    prop_oneof![
        any_start().prop_map(Event::Started),
        any_duration().prop_map(|clock_error| Event::Joined { clock_error }),
        Just(Event::Stopped),
        Just(Event::Heartbeat),
        (time(), prop::option::of(any::<u64>()))
            .prop_map(|(since, events)| Event::Lost { since, events }),
        any_block().prop_map(Event::Allocated),
        (any_block(), time()).prop_map(|(block, since)| Event::Held { block, since }),
        (any_block(), time()).prop_map(|(block, since)| Event::Released { block, since }),
        (any_subscriber(), any_limit())
            .prop_map(|(subscriber, limit)| Event::LimitReached { subscriber, limit }),
        any::<(u32, u32)>().prop_map(|(blocks, resting)| Event::PoolExhausted { blocks, resting }),
        (any::<bool>(), any::<(u32, u32)>()).prop_map(|(high, (in_use, blocks))| {
            Event::PoolThreshold {
                level: if high { Level::High } else { Level::Low },
                in_use,
                blocks,
            }
        }),
        any_rule().prop_map(Event::RuleBegan),
        (any_rule(), time()).prop_map(|(rule, since)| Event::RuleHeld { rule, since }),
        any_rule_name().prop_map(Event::RuleEnded),
    ]
}

/// Any record at all.
pub(crate) fn any_record() -> impl Strategy<Value = Record> {
    ("[a-z0-9._-]{1,64}", any::<i64>(), any_event()).prop_map(|(device, at, event)| Record {
        at: Timestamp::from_micros(at),
        device: Device::new(&device).unwrap(),
        event,
    })
}
