//! The pages that hold the same rows in all columns, each read when it is first needed.

mod columns;

use std::{cell::OnceCell, net::Ipv4Addr, ops::Range, sync::Arc};

use portledger_model::{External, PortRange, RecordNumber, Span, Timestamp};

use columns::{CONCLUDED, Column, DEVICE, SMALL, TRANSPORT};

use super::Segment;
use crate::{
    DeviceNumber, Error, Flaw, Holder, Row, SubscriberNumber,
    layout::{ALLOCATIONS, allocation as at},
    row::{self, transport},
    shortcuts::{PageShortcuts, Runs},
};

const COLUMNS: usize = ALLOCATIONS_COLUMNS + 1;
const ALLOCATIONS_COLUMNS: usize = 9;
/// The place of the column that stands in a file of its own.
const OPENED: usize = ALLOCATIONS_COLUMNS;

/// The pages of a row group that hold the same rows.
pub(super) struct RowPage<'a> {
    segment: &'a Segment,
    pub(super) group: u32,
    pub(super) page: u32,
    rows: usize,
    access: Access,
    shortcuts: OnceCell<Option<Arc<PageShortcuts>>>,
    runs: OnceCell<Arc<Runs>>,
    columns: [OnceCell<Column>; COLUMNS],
    /// The one value that the columns have which mostly have one, in the order of `SMALL`.
    ones: OnceCell<[Option<u32>; SMALL.len()]>,
}

/// How pages are come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Some rows, through the cache.
    Cached,
    /// Some rows, past it: one sweep over everything would only empty it.
    Once,
    /// All rows.
    All,
    /// All rows, and even where the index says that all values of a page are the same.
    Whole,
}

impl Access {
    /// Whether most of a page's rows are not asked for.
    const fn is_sparse(self) -> bool {
        matches!(self, Self::Cached | Self::Once)
    }
}

/// A row that answers, as far as it was looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    place: usize,
    external: Ipv4Addr,
    ports: (u16, u16),
    from: Timestamp,
    to: Option<Timestamp>,
}

impl Held {
    /// The time for which it was held, a microsecond at least.
    #[inline]
    pub(super) fn span(&self) -> Span {
        row::span(self.from, self.to)
    }
}

/// The rows of one address in a page.
#[derive(Debug, Clone)]
pub(super) struct OfAddress {
    address: Ipv4Addr,
    runs: Range<usize>,
    /// The largest distance from a first to a last port.
    widest: u16,
    /// Runs before this one hold no port from the last asked for on.
    passed: usize,
}

impl<'a> RowPage<'a> {
    pub(super) fn new(segment: &'a Segment, group: u32, page: u32, access: Access) -> Self {
        debug_assert_eq!(ALLOCATIONS.columns.len(), ALLOCATIONS_COLUMNS);
        Self {
            segment,
            group,
            page,
            rows: segment.allocations.page_rows(group, page),
            access,
            shortcuts: OnceCell::new(),
            runs: OnceCell::new(),
            columns: Default::default(),
            ones: OnceCell::new(),
        }
    }

    /// How many rows it has.
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// The number of its first row in the segment.
    pub(super) const fn first_row(&self) -> u64 {
        self.group as u64 * crate::layout::GROUP_ROWS as u64
            + self.page as u64 * ALLOCATIONS.page_rows as u64
    }

    pub(super) fn damaged(&self, place: usize, column: usize, flaw: Flaw) -> Error {
        let row = self.first_row() + place as u64;
        match (column, self.segment.numbers.get()) {
            (OPENED, Some(numbers)) => numbers.damaged_row(row, 0, flaw),
            _ => self.segment.allocations.damaged_row(row, column, flaw),
        }
    }

    /// The rows of an address.
    pub(super) fn of_address(&self, address: Ipv4Addr) -> Result<OfAddress, Error> {
        let all = self.runs()?;
        let runs = all.of_address(address);
        let ports = all.ports().get(runs.clone()).unwrap_or(&[]);
        let widest = ports.iter().map(|(first, last)| last - first).max();
        Ok(OfAddress {
            address,
            runs,
            widest: widest.unwrap_or(0),
            passed: 0,
        })
    }

    /// Calls `each` with the rows of an address that hold the port, may be of the transport and
    /// were handed out before `until`. Ports that are asked for one after the other must not
    /// descend.
    pub(super) fn covering(
        &self,
        of: &mut OfAddress,
        asked: External,
        until: Timestamp,
        mut each: impl FnMut(Held) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let all = self.runs()?;
        let mut columns = None;
        let external = of.address;
        let mut covers = |run: usize, ports: (u16, u16)| {
            let (starts, ends) = match columns {
                Some(columns) => columns,
                None => *columns.insert((self.column(at::FROM)?, self.column(at::TO)?)),
            };
            for place in all.rows(run) {
                let Some(from) = starts.wide(place).map(|from| self.time(from)) else {
                    return Err(self.beyond(place, at::FROM));
                };
                // Rows of the same ports are sorted by start.
                if from >= until {
                    break;
                }
                if let Some(asked) = asked.transport
                    && self.transport(place)?.is_some_and(|held| held != asked)
                {
                    continue;
                }
                let Some(to) = ends.wide(place) else {
                    return Err(self.beyond(place, at::TO));
                };
                each(Held {
                    place,
                    external,
                    ports,
                    from,
                    to: self.end(to),
                })?;
            }
            Ok(())
        };
        let ports = all.ports().get(of.runs.clone()).unwrap_or(&[]);
        let runs = of.runs.clone().zip(ports);
        let Some(port) = asked.port else {
            return runs
                .into_iter()
                .try_for_each(|(run, &ports)| covers(run, ports));
        };
        // Runs are sorted by first port inside an address: those that begin above the port cannot
        // hold it, nor those that begin below it by more than the widest block.
        let below = |&(first, _): &(u16, u16)| first.saturating_add(of.widest) < port;
        of.passed = gallop(ports, of.passed, below);
        let runs = runs.skip(of.passed);
        for (run, &(first, last)) in runs.take_while(|(_, (first, _))| *first <= port) {
            if port <= last {
                covers(run, (first, last))?;
            }
        }
        Ok(())
    }

    fn transport(&self, place: usize) -> Result<Option<portledger_model::Transport>, Error> {
        match self.small(TRANSPORT, place)? {
            u32::MAX => Ok(None),
            number => match transport(number) {
                Some(transport) => Ok(Some(transport)),
                None => Err(self.damaged(
                    place,
                    at::TRANSPORT,
                    Flaw::Meaning("a transport of no name"),
                )),
            },
        }
    }

    #[inline]
    fn time(&self, value: i64) -> Timestamp {
        let step = self.segment.allocations.stamp.resolution.micros();
        Timestamp::from_micros(value.saturating_mul(step))
    }

    #[inline]
    fn from(&self, place: usize) -> Result<Timestamp, Error> {
        Ok(self.time(self.wide(at::FROM, place)?))
    }

    #[inline]
    fn to(&self, place: usize) -> Result<Option<Timestamp>, Error> {
        Ok(self.end(self.wide(at::TO, place)?))
    }

    #[inline]
    fn end(&self, to: i64) -> Option<Timestamp> {
        (to != i64::MAX).then(|| self.time(to))
    }

    /// The time for which a row was held, a microsecond at least.
    pub(super) fn span(&self, place: usize) -> Result<Span, Error> {
        Ok(row::span(self.from(place)?, self.to(place)?))
    }

    /// The whole row.
    pub(super) fn row(&self, place: usize) -> Result<Row, Error> {
        let (external, (first, last)) = self.block(place)?;
        self.held(Held {
            place,
            external,
            ports: (first, last),
            from: self.from(place)?,
            to: self.to(place)?,
        })
    }

    /// The whole row of which something is known.
    pub(super) fn held(&self, held: Held) -> Result<Row, Error> {
        let (place, external) = (held.place, held.external);
        let opened = RecordNumber(self.wide(OPENED, place)?.cast_unsigned());
        Ok(self.holder(held)?.into_row(external, opened))
    }

    /// As [`RowPage::held`], but for what stands in another file.
    pub(super) fn holder(&self, held: Held) -> Result<Holder, Error> {
        let place = held.place;
        let (first, last) = held.ports;
        let ports = PortRange::new(first, last).map_err(|_| {
            let backwards = Flaw::Meaning("a port range that ends before it begins");
            self.damaged(place, at::LAST, backwards)
        })?;
        Ok(Holder {
            ports,
            transport: self.transport(place)?,
            from: held.from,
            to: held.to,
            concluded: self.small(CONCLUDED, place)? != 0,
            subscriber: SubscriberNumber(self.number(at::SUBSCRIBER, place)?),
            device: self.device(place)?,
        })
    }

    fn block(&self, place: usize) -> Result<(Ipv4Addr, (u16, u16)), Error> {
        if self.access.is_sparse() {
            let found = self.runs()?.at(place);
            return found.ok_or_else(|| self.beyond(place, at::FIRST));
        }
        let port = |column| {
            let port = u16::try_from(self.number(column, place)?);
            port.map_err(|_| self.damaged(place, column, Flaw::Meaning("a port above 65,535")))
        };
        let address = Ipv4Addr::from_bits(self.number(at::EXTERNAL, place)?);
        Ok((address, (port(at::FIRST)?, port(at::LAST)?)))
    }

    fn device(&self, place: usize) -> Result<DeviceNumber, Error> {
        let in_group = self.small(DEVICE, place)?;
        let (table, devices) = (&self.segment.allocations, &self.segment.devices);
        let device = devices.number(table, self.group, in_group)?;
        let flaw = Flaw::Mismatch("a device that the dictionary does not have");
        device.ok_or_else(|| self.damaged(place, at::DEVICE, flaw))
    }
}

/// The first place from `start` on whose value is not below, where those below come first: found
/// in few steps where it is near.
fn gallop<T>(values: &[T], start: usize, below: impl Fn(&T) -> bool) -> usize {
    let rest = values.get(start..).unwrap_or(&[]);
    let mut reach = 1;
    while rest.get(reach).is_some_and(&below) {
        reach *= 2;
    }
    let low = reach / 2;
    let near = rest.get(low..rest.len().min(reach + 1)).unwrap_or(&[]);
    start + low + near.partition_point(below)
}
