//! Leases and accounting from files: who had which address, and when.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read as _},
};

use portledger_identity::{Imported, Sessions, Store, sessions::Reading};
use serde_json::json;

use super::{
    form::{Form, Found, Record},
    rejects::Rejects,
};
use crate::{failure::Failure, input::tell_reasons, output::Progress};

/// The longest line that is read; what is behind it is passed over.
const LONGEST_LINE: u64 = 64 << 10;
/// How much of a record is kept aside where it cannot be read.
const LONGEST_RECORD: usize = 256 << 10;
/// How many rejections are shown of a file.
const EXAMPLES: usize = 5;

/// Takes files, which together say what each of them alone may not.
pub(super) struct Feed<'a> {
    store: &'a Store,
    reading: Reading,
    sessions: Sessions,
    /// What was written to the store on the way.
    written: Imported,
    let_go: u64,
    any: bool,
}

/// What came of a file.
#[derive(Default)]
struct Told {
    facts: u64,
    skipped: BTreeMap<&'static str, u64>,
    rejected: BTreeMap<String, u64>,
    examples: Vec<String>,
}

impl<'a> Feed<'a> {
    pub(super) fn new(store: &'a Store, reading: Reading) -> Self {
        Self {
            store,
            reading,
            sessions: Sessions::default(),
            written: Imported {
                rows: 0,
                repeated: 0,
                rejected: 0,
            },
            let_go: 0,
            any: false,
        }
    }

    /// Reads a file; whether all of it could be taken.
    pub(super) fn file(
        &mut self,
        name: &str,
        mut form: Form,
        mut input: impl BufRead,
        rejects: &mut Rejects,
        as_json: bool,
    ) -> Result<bool, Failure> {
        self.any = true;
        let progress = Progress::counting("lines");
        let mut told = Told::default();
        // The record that is being read: the line where it begins, and its text.
        let (mut begins, mut text) = (1, Vec::new());
        let (mut number, mut line) = (0, Vec::new());
        while next_line(&mut input, &mut line)
            .map_err(|error| Failure::failed(format!("{name}: {error}")))?
        {
            number += 1;
            progress.at(number);
            let found = form.line(&line);
            // A line that shows the record before it to be cut short begins the next one.
            let is_next = !found.is_empty() && !form.is_between();
            if !is_next && text.len() < LONGEST_RECORD {
                text.extend_from_slice(&line);
            }
            self.take(name, begins, &text, found, rejects, &mut told)?;
            if form.is_between() || is_next {
                text.clear();
                begins = number + 1;
            }
            if is_next {
                text.extend_from_slice(&line);
                begins = number;
            }
        }
        let found = form.finish();
        self.take(name, begins, &text, found, rejects, &mut told)?;
        progress.done();
        told.tell(name, form.name(), as_json);
        Ok(told.rejected.is_empty())
    }

    /// Writes what became of the files.
    pub(super) fn finish(mut self, as_json: bool) -> Result<(), Failure> {
        if !self.any {
            return Ok(());
        }
        self.write()?;
        let Imported { rows, repeated, .. } = self.written;
        let unnamed = self.sessions.unnamed();
        if as_json {
            let summary = json!({ "intervals": rows, "repeated": repeated, "unnamed": unnamed });
            println!("{summary}");
        } else {
            println!("{rows} intervals taken in, {repeated} repeated");
        }
        if unnamed > 0 {
            eprintln!(
                "portledger: {unnamed} sessions name no customer in any of their packets; nothing was kept of them"
            );
        }
        if self.let_go > 0 {
            eprintln!(
                "portledger: {} sessions were more than are held at once, and were kept as they were known then; import smaller files for exact ends",
                self.let_go
            );
        }
        Ok(())
    }

    fn take(
        &mut self,
        name: &str,
        line: u64,
        text: &[u8],
        found: Found,
        rejects: &mut Rejects,
        told: &mut Told,
    ) -> Result<(), Failure> {
        let mut kept = false;
        for record in found {
            let fact = match record {
                Ok(Record::Lease(lease)) => self.reading.lease(&lease).map(Some),
                Ok(Record::Accounting(record)) => {
                    self.reading.accounting(&record.accounting, record.received)
                }
                Err(reason) => {
                    told.reject(name, line, reason);
                    kept = kept || rejects.keep(text)?;
                    continue;
                }
            };
            match fact {
                Ok(Some(fact)) => {
                    told.facts += 1;
                    self.sessions.take(fact);
                }
                Ok(None) => *told.skipped.entry("tells of no address").or_default() += 1,
                Err(refusal) => {
                    told.reject(name, line, refusal.to_string());
                    kept = kept || rejects.keep(text)?;
                }
            }
        }
        if self.sessions.let_go() > self.let_go {
            self.let_go = self.sessions.let_go();
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Failure> {
        let imported = self.store.insert(self.sessions.drain())?;
        self.written.rows += imported.rows;
        self.written.repeated += imported.repeated;
        Ok(())
    }
}

impl Told {
    fn reject(&mut self, name: &str, line: u64, reason: String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(format!("{name}, line {line}: {reason}"));
        }
        *self.rejected.entry(reason).or_default() += 1;
    }

    fn tell(&self, name: &str, format: &str, as_json: bool) {
        let facts = self.facts;
        let skipped: u64 = self.skipped.values().sum();
        let rejected: u64 = self.rejected.values().sum();
        if as_json {
            let told = json!({
                "file": name,
                "format": format,
                "facts": facts,
                "skipped": skipped,
                "rejected": rejected,
            });
            println!("{told}");
        } else {
            println!(
                "{name}: read as {format}: {facts} facts, {skipped} skipped, {rejected} rejected"
            );
        }
        tell_reasons(&self.skipped, &self.rejected, &self.examples);
    }
}

/// The next line with its end, as far as it is not longer than any; false where there is none.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut limited = input.by_ref().take(LONGEST_LINE);
    let read = limited.read_until(b'\n', line)?;
    if read > 0 && limited.limit() == 0 && !line.ends_with(b"\n") {
        input.skip_until(b'\n')?;
    }
    Ok(read > 0)
}
