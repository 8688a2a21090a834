//! The way by subscriber.

use std::sync::Arc;

use portledger_model::{Allocation, Internal, Ipv6Prefix, Realm, Span, Subscriber};

use super::Segment;
use crate::{
    Dictionary, Error, Flaw, Row, SubscriberNumber,
    dictionary::InternalText,
    format::{Malformed, page::Values},
    layout::{GROUP_ROWS, subscriber as at},
    segment::page::{Access, RowPage},
    subscribers::{Parser, Subscribers},
    table::Table,
};

impl Segment {
    /// Every allocation that overlaps `span` of those who meet `asked` (see
    /// [`Segment::numbers_meeting`]), by start.
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged.
    pub fn by_subscriber(&self, asked: &Subscriber, span: Span) -> Result<Vec<Allocation>, Error> {
        let mut rows = Vec::new();
        for number in self.numbers_meeting(asked)? {
            rows.extend(self.rows_of_subscriber(number, span)?);
        }
        rows.sort_by_key(|row| row.from);
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

    /// The numbers of the subscribers whom one asks for by what `asked` is known by: of an IPv6
    /// address also whoever holds a prefix around it, of a prefix also whoever is in it, see
    /// [`Subscriber::meets`].
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged.
    pub fn numbers_meeting(&self, asked: &Subscriber) -> Result<Vec<SubscriberNumber>, Error> {
        let Some(prefix) = asked.internal().prefix() else {
            return Ok(self.number_of(asked)?.into_iter().collect());
        };
        let mut found = Vec::new();
        if prefix.is_address() {
            for one in around(asked.internal(), prefix) {
                found.extend(self.number_of(&Subscriber::of(asked.realm().clone(), one))?);
            }
            found.sort_unstable();
        } else {
            // Texts of what is inside a prefix do not stand together.
            let all = self.all_subscribers()?;
            let meeting = (0..).zip(all.iter()).filter(|(_, one)| one.meets(asked));
            found.extend(meeting.map(|(number, _)| SubscriberNumber(number)));
        }
        Ok(found)
    }

    /// The number of a subscriber, where the segment knows it.
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged.
    pub fn number_of(&self, subscriber: &Subscriber) -> Result<Option<SubscriberNumber>, Error> {
        let table = self.subscribers()?;
        let internal = InternalText::new(subscriber);
        let sought = (subscriber.realm().as_str(), internal.as_str());
        for group in 0..table.groups() {
            let index = table.index(group)?;
            let (Some(realms), Some(internals)) =
                (index.texts(at::REALM), index.texts(at::INTERNAL))
            else {
                continue;
            };
            // Realms ascend from page to page; internal addresses only inside a realm.
            let below = |page| {
                realms
                    .get(page)
                    .is_some_and(|[_, most]| most < sought.0.as_bytes())
            };
            for page in first_not(realms.len(), below)..realms.len() {
                let (Some([least, _]), Some(bounds)) = (realms.get(page), internals.get(page))
                else {
                    break;
                };
                if sought.0.as_bytes() < least {
                    break;
                }
                if sought.1.as_bytes() < bounds[0] || bounds[1] < sought.1.as_bytes() {
                    continue;
                }
                let page = SubscriberPage::read(self, table, group, page as u32)?;
                let before = |place| page.texts(place).is_some_and(|texts| texts < sought);
                let place = first_not(page.internals.len(), before);
                if page.texts(place) == Some(sought) {
                    let row = page.first_row(table) + place as u64;
                    return Ok(u32::try_from(row).ok().map(SubscriberNumber));
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
        let page = SubscriberPage::read(self, table, group, page)?;
        let (realm, internal) = page.texts(within).ok_or_else(unknown)?;
        subscriber(Some(realm), Some(internal)).ok_or_else(|| {
            table.damaged_row(
                row,
                at::INTERNAL,
                Flaw::Meaning("not a realm and what a subscriber is known by"),
            )
        })
    }

    /// All subscribers by number. A million are read in about 15 ms and take 4 MB, or 18 where
    /// there are others than IPv4 addresses among them.
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged.
    pub fn all_subscribers(&self) -> Result<Subscribers, Error> {
        let table = self.subscribers()?;
        let mut all = Subscribers::with_room(table.rows() as usize);
        for group in 0..table.groups() {
            let index = table.index(group)?;
            for page in 0..table.pages(group) {
                let one = index.texts(at::REALM).and_then(|of| of.only(page as usize));
                let realms = match one {
                    Some(realm) => {
                        let flaw = |error: Malformed| {
                            table.damaged_page(group, at::REALM, page, error.into())
                        };
                        all.turn_to(realm).map_err(flaw)?;
                        None
                    }
                    None => Some(table.read_page(group, at::REALM, page)?),
                };
                let (mut parser, mut within) = (Parser::default(), 0);
                table.each_text(group, at::INTERNAL, page, |shared, adds| {
                    if let Some(realms) = &realms {
                        all.turn_to(realms.text(within).unwrap_or(""))?;
                        within += 1;
                    }
                    all.push(parser.read(shared, adds)?);
                    Ok(())
                })?;
            }
        }
        Ok(all)
    }

    /// All subscribers and devices. A million subscribers take about 40 MB: who only looks numbers
    /// up does better with [`Segment::all_subscribers`].
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged.
    pub fn dictionary(&self) -> Result<Dictionary, Error> {
        let subscribers = self.all_subscribers()?.iter().collect();
        Ok(Dictionary::from_parts(
            subscribers,
            self.devices.all.clone(),
        ))
    }
}

/// All that an address may be held by.
fn around(asked: Internal, address: Ipv6Prefix) -> impl Iterator<Item = Internal> {
    (0..=address.length()).flat_map(move |length| {
        let prefix = Ipv6Prefix::around(address.network(), length).ok();
        let of_nat64 = prefix.filter(|_| !asked.is_softwire());
        let softwire = prefix.map(Internal::Softwire);
        of_nat64.map(Internal::Prefix).into_iter().chain(softwire)
    })
}

fn subscriber(realm: Option<&str>, internal: Option<&str>) -> Option<Subscriber> {
    let realm = Realm::new(realm?).ok()?;
    Some(Subscriber::of(realm, internal?.parse().ok()?))
}

/// The first of `count` places of which `before` does not hold, which comes first.
fn first_not(count: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// A page of subscribers.
struct SubscriberPage<'a> {
    group: u32,
    page: u32,
    realms: Realms<'a>,
    internals: Arc<Values>,
}

/// The realms of a page: most pages have but one, which the index says.
enum Realms<'a> {
    One(&'a str),
    Each(Arc<Values>),
}

impl Realms<'_> {
    fn get(&self, place: usize) -> Option<&str> {
        match self {
            Self::One(realm) => Some(realm),
            Self::Each(realms) => realms.text(place),
        }
    }
}

impl<'a> SubscriberPage<'a> {
    fn read(segment: &Segment, table: &'a Table, group: u32, page: u32) -> Result<Self, Error> {
        let bounds = table.index(group)?.texts(at::REALM);
        let realms = match bounds.and_then(|bounds| bounds.only(page as usize)) {
            Some(realm) => Realms::One(realm),
            None => Realms::Each(table.page(&segment.cache, group, at::REALM, page)?),
        };
        Ok(Self {
            group,
            page,
            realms,
            internals: table.page(&segment.cache, group, at::INTERNAL, page)?,
        })
    }

    /// The realm and the internal address at a place.
    fn texts(&self, place: usize) -> Option<(&str, &str)> {
        Some((self.realms.get(place)?, self.internals.text(place)?))
    }

    const fn first_row(&self, table: &Table) -> u64 {
        let before = self.page as u64 * table.layout.page_rows as u64;
        before + self.group as u64 * GROUP_ROWS as u64
    }
}
