use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    Query,
    testing::{Memory, at, held, micros, sighting, small_memory},
};

fn on(time: &str) -> Timestamp {
    at(&format!("2026-11-01T{time}Z"))
}

fn seen(port: u16, time: &str) -> Sighting {
    Sighting {
        port: Some(port),
        resolution: Duration::ZERO,
        ..sighting(&format!("2026-11-01T{time}Z"))
    }
}

fn find(ledger: &Memory, sightings: &[Sighting]) -> Offset {
    let mut survey = Survey::new(Offset::RANGE, on("23:00:00"));
    survey.add(ledger, sightings).unwrap();
    survey.offset()
}

/// Three short tenures on three blocks.
fn ledger() -> Memory {
    Memory::default()
        .with(held(1, 0, on("10:00:00"), Some(on("10:01:00"))))
        .with(held(2, 256, on("11:00:00"), Some(on("11:01:00"))))
        .with(held(3, 512, on("12:00:00"), Some(on("12:01:00"))))
}

#[test]
fn a_fast_clock_is_found_and_can_be_put_right() {
    let sightings = [
        seen(7, "10:05:20"),
        seen(300, "11:05:10"),
        seen(600, "12:05:50"),
    ];
    let offset = find(&ledger(), &sightings);
    // The second sighting allows no less than -310 s, the third less than -290 s.
    let agreed = offset.agreed().unwrap();
    assert_eq!(Some(agreed), Shifts::new(-310_000_000, -290_000_000));
    assert_eq!((offset.satisfied, offset.sightings), (3, 3));
    assert!(!offset.reaches_the_edge());

    let query = Query::from_sighting(&sightings[0], Duration::ZERO).unwrap();
    let right = query.shifted(agreed);
    assert_eq!(right.at, on("10:00:20"));
    assert_eq!(right.within, Duration::from_secs(10));
    insta::assert_snapshot!(offset, @r"
    correction -310.000000 s to -290.000001 s (added to the clock's times; negative where it was fast): 3 of 3 sightings fall inside an allocation
    0 sightings of endpoints that were never ours; 0 left out (no time, no port or IPv6); 0 where the log is not complete
    ");
    insta::assert_snapshot!(serde_json::to_string(&offset).unwrap(), @r#"{"shifts":[{"first_us":-310000000,"last_us":-290000001}],"satisfied":3,"tried":3,"sightings":3,"not_ours":0,"left_out":0,"incomplete":0,"range_ms":3600000}"#);
}

#[test]
fn a_sighting_that_contradicts_the_others_is_outvoted_and_nothing_is_agreed() {
    let offset = find(
        &ledger(),
        &[
            seen(7, "10:05:20"),
            seen(300, "11:05:10"),
            seen(600, "12:30:00"),
        ],
    );
    assert_eq!((offset.satisfied, offset.sightings), (2, 3));
    assert_eq!(
        offset.shifts,
        [Shifts::new(-310_000_000, -260_000_000).unwrap()]
    );
    assert_eq!(offset.agreed(), None);
}

#[test]
fn two_intervals_are_not_one_answer() {
    let ledger = ledger().with(held(4, 0, on("10:20:00"), Some(on("10:21:00"))));
    let offset = find(&ledger, &[seen(7, "10:10:00")]);
    assert_eq!(offset.shifts.len(), 2);
    assert_eq!(offset.satisfied, 1);
    assert_eq!(offset.agreed(), None);
}

#[test]
fn what_tells_nothing_is_counted_apart() {
    let sightings = [
        seen(7, "10:00:30"),
        seen(40_000, "10:00:30"),
        Sighting {
            port: None,
            ..seen(7, "10:00:30")
        },
        Sighting {
            at: None,
            ..seen(7, "10:00:30")
        },
        Sighting {
            address: "2001:db8::1".parse().unwrap(),
            ..seen(7, "10:00:30")
        },
        // Ours, but out of reach: it contradicts every shift.
        seen(7, "15:00:00"),
    ];
    let ledger = ledger().with_gap("2026-11-01T15:30:00Z", "2026-11-01T15:31:00Z");
    let offset = find(&ledger, &sightings);
    assert_eq!((offset.not_ours, offset.left_out), (1, 3));
    assert_eq!(
        (offset.satisfied, offset.sightings, offset.incomplete),
        (1, 2, 1)
    );
}

#[test]
fn an_allocation_without_end_in_reach_reaches_the_edge() {
    let ledger = Memory::default().with(held(1, 0, on("08:00:00"), None));
    assert!(find(&ledger, &[seen(7, "10:00:00")]).reaches_the_edge());
}

#[test]
fn nothing_to_go_by_gives_no_shift() {
    for sightings in [&[][..], &[seen(7, "15:00:00")][..]] {
        let offset = find(&ledger(), sightings);
        assert_eq!((offset.shifts.len(), offset.satisfied), (0, 0));
        assert_eq!(offset.agreed(), None);
    }
}

#[test]
fn a_second_of_the_stamp_and_the_length_of_the_connection_count() {
    let ledger = Memory::default().with(held(1, 0, on("10:00:00"), Some(on("10:10:00"))));
    let find = |lasted| {
        let seen = Sighting {
            resolution: Duration::from_secs(1),
            lasted: Some(Duration::from_secs(lasted)),
            ..seen(7, "10:05:00")
        };
        find(&ledger, &[seen]).shifts
    };
    // Within the second that was written the request may have ended at any time.
    assert_eq!(find(0), [Shifts::new(-300_999_999, 300_000_000).unwrap()]);
    // It began 241 s before: 240 s of that are sure.
    assert_eq!(find(241), [Shifts::new(-60_999_999, 300_000_000).unwrap()]);
    // A connection that was open for longer than the block was held was not in it.
    assert_eq!(find(700), []);
}

#[test]
fn where_the_log_has_a_gap_nothing_is_contradicted() {
    let sightings = [
        seen(7, "10:05:20"),
        seen(300, "11:05:10"),
        seen(600, "12:30:00"),
    ];
    // The third is nowhere; but if its allocation was lost in the gap, the first two are right.
    let lost = ledger().with_gap("2026-11-01T12:25:00Z", "2026-11-01T12:25:30Z");
    let offset = find(&lost, &sightings);
    assert_eq!(offset.agreed(), Shifts::new(-300_000_000, -270_000_000));
    // A gap for all of them is no explanation: nothing would be inside an allocation.
    let blank = ledger().with_gap("2026-11-01T10:30:00Z", "2026-11-01T10:50:00Z");
    let offset = find(&blank, &[seen(7, "10:05:20"), seen(7, "10:06:30")]);
    assert_eq!((offset.satisfied, offset.agreed()), (1, None));
}

#[test]
fn a_long_log_that_contradicts_itself_is_judged_by_a_sample_and_says_so() {
    let mut survey = Survey::new(Offset::RANGE, on("23:00:00"));
    let sightings = (0..10_000_u32).map(|n| {
        let time = on("10:05:10").after(Duration::from_micros(u64::from(n)));
        let time = if n % 100 == 1 { on("10:30:00") } else { time };
        Sighting {
            at: Some(time),
            ..seen(7, "10:05:10")
        }
    });
    let sightings: Vec<_> = sightings.collect();
    survey.add(&ledger(), &sightings).unwrap();
    let offset = survey.offset();
    assert_eq!((offset.sightings, offset.agreed()), (10_000, None));
    assert!(offset.tried < 5_000 && offset.tried - offset.satisfied <= 100);
    assert!(offset.to_string().contains(", out of 10000"), "{offset}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn it_is_what_trying_every_shift_finds(
        ledger in small_memory(),
        seen in prop::collection::vec((0..512_u16, 0..70_i64, prop::option::weighted(0.2, 0..70_i64), 0..4_i64), 0..6),
    ) {
        let range = 30;
        let sightings: Vec<_> = seen.iter().map(|&(port, at, or_at, resolution)| Sighting {
            port: Some(port),
            at: Some(micros(at)),
            or_at: or_at.map(micros),
            resolution: Duration::from_micros(resolution.unsigned_abs()),
            ..sighting("2026-11-01T12:00:00Z")
        }).collect();
        let mut survey = Survey::new(Duration::from_micros(30), micros(200));
        for chunk in sightings.chunks(2) {
            survey.add(&ledger, chunk).unwrap();
        }
        let offset = survey.offset();

        let ours: Vec<_> = seen.iter().filter(|(port, ..)| {
            ledger.allocations.iter().any(|a| a.block.ports.contains(*port))
        }).collect();
        prop_assert_eq!(offset.sightings as usize, ours.len());
        prop_assert_eq!(offset.sightings + offset.not_ours, seen.len() as u64);

        // Whether something is so at an instant that the sighting may truly have been at.
        let error = i64::try_from(ledger.clock_error.as_micros()).unwrap();
        let ever = |&&(_, at, or_at, resolution): &&(u16, i64, Option<i64>, i64), shift: i64, so: &dyn Fn(Timestamp) -> bool| {
            [Some(at), or_at].into_iter().flatten().any(|at| {
                (-error..resolution.max(1) + error).any(|step| so(micros(at + step + shift)))
            })
        };
        let inside = |seen: &&(u16, i64, Option<i64>, i64), shift| ever(seen, shift, &|at| {
            ledger.allocations.iter().any(|a| a.block.ports.contains(seen.0) && a.span().contains(at))
        });
        let unknown = |seen: &&(u16, i64, Option<i64>, i64), shift| ever(seen, shift, &|at| ledger.is_gap(at));
        let satisfied = |shift| ours.iter().filter(|seen| inside(seen, shift)).count();
        let possible = |shift: i64| shift.abs() <= range && ours.iter().all(|seen| inside(seen, shift) || unknown(seen, shift));

        // Stretches of shifts that nothing speaks against, if most are inside somewhere in them.
        let all_inside = (-range..=range).any(|shift| satisfied(shift) == ours.len());
        let needed = if all_inside { ours.len() } else { ours.len() / 2 + 1 };
        let mut expected = BTreeSet::new();
        let mut stretch = Vec::new();
        for shift in -range..=range + 1 {
            if possible(shift) {
                stretch.push(shift);
                continue;
            }
            if stretch.iter().any(|shift| satisfied(*shift) >= needed) {
                expected.extend(stretch.iter().copied());
            }
            stretch.clear();
        }
        let mut agree = ours.len();
        if ours.is_empty() || expected.is_empty() {
            agree = (-range..=range).map(satisfied).max().unwrap();
            expected = (-range..=range).filter(|shift| agree > 0 && satisfied(*shift) == agree).collect();
        }
        prop_assert_eq!(offset.satisfied as usize, agree);
        for shift in -range - 5..=range + 5 {
            let found = offset.shifts.iter().any(|s| s.contains(shift));
            prop_assert_eq!(found, expected.contains(&shift), "shift {}", shift);
        }
        // Ordered, and no two touch.
        for pair in offset.shifts.windows(2) {
            prop_assert!(pair[0].last() + 1 < pair[1].first());
        }
    }
}
