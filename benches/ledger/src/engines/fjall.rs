//! fjall: a log-structured merge tree in this process. A keyspace a ledger day, its keys sorted as
//! the main order is, and another by subscriber.
//!
//! ```text
//! main           key: external | first | from (48 bit)                value: to - from | last | subscriber | device
//! by subscriber  key: subscriber | from (48 bit) | external | first   value: to - from | last | device
//! ```

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode,
    config::{CompressionPolicy, FilterPolicy, FilterPolicyEntry},
};

use crate::{
    data::{Data, Row},
    disk,
    engine::{Engine, Happened, Ingested, Timed},
    error::Error,
    questions::{Hour, Kind, Matched, Month, Point, Questions},
};

/// Bytes that decoded blocks may take in memory.
const CACHE_BYTES: u64 = 256 << 20;

/// What the names of journals end with.
const JOURNAL: &str = "jnl";

/// How long an open allocation's hold is said to be: the largest of the field.
const OPEN: i64 = (1 << 40) - 1;

/// fjall in a folder.
pub struct Fjall {
    folder: PathBuf,
    open: Option<Open>,
    days: usize,
}

struct Open {
    database: Database,
    main: Vec<Option<Keyspace>>,
    by_subscriber: Vec<Option<Keyspace>>,
}

impl Fjall {
    /// A store in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            open: None,
            days: 0,
        }
    }

    fn store(&self) -> Result<&Open, Error> {
        let closed = || Error::Other("fjall is not open".to_owned());
        self.open.as_ref().ok_or_else(closed)
    }

    fn main(&self, day: usize) -> Result<&Keyspace, Error> {
        let found = self.store()?.main.get(day).and_then(Option::as_ref);
        found.ok_or_else(|| Error::Other(format!("fjall has no day {day}")))
    }

    /// Who had block `first` at that time: the last that began by then, if it still lasted.
    fn holder(keyspace: &Keyspace, point: &Point) -> Result<Option<u32>, Error> {
        let from = key(point.external, point.first, 0);
        let to = key(point.external, point.first, point.at_ms);
        let Some(last) = keyspace.range(from..=to).next_back() else {
            return Ok(None);
        };
        let (key, value) = last.into_inner()?;
        let row = row_of(&key, &value)?;
        Ok((row.to_ms > point.at_ms).then_some(row.subscriber))
    }
}

impl Engine for Fjall {
    fn version(&mut self) -> Result<String, Error> {
        Ok("fjall 3.1".to_owned())
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    fn load_main(&mut self, data: &Data) -> Result<(), Error> {
        self.days = data.days.len();
        self.open()?;
        for day in 0..self.days {
            let mut ingestion = self.main(day)?.start_ingestion()?;
            for row in data.sorted(day)? {
                ingestion.write(key(row.external, row.first, row.from_ms), value(&row))?;
            }
            ingestion.finish()?;
        }
        Ok(self.store()?.database.persist(PersistMode::SyncAll)?)
    }

    fn load_by_subscriber(&mut self, data: &Data) -> Result<(), Error> {
        for day in 0..self.days {
            let mut rows = data.rows(day)?;
            rows.sort_unstable_by_key(subscriber_key);
            let found = self.store()?.by_subscriber.get(day);
            let Some(keyspace) = found.and_then(Option::as_ref) else {
                continue;
            };
            let mut ingestion = keyspace.start_ingestion()?;
            for row in rows {
                ingestion.write(subscriber_key(&row), subscriber_value(&row))?;
            }
            ingestion.finish()?;
        }
        Ok(self.store()?.database.persist(PersistMode::SyncAll)?)
    }

    /// The journals, which are made longer than what is in them.
    fn bytes_apart(&self) -> Result<u64, Error> {
        disk::bytes_of(&self.folder, JOURNAL)
    }

    fn open(&mut self) -> Result<(), Error> {
        if self.open.is_some() {
            return Ok(());
        }
        let database = Database::builder(&self.folder)
            .cache_size(CACHE_BYTES)
            .open()?;
        let keyspaces = |name: &str| {
            (0..self.days)
                .map(|day| Ok(Some(database.keyspace(&format!("{name}-{day}"), options)?)))
                .collect::<Result<Vec<_>, fjall::Error>>()
        };
        let (main, by_subscriber) = (keyspaces("main")?, keyspaces("by-subscriber")?);
        self.open = Some(Open {
            database,
            main,
            by_subscriber,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        self.open = None;
        Ok(())
    }

    fn who(&mut self, points: &[Point]) -> Result<Vec<Timed<Option<u32>>>, Error> {
        let mut answers = Vec::with_capacity(points.len());
        for point in points {
            let keyspace = self.main(point.day.into())?;
            let begin = Instant::now();
            let result = Self::holder(keyspace, point)?;
            answers.push(Timed {
                result,
                took: begin.elapsed(),
            });
        }
        Ok(answers)
    }

    fn batch(&mut self, _: &Questions, _: Kind, points: &[Point]) -> Result<Timed<Matched>, Error> {
        let mut points = points.to_vec();
        let begin = Instant::now();
        points.sort_unstable_by_key(|it| (it.day, it.external, it.first, it.at_ms));
        let mut result = Matched::default();
        for point in &points {
            if let Some(holder) = Self::holder(self.main(point.day.into())?, point)? {
                result.add(point.number, holder);
            }
        }
        let took = begin.elapsed();
        Ok(Timed { result, took })
    }

    fn hours(&mut self, hours: &[Hour]) -> Result<Vec<Timed<Vec<Row>>>, Error> {
        let mut answers = Vec::with_capacity(hours.len());
        for hour in hours {
            let keyspace = self.main(hour.day)?;
            let begin = Instant::now();
            let mut result = Vec::new();
            for found in keyspace.prefix(hour.external.to_be_bytes()) {
                let (key, value) = found.into_inner()?;
                let row = row_of(&key, &value)?;
                if row.from_ms < hour.to_ms && row.to_ms > hour.from_ms {
                    result.push(row);
                }
            }
            let took = begin.elapsed();
            answers.push(Timed { result, took });
        }
        Ok(answers)
    }

    fn months(&mut self, months: &[Month]) -> Result<Vec<Timed<Vec<Row>>>, Error> {
        let mut answers = Vec::with_capacity(months.len());
        for month in months {
            let begin = Instant::now();
            let mut result = Vec::new();
            for keyspace in self.store()?.by_subscriber.iter().flatten() {
                for found in keyspace.prefix(month.subscriber.to_be_bytes()) {
                    let (key, value) = found.into_inner()?;
                    result.push(row_of_subscriber(&key, &value)?);
                }
            }
            let took = begin.elapsed();
            answers.push(Timed { result, took });
        }
        Ok(answers)
    }

    fn drop_day(&mut self, day: usize) -> Result<Duration, Error> {
        let Some(open) = &mut self.open else {
            return Err(Error::Other("fjall is not open".to_owned()));
        };
        let begin = Instant::now();
        for keyspaces in [&mut open.main, &mut open.by_subscriber] {
            if let Some(keyspace) = keyspaces.get_mut(day).and_then(Option::take) {
                open.database.delete_keyspace(keyspace)?;
            }
        }
        open.database.persist(PersistMode::SyncAll)?;
        Ok(begin.elapsed())
    }

    fn ingest(
        &mut self,
        events: &[Happened],
        batch: usize,
        limit: Duration,
    ) -> Result<Option<Ingested>, Error> {
        let database = &self.store()?.database;
        let main = database.keyspace("live-main", options)?;
        let by_subscriber = database.keyspace("live-by-subscriber", options)?;
        let (begin, mut taken) = (Instant::now(), 0);
        for events in events.chunks(batch) {
            let mut writes = database.batch().durability(Some(PersistMode::SyncAll));
            for event in events {
                let mut row = event.row;
                if !event.released {
                    row.to_ms = row.from_ms + OPEN;
                }
                let main_key = key(row.external, row.first, row.from_ms);
                writes.insert(&main, main_key, value(&row));
                writes.insert(&by_subscriber, subscriber_key(&row), subscriber_value(&row));
            }
            writes.commit()?;
            taken += events.len() as u64;
            if begin.elapsed() > limit {
                break;
            }
        }
        let took = begin.elapsed();
        Ok(Some(Ingested {
            events: taken,
            took,
        }))
    }
}

/// Everything compressed, and no Bloom filters, since nothing is asked by a whole key.
fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
        .filter_policy(FilterPolicy::all(FilterPolicyEntry::None))
}

fn key(external: u32, first: u16, from_ms: i64) -> [u8; 12] {
    let mut key = [0; 12];
    key[0..4].copy_from_slice(&external.to_be_bytes());
    key[4..6].copy_from_slice(&first.to_be_bytes());
    key[6..12].copy_from_slice(&from_ms.to_be_bytes()[2..]);
    key
}

fn value(row: &Row) -> [u8; 12] {
    let mut value = [0; 12];
    value[0..5].copy_from_slice(&(row.to_ms - row.from_ms).to_be_bytes()[3..]);
    value[5..7].copy_from_slice(&row.last.to_be_bytes());
    value[7..11].copy_from_slice(&row.subscriber.to_be_bytes());
    value[11] = row.device;
    value
}

fn subscriber_key(row: &Row) -> [u8; 16] {
    let mut key = [0; 16];
    key[0..4].copy_from_slice(&row.subscriber.to_be_bytes());
    key[4..10].copy_from_slice(&row.from_ms.to_be_bytes()[2..]);
    key[10..14].copy_from_slice(&row.external.to_be_bytes());
    key[14..16].copy_from_slice(&row.first.to_be_bytes());
    key
}

fn subscriber_value(row: &Row) -> [u8; 8] {
    let mut value = [0; 8];
    value[0..5].copy_from_slice(&(row.to_ms - row.from_ms).to_be_bytes()[3..]);
    value[5..7].copy_from_slice(&row.last.to_be_bytes());
    value[7] = row.device;
    value
}

fn row_of(key: &[u8], value: &[u8]) -> Result<Row, Error> {
    let (Ok(key), Ok(value)) = (<[u8; 12]>::try_from(key), <[u8; 12]>::try_from(value)) else {
        return Err(Error::Other("fjall has a row of another length".to_owned()));
    };
    let [e0, e1, e2, e3, p0, p1, f @ ..] = key;
    let [h0, h1, h2, h3, h4, l0, l1, s0, s1, s2, s3, device] = value;
    let from_ms = wide(&f);
    Ok(Row {
        external: u32::from_be_bytes([e0, e1, e2, e3]),
        first: u16::from_be_bytes([p0, p1]),
        from_ms,
        to_ms: from_ms + wide(&[h0, h1, h2, h3, h4]),
        subscriber: u32::from_be_bytes([s0, s1, s2, s3]),
        last: u16::from_be_bytes([l0, l1]),
        device,
    })
}

fn row_of_subscriber(key: &[u8], value: &[u8]) -> Result<Row, Error> {
    let (Ok(key), Ok(value)) = (<[u8; 16]>::try_from(key), <[u8; 8]>::try_from(value)) else {
        return Err(Error::Other("fjall has a row of another length".to_owned()));
    };
    let [
        s0,
        s1,
        s2,
        s3,
        f0,
        f1,
        f2,
        f3,
        f4,
        f5,
        e0,
        e1,
        e2,
        e3,
        p0,
        p1,
    ] = key;
    let [h0, h1, h2, h3, h4, l0, l1, device] = value;
    let from_ms = wide(&[f0, f1, f2, f3, f4, f5]);
    Ok(Row {
        external: u32::from_be_bytes([e0, e1, e2, e3]),
        first: u16::from_be_bytes([p0, p1]),
        from_ms,
        to_ms: from_ms + wide(&[h0, h1, h2, h3, h4]),
        subscriber: u32::from_be_bytes([s0, s1, s2, s3]),
        last: u16::from_be_bytes([l0, l1]),
        device,
    })
}

/// The number in up to seven bytes, the most significant first.
fn wide(bytes: &[u8]) -> i64 {
    bytes
        .iter()
        .fold(0, |number, &byte| number << 8 | i64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row = Row {
        external: 0xc612_0001,
        first: 1_024,
        from_ms: 1_793_509_200_000,
        to_ms: 1_793_509_800_000,
        subscriber: 70_000,
        last: 1_279,
        device: 3,
    };

    #[test]
    fn a_row_comes_back_from_either_order() {
        let main = row_of(&key(ROW.external, ROW.first, ROW.from_ms), &value(&ROW));
        assert_eq!(main.unwrap(), ROW);
        let other = row_of_subscriber(&subscriber_key(&ROW), &subscriber_value(&ROW));
        assert_eq!(other.unwrap(), ROW);
    }

    #[test]
    fn keys_sort_as_rows_do() {
        let later = key(ROW.external, ROW.first, ROW.from_ms + 1);
        assert!(key(ROW.external, ROW.first, ROW.from_ms) < later);
        assert!(later < key(ROW.external, ROW.first + 256, 0));
    }
}
