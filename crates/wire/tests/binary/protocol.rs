//! What RFC 7011, RFC 3954 and RFC 8158 ask of whoever reads.

use std::time::Duration;

use portledger_model::{Limit, Timestamp};
use portledger_wire::{
    EventTime, Kind, NatEvent, Phase, Told,
    flow::{Counters, Item, Limits, Medium, Reject, Session, Unit},
};

use crate::{
    build::{BLOCK, block, ipfix, netflow9, set, template, words},
    show,
};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
const SENT: u32 = 1_790_000_000;
const MILLIS: u64 = 1_790_000_000_000;
const INSIDE: [u8; 4] = [100, 64, 3, 9];

/// A session and what came out of it.
struct Collected {
    session: Session,
    items: Vec<Item>,
}

impl Collected {
    fn new(medium: Medium) -> Self {
        Self::with(medium, Limits::default())
    }

    fn with(medium: Medium, limits: Limits) -> Self {
        Self {
            session: Session::new(medium, limits),
            items: Vec::new(),
        }
    }

    fn hear(&mut self, message: &[u8]) -> &mut Self {
        self.hear_at(message, NOW)
    }

    fn hear_at(&mut self, message: &[u8], now: Timestamp) -> &mut Self {
        self.session
            .datagram(message, now, &mut |item| self.items.push(item));
        self
    }

    fn finish(&mut self) -> &mut Self {
        self.session.finish(NOW, &mut |item| self.items.push(item));
        self
    }

    fn lines(&mut self) -> Vec<String> {
        let text = show::items(&std::mem::take(&mut self.items));
        text.lines().map(str::to_owned).collect()
    }

    fn counters(&self) -> Counters {
        self.session.counters()
    }
}

/// All events of messages, shown; anything else fails.
fn events(messages: &[Vec<u8>]) -> Vec<NatEvent> {
    let mut collected = Collected::new(Medium::Datagrams);
    for message in messages {
        collected.hear(message);
    }
    let items = std::mem::take(&mut collected.finish().items);
    items
        .into_iter()
        .map(|item| match item {
            Item::Event { event, .. } => event,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn shown(messages: &[Vec<u8>]) -> Vec<String> {
    events(messages).iter().map(show::event_line).collect()
}

fn one(fields: &[(u16, u16)], record: &[u8]) -> Vec<u8> {
    let sets = [set(2, &template(256, fields)), set(256, record)];
    ipfix(0, SENT, 1, &sets)
}

fn blocks(number: u32, count: usize) -> Vec<u8> {
    let records = block(MILLIS, 16, INSIDE, 1_024, 1_535).repeat(count);
    ipfix(number, SENT, 1, &[set(256, &records)])
}

fn block_template() -> Vec<u8> {
    ipfix(0, SENT, 1, &[set(2, &template(256, &BLOCK))])
}

/// RFC 7011 Appendix A: a template, an options template, and data of both, 152 bytes as the
/// header of A.1 says.
#[test]
fn the_message_of_rfc_7011_appendix_a_is_counted_by_record() {
    let flows = template(256, &[(8, 4), (12, 4), (15, 4), (2, 4), (1, 4)]);
    // Scope lineCardId (141), exportedMessageTotalCount (41), exportedFlowRecordTotalCount (42).
    let options = words(&[258, 3, 1, 141, 4, 41, 2, 42, 2, 0]);
    let mut data = Vec::new();
    for (addresses, packets, octets) in [
        ([12, 254, 1], 5_009_u32, 5_344_385_u32),
        ([27, 23, 2], 748, 388_934),
        ([56, 65, 3], 5, 6_534),
    ] {
        for last in addresses {
            data.extend([192, 0, 2, last]);
        }
        data.extend(packets.to_be_bytes());
        data.extend(octets.to_be_bytes());
    }
    let totals = words(&[0, 1, 345, 10_201, 0, 2, 690, 20_402]);
    let sets = [
        set(2, &flows),
        set(256, &data),
        set(3, &options),
        set(258, &totals),
    ];
    let message = ipfix(0, SENT, 1, &sets);
    assert_eq!(message.len(), 152);
    let mut collected = Collected::new(Medium::Datagrams);
    // The next number is 5: data records of options count too (RFC 7011 §3.1).
    let next = ipfix(5, SENT, 1, &[set(256, &data)]);
    assert!(
        collected
            .hear(&message)
            .hear(&next)
            .finish()
            .lines()
            .is_empty()
    );
    let counters = collected.counters();
    assert_eq!((counters.templates, counters.other_records), (2, 8));
}

#[test]
fn enterprise_elements_are_skipped_by_their_length() {
    // RFC 7011 A.2.2: an element of an enterprise in between; here also a variable one.
    let mut fields = words(&[256, 8, 323, 8, 230, 1, 0x8000 | 15, 4]);
    fields.extend(12_345_u32.to_be_bytes());
    fields.extend(words(&[8, 4, 0x8000 | 20, 0xffff]));
    fields.extend(12_345_u32.to_be_bytes());
    fields.extend(words(&[225, 4, 361, 2, 362, 2]));
    for length in [0, 1, 254, 255, 300] {
        let mut record = MILLIS.to_be_bytes().to_vec();
        record.extend([16, 9, 9, 9, 9]);
        record.extend(INSIDE);
        // RFC 7011 §7: one byte of length up to 254, three from 255 on.
        match u8::try_from(length) {
            Ok(short) if short < 255 => record.push(short),
            _ => record.extend([255, 1, 44]),
        }
        let length = if length == 255 { 300 } else { length };
        record.extend(vec![7; length]);
        record.extend([203, 0, 113, 7]);
        record.extend(words(&[1_024, 1_535]));
        let records = record.repeat(2);
        let message = ipfix(0, SENT, 1, &[set(2, &fields), set(256, &records)]);
        let line =
            "2026-09-21T14:13:20.000Z Begun 203.0.113.7 1024-1535 any by default/100.64.3.9: block";
        assert_eq!(shown(&[message]), [line, line], "{length}");
    }
}

#[test]
fn of_an_element_that_stands_twice_the_first_is_taken() {
    let fields = [&BLOCK[..], &[(8, 4)]].concat();
    let mut record = block(MILLIS, 16, INSIDE, 1_024, 1_535);
    record.extend([192, 0, 2, 1]);
    let line =
        "2026-09-21T14:13:20.000Z Begun 203.0.113.7 1024-1535 any by default/100.64.3.9: block";
    assert_eq!(shown(&[one(&fields, &record)]), [line]);
}

#[test]
fn padding_is_no_record() {
    let mut records = block(MILLIS, 16, INSIDE, 1_024, 1_535);
    records.extend([0; 7]);
    let mut padded = template(256, &BLOCK);
    padded.extend([0; 3]);
    let message = ipfix(0, SENT, 1, &[set(2, &padded), set(256, &records)]);
    assert_eq!(events(&[message, blocks(1, 1)]).len(), 2);
}

#[test]
fn domains_have_templates_and_numbers_of_their_own() {
    let other_fields = [(8, 4), (225, 4), (361, 2), (362, 2), (230, 1), (323, 8)];
    let mut other_record = INSIDE.to_vec();
    other_record.extend([203, 0, 113, 7]);
    other_record.extend(words(&[1_024, 1_535]));
    other_record.push(16);
    other_record.extend(MILLIS.to_be_bytes());
    let other = ipfix(
        900,
        SENT,
        2,
        &[
            set(2, &template(256, &other_fields)),
            set(256, &other_record),
        ],
    );
    let mut read = events(&[block_template(), other, blocks(0, 1)]);
    assert_eq!(read.pop(), read.pop());
}

#[test]
fn fewer_bytes_than_a_type_has_are_enough() {
    // RFC 7011 §6.2: reduced-size encoding.
    let fields = [
        (323, 6),
        (230, 1),
        (8, 4),
        (225, 4),
        (361, 2),
        (362, 2),
        (234, 1),
    ];
    let mut record = MILLIS.to_be_bytes()[2..].to_vec();
    record.push(16);
    record.extend(INSIDE);
    record.extend([203, 0, 113, 7]);
    record.extend(words(&[1_024, 1_535]));
    record.push(7);
    let line = "2026-09-21T14:13:20.000Z Begun 203.0.113.7 1024-1535 any by vrf7/100.64.3.9: block";
    assert_eq!(shown(&[one(&fields, &record)]), [line]);
}

#[test]
fn lost_records_are_counted_with_the_times_between_which_they_were_lost() {
    let mut collected = Collected::new(Medium::Datagrams);
    collected.hear(&block_template());
    let early = block(MILLIS - 250, 16, INSIDE, 1_024, 1_535);
    collected.hear(&ipfix(0, SENT, 1, &[set(256, &early)]));
    collected.hear(&ipfix(25, SENT + 3, 1, &[set(256, &early)]));
    collected.items.clear();
    collected.finish();
    let gap = Item::Gap {
        domain: 1,
        missing: 24,
        unit: Unit::Records,
        since: Timestamp::from_millis(1_789_999_999_750),
        until: Timestamp::from_secs(1_790_000_004),
    };
    assert_eq!(collected.items, [gap]);
    assert_eq!(collected.counters().missing_records, 24);
}

#[test]
fn a_gap_waits_for_what_was_overtaken_and_no_longer() {
    let mut collected = Collected::new(Medium::Datagrams);
    collected.hear(&block_template()).hear(&blocks(0, 5));
    // 5..10 comes after 10..15: nothing is missing.
    collected.hear(&blocks(10, 5)).hear(&blocks(5, 5));
    // 15..20 never comes.
    collected.hear(&blocks(20, 5));
    collected.items.clear();
    collected
        .session
        .tick(NOW.after(Duration::from_secs(1)), &mut |item| {
            panic!("{item:?}")
        });
    let mut told = Vec::new();
    collected
        .session
        .tick(NOW.after(Duration::from_secs(3)), &mut |item| {
            told.push(item)
        });
    assert!(
        matches!(told[..], [Item::Gap { missing: 5, .. }]),
        "{told:?}"
    );
    assert_eq!(collected.counters().out_of_order, 1);
}

#[test]
fn netflow9_counts_messages() {
    let records = block(MILLIS, 16, INSIDE, 1_024, 1_535).repeat(3);
    let mut collected = Collected::new(Medium::Datagrams);
    collected.hear(&netflow9(
        u32::MAX,
        SENT,
        1,
        &[set(0, &template(256, &BLOCK))],
    ));
    collected.hear(&netflow9(0, SENT, 1, &[set(256, &records)]));
    collected.hear(&netflow9(2, SENT, 1, &[set(256, &records)]));
    collected.finish();
    assert_eq!(collected.counters().events, 6);
    assert_eq!(collected.counters().missing_messages, 1);
    assert_eq!(collected.counters().missing_records, 0);
}

#[test]
fn after_a_restart_data_waits_for_new_templates() {
    let mut collected = Collected::new(Medium::Datagrams);
    collected.hear(&block_template()).hear(&blocks(0, 9));
    collected.items.clear();
    // The same number now means another order of fields: read by the old one it would name
    // somebody who does not exist.
    let fields = [(225, 4), (8, 4), (323, 8), (230, 1), (361, 2), (362, 2)];
    let mut record = vec![203, 0, 113, 7];
    record.extend(INSIDE);
    record.extend(MILLIS.to_be_bytes());
    record.push(17);
    record.extend(words(&[1_024, 1_535]));
    collected.hear(&ipfix(0, SENT + 60, 1, &[set(256, &record)]));
    let lines = collected.lines();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("Restarted"), "{lines:?}");
    collected.hear(&ipfix(1, SENT + 61, 1, &[set(2, &template(256, &fields))]));
    let line =
        "1 2026-09-21T14:13:20.000Z Ended 203.0.113.7 1024-1535 any by default/100.64.3.9: block";
    assert_eq!(collected.lines(), [line]);
    assert!(collected.finish().lines().is_empty(), "nothing is missing");
}

/// Two processes that count each for itself in one domain would be taken for an exporter that
/// begins anew with each message, and no template would last.
#[test]
fn numbers_without_order_are_told_once_and_data_is_read_all_the_same() {
    let mut collected = Collected::new(Medium::Datagrams);
    for round in 0..1_000 {
        let sent = SENT + round;
        let record = block(MILLIS, 16, INSIDE, 1_024, 1_535);
        let templates = set(2, &template(256, &BLOCK));
        for number in [10_000_000 + round, round] {
            let sets = [templates.clone(), set(256, &record)];
            collected.hear(&ipfix(number, sent, 1, &sets));
        }
    }
    collected.finish();
    let lines = collected.lines();
    let count = |begin: &str| lines.iter().filter(|line| line.starts_with(begin)).count();
    assert_eq!(count("Disordered"), 1);
    assert_eq!(count("1 2026-"), 2_000);
    // Templates are kept from then on.
    collected.hear(&ipfix(
        7,
        SENT + 200,
        1,
        &[set(256, &block(MILLIS, 16, INSIDE, 1, 2))],
    ));
    assert_eq!(collected.lines().len(), 1);
}

#[test]
fn what_is_shown_for_finding_faults_names_nobody() {
    let mut collected = Collected::new(Medium::Datagrams);
    collected.hear(&block_template()).hear(&blocks(0, 1));
    collected.hear(&ipfix(1, SENT, 1, &[set(300, &[100, 64, 3, 9])]));
    collected.finish();
    let text = format!("{:?} {:?}", collected.items, collected.session);
    assert!(text.contains("Dropped") && text.contains("Event"), "{text}");
    assert!(
        !text.contains("100.64.3.9") && !text.contains("100, 64, 3, 9"),
        "{text}"
    );
}

#[test]
fn data_before_its_template_waits_and_its_losses_are_counted() {
    let mut collected = Collected::new(Medium::Datagrams);
    // 24..48 is lost while nobody can count yet.
    for number in [0, 48, 72] {
        collected.hear(&blocks(number, 24));
    }
    assert!(collected.lines().is_empty());
    collected.hear(&ipfix(96, SENT, 1, &[set(2, &template(256, &BLOCK))]));
    assert_eq!(collected.lines().len(), 72);
    collected.finish();
    assert_eq!(collected.counters().missing_records, 24);
    assert_eq!(collected.counters().dropped_sets, 0);
}

#[test]
fn data_that_waits_too_long_is_dropped_and_told() {
    let mut collected = Collected::new(Medium::Datagrams);
    collected.hear(&blocks(0, 24));
    let later = NOW.after(Duration::from_secs(3_600));
    collected.hear_at(&ipfix(24, SENT + 3_600, 1, &[]), later);
    let template = set(2, &template(256, &BLOCK));
    collected.hear_at(&ipfix(24, SENT + 3_600, 1, &[template]), later);
    collected.finish();
    let lines = collected.lines();
    assert!(lines[0].starts_with("Dropped"), "{lines:?}");
    // How many records that were the numbers say.
    assert!(lines[1].contains("missing: 24"), "{lines:?}");
    assert_eq!(lines.len(), 2);
}

#[test]
fn what_waits_is_bounded_in_bytes() {
    let limits = Limits {
        waiting_bytes: 10_000,
        ..Limits::default()
    };
    let mut collected = Collected::with(Medium::Datagrams, limits);
    for number in 0..100 {
        collected.hear(&blocks(number * 40, 40));
    }
    let counters = collected.counters();
    assert_eq!(counters.waited_sets, 100);
    assert!(counters.dropped_sets > 85, "{counters:?}");
    collected.hear(&ipfix(4_000, SENT, 1, &[set(2, &template(256, &BLOCK))]));
    collected.finish();
    let counters = collected.counters();
    assert_eq!(
        counters.events + counters.missing_records,
        4_000,
        "each record is an event or counted missing: {counters:?}"
    );
}

#[test]
fn over_datagrams_withdrawals_are_ignored_and_templates_expire() {
    // RFC 7011 §8.4.
    let mut collected = Collected::new(Medium::Datagrams);
    let withdrawals = [set(2, &words(&[256, 0])), set(2, &words(&[2, 0]))];
    collected
        .hear(&block_template())
        .hear(&ipfix(0, SENT, 1, &withdrawals))
        .hear(&blocks(0, 1));
    assert_eq!(collected.lines().len(), 1);
    let later = NOW.after(Limits::default().template_life + Duration::from_secs(1));
    collected.hear_at(&ipfix(1, SENT, 1, &[]), later);
    collected.hear_at(&blocks(1, 1), later);
    assert!(collected.lines().is_empty());
    assert_eq!(collected.counters().expired, 1);
    assert_eq!(collected.counters().waited_sets, 1);
}

#[test]
fn over_a_stream_templates_are_withdrawn_one_by_one_or_all() {
    let options = words(&[300, 2, 1, 149, 4, 160, 8]);
    for (withdrawal, left) in [
        (set(2, &words(&[256, 0])), 2),
        (set(2, &words(&[2, 0])), 1),
        (set(3, &words(&[3, 0])), 2),
        (set(3, &words(&[300, 0])), 2),
        // Of the other kind: nothing.
        (set(3, &words(&[256, 0])), 3),
    ] {
        let templates = [template(256, &BLOCK), template(257, &BLOCK)].concat();
        let mut stream = ipfix(0, SENT, 1, &[set(2, &templates), set(3, &options)]);
        stream.extend(ipfix(0, SENT, 1, &[withdrawal]));
        let record = block(MILLIS, 16, INSIDE, 1_024, 1_535);
        let boot = [&1_u32.to_be_bytes()[..], &MILLIS.to_be_bytes()].concat();
        let data = [set(256, &record), set(257, &record), set(300, &boot)];
        stream.extend(ipfix(0, SENT, 1, &data));
        let mut collected = Collected::new(Medium::Stream);
        collected
            .session
            .stream(&stream, NOW, &mut |item| collected.items.push(item))
            .unwrap();
        let counters = collected.counters();
        assert_eq!(counters.events + counters.other_records, left);
        assert_eq!(counters.waited_sets, 3 - left);
    }
}

#[test]
fn a_stream_that_is_no_ipfix_is_given_up() {
    let mut session = Session::new(Medium::Stream, Limits::default());
    let mut items = Vec::new();
    let result = session.stream(b"GET / HTTP/1.1\r\n\r\n", NOW, &mut |item| items.push(item));
    assert_eq!(result, Err(Reject::Version(0x4745)));
    assert_eq!(items.len(), 1);
}

#[test]
fn a_template_that_changes_is_another_template() {
    let mut collected = Collected::new(Medium::Datagrams);
    let longer = [&BLOCK[..], &[(234, 4)]].concat();
    let mut record = block(MILLIS, 16, INSIDE, 1_024, 1_535);
    record.extend(9_u32.to_be_bytes());
    collected.hear(&block_template()).hear(&blocks(0, 1));
    collected.hear(&ipfix(
        1,
        SENT,
        1,
        &[set(2, &template(256, &longer)), set(256, &record)],
    ));
    let lines = collected.lines();
    assert!(lines[1].contains("vrf9/"), "{lines:?}");
    assert_eq!(collected.counters().redefined, 1);
}

/// Event numbers with the fields that show what they mean.
#[test]
fn numbers_of_earlier_drafts_are_read_by_their_fields() {
    let event = |number: u8, more: &[(u16, u16)], values: &[u8]| {
        let fields = [&[(230, 1), (8, 4), (225, 4)], more].concat();
        let record = [&[number][..], &INSIDE, &[203, 0, 113, 7], values].concat();
        shown(&[one(&fields, &record)]).remove(0)
    };
    let range = ([(361, 2), (362, 2)], words(&[2_048, 2_111]));
    let ports = (
        [(7, 2), (227, 2), (4, 1)],
        [&words(&[5_000, 40_000])[..], &[17]].concat(),
    );
    let head = "<=2026-09-21T14:13:20.000Z ";
    let of = "by default/100.64.3.9";
    for (number, fields, values, expected) in [
        (
            14,
            &range.0[..],
            &range.1,
            format!("Begun 203.0.113.7 2048-2111 any {of}: block"),
        ),
        (
            15,
            &range.0,
            &range.1,
            format!("Ended 203.0.113.7 2048-2111 any {of}: block"),
        ),
        (
            1,
            &range.0,
            &range.1,
            format!("Begun 203.0.113.7 2048-2111 any {of}: block"),
        ),
        (
            17,
            &range.0,
            &range.1,
            format!("Ended 203.0.113.7 2048-2111 any {of}: block"),
        ),
        (
            14,
            &[],
            &Vec::new(),
            "Begun address 203.0.113.7 of default/100.64.3.9".into(),
        ),
        (
            13,
            &[],
            &Vec::new(),
            "Ended address 203.0.113.7 of default/100.64.3.9".into(),
        ),
        (
            4,
            &ports.0,
            &ports.1,
            format!("Begun 203.0.113.7 40000 udp {of}: session of port 5000 to ?"),
        ),
        (
            6,
            &ports.0,
            &ports.1,
            format!("Begun 203.0.113.7 40000 udp {of}: mapping of port 5000"),
        ),
        (
            9,
            &ports.0,
            &ports.1,
            format!("Ended 203.0.113.7 40000 udp {of}: mapping of port 5000"),
        ),
        (
            2,
            &ports.0,
            &ports.1,
            format!("Ended 203.0.113.7 40000 udp {of}: mapping of port 5000"),
        ),
    ] {
        assert_eq!(
            event(number, fields, values),
            format!("{head}{expected}"),
            "{number}"
        );
    }
}

#[test]
fn juniper_tells_active_blocks_as_16() {
    let fields = [(230, 1), (8, 4), (225, 4), (361, 2), (362, 2)];
    let record = |event: u8| {
        [
            &[event][..],
            &INSIDE,
            &[203, 0, 113, 7],
            &words(&[2_048, 2_111]),
        ]
        .concat()
    };
    let data = [record(16), record(14), record(16)].concat();
    let phases: Vec<_> = events(&[one(&fields, &data)])
        .into_iter()
        .map(|event| match event.told {
            Told::Ports(holding) => holding.phase,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(phases, [Phase::Begun, Phase::Begun, Phase::Held]);
}

#[test]
fn a_block_without_an_end_has_as_many_ports_as_it_says() {
    // Cisco: start, step and number, no end.
    let fields = [(230, 1), (8, 4), (225, 4), (361, 2), (363, 2), (364, 2)];
    let record = |ports: &[u16]| {
        let record = [&[16][..], &INSIDE, &[203, 0, 113, 7], &words(ports)].concat();
        let mut collected = Collected::new(Medium::Datagrams);
        collected.hear(&one(&fields, &record));
        collected.lines()
    };
    let line = |ports: &str| {
        format!(
            "1 <=2026-09-21T14:13:20.000Z Begun 203.0.113.7 {ports} any by default/100.64.3.9: block"
        )
    };
    assert_eq!(record(&[1_024, 1, 512]), [line("1024-1535")]);
    assert_eq!(record(&[1_024, 0, 512]), [line("1024-1535")]);
    assert_eq!(record(&[1_024, 8, 1]), [line("1024")]);
    assert_eq!(
        record(&[1_024, 100, 3]),
        [line("1024"), line("1124"), line("1224")]
    );
    for wrong in [
        [65_000, 1, 537],
        [1_024, 1, 0],
        [1_024, 2, 5_000],
        [0, 65_535, 65_535],
    ] {
        let lines = record(&wrong);
        assert!(
            lines.len() == 1 && lines[0].starts_with("Rejected"),
            "{lines:?}"
        );
    }
}

#[test]
fn an_end_that_disagrees_with_the_number_is_refused() {
    let fields = [(230, 1), (225, 4), (361, 2), (362, 2), (363, 2), (364, 2)];
    let record = |ports: &[u16]| {
        let record = [&[17][..], &[203, 0, 113, 7], &words(ports)].concat();
        let mut collected = Collected::new(Medium::Datagrams);
        collected.hear(&one(&fields, &record));
        collected.lines().remove(0).starts_with("Rejected")
    };
    assert!(!record(&[1_024, 1_535, 1, 512]));
    assert!(!record(&[1_024, 1_535, 0, 0]));
    assert!(record(&[1_024, 1_535, 1, 511]));
    assert!(record(&[1_535, 1_024, 1, 512]));
}

#[test]
fn quotas_in_the_hosts_byte_order_are_understood() {
    // Older releases of VPP.
    for quota in [3_u32.to_be_bytes(), 3_u32.to_le_bytes()] {
        let record = [&[13][..], &quota, &INSIDE, &quota].concat();
        let message = one(&[(230, 1), (466, 4), (8, 4), (473, 4)], &record);
        assert!(matches!(
            events(&[message])[0].told,
            Told::LimitReached {
                subscriber: Some(_),
                limit: Limit::State
            }
        ));
    }
}

#[test]
fn pools_and_ports_that_are_exhausted_are_one_event() {
    let pool = [&[3][..], &5_u32.to_be_bytes()].concat();
    let by_address = events(&[one(&[(230, 1), (283, 4)], &pool)]);
    // RFC 8158 §5.7: ports exhausted names an external address and a protocol.
    let by_port = events(&[one(&[(230, 1), (225, 4), (4, 1)], &[12, 203, 0, 113, 7, 6])]);
    // Juniper's number for the same.
    let by_draft = events(&[one(&[(230, 1), (225, 4), (4, 1)], &[10, 203, 0, 113, 7, 6])]);
    let exhausted = |pool| Told::PoolExhausted {
        pool,
        blocks: None,
        resting: None,
    };
    assert_eq!(by_address[0].told, exhausted(Some(5)));
    assert_eq!(by_port[0].told, exhausted(None));
    assert_eq!(by_draft[0].told, exhausted(None));
}

#[test]
fn cisco_xr_tells_neither_event_nor_time() {
    let fields = [
        (234, 4),
        (235, 4),
        (8, 4),
        (225, 4),
        (7, 2),
        (227, 2),
        (4, 1),
    ];
    let record = [
        &7_u32.to_be_bytes()[..],
        &[0; 4],
        &INSIDE,
        &[203, 0, 113, 7],
        &words(&[5_000, 40_000]),
        &[6],
    ]
    .concat();
    let sets = [set(0, &template(256, &fields)), set(256, &record)];
    let line = "<=2026-09-21T14:13:20.000Z Begun 203.0.113.7 40000 tcp by vrf7/100.64.3.9: mapping of port 5000";
    assert_eq!(shown(&[netflow9(0, SENT, 1, &sets)]), [line]);
}

#[test]
fn protocols_without_ports_are_about_something_else() {
    let fields = [(230, 1), (8, 4), (225, 4), (227, 2), (4, 1)];
    let record = |protocol: u8| {
        [
            &[4][..],
            &INSIDE,
            &[203, 0, 113, 7],
            &words(&[0]),
            &[protocol],
        ]
        .concat()
    };
    assert_eq!(events(&[one(&fields, &record(47))]), []);
    // ICMPv6 inside a NAT64 is ICMP outside, and its identifier a port.
    assert_eq!(events(&[one(&fields, &record(58))]).len(), 1);
}

#[test]
fn a_session_of_nat64_names_its_destination_as_seen_from_outside() {
    // As VPP sends it: 323, 230, 27, 225, 4, 7, 227, 28, 226, 11, 228, 234.
    let fields = [
        (323, 8),
        (230, 1),
        (27, 16),
        (225, 4),
        (4, 1),
        (7, 2),
        (227, 2),
        (28, 16),
        (226, 4),
        (11, 2),
        (228, 2),
        (234, 4),
    ];
    let inside = "2001:db8::9"
        .parse::<std::net::Ipv6Addr>()
        .unwrap()
        .octets();
    let target = "64:ff9b::c633:6401"
        .parse::<std::net::Ipv6Addr>()
        .unwrap()
        .octets();
    let record = [
        &MILLIS.to_be_bytes()[..],
        &[6],
        &inside,
        &[203, 0, 113, 7],
        &[6],
        &words(&[5_000, 40_000]),
        &target,
        &[198, 51, 100, 1],
        &words(&[443, 443]),
        &[0; 4],
    ]
    .concat();
    let line = "2026-09-21T14:13:20.000Z Begun 203.0.113.7 40000 tcp by default/2001:db8::9: session of port 5000 to 198.51.100.1:443";
    assert_eq!(shown(&[one(&fields, &record)]), [line]);
}

#[test]
fn every_clock_tells_the_same_time() {
    let ntp = (1_790_000_000_u64 + 2_208_988_800) << 32 | 0x8000_0000;
    for (element, length, value, message_secs) in [
        (322, 4, 1_790_000_000_u64, false),
        (323, 8, 1_790_000_000_500, true),
        (324, 8, ntp, true),
        (325, 8, ntp, true),
    ] {
        let fields = [(element, length), (230, 1), (225, 4), (361, 2), (362, 2)];
        let value = value.to_be_bytes();
        let record = [
            &value[8 - usize::from(length)..],
            &[16, 203, 0, 113, 7],
            &words(&[1_024, 1_535]),
        ]
        .concat();
        let half = if message_secs { 500 } else { 0 };
        let at = Timestamp::from_millis(1_790_000_000_000 + half);
        assert_eq!(
            events(&[one(&fields, &record)])[0].at,
            EventTime::Told(at),
            "{element}"
        );
    }
    // NetFlow v9: the device booted 1,000 s before the header's time.
    let fields = [(22, 4), (230, 1), (225, 4), (361, 2), (362, 2)];
    let record = [
        &999_500_u32.to_be_bytes()[..],
        &[16, 203, 0, 113, 7],
        &words(&[1_024, 1_535]),
    ]
    .concat();
    let sets = [set(0, &template(256, &fields)), set(256, &record)];
    let at = Timestamp::from_millis(1_789_999_999_500);
    assert_eq!(
        events(&[netflow9(0, SENT, 1, &sets)])[0].at,
        EventTime::Told(at)
    );
}

#[test]
fn boot_times_of_options_are_what_uptimes_count_from() {
    let options = words(&[300, 2, 1, 149, 4, 160, 8]);
    let boot = [
        &1_u32.to_be_bytes()[..],
        &(MILLIS - 1_000_000).to_be_bytes(),
    ]
    .concat();
    let fields = [(22, 4), (230, 1), (225, 4), (361, 2), (362, 2)];
    let record = [
        &999_500_u32.to_be_bytes()[..],
        &[16, 203, 0, 113, 7],
        &words(&[1_024, 1_535]),
    ]
    .concat();
    let sets = [
        set(3, &options),
        set(300, &boot),
        set(2, &template(256, &fields)),
        set(256, &record),
    ];
    let at = Timestamp::from_millis(1_789_999_999_500);
    assert_eq!(
        events(&[ipfix(0, SENT, 1, &sets)])[0].at,
        EventTime::Told(at)
    );
}

#[test]
fn interim_records_say_since_when_and_releases_too() {
    let fields = [&BLOCK[..], &[(152, 8)]].concat();
    let record = |event: u8, since: u64| {
        let mut record = block(MILLIS, event, INSIDE, 1_024, 1_535);
        record.extend(since.to_be_bytes());
        record
    };
    let data = [
        record(16, MILLIS - 60_000),
        record(16, MILLIS),
        record(16, 0),
        record(17, MILLIS - 60_000),
        record(17, 0),
    ]
    .concat();
    let told: Vec<_> = events(&[one(&fields, &data)])
        .into_iter()
        .map(|event| match event.told {
            Told::Ports(holding) => (holding.phase, holding.since.is_some(), holding.kind),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        (Phase::Held, true),
        (Phase::Begun, false),
        (Phase::Held, false),
        (Phase::Ended, true),
        (Phase::Ended, false),
    ];
    assert_eq!(
        told,
        expected.map(|(phase, since)| (phase, since, Kind::Block))
    );
}
