//! Shifts that grow steadily: lines over the clock's time, and bundles of them.

use portledger_model::Timestamp;

use crate::{
    Shifts,
    correction::grown,
    offset::observation::{Instant, Observation},
    shifts::{intersection, union},
};

/// One shift at each time: `shift` at `reference`, growing by `billionths`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) reference: Timestamp,
    pub(super) billionths: i64,
    pub(super) shift: i64,
}

impl Line {
    /// Whether nothing speaks against it, to the microsecond to which its shifts are rounded.
    pub(super) fn agrees_with(self, observation: &Observation) -> bool {
        observation.instants.iter().any(|instant| {
            let growth = grown(self.billionths, instant.at, self.reference);
            let here = Shifts::exactly(self.shift).moved_and_widened(growth, 1);
            let possible = instant.possible();
            possible.iter().any(|shifts| shifts.and(here).is_some())
        })
    }
}

/// All lines that grow by `billionths`, give or take `half` of them, and that are at `reference` in
/// one of `shifts`. It is a superset: where a line of the bundle is not possible it may still be
/// in it, but no line that is possible is lost.
///
/// ```text
///  shift │          ╱ ╱     one of the shifts at the reference, and how much
///        │   ╲    ╱ ╱       steeper and flatter its lines may be: at the time t
///        │   ╱▒▒▒▒▒╲        they are apart by 2 · half · |t - reference|
///        │ ╱ ╱    ╲
///        └────reference────► time
/// ```
#[derive(Debug, Clone)]
pub(super) struct Bundle {
    pub(super) reference: Timestamp,
    pub(super) billionths: i64,
    pub(super) half: i64,
    pub(super) shifts: Vec<Shifts>,
    /// Of these, those from which some line may bring every sighting inside an allocation.
    pub(super) inside: Vec<Shifts>,
}

impl Bundle {
    /// The two halves by steepness, with all of the shifts.
    pub(super) fn split(&self) -> [Self; 2] {
        let half = self.half / 2;
        [self.billionths - half, self.billionths + half].map(|billionths| Self {
            billionths,
            half,
            ..self.clone()
        })
    }

    /// Leaves out what `observation` contradicts.
    pub(super) fn narrow(&mut self, observation: &Observation) {
        let allowed = self.at_reference(observation, |instant| instant.possible().into_owned());
        self.shifts = intersection(&self.shifts, &allowed);
        if !self.inside.is_empty() {
            let inside = self.at_reference(observation, |instant| instant.inside.clone());
            self.inside = intersection(&self.inside, &inside);
        }
    }

    /// The shifts at the reference from which some line of this steepness comes to one of the
    /// observation's shifts.
    pub(super) fn at_reference(
        &self,
        observation: &Observation,
        shifts: impl Fn(&Instant) -> Vec<Shifts>,
    ) -> Vec<Shifts> {
        let mut all = Vec::new();
        for instant in &observation.instants {
            let growth = grown(self.billionths, instant.at, self.reference);
            // The growth is rounded, by less than a microsecond.
            let apart = self.apart(instant.at).saturating_add(1);
            let shifts = shifts(instant).into_iter();
            all.extend(shifts.map(|s| s.moved_and_widened(growth.saturating_neg(), apart)));
        }
        union(all)
    }

    /// How far the bundle's lines from one shift are at `at` from the middle one.
    pub(super) fn apart(&self, at: Timestamp) -> i64 {
        grown(self.half, at, self.reference).saturating_abs()
    }

    /// The least interval of shifts that holds all lines at `at`; `None` where there is no line.
    pub(super) fn hull_at(&self, at: Timestamp) -> Option<Shifts> {
        let all = self.shifts.iter().copied().reduce(Shifts::hull)?;
        let growth = grown(self.billionths, at, self.reference);
        Some(all.moved_and_widened(growth, self.apart(at).saturating_add(1)))
    }

    /// Whether the lines of this bundle and of the next steeper one go over into each other.
    pub(super) fn meets(&self, steeper: &Self) -> bool {
        self.billionths.saturating_add(self.half) == steeper.billionths.saturating_sub(steeper.half)
            && !intersection(&self.shifts, &steeper.shifts).is_empty()
    }
}
