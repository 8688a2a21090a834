//! Portledger's segments: a folder of Parquet files a ledger day, plain or encrypted.
//!
//! What is measured is [`portledger_segments`] alone. Taking in events is the ledger's part, not
//! the segments': [`Engine::ingest`] is where its figure comes in, and is `None` until then.

use std::{
    fs::{self, File},
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use portledger_model::{
    Allocation, Device, External, Internal, PortRange, Realm, RecordNumber, Span, Subscriber,
    Timestamp,
};
use portledger_segments::{
    Cache, DeviceNumber, Dictionary, Key, LocalFile, Question, ReadAt, Resolution, Segment,
    SegmentWriter, SubscriberNumber,
};

use crate::{
    data::{Data, Row},
    disk,
    engine::{Engine, Happened, Ingested, Timed},
    error::Error,
    questions::{Hour, Kind, Matched, Month, Point, Questions},
};

/// Where subscribers' internal addresses begin.
const LOWEST_INTERNAL: u32 = 0x0a00_0000;

/// The main order: addresses, ports, times, subscribers' numbers.
const MAIN: &str = "allocations.parquet";

/// What only proofs need, and is not counted.
const PROOFS: &str = "numbers.parquet";

/// Segments in a folder.
pub struct Ours {
    folder: PathBuf,
    key: Option<Key>,
    cache: Arc<Cache>,
    /// Opened when they are first asked.
    days: Vec<Option<Segment>>,
    by_subscriber: bool,
}

impl Ours {
    /// A store in `folder`.
    ///
    /// # Errors
    /// When the folder or the key cannot be made.
    pub fn new(folder: &Path, encrypted: bool) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        // Any key costs the same.
        let key = || Key::new(&[0x5a; 16], "bench").map_err(Error::Segments);
        Ok(Self {
            folder: folder.to_owned(),
            key: encrypted.then(key).transpose()?,
            cache: Arc::default(),
            days: Vec::new(),
            by_subscriber: false,
        })
    }

    fn day_folder(&self, day: usize) -> PathBuf {
        self.folder.join(format!("day-{day:03}"))
    }

    fn day(&mut self, day: usize) -> Result<&Segment, Error> {
        if self.days.len() <= day {
            self.days.resize_with(day + 1, || None);
        }
        let folder = self.day_folder(day);
        let missing = || Error::Other(format!("there is no day {day}"));
        match self.days.get_mut(day).ok_or_else(missing)? {
            Some(segment) => Ok(segment),
            empty => {
                let files = move |name: &str| -> io::Result<Box<dyn ReadAt>> {
                    Ok(Box::new(LocalFile::open(&folder.join(name))?))
                };
                let segment = Segment::open(files, self.key.clone(), Arc::clone(&self.cache))?;
                Ok(empty.insert(segment))
            }
        }
    }

    fn write_day(&self, data: &Data, day: usize) -> Result<(), Error> {
        let rows = data.sorted(day)?;
        let (dictionary, numbers) = dictionary(&rows)?;
        let folder = self.day_folder(day);
        fs::create_dir(&folder).map_err(Error::file("create", &folder))?;
        let key = self.key.as_ref();
        let mut writer = SegmentWriter::new(&folder, &dictionary, Resolution::Millis, key)?;
        for (record, row) in (0..).zip(&rows) {
            let number = numbers.get(row.subscriber as usize).copied();
            writer.push(portledger_segments::Row {
                external: Ipv4Addr::from_bits(row.external),
                ports: PortRange::new(row.first, row.last).map_err(other)?,
                transport: None,
                from: Timestamp::from_millis(row.from_ms),
                to: Some(Timestamp::from_millis(row.to_ms)),
                subscriber: SubscriberNumber(number.unwrap_or(u32::MAX)),
                device: DeviceNumber(row.device.into()),
                concluded: false,
                opened: RecordNumber(record),
            })?;
        }
        writer.finish()?;
        Ok(())
    }
}

impl Engine for Ours {
    fn version(&mut self) -> Result<String, Error> {
        let how = if self.key.is_some() {
            "encrypted"
        } else {
            "plain"
        };
        Ok(format!("Portledger's segments, {how}"))
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes both orders: they are made in one go.
    fn load_main(&mut self, data: &Data) -> Result<(), Error> {
        for day in 0..data.days.len() {
            self.write_day(data, day)?;
        }
        self.days.resize_with(data.days.len(), || None);
        Ok(())
    }

    fn load_by_subscriber(&mut self, _: &Data) -> Result<(), Error> {
        self.by_subscriber = true;
        Ok(())
    }

    /// Proofs; and what is the way by subscriber, until it is asked for.
    fn bytes_apart(&self) -> Result<u64, Error> {
        let mut apart = 0;
        let days = fs::read_dir(&self.folder).map_err(Error::file("read", &self.folder))?;
        for day in days.flatten().map(|entry| entry.path()) {
            apart += if self.by_subscriber {
                disk::file_bytes(&day.join(PROOFS))?
            } else {
                disk::bytes(&day)? - disk::file_bytes(&day.join(MAIN))?
            };
        }
        Ok(apart)
    }

    /// Nothing: a day is opened when it is asked for.
    fn open(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        for day in &mut self.days {
            *day = None;
        }
        self.cache = Arc::default();
        Ok(())
    }

    fn who(&mut self, points: &[Point]) -> Result<Vec<Timed<Option<u32>>>, Error> {
        let (mut answers, mut found) = (Vec::with_capacity(points.len()), Vec::new());
        for point in points {
            let begin = Instant::now();
            found.clear();
            let segment = self.day(point.day.into())?;
            segment.holders(endpoint(point), moment(point), &mut found)?;
            let took = begin.elapsed();
            let result = match found.as_slice() {
                [] => None,
                [one] => Some(row(one)?.subscriber),
                _ => return Err(Error::Other(format!("{} held one port", found.len()))),
            };
            answers.push(Timed { result, took });
        }
        Ok(answers)
    }

    /// Sorts, sweeps each day once, and turns each day's numbers of subscribers into subscribers:
    /// all together, so that the memory looked into is waited for once and not for each.
    fn batch(
        &mut self,
        _: &Questions,
        kind: Kind,
        points: &[Point],
    ) -> Result<Timed<Matched>, Error> {
        let begin = Instant::now();
        let mut days: Vec<Vec<Question>> = Vec::new();
        for point in points {
            let day = usize::from(point.day);
            if days.len() <= day {
                days.resize_with(day + 1, Vec::new);
            }
            if let Some(of_day) = days.get_mut(day) {
                of_day.push(Question {
                    external: endpoint(point),
                    span: moment(point),
                    index: point.number,
                });
            }
        }
        let (mut result, mut naming) = (Matched::default(), Duration::ZERO);
        let mut found = Vec::with_capacity(points.len());
        for (day, mut questions) in days.into_iter().enumerate() {
            if questions.is_empty() {
                continue;
            }
            Question::sort(&mut questions);
            let segment = self.day(day)?;
            found.clear();
            segment.join_holders(&questions, &mut |index, holder| {
                found.push((index, holder.subscriber));
            })?;
            let names = Instant::now();
            let subscribers = segment.all_subscribers()?;
            for &(index, subscriber) in &found {
                // One that is missing is an answer that is missing, and fails the run.
                if let Some(internal) = subscribers.internal(subscriber) {
                    result.add(index, number_of(internal)?);
                }
            }
            naming += names.elapsed();
        }
        let took = begin.elapsed();
        let kind = kind.name();
        eprintln!("ours, {kind}: {took:.2?}, of which {naming:.2?} to name subscribers");
        Ok(Timed { result, took })
    }

    fn hours(&mut self, hours: &[Hour]) -> Result<Vec<Timed<Vec<Row>>>, Error> {
        let mut answers = Vec::with_capacity(hours.len());
        for hour in hours {
            let external = External {
                address: Ipv4Addr::from_bits(hour.external),
                port: None,
                transport: None,
            };
            let (from, to) = (hour.from_ms, hour.to_ms);
            let span = Span::new(Timestamp::from_millis(from), Timestamp::from_millis(to));
            let begin = Instant::now();
            let mut found = Vec::new();
            self.day(hour.day)?.holders(external, span, &mut found)?;
            answers.push(listed(&found, begin.elapsed())?);
        }
        Ok(answers)
    }

    fn months(&mut self, months: &[Month]) -> Result<Vec<Timed<Vec<Row>>>, Error> {
        let ever = Span::new(Timestamp::MIN, Timestamp::MAX);
        let mut answers = Vec::with_capacity(months.len());
        for month in months {
            let subscriber = subscriber(month.subscriber);
            let begin = Instant::now();
            let mut found = Vec::new();
            for day in 0..self.days.len() {
                found.extend(self.day(day)?.by_subscriber(&subscriber, ever)?);
            }
            answers.push(listed(&found, begin.elapsed())?);
        }
        Ok(answers)
    }

    fn drop_day(&mut self, day: usize) -> Result<Duration, Error> {
        let folder = self.day_folder(day);
        let begin = Instant::now();
        if let Some(day) = self.days.get_mut(day) {
            *day = None;
        }
        fs::remove_dir_all(&folder).map_err(Error::file("remove", &folder))?;
        let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
        synced.map_err(Error::file("sync", &self.folder))?;
        Ok(begin.elapsed())
    }

    fn ingest(&mut self, _: &[Happened], _: usize, _: Duration) -> Result<Option<Ingested>, Error> {
        Ok(None)
    }
}

/// The day's dictionary, and the number in it of each of the generator's subscribers.
fn dictionary(rows: &[Row]) -> Result<(Dictionary, Vec<u32>), Error> {
    let mut seen: Vec<u32> = rows.iter().map(|row| row.subscriber).collect();
    seen.sort_unstable();
    seen.dedup();
    let devices = rows.iter().map(|row| row.device).max().unwrap_or(0);
    let devices = (0..=devices).map(|device| Device::new(&format!("cgn{device:03}")));
    let devices = devices.collect::<Result<Vec<_>, _>>().map_err(other)?;
    let dictionary = Dictionary::new(seen.iter().copied().map(subscriber), devices)?;
    let mut numbers = vec![u32::MAX; seen.last().map_or(0, |&last| last as usize + 1)];
    for (place, subscriber) in (0..).zip(dictionary.subscribers()) {
        if let Some(entry) = numbers.get_mut(number(subscriber)? as usize) {
            *entry = place;
        }
    }
    Ok((dictionary, numbers))
}

fn subscriber(number: u32) -> Subscriber {
    let internal = Ipv4Addr::from_bits(LOWEST_INTERNAL + number);
    Subscriber::new(Realm::default(), internal.into())
}

/// The generator's number of a subscriber.
fn number(subscriber: &Subscriber) -> Result<u32, Error> {
    number_of(subscriber.internal())
}

/// The generator's number of who has this internal address: all are of one realm.
fn number_of(internal: Internal) -> Result<u32, Error> {
    let number = match internal {
        Internal::Address(internal) => internal.to_bits().checked_sub(LOWEST_INTERNAL),
        Internal::Prefix(_) | Internal::Softwire(_) => None,
    };
    number.ok_or_else(|| Error::Other("a subscriber that was never generated".to_owned()))
}

fn endpoint(point: &Point) -> External {
    External {
        address: Ipv4Addr::from_bits(point.external),
        port: Some(point.port),
        transport: None,
    }
}

fn moment(point: &Point) -> Span {
    let at = Timestamp::from_millis(point.at_ms);
    Span::new(at, at.after(Span::TICK))
}

fn listed(found: &[Allocation], took: Duration) -> Result<Timed<Vec<Row>>, Error> {
    let result = found.iter().map(row).collect::<Result<_, _>>()?;
    Ok(Timed { result, took })
}

fn row(allocation: &Allocation) -> Result<Row, Error> {
    let device = allocation.device.as_str().trim_start_matches("cgn");
    Ok(Row {
        external: allocation.block.external.to_bits(),
        first: allocation.block.ports.first(),
        from_ms: allocation.from.as_millis(),
        to_ms: allocation.to.map_or(i64::MAX, Timestamp::as_millis),
        subscriber: number(&allocation.block.subscriber)?,
        last: allocation.block.ports.last(),
        device: device.parse().map_err(other)?,
    })
}

fn other(error: impl ToString) -> Error {
    Error::Other(error.to_string())
}
