//! How far a clock was off that ran too fast or too slow, steadily.

use std::time::Duration;

use portledger_model::{Evidence, Sighting, Timestamp};

use super::{
    Survey,
    line::{Bundle, Line},
    observation::{Told, observe, questions},
    sample::Sample,
};
use crate::{Shifts, correction::Drifting};

/// The lines that put a clock right which ran too fast or too slow, steadily: what is added to its
/// times grows with them.
///
/// The interval is never too small: it holds every line that no sighting contradicts, of those no
/// steeper than [`Drifting::STEEPEST`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The shifts at the first and at the last of the clock's times; `None` where nothing is
    /// known of the clock at all.
    pub shifts: Option<Drifting>,
    /// How much the shift grows, at least and at most, in parts of a thousand million (1 ppm is
    /// 1,000): more than zero where the clock ran slow.
    pub billionths: (i64, i64),
    /// How many sightings agree with one line.
    pub satisfied: u64,
    /// How many sightings could tell.
    pub sightings: u64,
    /// All possible lines go over into each other, and none leaves what was looked at.
    is_one: bool,
}

impl Drift {
    /// What may be applied: the lines that every sighting agrees with, where they are one bundle
    /// that goes over from each into the next. `None` where there are several, where some sighting
    /// contradicts them, and where they leave what was looked at.
    pub fn agreed(&self) -> Option<Drifting> {
        self.shifts
            .filter(|_| self.is_one && self.satisfied == self.sightings)
    }
}

/// Finds how a clock drifted: made from a [`Survey`] of all of a log's sightings, to which all of
/// them are then added once more.
///
/// The steepness is halved again and again, and halves that the survey's sample contradicts are
/// left out; what remains is held against every sighting. Its memory does not grow with the log.
#[derive(Debug, Clone)]
pub struct DriftSearch {
    range: Duration,
    asked_at: Timestamp,
    sample: Sample,
    times: (Timestamp, Timestamp),
    /// By steepness.
    bundles: Vec<Bundle>,
    /// The one line that is counted, should sightings contradict every bundle.
    line: Option<Line>,
    sightings: u64,
    satisfied: u64,
}

/// How many bundles there may be before they are split no more.
const BUNDLES: usize = 48;
/// How many bundles are followed where no line satisfies the whole sample.
const FOLLOWED: usize = 12;
/// A bundle's lines are not split further when they are so near to each other, in microseconds.
const NEAR: i64 = 50_000;

impl DriftSearch {
    /// Begins with what the survey's sample leaves.
    pub fn new(survey: &Survey) -> Self {
        let times = survey.times.unwrap_or_default();
        let reference = times.0.as_micros().midpoint(times.1.as_micros());
        let all = Bundle {
            reference: Timestamp::from_micros(reference),
            billionths: 0,
            half: Drifting::STEEPEST,
            shifts: vec![Shifts::around_zero(Duration::MAX)],
            inside: vec![Shifts::around_zero(Duration::MAX)],
        };
        let mut search = Self {
            range: survey.range,
            asked_at: survey.asked_at,
            sample: survey.sample.clone(),
            times,
            bundles: Vec::new(),
            line: None,
            sightings: 0,
            satisfied: 0,
        };
        if survey.sightings > 0 {
            search.bundles = search.possible(all.clone());
            search.line = match search.bundles.get(search.bundles.len() / 2) {
                Some(bundle) => bundle.shifts.first().map(|shifts| Line {
                    reference: bundle.reference,
                    billionths: bundle.billionths,
                    shift: shifts.middle(),
                }),
                None => search.best_line(all),
            };
        }
        search
    }

    /// Holds the survey's sightings against what is left, some at a time.
    ///
    /// # Errors
    /// When the evidence cannot be read.
    pub fn add<E: Evidence>(
        &mut self,
        evidence: &E,
        sightings: &[Sighting],
    ) -> Result<(), E::Error> {
        for (query, times) in questions(sightings).0 {
            let told = observe(evidence, &query, self.range, self.asked_at)?;
            let Told::Shifts(observation) = told else {
                continue;
            };
            self.sightings += times;
            if self.line.is_some_and(|line| line.agrees_with(&observation)) {
                self.satisfied += times;
            }
            for bundle in &mut self.bundles {
                bundle.narrow(&observation);
            }
            self.bundles.retain(|bundle| !bundle.shifts.is_empty());
        }
        Ok(())
    }

    /// What the sightings say together.
    pub fn drift(&self) -> Drift {
        let mut bundles = self.bundles.clone();
        self.keep_supported(&mut bundles);
        // As for one offset: lines that bring every sighting inside an allocation go first.
        if bundles.iter().any(|bundle| !bundle.inside.is_empty()) {
            for bundle in &mut bundles {
                bundle.shifts.retain(|shifts| shifts.meets(&bundle.inside));
            }
            bundles.retain(|bundle| !bundle.shifts.is_empty());
        }
        let satisfied = if bundles.is_empty() {
            self.satisfied
        } else {
            self.sightings
        };
        if bundles.is_empty() {
            bundles.extend(self.line.map(|line| Bundle {
                reference: line.reference,
                billionths: line.billionths,
                half: 0,
                shifts: vec![Shifts::exactly(line.shift)],
                inside: Vec::new(),
            }));
        }
        let hull_at = |at| {
            let hulls = bundles.iter().filter_map(|bundle| bundle.hull_at(at));
            hulls.reduce(Shifts::hull).map(|hull| (at, hull))
        };
        let ends = hull_at(self.times.0).zip(hull_at(self.times.1));
        let searched = Shifts::around_zero(self.range);
        let stays_inside = ends.is_some_and(|ends| {
            [ends.0, ends.1]
                .iter()
                .all(|(_, hull)| searched.first() < hull.first() && hull.last() < searched.last())
        });
        Drift {
            shifts: ends.map(|(first, last)| Drifting::new(first, last)),
            billionths: (
                bundles.first().map_or(0, |b| b.billionths - b.half),
                bundles.last().map_or(0, |b| b.billionths + b.half),
            ),
            satisfied,
            sightings: self.sightings,
            is_one: stays_inside
                && bundles.iter().all(|bundle| bundle.shifts.len() == 1)
                && bundles.windows(2).all(|pair| match pair {
                    [flatter, steeper] => flatter.meets(steeper),
                    _ => true,
                }),
        }
    }

    /// The bundles of `all` that the sample leaves, split until they are narrow or many.
    fn possible(&self, all: Bundle) -> Vec<Bundle> {
        let mut bundles = self.not_contradicted([all].into_iter());
        while bundles.len() <= BUNDLES && bundles.iter().any(|bundle| self.is_wide(bundle)) {
            bundles = self.not_contradicted(bundles.iter().flat_map(Bundle::split));
        }
        bundles
    }

    fn not_contradicted(&self, bundles: impl Iterator<Item = Bundle>) -> Vec<Bundle> {
        let mut left = Vec::new();
        for mut bundle in bundles {
            for observation in self.sample.observations() {
                bundle.narrow(observation);
                if bundle.shifts.is_empty() {
                    break;
                }
            }
            if !bundle.shifts.is_empty() {
                left.push(bundle);
            }
        }
        self.keep_supported(&mut left);
        left
    }

    /// Leaves out lines for which most of the sample would have been in gaps of the log.
    fn keep_supported(&self, bundles: &mut Vec<Bundle>) {
        let half = self.sample.more_than_half();
        for bundle in bundles.iter_mut() {
            let inside = |observation| bundle.at_reference(observation, |i| i.inside.clone());
            let most = self.sample.support(inside).of_at_least(half);
            bundle.shifts.retain(|shifts| shifts.meets(&most));
        }
        bundles.retain(|bundle| !bundle.shifts.is_empty());
    }

    fn is_wide(&self, bundle: &Bundle) -> bool {
        bundle.half > 1 && bundle.apart(self.times.0).max(bundle.apart(self.times.1)) > NEAR
    }

    /// A line that brings the most of the sample inside an allocation, as far as following the
    /// most promising bundles finds it.
    fn best_line(&self, all: Bundle) -> Option<Line> {
        let mut best: Option<(u64, Line)> = None;
        let mut followed = vec![all];
        while !followed.is_empty() {
            let mut promising = Vec::new();
            for bundle in &followed {
                let inside = |observation| bundle.at_reference(observation, |i| i.inside.clone());
                let at_most = self.sample.support(inside).best().1;
                // The middle line alone, and what it is good for.
                let middle = Bundle {
                    half: 0,
                    ..bundle.clone()
                };
                let inside = |observation| middle.at_reference(observation, |i| i.inside.clone());
                let (shifts, at_least) = self.sample.support(inside).best();
                if let Some(shifts) = shifts.first()
                    && best.is_none_or(|(most, _)| most < at_least)
                {
                    let line = Line {
                        reference: bundle.reference,
                        billionths: bundle.billionths,
                        shift: shifts.middle(),
                    };
                    best = Some((at_least, line));
                }
                promising.push((at_most, bundle));
            }
            let most = best.map_or(0, |(most, _)| most);
            promising.retain(|(at_most, bundle)| *at_most > most && self.is_wide(bundle));
            promising.sort_by_key(|(at_most, _)| std::cmp::Reverse(*at_most));
            let split = promising.iter().take(FOLLOWED);
            followed = split.flat_map(|(_, bundle)| bundle.split()).collect();
        }
        best.map(|(_, line)| line)
    }
}
#[cfg(test)]
#[path = "drift_tests.rs"]
mod tests;
