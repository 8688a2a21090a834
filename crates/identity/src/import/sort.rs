//! Sorting more rows than fit into memory.

use std::path::{Path, PathBuf};

use portledger_keys::DataKey;

use crate::{
    Error,
    merge::Merge,
    steps::Steps,
    table::{Part, Table, TableWriter},
};

/// So many runs are merged into one, so that no more files are open at once.
const MOST_RUNS: usize = 64;

/// What a row costs in memory besides its bytes.
const ROW: usize = 32;

/// Takes rows in any order and writes a file of them in order, in bounded memory: what does not
/// fit is sorted in runs, each a file like the one that comes out, under the same key.
pub(crate) struct Sorter {
    path: PathBuf,
    key: DataKey,
    steps: Steps,
    /// In bytes.
    memory: usize,
    rows: Vec<Box<[u8]>>,
    held: usize,
    runs: Vec<u64>,
    next_run: u64,
}

impl Sorter {
    pub(crate) fn new(path: &Path, key: DataKey, memory: usize, steps: &Steps) -> Self {
        Self {
            path: path.to_owned(),
            key,
            steps: steps.clone(),
            memory,
            rows: Vec::new(),
            held: 0,
            runs: Vec::new(),
            next_run: 0,
        }
    }

    pub(crate) fn push(&mut self, row: Vec<u8>) -> Result<(), Error> {
        self.held = self.held.saturating_add(row.len() + ROW);
        self.rows.push(row.into_boxed_slice());
        if self.held < self.memory {
            return Ok(());
        }
        let (run, path) = self.new_run();
        self.write_rows(&path, Part::Run(run))?;
        self.runs.push(run);
        if self.runs.len() >= MOST_RUNS {
            let (run, path) = self.new_run();
            self.merge_runs(&path, Part::Run(run))?;
            self.runs.push(run);
        }
        Ok(())
    }

    /// Writes the file; it is durable but for its name, and the runs are gone. Gives the number of
    /// its rows: equal ones count once.
    pub(crate) fn finish(mut self) -> Result<u64, Error> {
        let path = self.path.clone();
        if self.runs.is_empty() {
            return self.write_rows(&path, Part::Whole);
        }
        if !self.rows.is_empty() {
            let (run, path) = self.new_run();
            self.write_rows(&path, Part::Run(run))?;
            self.runs.push(run);
        }
        self.merge_runs(&path, Part::Whole)
    }

    fn write_rows(&mut self, path: &Path, part: Part) -> Result<u64, Error> {
        self.rows.sort_unstable();
        self.rows.dedup();
        let mut writer = TableWriter::create(path, part, &self.key, &self.steps)?;
        for row in self.rows.drain(..) {
            writer.push(&row)?;
        }
        self.held = 0;
        writer.finish()
    }

    fn merge_runs(&mut self, path: &Path, part: Part) -> Result<u64, Error> {
        let runs = std::mem::take(&mut self.runs);
        let paths: Vec<PathBuf> = runs.iter().map(|run| self.run_path(*run)).collect();
        let tables = runs.iter().zip(&paths);
        let tables = tables.map(|(run, path)| Table::open(path, Part::Run(*run), &self.key));
        let mut merge = Merge::runs(tables.collect::<Result<_, _>>()?)?;
        let mut writer = TableWriter::create(path, part, &self.key, &self.steps)?;
        while let Some(row) = merge.next_row()? {
            writer.push(row)?;
        }
        let rows = writer.finish()?;
        for path in &paths {
            self.steps.remove(path)?;
        }
        Ok(rows)
    }

    fn new_run(&mut self) -> (u64, PathBuf) {
        let run = self.next_run;
        self.next_run += 1;
        (run, self.run_path(run))
    }

    fn run_path(&self, run: u64) -> PathBuf {
        self.path.with_extension(format!("run-{run}"))
    }
}
