//! Who is left if all sightings are one subscriber's.

mod text;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use portledger_model::Subscriber;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::{Answer, Outcome, Query, Verdict, tally::median};

/// Who is left if all sightings are one subscriber's: those of one account, say.
///
/// A subscriber is left who held the endpoint within the window of *every* sighting that could be
/// answered. A sighting for which the log is not complete, or which no ledger can answer, is left
/// out and counted. How weak the outcome is, is part of it: see [`Chance`].
///
/// Memory grows with the subscribers who were seen, not with the sightings.
///
/// `Debug` names no subscriber; [`SameActor::text`] and the JSON do.
#[derive(Debug, Clone, Default)]
pub struct SameActor {
    answered: u64,
    repeated: u64,
    unknown: u64,
    refused: u64,
    /// What was asked last: lines of one connection say the same again and prove nothing more.
    last: Option<Query>,
    /// The last answer's candidates.
    before: HashSet<Subscriber>,
    /// Who was a candidate every time; `None` before the first answer.
    remaining: Option<BTreeSet<Subscriber>>,
    /// How many answers have each number of candidates.
    alone: BTreeMap<usize, u64>,
    /// How often each subscriber was a candidate.
    pool: HashMap<Subscriber, u64>,
    /// More subscribers were seen than the pool has room for.
    pool_is_full: bool,
    /// The sum of the logarithms of the numbers of others beside one at each sighting.
    others: f64,
    /// How many others would still be left by the shares who stayed from one sighting to the next.
    stayed: f64,
}

/// How many different subscribers are told apart: more than share the addresses of one device.
const POOL: usize = 1 << 20;

/// How many others than the right one would be left if it were chance who is.
///
/// Neither figure is a probability, and both are too small where people behave alike: those who are
/// always there are left by more than chance. Of two sightings alone, `as_they_stayed` says no more
/// than how many are left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// If those who had the endpoint were drawn anew for each sighting out of all who were ever
    /// seen: (pool - 1) · Π (candidates - 1) / (pool - 1).
    pub drawn_anew: f64,
    /// If of the first sighting's candidates there went from each sighting to the next the share
    /// that went in truth.
    pub as_they_stayed: f64,
}

impl SameActor {
    /// Adds what came of one more sighting.
    pub fn add(&mut self, outcome: &Outcome) {
        let answer = match outcome {
            Outcome::Answered(answer) => answer,
            Outcome::Refused(_) => {
                self.refused += 1;
                return;
            }
        };
        if answer.verdict == Verdict::Unknown {
            self.unknown += 1;
        } else if self.last.as_ref() == Some(&answer.query) {
            self.repeated += 1;
        } else {
            self.last = Some(answer.query.clone());
            self.answered += 1;
            self.intersect(answer);
        }
    }

    fn intersect(&mut self, answer: &Answer) {
        let holders = answer.holders();
        let beside_one = |count: usize| count.saturating_sub(1) as f64;
        match &mut self.remaining {
            None => {
                self.remaining = Some(holders.iter().map(|holder| (*holder).clone()).collect());
                self.stayed = beside_one(holders.len());
            }
            Some(remaining) => {
                remaining.retain(|holder| holders.contains(holder));
                let stayed = self.before.iter().filter(|h| holders.contains(h)).count();
                self.stayed *= beside_one(stayed) / beside_one(self.before.len()).max(1.0);
            }
        }
        self.others += beside_one(holders.len()).ln();
        *self.alone.entry(holders.len()).or_default() += 1;
        for &holder in &holders {
            if let Some(times) = self.pool.get_mut(holder) {
                *times += 1;
            } else if self.pool.len() < POOL {
                self.pool.insert(holder.clone(), 1);
            } else {
                self.pool_is_full = true;
            }
        }
        self.before = holders.into_iter().cloned().collect();
    }

    /// What is claimed, provided that all sightings are one subscriber's: [`Verdict::Unique`] only
    /// where the log is complete for all of them, [`Verdict::None`] where nobody is left.
    pub fn verdict(&self) -> Verdict {
        match (&self.remaining, self.unknown) {
            (None, _) => Verdict::Unknown,
            // That they cannot be one subscriber's, those that were answered prove by themselves.
            (Some(remaining), _) if remaining.is_empty() => Verdict::None,
            (Some(_), 1..) => Verdict::Unknown,
            (Some(remaining), 0) if remaining.len() == 1 => Verdict::Unique,
            (Some(_), 0) => Verdict::Ambiguous,
        }
    }

    /// How many subscribers are left.
    pub fn candidates(&self) -> usize {
        self.remaining.as_ref().map_or(0, BTreeSet::len)
    }

    /// How many others would be left by chance; `None` where nobody is left.
    pub fn chance(&self) -> Option<Chance> {
        (self.candidates() > 0).then(|| {
            let drawn = self.pool.len().saturating_sub(1).max(1) as f64;
            let more = self.answered.saturating_sub(1) as f64;
            Chance {
                drawn_anew: (self.others - more * drawn.ln()).exp(),
                as_they_stayed: self.stayed,
            }
        })
    }

    /// How many subscribers are left out for one sighting alone.
    pub fn in_all_but_one(&self) -> usize {
        let all_but_one = self.answered.checked_sub(1).filter(|times| *times > 0);
        let times = self
            .pool
            .values()
            .filter(|times| Some(**times) == all_but_one);
        times.count()
    }

    /// The least, the median and the greatest number of candidates that a sighting has on its own.
    fn alone(&self) -> Option<[usize; 3]> {
        let (least, _) = self.alone.first_key_value()?;
        let (most, _) = self.alone.last_key_value()?;
        Some([*least, median(&self.alone)?, *most])
    }

    fn sightings(&self) -> u64 {
        self.answered + self.repeated + self.unknown + self.refused
    }
}

impl Serialize for SameActor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("SameActor", 6)?;
        object.serialize_field("verdict", &self.verdict())?;
        object.serialize_field("remaining", &self.candidates())?;
        let candidates = self.remaining.iter().flatten().map(|subscriber| Candidate {
            subscriber,
            identity: None,
        });
        object.serialize_field("candidates", &candidates.collect::<Vec<_>>())?;
        object.serialize_field(
            "sightings",
            &Counts {
                all: self.sightings(),
                answered: self.answered,
                repeated: self.repeated,
                unknown: self.unknown,
                refused: self.refused,
            },
        )?;
        object.serialize_field(
            "candidates_alone",
            &self.alone().map(|[least, median, most]| Alone {
                least,
                median,
                most,
            }),
        )?;
        let chance = self.chance();
        object.serialize_field(
            "chance",
            &Weakness {
                seen: self.pool.len(),
                seen_is_all: !self.pool_is_full,
                drawn_anew: chance.map(|chance| rounded(chance.drawn_anew)),
                as_they_stayed: chance.map(|chance| rounded(chance.as_they_stayed)),
                in_all_but_one: self.in_all_but_one(),
            },
        )?;
        object.end()
    }
}

/// To thousandths: it is an estimate.
fn rounded(estimate: f64) -> f64 {
    (estimate * 1_000.0).round() / 1_000.0
}

#[derive(Serialize)]
struct Candidate<'a> {
    subscriber: &'a Subscriber,
    /// Who the customer is, is kept elsewhere and known to fewer people.
    identity: Option<&'a str>,
}

#[derive(Serialize)]
struct Counts {
    all: u64,
    answered: u64,
    repeated: u64,
    unknown: u64,
    refused: u64,
}

#[derive(Serialize)]
struct Alone {
    least: usize,
    median: usize,
    most: usize,
}

#[derive(Serialize)]
struct Weakness {
    seen: usize,
    seen_is_all: bool,
    drawn_anew: Option<f64>,
    as_they_stayed: Option<f64>,
    in_all_but_one: usize,
}

#[cfg(test)]
mod tests;
