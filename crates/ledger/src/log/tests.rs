//! The bytes of version 1, kept in `tests/format_v1`, must load for ever.

use std::{fs, net::IpAddr, path::PathBuf, time::Duration};

use portledger_model::{
    Device, Durability, Event, Level, Limit, Realm, Record, Start, Subscriber, Timestamp, Transport,
};
use proptest::prelude::*;

use super::{folder, image, image::Place};
use crate::{
    Ledger, Options, Writer,
    testing::{any_record, block, start},
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

/// Writes the golden records: a first file with the first batch, a second with the other.
fn write(dir: &std::path::Path) {
    let (mut writer, _) = Writer::open(dir, Options { file_bytes: 100 }).unwrap();
    for batch in records() {
        writer.append(&batch).unwrap();
        writer.sync().unwrap();
    }
}

#[test]
fn version_1_loads() {
    let mut read = Vec::new();
    folder::read(&golden(), |number, record| {
        assert_eq!(number.0, read.len() as u64);
        read.push(record);
        Ok(())
    })
    .unwrap();
    assert_eq!(read, records().concat());
}

#[test]
fn version_1_is_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    for name in [
        "log-00000000000000000000.plg",
        "log-00000000000000000008.plg",
    ] {
        let (kept, written) = (
            fs::read(golden().join(name)),
            fs::read(dir.path().join(name)),
        );
        assert!(
            kept.unwrap() == written.unwrap(),
            "{name} differs: that is a new version"
        );
    }
}

#[test]
#[ignore = "writes the golden files of version 1, which is done once"]
fn write_version_1() {
    write(&golden());
    fs::remove_file(golden().join("LOCK")).unwrap();
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Ledger::from_bytes(&bytes);
    }

    #[test]
    fn no_broken_image_panics(
        records in prop::collection::vec(any_record(), 1..20),
        breaks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = super::frame::header(portledger_model::RecordNumber(7)).to_vec();
        let mut names = super::names::Names::default();
        for record in &records {
            super::payload::write_record(record, &mut names, &mut bytes);
        }
        let mut read = Vec::new();
        let sound = image::read(&bytes, None, Place::Sealed, |_, record| { read.push(record); Ok(()) });
        prop_assert_eq!(sound.ok().map(|image| image.next.0), Some(7 + records.len() as u64));
        prop_assert_eq!(&read, &records);
        prop_assert!(Ledger::from_bytes(&bytes).is_ok());
        for (at, byte) in breaks {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let _ = Ledger::from_bytes(&bytes);
    }
}
