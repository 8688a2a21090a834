//! Why a store cannot do what it was asked to.

use std::{fmt, io, path::PathBuf};

use thiserror::Error;

use crate::{location::Location, path::StorePath};

/// Why a store cannot do what it was asked to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of that name is there already.
    #[error(
        "{spot} exists already, and a stored file is never replaced; use another name, or delete it first if it may go"
    )]
    Exists {
        /// The file.
        spot: Spot,
    },
    /// No file of that name is there.
    #[error("{spot} is not there")]
    NotFound {
        /// The file.
        spot: Spot,
    },
    /// The store itself is not there.
    #[error("{location} is not there or not a {kind}; create it, or correct the name")]
    NoStore {
        /// Where it should be.
        location: Location,
        /// `folder` or `bucket`.
        kind: &'static str,
    },
    /// The environment holds no credentials for the store.
    #[error(
        "{location} needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment (files below ~/.aws are not read)"
    )]
    Credentials {
        /// The store.
        location: Location,
    },
    /// A setting in the environment cannot be used. Its value is not shown: it may be a secret.
    #[error("the environment variable {variable} cannot be used for {location}: {flaw}")]
    Setting {
        /// The store.
        location: Location,
        /// Its name.
        variable: String,
        /// What is wrong with it, and what to write instead.
        flaw: &'static str,
    },
    /// The settings in the environment cannot be used together, or one of them not at all.
    #[error(
        "the AWS_… variables in the environment cannot be used for {location}: {reason}; correct them"
    )]
    Settings {
        /// The store.
        location: Location,
        /// What is wrong with them.
        reason: Reason,
    },
    /// The store knows who asks, or does not, and says no.
    #[error(
        "cannot {action} {spot}: the store does not allow it ({reason}); check the credentials and what they may do there"
    )]
    Refused {
        /// The file or store.
        spot: Spot,
        /// What was tried.
        action: Action,
        /// What the store says.
        reason: Reason,
    },
    /// The store could not be reached, however often it was tried.
    #[error(
        "cannot {action} {spot}: the store is out of reach ({reason}); check the network, AWS_ENDPOINT_URL and AWS_REGION, then try again"
    )]
    Unreachable {
        /// The file or store.
        spot: Spot,
        /// What was tried.
        action: Action,
        /// What went wrong on the way.
        reason: Reason,
    },
    /// The store answered with a failure, or with something that is no answer.
    #[error(
        "cannot {action} {spot}: {reason}; the store may be out of order, or speak a protocol that is not quite S3"
    )]
    Answer {
        /// The file or store.
        spot: Spot,
        /// What was tried.
        action: Action,
        /// What the store says, or what is wrong with it.
        reason: Reason,
    },
    /// The file is larger than one read into memory may be.
    #[error("{spot} is larger than {limit} bytes, the most that is read into memory at once")]
    TooLarge {
        /// The file.
        spot: Spot,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// The file is no longer the one that was opened: someone replaced it behind the ledger's back.
    #[error(
        "{spot} was replaced while it was read; a sealed file never changes, so find out who did it"
    )]
    Changed {
        /// The file.
        spot: Spot,
    },
    /// The operating system refused.
    #[error("cannot {action} {spot}: {source}")]
    Io {
        /// The file or store.
        spot: Spot,
        /// What was tried.
        action: Action,
        /// What the system says.
        source: io::Error,
    },
    /// The file that was to be stored cannot be read.
    #[error("cannot read {} to store it as {spot}: {source}", file.display())]
    Source {
        /// Under which name it was to be stored.
        spot: Spot,
        /// The file on this machine.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The threads that speak with a remote store could not be started.
    #[error("cannot start the threads that speak with {location}: {source}")]
    Threads {
        /// The store.
        location: Location,
        /// What the system says.
        source: io::Error,
    },
}

/// A store, or a file in it, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The store.
    pub location: Location,
    /// The file, or the folder in the store; `None` for all of it.
    pub path: Option<StorePath>,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}/{path}", self.location),
            None => self.location.fmt(f),
        }
    }
}

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Store a new file.
    Write,
    /// Read a file, or part of it.
    Read,
    /// List files.
    List,
    /// Delete files.
    Delete,
    /// Open the store, or make its folder.
    Open,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Open => "open",
        })
    }
}

/// What a server said, or a library of it: one line, and not longer than a person reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// The longest that is kept, in characters.
    const MAX: usize = 400;

    /// Shortens `text` and leaves out what would disturb a terminal or a log: it comes from outside.
    pub(crate) fn new(text: impl fmt::Display) -> Self {
        let text = text.to_string();
        let words: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty())
            .collect();
        let line = words.join(" ");
        let mut short: String = line.chars().take(Self::MAX).collect();
        if short.len() < line.len() {
            short.push('…');
        }
        Self(short)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// So that a [`ReadAt`](crate::ReadAt) can say it: the error is kept inside, and its kind outside.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::NotFound { .. } | Error::NoStore { .. } => io::ErrorKind::NotFound,
            Error::Exists { .. } => io::ErrorKind::AlreadyExists,
            Error::Refused { .. } | Error::Credentials { .. } => io::ErrorKind::PermissionDenied,
            Error::Unreachable { .. } => io::ErrorKind::HostUnreachable,
            Error::Answer { .. } | Error::Changed { .. } => io::ErrorKind::InvalidData,
            Error::Io { source, .. } | Error::Source { source, .. } => source.kind(),
            Error::Setting { .. } | Error::Settings { .. } => io::ErrorKind::InvalidInput,
            Error::TooLarge { .. } | Error::Threads { .. } => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_stays_on_one_short_line() {
        let reason = Reason::new(format!("<Error>\r\n\x1b[31m  no{}", "x".repeat(1000)));
        let text = reason.to_string();
        assert!(text.starts_with("<Error> [31m no"));
        assert!(text.chars().count() <= Reason::MAX + 1);
        assert!(!text.contains(char::is_control));
    }

    #[test]
    fn a_message_names_the_store_and_the_file_and_what_to_do() {
        let error = Error::Exists {
            spot: Spot {
                location: "s3://bucket/cgn1".parse().unwrap(),
                path: Some("2026-11-01/main.parquet".parse().unwrap()),
            },
        };
        assert_eq!(
            error.to_string(),
            "s3://bucket/cgn1/2026-11-01/main.parquet exists already, and a stored file is never \
             replaced; use another name, or delete it first if it may go"
        );
    }
}
