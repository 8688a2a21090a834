//! Every sighting of a log.

use std::time::Duration;

use portledger_model::{Evidence, Sighting, Timestamp};

use crate::{Answer, AskError, Query, Refusal, Shifts, ask};

/// How sightings are traced.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How far the sightings' clock may be off, either way.
    pub within: Duration,
    /// When the question is put.
    pub asked_at: Timestamp,
    /// How the sightings' clock is put right, where that was asked for. Answers then show the
    /// corrected time and window; the place of the sighting leads to the time as written.
    pub shifts: Option<Shifts>,
}

/// What came of one sighting.
///
/// In JSON an answer is the object of [`Answer`]; a refusal is its `source`, `refused` (a name for
/// programs) and `reason` (a sentence).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The ledger's answer, with the sighting's place.
    Answered(Box<Answer>),
    /// No ledger could answer it.
    Refused(Refusal),
}

/// Traces one sighting.
///
/// # Errors
/// When the evidence cannot be read.
pub fn trace<E: Evidence>(
    evidence: &E,
    sighting: &Sighting,
    options: Options,
) -> Result<Outcome, E::Error> {
    let query = match Query::from_sighting(sighting, options.within) {
        Ok(query) => query,
        Err(refusal) => return Ok(Outcome::Refused(refusal)),
    };
    let query = match options.shifts {
        Some(shifts) => query.shifted(shifts),
        None => query,
    };
    match ask(evidence, &query, options.asked_at) {
        Ok(answer) => Ok(Outcome::Answered(Box::new(Answer {
            source: Some(sighting.source.clone()),
            ..answer
        }))),
        Err(AskError::Refused(refusal)) => Ok(Outcome::Refused(refusal.at(&sighting.source))),
        Err(AskError::Evidence(error)) => Err(error),
    }
}

/// Traces sightings one after the other, in their order, as they are asked for. A refusal is an
/// item like an answer; an error is the evidence's, and what follows one proves nothing.
pub fn trace_all<'a, E: Evidence>(
    evidence: &'a E,
    sightings: impl IntoIterator<Item = Sighting> + 'a,
    options: Options,
) -> impl Iterator<Item = Result<Outcome, E::Error>> + 'a {
    sightings
        .into_iter()
        .map(move |sighting| trace(evidence, &sighting, options))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Tally, Verdict,
        testing::{Memory, at, held, sighting},
    };

    fn on(time: &str) -> Timestamp {
        at(&format!("2026-11-01T{time}Z"))
    }

    fn options(shifts: Option<Shifts>) -> Options {
        Options {
            within: Duration::from_secs(2),
            asked_at: on("20:00:00"),
            shifts,
        }
    }

    fn ledger() -> Memory {
        Memory::default()
            .with(held(9, 39_936, on("09:00:00"), Some(on("12:00:00"))))
            .with(held(5, 39_936, on("12:02:00"), Some(on("18:00:00"))))
            .with(held(7, 1_024, on("10:00:00"), None))
            .with_gap("2026-11-01T17:00:00Z", "2026-11-01T17:01:00Z")
    }

    fn seen(time: &str) -> Sighting {
        sighting(&format!("2026-11-01T{time}Z"))
    }

    #[test]
    fn every_sighting_has_its_outcome_and_is_counted() {
        let without_port = |time| Sighting {
            port: None,
            ..seen(time)
        };
        let sightings = [
            seen("11:00:00"),
            seen("12:01:00"),
            seen("17:00:30"),
            seen("21:00:00"),
            Sighting {
                at: None,
                ..seen("11:00:00")
            },
            Sighting {
                lasted: Some(Duration::from_secs(600)),
                ..seen("12:05:00")
            },
            without_port("09:30:00"),
            without_port("11:00:00"),
            without_port("11:30:00"),
        ];
        let mut tally = Tally::default();
        let mut verdicts = Vec::new();
        for outcome in trace_all(&ledger(), sightings, options(None)) {
            let outcome = outcome.unwrap();
            tally.add(&outcome);
            verdicts.push(match outcome {
                Outcome::Answered(answer) => {
                    assert_eq!(answer.source.unwrap().line, 7);
                    Some(answer.verdict)
                }
                Outcome::Refused(refusal) => {
                    assert_eq!(refusal.place.unwrap().line, 7);
                    None
                }
            });
        }
        use Verdict::{Ambiguous, Unique, Unknown};
        let expected = [
            Some(Unique),
            Some(Verdict::None),
            Some(Unknown),
            None,
            None,
            Some(Ambiguous),
            Some(Unique),
            Some(Ambiguous),
            Some(Ambiguous),
        ];
        assert_eq!(verdicts, expected);
        insta::assert_snapshot!(tally, @"9 sightings: 2 unique, 3 ambiguous, 1 none, 1 unknown, 2 refused; 2 candidates (median) where the port is missing");
        insta::assert_snapshot!(serde_json::to_string(&tally).unwrap(), @r#"{"sightings":9,"unique":2,"ambiguous":3,"none":1,"unknown":1,"refused":2,"median_candidates_without_port":2}"#);
    }

    #[test]
    fn a_clock_is_put_right_only_when_that_is_asked_for() {
        let verdict = |shifts| match trace(&ledger(), &seen("12:01:00"), options(shifts)).unwrap() {
            Outcome::Answered(answer) => answer.verdict,
            Outcome::Refused(refusal) => panic!("{refusal}"),
        };
        assert_eq!(verdict(None), Verdict::None);
        assert_eq!(
            verdict(Some(Shifts::exactly(-120_000_000))),
            Verdict::Unique
        );
        let wide = Shifts::new(-120_000_000, 120_000_000);
        assert_eq!(verdict(wide), Verdict::Ambiguous);
    }

    #[test]
    fn the_median_of_an_even_count_is_the_lower_of_the_middle_two() {
        let mut tally = Tally::default();
        assert_eq!(tally.median_candidates_without_port(), None);
        for time in ["09:30:00", "11:00:00"] {
            let seen = Sighting {
                port: None,
                ..seen(time)
            };
            tally.add(&trace(&ledger(), &seen, options(None)).unwrap());
        }
        assert_eq!(tally.median_candidates_without_port(), Some(1));
    }
}
