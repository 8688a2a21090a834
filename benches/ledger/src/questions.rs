//! What every engine is asked, with the right answers: drawn from the allocations themselves, by
//! a seed, so that nobody's answer is believed because others agree with it.
//!
//! A point on disk is 32 bytes, little-endian; a batch's are in the order in which servers would
//! have logged them:
//!
//! ```text
//!  0         8          12     14      16    18     20       24                   32
//!  | at (ms) | external | port | first | day | zero | number | holder, -1: nobody |
//! ```

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    data::{Data, Row},
    draw,
    error::Error,
    generator::Random,
};

/// Prime below 2^32: what a batch's checksum is reduced by, question by question.
pub const CHECKSUM_PRIME: u64 = 4_294_967_291;

/// Bytes of a point on disk.
const POINT_BYTES: usize = 32;

/// Who had this port then?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Its place among the questions.
    pub number: u32,
    /// The shared address.
    pub external: u32,
    /// The port.
    pub port: u16,
    /// First port of the block that the port is in. Told to engines that cannot look for a range.
    pub first: u16,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The ledger day of that time.
    pub day: u16,
    /// Who it was.
    pub holder: Option<u32>,
}

/// Who had any port of this address in that hour?
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Hour {
    /// The shared address.
    pub external: u32,
    /// First millisecond.
    pub from_ms: i64,
    /// The millisecond after the last.
    pub to_ms: i64,
    /// The ledger day that the whole hour lies in.
    pub day: usize,
    /// What has to be answered.
    pub truth: Digest,
}

/// What did this subscriber have in this month, which is all of the time there is?
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Month {
    /// Who.
    pub subscriber: u32,
    /// What has to be answered.
    pub truth: Digest,
}

/// A set of rows, told by their number and a sum that no order changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// How many.
    pub rows: u64,
    /// What they add up to.
    pub sum: u64,
}

/// What a batch was answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matched {
    /// Questions that had an answer.
    pub rows: u64,
    /// `(number + 1) * (subscriber + 1) mod CHECKSUM_PRIME`, added up: simple enough for SQL, and
    /// another when two answers change places.
    pub checksum: u64,
}

/// How many questions of each kind.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Points that are asked one at a time.
    pub points: u64,
    /// Points of a batch.
    pub batch: u64,
    /// Hours, and months.
    pub lists: u64,
}

/// All of a run's questions.
pub struct Questions {
    /// Asked before anything is measured, so that code, connection and caches of structure (not of
    /// answers) are warm.
    pub warm_up: Vec<Point>,
    /// Asked one at a time.
    pub points: Vec<Point>,
    /// Of one day, in order of time.
    pub one_day: Vec<Point>,
    /// Of all days, in order of time.
    pub all_days: Vec<Point>,
    /// Hours of addresses; the first tenth is for warming up.
    pub hours: Vec<Hour>,
    /// Months of subscribers; the first tenth is for warming up.
    pub months: Vec<Month>,
    folder: PathBuf,
}

/// A kind of points that lies in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Questions::warm_up`]
    WarmUp,
    /// [`Questions::points`]
    Points,
    /// [`Questions::one_day`]
    OneDay,
    /// [`Questions::all_days`]
    AllDays,
}

impl Kind {
    /// In files and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WarmUp => "warm-up",
            Self::Points => "points",
            Self::OneDay => "one-day",
            Self::AllDays => "all-days",
        }
    }
}

impl Point {
    fn encode(&self) -> [u8; POINT_BYTES] {
        let mut bytes = [0; POINT_BYTES];
        bytes[0..8].copy_from_slice(&self.at_ms.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.external.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.port.to_le_bytes());
        bytes[14..16].copy_from_slice(&self.first.to_le_bytes());
        bytes[16..18].copy_from_slice(&self.day.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.number.to_le_bytes());
        let holder = self.holder.map_or(-1, i64::from);
        bytes[24..32].copy_from_slice(&holder.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; POINT_BYTES]) -> Self {
        let [
            t0,
            t1,
            t2,
            t3,
            t4,
            t5,
            t6,
            t7,
            e0,
            e1,
            e2,
            e3,
            p0,
            p1,
            f0,
            f1,
            d0,
            d1,
            _,
            _,
            n0,
            n1,
            n2,
            n3,
            h0,
            h1,
            h2,
            h3,
            h4,
            h5,
            h6,
            h7,
        ] = *bytes;
        let holder = i64::from_le_bytes([h0, h1, h2, h3, h4, h5, h6, h7]);
        Self {
            number: u32::from_le_bytes([n0, n1, n2, n3]),
            external: u32::from_le_bytes([e0, e1, e2, e3]),
            port: u16::from_le_bytes([p0, p1]),
            first: u16::from_le_bytes([f0, f1]),
            at_ms: i64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            day: u16::from_le_bytes([d0, d1]),
            holder: u32::try_from(holder).ok(),
        }
    }
}

impl Digest {
    /// Of `rows`, each counted once.
    pub fn of(rows: &[Row]) -> Self {
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows.dedup();
        let mut digest = Self::default();
        for row in &rows {
            digest.add(row);
        }
        digest
    }

    fn add(&mut self, row: &Row) {
        let mut mixed = Random(u64::from(row.external) << 32 | u64::from(row.subscriber));
        let ports = u64::from(row.first) << 16 | u64::from(row.last);
        let mut mixed = Random(mixed.next() ^ ports ^ row.from_ms.cast_unsigned());
        let mut mixed = Random(mixed.next() ^ row.to_ms.cast_unsigned());
        self.rows += 1;
        self.sum = self.sum.wrapping_add(mixed.next());
    }
}

impl Matched {
    /// Takes the answer to question `number`.
    pub fn add(&mut self, number: u32, subscriber: u32) {
        let product = (u64::from(number) + 1) * (u64::from(subscriber) + 1);
        self.rows += 1;
        self.checksum += product % CHECKSUM_PRIME;
    }

    /// What has to come.
    pub fn truth(points: &[Point]) -> Self {
        let mut truth = Self::default();
        for point in points {
            if let Some(holder) = point.holder {
                truth.add(point.number, holder);
            }
        }
        truth
    }
}

impl Questions {
    /// Draws them from `data` and leaves the points in files for engines that read them there.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn draw(folder: &Path, data: &Data, seed: u64, counts: Counts) -> Result<Self, Error> {
        let folder = folder.join("questions");
        fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        let mut random = Random(seed ^ 0x5157_4553_5449_4f4e);
        let whole = data.oldest_whole_day();
        let batch_day = whole.midpoint(data.days.len().saturating_sub(1)).max(whole);
        let lists = counts.lists + counts.lists / 10;
        let mut drawn = Self {
            warm_up: draw::points(data, &mut random, counts.points / 4, None)?,
            points: draw::points(data, &mut random, counts.points, None)?,
            one_day: draw::points(data, &mut random, counts.batch, Some(batch_day))?,
            all_days: draw::points(data, &mut random, counts.batch, None)?,
            hours: draw::hours(data, &mut random, lists)?,
            months: draw::months(data, &mut random, lists)?,
            folder,
        };
        // One at a time they come in no order, a batch comes as a log was written.
        draw::shuffle(&mut drawn.warm_up, &mut random);
        draw::shuffle(&mut drawn.points, &mut random);
        draw::shuffle(&mut drawn.hours, &mut random);
        drawn.find_truth(data)?;
        drawn.write()?;
        Ok(drawn)
    }

    /// The file that holds points of `kind`.
    pub fn file(&self, kind: Kind) -> PathBuf {
        self.folder.join(kind.name())
    }

    /// The points of `kind`.
    pub fn of(&self, kind: Kind) -> &[Point] {
        match kind {
            Kind::WarmUp => &self.warm_up,
            Kind::Points => &self.points,
            Kind::OneDay => &self.one_day,
            Kind::AllDays => &self.all_days,
        }
    }

    /// Reads all rows once to know the right answers to hours and months.
    fn find_truth(&mut self, data: &Data) -> Result<(), Error> {
        let mut asked: HashMap<(usize, u32), Vec<usize>> = HashMap::new();
        for (place, hour) in self.hours.iter().enumerate() {
            asked
                .entry((hour.day, hour.external))
                .or_default()
                .push(place);
        }
        let mut months: HashMap<u32, Vec<Row>> = self
            .months
            .iter()
            .map(|month| (month.subscriber, Vec::new()))
            .collect();
        for day in 0..data.days.len() {
            data.each(day, |row| {
                for &place in asked.get(&(day, row.external)).into_iter().flatten() {
                    if let Some(hour) = self.hours.get_mut(place)
                        && row.from_ms < hour.to_ms
                        && row.to_ms > hour.from_ms
                    {
                        hour.truth.add(&row);
                    }
                }
                if let Some(rows) = months.get_mut(&row.subscriber) {
                    rows.push(row);
                }
            })?;
        }
        for month in &mut self.months {
            if let Some(rows) = months.get(&month.subscriber) {
                month.truth = Digest::of(rows);
            }
        }
        Ok(())
    }

    /// What [`Self::draw`] left in `folder`.
    ///
    /// # Errors
    /// When there is nothing, or nothing that can be read.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let folder = folder.join("questions");
        let points = |kind: Kind| {
            let file = folder.join(kind.name());
            let bytes = fs::read(&file).map_err(Error::file("read", &file))?;
            let (points, _) = bytes.as_chunks();
            Ok::<Vec<Point>, Error>(points.iter().map(Point::decode).collect())
        };
        let lists = folder.join("lists.json");
        let text = fs::read(&lists).map_err(Error::file("read", &lists))?;
        let (hours, months) = serde_json::from_slice(&text)?;
        Ok(Self {
            warm_up: points(Kind::WarmUp)?,
            points: points(Kind::Points)?,
            one_day: points(Kind::OneDay)?,
            all_days: points(Kind::AllDays)?,
            hours,
            months,
            folder,
        })
    }

    fn write(&self) -> Result<(), Error> {
        for kind in [Kind::WarmUp, Kind::Points, Kind::OneDay, Kind::AllDays] {
            let bytes: Vec<u8> = self.of(kind).iter().flat_map(Point::encode).collect();
            let file = self.file(kind);
            fs::write(&file, bytes).map_err(Error::file("write", &file))?;
        }
        let lists = self.folder.join("lists.json");
        let text = serde_json::to_vec(&(&self.hours, &self.months))?;
        fs::write(&lists, text).map_err(Error::file("write", &lists))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(subscriber: u32) -> Row {
        Row {
            external: 1,
            first: 1_024,
            from_ms: 5,
            to_ms: 9,
            subscriber,
            last: 1_279,
            device: 0,
        }
    }

    #[test]
    fn a_digest_knows_rows_whatever_their_order_and_counts_each_once() {
        let (one, two) = (row(1), row(2));
        assert_eq!(Digest::of(&[one, two]), Digest::of(&[two, one, two]));
        assert_ne!(Digest::of(&[one]), Digest::of(&[two]));
        let later = Row { to_ms: 10, ..one };
        assert_ne!(Digest::of(&[one]), Digest::of(&[later]));
    }

    #[test]
    fn a_point_comes_back_from_its_bytes() {
        let point = Point {
            number: 1,
            external: 2,
            port: 3,
            first: 4,
            at_ms: 5,
            day: 6,
            holder: Some(7),
        };
        assert_eq!(Point::decode(&point.encode()), point);
        let nobody = Point {
            holder: None,
            ..point
        };
        assert_eq!(Point::decode(&nobody.encode()), nobody);
    }

    #[test]
    fn a_checksum_sees_two_answers_change_places() {
        let (mut right, mut wrong) = (Matched::default(), Matched::default());
        right.add(0, 7);
        right.add(1, 8);
        wrong.add(0, 8);
        wrong.add(1, 7);
        assert_ne!(right, wrong);
    }
}
