//! How a command ends.

use std::{fmt, process::ExitCode};

/// Why a command failed: one message for a person, and the exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    status: u8,
}

/// Exit statuses of the design: 0 a unique answer or success, 3 ambiguous, 4 none, 5 unknown.
const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;

impl Failure {
    /// Whoever called can mend the call.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            status: WRONG_USAGE,
        }
    }

    /// It is nobody's fault here.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            status: FAILED,
        }
    }

    pub(crate) const fn status(&self) -> u8 {
        self.status
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        Self {
            message,
            status: FAILED,
        }
    }
}

/// What a command ends with.
pub(crate) type Ended = Result<ExitCode, Failure>;
