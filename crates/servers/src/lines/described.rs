//! Formats that a server's own format string describes, beside those of web servers.

use std::sync::Arc;

use super::{Lines, database::postgresql_prefix::Prefixed, ftp};
use crate::{FormatError, Options, Recorded, pattern::Pattern, reader::Outcome};

/// What a server's format string makes of a line. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Described {
    Postgresql(Arc<Prefixed>),
    Pattern(Arc<Pattern>),
}

/// The format of a server's format string; `None` where the server is not one of these.
pub(crate) fn described(server: &str, text: &str) -> Option<Result<Described, FormatError>> {
    match server {
        "postgresql" => Some(Prefixed::compile(text).map(|it| Described::Postgresql(it.into()))),
        "proftpd" => Some(ftp::proftpd::compile(text).map(|it| Described::Pattern(it.into()))),
        _ => None,
    }
}

impl Described {
    /// Whether lines can carry the port of the address they carry.
    pub(crate) fn has_port(&self) -> bool {
        match self {
            Self::Postgresql(prefixed) => prefixed.has_port(),
            Self::Pattern(pattern) => pattern.has_port(),
        }
    }

    /// What every line says; `None` where that depends on the server's settings.
    pub(crate) fn recorded(&self) -> Option<Recorded> {
        match self {
            Self::Postgresql(_) => None,
            Self::Pattern(pattern) => Some(pattern.recorded()),
        }
    }

    /// A reader for one log.
    pub(crate) fn start(&self) -> Box<dyn Lines> {
        match self {
            Self::Postgresql(prefixed) => Box::new(Prefixed::clone(prefixed)),
            Self::Pattern(pattern) => Box::new(OfPattern(Arc::clone(pattern))),
        }
    }
}

#[derive(Debug)]
struct OfPattern(Arc<Pattern>);

impl Lines for OfPattern {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        self.0.read(line, number, options).map(Ok)
    }
}
