//! A file to be read, once or several times, and what it is.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use portledger_model::Timestamp;
use portledger_servers::{Format, GuessError, guess};

use super::{
    Passes, definition,
    lines::{self, Lines},
    packed::Bytes,
    progress::Progress,
    unusable,
};
use crate::{args::Reading, failure::Failure};

/// How many lines a format is guessed from.
const GUESSED_FROM: usize = 50;

/// An open file and what it is.
pub(super) struct Source<'a> {
    path: &'a Path,
    kind: Kind,
    /// The beginning, as it was read to find out what it is, with the rest behind it.
    begun: Option<Lines<'a>>,
    /// What is read the second time, where there is one.
    again: Option<Again>,
}

enum Kind {
    Capture,
    Log(Format),
    /// A log without a line, which may be of any format.
    Empty,
}

/// What can be read from its beginning any number of times, and always the same: not what was
/// written behind it meanwhile.
struct Again {
    file: File,
    length: u64,
    written: Option<Timestamp>,
}

/// A source from its beginning.
pub(super) enum Stream<'a> {
    Capture { path: &'a Path, bytes: Bytes },
    Log { lines: Lines<'a>, format: Format },
    Empty,
}

impl<'a> Source<'a> {
    /// Opens `path` and finds out what it is.
    pub(super) fn open(
        path: &'a Path,
        args: &Reading,
        passes: Passes,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        let again = match passes {
            Passes::One => None,
            Passes::Several => Some(Again::open(path)?),
        };
        let mut lines = match &again {
            Some(again) => again.lines(path, progress)?,
            None => Lines::open(path, progress)?,
        };
        let kind = if lines.is_capture()? {
            Kind::Capture
        } else {
            format(args, path, &mut lines)?.map_or(Kind::Empty, Kind::Log)
        };
        Ok(Self {
            path,
            kind,
            begun: Some(lines),
            again,
        })
    }

    /// The source from its beginning; nothing where it was read and can be read once only.
    pub(super) fn stream(&mut self, progress: &Progress) -> Result<Stream<'a>, Failure> {
        let lines = match (self.begun.take(), &self.again) {
            (Some(begun), _) => begun,
            (None, Some(again)) => again.lines(self.path, progress)?,
            (None, None) => return Ok(Stream::Empty),
        };
        Ok(match &self.kind {
            Kind::Capture => Stream::Capture {
                path: self.path,
                bytes: lines.into_bytes(),
            },
            Kind::Log(format) => Stream::Log {
                lines,
                format: format.clone(),
            },
            Kind::Empty => Stream::Empty,
        })
    }
}

impl Again {
    fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() != "-" {
            let opened = || {
                let file = File::open(path)?;
                let (length, written) = (file.metadata()?.len(), lines::written(&file)?);
                Ok((file, length, written))
            };
            let opened = opened().map_err(|error| unusable(path, "read", &error))?;
            if let (file, length, written @ Some(_)) = opened {
                return Ok(Self {
                    file,
                    length,
                    written,
                });
            }
        }
        let set_aside = || {
            let mut file = tempfile::tempfile()?;
            let (mut bytes, written) = lines::open(path)?;
            let length = io::copy(&mut bytes, &mut file)?;
            Ok(Self {
                file,
                length,
                written,
            })
        };
        set_aside().map_err(|error: io::Error| {
            Failure::failed(format!(
                "{}: it has to be read more than once, and could not be put aside for that: {error}; give the log as a file, or set TMPDIR to a folder with room for it",
                path.display()
            ))
        })
    }

    fn lines<'a>(&self, path: &'a Path, progress: &Progress) -> Result<Lines<'a>, Failure> {
        let begin = || {
            let mut file = self.file.try_clone()?;
            file.seek(SeekFrom::Start(0))?;
            Ok(file.take(self.length))
        };
        let bytes = begin().map_err(|error| unusable(path, "read", &error))?;
        Lines::of(path, progress.of(bytes), self.written)
    }
}

/// The format: as given, as the server's configuration says, or guessed, and the guess said.
/// `None` where there is nothing to guess from, and nothing to read.
fn format(args: &Reading, path: &Path, lines: &mut Lines<'_>) -> Result<Option<Format>, Failure> {
    if let Some(format) = &args.format {
        let format = Format::parse(format);
        return format
            .map(Some)
            .map_err(|error| Failure::usage(format!("--format: {error}")));
    }
    if let Some(config) = &args.config {
        return definition::format(config, path).map(Some);
    }
    let first = lines.look_ahead(GUESSED_FROM)?;
    let first: Vec<&[u8]> = first.iter().map(Vec::as_slice).collect();
    match guess(&first) {
        Ok(guessed) => {
            let (format, why) = (guessed.format, guessed.why);
            eprintln!("portledger: {}: read as {format}: {why}", path.display());
            Ok(Some(format))
        }
        Err(GuessError::Empty) => {
            eprintln!("portledger: {}: no lines", path.display());
            Ok(None)
        }
        Err(error) => Err(Failure::usage(format!("{}: {error}", path.display()))),
    }
}
