//! Who held an endpoint, and when: few pages, found by what their values lie between.

use std::{net::Ipv4Addr, ops::Range};

use portledger_model::{Allocation, External, Nearest, Span, Timestamp};

use super::{Segment, page::RowPage};
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
            let of_address = page.of_address(external.address)?;
            page.covering(&of_address, external, |place| {
                if page.span(place)?.overlaps(span) {
                    rows.push(page.row(place)?);
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
            let of_address = page.of_address(external.address)?;
            page.covering(&of_address, external, |place| {
                let span = page.span(place)?;
                if span.to <= at && before.is_none_or(|before| before.span().to < span.to) {
                    before = Some(page.row(place)?);
                } else if at < span.from && after.is_none_or(|after| span.from < after.from) {
                    after = Some(page.row(place)?);
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
                if bounds.may_hold(page, external.port) && bounds.may_overlap(page, span) {
                    each(&RowPage::new(self, group, page as u32, true))?;
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

    /// Whether a block of the page may contain the port. This holds for blocks of any size, since
    /// the page with a large block has the block's last port in its bounds.
    pub(super) fn may_hold(&self, page: usize, port: Option<u16>) -> bool {
        let (Some(port), Some([first, _]), Some([_, last])) = (
            port.map(u32::from),
            self.first.get(page),
            self.last.get(page),
        ) else {
            return true;
        };
        *first <= port && port <= *last
    }

    /// The greatest port of a page.
    pub(super) fn greatest_port(&self, page: usize) -> u32 {
        self.last.get(page).map_or(u32::MAX, |&[_, last]| last)
    }

    /// Whether a row of the page may overlap the span.
    pub(super) fn may_overlap(&self, page: usize, span: Span) -> bool {
        let (Some(&([first, last], _)), Some(&([_, end], open))) =
            (self.from.get(page), self.to.get(page))
        else {
            return true;
        };
        let time = |value: i64| Timestamp::from_micros(value.saturating_mul(self.step));
        // An allocation lasts a microsecond, even where its end is at or before its start.
        let end = time(end).max(time(last).after(Span::TICK));
        time(first) < span.to && (open || span.from < end)
    }
}
