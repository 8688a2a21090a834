//! Many files in order, as one.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    sync::Arc,
};

use crate::{
    Error, Flaw, row,
    table::{Stream, Table},
};

/// The rows of many files in order, with one chunk of each in memory. Equal rows come once.
pub(crate) struct Merge {
    streams: Vec<Stream>,
    heads: BinaryHeap<Reverse<Head>>,
    /// The row given last.
    last: Option<Head>,
    corrects: bool,
    /// How many rows were left out since a newer file has their key.
    pub(crate) replaced: u64,
}

/// The next row of a file. Those of a newer file come before those of an older one with the
/// same key.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    row: Vec<u8>,
    /// The length of its key.
    key: usize,
    /// The greater, the newer.
    age: usize,
    stream: usize,
}

impl Head {
    fn key(&self) -> &[u8] {
        self.row.get(..self.key).unwrap_or_default()
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_key = self.key().cmp(other.key());
        let by_age = other.age.cmp(&self.age);
        by_key
            .then(by_age)
            .then_with(|| self.row.cmp(&other.row))
            .then(self.stream.cmp(&other.stream))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Merge {
    /// The runs of one file: all rows count.
    pub(crate) fn runs(tables: Vec<Table>) -> Result<Self, Error> {
        Self::new(tables.into_iter().map(Arc::new).collect(), false)
    }

    /// Files of the store, the oldest first: the rows of a newer one replace those of older ones
    /// that have the same key.
    pub(crate) fn files(tables: Vec<Arc<Table>>) -> Result<Self, Error> {
        Self::new(tables, true)
    }

    fn new(tables: Vec<Arc<Table>>, corrects: bool) -> Result<Self, Error> {
        let mut merge = Self {
            streams: tables.into_iter().map(Stream::new).collect(),
            heads: BinaryHeap::new(),
            last: None,
            corrects,
            replaced: 0,
        };
        for stream in 0..merge.streams.len() {
            merge.refill(stream, Vec::new())?;
        }
        Ok(merge)
    }

    /// The next row.
    pub(crate) fn next_row(&mut self) -> Result<Option<&[u8]>, Error> {
        while let Some(Reverse(head)) = self.heads.pop() {
            let (equal, replaced) = match &self.last {
                Some(last) if last.key() == head.key() => {
                    (last.row == head.row, last.age != head.age)
                }
                _ => (false, false),
            };
            if replaced {
                self.replaced += 1;
            }
            if equal || replaced {
                self.refill(head.stream, head.row)?;
                continue;
            }
            let reused = self.last.take().map(|last| last.row).unwrap_or_default();
            self.refill(head.stream, reused)?;
            return Ok(Some(&self.last.insert(head).row));
        }
        Ok(None)
    }

    fn refill(&mut self, stream: usize, mut row: Vec<u8>) -> Result<(), Error> {
        let Some(source) = self.streams.get_mut(stream) else {
            return Ok(());
        };
        if source.advance()? {
            row.clear();
            row.extend_from_slice(source.row());
            let key = row::split(&row).map(|(key, _)| key.len());
            let key = key.ok_or_else(|| source.damaged(Flaw::Meaning("a row")))?;
            let age = if self.corrects { stream } else { 0 };
            self.heads.push(Reverse(Head {
                row,
                key,
                age,
                stream,
            }));
        }
        Ok(())
    }
}
