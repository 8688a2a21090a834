//! Records through their bytes, and bytes that are none.

use super::{numbers::unzigzag, *};
use crate::testing::any_record;
use proptest::prelude::*;

fn written(record: &Record, names: &mut Names) -> Vec<u8> {
    let mut out = Vec::new();
    write_record(record, names, &mut out);
    out
}

#[test]
fn a_block_event_is_small() {
    for (internal, allocated, released) in [
        ("100.64.3.9", 26, 32),
        ("2001:db8::9", 38, 44),
        ("2001:db8:1:2::/64", 31, 37),
        ("softwire 2001:db8::9", 39, 45),
    ] {
        let block = crate::testing::block(internal, 1_024, 1_279);
        let at = Timestamp::from_secs(1_790_000_000);
        let device = Device::new("cgn1").unwrap();
        let mut names = Names::default();
        let record = |event| Record {
            at,
            device: device.clone(),
            event,
        };
        written(&record(Event::Allocated(block.clone())), &mut names);
        let first = written(&record(Event::Allocated(block.clone())), &mut names);
        let since = at.before(Duration::from_secs(4 * 3_600));
        let last = written(&record(Event::Released { block, since }), &mut names);
        assert!(first.len() <= allocated, "{}", first.len());
        assert!(last.len() <= released, "{}", last.len());
    }
}

/// What a block's event adds to its kind, time and device.
fn block_bytes(internal: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_block(&crate::testing::block(internal, 1_024, 1_279), 0, &mut out);
    out
}

#[test]
fn the_bytes_of_each_kind_of_subscriber_are_what_they_were() {
    // On 203.0.113.7, ports 1024 to 1279.
    const TAIL: [u8; 8] = [203, 0, 113, 7, 0, 4, 255, 4];
    let golden: [(&str, &[u8]); 5] = [
        ("100.64.3.9", &[0, 0, 100, 64, 3, 9]),
        (
            "2001:db8::9",
            &[4, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
        ),
        (
            "2001:db8:1:2::/64",
            &[8, 0, 64, 0x20, 1, 0xd, 0xb8, 0, 1, 0, 2],
        ),
        ("2001:db8:8::/45", &[8, 0, 45, 0x20, 1, 0xd, 0xb8, 0, 8]),
        (
            "softwire 2001:db8:0:100::/56",
            &[24, 0, 56, 0x20, 1, 0xd, 0xb8, 0, 0, 1],
        ),
    ];
    for (internal, bytes) in golden {
        assert_eq!(block_bytes(internal), [bytes, &TAIL].concat(), "{internal}");
        let mut names = Names::default();
        names.define("default");
        let block = read_block(&mut Input(&block_bytes(internal)), &names).unwrap();
        assert_eq!(block.subscriber.internal().to_string(), internal);
    }
}

#[test]
fn a_subscriber_is_written_in_one_way_only() {
    let mut names = Names::default();
    names.define("default");
    let read = |bytes: &[u8]| {
        let mut input = Input(bytes);
        let flags = input.byte().unwrap();
        read_subscriber(flags, &mut input, &names).map(|_| ())
    };
    let address = [&[PREFIX, 0, 128][..], &[1; 16]].concat();
    assert_eq!(read(&address), Err("a prefix that is an address"));
    let host_bits = [PREFIX, 0, 12, 0x20, 0x01];
    assert_eq!(
        read(&host_bits),
        Err("a prefix with bits behind its length")
    );
    let too_long = [&[PREFIX, 0, 129][..], &[0; 17]].concat();
    assert_eq!(read(&too_long), Err("a prefix that is too long"));
    assert_eq!(read(&[PREFIX, 0, 64, 0x20]), Err("it ends too early"));
    for flags in [SOFTWIRE, IPV6 | PREFIX, 32] {
        let bytes = [&[flags, 0][..], &[0; 17]].concat();
        assert_eq!(read(&bytes), Err("unknown flags of a subscriber"));
    }
}

/// Logs with these bytes are read for ever.
#[test]
fn the_bytes_of_rules_are_what_they_were() {
    let text = br#"{"rule":"west","kind":"map","realm":"default","ipv6":"2001:db8::/40","ipv4":"192.0.2.0/24","ea_length":16,"psid_offset":6}"#;
    let rule = rules::read_object(text).unwrap();
    let at = Timestamp::from_micros(0x0102_0304_0506);
    let since = at.before(Duration::from_micros(300));
    // The time, and the device's number.
    let head = [6, 5, 4, 3, 2, 1, 0, 0, 0];
    for (event, kind, content) in [
        (Event::RuleBegan(Arc::clone(&rule)), 13, text.to_vec()),
        (
            Event::RuleHeld {
                rule: Arc::clone(&rule),
                since,
            },
            14,
            [&[0xd8, 0x04], text.as_slice()].concat(),
        ),
        (Event::RuleEnded(rule.name.clone()), 15, b"west".to_vec()),
    ] {
        let device = Device::new("cgn1").unwrap();
        let record = Record { at, device, event };
        let payload = [&[kind], head.as_slice(), content.as_slice()].concat();
        let mut names = Names::default();
        names.define("cgn1");
        let back = read(&payload, &mut names).unwrap();
        assert_eq!(back, Payload::Record(record.clone()));
        let length = u16::try_from(payload.len()).unwrap().to_le_bytes();
        let bytes = written(&record, &mut names);
        assert_eq!(bytes, [length.as_slice(), payload.as_slice()].concat());
    }
}

proptest! {
    #[test]
    fn a_record_comes_back(records in prop::collection::vec(any_record(), 1..20)) {
        let (mut names, mut bytes) = (Names::default(), Vec::new());
        for record in &records {
            write_record(record, &mut names, &mut bytes);
        }
        let (mut names, mut rest, mut back) = (Names::default(), &bytes[..], Vec::new());
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk().unwrap();
            let (payload, after) = after.split_at(usize::from(u16::from_le_bytes(*length)));
            if let Payload::Record(record) = read(payload, &mut names).unwrap() {
                back.push(record);
            }
            rest = after;
        }
        prop_assert_eq!(back, records);
    }

    #[test]
    fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..64), kind in 0..17_u8) {
        let mut names = Names::default();
        names.define("cgn1");
        let mut payload = payload;
        let _ = read(&payload, &mut names);
        if let Some(first) = payload.first_mut() {
            *first = kind;
        }
        let _ = read(&payload, &mut names);
    }

    #[test]
    fn zigzag_and_back(value in any::<i64>()) {
        prop_assert_eq!(unzigzag(zigzag(value)), value);
    }
}
