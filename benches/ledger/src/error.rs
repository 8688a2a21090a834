//! What can go wrong in a run.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// Why a run cannot go on.
#[derive(Debug, Error)]
pub enum Error {
    /// A file or folder.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another program that an engine needs.
    #[error("{program} failed: {said}")]
    Program {
        /// Its name.
        program: String,
        /// What it said last.
        said: String,
    },
    /// PostgreSQL.
    #[error("PostgreSQL, {doing}: {source}")]
    Postgres {
        /// What was tried.
        doing: String,
        /// What it said.
        source: postgres::Error,
    },
    /// fjall.
    #[error("fjall: {0}")]
    Fjall(#[from] fjall::Error),
    /// Our segments.
    #[error("segments: {0}")]
    Segments(#[from] portledger_segments::Error),
    /// JSON between the parts of this program.
    #[error("cannot read or write JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// An engine answered something else than the others, or than what was generated.
    #[error("{engine}, {question}: {answered} is answered, {expected} is right")]
    Disagreement {
        /// Who.
        engine: String,
        /// Asked what.
        question: String,
        /// What came.
        answered: String,
        /// What had to come.
        expected: String,
    },
    /// Anything that is told by a sentence.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// For `map_err`: what was tried with which file.
    pub fn file(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    /// For `map_err`: what was tried with PostgreSQL.
    pub fn postgres(doing: impl Into<String>) -> impl FnOnce(postgres::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Postgres { doing, source }
    }
}
