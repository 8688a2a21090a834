//! A segment, open for questions.

mod allocations;
mod devices;
mod join;
mod lookup;
mod page;
mod question;
mod records;
mod rows;
mod shortcuts;
mod subscribers;
mod verify;

use std::{
    fmt, io,
    sync::{Arc, OnceLock},
};

use portledger_model::{Device, Span, Timestamp};

use devices::Devices;
use records::RecordsTable;

use crate::{
    Cache, Error, Flaw, Key, Place, ReadAt,
    layout::{ALLOCATIONS, BY_SUBSCRIBER, Layout, NUMBERS, SUBSCRIBERS, allocation},
    shortcuts::Shortcuts,
    table::Table,
};

pub use question::Question;
pub use records::Records;
pub use rows::Rows;

/// Opens the files of a segment by their names.
pub type Files = Box<dyn Fn(&str) -> io::Result<Box<dyn ReadAt>> + Send + Sync>;

/// The allocations of a segment, open for questions. Files are opened when they are first needed
/// and read page by page; many threads may ask at once.
pub struct Segment {
    files: Files,
    key: Option<Key>,
    cache: Arc<Cache>,
    allocations: Table,
    devices: Devices,
    numbers: OnceLock<Table>,
    /// `None` once asked for where there are none.
    shortcuts: OnceLock<Option<Shortcuts>>,
    /// Whether the shortcuts are of these records' numbers.
    of_numbers: OnceLock<bool>,
    subscribers: OnceLock<Table>,
    by_subscriber: OnceLock<Table>,
    records: OnceLock<RecordsTable>,
}

impl Segment {
    /// Opens a segment: reads the end of its first file.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or needs another key.
    pub fn open(
        files: impl Fn(&str) -> io::Result<Box<dyn ReadAt>> + Send + Sync + 'static,
        key: Option<Key>,
        cache: Arc<Cache>,
    ) -> Result<Self, Error> {
        let files: Files = Box::new(files);
        let allocations = open(&files, &ALLOCATIONS, key.as_ref())?;
        let devices = Devices::of(&allocations, allocation::DEVICE)?;
        Ok(Self {
            files,
            key,
            cache,
            allocations,
            devices,
            numbers: OnceLock::new(),
            shortcuts: OnceLock::new(),
            of_numbers: OnceLock::new(),
            subscribers: OnceLock::new(),
            by_subscriber: OnceLock::new(),
            records: OnceLock::new(),
        })
    }

    /// How many allocations it holds.
    pub const fn len(&self) -> u64 {
        self.allocations.rows()
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From the least start to the greatest end of its allocations, open where one is held on
    /// beyond the segment; empty where it holds none.
    pub const fn span(&self) -> Span {
        let (from, to) = self.allocations.stamp.times;
        Span::new(Timestamp::from_micros(from), Timestamp::from_micros(to))
    }

    /// How fine its times are.
    pub const fn resolution(&self) -> crate::Resolution {
        self.allocations.stamp.resolution
    }

    /// The devices, by number.
    pub fn devices(&self) -> &[Device] {
        &self.devices.all
    }

    fn numbers(&self) -> Result<&Table, Error> {
        self.lazily(&self.numbers, &NUMBERS, Some(self.len()))
    }

    fn subscribers(&self) -> Result<&Table, Error> {
        self.lazily(&self.subscribers, &SUBSCRIBERS, None)
    }

    fn by_subscriber_rows(&self) -> Result<&Table, Error> {
        self.lazily(&self.by_subscriber, &BY_SUBSCRIBER, Some(self.len()))
    }

    fn lazily<'a>(
        &self,
        slot: &'a OnceLock<Table>,
        layout: &'static Layout,
        rows: Option<u64>,
    ) -> Result<&'a Table, Error> {
        if let Some(table) = slot.get() {
            return Ok(table);
        }
        let table = open(&self.files, layout, self.key.as_ref())?;
        if rows.is_some_and(|rows| rows != table.rows()) {
            let flaw = Flaw::Mismatch("another number of rows than allocations");
            return Err(table.damaged(Place::default(), flaw));
        }
        Ok(slot.get_or_init(|| table))
    }
}

fn open(files: &Files, layout: &'static Layout, key: Option<&Key>) -> Result<Table, Error> {
    let source = files(layout.file).map_err(|source| Error::Io {
        file: layout.file,
        action: "open",
        source,
    })?;
    Table::open(layout, source, key)
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("rows", &self.len())
            .field("span", &self.span())
            .finish_non_exhaustive()
    }
}
