//! How the clock that wrote a log is put right: `--offset`.

use portledger_ledger::Ledger;
use portledger_model::Timestamp;
use portledger_trace::{Correction, DriftSearch, Offset, Shifts, Survey};

use super::in_chunks;
use crate::{
    config::parse_duration,
    failure::Failure,
    input::{Inputs, Pass},
};

/// What `--offset` says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// Nothing: the clock is taken to be right.
    Nothing,
    /// A known shift of its times.
    By(Shifts),
    /// The one shift that the sightings agree on.
    Auto,
    /// The same, of a clock that ran too fast or too slow.
    AutoDrift,
}

impl Wanted {
    /// `auto`, `auto-drift`, or how far the log's clock is ahead: its times are moved back by as
    /// much.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, Failure> {
        let text = match text {
            None => return Ok(Self::Nothing),
            Some("auto") => return Ok(Self::Auto),
            Some("auto-drift") => return Ok(Self::AutoDrift),
            Some(text) => text,
        };
        let (sign, rest) = match text.strip_prefix('-') {
            Some(rest) => (1, rest),
            None => (-1, text.strip_prefix('+').unwrap_or(text)),
        };
        let ahead = parse_duration(rest)
            .map_err(|error| Failure::usage(format!("--offset: {error}, or auto or auto-drift")))?;
        let micros = i64::try_from(ahead.as_micros())
            .map_err(|_| Failure::usage("--offset: longer than any clock is wrong"))?;
        Ok(Self::By(Shifts::exactly(sign * micros)))
    }

    /// Whether the log has to be read before it is traced.
    pub(super) const fn is_found(self) -> bool {
        matches!(self, Self::Auto | Self::AutoDrift)
    }

    /// The correction, found from the log where that is wanted, and then said on standard error.
    pub(super) fn correction(
        self,
        ledger: &Ledger,
        inputs: &mut Inputs<'_>,
        asked_at: Timestamp,
    ) -> Result<Option<Correction>, Failure> {
        let with_drift = match self {
            Self::Nothing => return Ok(None),
            Self::By(shifts) => return Ok(Some(shifts.into())),
            Self::Auto => false,
            Self::AutoDrift => true,
        };
        let mut survey = Survey::new(Offset::RANGE, asked_at);
        in_chunks(inputs, pass("for the clock's offset"), |sightings| {
            Ok(survey.add(ledger, &sightings)?)
        })?;
        let offset = survey.offset();
        if !with_drift && let Some(shifts) = offset.agreed() {
            say(&offset);
            if offset.reaches_the_edge() {
                return Err(Failure::usage(
                    "--offset auto: the sightings leave the offset open on one side, so none is applied; trace more of them together, or give an offset that is known",
                ));
            }
            return Ok(Some(shifts.into()));
        }

        let mut search = DriftSearch::new(&survey);
        in_chunks(inputs, pass("for the clock's drift"), |sightings| {
            Ok(search.add(ledger, &sightings)?)
        })?;
        let drift = search.drift();
        say(&offset);
        say(&drift);
        match drift.agreed() {
            Some(drifting) if with_drift => Ok(Some(Correction::Drifting(drifting))),
            Some(_) => Err(Failure::usage(
                "--offset auto: the sightings do not agree on one offset, so none is applied; they agree on a clock that drifted: --offset auto-drift applies that",
            )),
            None if with_drift => Err(Failure::usage(
                "--offset auto-drift: the sightings do not agree on one drift, so none is applied; give an offset that is known, or none",
            )),
            None => Err(Failure::usage(
                "--offset auto: the sightings do not agree on one offset, so none is applied; give one that is known, or none",
            )),
        }
    }
}

const fn pass(why: &'static str) -> Pass {
    Pass { why, last: false }
}

fn say(found: &impl std::fmt::Display) {
    for line in found.to_string().lines() {
        eprintln!("portledger: {line}");
    }
}
