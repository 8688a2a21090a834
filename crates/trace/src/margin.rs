//! How far a sighting's clock may be off before the answer changes.

use std::time::Duration;

use portledger_model::{Allocation, Evidence, External, GapReason, Span, Subscriber, Timestamp};

use crate::{
    ask::{Look, up_to},
    query::TICK,
};

/// How far the sighting's clock may be off, and the answer to its instant stays the same.
///
/// Measured from the sighting's instant (not from the ends of its window) to the ends of the
/// stretch of time around it that has the same answer, by the devices' clocks:
///
/// ```text
/// unique:    nobody |======== A ========| nobody          A's tenure; allocations of A that
///                   |<-earlier->at<-later->|              touch or overlap count as one
///
/// unique:    A =====================|                     another's allocation, or a gap in the
///                 |<-- at -->|   B ====                   log, ends the stretch early
///            ??gap??
///
/// unique:           at  |======== A ========|             only the window touches A: no margin
///                   |<---------later------->|             on the side away from A
///
/// none:      A ====|      at       |==== B                to the nearest allocation or gap
///                  |<-earlier->later->|
/// ```
///
/// `None` is without limit as far as the ledger knows. A clock that is off by exactly `earlier`
/// still gives the same answer; one that is off by exactly `later` does not. Where the time may
/// name two instants, each side is the smaller of both. Where the verdict is ambiguous or unknown
/// there is no one answer that could stay, and both sides are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Margin {
    /// How much earlier than the sighting says the true instant may be: the clock was fast.
    pub earlier: Option<Duration>,
    /// How much later than the sighting says the true instant may be: the clock was slow.
    pub later: Option<Duration>,
}

impl Margin {
    /// No margin on either side.
    pub const ZERO: Self = Self {
        earlier: Some(Duration::ZERO),
        later: Some(Duration::ZERO),
    };

    const UNLIMITED: Self = Self {
        earlier: None,
        later: None,
    };

    /// The margin of looks that together found one subscriber or nobody, and no gap.
    pub(crate) fn measure<E: Evidence>(
        evidence: &E,
        endpoint: External,
        looks: &[Look],
        asked_at: Timestamp,
    ) -> Result<Self, E::Error> {
        let mut margin = Self::UNLIMITED;
        for look in looks {
            let (inside, stretch) = match closest(look) {
                Some((inside, held)) => (inside, tenure(evidence, endpoint, look, inside, held)?),
                None => {
                    let inside = within(look.window, look.instant);
                    (inside, vacancy(evidence, endpoint, inside)?)
                }
            };
            let stretch = complete(evidence, endpoint, inside, stretch, asked_at)?;
            margin = margin.and(Self::of(look.instant, stretch));
        }
        Ok(margin)
    }

    fn of(instant: Timestamp, stretch: Span) -> Self {
        Self {
            earlier: (stretch.from != Timestamp::MIN).then(|| instant.since(stretch.from)),
            later: (stretch.to != Timestamp::MAX).then(|| stretch.to.since(instant)),
        }
    }

    /// The smaller of both, side by side.
    fn and(self, other: Self) -> Self {
        let smaller = |a: Option<Duration>, b| a.into_iter().chain(b).min();
        Self {
            earlier: smaller(self.earlier, other.earlier),
            later: smaller(self.later, other.later),
        }
    }
}

/// The instant nearest to the sighting's at which the window finds an allocation, and that
/// allocation; the earlier one of two as near.
fn closest(look: &Look) -> Option<(Timestamp, &Allocation)> {
    look.allocations
        .iter()
        .map(|allocation| {
            let held = allocation.span();
            let in_window = Span::new(held.from.max(look.window.from), held.to.min(look.window.to));
            (within(in_window, look.instant), allocation)
        })
        .min_by_key(|(inside, _)| inside.since(look.instant).max(look.instant.since(*inside)))
}

/// The instant of `span`, which is not empty, that is nearest to `at`.
fn within(span: Span, at: Timestamp) -> Timestamp {
    at.min(span.to.before(TICK)).max(span.from)
}

/// The time around `inside` for which the holder of `held`, and nobody else, has the endpoint.
///
/// It walks from one beginning (or end) of an allocation to the next, so that it stops at the
/// first that ends the stretch and never reads an address's whole history.
fn tenure<E: Evidence>(
    evidence: &E,
    endpoint: External,
    look: &Look,
    inside: Timestamp,
    held: &Allocation,
) -> Result<Span, E::Error> {
    let holder = &held.block.subscriber;
    // What the window found is all there is at `inside`, which is in the window.
    let there = look
        .allocations
        .iter()
        .filter(|a| a.span().contains(inside));
    let mut stretch = hull_of_sole_holder(there, holder).unwrap_or(held.span());
    let nearest = evidence.nearest(endpoint, inside)?;

    let (mut cursor, mut after) = (inside, nearest.after);
    while let Some(next) = after
        && next.from <= stretch.to
        && cursor < next.from
    {
        cursor = next.from;
        let Some(more) = sole_tenure(evidence, endpoint, cursor, holder)? else {
            stretch.to = cursor;
            break;
        };
        stretch.to = stretch.to.max(more.to);
        after = evidence.nearest(endpoint, cursor)?.after;
    }

    let (mut cursor, mut before) = (inside, nearest.before);
    while let Some(end) = before.map(|a| a.span().to)
        && stretch.from <= end
        && end <= cursor
        && Timestamp::MIN < end
    {
        cursor = end.before(TICK);
        let Some(more) = sole_tenure(evidence, endpoint, cursor, holder)? else {
            stretch.from = end;
            break;
        };
        stretch.from = stretch.from.min(more.from);
        before = evidence.nearest(endpoint, cursor)?.before;
    }
    Ok(stretch)
}

/// The hull of the allocations at `instant`, when there are some and all are `holder`'s.
fn sole_tenure<E: Evidence>(
    evidence: &E,
    endpoint: External,
    instant: Timestamp,
    holder: &Subscriber,
) -> Result<Option<Span>, E::Error> {
    let held = evidence.holders(endpoint, Span::new(instant, instant.after(TICK)))?;
    Ok(hull_of_sole_holder(held.iter(), holder))
}

/// The hull of `held`, when there are some and all are `holder`'s.
fn hull_of_sole_holder<'a>(
    held: impl Iterator<Item = &'a Allocation>,
    holder: &Subscriber,
) -> Option<Span> {
    let mut hull: Option<Span> = None;
    for allocation in held {
        if allocation.block.subscriber != *holder {
            return None;
        }
        let span = allocation.span();
        hull = Some(hull.map_or(span, |hull| {
            Span::new(hull.from.min(span.from), hull.to.max(span.to))
        }));
    }
    hull
}

/// The time around `inside`, when nobody has the endpoint, until somebody has.
fn vacancy<E: Evidence>(
    evidence: &E,
    endpoint: External,
    inside: Timestamp,
) -> Result<Span, E::Error> {
    let nearest = evidence.nearest(endpoint, inside)?;
    Ok(Span::new(
        nearest.before.map_or(Timestamp::MIN, |a| a.span().to),
        nearest.after.map_or(Timestamp::MAX, |a| a.from),
    ))
}

/// The part of `stretch` around `inside` without a gap in the log.
fn complete<E: Evidence>(
    evidence: &E,
    endpoint: External,
    inside: Timestamp,
    stretch: Span,
    asked_at: Timestamp,
) -> Result<Span, E::Error> {
    let known = up_to(stretch, asked_at);
    if known.is_empty() {
        return Ok(stretch);
    }
    let coverage = evidence.coverage(endpoint, known, asked_at)?;
    // No gap holds `inside`: the verdict would be unknown, and there would be no margin.
    Ok(coverage
        .gaps
        .iter()
        // The log tells of the port from the beginning of the stretch on.
        .filter(|gap| gap.reason != GapReason::HeldBefore)
        .map(|gap| gap.span)
        .filter(|gap| gap.overlaps(known))
        .fold(stretch, |rest, gap| {
            if gap.to <= inside {
                Span::new(rest.from.max(gap.to), rest.to)
            } else {
                Span::new(rest.from, rest.to.min(gap.from))
            }
        }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        Answer, Query, Verdict, ask,
        testing::{ADDRESS, Memory, at, held, micros, small_memory, small_query},
    };

    const A: u8 = 9;
    const B: u8 = 5;

    fn on(time: &str) -> Timestamp {
        at(&format!("2026-11-01T{time}Z"))
    }

    fn who(ledger: &Memory, port: Option<u16>, time: &str) -> Answer {
        let within = Duration::from_secs(2);
        let query = Query::new(ADDRESS.into(), port, None, on(time), within).unwrap();
        ask(ledger, &query, on("23:00:00")).unwrap()
    }

    /// The margin in seconds.
    fn margin(ledger: &Memory, port: Option<u16>, time: &str) -> (Option<u64>, Option<u64>) {
        let Margin { earlier, later } = who(ledger, port, time).margin;
        (earlier.map(|d| d.as_secs()), later.map(|d| d.as_secs()))
    }

    #[test]
    fn to_the_ends_of_the_tenure() {
        let ledger = Memory::default()
            .with(held(A, 0, on("09:00:00"), Some(on("12:00:00"))))
            .with(held(B, 0, on("12:02:00"), None));
        for (time, expected) in [
            ("10:00:00", (Some(3_600), Some(7_200))),
            ("13:02:00", (Some(3_600), None)),
            // Only the window touches the allocation: no margin on the side away from it.
            ("12:00:01", (Some(10_801), Some(0))),
            ("12:01:59", (Some(0), None)),
            // Nobody: to the neighbours.
            ("12:01:00", (Some(60), Some(60))),
            ("08:00:00", (None, Some(3_600))),
        ] {
            assert_eq!(margin(&ledger, Some(7), time), expected, "{time}");
        }
    }

    #[test]
    fn tenures_that_touch_or_overlap_count_as_one() {
        let ledger = Memory::default()
            .with(held(A, 0, on("09:00:00"), Some(on("10:00:00"))))
            .with(held(A, 0, on("10:00:00"), Some(on("11:00:00"))))
            .with(held(A, 0, on("10:30:00"), Some(on("12:00:00"))))
            .with(held(A, 0, on("12:00:01"), Some(on("13:00:00"))));
        for (time, expected) in [
            ("09:30:00", (Some(1_800), Some(9_000))),
            ("11:30:00", (Some(9_000), Some(1_800))),
        ] {
            assert_eq!(margin(&ledger, Some(7), time), expected, "{time}");
        }
    }

    #[test]
    fn without_a_port_another_subscriber_of_the_address_ends_it() {
        let ledger = Memory::default()
            .with(held(B, 256, on("08:00:00"), Some(on("09:30:00"))))
            .with(held(A, 0, on("09:00:00"), None))
            .with(held(B, 256, on("11:00:00"), None));
        assert_eq!(
            margin(&ledger, None, "10:00:00"),
            (Some(1_800), Some(3_600))
        );
        assert_eq!(margin(&ledger, Some(7), "10:00:00"), (Some(3_600), None));
    }

    #[test]
    fn a_gap_ends_it() {
        let ledger = Memory::default()
            .with(held(A, 0, on("09:00:00"), Some(on("12:00:00"))))
            .with_gap("2026-11-01T09:30:00Z", "2026-11-01T09:40:00Z")
            .with_gap("2026-11-01T11:00:00Z", "2026-11-01T11:10:00Z")
            .with_gap("2026-11-01T20:00:00Z", "2026-11-01T21:00:00Z");
        assert_eq!(
            margin(&ledger, Some(7), "10:00:00"),
            (Some(1_200), Some(3_600))
        );
        assert_eq!(margin(&ledger, Some(7), "11:00:00"), (Some(0), Some(0)));
        assert_eq!(
            margin(&ledger, Some(7), "19:00:00"),
            (Some(7 * 3_600), Some(3_600))
        );
    }

    #[test]
    fn of_two_instants_the_smaller() {
        let ledger = Memory::default().with(held(A, 0, on("09:00:00"), Some(on("12:00:00"))));
        for (or_at, expected) in [("11:00:00", (3_600, 3_600)), ("13:00:00", (3_600, 7_200))] {
            let query = Query {
                or_at: Some(on(or_at)),
                ..who(&ledger, Some(7), "10:00:00").query
            };
            let answer = ask(&ledger, &query, on("23:00:00")).unwrap();
            assert_eq!(answer.verdict, Verdict::Unique);
            let Margin { earlier, later } = answer.margin;
            let seconds = |side: Option<Duration>| side.unwrap().as_secs();
            assert_eq!((seconds(earlier), seconds(later)), expected, "{or_at}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6_000))]

        #[test]
        fn within_it_the_holder_stays_and_just_beyond_it_does_not(ledger in small_memory(), query in small_query()) {
            let query = Query { or_at: None, ..query };
            let asked_at = 80;
            let answer = ask(&ledger, &query, micros(asked_at)).unwrap();
            // What is known of one instant: nothing, or who holds the endpoint.
            let point = |t: i64| {
                let unknown = t <= asked_at && ledger.is_gap(micros(t));
                (!unknown).then(|| ledger.holders_at(query.endpoint(), micros(t)))
            };
            let at = query.at.as_micros();
            let claim = Some(answer.subscriber().cloned().into_iter().collect::<BTreeSet<_>>());
            match answer.verdict {
                Verdict::Ambiguous | Verdict::Unknown => {
                    prop_assert_eq!(answer.margin, Margin::ZERO);
                    return Ok(());
                }
                Verdict::Unique if point(at) != claim => {
                    // Only the window touches the holder: one side has nothing.
                    let none = Some(Duration::ZERO);
                    prop_assert!(answer.margin.earlier == none || answer.margin.later == none);
                    return Ok(());
                }
                Verdict::Unique | Verdict::None => {}
            }
            let length = |d: Duration| i64::try_from(d.as_micros()).unwrap();
            let first = answer.margin.earlier.map(|d| at - length(d));
            let end = answer.margin.later.map(|d| at + length(d));
            for t in first.unwrap_or(-40)..end.unwrap_or(200) {
                prop_assert_eq!(&point(t), &claim, "at {}", t);
            }
            if let Some(first) = first {
                prop_assert_ne!(&point(first - 1), &claim);
            }
            if let Some(end) = end {
                prop_assert_ne!(&point(end), &claim);
            }
        }
    }
}
