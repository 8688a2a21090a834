//! Which log has which format, as the servers' own configuration says.
//!
//! The caller reads the files: an `include` is asked for through a closure, which gets what the
//! configuration names (globs included, relative to what the server says) and returns the files'
//! names and texts in the order in which the server would read them.

mod apache;
mod nginx;
pub mod nginx_syntax;

use std::{fmt, sync::Arc};

use thiserror::Error;

pub use self::{apache::apache, nginx::nginx};
use crate::{Format, FormatError};

/// Gives the files that an `include` names, as name and text, or why there are none.
pub type Include<'a> = &'a mut dyn FnMut(&str) -> Result<Vec<(String, String)>, String>;

/// What a configuration says of logs.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    /// The formats it defines, in order.
    pub formats: Vec<Definition>,
    /// The logs it writes, in order.
    pub logs: Vec<Log>,
}

/// A format that the configuration defines.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Its name there.
    pub name: String,
    /// The format string, without the configuration's quotes.
    pub text: String,
    /// Where.
    pub place: Place,
    /// What it comes to.
    pub format: Result<Format, FormatError>,
}

/// A log that the configuration writes.
#[derive(Debug, Clone)]
pub struct Log {
    /// The file, as the configuration names it.
    pub path: String,
    /// The format's name there, or the format string where it has no name.
    pub named: String,
    /// What the format comes to.
    pub format: Result<Format, FormatError>,
    /// Where it says so.
    pub place: Place,
    /// The parts of the configuration for which the log is written: where it is said, and the
    /// servers that inherit it.
    pub contexts: Vec<String>,
}

/// A line of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Why a configuration cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The text is not a configuration.
    #[error("{place}: {problem}")]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong there.
        problem: &'static str,
    },
    /// An include that the caller could not follow.
    #[error("{place}: cannot include '{name}': {reason}")]
    Include {
        /// Where.
        place: Place,
        /// What it names.
        name: String,
        /// What the caller says.
        reason: String,
    },
}

/// Why a configuration does not say what format a log has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LogError {
    /// No log of the configuration is this file.
    #[error("the configuration writes no log named '{path}'; it writes {known}")]
    Unknown {
        /// The file.
        path: String,
        /// The logs it writes.
        known: String,
    },
    /// Several logs of the configuration may be this file, and their formats differ.
    #[error(
        "'{path}' may be of several logs with different formats ({places}); choose with --format"
    )]
    Conflict {
        /// The file.
        path: String,
        /// Where the configuration says so.
        places: String,
    },
    /// The log's format cannot be read.
    #[error("{place}: the format '{named}' of '{path}': {reason}")]
    Format {
        /// Where the configuration says so.
        place: Place,
        /// The format's name.
        named: String,
        /// The file.
        path: String,
        /// Why.
        reason: FormatError,
    },
}

impl Definitions {
    /// The format of the log at `path`, which may be rotated (`access.log.2.gz`), or a copy: where
    /// no log has the path, the file's name decides.
    ///
    /// # Errors
    /// When no log or several with different formats may be it, or the format cannot be read.
    pub fn format_of(&self, path: &str) -> Result<&Format, LogError> {
        let by = |is: fn(&str, &str) -> bool| {
            let logs: Vec<&Log> = stems(path)
                .iter()
                .flat_map(|stem| self.logs.iter().filter(|log| is(&log.path, stem)))
                .collect();
            Some(logs).filter(|logs| !logs.is_empty())
        };
        let is_name = |log: &str, path: &str| file_name(log) == file_name(path);
        let logs = by(|log, path| log == path)
            .or_else(|| by(is_end))
            .or_else(|| by(is_name))
            .ok_or_else(|| self.unknown(path))?;
        let Some(log) = logs.first() else {
            return Err(self.unknown(path));
        };
        if logs
            .iter()
            .any(|other| !is_same(&other.format, &log.format))
        {
            let places: Vec<String> = logs.iter().map(|log| log.place.to_string()).collect();
            return Err(LogError::Conflict {
                path: path.to_owned(),
                places: places.join(", "),
            });
        }
        log.format.as_ref().map_err(|reason| LogError::Format {
            place: log.place.clone(),
            named: log.named.clone(),
            path: path.to_owned(),
            reason: reason.clone(),
        })
    }

    fn unknown(&self, path: &str) -> LogError {
        let mut known: Vec<&str> = self.logs.iter().map(|log| log.path.as_str()).collect();
        known.dedup();
        LogError::Unknown {
            path: path.to_owned(),
            known: match known.as_slice() {
                [] => "none".to_owned(),
                known => known.join(", "),
            },
        }
    }
}

fn is_same(one: &Result<Format, FormatError>, two: &Result<Format, FormatError>) -> bool {
    match (one, two) {
        (Ok(one), Ok(two)) => one.name() == two.name(),
        (Err(one), Err(two)) => one == two,
        _ => false,
    }
}

/// Whether `path` ends in what the configuration names: a name relative to the server's directory
/// (`logs/access.log`), or one after a variable (`${APACHE_LOG_DIR}/access.log`).
fn is_end(log: &str, path: &str) -> bool {
    let relative = match log.rsplit_once('}') {
        Some((_, rest)) => rest.trim_start_matches('/'),
        None if log.starts_with('/') => return false,
        None => log,
    };
    !relative.is_empty()
        && path
            .strip_suffix(relative)
            .is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The path, and what it was called before it was compressed and rotated.
fn stems(path: &str) -> Vec<&str> {
    let mut stems = vec![path];
    let mut stem = path;
    for ending in [".gz", ".xz", ".zst", ".bz2"] {
        stem = stem.strip_suffix(ending).unwrap_or(stem);
    }
    stems.push(stem);
    let is_rotation = |c: char| c.is_ascii_digit() || c == '-';
    let without = stem.trim_end_matches(is_rotation);
    let without = without.strip_suffix('.').unwrap_or(without);
    stems.push(without);
    stems.dedup();
    stems
}

fn undefined(name: &str) -> FormatError {
    FormatError::Undefined {
        name: name.to_owned(),
    }
}

/// How deep files may include files, and blocks hold blocks: more is a loop or no configuration.
const DEEPEST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// All that definitions say, for snapshots.
    pub(super) fn show(definitions: &Definitions) -> String {
        let said = |format: &Result<Format, FormatError>| match format {
            Ok(format) if format.has_port() => "with port".to_owned(),
            Ok(_) => "without port".to_owned(),
            Err(error) => error.to_string(),
        };
        let formats = definitions.formats.iter().map(|format| {
            let Definition {
                name, text, place, ..
            } = format;
            format!(
                "{place} format {name} = {text}\n    {}\n",
                said(&format.format)
            )
        });
        let logs = definitions.logs.iter().map(|log| {
            let Log {
                path, named, place, ..
            } = log;
            let contexts = log.contexts.join("; ");
            format!(
                "{place} log {path} = {named}\n    {}\n    in {contexts}\n",
                said(&log.format)
            )
        });
        formats.chain(logs).collect()
    }
}
