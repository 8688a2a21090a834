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
