//! Changing the store: importing, merging, forgetting.
//!
//! ```text
//!  manifest: next 7, drop 7     a file is begun: a crash from here on leaves what is dropped
//!  key 7, file 7                written, durable
//!  manifest: file 7             it counts, and what it replaces is dropped instead
//!  drops: key, file             destroyed
//!  manifest without drops
//! ```

use portledger_model::Timestamp;

use super::{Forgotten, Imported, Merged, Store};
use crate::{
    Error, Flaw, Interval, Manifest, import::Sorter, merge::Merge, row, table::TableWriter,
};

/// What a rewriting did.
struct Rewritten {
    files: usize,
    kept: u64,
    replaced: u64,
    forgotten: u64,
}

impl Store {
    /// Writes the intervals into a new file, and lets it count.
    pub(super) fn add(
        &self,
        mut next: impl FnMut() -> Result<Option<Interval>, Error>,
    ) -> Result<Imported, Error> {
        let (_turn, mut manifest) = self.folder.change()?;
        self.taking_back(|| {
            let number = manifest.begin();
            self.folder.write(&manifest)?;
            let key = self.folder.new_key(number)?;
            let (path, steps) = (self.folder.path(number), &self.folder.steps);
            let mut sorter = Sorter::new(&path, key, self.options.memory, steps);
            let mut taken = 0;
            while let Some(interval) = next()? {
                sorter.push(row::encode(&interval))?;
                taken += 1;
            }
            let rows = if taken == 0 { 0 } else { sorter.finish()? };
            if rows > 0 {
                self.folder.steps.sync_folder(self.folder.dir())?;
                manifest.finish(number);
                self.folder.write(&manifest)?;
            }
            // Nothing was kept: the file that was begun is dropped.
            self.folder.settle()?;
            Ok(Imported {
                rows,
                repeated: taken - rows,
                rejected: 0,
            })
        })
    }

    pub(super) fn merge(&self, limit: Option<Timestamp>) -> Result<Merged, Error> {
        let (_turn, manifest) = self.folder.change()?;
        let rewritten = self.rewrite(manifest, limit)?;
        Ok(Merged {
            files: rewritten.files,
            kept: rewritten.kept,
            replaced: rewritten.replaced,
        })
    }

    pub(super) fn forget(&self, limit: Timestamp) -> Result<Forgotten, Error> {
        let (_turn, manifest) = self.folder.change()?;
        let rewritten = self.rewrite(manifest, Some(limit))?;
        Ok(Forgotten {
            forgotten: rewritten.forgotten,
            kept: rewritten.kept,
        })
    }

    /// Writes what counts, and did not end before the limit, into one new file, and drops the old
    /// ones. Does nothing where there is nothing to merge or to forget.
    fn rewrite(
        &self,
        mut manifest: Manifest,
        limit: Option<Timestamp>,
    ) -> Result<Rewritten, Error> {
        let snapshot = self.current()?;
        let tables = &snapshot.tables;
        let needed = match limit {
            Some(limit) => tables.iter().any(|table| table.first_end() <= limit),
            None => tables.len() > 1,
        };
        if !needed {
            return Ok(Rewritten {
                files: 0,
                kept: tables.iter().map(|table| table.rows()).sum(),
                replaced: 0,
                forgotten: 0,
            });
        }
        self.taking_back(|| {
            let old = manifest.files.clone();
            let number = manifest.begin();
            self.folder.write(&manifest)?;
            let key = self.folder.new_key(number)?;
            let (path, steps) = (self.folder.path(number), &self.folder.steps);
            let mut merge = Merge::files(tables.clone())?;
            let mut writer = TableWriter::create(&path, crate::table::Part::Whole, &key, steps)?;
            let mut forgotten = 0;
            while let Some(row) = merge.next_row()? {
                let end = row::end(row);
                let end = end.ok_or_else(|| Error::damaged(&path, Flaw::Meaning("a row")))?;
                if limit.is_some_and(|limit| end <= limit) {
                    forgotten += 1;
                } else {
                    writer.push(row)?;
                }
            }
            let kept = writer.finish()?;
            self.folder.steps.sync_folder(self.folder.dir())?;
            if kept > 0 {
                manifest.finish(number);
            }
            manifest.files.retain(|file| !old.contains(file));
            manifest.drops.extend(&old);
            self.folder.write(&manifest)?;
            self.folder.settle()?;
            Ok(Rewritten {
                files: old.len(),
                kept,
                replaced: merge.replaced,
                forgotten,
            })
        })
    }

    /// Takes back what a failure left half done, so that no key or file of it stays.
    fn taking_back<T>(&self, change: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let done = change();
        if done.is_err() {
            // What fails again is done when the store is opened.
            let _ = self.folder.settle();
        }
        done
    }
}
