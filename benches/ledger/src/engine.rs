//! What an engine has to do to be measured.

use std::{path::Path, time::Duration};

use crate::{
    data::{Data, Row},
    error::Error,
    questions::{Hour, Kind, Matched, Month, Point, Questions},
};

/// One engine with its store. [`crate::run`] calls it in the order of the methods here.
pub trait Engine {
    /// Engine and version, for the report.
    fn version(&mut self) -> Result<String, Error>;

    /// The folder whose bytes are the store's.
    fn folder(&self) -> &Path;

    /// Loads the main order of all days it takes, and leaves the store open and durable.
    fn load_main(&mut self, data: &Data) -> Result<(), Error>;

    /// Adds the way by subscriber.
    fn load_by_subscriber(&mut self, data: &Data) -> Result<(), Error>;

    /// The days it took, when it was not given all.
    fn days(&self) -> Option<Vec<usize>> {
        None
    }

    /// The most points of a batch that it is asked in bearable time: each counts for as much, then.
    fn most_of_a_batch(&self) -> usize {
        usize::MAX
    }

    /// Bytes in [`Self::folder`] that are not the store's data, such as a log of writes that has
    /// been applied.
    fn bytes_apart(&self) -> Result<u64, Error> {
        Ok(0)
    }

    /// Opens the store. What needs no look at the store's files may be ready before.
    fn open(&mut self) -> Result<(), Error>;

    /// Closes it, so that no file stays open or mapped.
    fn close(&mut self) -> Result<(), Error>;

    /// Asks the points one after the other.
    fn who(&mut self, points: &[Point]) -> Result<Vec<Timed<Option<u32>>>, Error>;

    /// Answers a batch on one core, as the engine does it best. What is timed begins with the
    /// questions inside the engine, in order of time, and ends with the checksum; sorting is in it.
    /// `points` are those of `kind` that the engine can answer; an engine that takes all days and
    /// any number may read [`Questions::file`] instead.
    fn batch(
        &mut self,
        questions: &Questions,
        kind: Kind,
        points: &[Point],
    ) -> Result<Timed<Matched>, Error>;

    /// Asks for the holders of an address in an hour.
    fn hours(&mut self, hours: &[Hour]) -> Result<Vec<Timed<Vec<Row>>>, Error>;

    /// Asks for all a subscriber had. A row of two days may come twice.
    fn months(&mut self, months: &[Month]) -> Result<Vec<Timed<Vec<Row>>>, Error>;

    /// Drops a day for good, and gives its space back as far as the engine ever does.
    fn drop_day(&mut self, day: usize) -> Result<Duration, Error>;

    /// Takes `events` into an empty store, durable after each `batch` of them, for `limit` at most.
    /// `None` when it does not take events one after the other.
    fn ingest(
        &mut self,
        events: &[Happened],
        batch: usize,
        limit: Duration,
    ) -> Result<Option<Ingested>, Error>;

    /// Memory in use by another process that is the engine, in bytes.
    fn memory_elsewhere(&self) -> Option<u64> {
        None
    }
}

/// A result and what it took.
#[derive(Debug, Clone)]
pub struct Timed<T> {
    /// The result.
    pub result: T,
    /// By the wall's clock.
    pub took: Duration,
}

/// A block was handed out or given back.
#[derive(Debug, Clone, Copy)]
pub struct Happened {
    /// Of which allocation.
    pub row: Row,
    /// Whether it ended.
    pub released: bool,
}

impl Happened {
    /// When.
    pub const fn at_ms(&self) -> i64 {
        if self.released {
            self.row.to_ms
        } else {
            self.row.from_ms
        }
    }
}

/// What was taken in.
#[derive(Debug, Clone, Copy)]
pub struct Ingested {
    /// How many.
    pub events: u64,
    /// In what time.
    pub took: Duration,
}

/// What happened in the first hours of a day, in order of time, `most` events at most; allocations
/// that were open when it began are left out.
///
/// # Errors
/// When the day's file cannot be read.
pub fn happened(data: &Data, day: usize, most: usize) -> Result<Vec<Happened>, Error> {
    let start_ms = data.days.get(day).map_or(0, |day| day.start_ms);
    let mut events = Vec::new();
    data.each(day, |row| {
        if row.from_ms >= start_ms {
            events.push(Happened {
                row,
                released: false,
            });
            events.push(Happened {
                row,
                released: true,
            });
        }
    })?;
    events.sort_by_key(|event| (event.at_ms(), event.released));
    events.truncate(most);
    Ok(events)
}
