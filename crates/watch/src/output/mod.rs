//! Where the log goes.

mod files;
mod syslog;

use std::{io, path::PathBuf};

use portledger_model::Timestamp;
use portledger_servers::connection_log::{Entry, LeftOut, Watched, Why};
use serde::Serialize;
use thiserror::Error;

pub use files::{Files, Rotation};
pub use syslog::{Syslog, Target};

/// Why the log cannot be written.
#[derive(Debug, Error)]
pub enum OutputError {
    /// A file.
    #[error("{path}: cannot {what}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        error: io::Error,
    },
    /// The system's logger, or another host's.
    #[error("syslog at {target}: {error}")]
    Syslog {
        /// Where.
        target: String,
        /// Why not.
        error: io::Error,
    },
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Written {
    /// Lines, marks included.
    pub lines: u64,
    /// Connections that could not be written.
    pub unwritten: u64,
    /// How often a file ended and another began.
    pub rotated: u64,
}

/// What this machine calls itself.
pub fn host_name() -> String {
    let names = rustix::system::uname();
    names.nodename().to_string_lossy().into_owned()
}

/// A place for the log. What cannot be written is counted and said in the log as soon as that can
/// be written again.
pub trait Output {
    /// Takes an entry; it may wait for [`Output::flush`].
    fn write(&mut self, entry: &Entry);

    /// Writes what waits.
    ///
    /// # Errors
    /// Where that is not possible. What waited is then counted as left out.
    fn flush(&mut self) -> Result<(), OutputError>;

    /// Ends the file where its size or age asks for it, and begins another. All that began before
    /// `complete` is written.
    ///
    /// # Errors
    /// Where the next file cannot be made.
    fn rotate(&mut self, complete: Timestamp, watched: &Watched) -> Result<(), OutputError>;

    /// The same where somebody else has renamed the file.
    ///
    /// # Errors
    /// Where the next file cannot be made.
    fn reopen(&mut self, complete: Timestamp, watched: &Watched) -> Result<(), OutputError>;

    /// The figures.
    fn written(&self) -> Written;
}

/// Connections that could not be written, until that can be said.
#[derive(Debug, Default)]
struct Unwritten(Option<LeftOut>);

impl Unwritten {
    /// An entry could not be written. What it said was left out, is.
    fn add(&mut self, entry: Lost) {
        let left = self.0.get_or_insert(LeftOut {
            from: entry.from,
            to: entry.to,
            connections: 0,
            source: None,
            why: Why::Unwritten,
        });
        left.from = left.from.min(entry.from);
        left.to = left.to.max(entry.to);
        left.connections += entry.connections;
    }
}

/// What a buffer or a message holds, in case it is lost.
#[derive(Debug, Clone, Copy)]
struct Lost {
    from: Timestamp,
    to: Timestamp,
    connections: u64,
}

impl Lost {
    fn of(entry: &Entry) -> Self {
        use portledger_servers::connection_log::Says;

        let (from, to, connections) = match entry {
            Entry::Connection(record) => (record.at, record.at, 1),
            Entry::Mark(mark) => match mark.says {
                Says::LeftOut(left) => (left.from, left.to, left.connections),
                _ => (mark.at, mark.at, 0),
            },
        };
        Self {
            from,
            to,
            connections,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            from: self.from.min(other.from),
            to: self.to.max(other.to),
            connections: self.connections + other.connections,
        }
    }
}
