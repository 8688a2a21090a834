//! How far a sighting's clock may be off before the answer changes.

use std::time::Duration;

use portledger_model::{Allocation, Evidence, External, Span, Subscriber, Timestamp};

use crate::{
    ask::{Look, up_to},
    query::TICK,
};

/// How far the sighting's clock may be off, and the answer to its instant stays the same.
///
/// Measured from the sighting's instant (not from the ends of its window) to the ends of the
/// stretch of time around it that has the same answer, by the devices' clocks:
///
/// ```text
/// unique:    nobody |======== A ========| nobody          A's tenure; allocations of A that
///                   |<-earlier->at<-later->|              touch or overlap count as one
///
/// unique:    A =====================|                     another's allocation, or a gap in the
///                 |<-- at -->|   B ====                   log, ends the stretch early
///            ??gap??
///
/// unique:           at  |======== A ========|             only the window touches A: no margin
///                   |<---------later------->|             on the side away from A
///
/// none:      A ====|      at       |==== B                to the nearest allocation or gap
///                  |<-earlier->later->|
/// ```
///
/// `None` is without limit as far as the ledger knows. A clock that is off by exactly `earlier`
/// still gives the same answer; one that is off by exactly `later` does not. Where the time may
/// name two instants, each side is the smaller of both. Where the verdict is ambiguous or unknown
/// there is no one answer that could stay, and both sides are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Margin {
    /// How much earlier than the sighting says the true instant may be: the clock was fast.
    pub earlier: Option<Duration>,
    /// How much later than the sighting says the true instant may be: the clock was slow.
    pub later: Option<Duration>,
}

impl Margin {
    /// No margin on either side.
    pub const ZERO: Self = Self {
        earlier: Some(Duration::ZERO),
        later: Some(Duration::ZERO),
    };

    const UNLIMITED: Self = Self {
        earlier: None,
        later: None,
    };

    /// The margin of looks that together found one subscriber or nobody, and no gap.
    pub(crate) fn measure<E: Evidence>(
        evidence: &E,
        endpoint: External,
        looks: &[Look],
        asked_at: Timestamp,
    ) -> Result<Self, E::Error> {
        let mut margin = Self::UNLIMITED;
        for look in looks {
            let (inside, stretch) = match closest(look) {
                Some((inside, holder)) => (inside, tenure(evidence, endpoint, inside, holder)?),
                None => {
                    let inside = within(look.window, look.instant);
                    (inside, vacancy(evidence, endpoint, inside)?)
                }
            };
            let stretch = complete(evidence, endpoint, inside, stretch, asked_at)?;
            margin = margin.and(Self::of(look.instant, stretch));
        }
        Ok(margin)
    }

    fn of(instant: Timestamp, stretch: Span) -> Self {
        Self {
            earlier: (stretch.from != Timestamp::MIN).then(|| instant.since(stretch.from)),
            later: (stretch.to != Timestamp::MAX).then(|| stretch.to.since(instant)),
        }
    }

    /// The smaller of both, side by side.
    fn and(self, other: Self) -> Self {
        let smaller = |a: Option<Duration>, b| a.into_iter().chain(b).min();
        Self {
            earlier: smaller(self.earlier, other.earlier),
            later: smaller(self.later, other.later),
        }
    }
}

/// The instant nearest to the sighting's at which the window finds an allocation, and that
/// allocation; the earlier one of two as near.
fn closest(look: &Look) -> Option<(Timestamp, &Allocation)> {
    look.allocations
        .iter()
        .map(|allocation| {
            let held = allocation.span();
            let in_window = Span::new(held.from.max(look.window.from), held.to.min(look.window.to));
            (within(in_window, look.instant), allocation)
        })
        .min_by_key(|(inside, _)| inside.since(look.instant).max(look.instant.since(*inside)))
}

/// The instant of `span`, which is not empty, that is nearest to `at`.
fn within(span: Span, at: Timestamp) -> Timestamp {
    at.min(span.to.before(TICK)).max(span.from)
}

/// The time around `inside` for which the holder of `held`, and nobody else, has the endpoint.
///
/// It walks from one beginning (or end) of an allocation to the next, so that it stops at the
/// first that ends the stretch and never reads an address's whole history.
fn tenure<E: Evidence>(
    evidence: &E,
    endpoint: External,
    inside: Timestamp,
    held: &Allocation,
) -> Result<Span, E::Error> {
    let holder = &held.block.subscriber;
    let mut stretch = sole_tenure(evidence, endpoint, inside, holder)?.unwrap_or(held.span());

    let mut cursor = inside;
    while let Some(next) = evidence.nearest(endpoint, cursor)?.after
        && next.from <= stretch.to
        && cursor < next.from
    {
        cursor = next.from;
        let Some(more) = sole_tenure(evidence, endpoint, cursor, holder)? else {
            stretch.to = cursor;
            break;
        };
        stretch.to = stretch.to.max(more.to);
    }

    let mut cursor = inside;
    while let Some(end) = evidence
        .nearest(endpoint, cursor)?
        .before
        .map(|a| a.span().to)
        && stretch.from <= end
        && end <= cursor
        && Timestamp::MIN < end
    {
        cursor = end.before(TICK);
        let Some(more) = sole_tenure(evidence, endpoint, cursor, holder)? else {
            stretch.from = end;
            break;
        };
        stretch.from = stretch.from.min(more.from);
    }
    Ok(stretch)
}

/// The hull of the allocations at `instant`, when there are some and all are `holder`'s.
fn sole_tenure<E: Evidence>(
    evidence: &E,
    endpoint: External,
    instant: Timestamp,
    holder: &Subscriber,
) -> Result<Option<Span>, E::Error> {
    let held = evidence.holders(endpoint, Span::new(instant, instant.after(TICK)))?;
    if held.iter().any(|a| a.block.subscriber != *holder) {
        return Ok(None);
    }
    Ok(held
        .iter()
        .map(Allocation::span)
        .reduce(|a, b| Span::new(a.from.min(b.from), a.to.max(b.to))))
}

/// The time around `inside`, when nobody has the endpoint, until somebody has.
fn vacancy<E: Evidence>(
    evidence: &E,
    endpoint: External,
    inside: Timestamp,
) -> Result<Span, E::Error> {
    let nearest = evidence.nearest(endpoint, inside)?;
    Ok(Span::new(
        nearest.before.map_or(Timestamp::MIN, |a| a.span().to),
        nearest.after.map_or(Timestamp::MAX, |a| a.from),
    ))
}

/// The part of `stretch` around `inside` without a gap in the log.
fn complete<E: Evidence>(
    evidence: &E,
    endpoint: External,
    inside: Timestamp,
    stretch: Span,
    asked_at: Timestamp,
) -> Result<Span, E::Error> {
    let known = up_to(stretch, asked_at);
    if known.is_empty() {
        return Ok(stretch);
    }
    let coverage = evidence.coverage(endpoint.address, known, asked_at)?;
    let mut stretch = stretch;
    for gap in coverage.gaps.iter().map(|gap| gap.span) {
        if !gap.overlaps(known) {
            continue;
        }
        if gap.from <= inside {
            stretch.from = stretch.from.max(gap.to.min(inside));
        }
        if inside < gap.to {
            stretch.to = stretch.to.min(gap.from.max(inside));
        }
    }
    Ok(stretch)
}
