//! The allocations that every engine loads: one file a ledger day, each allocation in every day
//! that it touches, so that each moment needs one day and a day can be dropped whole.
//!
//! A row is 32 bytes, little-endian, in the order in which allocations closed:
//!
//! ```text
//!  0        4            8           16         24      26     28       29      32
//!  | external | subscriber | from (ms) | to (ms)  | first | last | device | zeros |
//! ```

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{error::Error, generator};

/// Bytes of a row in a day's file.
pub const ROW_BYTES: usize = 32;

/// Where a ledger day begins, in milliseconds after midnight UTC: few allocations are open then.
const CUT_MS: i64 = 5 * 3_600_000;

/// Where the first day begins.
const FIRST_MS: i64 = day_start(generator::START_MS);

const DAY_MS: i64 = 86_400_000;

/// One allocation of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The shared address, as a number.
    pub external: u32,
    /// First port of the block.
    pub first: u16,
    /// When it was handed out, in milliseconds since 1970.
    pub from_ms: i64,
    /// When it was released, exclusive.
    pub to_ms: i64,
    /// Who held it.
    pub subscriber: u32,
    /// Last port of the block.
    pub last: u16,
    /// The device that handed it out.
    pub device: u8,
}

/// A ledger day.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Day {
    /// First millisecond.
    pub start_ms: i64,
    /// The millisecond after the last.
    pub end_ms: i64,
    /// Rows in the day's file.
    pub rows: u64,
}

/// What was generated, and where it lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Data {
    folder: PathBuf,
    /// How many allocations there are, each counted once.
    pub allocations: u64,
    /// The days, the oldest first, without holes.
    pub days: Vec<Day>,
}

impl Data {
    /// Generates `allocations` into `folder`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn generate(folder: &Path, allocations: u64, seed: u64) -> Result<Self, Error> {
        let folder = folder.join("data");
        fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        let mut files = DayFiles {
            folder: &folder,
            open: Vec::new(),
        };
        let mut failed = None;
        generator::generate(allocations, seed, |generated| {
            if failed.is_none() {
                failed = files.push(&Row::from(generated)).err();
            }
        });
        if let Some(failed) = failed {
            return Err(failed);
        }
        let days = files.finish()?;
        let data = Self {
            folder,
            allocations,
            days,
        };
        let file = data.folder.join("data.json");
        let text = serde_json::to_vec_pretty(&data)?;
        fs::write(&file, text).map_err(Error::file("write", &file))?;
        Ok(data)
    }

    /// What [`Self::generate`] left in `folder`.
    ///
    /// # Errors
    /// When there is nothing, or nothing that can be read.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let file = folder.join("data/data.json");
        let text = fs::read(&file).map_err(Error::file("read", &file))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// The file of day `day`.
    pub fn file(&self, day: usize) -> PathBuf {
        day_file(&self.folder, day)
    }

    /// All rows of a day, in the order in which they closed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rows(&self, day: usize) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        self.each(day, |row| rows.push(row))?;
        Ok(rows)
    }

    /// All rows of a day by external address, first port and start: the main order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn sorted(&self, day: usize) -> Result<Vec<Row>, Error> {
        let mut rows = self.rows(day)?;
        rows.sort_unstable();
        Ok(rows)
    }

    /// Calls `each` for every row of a day, in bounded memory.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn each(&self, day: usize, mut each: impl FnMut(Row)) -> Result<(), Error> {
        let path = self.file(day);
        let failed = Error::file("read", &path);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(source) => return Err(failed(source)),
        };
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut bytes = [0; ROW_BYTES];
        for _ in 0..self.days.get(day).map_or(0, |day| day.rows) {
            if let Err(source) = reader.read_exact(&mut bytes) {
                return Err(failed(source));
            }
            each(Row::decode(&bytes));
        }
        Ok(())
    }

    /// The oldest day that is a whole one: data seldom begins at the cut.
    pub fn oldest_whole_day(&self) -> usize {
        let most = self.days.iter().map(|day| day.rows).max().unwrap_or(0);
        let whole = self.days.iter().position(|day| day.rows > most / 2);
        whole.unwrap_or(0)
    }

    /// Rows of all days: more than allocations, since some are in two.
    pub fn rows_stored(&self) -> u64 {
        self.days.iter().map(|day| day.rows).sum()
    }
}

/// The first millisecond of the ledger day of `at_ms`.
const fn day_start(at_ms: i64) -> i64 {
    (at_ms - CUT_MS).div_euclid(DAY_MS) * DAY_MS + CUT_MS
}

fn day_file(folder: &Path, day: usize) -> PathBuf {
    folder.join(format!("day-{day:03}.rows"))
}

impl Row {
    /// As it lies in a day's file.
    pub fn encode(&self) -> [u8; ROW_BYTES] {
        let mut bytes = [0; ROW_BYTES];
        bytes[0..4].copy_from_slice(&self.external.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.subscriber.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.from_ms.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.to_ms.to_le_bytes());
        bytes[24..26].copy_from_slice(&self.first.to_le_bytes());
        bytes[26..28].copy_from_slice(&self.last.to_le_bytes());
        bytes[28] = self.device;
        bytes
    }

    /// The row in `bytes`.
    pub fn decode(bytes: &[u8; ROW_BYTES]) -> Self {
        let [
            e0,
            e1,
            e2,
            e3,
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
            f6,
            f7,
            t0,
            t1,
            t2,
            t3,
            t4,
            t5,
            t6,
            t7,
            p0,
            p1,
            l0,
            l1,
            device,
            ..,
        ] = *bytes;
        Self {
            external: u32::from_le_bytes([e0, e1, e2, e3]),
            first: u16::from_le_bytes([p0, p1]),
            from_ms: i64::from_le_bytes([f0, f1, f2, f3, f4, f5, f6, f7]),
            to_ms: i64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            subscriber: u32::from_le_bytes([s0, s1, s2, s3]),
            last: u16::from_le_bytes([l0, l1]),
            device,
        }
    }
}

impl From<generator::Generated> for Row {
    fn from(it: generator::Generated) -> Self {
        Self {
            external: it.external,
            first: it.first,
            from_ms: it.from_ms,
            to_ms: it.to_ms,
            subscriber: it.subscriber,
            last: it.last,
            device: it.device,
        }
    }
}

/// The days' files while they are written. What was held before the generator's first closing
/// belongs to a day of which the rest is missing, and is left out of that day.
struct DayFiles<'a> {
    folder: &'a Path,
    open: Vec<(BufWriter<File>, Day)>,
}

impl DayFiles<'_> {
    fn push(&mut self, row: &Row) -> Result<(), Error> {
        let mut start = day_start(row.from_ms).max(FIRST_MS);
        while start < row.to_ms {
            let day = usize::try_from((start - FIRST_MS) / DAY_MS).unwrap_or(0);
            while self.open.len() <= day {
                self.add()?;
            }
            if let Some((writer, of)) = self.open.get_mut(day) {
                let written = writer.write_all(&row.encode());
                written.map_err(Error::file("write", self.folder))?;
                of.rows += 1;
            }
            start += DAY_MS;
        }
        Ok(())
    }

    fn add(&mut self) -> Result<(), Error> {
        let path = day_file(self.folder, self.open.len());
        let file = File::create(&path).map_err(Error::file("create", &path))?;
        let start_ms = self.open.last().map_or(FIRST_MS, |(_, day)| day.end_ms);
        let day = Day {
            start_ms,
            end_ms: start_ms + DAY_MS,
            rows: 0,
        };
        self.open
            .push((BufWriter::with_capacity(1 << 20, file), day));
        Ok(())
    }

    fn finish(self) -> Result<Vec<Day>, Error> {
        let mut days = Vec::new();
        for (mut writer, day) in self.open {
            writer.flush().map_err(Error::file("write", self.folder))?;
            days.push(day);
        }
        Ok(days)
    }
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    const ROW: Row = Row {
        external: 0xc612_0001,
        first: 1_024,
        from_ms: 1_000,
        to_ms: 2_000,
        subscriber: 7,
        last: 1_279,
        device: 3,
    };

    #[test]
    fn a_row_comes_back_from_its_bytes() {
        assert_eq!(Row::decode(&ROW.encode()), ROW);
    }

    #[test]
    fn a_day_begins_at_five() {
        assert_eq!(day_start(CUT_MS), CUT_MS);
        assert_eq!(day_start(CUT_MS - 1), CUT_MS - DAY_MS);
        assert_eq!(day_start(0), CUT_MS - DAY_MS);
    }

    #[test]
    fn an_allocation_across_the_cut_is_in_both_days() {
        let folder = env::temp_dir().join(format!("portledger-bench-test-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut files = DayFiles {
            folder: &folder,
            open: Vec::new(),
        };
        let cut = FIRST_MS + DAY_MS;
        let held = |from_ms, to_ms| Row {
            from_ms,
            to_ms,
            ..ROW
        };
        files.push(&held(cut - 1, cut + 1)).unwrap();
        files.push(&held(cut - 1, cut)).unwrap();
        files.push(&held(FIRST_MS - 1, FIRST_MS + 1)).unwrap();
        let days = files.finish().unwrap();
        let rows: Vec<_> = days.iter().map(|day| day.rows).collect();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(rows, [3, 1]);
    }
}
