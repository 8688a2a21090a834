//! One question put to the evidence.

use std::time::Duration;

use portledger_model::{Allocation, Evidence, External, Gap, GapReason, Span, Timestamp};
use thiserror::Error;

use crate::{Answer, Margin, Query, Reason, Refusal, Verdict, query::TICK};

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError<E: std::error::Error> {
    /// No ledger can answer this.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The evidence could not be read.
    #[error(transparent)]
    Evidence(E),
}

/// Puts `query` to `evidence` at `asked_at`.
///
/// The window is cut off at `asked_at`, since nothing was seen after it, and then made wider by
/// the devices' clock error, since allocations are timed by the devices' clocks: a device whose
/// clock is fast may have handed the ports on "after" the moment of asking. Completeness is
/// asked of the widened window up to `asked_at`, as no log is complete for the future.
///
/// # Errors
/// [`AskError::Refused`] with [`Reason::NotYet`] when all of the window lies after `asked_at`;
/// [`AskError::Evidence`] when the evidence cannot be read, and then nothing is answered.
pub fn ask<E: Evidence>(
    evidence: &E,
    query: &Query,
    asked_at: Timestamp,
) -> Result<Answer, AskError<E::Error>> {
    let mut looks = Vec::with_capacity(2);
    for instant in query.instants() {
        let window = up_to(query.window(instant), asked_at);
        if !window.is_empty() {
            looks.push(
                look(evidence, query, instant, window, asked_at).map_err(AskError::Evidence)?,
            );
        }
    }
    if looks.is_empty() {
        let at = query.at;
        return Err(Reason::NotYet { at, asked_at }.of_question().into());
    }
    conclude(evidence, query, asked_at, looks).map_err(AskError::Evidence)
}

/// What the evidence holds of the window around one instant.
pub(crate) struct Look {
    /// When the endpoint was seen, if this instant is the right one.
    pub(crate) instant: Timestamp,
    /// The window by the devices' clocks.
    pub(crate) window: Span,
    pub(crate) allocations: Vec<Allocation>,
    gaps: Vec<Gap>,
}

/// The part of `span` up to and with `last`.
pub(crate) fn up_to(span: Span, last: Timestamp) -> Span {
    Span::new(span.from, span.to.min(last.after(TICK)))
}

fn look<E: Evidence>(
    evidence: &E,
    query: &Query,
    instant: Timestamp,
    seen: Span,
    asked_at: Timestamp,
) -> Result<Look, E::Error> {
    let (window, mut gaps) = by_device_clocks(evidence, query.endpoint(), seen, asked_at)?;
    let allocations = evidence.holders(query.endpoint(), window)?;
    let before = |gap: &Gap| gap.reason == GapReason::HeldBefore;
    if gaps.iter().any(before) && is_told_of(evidence, query, window, &allocations)? {
        gaps.retain(|gap| !before(gap));
    }
    Ok(Look {
        instant,
        window,
        allocations,
        gaps,
    })
}

/// Whether the log tells who had the port at the window's beginning, or that it had become free
/// by then: from there on everything is told, though the log began while the device ran.
fn is_told_of<E: Evidence>(
    evidence: &E,
    query: &Query,
    window: Span,
    allocations: &[Allocation],
) -> Result<bool, E::Error> {
    // Of an address without a port, some ports are always untold of; and who had a port for TCP
    // says nothing of UDP.
    if query.port.is_none() {
        return Ok(false);
    }
    let is_all = |held: &Allocation| query.transport.is_some() || held.block.transport.is_none();
    let has_it = |held: &&Allocation| held.span().contains(window.from);
    if allocations.iter().filter(has_it).any(is_all) {
        return Ok(true);
    }
    let nearest = evidence.nearest(query.endpoint(), window.from)?;
    Ok(nearest.before.as_ref().is_some_and(is_all))
}

/// The window by the devices' clocks and the gaps in it. A wider window may touch one more device
/// whose clock is worse, so it is widened until no worse one turns up.
pub(crate) fn by_device_clocks<E: Evidence>(
    evidence: &E,
    endpoint: External,
    seen: Span,
    asked_at: Timestamp,
) -> Result<(Span, Vec<Gap>), E::Error> {
    let mut error = Duration::ZERO;
    loop {
        let window = Span::new(seen.from.before(error), seen.to.after(error));
        let coverage = evidence.coverage(endpoint, window, asked_at)?;
        if coverage.clock_error <= error {
            return Ok((window, clipped(coverage.gaps, up_to(window, asked_at))));
        }
        error = coverage.clock_error;
    }
}

/// The parts of `gaps` inside `span`.
fn clipped(gaps: Vec<Gap>, span: Span) -> Vec<Gap> {
    gaps.into_iter()
        .map(|gap| Gap {
            span: Span::new(gap.span.from.max(span.from), gap.span.to.min(span.to)),
            ..gap
        })
        .filter(|gap| !gap.span.is_empty())
        .collect()
}

fn conclude<E: Evidence>(
    evidence: &E,
    query: &Query,
    asked_at: Timestamp,
    looks: Vec<Look>,
) -> Result<Answer, E::Error> {
    let complete = looks.iter().all(|look| look.gaps.is_empty());
    let verdict = Verdict::of(looks.iter().flat_map(|look| &look.allocations), complete);
    let margin = match verdict {
        Verdict::Unique | Verdict::None => {
            Margin::measure(evidence, query.endpoint(), &looks, asked_at)?
        }
        Verdict::Ambiguous | Verdict::Unknown => Margin::ZERO,
    };
    let windows = looks.iter().map(|look| look.window).collect();
    let (mut allocations, mut gaps) = (Vec::new(), Vec::new());
    for look in looks {
        append(&mut allocations, look.allocations);
        append(&mut gaps, look.gaps);
    }
    // Stable and total for equal allocations, so that one found by both windows is listed once.
    allocations.sort_by_key(|a| (a.from, a.record, a.block.ports));
    allocations.dedup();
    gaps.sort_by_key(|gap| (gap.span.from, gap.span.to));
    gaps.dedup();
    Ok(Answer {
        source: None,
        query: query.clone(),
        windows,
        verdict,
        allocations: allocations.into(),
        margin,
        gaps,
    })
}

/// Appends without a copy where there is nothing yet, as there is for all but the repeated hour.
fn append<T>(all: &mut Vec<T>, more: Vec<T>) {
    if all.is_empty() {
        *all = more;
    } else {
        all.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use portledger_model::{Internal, Sighting};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{ADDRESS, Memory, at, held, micros, sighting, small_memory, small_query};

    const SECOND: Duration = Duration::from_secs(1);
    const A: u8 = 9;
    const B: u8 = 5;

    /// `12:00:00` of the day of all stories.
    fn on(time: &str) -> Timestamp {
        at(&format!("2026-11-01T{time}Z"))
    }

    fn who(ledger: &Memory, port: Option<u16>, time: &str, within: Duration) -> Answer {
        let query = Query::new(ADDRESS.into(), port, None, on(time), within).unwrap();
        ask(ledger, &query, on("23:00:00")).unwrap()
    }

    /// A has the block from 09:00 to 12:00, B after the guard time of 120 s.
    fn handed_on() -> Memory {
        Memory::default()
            .with(held(A, 39_936, on("09:00:00"), Some(on("12:00:00"))))
            .with(held(B, 39_936, on("12:02:00"), Some(on("18:00:00"))))
    }

    #[test]
    fn a_block_that_changes_hands() {
        use Verdict::{Ambiguous, None, Unique};
        for (time, within, verdict, holders) in [
            ("10:00:00", 2, Unique, vec![A]),
            // The release is the first instant at which A does not hold it.
            ("11:59:59.999999", 0, Unique, vec![A]),
            ("12:00:00", 0, None, vec![]),
            ("12:00:02", 2, None, vec![]),
            ("12:00:01.999999", 2, Unique, vec![A]),
            ("12:01:00", 2, None, vec![]),
            // Both ends of the window are inside it.
            ("12:01:58", 2, Unique, vec![B]),
            ("12:01:57.999999", 2, None, vec![]),
            ("12:00:30", 60, Unique, vec![A]),
            ("12:01:00", 61, Ambiguous, vec![A, B]),
            ("12:01:00", 60, Unique, vec![B]),
            ("18:00:00", 0, None, vec![]),
        ] {
            let answer = who(&handed_on(), Some(40_123), time, SECOND * within);
            assert_eq!(answer.verdict, verdict, "{time} within {within} s");
            assert_eq!(holders_of(&answer), holders, "{time} within {within} s");
        }
    }

    #[test]
    fn a_device_with_a_bad_clock_makes_the_window_wider_both_ways() {
        let ledger = Memory {
            clock_error: SECOND * 61,
            ..handed_on()
        };
        for (time, verdict) in [
            ("12:01:00", Verdict::Ambiguous),
            ("12:02:00", Verdict::Unique),
            ("11:58:58", Verdict::Unique),
        ] {
            let answer = who(&ledger, Some(40_123), time, Duration::ZERO);
            assert_eq!(answer.verdict, verdict, "{time}");
        }
    }

    #[test]
    fn a_fast_device_may_have_handed_the_ports_on_after_the_moment_of_asking() {
        let ledger = Memory {
            clock_error: SECOND * 130,
            ..handed_on()
        };
        let now = on("11:59:59");
        let query = Query::new(ADDRESS.into(), Some(40_123), None, now, SECOND).unwrap();
        let answer = ask(&ledger, &query, now).unwrap();
        assert_eq!(answer.verdict, Verdict::Ambiguous);
    }

    #[test]
    fn both_instants_of_a_repeated_hour_are_looked_at() {
        let seen = |one: &str, other: &str| Sighting {
            or_at: Some(on(other)),
            ..sighting(&format!("2026-11-01T{one}Z"))
        };
        for (one, other, verdict, holders) in [
            ("11:30:00", "12:30:00", Verdict::Ambiguous, vec![A, B]),
            ("10:30:00", "11:30:00", Verdict::Unique, vec![A]),
            ("08:30:00", "09:30:00", Verdict::Unique, vec![A]),
            ("17:30:00", "18:30:00", Verdict::Unique, vec![B]),
            ("18:30:00", "19:30:00", Verdict::None, vec![]),
        ] {
            let query = Query::from_sighting(&seen(one, other), SECOND).unwrap();
            let answer = ask(&handed_on(), &query, on("23:00:00")).unwrap();
            assert_eq!(answer.verdict, verdict, "{one} or {other}");
            assert_eq!(holders_of(&answer), holders, "{one} or {other}");
            assert_eq!(answer.windows.len(), 2);
        }
    }

    #[test]
    fn a_long_connection_counts_from_its_beginning() {
        let mut seen = sighting("2026-11-01T12:30:00Z");
        seen.lasted = Some(SECOND * 3_600);
        let query = Query::from_sighting(&seen, SECOND).unwrap();
        let answer = ask(&handed_on(), &query, on("23:00:00")).unwrap();
        assert_eq!(answer.verdict, Verdict::Ambiguous);
    }

    #[test]
    fn a_gap_forbids_every_claim_only_where_the_window_touches_it() {
        let ledger = handed_on().with_gap("2026-11-01T10:00:00Z", "2026-11-01T11:00:00Z");
        for (time, verdict) in [
            ("09:59:57.999999", Verdict::Unique),
            ("09:59:58", Verdict::Unknown),
            ("10:30:00", Verdict::Unknown),
            ("11:00:01.999999", Verdict::Unknown),
            ("11:00:02", Verdict::Unique),
        ] {
            let answer = who(&ledger, Some(40_123), time, SECOND * 2);
            assert_eq!(answer.verdict, verdict, "{time}");
            assert_eq!(holders_of(&answer), [A], "candidates are listed: {time}");
            assert_eq!(answer.subscriber().is_some(), verdict == Verdict::Unique);
        }
    }

    #[test]
    fn the_future_is_no_gap_and_cannot_be_asked_for() {
        let ledger = handed_on().with_gap("2026-11-01T12:00:00.000001Z", "2027-01-01T00:00:00Z");
        let query =
            |time| Query::new(ADDRESS.into(), Some(40_123), None, on(time), SECOND).unwrap();
        let now = on("12:00:00");
        assert_eq!(
            ask(&ledger, &query("12:00:00"), now).unwrap().verdict,
            Verdict::Unique
        );
        let refused = ask(&ledger, &query("12:00:01.000001"), now).unwrap_err();
        assert!(matches!(
            refused,
            AskError::Refused(Refusal {
                reason: Reason::NotYet { .. },
                ..
            })
        ));
    }

    #[test]
    fn the_same_subscriber_twice_is_one_candidate() {
        let ledger = Memory::default()
            .with(held(A, 39_936, on("09:00:00"), Some(on("10:00:00"))))
            .with(held(A, 39_936, on("10:00:01"), None));
        let answer = who(&ledger, Some(40_123), "10:00:00", SECOND * 5);
        assert_eq!((answer.verdict, answer.candidates()), (Verdict::Unique, 1));
        assert_eq!(answer.allocations.len(), 2);
    }

    #[test]
    fn without_a_port_every_holder_of_the_address_is_a_candidate() {
        let ledger = handed_on().with(held(7, 1_024, on("11:00:00"), None));
        let answer = who(&ledger, None, "11:30:00", SECOND);
        assert_eq!(
            (answer.verdict, answer.candidates()),
            (Verdict::Ambiguous, 2)
        );
        assert_eq!(
            who(&ledger, None, "10:30:00", SECOND).verdict,
            Verdict::Unique
        );
    }

    #[test]
    fn verdicts_have_the_exit_statuses_of_the_command_line() {
        let all = [
            Verdict::Unique,
            Verdict::Ambiguous,
            Verdict::None,
            Verdict::Unknown,
        ];
        assert_eq!(all.map(Verdict::exit_status), [0, 3, 4, 5]);
    }

    /// The last bytes of the candidates' addresses, in the order of the allocations.
    fn holders_of(answer: &Answer) -> Vec<u8> {
        answer
            .allocations
            .iter()
            .map(|a| match a.block.subscriber.internal() {
                Internal::Address(v4) => v4.octets()[3],
                _ => 0,
            })
            .collect()
    }

    /// The claim by looking at every microsecond: the instants of every window that have come by
    /// `asked_at`, and at each all that a device's clock may have shown.
    fn by_every_instant(
        ledger: &Memory,
        query: &Query,
        asked_at: i64,
    ) -> Option<(bool, BTreeSet<portledger_model::Subscriber>)> {
        let length = |d: Duration| i64::try_from(d.as_micros()).unwrap();
        let before = length(query.lasted + query.within);
        let after = length(query.resolution + query.within);
        let error = length(ledger.clock_error);
        let mut shown = BTreeSet::new();
        for instant in [Some(query.at), query.or_at].into_iter().flatten() {
            let instant = instant.as_micros();
            for real in (instant - before..=instant + after).filter(|real| *real <= asked_at) {
                shown.extend(real - error..=real + error);
            }
        }
        if shown.is_empty() {
            return None;
        }
        let gap = shown
            .iter()
            .any(|t| *t <= asked_at && ledger.is_gap(micros(*t)));
        let holders = shown
            .iter()
            .flat_map(|t| ledger.holders_at(query.endpoint(), micros(*t)));
        Some((gap, holders.collect()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn claims_are_those_of_every_instant(ledger in small_memory(), query in small_query(), asked_at in 0..90_i64) {
            let expected = by_every_instant(&ledger, &query, asked_at);
            let Ok(answer) = ask(&ledger, &query, micros(asked_at)) else {
                prop_assert!(expected.is_none());
                return Ok(());
            };
            let (gap, holders) = expected.unwrap();
            let found: BTreeSet<_> = answer.allocations.iter().map(|a| a.block.subscriber.clone()).collect();
            prop_assert_eq!(&found, &holders);
            prop_assert_eq!(!answer.gaps.is_empty(), gap);
            let verdict = match (gap, holders.len()) {
                (true, _) => Verdict::Unknown,
                (false, 0) => Verdict::None,
                (false, 1) => Verdict::Unique,
                (false, _) => Verdict::Ambiguous,
            };
            prop_assert_eq!(answer.verdict, verdict);
            // Never a name when another may have held it.
            if let Some(named) = answer.subscriber() {
                prop_assert!(holders.iter().all(|holder| holder == named));
            }
        }

        #[test]
        fn any_times_are_answered_without_panic(at in any::<i64>(), or_at in any::<Option<i64>>(), asked_at in any::<i64>(), within in any::<u64>(), lasted in any::<u64>()) {
            let query = Query {
                address: ADDRESS,
                port: None,
                transport: None,
                at: micros(at),
                or_at: or_at.map(micros),
                resolution: Duration::from_secs(lasted),
                lasted: Duration::from_millis(lasted),
                within: Duration::from_secs(within),
            };
            if let Ok(answer) = ask(&handed_on(), &query, micros(asked_at)) {
                prop_assert!(!answer.text().is_empty());
            }
        }
    }
}
