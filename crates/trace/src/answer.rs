//! What the ledger says of a question.

use std::{collections::HashSet, sync::Arc};

use portledger_model::{Allocation, Gap, Source, Span, Subscriber};
use serde::Serialize;

use crate::{Margin, Query};

/// What the ledger says of a question, and how sure it is.
///
/// `Debug` names no subscriber; [`Answer::text`] and the JSON do. The JSON is the object of
/// `who --json`. Where the question came from a sighting, `source` is added in front, and `query`
/// ends with what the sighting adds to its window: `or_at`, `resolution_ms`, `lasted_ms`, each
/// only where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// Where the sighting was read; `None` where a person asked.
    pub source: Option<Source>,
    /// What was asked.
    pub query: Query,
    /// The times looked at, by the devices' clocks: one, or two in the hour that clocks repeat.
    pub windows: Vec<Span>,
    /// What is claimed.
    pub verdict: Verdict,
    /// Every allocation of the endpoint within the windows, by start. Shared by the answers to
    /// sightings that ask the same.
    pub allocations: Arc<[Allocation]>,
    /// How far the sighting's clock may be off before the answer changes.
    pub margin: Margin,
    /// The parts of the windows for which the log is not known to be complete; none is complete.
    pub gaps: Vec<Gap>,
}

/// What is claimed of the endpoint and the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The log is complete and one subscriber held the endpoint within the window, all of it or a
    /// part; nobody else did.
    Unique,
    /// The log is complete and several subscribers held it within the window.
    Ambiguous,
    /// The log is complete and nobody held it.
    None,
    /// The log is not known to be complete for the window: nothing is claimed.
    Unknown,
}

impl Verdict {
    /// The exit status of the command line: unique 0, ambiguous 3, none 4, unknown 5.
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Unique => 0,
            Self::Ambiguous => 3,
            Self::None => 4,
            Self::Unknown => 5,
        }
    }

    /// The verdict on windows with these allocations, in a log that is complete for them or not.
    pub(crate) fn of<'a>(
        allocations: impl IntoIterator<Item = &'a Allocation>,
        complete: bool,
    ) -> Self {
        if !complete {
            return Self::Unknown;
        }
        let mut holders = allocations.into_iter().map(|a| &a.block.subscriber);
        match holders.next() {
            None => Self::None,
            Some(first) if holders.all(|other| other == first) => Self::Unique,
            Some(_) => Self::Ambiguous,
        }
    }
}

impl Answer {
    /// The different subscribers who held the endpoint within the window, as far as the ledger
    /// knows.
    pub(crate) fn holders(&self) -> HashSet<&Subscriber> {
        self.allocations
            .iter()
            .map(|allocation| &allocation.block.subscriber)
            .collect()
    }

    /// How many different subscribers held the endpoint within the window, as far as the ledger
    /// knows.
    pub fn candidates(&self) -> usize {
        self.holders().len()
    }

    /// The one subscriber who is named, where the verdict is [`Verdict::Unique`].
    pub fn subscriber(&self) -> Option<&Subscriber> {
        match self.verdict {
            Verdict::Unique => self.allocations.first().map(|a| &a.block.subscriber),
            Verdict::Ambiguous | Verdict::None | Verdict::Unknown => None,
        }
    }
}
