//! Bytes that mean harm cost bounded memory, are counted, and never stop the rest.

use portledger_model::Timestamp;
use portledger_wire::flow::{BadRecord, Item, Lie, Limits, Medium, Reject, Session};
use proptest::prelude::*;

use crate::build::{BLOCK, block, ipfix, netflow9, set, template, words};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
const SENT: u32 = 1_790_000_000;
const MILLIS: u64 = 1_790_000_000_000;

fn rejects(messages: &[Vec<u8>]) -> Vec<Reject> {
    let mut session = Session::new(Medium::Datagrams, Limits::default());
    let mut why = Vec::new();
    for message in messages {
        session.datagram(message, NOW, &mut |item| match item {
            Item::Rejected { why: one, offset } => {
                assert!(offset <= message.len());
                why.push(one);
            }
            Item::Event { .. } => {}
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(session.counters().rejected, why.len() as u64);
    why
}

fn of_template(set_id: u16, contents: &[u8]) -> Vec<Reject> {
    rejects(&[ipfix(0, SENT, 1, &[set(set_id, contents)])])
}

#[test]
fn templates_that_lie_are_refused() {
    let refused = |why| vec![Reject::Template { template: 256, why }];
    let length = |element, length| refused(Lie::FieldLength { element, length });
    assert_eq!(
        of_template(2, &words(&[256, 500, 8, 4])),
        refused(Lie::CutShort)
    );
    assert_eq!(
        of_template(2, &words(&[256, 1, 99, 0])),
        refused(Lie::EmptyRecord)
    );
    assert_eq!(
        of_template(2, &template(256, &[(99, 60_000), (98, 60_000)])),
        refused(Lie::RecordTooLong)
    );
    assert_eq!(
        of_template(2, &template(256, &vec![(99, 1); 2_000])),
        refused(Lie::TooManyFields(2_000))
    );
    assert_eq!(of_template(2, &template(256, &[(8, 16)])), length(8, 16));
    assert_eq!(of_template(2, &template(256, &[(230, 9)])), length(230, 9));
    assert_eq!(
        of_template(2, &template(256, &[(323, 0xffff)])),
        length(323, 0xffff)
    );
    assert_eq!(
        of_template(3, &words(&[256, 1, 2, 149, 4])),
        refused(Lie::Scope(2))
    );
    assert_eq!(
        of_template(3, &words(&[256, 1, 0, 149, 4])),
        refused(Lie::Scope(0))
    );
    let small = Reject::Template {
        template: 255,
        why: Lie::Number,
    };
    assert_eq!(of_template(2, &template(255, &BLOCK)), [small]);
    let options = set(1, &words(&[256, 3, 4, 1, 4, 2, 4]));
    assert_eq!(
        rejects(&[netflow9(0, SENT, 1, &[options])]),
        refused(Lie::OptionBytes(7))
    );
}

#[test]
fn lengths_that_lie_are_refused_and_what_is_before_them_stays() {
    let good = set(2, &template(256, &BLOCK));
    let data = set(256, &block(MILLIS, 16, [100, 64, 3, 9], 1_024, 1_535));
    for said in [0_u16, 3, 200, 0xffff] {
        let mut bad = set(256, &[1, 2, 3, 4]);
        bad[2..4].copy_from_slice(&said.to_be_bytes());
        let message = ipfix(0, SENT, 1, &[good.clone(), data.clone(), bad]);
        let mut session = Session::new(Medium::Datagrams, Limits::default());
        session.datagram(&message, NOW, &mut |_| {});
        let counters = session.counters();
        assert_eq!((counters.events, counters.rejected), (1, 1), "{said}");
    }
    let mut message = ipfix(0, SENT, 1, &[good]);
    for said in [0_u16, 15, 17_000] {
        message[2..4].copy_from_slice(&said.to_be_bytes());
        let got = message.len();
        let why = Reject::MessageLength {
            said: said.into(),
            got,
        };
        assert_eq!(rejects(&[message.clone()]), [why]);
    }
}

#[test]
fn a_record_that_runs_over_its_set_is_told() {
    let fields = [(8, 4), (225, 4), (230, 1), (464, 0xffff)];
    let record = [100, 64, 3, 9, 203, 0, 113, 7, 17, 200, 1, 2];
    let sets = [set(2, &template(256, &fields)), set(256, &record)];
    let why = Reject::RecordLength { template: 256 };
    assert_eq!(rejects(&[ipfix(0, SENT, 1, &sets)]), [why]);
}

#[test]
fn absurd_values_are_told_one_by_one() {
    let record = |millis, event, first, last| block(millis, event, [100, 64, 3, 9], first, last);
    let data = [
        record(u64::MAX, 16, 1, 2),
        record(253_402_300_800_000, 16, 1, 2),
        record(MILLIS, 99, 1, 2),
        record(MILLIS, 16, 2, 1),
        record(MILLIS, 16, 1_024, 1_535),
    ]
    .concat();
    let sets = [set(2, &template(256, &BLOCK)), set(256, &data)];
    let expected = [
        BadRecord::AbsurdTime,
        BadRecord::AbsurdTime,
        BadRecord::UnknownEvent(99),
        BadRecord::PortRange,
    ];
    let expected = expected.map(|why| Reject::Record { template: 256, why });
    assert_eq!(rejects(&[ipfix(0, SENT, 1, &sets)]), expected);
}

#[test]
fn a_flood_of_templates_does_not_push_out_those_in_use() {
    let mut session = Session::new(Medium::Datagrams, Limits::default());
    let data = set(256, &block(MILLIS, 16, [100, 64, 3, 9], 1_024, 1_535));
    let first = [set(2, &template(256, &BLOCK)), data.clone()];
    session.datagram(&ipfix(0, SENT, 1, &first), NOW, &mut |_| {});
    for number in 257..=u16::MAX {
        let fields = vec![(1 + number % 90, 4); 1 + usize::from(number % 7)];
        let message = ipfix(1, SENT, 1, &[set(2, &template(number, &fields))]);
        session.datagram(&message, NOW, &mut |_| {});
    }
    session.datagram(&ipfix(1, SENT, 1, &[data]), NOW, &mut |_| {});
    assert_eq!(session.counters().events, 2);
    assert_eq!(session.counters().waited_sets, 0);
}

#[test]
fn templates_in_use_leave_no_room_and_that_is_told() {
    let limits = Limits {
        templates: 4,
        ..Limits::default()
    };
    let mut session = Session::new(Medium::Datagrams, limits);
    let mut told = Vec::new();
    for number in 256..262 {
        let data = set(number, &block(MILLIS, 16, [100, 64, 3, 9], 1_024, 1_535));
        let sets = [set(2, &template(number, &BLOCK)), data];
        session.datagram(
            &ipfix(u32::from(number), SENT, 1, &sets),
            NOW,
            &mut |item| {
                if let Item::Rejected { why, .. } = item {
                    told.push(why);
                }
            },
        );
    }
    let too_many = |template| Reject::TooManyTemplates { template, room: 4 };
    assert_eq!(told, [too_many(260), too_many(261)]);
    assert_eq!(session.counters().waited_sets, 2);
}

#[test]
fn a_flood_of_domains_is_refused() {
    let mut session = Session::new(Medium::Datagrams, Limits::default());
    for domain in 0..1_000 {
        session.datagram(&ipfix(0, SENT, domain, &[]), NOW, &mut |_| {});
    }
    assert_eq!(session.counters().rejected, 1_000 - 64);
}

#[test]
fn one_record_does_not_become_a_flood_of_events() {
    let fields = [(230, 1), (225, 4), (361, 2), (362, 2), (363, 2)];
    let record = [&[16, 203, 0, 113, 7][..], &words(&[1, 65_535, 2])].concat();
    let sets = [set(2, &template(256, &fields)), set(256, &record)];
    let why = BadRecord::TooManyRanges(32_768);
    assert_eq!(
        rejects(&[ipfix(0, SENT, 1, &sets)]),
        [Reject::Record { template: 256, why }]
    );
}

/// Templates, data and options of one domain: what the mutations below begin with.
fn valid(is_v9: bool) -> Vec<u8> {
    let records = block(MILLIS, 16, [100, 64, 3, 9], 1_024, 1_535).repeat(3);
    if is_v9 {
        let options = words(&[300, 4, 8, 1, 4, 94, 16, 323, 8]);
        let sets = [
            set(0, &template(256, &BLOCK)),
            set(1, &options),
            set(256, &records),
            set(300, &[1; 28]),
        ];
        netflow9(0, SENT, 1, &sets)
    } else {
        let options = words(&[300, 3, 1, 149, 4, 94, 0xffff, 323, 8]);
        let sets = [
            set(2, &template(256, &BLOCK)),
            set(3, &options),
            set(256, &records),
            set(300, &[1; 28]),
        ];
        ipfix(0, SENT, 1, &sets)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn changed_bytes_never_panic_and_every_reject_is_counted(
        is_v9: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
        cut: bool,
    ) {
        let mut bytes = valid(is_v9);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        let mut session = Session::new(Medium::Datagrams, Limits::default());
        let (mut events, mut rejected) = (0, 0);
        for _ in 0..2 {
            session.datagram(&bytes, NOW, &mut |item| match item {
                Item::Event { .. } => events += 1,
                Item::Rejected { .. } => rejected += 1,
                _ => {}
            });
        }
        session.finish(NOW, &mut |_| {});
        prop_assert_eq!(session.counters().events, events);
        prop_assert_eq!(session.counters().rejected, rejected);
    }
}
