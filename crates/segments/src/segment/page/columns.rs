//! The columns of a page: decoded, left packed, or not needed.

use std::{
    cell::{OnceCell, RefCell},
    sync::Arc,
};

use super::{Access, OPENED, RowPage};
use crate::{
    Error, Flaw,
    cache::Kept,
    format::{
        packed::{Packed, Window},
        page::Values,
    },
    layout::allocation as at,
    shortcuts::{PageShortcuts, Runs},
    table::Table,
};

/// The columns that mostly have one value in a page, and their places among these.
pub(super) const SMALL: [usize; 3] = [at::TRANSPORT, at::CONCLUDED, at::DEVICE];
pub(super) const TRANSPORT: usize = 0;
pub(super) const CONCLUDED: usize = 1;
pub(super) const DEVICE: usize = 2;

/// What stands for the shortcuts among the columns of a page in the cache.
const NO_COLUMN: usize = u16::MAX as usize;

/// A column of the page.
pub(super) enum Column {
    Values(Arc<Values>),
    /// Left packed, with what was unpacked last.
    Packed(Arc<Packed>, Box<RefCell<Window>>),
}

impl Column {
    /// A value of 64 bits, null being the greatest.
    #[inline]
    pub(super) fn wide(&self, place: usize) -> Option<i64> {
        match self {
            Self::Values(values) => values.wide().get(place).copied(),
            Self::Packed(packed, window) => packed.get(place, &mut window.borrow_mut()),
        }
    }

    /// A value of up to 32 bits, null being the greatest.
    #[inline]
    pub(super) fn number(&self, place: usize) -> Option<u32> {
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

impl RowPage<'_> {
    /// Inlined, as is what calls it for every row: the error is large and hardly ever there.
    #[inline]
    pub(super) fn column(&self, column: usize) -> Result<&Column, Error> {
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
    pub(super) fn shortcuts(&self) -> Result<Option<&PageShortcuts>, Error> {
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
    pub(super) fn runs(&self) -> Result<&Runs, Error> {
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

    /// The value of a column that mostly has but one in a page, which the index says then, or the
    /// shortcuts.
    #[inline]
    pub(super) fn small(&self, small: usize, place: usize) -> Result<u32, Error> {
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
        let shortcuts = match self.access.is_sparse() {
            true => self.shortcuts()?,
            false => None,
        };
        let of_index = |column| match index.narrow(column).get(self.page as usize) {
            Some(&[least, most]) if least == most => Some(least),
            _ => None,
        };
        let ones = SMALL.map(|column| match column {
            _ if self.access == Access::Whole => None,
            // The index has no bounds of places in a dictionary.
            at::DEVICE => shortcuts.and_then(|shortcuts| shortcuts.device),
            column => of_index(column),
        });
        Ok(self.ones.get_or_init(|| ones))
    }

    /// A value of a column of up to 32 bits, null being the greatest.
    #[inline]
    pub(super) fn number(&self, column: usize, place: usize) -> Result<u32, Error> {
        match self.column(column)?.number(place) {
            Some(value) => Ok(value),
            None => Err(self.beyond(place, column)),
        }
    }

    /// A value of a column of 64 bits, null being the greatest.
    #[inline]
    pub(super) fn wide(&self, column: usize, place: usize) -> Result<i64, Error> {
        match self.column(column)?.wide(place) {
            Some(value) => Ok(value),
            None => Err(self.beyond(place, column)),
        }
    }

    #[cold]
    pub(super) fn beyond(&self, place: usize, column: usize) -> Error {
        self.damaged(place, column, Flaw::Mismatch("a row without a value"))
    }
}
