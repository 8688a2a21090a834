//! One question put to the evidence.

use std::{net::Ipv4Addr, time::Duration};

use portledger_model::{Allocation, Evidence, Gap, Span, Timestamp};
use thiserror::Error;

use crate::{Answer, Margin, Query, Reason, Refusal, Verdict, query::TICK};

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError<E: std::error::Error> {
    /// No ledger can answer this.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The evidence could not be read.
    #[error("the ledger could not be read: {0}")]
    Evidence(#[source] E),
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
    conclude(evidence, query, asked_at, &looks).map_err(AskError::Evidence)
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
    let (window, gaps) = by_device_clocks(evidence, query.address, seen, asked_at)?;
    Ok(Look {
        instant,
        window,
        allocations: evidence.holders(query.endpoint(), window)?,
        gaps,
    })
}

/// The window by the devices' clocks and the gaps in it. A wider window may touch one more device
/// whose clock is worse, so it is widened until no worse one turns up.
fn by_device_clocks<E: Evidence>(
    evidence: &E,
    address: Ipv4Addr,
    seen: Span,
    asked_at: Timestamp,
) -> Result<(Span, Vec<Gap>), E::Error> {
    let mut error = Duration::ZERO;
    loop {
        let window = Span::new(seen.from.before(error), seen.to.after(error));
        let coverage = evidence.coverage(address, window, asked_at)?;
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
    looks: &[Look],
) -> Result<Answer, E::Error> {
    let mut allocations: Vec<_> = looks
        .iter()
        .flat_map(|look| look.allocations.iter().cloned())
        .collect();
    // Stable and total for equal allocations, so that one found by both windows is listed once.
    allocations.sort_by_key(|a| (a.from, a.record, a.block.ports));
    allocations.dedup();
    let mut gaps: Vec<_> = looks
        .iter()
        .flat_map(|look| look.gaps.iter().cloned())
        .collect();
    gaps.sort_by_key(|gap| (gap.span.from, gap.span.to));
    gaps.dedup();

    let verdict = Verdict::of(&allocations, &gaps);
    let margin = match verdict {
        Verdict::Unique | Verdict::None => {
            Margin::measure(evidence, query.endpoint(), looks, asked_at)?
        }
        Verdict::Ambiguous | Verdict::Unknown => Margin::ZERO,
    };
    Ok(Answer {
        source: None,
        query: query.clone(),
        windows: looks.iter().map(|look| look.window).collect(),
        verdict,
        allocations,
        margin,
        gaps,
    })
}
