//! Why a key cannot be had.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

use crate::{KeyName, MasterId};

/// Why a key cannot be had.
#[derive(Debug, Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file, folder or program.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The master key's file is not the owner's alone.
    #[error(
        "the master key in {0} can be read or changed by others (mode {mode:04o}); a key others may have read is none: make a new one, or, if nobody did, run 'chmod 600 {0}'",
        path.display()
    )]
    Exposed {
        /// The master key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What was read is no key. What it is instead is not shown: it may be a secret.
    #[error(
        "{origin} is no master key: write 32 random bytes as 64 hexadecimal digits or as base64, on one line, and nothing else"
    )]
    NoKey {
        /// Where it came from.
        origin: String,
    },
    /// The command that should print the master key failed.
    #[error("the command '{program}' gave no master key: it ended with {status}")]
    CommandFailed {
        /// The program; its arguments are not shown, as they may be secret.
        program: String,
        /// How it ended.
        status: String,
    },
    /// The command that should print the master key did not end.
    #[error("the command '{program}' gave no master key within {limit:?} and was stopped")]
    CommandSlow {
        /// The program.
        program: String,
        /// How long it had.
        limit: Duration,
    },
    /// The command has no program.
    #[error("the command for the master key is empty: name a program and its arguments")]
    CommandEmpty,
    /// The ring's keys are wrapped by another master key.
    #[error(
        "{} is wrapped by the master key {wrapped}, and the one given is {given}; give the master key that the ring was made with or last changed to",
        path.display()
    )]
    WrongMaster {
        /// The key's file.
        path: PathBuf,
        /// The master key it names.
        wrapped: MasterId,
        /// The master key that was tried.
        given: MasterId,
    },
    /// A file in the place of another key's file.
    #[error(
        "{} holds the key '{found}': the file was renamed or swapped; put the right file back",
        path.display()
    )]
    Swapped {
        /// The file.
        path: PathBuf,
        /// Whose key it says it holds.
        found: KeyName,
    },
    /// A key's file that does not hold what was written.
    #[error("{} is damaged: {flaw}; restore it from a copy of the ring", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// The system gives no random bytes.
    #[error("the operating system gives no random bytes, so no key can be made")]
    NoRandomness,
    /// One key has sealed as much as it safely can.
    #[error(
        "a key has sealed 2^32 times, after which its random nonces might repeat; begin a new partition"
    )]
    WornOut,
    /// More than one sealed piece may hold.
    #[error("a piece of {bytes} bytes is more than one seal covers; seal it in smaller pieces")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
}

/// What is wrong with a key's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Flaw {
    /// Not a key's file, or of a later release.
    #[error("its first line is not 'portledger key 1', the one format this release reads")]
    Format,
    /// A line is missing, is another one, or is one too many.
    #[error("its lines are not those of a key's file")]
    Lines,
    /// The key's name is none.
    #[error("the name in it is none")]
    Name,
    /// The master key's id is none.
    #[error("the master key's id in it is none")]
    Master,
    /// The wrapped key is not 60 bytes of base64.
    #[error("the wrapped key in it is not 60 bytes as base64")]
    Wrapped,
    /// All is well formed, and the key does not open.
    #[error("the wrapped key in it is not the one that was written")]
    Unauthentic,
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>, action: &'static str, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            action,
            source,
        }
    }
}
