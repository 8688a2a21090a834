use std::time::Duration;

use portledger_model::{Realm, Timestamp};
use portledger_wire::{
    leases::{self, Client},
    radius::{Accounting, Framed, Nas, Status, Who},
};
use proptest::prelude::*;

use super::*;
use crate::Interval;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

/// A packet of session `id` at `seconds`, of 100.64.0.`host` where told.
fn packet(status: Status, id: &str, seconds: i64, host: Option<u8>) -> Accounting {
    Accounting {
        status,
        nas: Nas {
            identifier: Some("bng1".into()),
            address: None,
        },
        session_id: Some(id.into()),
        multi_session_id: None,
        event_timestamp: Some(at(seconds)),
        delay: Duration::ZERO,
        session_time: None,
        who: Who {
            user_name: Some(format!("user-{id}").into()),
            ..Who::default()
        },
        framed: host
            .map(|host| Framed {
                address: [100, 64, 0, host].into(),
                length: 32,
            })
            .into_iter()
            .collect(),
    }
}

fn fact(accounting: &Accounting) -> Fact {
    let read = Reading::default().accounting(accounting, Timestamp::from_secs(1_000_000));
    read.unwrap().unwrap()
}

fn lease(told: leases::Told, hardware: &str) -> Fact {
    let lease = leases::Lease {
        address: [100, 64, 0, 9].into(),
        length: 32,
        client: Client {
            hardware_address: Some(hardware.into()),
            ..Client::default()
        },
        told,
    };
    Reading::default().lease(&lease).unwrap()
}

fn held(from: i64, until: i64, hardware: &str) -> Fact {
    let told = leases::Told::Held {
        from: at(from),
        heard: at(from),
        until: Some(at(until)),
    };
    lease(told, hardware)
}

fn intervals(facts: &[Fact]) -> Vec<Interval> {
    let mut sessions = Sessions::default();
    for fact in facts {
        sessions.take(fact.clone());
    }
    sessions.drain()
}

/// Who, from when, to when in microseconds behind the second, where that is the tick of an instant.
fn told(facts: &[Fact]) -> Vec<(String, i64, Option<i64>)> {
    let micros = |at: Timestamp| at.as_micros();
    let one = |it: &Interval| {
        let to = it.to().map(micros);
        let to = to.map(|to| {
            if to % 1_000_000 == 0 {
                to / 1_000_000
            } else {
                -to
            }
        });
        (
            it.customer().id().to_owned(),
            micros(it.from()) / 1_000_000,
            to,
        )
    };
    intervals(facts).iter().map(one).collect()
}

fn row(who: &str, from: i64, to: i64) -> (String, i64, Option<i64>) {
    (who.to_owned(), from, Some(to))
}

/// The end of what is known of that second's first instant only.
fn tick(seconds: i64) -> i64 {
    -(seconds * 1_000_000 + 1)
}

#[test]
fn a_start_and_a_stop_make_an_interval_whatever_comes_first() {
    let start = fact(&packet(Status::Start, "a", 100, Some(9)));
    let stop = fact(&packet(Status::Stop, "a", 200, Some(9)));
    let expected = [row("user-a", 100, 200)];
    assert_eq!(told(&[start.clone(), stop.clone()]), expected);
    assert_eq!(told(&[stop.clone(), start, stop]), expected);
}

#[test]
fn a_stop_without_its_start_says_how_long_it_lasted() {
    let mut stop = packet(Status::Stop, "a", 200, Some(9));
    assert_eq!(told(&[fact(&stop)]), [row("user-a", 200, tick(200))]);
    stop.session_time = Some(Duration::from_secs(60));
    assert_eq!(told(&[fact(&stop)]), [row("user-a", 140, 200)]);
}

#[test]
fn a_lost_stop_leaves_what_was_last_told_and_never_more() {
    let start = fact(&packet(Status::Start, "a", 100, Some(9)));
    let next = fact(&packet(Status::Start, "b", 500, Some(9)));
    assert_eq!(
        told(&[start.clone(), next.clone()]),
        [row("user-a", 100, tick(100)), row("user-b", 500, tick(500))]
    );
    let interim = fact(&packet(Status::InterimUpdate, "a", 400, Some(9)));
    assert_eq!(told(&[next, interim, start])[0], row("user-a", 100, 400));
}

#[test]
fn no_session_goes_past_a_start_of_its_nas() {
    let start = fact(&packet(Status::Start, "a", 100, Some(9)));
    // After the restart the id is used again, and that start is lost.
    let stop = fact(&packet(Status::Stop, "a", 900, Some(9)));
    let mut on = packet(Status::AccountingOn, "", 300, None);
    on.session_id = None;
    assert_eq!(told(&[start, stop, fact(&on)]), [row("user-a", 100, 300)]);
}

#[test]
fn an_address_that_comes_within_a_session_is_known_from_then_on() {
    let start = fact(&packet(Status::Start, "a", 100, None));
    let mut interim = packet(Status::InterimUpdate, "a", 150, Some(9));
    interim.session_time = Some(Duration::from_secs(50));
    let changed = fact(&packet(Status::InterimUpdate, "a", 300, Some(10)));
    let stop = fact(&packet(Status::Stop, "a", 400, None));
    assert_eq!(
        told(&[stop, changed, fact(&interim), start]),
        [row("user-a", 150, tick(150)), row("user-a", 300, 400)]
    );
}

#[test]
fn two_customers_in_one_session_are_both_told() {
    let start = fact(&packet(Status::Start, "a", 100, Some(9)));
    let mut stop = packet(Status::Stop, "a", 200, Some(9));
    stop.who.user_name = Some("other".into());
    assert_eq!(
        told(&[start, fact(&stop)]),
        [row("other", 100, 200), row("user-a", 100, 200)]
    );
}

#[test]
fn a_session_id_that_is_used_twice_does_not_span_the_time_between() {
    let facts = [
        fact(&packet(Status::Start, "a", 100, Some(9))),
        fact(&packet(Status::Start, "a", 5_000, Some(9))),
        fact(&packet(Status::Stop, "a", 5_100, Some(9))),
    ];
    let expected = [row("user-a", 100, tick(100)), row("user-a", 5_000, 5_100)];
    assert_eq!(told(&facts), expected);
}

#[test]
fn a_lease_lasts_as_promised_unless_it_is_given_back_or_another_begins() {
    let (one, other) = ("00:00:5e:00:53:01", "00:00:5e:00:53:02");
    let free = |seconds| lease(leases::Told::Free { at: at(seconds) }, one);
    let first = held(100, 200, one);
    assert_eq!(told(std::slice::from_ref(&first)), [row(one, 100, 200)]);
    let renewed = held(150, 250, one);
    assert_eq!(
        told(&[renewed.clone(), first.clone()]),
        [row(one, 100, 250)]
    );
    assert_eq!(
        told(&[free(180), renewed, first.clone()]),
        [row(one, 100, 180)]
    );
    let another = held(120, 220, other);
    assert_eq!(
        told(&[first.clone(), another]),
        [row(one, 100, 120), row(other, 120, 220)]
    );
    let forever = lease(
        leases::Told::Held {
            from: at(50),
            heard: at(50),
            until: None,
        },
        other,
    );
    assert_eq!(told(std::slice::from_ref(&forever))[0].2, None);
    assert_eq!(told(&[forever, first])[0], row(other, 50, 100));
}

#[test]
fn what_cannot_be_relied_on_is_refused_and_not_shown() {
    let reading = Reading::default();
    let mut accounting = packet(Status::Start, "a", 1_000, Some(9));
    let received = at(500);
    assert_eq!(
        reading.accounting(&accounting, received),
        Err(Refusal::Ahead)
    );
    accounting.event_timestamp = None;
    let read = reading.accounting(&accounting, received).unwrap().unwrap();
    assert_eq!(
        format!("{read:?}"),
        "Fact(default, redacted, Start at 1970-01-01T00:08:20.000Z)"
    );
    let by_class = Reading {
        realm: Realm::default(),
        customer: Some(Field::Class),
    };
    assert_eq!(
        by_class.accounting(&accounting, received),
        Err(Refusal::NoCustomer(Field::Class))
    );
    accounting.session_id = None;
    let refused = reading.accounting(&accounting, received);
    assert_eq!(refused, Err(Refusal::NoSession));
    accounting.nas = Nas::default();
    assert_eq!(
        reading.accounting(&accounting, received),
        Err(Refusal::NoNas)
    );
}

#[test]
fn memory_is_bounded_and_what_is_let_go_is_told() {
    let mut sessions = Sessions::new(Options { most: 100 });
    for number in 0..1_000_u16 {
        let [high, low] = number.to_be_bytes();
        let mut start = packet(Status::Start, &number.to_string(), i64::from(number), None);
        start.framed.push(Framed {
            address: [100, 64, high, low].into(),
            length: 32,
        });
        sessions.take(fact(&start));
        assert!(sessions.len() <= 100);
    }
    assert!(sessions.let_go() >= 900);
    assert_eq!(sessions.drain().len(), 1_000);
    sessions.forget_before(at(2_000));
    assert!(sessions.is_empty() && sessions.drain().is_empty());
}

#[test]
fn what_ended_a_time_may_be_forgotten_and_the_time_stays_ended() {
    let (one, other) = ("00:00:5e:00:53:01", "00:00:5e:00:53:02");
    let long = held(100, 9_000, one);
    let another = leases::Told::Ended {
        from: at(150),
        to: at(160),
    };
    let start = fact(&packet(Status::Start, "a", 100, Some(10)));
    let mut on = packet(Status::AccountingOn, "", 150, None);
    on.session_id = None;
    let interim = fact(&packet(Status::InterimUpdate, "a", 300, Some(10)));
    let mut sessions = Sessions::default();
    let lease = lease(another, other);
    for fact in [&long, &lease, &start, &fact(&on), &interim] {
        sessions.take(fact.clone());
    }
    sessions.forget_before(at(200));
    // Told again, the one is not taken, and the other is remembered.
    sessions.take(long);
    assert_eq!(sessions.late(), 1);
    sessions.take(interim);
    let ends: Vec<_> = sessions
        .drain()
        .iter()
        .filter(|it| it.customer().id() != other)
        .map(Interval::to)
        .collect();
    assert_eq!(ends, [Some(at(150)), Some(at(150))]);
}

#[test]
fn what_ends_times_is_remembered_within_bounds_too() {
    let mut sessions = Sessions::new(Options { most: 10 });
    for seconds in 0..1_000 {
        let mut on = packet(Status::AccountingOn, "", seconds, None);
        on.nas.identifier = Some(seconds.to_string().into());
        sessions.take(fact(&on));
        let freed = leases::Lease {
            address: std::net::Ipv4Addr::from_bits(u32::try_from(seconds).unwrap() + 1).into(),
            length: 32,
            client: Client::default(),
            told: leases::Told::Free { at: at(seconds) },
        };
        sessions.take(Reading::default().lease(&freed).unwrap());
        assert!(sessions.places() <= 20);
    }
}

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    let statuses = prop_oneof![
        Just(Status::Start),
        Just(Status::InterimUpdate),
        Just(Status::Stop),
        Just(Status::AccountingOn),
    ];
    let hosts = prop_oneof![Just(None), Just(Some(9_u8)), Just(Some(10))];
    let lasted = prop_oneof![Just(None), (0_u64..100).prop_map(Some)];
    let accounting = (statuses, 0_u8..3, 0_i64..500, hosts, lasted, any::<bool>()).prop_map(
        |(status, id, seconds, host, lasted, is_other)| {
            let mut packet = packet(status, &id.to_string(), seconds, host);
            packet.session_time = lasted.map(Duration::from_secs);
            if is_other {
                packet.who.user_name = Some("other".into());
                packet.who.class = Some(seconds.to_string().into());
            }
            fact(&packet)
        },
    );
    let clients = prop_oneof![Just("00:00:5e:00:53:01"), Just("00:00:5e:00:53:02")];
    let lease = (0_i64..500, 0_i64..100, 0_i64..100, 0_u8..4, clients).prop_map(
        |(from, heard, until, kind, client)| {
            let heard = from + heard;
            let until = (until > 0).then(|| at(heard + until));
            let told = match kind {
                0 => leases::Told::Free { at: at(from) },
                1 => leases::Told::Ended {
                    from: at(from),
                    to: at(heard),
                },
                _ => leases::Told::Held {
                    from: at(from),
                    heard: at(heard),
                    until,
                },
            };
            lease(told, client)
        },
    );
    prop::collection::vec(prop_oneof![2 => accounting, 1 => lease], 0..12)
}

proptest! {
    /// In any order, and where packets come twice, the same intervals.
    #[test]
    fn order_and_repetition_change_nothing(
        (told, shuffled) in facts().prop_flat_map(|facts| {
            let twice = [facts.clone(), facts.clone()].concat();
            (Just(facts), Just(twice).prop_shuffle())
        })
    ) {
        prop_assert_eq!(intervals(&told), intervals(&shuffled));
    }

    /// What is drained on the way, and what at once, say the same in the end.
    #[test]
    fn draining_on_the_way_changes_nothing(told in facts()) {
        let mut sessions = Sessions::default();
        for fact in &told {
            sessions.take(fact.clone());
            sessions.drain();
        }
        for fact in &told {
            sessions.take(fact.clone());
        }
        prop_assert_eq!(sessions.drain(), intervals(&told));
    }

    /// No interval goes beyond the first and last that was told.
    #[test]
    fn nothing_is_named_beyond_what_was_told(told in facts()) {
        for interval in intervals(&told) {
            prop_assert!(interval.from() >= at(-100));
            prop_assert!(interval.to().is_none_or(|to| to <= at(700)));
        }
    }
}
