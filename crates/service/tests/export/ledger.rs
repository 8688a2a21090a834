//! A ledger that is written while it is exported.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use portledger_ledger::{Options, Writer};
use portledger_model::{
    Block, Device, Durability, Event, Level, Limit, PortRange, Realm, Record, Start, Subscriber,
    Timestamp,
};
use portledger_wire::NatEvent;
use std::time::Duration;

/// A ledger in a folder of its own.
pub(crate) struct Ledger {
    pub(crate) dir: tempfile::TempDir,
    writer: Writer,
    base: Timestamp,
    written: Vec<Record>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (writer, _) = Writer::open(dir.path(), Options::default()).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        // An hour ago, in whole milliseconds, which is what IPFIX keeps.
        let base = i64::try_from(now.as_millis()).unwrap() - 3_600_000;
        Self {
            dir,
            writer,
            base: Timestamp::from_millis(base),
            written: Vec::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes so many records of `cgn1`, of all kinds, durably.
    pub(crate) fn write(&mut self, count: usize) {
        let first = self.written.len();
        let records: Vec<_> = (first..first + count).map(|n| self.nth(n)).collect();
        self.append(&records);
    }

    pub(crate) fn append(&mut self, records: &[Record]) {
        for some in records.chunks(1_000) {
            self.writer.append(some).unwrap();
        }
        self.writer.sync().unwrap();
        self.written.extend_from_slice(records);
    }

    /// As many days earlier as that.
    pub(crate) fn go_back(&mut self, days: u64) {
        self.base = self.base.before(Duration::from_secs(days * 86_400));
    }

    pub(crate) fn len(&self) -> u64 {
        self.written.len() as u64
    }

    /// What was written, as events, from record `from` on.
    pub(crate) fn events(&self, from: usize) -> Vec<NatEvent> {
        self.written[from..].iter().map(NatEvent::from).collect()
    }

    fn nth(&self, n: usize) -> Record {
        let at = self.base.after(Duration::from_millis(n as u64));
        let bits = u32::try_from(n).unwrap();
        let subscriber = Subscriber::new(
            Realm::default(),
            std::net::Ipv4Addr::from_bits(0x6440_0000 + bits).into(),
        );
        let first = 1_024 + u16::try_from(n % 1_000).unwrap() * 64;
        let block = Block {
            subscriber: subscriber.clone(),
            external: [203, 0, 113, 7].into(),
            ports: PortRange::new(first, first + 63).unwrap(),
            transport: None,
        };
        let since = at.before(Duration::from_secs(60));
        let event = match n % 50 {
            0 => Event::Started(Start {
                clock_error: Duration::from_millis(100),
                guard_time: Duration::from_secs(120),
                durability: Durability::LogBeforeUse,
                continues: true,
                heartbeat: Some(Duration::from_secs(60)),
            }),
            7 => Event::Heartbeat,
            9 => Event::LimitReached {
                subscriber,
                limit: Limit::Blocks,
            },
            11 => Event::PoolThreshold {
                level: Level::High,
                in_use: 90,
                blocks: 100,
            },
            13 => Event::PoolExhausted {
                blocks: 100,
                resting: 10,
            },
            15 => Event::Held { block, since },
            n if n % 3 == 0 => Event::Released { block, since },
            _ => Event::Allocated(block),
        };
        record("cgn1", at, event)
    }
}

pub(crate) fn record(device: &str, at: Timestamp, event: Event) -> Record {
    Record {
        at,
        device: Device::new(device).unwrap(),
        event,
    }
}
