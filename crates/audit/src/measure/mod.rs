//! What is measured of a log that is there: its recent lines, the programs that read it, how long
//! it is kept, and whether a record is found again.

mod found;
mod newest;
mod readers;
mod rotation;
#[cfg(test)]
mod tests;

use portledger_servers::{Format, Options, Reader, Reading, Skip, Strip};
use serde::Serialize;

use self::newest::Newest;
pub use self::{found::Found, readers::LogReader, rotation::Rotation};
use crate::{Finding, Log, Machine, Rule};

/// What a log came to when it was looked into.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// Its newest lines; `None` where there are none to be read.
    pub recent: Option<Recent>,
    /// The programs that read it.
    pub readers: Vec<LogReader>,
    /// What rotates it.
    pub rotation: Option<Rotation>,
    /// A record that was found again.
    pub found: Option<Found>,
}

/// The newest lines of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Recent {
    /// How many were read.
    pub lines: u64,
    /// How many say who connected.
    pub sightings: u64,
    /// How many of these with the port.
    pub with_port: u64,
    /// How many could not be read.
    pub rejected: u64,
}

/// Recent lines, for readers to be tried on.
#[derive(Debug, Clone)]
struct Sample {
    lines: String,
    /// The same lines as they would be without the port, where the format has one.
    stripped: Option<String>,
    count: u64,
}

impl Measured {
    /// Whether the newest lines have the port and the programs that read the log understand them.
    pub fn is_manageable(&self) -> bool {
        let is_there = self
            .recent
            .as_ref()
            .is_some_and(|recent| recent.with_port > 0 && recent.with_port == recent.sightings);
        is_there
            && self
                .readers
                .iter()
                .all(|reader| reader.understands != Some(false))
    }

    /// Whether a record was found by endpoint and time.
    pub const fn is_accessible(&self) -> bool {
        self.found.is_some()
    }
}

/// How much of a log's end is read.
const RECENT: usize = 256 * 1024;

/// How many lines readers are tried on.
const SAMPLE: usize = 500;

/// Looks into a log of an instance that has all of these.
pub(crate) fn log(
    machine: &dyn Machine,
    log: &Log,
    all: &[Log],
    findings: &mut Vec<Finding>,
) -> Measured {
    if !log.is_file {
        return Measured::default();
    }
    let (recent, sample) = recent(machine, log, all).unzip();
    let readers = readers::of(machine, log, sample.as_ref());
    let rotation = rotation::of(machine, &log.path);
    let found = found::oldest(machine, log);
    differ(log, recent.as_ref(), findings);
    for reader in readers
        .iter()
        .filter(|reader| reader.understands == Some(false))
    {
        let LogReader { name, why, .. } = reader;
        findings.push(Finding::new(
            Rule::ReaderBreaks,
            format!(
                "{}: {name} reads it and does not understand it: {why}",
                log.path
            ),
        ));
    }
    findings.push(Finding::new(
        Rule::Retention,
        match &rotation {
            None => format!(
                "{}: nothing rotates it: it grows, and nothing is ever deleted",
                log.path
            ),
            Some(rotation) => match rotation.reaches_back() {
                Some(days) => format!(
                    "{}: kept for about {days} days ({})",
                    log.path, rotation.config
                ),
                None => format!(
                    "{}: how long it is kept depends on its size ({})",
                    log.path, rotation.config
                ),
            },
        },
    ));
    Measured {
        recent,
        readers,
        rotation,
        found,
    }
}

/// Whether the newest lines keep what the configuration promises.
fn differ(log: &Log, recent: Option<&Recent>, findings: &mut Vec<Finding>) {
    let Some(recent) = recent else { return };
    let Recent {
        lines,
        sightings,
        with_port,
        rejected,
    } = recent;
    if log.records.source_port && sightings > with_port {
        findings.push(Finding::new(
            Rule::LinesDiffer,
            format!(
                "{}: by the configuration every line has the port; of {sightings} recent ones {with_port} do: was the server reloaded?",
                log.path
            ),
        ));
    } else if *rejected > 0 {
        findings.push(Finding::new(
            Rule::LinesDiffer,
            format!(
                "{}: {rejected} of {lines} recent lines are not of the format that the configuration has now",
                log.path
            ),
        ));
    }
}

fn options(machine: &dyn Machine, file: &str) -> Options {
    let mut options = Options::new(file);
    options.reference = machine.modified(file);
    options
}

/// The other formats in which this file is written: HAProxy's frontends may differ in theirs and
/// share a file, and so may virtual hosts.
fn fellows(log: &Log, all: &[Log]) -> Vec<Format> {
    let others = all
        .iter()
        .filter(|other| other.is_file && other.path == log.path && other.format != log.format);
    let mut names: Vec<&str> = others.filter_map(|other| other.format.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .iter()
        .filter_map(|name| Format::parse(name).ok())
        .collect()
}

/// What the newest lines come to, and a sample of them. A line that only another format of the same
/// file can read is that one's.
fn recent(machine: &dyn Machine, log: &Log, all: &[Log]) -> Option<(Recent, Sample)> {
    let format = Format::parse(log.format.as_deref()?).ok()?;
    let newest = Newest::of(machine, &log.path, RECENT)?;
    let strip = Strip::new(&format).ok();
    let options = options(machine, &log.path);
    let mut reader = newest.reader(&format, &options);
    let mut others: Vec<Reader> = fellows(log, all)
        .iter()
        .map(|format| newest.reader(format, &options))
        .collect();
    let mut recent = Recent::default();
    for (line, number) in newest.lines().zip(1..) {
        let reading = reader.line(line, number);
        // Each reads every line: some know by earlier ones.
        let mut is_others = false;
        for other in &mut others {
            is_others |= !matches!(other.line(line, number), Reading::Rejected(_));
        }
        match reading {
            Reading::Sighting(sighting) => {
                recent.sightings += 1;
                recent.with_port += u64::from(sighting.port.is_some());
            }
            Reading::Skipped(Skip::Blank) => continue,
            Reading::Skipped(_) => {}
            Reading::Rejected(_) if is_others => continue,
            Reading::Rejected(_) => recent.rejected += 1,
        }
        recent.lines += 1;
    }
    let sampled: Vec<&[u8]> = newest.lines().filter(|line| !line.is_empty()).collect();
    let sampled = sampled.get(sampled.len().saturating_sub(SAMPLE)..)?;
    let sample = Sample {
        lines: String::from_utf8_lossy(&[sampled.join(&b'\n').as_slice(), b"\n"].concat())
            .into_owned(),
        stripped: strip.map(|strip| without_port(&strip, sampled)),
        count: sampled.len() as u64,
    };
    (recent.lines > 0).then_some((recent, sample))
}

/// The lines as the server would write them without the port.
fn without_port(strip: &Strip, lines: &[&[u8]]) -> String {
    let mut stripped = Vec::new();
    for line in lines {
        strip.line(&[line, b"\n".as_slice()].concat(), &mut stripped);
    }
    String::from_utf8_lossy(&stripped).into_owned()
}
