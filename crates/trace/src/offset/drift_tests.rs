use std::time::Duration;

use portledger_model::{Sighting, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::{
    Correction, Offset,
    testing::{Memory, at, held, micros, sighting},
};

const SECOND: i64 = 1_000_000;

fn begin() -> Timestamp {
    at("2026-11-01T00:00:00Z")
}

fn asked_at() -> Timestamp {
    at("2026-12-01T00:00:00Z")
}

/// What is truly added to a clock that was off by `shift` at first, and `billionths` more ever after.
fn truth(shift: i64, billionths: i64, clock: i64) -> i64 {
    shift + (i128::from(clock) * i128::from(billionths) / 1_000_000_000) as i64
}

/// A day of sightings every six minutes, each near one end of an allocation of a minute.
fn a_day(shift: i64, billionths: i64) -> (Memory, Vec<Sighting>) {
    let (mut ledger, mut sightings) = (Memory::default(), Vec::new());
    for n in 0..240_i64 {
        let clock = n * 360 * SECOND;
        let since = if n % 2 == 0 { SECOND } else { 58 * SECOND };
        let from = clock + truth(shift, billionths, clock) - since;
        let block = u16::try_from(n % 16 * 256).unwrap();
        let time = |micros: i64| Timestamp::from_micros(begin().as_micros() + micros);
        ledger = ledger.with(held(1, block, time(from), Some(time(from + 60 * SECOND))));
        sightings.push(seen(block + 7, time(clock)));
    }
    (ledger, sightings)
}

fn seen(port: u16, at: Timestamp) -> Sighting {
    Sighting {
        port: Some(port),
        at: Some(at),
        resolution: Duration::ZERO,
        ..sighting("2026-11-01T00:00:00Z")
    }
}

fn find(ledger: &Memory, sightings: &[Sighting], range: Duration) -> (Offset, Drift) {
    let mut survey = Survey::new(range, asked_at());
    for chunk in sightings.chunks(100) {
        survey.add(ledger, chunk).unwrap();
    }
    let mut search = DriftSearch::new(&survey);
    for chunk in sightings.chunks(70) {
        search.add(ledger, chunk).unwrap();
    }
    (survey.offset(), search.drift())
}

#[test]
fn a_clock_that_runs_slow_is_found_where_no_constant_is() {
    let (ledger, sightings) = a_day(-300 * SECOND, 50_000);
    let (offset, drift) = find(&ledger, &sightings, Offset::RANGE);
    assert_eq!(offset.agreed(), None);
    let agreed = Correction::Drifting(drift.agreed().unwrap());
    assert_eq!((drift.satisfied, drift.sightings), (240, 240));
    let (least, most) = drift.billionths;
    assert!(least < 50_000 && 50_000 < most, "{least} to {most}");
    // Both ends of the minutes hold the line to 3 s all day: to some 35 ppm.
    assert!(most - least < 80_000, "{least} to {most}");
    for sighting in &sightings {
        let clock = sighting.at.unwrap().as_micros() - begin().as_micros();
        let shifts = agreed.at(sighting.at.unwrap());
        assert!(shifts.contains(truth(-300 * SECOND, 50_000, clock)));
        assert!(shifts.last() - shifts.first() < 5 * SECOND, "{shifts}");
    }
    insta::assert_snapshot!(drift);
    insta::assert_snapshot!(serde_json::to_string(&drift).unwrap());
}

#[test]
fn a_sighting_that_contradicts_every_line_is_counted_and_nothing_is_agreed() {
    let (ledger, mut sightings) = a_day(90 * SECOND, -80_000);
    let wrong = sightings[100].at.unwrap().after(Duration::from_secs(200));
    sightings[100].at = Some(wrong);
    let (_, drift) = find(&ledger, &sightings, Offset::RANGE);
    assert_eq!((drift.satisfied, drift.sightings), (239, 240));
    assert_eq!(drift.agreed(), None);
    assert!(drift.to_string().ends_with(", 1 contradict it"), "{drift}");
}

#[test]
fn a_short_log_tells_nothing_of_a_drift_and_hides_none() {
    let (ledger, sightings) = a_day(90 * SECOND, 0);
    let (offset, drift) = find(&ledger, &sightings[..2], Offset::RANGE);
    assert_eq!(drift.billionths, (-Drifting::STEEPEST, Drifting::STEEPEST));
    let (constant, line) = (offset.agreed().unwrap(), drift.agreed().unwrap());
    let line = Correction::Drifting(line).at(sightings[1].at.unwrap());
    assert!(line.first() <= constant.first() && constant.last() <= line.last());
}

#[test]
fn a_line_that_leaves_what_was_looked_at_is_not_agreed() {
    let (ledger, sightings) = a_day(-300 * SECOND, 50_000);
    let (_, drift) = find(&ledger, &sightings, Duration::from_secs(301));
    assert_eq!(drift.agreed(), None);
}

#[test]
fn nothing_to_go_by_gives_no_drift() {
    let (_, drift) = find(&Memory::default(), &[], Offset::RANGE);
    assert_eq!((drift.shifts, drift.agreed()), (None, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever else the ledger holds and however the sightings lie.
    #[test]
    fn the_true_line_is_never_lost(
        shift in -50..50_i64,
        billionths in -500_000..500_000_i64,
        // Clock's time, port block, how long it was held before and after, and how coarse the clock.
        seen_at in prop::collection::vec((0..86_400_i64, 0..4_u16, 0..40_i64, 1..40_i64, 0..2_u64), 1..25),
        others in prop::collection::vec((-100..86_500_i64, 0..4_u16, 1..600_i64), 0..30),
        error in 0..2_u64,
    ) {
        let shift = shift * SECOND;
        let mut ledger = Memory { clock_error: Duration::from_secs(error), ..Memory::default() };
        let mut sightings = Vec::new();
        for (clock, block, since, left, step) in seen_at {
            let true_time = clock * SECOND + truth(shift, billionths, clock * SECOND);
            let port = block * 256;
            ledger = ledger.with(held(1, port, micros(true_time - since * SECOND), Some(micros(true_time + left * SECOND))));
            sightings.push(Sighting { resolution: Duration::from_secs(step), ..seen(port, micros(clock * SECOND)) });
        }
        for (from, block, length) in others {
            ledger = ledger.with(held(2, block * 256, micros(from * SECOND), Some(micros((from + length) * SECOND))));
        }
        let (_, drift) = find(&ledger, &sightings, Duration::from_secs(300));
        prop_assert_eq!(drift.satisfied, sightings.len() as u64);
        let (least, most) = drift.billionths;
        prop_assert!(least <= billionths && billionths <= most, "{} in {} to {}", billionths, least, most);
        let found = Correction::Drifting(drift.shifts.unwrap());
        for sighting in &sightings {
            let at = sighting.at.unwrap();
            prop_assert!(found.at(at).contains(truth(shift, billionths, at.as_micros())));
        }
    }
}
