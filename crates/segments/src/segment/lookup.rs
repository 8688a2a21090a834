//! Who held an endpoint, and when: few pages, found by what their values lie between.

use std::{net::Ipv4Addr, ops::Range};

use portledger_model::{Allocation, External, Nearest, Span, Timestamp};

use super::{
    Segment,
    page::{Access, RowPage},
};
use crate::{Error, Row, layout::allocation as at};

impl Segment {
    /// Appends every allocation of the endpoint that overlaps `span`, by start.
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged; never a part of the answer.
    pub fn holders(
        &self,
        external: External,
        span: Span,
        out: &mut Vec<Allocation>,
    ) -> Result<(), Error> {
        let rows = self.rows_of(external, span)?;
        let all: Result<Vec<_>, _> = rows.iter().map(|row| self.allocation(row)).collect();
        out.extend(all?);
        Ok(())
    }

    /// Every row of the endpoint that overlaps `span`, by start.
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged.
    pub fn rows_of(&self, external: External, span: Span) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        self.each_page(external, span, |page| {
            let mut of_address = page.of_address(external.address)?;
            page.covering(&mut of_address, external, span.to, |held| {
                if held.span().overlaps(span) {
                    rows.push(page.held(held)?);
                }
                Ok(())
            })
        })?;
        rows.sort_by_key(|row| row.from);
        Ok(rows)
    }

    /// Every allocation of the endpoint, by start.
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged.
    pub fn of_endpoint(&self, external: External) -> Result<Vec<Allocation>, Error> {
        let mut all = Vec::new();
        self.holders(external, EVER, &mut all)?;
        Ok(all)
    }

    /// The allocations of the endpoint nearest to `at` that do not contain it: the last that
    /// ended at or before `at`, and the first that began after it.
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged.
    pub fn nearest(&self, external: External, at: Timestamp) -> Result<Nearest, Error> {
        let (mut before, mut after): (Option<Row>, Option<Row>) = (None, None);
        self.each_page(external, EVER, |page| {
            let mut of_address = page.of_address(external.address)?;
            page.covering(&mut of_address, external, Timestamp::MAX, |held| {
                let span = held.span();
                if span.to <= at && before.is_none_or(|before| before.span().to < span.to) {
                    before = Some(page.held(held)?);
                } else if at < span.from && after.is_none_or(|after| span.from < after.from) {
                    after = Some(page.held(held)?);
                }
                Ok(())
            })
        })?;
        let allocation = |row: Option<Row>| row.map(|row| self.allocation(&row)).transpose();
        Ok(Nearest {
            before: allocation(before)?,
            after: allocation(after)?,
        })
    }

    /// Calls `each` with the pages that may hold the endpoint within `span`.
    fn each_page(
        &self,
        external: External,
        span: Span,
        mut each: impl FnMut(&RowPage<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if span.is_empty() {
            return Ok(());
        }
        for group in self.groups_of(external.address) {
            let bounds = self.page_bounds(group)?;
            for page in bounds.of_address(external.address) {
                let extent = bounds.extent(page);
                if extent.may_hold(external.port) && extent.may_overlap(span) {
                    each(&RowPage::new(self, group, page as u32, Access::Cached))?;
                }
            }
        }
        Ok(())
    }

    /// The row groups that may hold an address.
    pub(super) fn groups_of(&self, address: Ipv4Addr) -> Range<u32> {
        let (groups, address) = (&self.allocations.stamp.groups, address.to_bits());
        let start = groups.partition_point(|group| group.external.1 < address);
        let end = groups.partition_point(|group| group.external.0 <= address);
        start as u32..end as u32
    }

    pub(super) fn page_bounds(&self, group: u32) -> Result<PageBounds<'_>, Error> {
        let index = self.allocations.index(group)?;
        Ok(PageBounds {
            external: index.narrow(at::EXTERNAL),
            first: index.narrow(at::FIRST),
            last: index.narrow(at::LAST),
            from: index.wide(at::FROM),
            to: index.wide(at::TO),
            step: self.allocations.stamp.resolution.micros(),
        })
    }
}

const EVER: Span = Span::new(Timestamp::MIN, Timestamp::MAX);

/// What the values of each page of a row group lie between.
pub(super) struct PageBounds<'a> {
    external: &'a [[u32; 2]],
    first: &'a [[u32; 2]],
    last: &'a [[u32; 2]],
    from: &'a [([i64; 2], bool)],
    to: &'a [([i64; 2], bool)],
    step: i64,
}

impl PageBounds<'_> {
    /// The pages that may hold an address: they follow each other.
    pub(super) fn of_address(&self, address: Ipv4Addr) -> Range<usize> {
        let address = address.to_bits();
        let start = self.external.partition_point(|&[_, most]| most < address);
        let end = self
            .external
            .partition_point(|&[least, _]| least <= address);
        start..end.max(start)
    }

    /// What the values of a page lie between.
    pub(super) fn extent(&self, page: usize) -> Extent {
        let time = |value: i64| Timestamp::from_micros(value.saturating_mul(self.step));
        let ever = ([i64::MIN, i64::MAX], true);
        let ([from, latest], _) = self.from.get(page).copied().unwrap_or(ever);
        let ([_, end], open) = self.to.get(page).copied().unwrap_or(ever);
        // An allocation lasts a microsecond, even where its end is at or before its start.
        let end = time(end).max(time(latest).after(Span::TICK));
        Extent {
            first: self.first.get(page).map_or(0, |&[least, _]| least),
            last: self.last.get(page).map_or(u32::MAX, |&[_, most]| most),
            from: time(from),
            to: (!open).then_some(end),
        }
    }
}

/// What the ports and the times of a page lie between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    first: u32,
    /// The greatest port.
    pub(super) last: u32,
    from: Timestamp,
    /// `None` where a row is held on beyond the segment.
    to: Option<Timestamp>,
}

impl Extent {
    /// Whether a block may contain the port. This holds for blocks of any size, since the page
    /// with a large block has the block's last port in its bounds.
    pub(super) fn may_hold(&self, port: Option<u16>) -> bool {
        port.map(u32::from)
            .is_none_or(|port| self.first <= port && port <= self.last)
    }

    /// Whether a row may overlap the span.
    pub(super) fn may_overlap(&self, span: Span) -> bool {
        self.from < span.to && self.to.is_none_or(|to| span.from < to)
    }
}
