use std::time::Duration;

use portledger_model::{Sighting, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::{
    Options,
    testing::{Memory, at, held, micros, sighting, small_memory, subscriber},
    trace,
};

fn on(time: &str) -> Timestamp {
    at(&format!("2026-11-01T{time}Z"))
}

fn options() -> Options {
    Options {
        within: Duration::from_secs(2),
        asked_at: on("23:00:00"),
        shifts: None,
    }
}

/// A is there all day; B until noon, C from then on; D and E come and go.
fn ledger() -> Memory {
    let morning = Some(on("12:00:00"));
    Memory::default()
        .with(held(1, 0, on("08:00:00"), None))
        .with(held(2, 256, on("08:00:00"), morning))
        .with(held(3, 512, on("12:00:00"), None))
        .with(held(4, 768, on("09:00:00"), Some(on("10:00:00"))))
        .with(held(5, 1_024, on("09:30:00"), Some(on("15:00:00"))))
}

fn seen(time: &str) -> Sighting {
    Sighting {
        port: None,
        ..sighting(&format!("2026-11-01T{time}Z"))
    }
}

fn all(ledger: &Memory, times: &[&str]) -> SameActor {
    let mut actor = SameActor::default();
    for time in times {
        actor.add(&trace(ledger, &seen(time), options()).unwrap());
    }
    actor
}

#[test]
fn who_was_there_every_time_is_left() {
    let actor = all(&ledger(), &["09:45:00", "13:00:00", "16:00:00"]);
    assert_eq!((actor.verdict(), actor.candidates()), (Verdict::Unique, 1));
    insta::assert_snapshot!(actor.text());
    insta::assert_snapshot!(serde_json::to_string(&actor).unwrap());
}

#[test]
fn all_who_were_there_every_time_are_left() {
    let actor = all(&ledger(), &["09:45:00", "11:00:00", "11:30:00"]);
    assert_eq!(
        (actor.verdict(), actor.candidates()),
        (Verdict::Ambiguous, 3)
    );
    insta::assert_snapshot!(actor.text());
}

#[test]
fn where_nobody_is_left_it_cannot_be_one() {
    let ported = |port, time| Sighting {
        port: Some(port),
        ..seen(time)
    };
    let mut actor = SameActor::default();
    for sighting in [ported(300, "11:00:00"), ported(600, "13:00:00")] {
        actor.add(&trace(&ledger(), &sighting, options()).unwrap());
    }
    assert_eq!((actor.verdict(), actor.chance()), (Verdict::None, None));
    insta::assert_snapshot!(actor.text());
}

#[test]
fn with_a_gap_nobody_is_named_for_sure() {
    let ledger = ledger().with_gap("2026-11-01T14:00:00Z", "2026-11-01T14:01:00Z");
    let mut actor = all(&ledger, &["09:45:00", "13:00:00", "14:00:30", "16:00:00"]);
    let untimed = Sighting {
        at: None,
        ..seen("16:00:00")
    };
    actor.add(&trace(&ledger, &untimed, options()).unwrap());
    assert_eq!((actor.verdict(), actor.candidates()), (Verdict::Unknown, 1));
    insta::assert_snapshot!(actor.text());
}

#[test]
fn nothing_answered_claims_nothing() {
    let actor = SameActor::default();
    assert_eq!(actor.verdict(), Verdict::Unknown);
    insta::assert_snapshot!(actor.text());
    insta::assert_snapshot!(serde_json::to_string(&actor).unwrap());
}

#[test]
fn the_same_line_again_proves_nothing_more() {
    let once = all(&ledger(), &["09:45:00", "11:00:00"]);
    let often = all(&ledger(), &["09:45:00", "11:00:00", "11:00:00", "11:00:00"]);
    assert_eq!(once.chance(), often.chance());
    assert_eq!(once.in_all_but_one(), often.in_all_but_one());
    assert_eq!((often.answered, often.repeated), (2, 2));
}

#[test]
fn those_who_stay_are_no_proof_and_the_estimate_says_so() {
    // Nobody comes or goes: all of the others are left by chance.
    let actor = all(&ledger(), &["11:00:00", "11:10:00", "11:20:00", "11:30:00"]);
    assert_eq!(actor.candidates(), 3);
    let chance = actor.chance().unwrap();
    assert_eq!(
        (rounded(chance.drawn_anew), chance.as_they_stayed),
        (2.0, 2.0)
    );
}

#[test]
fn debug_names_no_subscriber() {
    let actor = all(&ledger(), &["11:00:00"]);
    let address = subscriber(1).internal().to_string();
    assert!(actor.text().contains(&address));
    assert!(!format!("{actor:#?}").contains(&address));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn who_is_left_was_a_candidate_every_time(
        ledger in small_memory(),
        seen in prop::collection::vec((prop::option::of(0..512_u16), 0..70_i64), 0..6),
    ) {
        let options = Options { within: Duration::from_micros(2), asked_at: micros(200), shifts: None };
        let mut actor = SameActor::default();
        let mut left: Option<BTreeSet<Subscriber>> = None;
        let mut gap = false;
        for (port, at) in seen {
            let sighting = Sighting { port, at: Some(micros(at)), resolution: Duration::ZERO, ..sighting("2026-11-01T12:00:00Z") };
            let outcome = trace(&ledger, &sighting, options).unwrap();
            actor.add(&outcome);
            let Outcome::Answered(answer) = outcome else { continue };
            if answer.verdict == Verdict::Unknown {
                gap = true;
                continue;
            }
            let holders: BTreeSet<_> = answer.allocations.iter().map(|a| a.block.subscriber.clone()).collect();
            left = Some(match left {
                None => holders,
                Some(left) => &left & &holders,
            });
        }
        prop_assert_eq!(&actor.remaining, &left);
        if actor.verdict() == Verdict::Unique {
            prop_assert!(!gap && left.unwrap().len() == 1);
        }
    }
}
