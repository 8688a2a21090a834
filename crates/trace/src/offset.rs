//! How far a clock was off, from many sightings that it timed.

use std::time::Duration;

use portledger_model::{Evidence, Sighting, Span, Timestamp};

use crate::{
    Query,
    ask::up_to,
    query::TICK,
    shifts::{Shifts, union},
};

/// The shifts that put one clock right: added to its times, they make every sighting's endpoint
/// fall inside some allocation, whoever held it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offset {
    /// The shifts that satisfy the most sightings, in order; none where none satisfies any.
    pub shifts: Vec<Shifts>,
    /// How many sightings each of those shifts satisfies.
    pub satisfied: usize,
    /// How many sightings could tell: not those below.
    pub sightings: usize,
    /// Sightings whose endpoint never had an allocation, as far as the ledger knows.
    pub not_ours: usize,
    /// Sightings that tell nothing of a clock: without a time, without a port, or IPv6.
    pub left_out: usize,
    /// Of `sightings` and `not_ours`: those for which the log is not known to be complete over
    /// all the times looked at, so that an allocation may be missing.
    pub incomplete: usize,
    /// How far was looked, either way.
    pub range: Duration,
}

impl Offset {
    /// One hour: the range to look at where nobody says another. It holds a clock that ran wild
    /// for weeks and the commonest mistake, a zone off by one hour.
    pub const RANGE: Duration = Duration::from_secs(3_600);

    /// The offset of the clock that timed all of `sightings`, looked for from `range` fast to
    /// `range` slow. One query of the evidence a sighting, and no sampling: each sighting gives
    /// intervals, and they are intersected.
    ///
    /// # Errors
    /// When the evidence cannot be read.
    pub fn find<'a, E: Evidence>(
        evidence: &E,
        sightings: impl IntoIterator<Item = &'a Sighting>,
        range: Duration,
        asked_at: Timestamp,
    ) -> Result<Self, E::Error> {
        let mut offset = Self {
            shifts: Vec::new(),
            satisfied: 0,
            sightings: 0,
            not_ours: 0,
            left_out: 0,
            incomplete: 0,
            range,
        };
        let mut all = Vec::new();
        for sighting in sightings {
            match Query::from_sighting(sighting, Duration::ZERO) {
                Ok(query) if query.port.is_some() => {
                    let shifts = possible(evidence, &query, range)?;
                    offset.incomplete +=
                        usize::from(!is_complete(evidence, &query, range, asked_at)?);
                    if shifts.is_empty() && !is_ours(evidence, &query)? {
                        offset.not_ours += 1;
                    } else {
                        offset.sightings += 1;
                        all.extend(shifts);
                    }
                }
                Ok(_) | Err(_) => offset.left_out += 1,
            }
        }
        (offset.shifts, offset.satisfied) = best_supported(&all);
        Ok(offset)
    }

    /// The one interval of shifts that satisfies every sighting: what may be applied. `None`
    /// where there are several intervals, or where some sighting contradicts them.
    pub fn agreed(&self) -> Option<Shifts> {
        match self.shifts[..] {
            [shifts] if self.satisfied == self.sightings => Some(shifts),
            _ => None,
        }
    }

    /// Whether an interval reaches the end of what was looked at, and so may go on beyond it.
    pub fn reaches_the_edge(&self) -> bool {
        let searched = Shifts::around_zero(self.range);
        self.shifts
            .iter()
            .any(|s| s.first() == searched.first() || s.last() == searched.last())
    }
}

/// The times at which the sighting may have been, if its clock is off by up to `range`.
fn reach(query: &Query, instant: Timestamp, range: Duration) -> Span {
    Span::new(
        instant.before(range),
        instant.after(query.resolution).after(range).after(TICK),
    )
}

/// The shifts that bring the sighting inside some allocation: ordered and apart.
fn possible<E: Evidence>(
    evidence: &E,
    query: &Query,
    range: Duration,
) -> Result<Vec<Shifts>, E::Error> {
    let searched = Shifts::around_zero(range);
    // The true instant is anywhere in the clock's step, which does not include its end.
    let step = query.resolution.saturating_sub(TICK);
    let mut shifts = Vec::new();
    for instant in query.instants() {
        let held = evidence.holders(query.endpoint(), reach(query, instant, range))?;
        shifts.extend(held.iter().filter_map(|allocation| {
            let span = allocation.span();
            Shifts::from_to(instant, span.from.before(step), span.to)?.and(searched)
        }));
    }
    Ok(union(shifts))
}

fn is_complete<E: Evidence>(
    evidence: &E,
    query: &Query,
    range: Duration,
    asked_at: Timestamp,
) -> Result<bool, E::Error> {
    for instant in query.instants() {
        let span = up_to(reach(query, instant, range), asked_at);
        if !span.is_empty() {
            let coverage = evidence.coverage(query.address, span, asked_at)?;
            if coverage.gaps.iter().any(|gap| gap.span.overlaps(span)) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Whether the endpoint ever had an allocation, when none is within reach.
fn is_ours<E: Evidence>(evidence: &E, query: &Query) -> Result<bool, E::Error> {
    let nearest = evidence.nearest(query.endpoint(), query.at)?;
    Ok(nearest.before.is_some() || nearest.after.is_some())
}

/// The shifts that lie in the most of `intervals`, and in how many.
fn best_supported(intervals: &[Shifts]) -> (Vec<Shifts>, usize) {
    let mut edges: Vec<(i64, isize)> = intervals
        .iter()
        .flat_map(|s| [(s.first(), 1), (s.last().saturating_add(1), -1)])
        .collect();
    edges.sort_unstable();

    let (mut best, mut most, mut inside) = (Vec::new(), 0, 0);
    for pair in edges.windows(2) {
        let &[(here, step), (next, _)] = pair else {
            continue;
        };
        inside += step;
        let Some(stretch) = Shifts::new(here, next) else {
            continue;
        };
        if inside > most {
            most = inside;
            best.clear();
        }
        if inside == most && most > 0 {
            best.push(stretch);
        }
    }
    (union(best), most.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{ADDRESS, Memory, at, held, micros, sighting, small_memory};

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
        Offset::find(ledger, sightings, Offset::RANGE, on("23:00:00")).unwrap()
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
        insta::assert_snapshot!(serde_json::to_string(&offset).unwrap(), @r#"{"shifts":[{"first_us":-310000000,"last_us":-290000001}],"satisfied":3,"sightings":3,"not_ours":0,"left_out":0,"incomplete":0,"range_ms":3600000}"#);
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
            let offset = Offset::find(&ledger, &sightings, Duration::from_micros(30), micros(200)).unwrap();

            let satisfied = |shift: i64| seen.iter().filter(|&&(port, at, or_at, resolution)| {
                [Some(at), or_at].into_iter().flatten().any(|at| {
                    (0..resolution.max(1)).any(|step| ledger.allocations.iter().any(|a| {
                        a.block.external == ADDRESS
                            && a.block.ports.contains(port)
                            && a.span().contains(micros(at + step + shift))
                    }))
                })
            }).count();
            let best = (-range..=range).map(satisfied).max().unwrap();
            prop_assert_eq!(offset.satisfied, best);
            prop_assert_eq!(offset.sightings + offset.not_ours, seen.len());
            for shift in -range - 5..=range + 5 {
                let found = offset.shifts.iter().any(|s| s.contains(shift));
                let tried = best > 0 && shift.abs() <= range && satisfied(shift) == best;
                prop_assert_eq!(found, tried, "shift {}", shift);
            }
            // Ordered, and no two touch.
            for pair in offset.shifts.windows(2) {
                prop_assert!(pair[0].last() + 1 < pair[1].first());
            }
        }
    }
}
