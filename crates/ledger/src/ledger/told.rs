//! What one place or several know of an allocation, until it is an answer.

use std::net::Ipv4Addr;

use portledger_model::{Allocation, Block, Device, Span, Subscriber, Timestamp};

use crate::fragment::Fragment;

/// What one place knows of an allocation, whose external address stands elsewhere.
pub(crate) type Known = Fragment<Subscriber, Device>;

/// What is told of an allocation.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) external: Ipv4Addr,
    pub(crate) known: Known,
    /// All that sealed days know of it is in this.
    pub(crate) is_settled: bool,
}

impl Told {
    pub(crate) const fn new(external: Ipv4Addr, known: Known) -> Self {
        Self {
            external,
            known,
            is_settled: false,
        }
    }

    /// As a sealed day tells it, which knows all of the time before `until`: what was released by
    /// then no other day knows otherwise.
    pub(crate) fn of_sealed(mut self, until: Timestamp) -> Self {
        self.is_settled = self.known.released().unwrap_or(Timestamp::MAX) <= until;
        self
    }

    /// Whether some of the time for which it was held may be in `span`.
    pub(crate) fn may_overlap(&self, span: Span) -> bool {
        let end = self.known.released().unwrap_or(Timestamp::MAX);
        Span::new(self.known.from, end.max(self.known.from.after(Span::TICK))).overlaps(span)
    }

    /// What tells one allocation from another, in order of start.
    fn order(&self) -> impl Ord + '_ {
        (self.external, self.known.identity())
    }
}

/// One an allocation, with all that is told of it.
pub(crate) fn unite(told: &mut Vec<Told>) {
    told.sort_by(|a, b| a.order().cmp(&b.order()));
    told.dedup_by(|later, kept| {
        let same = later.order() == kept.order();
        if same {
            kept.known.add(&later.known);
            kept.is_settled |= later.is_settled;
        }
        same
    });
}

pub(crate) fn allocation(external: Ipv4Addr, known: Known) -> Allocation {
    Allocation {
        block: Block {
            subscriber: known.subscriber,
            external,
            ports: known.ports,
            transport: known.transport,
        },
        from: known.from,
        to: known.to,
        device: known.device,
        record: known.record,
        by_rule: None,
    }
}
