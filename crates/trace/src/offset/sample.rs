//! Some of a log's sightings, evenly spread, and what most of them support.

use std::collections::BTreeMap;

use crate::{Shifts, offset::observation::Observation, shifts::union};

/// At most so many sightings of a log, evenly spread: all of a short log; of a long one every
/// second, fourth and so on. Which ones depends on nothing but the log.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    kept: Vec<(Observation, u64)>,
    at_most: usize,
    /// One in so many is kept.
    stride: u64,
    offered: u64,
}

impl Sample {
    pub(crate) const fn of_at_most(at_most: usize) -> Self {
        Self {
            kept: Vec::new(),
            at_most,
            stride: 1,
            offered: 0,
        }
    }

    /// Keeps `observation`, which was made so many `times`, if it is its turn.
    pub(crate) fn offer(&mut self, observation: Observation, times: u64) {
        if self.offered.is_multiple_of(self.stride) {
            if self.kept.len() == self.at_most {
                let mut even = false;
                self.kept.retain(|_| {
                    even = !even;
                    even
                });
                self.stride = self.stride.saturating_mul(2);
            }
            if self.offered.is_multiple_of(self.stride) {
                self.kept.push((observation, times));
            }
        }
        self.offered += 1;
    }

    pub(crate) fn observations(&self) -> impl Iterator<Item = &Observation> {
        self.kept.iter().map(|(observation, _)| observation)
    }

    /// How many sightings it stands for itself.
    pub(crate) fn sightings(&self) -> u64 {
        self.kept.iter().map(|(_, times)| times).sum()
    }

    /// The least number that is more than half of these.
    pub(crate) fn more_than_half(&self) -> u64 {
        self.sightings() / 2 + 1
    }

    /// How many sightings support each stretch of shifts, by what `shifts` says of each.
    pub(crate) fn support<'a, S>(&'a self, shifts: impl Fn(&'a Observation) -> S) -> Support
    where
        S: AsRef<[Shifts]>,
    {
        let mut edges = BTreeMap::<i64, i64>::new();
        for (observation, times) in &self.kept {
            let times = i64::try_from(*times).unwrap_or(i64::MAX);
            for interval in shifts(observation).as_ref() {
                *edges.entry(interval.first()).or_default() += times;
                *edges.entry(interval.last().saturating_add(1)).or_default() -= times;
            }
        }
        let mut inside = 0;
        let edges: Vec<_> = edges.into_iter().collect();
        let stretches = edges.windows(2).filter_map(|pair| {
            let &[(here, step), (next, _)] = pair else {
                return None;
            };
            inside += step;
            Some((Shifts::new(here, next)?, u64::try_from(inside).unwrap_or(0)))
        });
        Support {
            stretches: stretches.collect(),
        }
    }
}

/// How many sightings support each stretch of shifts.
#[derive(Debug, Clone)]
pub(crate) struct Support {
    stretches: Vec<(Shifts, u64)>,
}

impl Support {
    /// The stretches that the most support, and how many do; none where nobody supports any.
    pub(crate) fn best(&self) -> (Vec<Shifts>, u64) {
        let most = self.stretches.iter().map(|(_, times)| *times).max();
        match most {
            Some(most) if most > 0 => (self.of_at_least(most), most),
            _ => (Vec::new(), 0),
        }
    }

    /// The stretches that at least so many support.
    pub(crate) fn of_at_least(&self, least: u64) -> Vec<Shifts> {
        let supported = self.stretches.iter().filter(|(_, times)| *times >= least);
        union(supported.map(|(stretch, _)| *stretch).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_bounded_and_evenly_spread() {
        let mut sample = Sample::of_at_most(8);
        for n in 0..100 {
            let nothing = Observation {
                instants: Vec::new(),
            };
            sample.offer(nothing, n + 1);
            assert!(sample.kept.len() <= 8);
            assert_eq!(sample.stride == 1, n < 8);
        }
        let kept: Vec<_> = sample.kept.iter().map(|(_, times)| times - 1).collect();
        assert_eq!(kept, [0, 16, 32, 48, 64, 80, 96]);
        assert_eq!(sample.sightings(), 343);
    }
}
