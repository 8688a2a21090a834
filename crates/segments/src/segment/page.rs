//! The pages that hold the same rows in all columns, each read when it is first needed.

use std::{
    cell::{OnceCell, RefCell},
    net::Ipv4Addr,
    ops::Range,
    sync::Arc,
};

use portledger_model::{External, PortRange, RecordNumber, Span, Timestamp};

use super::Segment;
use crate::{
    DeviceNumber, Error, Flaw, Row, SubscriberNumber,
    cache::Kept,
    format::{
        packed::{Packed, Window},
        page::Values,
    },
    layout::{ALLOCATIONS, allocation as at},
    row::{self, transport},
    shortcuts::{PageShortcuts, Runs},
    table::Table,
};

const COLUMNS: usize = ALLOCATIONS_COLUMNS + 1;
const ALLOCATIONS_COLUMNS: usize = 9;
/// The place of the column that stands in a file of its own.
const OPENED: usize = ALLOCATIONS_COLUMNS;

/// The columns that mostly have one value in a page, and their places among these.
const SMALL: [usize; 3] = [at::TRANSPORT, at::CONCLUDED, at::DEVICE];
const TRANSPORT: usize = 0;
const CONCLUDED: usize = 1;
const DEVICE: usize = 2;

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

/// A column of the page.
enum Column {
    Values(Arc<Values>),
    /// Left packed, with what was unpacked last.
    Packed(Arc<Packed>, Box<RefCell<Window>>),
}

impl Column {
    /// A value of 64 bits, null being the greatest.
    #[inline]
    fn wide(&self, place: usize) -> Option<i64> {
        match self {
            Self::Values(values) => values.wide().get(place).copied(),
            Self::Packed(packed, window) => packed.get(place, &mut window.borrow_mut()),
        }
    }

    /// A value of up to 32 bits, null being the greatest.
    #[inline]
    fn number(&self, place: usize) -> Option<u32> {
        match self {
            Self::Values(values) => values.narrow().get(place).copied(),
            // The low 32 bits are right whatever the width of the deltas.
            Self::Packed(packed, window) => {
                let value = packed.get(place, &mut window.borrow_mut());
                value.map(|value| value as u32)
            }
        }
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

    /// Inlined, as is what calls it for every row: the error is large and hardly ever there.
    #[inline]
    fn column(&self, column: usize) -> Result<&Column, Error> {
        match self.columns.get(column).and_then(OnceCell::get) {
            Some(values) => Ok(values),
            None => self.read(column),
        }
    }

    #[cold]
    fn read(&self, column: usize) -> Result<&Column, Error> {
        let Some(slot) = self.columns.get(column) else {
            return Err(self.damaged(0, column, Flaw::Mismatch("no such column")));
        };
        let (table, place) = match column {
            OPENED => (self.segment.numbers()?, 0),
            column => (&self.segment.allocations, column),
        };
        let found = match self.packed(table, column, place)? {
            Some(packed) => Column::Packed(packed, Box::default()),
            None if self.access == Access::Cached => {
                Column::Values(table.page(&self.segment.cache, self.group, place, self.page)?)
            }
            None => Column::Values(Arc::new(table.read_page(self.group, place, self.page)?)),
        };
        let rows = match &found {
            Column::Values(values) => values.len(),
            Column::Packed(packed, _) => packed.rows(),
        };
        if rows != self.rows {
            return Err(self.damaged(0, column, Flaw::Mismatch("another number of rows")));
        }
        Ok(slot.get_or_init(|| found))
    }

    /// The column as it is in the file, where few of its values are asked for and there is a
    /// shortcut to them.
    fn packed(
        &self,
        table: &Table,
        column: usize,
        place: usize,
    ) -> Result<Option<Arc<Packed>>, Error> {
        if !self.access.is_sparse() {
            return Ok(None);
        }
        let id = table.page_id(self.group, place, self.page);
        let cache = (self.access == Access::Cached).then_some(&self.segment.cache);
        if let Some(Kept::Packed(found)) = cache.and_then(|cache| cache.get(id)) {
            return Ok(Some(found));
        }
        let Some(shortcuts) = self.shortcuts()? else {
            return Ok(None);
        };
        let restarts = match column {
            OPENED => Some(shortcuts.numbers()).filter(|_| self.segment.numbers_have_shortcuts()),
            column => shortcuts.restarts(column),
        };
        let Some(restarts) = restarts else {
            return Ok(None);
        };
        let packed = table.read_packed(self.group, place, self.page, restarts)?;
        let packed = packed.map(Arc::new);
        if let (Some(cache), Some(packed)) = (cache, &packed) {
            cache.put(id, Kept::Packed(Arc::clone(packed)));
        }
        Ok(packed)
    }

    /// The shortcuts to its rows; `None` where the segment has none that are sound.
    fn shortcuts(&self) -> Result<Option<&PageShortcuts>, Error> {
        let found = match self.shortcuts.get() {
            Some(found) => found,
            None => {
                let found = self.read_shortcuts();
                self.shortcuts.get_or_init(|| found)
            }
        };
        Ok(found.as_deref())
    }

    fn read_shortcuts(&self) -> Option<Arc<PageShortcuts>> {
        let table = &self.segment.allocations;
        let id = table.page_id(self.group, NO_COLUMN, self.page);
        let cache = (self.access == Access::Cached).then_some(&self.segment.cache);
        if let Some(Kept::Shortcuts(found)) = cache.and_then(|cache| cache.get(id)) {
            return Some(found);
        }
        // What is damaged is as good as not there: the columns say the same.
        let shortcuts = self.segment.shortcuts()?;
        let shortcuts = shortcuts.page(table, self.group, self.page).ok()?;
        let shortcuts = Arc::new(shortcuts);
        if let Some(cache) = cache {
            cache.put(id, Kept::Shortcuts(Arc::clone(&shortcuts)));
        }
        Some(shortcuts)
    }

    /// Where each address and port is.
    fn runs(&self) -> Result<&Runs, Error> {
        if let Some(runs) = self.runs.get() {
            return Ok(runs);
        }
        let found = self
            .shortcuts()?
            .and_then(|shortcuts| shortcuts.runs.clone());
        let found = match found {
            Some(found) => found,
            None => {
                let runs = Runs::of(
                    self.narrow(at::EXTERNAL)?,
                    self.narrow(at::FIRST)?,
                    self.narrow(at::LAST)?,
                );
                Arc::new(runs.map_err(|error| self.damaged(0, at::FIRST, error.into()))?)
            }
        };
        Ok(self.runs.get_or_init(|| found))
    }

    fn narrow(&self, column: usize) -> Result<&[u32], Error> {
        match self.column(column)? {
            Column::Values(values) => Ok(values.narrow()),
            Column::Packed(..) => Ok(&[]),
        }
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

    /// The value of a column that mostly has but one in a page, which the index says then, or the
    /// shortcuts.
    #[inline]
    fn small(&self, small: usize, place: usize) -> Result<u32, Error> {
        let ones = match self.ones.get() {
            Some(ones) => ones,
            None => self.read_ones()?,
        };
        match (ones.get(small), SMALL.get(small)) {
            (Some(&Some(one)), _) => Ok(one),
            (_, Some(&column)) => self.number(column, place),
            _ => Err(self.beyond(place, at::TRANSPORT)),
        }
    }

    #[cold]
    fn read_ones(&self) -> Result<&[Option<u32>; SMALL.len()], Error> {
        let index = self.segment.allocations.index(self.group)?;
        let ones = SMALL.map(
            |column| match index.narrow(column).get(self.page as usize) {
                Some(&[least, most]) if least == most && self.access != Access::Whole => {
                    Some(least)
                }
                _ => None,
            },
        );
        Ok(self.ones.get_or_init(|| ones))
    }

    /// A value of a column of up to 32 bits, null being the greatest.
    #[inline]
    fn number(&self, column: usize, place: usize) -> Result<u32, Error> {
        match self.column(column)?.number(place) {
            Some(value) => Ok(value),
            None => Err(self.beyond(place, column)),
        }
    }

    /// A value of a column of 64 bits, null being the greatest.
    #[inline]
    fn wide(&self, column: usize, place: usize) -> Result<i64, Error> {
        match self.column(column)?.wide(place) {
            Some(value) => Ok(value),
            None => Err(self.beyond(place, column)),
        }
    }

    #[cold]
    fn beyond(&self, place: usize, column: usize) -> Error {
        self.damaged(place, column, Flaw::Mismatch("a row without a value"))
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
        let place = held.place;
        let (first, last) = held.ports;
        let ports = PortRange::new(first, last).map_err(|_| {
            let backwards = Flaw::Meaning("a port range that ends before it begins");
            self.damaged(place, at::LAST, backwards)
        })?;
        Ok(Row {
            external: held.external,
            ports,
            transport: self.transport(place)?,
            from: held.from,
            to: held.to,
            concluded: self.small(CONCLUDED, place)? != 0,
            subscriber: SubscriberNumber(self.number(at::SUBSCRIBER, place)?),
            device: self.device(place)?,
            opened: RecordNumber(self.wide(OPENED, place)?.cast_unsigned()),
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

/// What stands for the shortcuts among the columns of a page in the cache.
const NO_COLUMN: usize = u16::MAX as usize;

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
