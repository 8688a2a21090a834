//! Why the store cannot do what it was asked to.

use std::{io, path::PathBuf};

use portledger_keys::KeyName;
use thiserror::Error;

use crate::HeaderError;

/// Why the store cannot do what it was asked to. No error repeats what a table or the store says
/// of anybody.
#[derive(Debug, Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Another process imports or forgets.
    #[error("{} is being changed by another process; try again when it is done", dir.display())]
    Locked {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The key ring fails.
    #[error(transparent)]
    Keys(#[from] portledger_keys::Error),
    /// The key ring has no key for a file.
    #[error(
        "the key ring has no key '{key}' for {}: give the ring that this store was made with; if the key was destroyed, the file is unreadable for good",
        file.display()
    )]
    NoKey {
        /// The file.
        file: PathBuf,
        /// The key's name.
        key: KeyName,
    },
    /// A folder without a manifest, and a ring that has keys of a store.
    #[error(
        "{} holds no identities, but the key ring has keys of some: the folder is not the store's, or its MANIFEST was lost; give the right folder, or restore it from a copy",
        dir.display()
    )]
    NoManifest {
        /// The folder.
        dir: PathBuf,
    },
    /// A file that does not hold what was written to it.
    #[error("{} is damaged: {flaw}; restore the file from a copy", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// The table cannot be read, so nothing of it was imported.
    #[error("cannot read the table of customers: {0}; nothing was imported")]
    Reading(#[source] io::Error),
    /// The table's first line does not say what its columns are, so nothing of it was imported.
    #[error("the table's first line is no header: {0}; nothing was imported")]
    Header(#[from] HeaderError),
    /// More chunks than an index can count.
    #[error("there are more identities than one file holds")]
    TooMany,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Flaw {
    /// Not the beginning of such a file.
    #[error("it does not begin as a file of identities does")]
    Header,
    /// Written by a later release.
    #[error("it is in format {0}, and this release reads format 1; use the release that wrote it")]
    Version(u32),
    /// The end is not there.
    #[error("its end is missing or changed")]
    End,
    /// The index is not the one that was written.
    #[error("its index does not open: a byte of it was changed, or the key is another file's")]
    Index,
    /// A chunk is not the one that was written.
    #[error("its chunk {0} does not open: a byte of it was changed")]
    Chunk(u64),
    /// It opens, and the content has no meaning.
    #[error("its content has no meaning: {0}")]
    Meaning(&'static str),
    /// The manifest is not the one that was written.
    #[error("a byte of it was changed, or the key ring is another store's")]
    Manifest,
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>, action: &'static str, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            action,
            source,
        }
    }

    pub(crate) fn damaged(file: impl Into<PathBuf>, flaw: Flaw) -> Self {
        Self::Damaged {
            file: file.into(),
            flaw,
        }
    }
}
