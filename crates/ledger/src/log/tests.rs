//! The bytes of version 1, kept in `tests/format_v1`, must load for ever.

use std::{fs, net::IpAddr, path::PathBuf, time::Duration};

use portledger_model::{
    Device, Durability, Event, Level, Limit, Realm, Record, Start, Subscriber, Timestamp, Transport,
};
use proptest::prelude::*;

use super::v1;
use crate::{
    Error, Journal, Ledger, Options, Writer,
    testing::{block, start},
};

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/format_v1")
}

/// Every kind of event with every variant, in two batches.
fn records() -> [Vec<Record>; 2] {
    let at = Timestamp::from_millis(1_793_534_400_120);
    let v4 = block("100.64.3.9", 39_936, 40_191);
    let mut v6 = block("2001:db8:1:2::", 1_024, 4_607);
    let realm = Realm::new("dslite").unwrap();
    v6.subscriber = Subscriber::new(realm, "2001:db8:1:2::".parse::<IpAddr>().unwrap());
    v6.transport = Some(Transport::Udp);
    let lossy = Start {
        durability: Durability::BoundedLoss(Duration::from_millis(1_500)),
        continues: false,
        ..start()
    };
    let since = at.before(Duration::from_secs(9_000));
    let first = [
        Event::Started(start()),
        Event::Started(lossy),
        Event::Heartbeat,
        Event::Allocated(v4.clone()),
        Event::Allocated(v6.clone()),
        Event::Held {
            block: v4.clone(),
            since,
        },
        Event::Released {
            block: v6.clone(),
            since,
        },
        Event::Released {
            block: v4.clone(),
            since: at.after(Duration::from_secs(1)),
        },
    ];
    let limits = [
        Limit::Blocks,
        Limit::Rate,
        Limit::State,
        Limit::Ports(Transport::Tcp),
        Limit::Ports(Transport::Udp),
        Limit::Ports(Transport::Icmp),
    ];
    let reached = |limit| Event::LimitReached {
        subscriber: v6.subscriber.clone(),
        limit,
    };
    let second = limits.into_iter().map(reached).chain([
        Event::PoolExhausted {
            blocks: 504,
            resting: 300,
        },
        Event::PoolThreshold {
            level: Level::High,
            in_use: 480,
            blocks: 504,
        },
        Event::PoolThreshold {
            level: Level::Low,
            in_use: 7,
            blocks: u32::MAX,
        },
        Event::Stopped,
    ]);
    let of = |device: &str, event| Record {
        at,
        device: Device::new(device).unwrap(),
        event,
    };
    [
        first.into_iter().map(|event| of("cgn1", event)).collect(),
        second.map(|event| of("cgn2.west", event)).collect(),
    ]
}

#[test]
fn version_1_loads() {
    let mut read = Vec::new();
    v1::read(&golden(), |number, record| {
        assert_eq!(number.0, read.len() as u64);
        read.push(record);
        Ok(())
    })
    .unwrap();
    assert_eq!(read, records().concat());
}

#[test]
fn a_log_of_version_1_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    for file in [
        "log-00000000000000000000.plg",
        "log-00000000000000000008.plg",
    ] {
        fs::copy(golden().join(file), dir.path().join(file)).unwrap();
    }
    let question =
        r#"{"asked_at":"2026-11-01T12:00:00.000Z","command":"who","question":{},"user":{"uid":0}}"#;
    fs::write(dir.path().join("questions.jsonl"), format!("{question}\n")).unwrap();
    let before = Ledger::read(dir.path()).unwrap().stats();
    let (writer, recovery) = Writer::open(dir.path(), Options::default()).unwrap();
    let count = records().concat().len() as u64;
    assert_eq!(recovery.upgraded, Some(count));
    assert_eq!((before.records, writer.next_record().0), (count, count));
    drop(writer);
    let files = fs::read_dir(dir.path()).unwrap();
    let names: Vec<_> = files
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        !names
            .iter()
            .any(|name| name.ends_with(".plg") || name.ends_with(".jsonl")),
        "{names:?}"
    );
    let mut asked = Vec::new();
    Journal::read(dir.path(), |_, entry| {
        asked.push(entry.says["command"].clone())
    })
    .unwrap();
    assert_eq!(asked, ["who"]);
    assert_eq!(
        Writer::open(dir.path(), Options::default())
            .unwrap()
            .1
            .upgraded,
        None
    );
}

/// A file can be given any first number with a right checksum: none may begin at 0 again.
#[test]
fn a_file_whose_numbers_run_out_is_damaged() {
    let mut bytes = fs::read(golden().join("log-00000000000000000008.plg")).unwrap();
    bytes[12..20].copy_from_slice(&u64::MAX.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..20]);
    bytes[20..24].copy_from_slice(&crc.to_le_bytes());
    let refused = Ledger::from_bytes(&bytes).map(|_| ()).unwrap_err();
    assert!(matches!(refused, Error::Damaged { .. }), "{refused}");
    assert!(refused.to_string().contains("number"), "{refused}");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Ledger::from_bytes(&bytes);
    }

    #[test]
    fn no_broken_file_of_version_1_panics(
        breaks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = fs::read(golden().join("log-00000000000000000008.plg")).unwrap();
        for (at, byte) in breaks {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let _ = Ledger::from_bytes(&bytes);
    }
}
