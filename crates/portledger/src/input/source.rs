//! A file to be read, once or several times, and what it is.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom},
    path::Path,
};

use portledger_servers::{Format, GuessError, guess};

use super::{Passes, definition, progress::Progress, unusable};
use crate::{args::Reading, failure::Failure};

/// How many lines a format is guessed from.
const GUESSED_FROM: usize = 50;

/// How much of what is read at a time.
const BUFFER: usize = 1 << 16;

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
}

/// A source from its beginning.
pub(super) enum Stream<'a> {
    Capture {
        path: &'a Path,
        bytes: BufReader<Box<dyn Read>>,
    },
    Log {
        lines: Lines<'a>,
        format: Format,
    },
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
        let bytes = match &again {
            Some(again) => again.rewound(path)?,
            None => open(path)?,
        };
        let mut lines = Lines::of(path, progress.of(bytes));
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
            (None, Some(again)) => {
                let bytes = again.rewound(self.path)?;
                Lines::of(self.path, progress.of(bytes))
            }
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
            let file = File::open(path).map_err(|error| unusable(path, "read", &error))?;
            let facts = file.metadata();
            let facts = facts.map_err(|error| unusable(path, "read", &error))?;
            if facts.is_file() {
                let length = facts.len();
                return Ok(Self { file, length });
            }
        }
        let set_aside = || {
            let mut file = tempfile::tempfile()?;
            let length = io::copy(&mut open_plainly(path)?, &mut file)?;
            Ok(Self { file, length })
        };
        set_aside().map_err(|error: io::Error| {
            Failure::failed(format!(
                "{}: it has to be read more than once, and could not be put aside for that: {error}; give the log as a file, or set TMPDIR to a folder with room for it",
                path.display()
            ))
        })
    }

    fn rewound(&self, path: &Path) -> Result<Box<dyn Read>, Failure> {
        let begin = || {
            let mut file = self.file.try_clone()?;
            file.seek(SeekFrom::Start(0))?;
            Ok(Box::new(file.take(self.length)) as Box<dyn Read>)
        };
        begin().map_err(|error| unusable(path, "read", &error))
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

/// The lines of a log, of any bytes, with their ends.
pub(crate) struct Lines<'a> {
    pub(crate) path: &'a Path,
    input: BufReader<Box<dyn Read>>,
    /// Lines read already to guess from.
    ahead: VecDeque<Vec<u8>>,
}

impl<'a> Lines<'a> {
    /// The lines of a file, or of standard input.
    pub(crate) fn open(path: &'a Path, progress: &Progress) -> Result<Self, Failure> {
        Ok(Self::of(path, progress.of(open(path)?)))
    }

    fn of(path: &'a Path, bytes: Box<dyn Read>) -> Self {
        Self {
            path,
            input: BufReader::with_capacity(BUFFER, bytes),
            ahead: VecDeque::new(),
        }
    }

    /// Whether it is a capture and has no lines. Asked first.
    pub(crate) fn is_capture(&mut self) -> Result<bool, Failure> {
        let begin = self.input.fill_buf();
        let begin = begin.map_err(|error| unusable(self.path, "read", &error))?;
        Ok(is_capture(begin))
    }

    /// The bytes that are still to be read.
    pub(crate) fn into_bytes(self) -> BufReader<Box<dyn Read>> {
        self.input
    }

    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(Some(line));
        }
        let mut line = Vec::new();
        let read = self.input.read_until(b'\n', &mut line);
        let read = read.map_err(|error| unusable(self.path, "read", &error))?;
        Ok((read > 0).then_some(line))
    }

    /// The next lines, at most so many, which stay to be read.
    pub(crate) fn look_ahead(&mut self, lines: usize) -> Result<Vec<Vec<u8>>, Failure> {
        let mut ahead = VecDeque::new();
        while ahead.len() < lines
            && let Some(line) = self.next()?
        {
            ahead.push_back(line);
        }
        self.ahead.clone_from(&ahead);
        Ok(ahead.into())
    }
}

/// The magic numbers of pcap, in both orders and both resolutions, and of pcapng.
fn is_capture(begin: &[u8]) -> bool {
    matches!(
        begin.first_chunk::<4>(),
        Some(
            [0xD4, 0xC3, 0xB2, 0xA1]
                | [0xA1, 0xB2, 0xC3, 0xD4]
                | [0x4D, 0x3C, 0xB2, 0xA1]
                | [0xA1, 0xB2, 0x3C, 0x4D]
                | [0x0A, 0x0D, 0x0D, 0x0A]
        )
    )
}

fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    open_plainly(path).map_err(|error| unusable(path, "read", &error))
}

fn open_plainly(path: &Path) -> io::Result<Box<dyn Read>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    Ok(Box::new(File::open(path)?))
}
