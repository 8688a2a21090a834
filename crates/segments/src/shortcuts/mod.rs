//! What makes answers faster: a file beside the others, made from them and never needed.
//!
//! A page of 4,096 rows is decoded from its start, and most answers want a handful of its rows.
//! The shortcuts say, for each page of allocations, which rows an address and its ports have, so
//! that three columns need not be read at all, and what stands at every 32nd place of the columns
//! that are then asked for, so that 32 values are unpacked instead of 4,096. They take less
//! than a byte a row.
//!
//! ```text
//! shortcuts.idx    part of each page: runs (see `runs.rs`)
//!                                     restarts of from, to, subscriber and opened (`restarts.rs`)
//!                  end: where the parts are, whose they are, how long the end is, "PLS1"
//! ```
//!
//! They are believed only of the very files they were made from: the end has the SHA-256 of what
//! `allocations.parquet` and `numbers.parquet` say of themselves, and restarts have the checksum of
//! their page. Each part and the end have a checksum or, where the segment is encrypted, are sealed
//! with its key as modules of `allocations.parquet`. Where they are missing, of other files or
//! damaged, answers come from the columns, and [`Segment::verify`](crate::Segment::verify) says
//! what is wrong.

mod build;
mod cursor;
mod file;
mod restarts;
mod runs;

use std::sync::Arc;

use crate::{
    format::{Malformed, thrift::Parsed},
    layout::allocation,
};

pub(crate) use build::{build, columns_of};
pub(crate) use file::{Shortcuts, damage};
pub(crate) use restarts::Restarts;
pub(crate) use runs::Runs;

use cursor::Cursor;

/// The name of the file.
pub(crate) const FILE: &str = "shortcuts.idx";

/// The columns of `allocations.parquet` that have restarts; that of `numbers.parquet` has them
/// too, behind these.
const COLUMNS: [usize; 3] = [allocation::FROM, allocation::TO, allocation::SUBSCRIBER];

/// No part is longer than the runs and restarts of a page can be.
const LONGEST_PART: usize = 64 << 10;

/// What there is to know of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageShortcuts {
    /// Where each address and port is. Left out of the file where runs have less than two rows on
    /// average, as they would take more room than they save time.
    pub(crate) runs: Option<Arc<Runs>>,
    /// The place of the one device in the dictionary of the row group, where all rows are of one.
    pub(crate) device: Option<u32>,
    /// Of each of `COLUMNS`, then of the records' numbers.
    restarts: [Restarts; COLUMNS.len() + 1],
}

impl PageShortcuts {
    /// Of a column of `allocations.parquet`.
    pub(crate) fn restarts(&self, column: usize) -> Option<&Restarts> {
        let at = COLUMNS.iter().position(|&other| other == column)?;
        self.restarts.get(at)
    }

    /// Of the records' numbers.
    pub(crate) const fn numbers(&self) -> &Restarts {
        let [.., numbers] = &self.restarts;
        numbers
    }

    /// Appends them as the file has them.
    ///
    /// ```text
    /// whether there are runs: u8    device, or the greatest: u32    runs, if any    restarts
    /// ```
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.runs.is_some().into());
        out.extend(self.device.unwrap_or(u32::MAX).to_le_bytes());
        if let Some(runs) = &self.runs {
            runs.write(out);
        }
        for restarts in &self.restarts {
            restarts.write(out);
        }
    }

    /// Those of a page of `rows` rows.
    fn read(bytes: &[u8], rows: usize) -> Parsed<Self> {
        let mut cursor = Cursor::new(bytes);
        let (has_runs, device) = (cursor.u8()?, cursor.u32()?);
        let runs = match has_runs {
            0 => None,
            _ => Some(Arc::new(Runs::read(&mut cursor, rows)?)),
        };
        let mut restarts = || Restarts::read(&mut cursor);
        let restarts = [restarts()?, restarts()?, restarts()?, restarts()?];
        if !cursor.rest().is_empty() {
            return Err(Malformed("shortcuts go on after their end"));
        }
        Ok(Self {
            runs,
            device: Some(device).filter(|&device| device != u32::MAX),
            restarts,
        })
    }

    /// The bytes of memory they take.
    pub(crate) fn memory(&self) -> usize {
        let runs = self.runs.as_ref().map_or(0, |runs| runs.memory());
        let restarts: usize = self.restarts.iter().map(Restarts::memory).sum();
        size_of::<Self>() + runs + restarts
    }
}
