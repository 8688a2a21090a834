//! A ledger that tells of a few blocks, and sending it to somebody.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portledger_e2e::{Failure, wait_for};
use portledger_ledger::{Options, Writer};
use portledger_model::{Block, Device, Event, PortRange, Realm, Record, Subscriber, Timestamp};
use portledger_service::export::{Exporting, Keep, Sends, Target, TargetName};
use portledger_wire::NatEvent;

/// The address that all blocks are of.
pub(crate) const EXTERNAL: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// A block in a subscriber's hands, from and until so many seconds after the first event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holding {
    pub(crate) host: Ipv4Addr,
    pub(crate) first: u16,
    pub(crate) last: u16,
    pub(crate) from: u64,
    pub(crate) until: Option<u64>,
}

/// The second and the last hold the same ports, one after the other.
pub(crate) const HOLDINGS: [Holding; 4] = [
    holding(9, 1_024, 1_535, 0, None),
    holding(10, 1_536, 2_047, 10, Some(70)),
    holding(11, 65_024, 65_535, 20, Some(80)),
    holding(12, 1_536, 2_047, 200, None),
];

const fn holding(host: u8, first: u16, last: u16, from: u64, until: Option<u64>) -> Holding {
    Holding {
        host: Ipv4Addr::new(100, 64, 3, host),
        first,
        last,
        from,
        until,
    }
}

/// What a collector has to show of one event: begun or not, who, which ports, and when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shown {
    pub(crate) at: Timestamp,
    pub(crate) begun: bool,
    pub(crate) host: Ipv4Addr,
    pub(crate) external: Ipv4Addr,
    pub(crate) first: u16,
    pub(crate) last: u16,
}

/// What `cgn1` did: [`HOLDINGS`], beginning an hour ago.
pub(crate) struct Told {
    folder: tempfile::TempDir,
    began: Timestamp,
    records: Vec<Record>,
}

impl Told {
    pub(crate) fn new() -> Self {
        let folder = tempfile::TempDir::with_prefix("portledger-e2e-").unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        // With milliseconds that begin with a zero: nfdump's JSON writes .021 as .21.
        let began = i64::try_from(now.as_secs()).unwrap() - 3_600;
        let began = Timestamp::from_millis(began * 1_000 + 21);
        let mut records: Vec<Record> = HOLDINGS
            .iter()
            .flat_map(|holding| events(began, holding))
            .collect();
        records.sort_by_key(|record| record.at);
        Self {
            folder,
            began,
            records,
        }
    }

    /// A file in its folder, which is gone with it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// So many seconds after the first event.
    pub(crate) fn time(&self, secs: u64) -> Timestamp {
        self.began.after(Duration::from_secs(secs))
    }

    /// The events, in their order.
    pub(crate) fn events(&self) -> Vec<NatEvent> {
        self.records.iter().map(NatEvent::from).collect()
    }

    /// The events, as a collector has to show them.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let each = self.records.iter().map(|record| {
            let (begun, block) = match &record.event {
                Event::Allocated(block) => (true, block),
                Event::Released { block, .. } => (false, block),
                other => panic!("{other:?}"),
            };
            let holding = HOLDINGS.iter().find(|holding| {
                Subscriber::new(Realm::default(), holding.host.into()) == block.subscriber
            });
            Shown {
                at: record.at,
                begun,
                host: holding.unwrap().host,
                external: EXTERNAL,
                first: block.ports.first(),
                last: block.ports.last(),
            }
        });
        each.collect()
    }

    /// Writes the ledger and sends all of it; returns when the exporter holds it for received.
    pub(crate) fn send(&self, sends: Sends) -> Result<(), Failure> {
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let listening = Arc::clone(&heard);
        let tell = move |_: &TargetName, notice| {
            listening.lock().unwrap().push(format!("{notice}"));
        };
        let target = Target {
            name: TargetName::new("peer").unwrap(),
            device: Device::new("cgn1").unwrap(),
            sends,
            keep: Keep::default(),
        };
        let ledger = tempfile::tempdir_in(&self.folder).unwrap();
        let (mut writer, _) = Writer::open(ledger.path(), Options::default()).unwrap();
        let exporting = Exporting::start(ledger.path(), vec![target], 7, Arc::new(tell));
        let exporting = exporting.unwrap();
        // A new target is told what is written from now on.
        writer.append(&self.records).unwrap();
        writer.sync().unwrap();
        let wanted = self.records.len() as u64;
        wait_for("everything to be received", || {
            let figures = exporting.figures().next().unwrap().1;
            Ok(figures.acknowledged >= wanted)
        })?;
        exporting.stop();
        assert_eq!(*heard.lock().unwrap(), [""; 0]);
        Ok(())
    }
}

fn events(began: Timestamp, holding: &Holding) -> Vec<Record> {
    let block = Block {
        subscriber: Subscriber::new(Realm::default(), holding.host.into()),
        external: EXTERNAL,
        ports: PortRange::new(holding.first, holding.last).unwrap(),
        transport: None,
    };
    let since = began.after(Duration::from_secs(holding.from));
    let record = |at, event| Record {
        at,
        device: Device::new("cgn1").unwrap(),
        event,
    };
    let mut records = vec![record(since, Event::Allocated(block.clone()))];
    if let Some(until) = holding.until {
        let at = began.after(Duration::from_secs(until));
        records.push(record(at, Event::Released { block, since }));
    }
    records
}
