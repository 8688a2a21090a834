//! The pages that hold the same rows in all columns, each decoded when it is first needed.

use std::{cell::OnceCell, net::Ipv4Addr, ops::Range, sync::Arc};

use portledger_model::{External, PortRange, RecordNumber, Span, Timestamp};

use super::Segment;
use crate::{
    DeviceNumber, Error, Flaw, Row, SubscriberNumber,
    format::page::Values,
    layout::{ALLOCATIONS, allocation as at},
    row::{self, transport},
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
    columns: [OnceCell<Arc<Values>>; COLUMNS],
}

/// How pages are come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Through the cache.
    Cached,
    /// Past it: one sweep over everything would only empty it.
    Once,
    /// As `Once`, and even where the index says that all values of a page are the same.
    Whole,
}

/// The rows of one address in a page.
#[derive(Debug, Clone)]
pub(super) struct Run {
    rows: Range<usize>,
    /// The largest distance from a first to a last port.
    widest: u32,
    /// Rows before this one hold no port from the last asked for on.
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
            columns: Default::default(),
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

    /// Inlined, as is what calls it for every row: the error is large and hardly ever there.
    #[inline]
    fn column(&self, column: usize) -> Result<&Values, Error> {
        match self.columns.get(column).and_then(OnceCell::get) {
            Some(values) => Ok(values),
            None => self.read(column),
        }
    }

    #[cold]
    fn read(&self, column: usize) -> Result<&Values, Error> {
        let Some(slot) = self.columns.get(column) else {
            return Err(self.damaged(0, column, Flaw::Mismatch("no such column")));
        };
        let (table, place) = match column {
            OPENED => (self.segment.numbers()?, 0),
            column => (&self.segment.allocations, column),
        };
        let values = if self.access == Access::Cached {
            table.page(&self.segment.cache, self.group, place, self.page)?
        } else {
            Arc::new(table.read_page(self.group, place, self.page)?)
        };
        if values.len() != self.rows {
            return Err(self.damaged(0, column, Flaw::Mismatch("another number of rows")));
        }
        Ok(slot.get_or_init(|| values))
    }

    #[inline]
    pub(super) fn narrow(&self, column: usize) -> Result<&[u32], Error> {
        Ok(self.column(column)?.narrow())
    }

    pub(super) fn damaged(&self, place: usize, column: usize, flaw: Flaw) -> Error {
        let row = self.first_row() + place as u64;
        match (column, self.segment.numbers.get()) {
            (OPENED, Some(numbers)) => numbers.damaged_row(row, 0, flaw),
            _ => self.segment.allocations.damaged_row(row, column, flaw),
        }
    }

    /// The rows of an address.
    pub(super) fn of_address(&self, address: Ipv4Addr) -> Result<Run, Error> {
        let (externals, address) = (self.narrow(at::EXTERNAL)?, address.to_bits());
        let start = externals.partition_point(|&external| external < address);
        let rest = externals.get(start..).unwrap_or(&[]);
        let end = start + rest.partition_point(|&external| external == address);
        let firsts = self.narrow(at::FIRST)?.get(start..end).unwrap_or(&[]);
        let lasts = self.narrow(at::LAST)?.get(start..end).unwrap_or(&[]);
        let widths = firsts.iter().zip(lasts);
        let widest = widths
            .map(|(&first, &last)| last.saturating_sub(first))
            .max();
        Ok(Run {
            rows: start..end,
            widest: widest.unwrap_or(0),
            passed: 0,
        })
    }

    /// Calls `each` with the rows of an address that hold the port and may be of the transport,
    /// and the time for which each was held. Ports that are asked for one after the other must
    /// not descend.
    pub(super) fn covering(
        &self,
        run: &mut Run,
        asked: External,
        mut each: impl FnMut(usize, Span) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut times = None;
        let mut covers = |place: usize| {
            if let Some(asked) = asked.transport
                && self.transport(place)?.is_some_and(|held| held != asked)
            {
                return Ok(());
            }
            let times = match &times {
                Some(times) => times,
                None => times.insert(self.all_times()?),
            };
            each(place, times.span(place))
        };
        let Some(port) = asked.port.map(u32::from) else {
            return run.rows.clone().try_for_each(covers);
        };
        let firsts = self.narrow(at::FIRST)?.get(run.rows.clone()).unwrap_or(&[]);
        let lasts = self.narrow(at::LAST)?.get(run.rows.clone()).unwrap_or(&[]);
        // Rows are sorted by first port inside an address: those that begin above the port cannot
        // hold it, nor those that begin below it by more than the widest block.
        let below = |&first: &u32| first.saturating_add(run.widest) < port;
        run.passed = gallop(firsts, run.passed, below);
        let rows = firsts.iter().zip(lasts).enumerate().skip(run.passed);
        for (place, (_, &last)) in rows.take_while(|(_, (first, _))| **first <= port) {
            if port <= last {
                covers(run.rows.start + place)?;
            }
        }
        Ok(())
    }

    fn transport(&self, place: usize) -> Result<Option<portledger_model::Transport>, Error> {
        match self.small(at::TRANSPORT, place)? {
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

    /// The value of a column that mostly has but one in a page, which the index says then.
    fn small(&self, column: usize, place: usize) -> Result<u32, Error> {
        let index = self.segment.allocations.index(self.group)?;
        if let Some(&[least, most]) = index.narrow(column).get(self.page as usize)
            && least == most
            && self.access != Access::Whole
        {
            return Ok(least);
        }
        self.number(column, place)
    }

    #[inline]
    fn number(&self, column: usize, place: usize) -> Result<u32, Error> {
        let value = self.narrow(column)?.get(place).copied();
        value.ok_or_else(|| self.damaged(place, column, Flaw::Mismatch("a row beyond the last")))
    }

    #[inline]
    fn all_times(&self) -> Result<Times<'_>, Error> {
        Ok(Times {
            from: self.column(at::FROM)?.wide(),
            to: self.column(at::TO)?.wide(),
            step: self.segment.allocations.stamp.resolution.micros(),
        })
    }

    /// The time for which a row was held, a microsecond at least.
    pub(super) fn span(&self, place: usize) -> Result<Span, Error> {
        Ok(self.all_times()?.span(place))
    }

    /// The whole row.
    pub(super) fn row(&self, place: usize) -> Result<Row, Error> {
        let of = |column| self.number(column, place);
        let port = |column| {
            let port = u16::try_from(of(column)?);
            port.map_err(|_| self.damaged(place, column, Flaw::Meaning("a port above 65,535")))
        };
        let ports = PortRange::new(port(at::FIRST)?, port(at::LAST)?);
        let backwards = Flaw::Meaning("a port range that ends before it begins");
        let ports = ports.map_err(|_| self.damaged(place, at::LAST, backwards))?;
        let (from, to) = self.all_times()?.of(place);
        let opened = self.column(OPENED)?.wide().get(place).copied().unwrap_or(0);
        Ok(Row {
            external: Ipv4Addr::from_bits(of(at::EXTERNAL)?),
            ports,
            transport: self.transport(place)?,
            from,
            to,
            concluded: self.small(at::CONCLUDED, place)? != 0,
            subscriber: SubscriberNumber(of(at::SUBSCRIBER)?),
            device: self.device(place, of(at::DEVICE)?)?,
            opened: RecordNumber(opened.cast_unsigned()),
        })
    }

    fn device(&self, place: usize, in_group: u32) -> Result<DeviceNumber, Error> {
        let (table, devices) = (&self.segment.allocations, &self.segment.devices);
        let device = devices.number(table, self.group, in_group)?;
        let flaw = Flaw::Mismatch("a device that the dictionary does not have");
        device.ok_or_else(|| self.damaged(place, at::DEVICE, flaw))
    }
}

/// When the rows of a page were held.
#[derive(Clone, Copy)]
struct Times<'a> {
    from: &'a [i64],
    to: &'a [i64],
    step: i64,
}

impl Times<'_> {
    fn of(&self, place: usize) -> (Timestamp, Option<Timestamp>) {
        let time = |value: i64| Timestamp::from_micros(value.saturating_mul(self.step));
        let from = self.from.get(place).copied().unwrap_or(i64::MIN);
        let to = self.to.get(place).copied().unwrap_or(i64::MAX);
        (time(from), (to != i64::MAX).then(|| time(to)))
    }

    fn span(&self, place: usize) -> Span {
        let (from, to) = self.of(place);
        row::span(from, to)
    }
}

/// The first place from `start` on whose value is not below, where those below come first: found
/// in few steps where it is near.
fn gallop(values: &[u32], start: usize, below: impl Fn(&u32) -> bool) -> usize {
    let rest = values.get(start..).unwrap_or(&[]);
    let mut reach = 1;
    while rest.get(reach).is_some_and(&below) {
        reach *= 2;
    }
    let low = reach / 2;
    let near = rest.get(low..rest.len().min(reach + 1)).unwrap_or(&[]);
    start + low + near.partition_point(below)
}
