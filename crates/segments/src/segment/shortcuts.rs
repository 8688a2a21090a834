//! The shortcuts of a segment: opened, held against the columns, and made again.

use std::path::Path;

use super::Segment;
use crate::{
    Error, FileSummary, Flaw, Place,
    shortcuts::{self, Shortcuts},
    write::sync_dir,
};

impl Segment {
    /// The shortcuts, opened when they are first needed; `None` where there are none, or none of
    /// these files: the columns answer then.
    pub(super) fn shortcuts(&self) -> Option<&Shortcuts> {
        let found = self.shortcuts.get_or_init(|| self.open_shortcuts()?.ok());
        found.as_ref()
    }

    /// `None` where the file is not there.
    fn open_shortcuts(&self) -> Option<Result<Shortcuts, Error>> {
        let source = (self.files)(shortcuts::FILE).ok()?;
        Some(Shortcuts::open(source, &self.allocations))
    }

    /// Whether the shortcuts lead to the records' numbers too.
    pub(super) fn numbers_have_shortcuts(&self) -> bool {
        *self.of_numbers.get_or_init(|| {
            let numbers = self.numbers().ok();
            numbers.is_some_and(|numbers| self.shortcuts().is_some_and(|of| of.are_of(numbers)))
        })
    }

    /// Makes `shortcuts.idx` in the folder `dir`, which must not have it, from the segment's other
    /// files: for segments that were written before there was such a file, or whose own is
    /// damaged. It is read by whoever opens the segment from then on.
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged, or the file cannot be written.
    pub fn write_shortcuts(&self, dir: &Path) -> Result<FileSummary, Error> {
        let summary = shortcuts::build(dir, &self.allocations, self.numbers()?)?;
        sync_dir(dir)?;
        Ok(summary)
    }

    /// The shortcuts say what the columns say, where there are any.
    pub(super) fn verify_shortcuts(&self) -> Result<(), Error> {
        let shortcuts = match self.open_shortcuts() {
            None => return Ok(()),
            Some(shortcuts) => shortcuts?,
        };
        let (table, numbers) = (&self.allocations, self.numbers()?);
        if !shortcuts.are_of(numbers) {
            let flaw = Flaw::Mismatch("shortcuts of other records' numbers");
            return Err(shortcuts::damage(Place::default(), flaw));
        }
        for group in 0..table.groups() {
            for page in 0..table.pages(group) {
                let said = shortcuts.page(table, group, page)?;
                if said != shortcuts::columns_of(table, numbers, group, page)? {
                    let place = Place {
                        group: Some(group),
                        page: Some(page),
                        ..Place::default()
                    };
                    let flaw = Flaw::Mismatch("shortcuts to other rows");
                    return Err(shortcuts::damage(place, flaw));
                }
            }
        }
        Ok(())
    }
}
