//! What came of many sightings, in numbers.

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer};

use crate::{Outcome, Verdict};

/// What came of many sightings, in numbers. Holds no address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// All of them: the sum of the other five.
    pub sightings: u64,
    /// Answered [`Verdict::Unique`].
    pub unique: u64,
    /// Answered [`Verdict::Ambiguous`].
    pub ambiguous: u64,
    /// Answered [`Verdict::None`].
    pub none: u64,
    /// Answered [`Verdict::Unknown`].
    pub unknown: u64,
    /// Refused.
    pub refused: u64,
    /// Of the answers without a port: how many there are with each number of candidates.
    #[serde(
        rename = "median_candidates_without_port",
        serialize_with = "serialize_median"
    )]
    without_port: BTreeMap<usize, u64>,
}

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, outcome: &Outcome) {
        self.sightings += 1;
        let answer = match outcome {
            Outcome::Answered(answer) => answer,
            Outcome::Refused(_) => {
                self.refused += 1;
                return;
            }
        };
        match answer.verdict {
            Verdict::Unique => self.unique += 1,
            Verdict::Ambiguous => self.ambiguous += 1,
            Verdict::None => self.none += 1,
            Verdict::Unknown => self.unknown += 1,
        }
        if answer.query.port.is_none() {
            *self.without_port.entry(answer.candidates()).or_default() += 1;
        }
    }

    /// The median number of candidates over the answers to sightings without a port: what a log
    /// that leaves the port out costs. Of an even count it is the lower of the middle two.
    pub fn median_candidates_without_port(&self) -> Option<usize> {
        median(&self.without_port)
    }
}

/// The lower median of values, by how often each occurs.
pub(crate) fn median(occurrences: &BTreeMap<usize, u64>) -> Option<usize> {
    let all: u64 = occurrences.values().sum();
    let mut seen = 0;
    occurrences
        .iter()
        .find(|(_, count)| {
            seen += **count;
            seen * 2 >= all
        })
        .map(|(value, _)| *value)
}

fn serialize_median<S: Serializer>(
    occurrences: &BTreeMap<usize, u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    median(occurrences).serialize(serializer)
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sightings: {} unique, {} ambiguous, {} none, {} unknown, {} refused",
            self.sightings, self.unique, self.ambiguous, self.none, self.unknown, self.refused
        )?;
        match self.median_candidates_without_port() {
            Some(median) => write!(
                f,
                "; {median} candidates (median) where the port is missing"
            ),
            None => Ok(()),
        }
    }
}
