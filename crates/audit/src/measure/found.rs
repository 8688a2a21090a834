//! Whether a record is found again by endpoint and time, as a desk would look for it.

use portledger_model::Sighting;
use portledger_servers::{Format, Reading};
use serde::Serialize;

use super::{
    newest::{FURTHER, Newest},
    options,
};
use crate::{Log, Machine};

/// A record that was looked for. Its endpoint is a person's and stays unsaid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The file in which the oldest record was taken.
    pub file: String,
    /// When that record is of, as text.
    pub at: String,
    /// How many lines have its endpoint at its time: at least one, or it was not found.
    pub lines: u64,
}

/// Takes the oldest record there is in the log and the one before it, uncompressed ones, and looks
/// for it in both.
pub(super) fn oldest(machine: &dyn Machine, log: &Log) -> Option<Found> {
    let format = Format::parse(log.format.as_deref()?).ok()?;
    let files = [format!("{}.1", log.path), log.path.clone()];
    let texts: Vec<(&String, Newest)> = files
        .iter()
        .filter_map(|file| Some((file, Newest::of(machine, file, FURTHER)?)))
        .collect();
    let is_whole = |sighting: &Sighting| sighting.port.is_some() && sighting.at.is_some();
    let (file, wanted) = texts.iter().find_map(|(file, text)| {
        let mut all = sightings(machine, &format, file, text);
        Some((*file, all.find(is_whole)?))
    })?;
    let is_it = |sighting: &Sighting| {
        (sighting.address, sighting.port, sighting.at) == (wanted.address, wanted.port, wanted.at)
    };
    let found = texts
        .iter()
        .map(|(file, text)| {
            sightings(machine, &format, file, text)
                .filter(is_it)
                .count() as u64
        })
        .sum();
    (found > 0).then(|| Found {
        file: file.clone(),
        at: wanted.at.map_or_else(String::new, |at| at.to_string()),
        lines: found,
    })
}

fn sightings<'a>(
    machine: &dyn Machine,
    format: &Format,
    file: &str,
    text: &'a Newest,
) -> impl Iterator<Item = Sighting> + 'a {
    let mut reader = text.reader(format, &options(machine, file));
    text.lines()
        .zip(1..)
        .filter_map(move |(line, number)| match reader.line(line, number) {
            Reading::Sighting(sighting) => Some(sighting),
            Reading::Skipped(_) | Reading::Rejected(_) => None,
        })
}
