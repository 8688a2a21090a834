//! The way by subscriber.

use portledger_model::{Allocation, Realm, Span, Subscriber};

use super::Segment;
use crate::{
    Dictionary, Error, Flaw, Row, SubscriberNumber,
    dictionary::Internal,
    layout::subscriber as at,
    segment::page::{Access, RowPage},
};

impl Segment {
    /// Every allocation of a subscriber that overlaps `span`, by start.
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged.
    pub fn by_subscriber(
        &self,
        subscriber: &Subscriber,
        span: Span,
    ) -> Result<Vec<Allocation>, Error> {
        let Some(number) = self.number_of(subscriber)? else {
            return Ok(Vec::new());
        };
        let rows = self.rows_of_subscriber(number, span)?;
        rows.iter().map(|row| self.allocation(row)).collect()
    }

    /// Every row of a subscriber that overlaps `span`, by start.
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged.
    pub fn rows_of_subscriber(
        &self,
        subscriber: SubscriberNumber,
        span: Span,
    ) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        let mut page: Option<RowPage<'_>> = None;
        let table = self.by_subscriber_rows()?;
        let (start, end) = self.rows_between(subscriber)?;
        for place in start..end {
            let (group, number, within) = table.place_of(place);
            let values = table.page(&self.cache, group, 0, number)?;
            let outside = || table.damaged_row(place, 0, Flaw::Mismatch("a row beyond the last"));
            let row = values.narrow().get(within).copied().map(u64::from);
            let row = row.filter(|&row| row < self.len()).ok_or_else(outside)?;
            let (group, number, within) = self.allocations.place_of(row);
            // Rows come in their order, so that those of one page come together.
            let page = match &mut page {
                Some(page) if (page.group, page.page) == (group, number) => page,
                other => other.insert(RowPage::new(self, group, number, Access::Cached)),
            };
            if page.span(within)?.overlaps(span) {
                let row = page.row(within)?;
                if row.subscriber != subscriber {
                    let flaw = Flaw::Mismatch("a row of another subscriber");
                    return Err(table.damaged_row(place, 0, flaw));
                }
                rows.push(row);
            }
        }
        rows.sort_by_key(|row| row.from);
        Ok(rows)
    }

    /// Where the subscriber's rows begin and end among those grouped by subscriber.
    fn rows_between(
        &self,
        SubscriberNumber(number): SubscriberNumber,
    ) -> Result<(u64, u64), Error> {
        let table = self.subscribers()?;
        let first = |number: u64| {
            if number >= table.rows() {
                return Ok(self.len());
            }
            let (group, page, within) = table.place_of(number);
            let values = table.page(&self.cache, group, at::FIRST, page)?;
            let first = values.narrow().get(within).copied().map(u64::from);
            let outside =
                || table.damaged_row(number, at::FIRST, Flaw::Mismatch("a row beyond the last"));
            first
                .filter(|&first| first <= self.len())
                .ok_or_else(outside)
        };
        let number = u64::from(number);
        Ok((first(number)?, first(number + 1)?))
    }

    /// The number of a subscriber, where the segment knows it.
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged.
    pub fn number_of(&self, subscriber: &Subscriber) -> Result<Option<SubscriberNumber>, Error> {
        let table = self.subscribers()?;
        let internal = Internal::new(subscriber);
        let sought = (subscriber.realm().as_str(), internal.as_str());
        let may_be = |[least, most]: &[Box<[u8]>; 2], sought: &str| {
            &**least <= sought.as_bytes() && sought.as_bytes() <= &**most
        };
        for group in 0..table.groups() {
            let index = table.index(group)?;
            let realms = index.texts(at::REALM);
            let internals = index.texts(at::INTERNAL);
            // Realms ascend from page to page; internal addresses only inside a realm.
            let start = realms.partition_point(|[_, most]| &**most < sought.0.as_bytes());
            let pages = realms.iter().zip(internals).enumerate().skip(start);
            let pages = pages.take_while(|(_, (realm, _))| *realm[0] <= *sought.0.as_bytes());
            for (page, _) in pages.filter(|(_, (_, internals))| may_be(internals, sought.1)) {
                let page = page as u32;
                let realms = table.page(&self.cache, group, at::REALM, page)?;
                let internals = table.page(&self.cache, group, at::INTERNAL, page)?;
                if let Some(place) = find(
                    realms.len(),
                    |at| (realms.text(at), internals.text(at)),
                    sought,
                ) {
                    let before = u64::from(page) * table.layout.page_rows as u64;
                    let before = before + u64::from(group) * crate::layout::GROUP_ROWS as u64;
                    return Ok(u32::try_from(before + place as u64)
                        .ok()
                        .map(SubscriberNumber));
                }
            }
        }
        Ok(None)
    }

    /// The subscriber of a number.
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged, or has no such number.
    pub fn subscriber(
        &self,
        SubscriberNumber(number): SubscriberNumber,
    ) -> Result<Subscriber, Error> {
        let table = self.subscribers()?;
        let row = u64::from(number);
        let unknown = || {
            table.damaged_row(
                row,
                at::REALM,
                Flaw::Mismatch("no subscriber of that number"),
            )
        };
        if row >= table.rows() {
            return Err(unknown());
        }
        let (group, page, within) = table.place_of(row);
        let realms = table.page(&self.cache, group, at::REALM, page)?;
        let internals = table.page(&self.cache, group, at::INTERNAL, page)?;
        subscriber(realms.text(within), internals.text(within)).ok_or_else(|| {
            table.damaged_row(
                row,
                at::INTERNAL,
                Flaw::Meaning("not a realm and an address"),
            )
        })
    }

    /// All subscribers and devices. A million subscribers take about 40 MB.
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged.
    pub fn dictionary(&self) -> Result<Dictionary, Error> {
        let table = self.subscribers()?;
        let mut subscribers: Vec<Subscriber> = Vec::new();
        let mut realm = Realm::default();
        for group in 0..table.groups() {
            for page in 0..table.pages(group) {
                let realms = table.read_page(group, at::REALM, page)?;
                let internals = table.read_page(group, at::INTERNAL, page)?;
                for within in 0..realms.len() {
                    // One realm holds many subscribers: they share its name's memory.
                    let name = realms.text(within).unwrap_or("");
                    if name != realm.as_str()
                        && let Ok(other) = Realm::new(name)
                    {
                        realm = other;
                    }
                    let one = subscriber(Some(name), internals.text(within))
                        .map(|one| Subscriber::new(realm.clone(), one.internal()));
                    let row = subscribers.len() as u64;
                    subscribers.push(one.ok_or_else(|| {
                        table.damaged_row(
                            row,
                            at::INTERNAL,
                            Flaw::Meaning("not a realm and an address"),
                        )
                    })?);
                }
            }
        }
        Ok(Dictionary::from_parts(
            subscribers,
            self.devices.all.clone(),
        ))
    }
}

fn subscriber(realm: Option<&str>, internal: Option<&str>) -> Option<Subscriber> {
    let realm = Realm::new(realm?).ok()?;
    Some(Subscriber::new(realm, internal?.parse().ok()?))
}

/// Where a text pair is among sorted ones.
fn find<'a>(
    count: usize,
    get: impl Fn(usize) -> (Option<&'a str>, Option<&'a str>),
    sought: (&str, &str),
) -> Option<usize> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        let (Some(realm), Some(internal)) = get(middle) else {
            return None;
        };
        match (realm, internal).cmp(&sought) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Equal => return Some(middle),
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    None
}
