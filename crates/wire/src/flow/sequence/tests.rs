//! Losses, overtaking, wrapping and restarts.

use super::*;
use proptest::prelude::*;

const TIME: Duration = Duration::from_secs(2);

fn head(number: u32, second: i64) -> Head {
    Head {
        number,
        sent: Timestamp::from_secs(second),
        uptime: None,
    }
}

/// Reads messages of ten records each, and says how many are missing at the end.
fn missing(numbers: impl IntoIterator<Item = u32>) -> u64 {
    let mut sequence = Sequence::default();
    for number in numbers {
        let head = head(number, 1_000);
        let arrival = sequence.arrive(head, Timestamp::EPOCH);
        assert!(!matches!(arrival, Arrival::Restarted { .. }), "{number}");
        sequence.read(arrival, head, 10, 0, None);
    }
    rest(&mut sequence)
}

fn rest(sequence: &mut Sequence) -> u64 {
    let mut sum = 0;
    sequence.settle(Timestamp::EPOCH, Duration::ZERO, 0, |missing| {
        sum += u64::from(missing.count);
    });
    sum
}

#[test]
fn messages_in_order_miss_nothing() {
    assert_eq!(missing([0, 10, 20]), 0);
}

#[test]
fn a_lost_message_is_counted_by_its_records() {
    assert_eq!(missing([0, 10, 30]), 10);
}

#[test]
fn an_overtaken_message_is_not_lost() {
    assert_eq!(missing([0, 20, 10, 30]), 0);
    assert_eq!(missing([0, 30, 10, 20, 40]), 0);
    assert_eq!(missing([0, 40, 20, 50]), 20);
}

#[test]
fn a_message_that_comes_twice_changes_nothing() {
    assert_eq!(missing([0, 10, 10, 20, 0, 30]), 0);
}

#[test]
fn numbers_wrap_at_32_bits() {
    assert_eq!(missing([u32::MAX - 9, 0, 10]), 0);
    assert_eq!(missing([u32::MAX - 9, 10]), 10);
    assert_eq!(missing([u32::MAX - 9, 10, 0]), 0);
}

#[test]
fn a_smaller_number_in_a_later_message_is_a_restart() {
    let mut sequence = Sequence::default();
    sequence.read(Arrival::Next, head(5_000, 100), 10, 0, None);
    let arrival = sequence.arrive(head(0, 160), Timestamp::EPOCH);
    let expected = Arrival::Restarted {
        since: Timestamp::from_secs(100),
        until: Timestamp::from_secs(161),
    };
    assert_eq!(arrival, expected);
}

#[test]
fn an_exporter_that_counts_anew_with_its_clock_set_back_is_noticed() {
    let mut sequence = Sequence::default();
    sequence.read(Arrival::Next, head(5_000, 100), 10, 0, None);
    let mut restarts = 0;
    for number in 0..20 {
        let head = head(number * 10, 50);
        let arrival = sequence.arrive(head, Timestamp::EPOCH);
        restarts += u32::from(matches!(arrival, Arrival::Restarted { .. }));
        sequence.read(arrival, head, 10, 0, None);
    }
    assert_eq!(restarts, 1);
    assert_eq!(rest(&mut sequence), 0);
}

#[test]
fn a_device_that_booted_in_between_is_noticed_whatever_its_number() {
    let mut sequence = Sequence::default();
    let before = Head {
        number: 10,
        sent: Timestamp::from_secs(1_000),
        uptime: Some(500_000),
    };
    sequence.read(Arrival::Next, before, 1, 0, None);
    let after = Head {
        number: 11,
        sent: Timestamp::from_secs(1_100),
        uptime: Some(30_000),
    };
    assert!(matches!(
        sequence.arrive(after, Timestamp::EPOCH),
        Arrival::Restarted { .. }
    ));
    // An uptime that turns over is none.
    let mut sequence = Sequence::default();
    let before = Head {
        uptime: Some(u32::MAX - 50_000),
        ..before
    };
    sequence.read(Arrival::Next, before, 1, 0, None);
    let after = Head {
        uptime: Some(49_999),
        ..after
    };
    assert_eq!(sequence.arrive(after, Timestamp::EPOCH), Arrival::Next);
}

#[test]
fn what_waits_for_its_template_is_counted_when_it_is_read() {
    let mut sequence = Sequence::default();
    let mut junctions = Vec::new();
    // 0..10, 10..20, and 30..40: the one in between is lost.
    for number in [0, 10, 30] {
        let head = head(number, 1_000);
        let arrival = sequence.arrive(head, Timestamp::EPOCH);
        junctions.push(sequence.read(arrival, head, 0, 1, None));
    }
    assert_eq!(rest(&mut sequence), 0, "nothing is claimed before");
    for junction in junctions {
        sequence.resolve(junction, Some(10), Timestamp::EPOCH);
    }
    let next = sequence.arrive(head(40, 1_000), Timestamp::EPOCH);
    sequence.read(next, head(40, 1_000), 10, 0, None);
    assert_eq!(rest(&mut sequence), 10);
}

#[test]
fn records_dropped_unread_are_missing_by_number() {
    let mut sequence = Sequence::default();
    let junction = sequence.read(Arrival::Next, head(100, 1_000), 0, 1, None);
    let next = sequence.arrive(head(124, 1_001), Timestamp::EPOCH);
    sequence.read(next, head(124, 1_001), 24, 0, None);
    sequence.resolve(junction, None, Timestamp::EPOCH);
    assert_eq!(rest(&mut sequence), 24);
}

#[test]
fn a_gap_is_told_after_its_time_or_enough_messages() {
    let mut sequence = Sequence::default();
    sequence.read(Arrival::Next, head(0, 1_000), 10, 0, None);
    let lost = head(20, 1_000);
    let arrival = sequence.arrive(lost, Timestamp::from_secs(5));
    sequence.read(arrival, lost, 10, 0, None);
    let mut told = Vec::new();
    sequence.settle(Timestamp::from_secs(6), TIME, 16, |missing| {
        told.push(missing)
    });
    assert_eq!(told, []);
    sequence.settle(Timestamp::from_secs(7), TIME, 16, |missing| {
        told.push(missing)
    });
    assert_eq!(told.len(), 1);
    assert!(!sequence.has_holes());
}

proptest! {
    /// Whatever is lost and however the rest is shuffled nearby, as much is missing as was lost.
    #[test]
    fn what_is_missing_is_what_was_lost(
        begin: u32,
        sizes in prop::collection::vec((1_u32..40, prop::bool::weighted(0.2), 0_usize..4), 2..60),
    ) {
        let mut number = begin;
        let mut messages = Vec::new();
        for (place, (size, lost, delay)) in sizes.iter().enumerate() {
            messages.push((place + delay, number, *size, *lost && place > 0));
            number = number.wrapping_add(*size);
        }
        // The first and the last say what there was.
        let last = messages.len() - 1;
        messages[0].0 = 0;
        messages[last].0 = usize::MAX;
        messages[last].3 = false;
        messages[1..].sort_by_key(|message| message.0);
        let lost: u64 = messages.iter().filter(|m| m.3).map(|m| u64::from(m.2)).sum();
        let mut sequence = Sequence::default();
        for (_, number, size, is_lost) in messages {
            if !is_lost {
                let head = head(number, 1_000);
                let arrival = sequence.arrive(head, Timestamp::EPOCH);
                sequence.read(arrival, head, size, 0, None);
            }
        }
        prop_assert_eq!(rest(&mut sequence), lost);
    }
}
