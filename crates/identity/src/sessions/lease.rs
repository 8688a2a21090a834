//! A client's lease of an address.

use portledger_model::{Span, Timestamp};

use super::{
    fact::Lease,
    session::{Customers, instant},
};

/// All that was told of a lease that began at one time, of one customer.
#[derive(Clone)]
pub(super) struct Tenancy {
    from: Timestamp,
    heard: Timestamp,
    /// Until when it was promised, when it was last heard of.
    until: Timestamp,
    ended: Option<Timestamp>,
    pub(super) customers: Customers,
}

impl Tenancy {
    pub(super) fn new(lease: &Lease) -> Self {
        Self {
            from: lease.from,
            heard: lease.heard,
            until: lease.until,
            ended: None,
            customers: Customers::default(),
        }
    }

    pub(super) fn take(&mut self, lease: &Lease) {
        // What was promised last counts; of two promises at one time, the shorter one.
        if lease.heard > self.heard {
            (self.heard, self.until) = (lease.heard, lease.until);
        } else if lease.heard == self.heard {
            self.until = self.until.min(lease.until);
        }
        if let Some(ended) = lease.ended {
            self.ended = Some(self.ended.map_or(ended, |known| known.min(ended)));
        }
        self.customers.take(&lease.customer);
    }

    /// What was promised ends, for good, when `next` says.
    pub(super) fn end_by(&mut self, next: impl Fn(Timestamp) -> Option<Timestamp>) {
        if let Some(end) = next(self.heard) {
            self.until = self.until.min(end);
        }
    }

    pub(super) const fn from(&self) -> Timestamp {
        self.from
    }

    /// When the last of what was told of it is over.
    pub(super) fn over(&self) -> Timestamp {
        self.ended.unwrap_or(self.until).max(self.heard)
    }

    /// From when to when the address was the client's. `next` is when, from a time on, it was
    /// first told to be nobody's, or after it, to be another lease's.
    pub(super) fn span(&self, next: impl Fn(Timestamp) -> Option<Timestamp>) -> Span {
        let certain = instant(self.heard).to;
        let to = match self.ended {
            Some(ended) => ended.max(instant(self.from).to),
            // What was promised may end earlier; what was heard did not.
            None => {
                let cut = next(self.heard).unwrap_or(Timestamp::MAX);
                certain.max(self.until.min(cut))
            }
        };
        Span::new(self.from, to)
    }
}
