//! What can go wrong around a test.

use std::path::PathBuf;
use std::time::Duration;

/// Why a test could not go on. Shown whole by a failing test, so it carries what the programs said.
#[derive(thiserror::Error)]
pub enum Failure {
    /// A program or right the test needs is not there, and `PORTLEDGER_E2E=1` forbids skipping.
    #[error("missing: {0}; run `cargo xtask test`, which installs what the tests need")]
    Missing(String),
    /// A program could not be started.
    #[error("cannot start {command}: {source}")]
    Start {
        /// The command line.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program ended otherwise than expected.
    #[error("{command}: {outcome}\n--- standard output\n{stdout}\n--- standard error\n{stderr}")]
    Ended {
        /// The command line.
        command: String,
        /// Its exit status, or that its time was up.
        outcome: String,
        /// What it wrote to standard output.
        stdout: String,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// Something did not come about in time.
    #[error("waited {waited:?} for {what}\n--- log\n{log}")]
    NotReady {
        /// What was waited for.
        what: String,
        /// For how long.
        waited: Duration,
        /// What the program in question wrote.
        log: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program's output or log does not have the expected form.
    #[error("{what}: unexpected {text:?}")]
    Unexpected {
        /// What was read.
        what: String,
        /// The text that could not be understood.
        text: String,
    },
}

/// A test that returns an error prints its `Debug`: a person reads it.
impl std::fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{self}")
    }
}
