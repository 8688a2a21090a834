//! What is measured of a log that is there: its recent lines, the programs that read it, how long
//! it is kept, and whether a record is found again.

use portledger_model::Sighting;
use portledger_servers::{Format, Options, Reader, Reading};
use serde::Serialize;

use crate::{Finding, Log, Machine, Rule};

/// What a log came to when it was looked into.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// Its newest lines; `None` where there are none to be read.
    pub recent: Option<Recent>,
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

impl Measured {
    /// Whether the programs that read the log still can.
    pub const fn is_manageable(&self) -> bool {
        match &self.recent {
            Some(recent) => recent.with_port > 0 && recent.rejected == 0,
            None => false,
        }
    }

    /// Whether a record was found by endpoint and time.
    pub const fn is_accessible(&self) -> bool {
        false
    }
}

/// How much of a log's end is read.
const RECENT: usize = 256 * 1024;

/// Looks into a log.
pub(crate) fn log(machine: &dyn Machine, log: &Log, findings: &mut Vec<Finding>) -> Measured {
    let recent = recent(machine, log);
    if let Some((recent, _)) = &recent
        && log.records.source_port
        && recent.sightings > recent.with_port
    {
        let Recent {
            sightings,
            with_port,
            ..
        } = recent;
        findings.push(Finding::new(
            Rule::LinesDiffer,
            format!(
                "{}: by the configuration every line has the port; of {sightings} recent ones {with_port} do: was the server reloaded?",
                log.path
            ),
        ));
    }
    Measured {
        recent: recent.map(|(recent, _)| recent),
    }
}

/// The newest lines, and the last sighting in them.
fn recent(machine: &dyn Machine, log: &Log) -> Option<(Recent, Option<Sighting>)> {
    if !log.is_file {
        return None;
    }
    let format = Format::parse(log.format.as_deref()?).ok()?;
    let bytes = machine.newest(&log.path, RECENT).ok()?;
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    if bytes.len() == RECENT {
        // The first is the end of a longer one.
        lines.remove(0);
    }
    let mut options = Options::new(log.path.clone());
    options.reference = machine.modified(&log.path);
    let mut reader = Reader::new(format, options);
    let mut recent = Recent::default();
    let mut last = None;
    for (line, number) in lines.into_iter().zip(1..) {
        match reader.line(line, number) {
            Reading::Sighting(sighting) => {
                recent.sightings += 1;
                recent.with_port += u64::from(sighting.port.is_some());
                last = Some(sighting);
            }
            Reading::Skipped(portledger_servers::Skip::Blank) => continue,
            Reading::Skipped(_) => {}
            Reading::Rejected(_) => recent.rejected += 1,
        }
        recent.lines += 1;
    }
    (recent.lines > 0).then_some((recent, last))
}
