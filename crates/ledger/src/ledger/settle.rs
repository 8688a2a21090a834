//! From what several places tell of allocations to what they were.
//!
//! Each place knows a part: a sealed day what touched it, parts of days and the log what came since.
//! An allocation ends when any of them tells its release; else when the next one of its ports began.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::Ipv4Addr,
};

use portledger_model::{Allocation, External, Span, Timestamp};

use super::{
    Ledger,
    told::{self, Told, allocation},
};
use crate::{Error, fragment::Beginning};

impl Ledger {
    /// What is told of the endpoint where it is not settled, by each place apart.
    pub(super) fn unsettled(&self, external: External) -> Result<Vec<Told>, Error> {
        let mut told = self.days.unsettled(external)?;
        told.extend(self.recent.of_endpoint(external));
        Ok(told)
    }

    /// What began on an address where it is not settled.
    pub(super) fn beginnings(&self, external: Ipv4Addr) -> Result<Vec<Beginning>, Error> {
        let mut beginnings = self.days.unsettled_beginnings(external)?;
        beginnings.extend(self.recent.beginnings(external));
        Ok(beginnings)
    }

    /// The allocations of which something is told and that overlap `span`, by start, each with
    /// its end as far as any place knows it.
    pub(super) fn settle(&self, mut told: Vec<Told>, span: Span) -> Result<Vec<Allocation>, Error> {
        told::unite(&mut told);
        told.retain(|told| told.may_overlap(span));
        let mut beginnings: HashMap<Ipv4Addr, Vec<Beginning>> = HashMap::new();
        let mut settled = Vec::with_capacity(told.len());
        for mut told in told {
            self.days.add_to(&mut told)?;
            if told.known.is_unreleased() {
                let rivals = match beginnings.entry(told.external) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(unknown) => unknown.insert(self.beginnings(told.external)?),
                };
                told.known.end_before(rivals.iter());
            }
            settled.push(allocation(told.external, told.known));
        }
        settled.retain(|held| held.span().overlaps(span));
        settled.sort_by_key(|held| held.from);
        Ok(settled)
    }

    /// The last allocation of the endpoint that ended by `at`, where something that is not
    /// settled may have ended what sealed days left open, or go on after they ended it.
    pub(super) fn nearest_before(
        &self,
        external: External,
        at: Timestamp,
        unsettled: &[Told],
    ) -> Result<Option<Allocation>, Error> {
        let last = |all: Vec<Allocation>| {
            let ended = all.into_iter().filter(|held| held.span().to <= at);
            ended.max_by_key(|held| held.span().to)
        };
        let mut best = last(self.settle(unsettled.to_vec(), Span::ALWAYS)?);
        for (begins, told) in self.days.backwards(external, at) {
            let mut told = told?;
            told.extend_from_slice(unsettled);
            let of_day = last(self.settle(told, Span::ALWAYS)?);
            best = best
                .into_iter()
                .chain(of_day)
                .max_by_key(|held| held.span().to);
            // What ended before this day began comes earlier than this.
            if best.as_ref().is_some_and(|best| begins < best.span().to) {
                break;
            }
        }
        Ok(best)
    }
}
