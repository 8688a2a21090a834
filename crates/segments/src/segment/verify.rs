//! Whether a segment is what was written, to the last page.

use super::{Segment, page::Access};
use crate::{
    Error, Flaw, Place, Row,
    dictionary::InternalText,
    layout::{GROUP_ROWS, allocation, subscriber as at},
    table::Table,
};

impl Segment {
    /// Reads all of every file: each page's checksum or tag, what the indexes say of it, the order
    /// of the rows, and that the files fit together. Takes four bytes of memory a row.
    ///
    /// A changed byte is found where it could change an answer; a byte that means nothing (the
    /// name of the writing program, statistics for other readers) only by the file's SHA-256,
    /// which [`Summary`](crate::Summary) has.
    ///
    /// # Errors
    /// The first damage, with its place.
    pub fn verify(&self) -> Result<(), Error> {
        let (numbers, subscribers) = (self.numbers()?, self.subscribers()?);
        let by_subscriber = self.by_subscriber_rows()?;
        for table in [&self.allocations, numbers, subscribers, by_subscriber] {
            table.verify_extent()?;
        }
        let holders = self.verify_rows(subscribers.rows())?;
        self.verify_subscribers(subscribers)?;
        self.verify_shortcuts()?;
        self.verify_ways(subscribers, by_subscriber, &holders)
    }

    /// Every row makes sense and is in order; returns the subscriber of each.
    fn verify_rows(&self, subscribers: u64) -> Result<Vec<u32>, Error> {
        let mut holders = Vec::new();
        let mut last: Option<(u32, u16, i64)> = None;
        for (number, row) in (0..).zip(self.rows_by(Access::Whole)) {
            let row = row?;
            if last.is_some_and(|last| row.order() < last) {
                return Err(self.allocations.damaged_row(number, 0, Flaw::Order(number)));
            }
            last = Some(row.order());
            if u64::from(row.subscriber.0) >= subscribers {
                let flaw = Flaw::Mismatch("a subscriber that the dictionary does not have");
                return Err(self.allocations.damaged_row(number, 6, flaw));
            }
            self.verify_bounds(number, &row)?;
            holders.push(row.subscriber.0);
        }
        Ok(holders)
    }

    /// The indexes would lead to the row.
    fn verify_bounds(&self, number: u64, row: &Row) -> Result<(), Error> {
        let (group, page, _) = self.allocations.place_of(number);
        let bounds = self.page_bounds(group)?;
        let page = page as usize;
        let extent = bounds.extent(page);
        let leads = self.groups_of(row.external).contains(&group)
            && bounds.of_address(row.external).contains(&page)
            && extent.may_hold(Some(row.ports.first()))
            && extent.may_hold(Some(row.ports.last()))
            && extent.may_overlap(row.span())
            && self.same(number, row)?;
        if leads {
            return Ok(());
        }
        let flaw = Flaw::Mismatch("a row that the index does not lead to");
        Err(self.allocations.damaged_row(number, 0, flaw))
    }

    /// What the index says of columns that are not read where all their values are the same.
    fn same(&self, number: u64, row: &Row) -> Result<bool, Error> {
        let (group, page, _) = self.allocations.place_of(number);
        let index = self.allocations.index(group)?;
        let within = |column, value| {
            let bounds = index.narrow(column).get(page as usize);
            bounds.is_some_and(|&[least, most]| least <= value && value <= most)
        };
        let transport = row.transport.map(|held| held.protocol_number().into());
        Ok(within(allocation::CONCLUDED, row.concluded.into())
            && within(allocation::TRANSPORT, transport.unwrap_or(u32::MAX)))
    }

    /// Subscribers are in order, each once, and the index leads to each.
    fn verify_subscribers(&self, table: &Table) -> Result<(), Error> {
        let dictionary = self.dictionary()?;
        let mut last: Option<(&str, InternalText)> = None;
        for (number, subscriber) in (0_u64..).zip(dictionary.subscribers()) {
            let next = (subscriber.realm().as_str(), InternalText::new(subscriber));
            let ordered = last.as_ref().is_none_or(|(realm, internal)| {
                (*realm, internal.as_str()) < (next.0, next.1.as_str())
            });
            if !ordered {
                return Err(table.damaged_row(number, at::INTERNAL, Flaw::Order(number)));
            }
            let (group, page, _) = table.place_of(number);
            let index = table.index(group)?;
            let within = |column, text: &str| {
                let bounds = index.texts(column);
                let bounds = bounds.and_then(|bounds| bounds.get(page as usize));
                bounds.is_some_and(|[least, most]| {
                    least <= text.as_bytes() && text.as_bytes() <= most
                })
            };
            if !within(at::REALM, next.0) || !within(at::INTERNAL, next.1.as_str()) {
                let flaw = Flaw::Mismatch("a row that the index does not lead to");
                return Err(table.damaged_row(number, at::INTERNAL, flaw));
            }
            last = Some(next);
        }
        Ok(())
    }

    /// The way by subscriber leads to each row once, and to the right one.
    fn verify_ways(
        &self,
        subscribers: &Table,
        by_subscriber: &Table,
        holders: &[u32],
    ) -> Result<(), Error> {
        let firsts = column(subscribers, at::FIRST)?;
        let rows = column(by_subscriber, 0)?;
        let all = holders.len() as u64;
        let ends = firsts
            .iter()
            .skip(1)
            .map(|&first| u64::from(first))
            .chain([all]);
        let mut next = 0;
        for ((number, &first), end) in (0..).zip(&firsts).zip(ends) {
            if u64::from(first) != next || end < next {
                let flaw = Flaw::Order(u64::from(number));
                return Err(subscribers.damaged_row(number.into(), at::FIRST, flaw));
            }
            let own = rows.get(next as usize..end as usize).unwrap_or(&[]);
            let held = |row: &u32| holders.get(*row as usize) == Some(&number);
            if !own.iter().all(held) || !own.is_sorted_by(|a, b| a < b) {
                let flaw = Flaw::Mismatch("a row of another subscriber");
                return Err(by_subscriber.damaged_row(next, 0, flaw));
            }
            next = end;
        }
        if next == all {
            return Ok(());
        }
        let flaw = Flaw::Mismatch("rows of no subscriber");
        Err(subscribers.damaged(Place::default(), flaw))
    }
}

/// All values of a column of numbers.
fn column(table: &Table, column: usize) -> Result<Vec<u32>, Error> {
    let mut all = Vec::new();
    for group in 0..table.groups() {
        for page in 0..table.pages(group) {
            all.extend_from_slice(table.read_page(group, column, page)?.narrow());
        }
    }
    Ok(all)
}

impl Table {
    /// The file begins as one does, and its row groups' columns follow each other without a gap:
    /// no byte before the indexes is outside a page.
    pub(super) fn verify_extent(&self) -> Result<(), Error> {
        let mut magic = [0; 4];
        self.read(&mut magic, 0)?;
        let expected = if self.is_encrypted() {
            b"PARE"
        } else {
            b"PAR1"
        };
        if magic != *expected {
            let flaw = Flaw::Mismatch("no Parquet file begins so");
            return Err(self.damaged(Place::default(), flaw));
        }
        let mut next = magic.len() as u64;
        for (group, meta) in (0..).zip(&self.footer.groups) {
            debug_assert!(meta.rows <= GROUP_ROWS as u64);
            for (chunk, column) in meta.chunks.iter().zip(self.layout.columns) {
                if chunk.start() != next {
                    let place = Place {
                        group: Some(group),
                        column: Some(column.name),
                        page: None,
                        offset: next,
                    };
                    let flaw = Flaw::Mismatch("columns that do not follow each other");
                    return Err(self.damaged(place, flaw));
                }
                next = chunk.start() + chunk.bytes;
            }
        }
        Ok(())
    }
}
