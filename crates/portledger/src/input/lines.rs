//! The lines of a file, read by large blocks and never copied one by one.

use std::{
    fs::File,
    io::{self, Cursor, ErrorKind, Read},
    path::Path,
    time::SystemTime,
};

use portledger_model::Timestamp;

use super::{
    packed::{Bytes, WrittenBy, unpacked},
    progress::Progress,
    unusable,
};
use crate::{failure::Failure, questions::now};

/// How much is read at a time.
const BLOCK: usize = 1 << 18;

/// No log has a longer line; one that is longer is given in parts.
const LONGEST: usize = 1 << 20;

/// The lines of a log, of any bytes.
pub(crate) struct Lines<'a> {
    pub(crate) path: &'a Path,
    input: Bytes,
    buffer: Vec<u8>,
    /// What of the buffer was read and not yet given.
    begin: usize,
    end: usize,
    /// The rest of a line that is too long comes next.
    is_in_long_line: bool,
    is_over: bool,
    is_packed: bool,
    broken: Option<io::Error>,
    written: WrittenBy,
    /// When the file was written last, where that is known.
    file_written: Option<Timestamp>,
    /// When it was read last: nothing in it is younger.
    read_at: Timestamp,
}

/// A line with its end, or a part of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) part: Part,
    /// When it had been written.
    pub(crate) written_by: Timestamp,
}

/// How much of a line is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// There is more of it: it is too long, or the file breaks off in it.
    Begin,
    /// What comes after a [`Part::Begin`], once or several times.
    Rest,
}

impl<'a> Lines<'a> {
    /// The lines of a file, or of standard input.
    pub(crate) fn open(path: &'a Path, progress: &Progress) -> Result<Self, Failure> {
        let (bytes, written) = open(path).map_err(|error| unusable(path, "read", &error))?;
        Self::of(path, progress.of(bytes), written)
    }

    /// The lines of bytes that were in a file which was written at that time.
    pub(super) fn of(
        path: &'a Path,
        bytes: Bytes,
        file_written: Option<Timestamp>,
    ) -> Result<Self, Failure> {
        let written = WrittenBy::default();
        let (input, is_packed) =
            unpacked(bytes, &written).map_err(|error| unusable(path, "read", &error))?;
        Ok(Self {
            path,
            input,
            buffer: vec![0; BLOCK],
            begin: 0,
            end: 0,
            is_in_long_line: false,
            is_over: false,
            is_packed,
            broken: None,
            written,
            file_written,
            read_at: now(),
        })
    }

    /// Whether it is a capture and has no lines. Asked first.
    pub(crate) fn is_capture(&mut self) -> Result<bool, Failure> {
        while self.ahead().len() < 4 && !self.is_over {
            self.fill()?;
        }
        Ok(is_capture(self.ahead()))
    }

    /// The bytes that are still to be read.
    pub(crate) fn into_bytes(mut self) -> Bytes {
        self.buffer.truncate(self.end);
        self.buffer.drain(..self.begin);
        // What broke here is told by whoever reads the rest.
        let broken = self.broken.map(Broken);
        match broken {
            Some(broken) => Box::new(Cursor::new(self.buffer).chain(broken)),
            None => Box::new(Cursor::new(self.buffer).chain(self.input)),
        }
    }

    /// The next line.
    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>, Failure> {
        let mut scanned = 0;
        loop {
            let ahead = self.ahead();
            let found = memchr::memchr(b'\n', ahead.get(scanned..).unwrap_or_default());
            let length = found.map_or(ahead.len(), |at| scanned + at + 1);
            if self.is_in_long_line && length > 0 {
                self.is_in_long_line = found.is_none();
                return Ok(Some(self.take(length, Part::Rest)));
            }
            if found.is_some() {
                return Ok(Some(self.take(length, Part::Whole)));
            }
            if length >= LONGEST {
                self.is_in_long_line = true;
                return Ok(Some(self.take(length, Part::Begin)));
            }
            if self.is_over {
                let part = match self.broken {
                    Some(_) => Part::Begin,
                    None => Part::Whole,
                };
                return Ok((length > 0).then(|| self.take(length, part)));
            }
            scanned = length;
            self.fill()?;
        }
    }

    /// Whether the next line is there and need not be waited for.
    pub(crate) fn is_ready(&self) -> bool {
        memchr::memchr(b'\n', self.ahead()).is_some()
    }

    /// The next lines, at most so many, which stay to be read.
    pub(crate) fn look_ahead(&mut self, lines: usize) -> Result<Vec<Vec<u8>>, Failure> {
        loop {
            let ends = memchr::memchr_iter(b'\n', self.ahead());
            let enough = ends.take(lines).count() == lines || self.ahead().len() >= LONGEST;
            if enough || self.is_over {
                break;
            }
            self.fill()?;
        }
        let ahead = self.ahead().split_inclusive(|byte| *byte == b'\n');
        Ok(ahead.take(lines).map(<[u8]>::to_vec).collect())
    }

    /// Where a packed file broke off or is damaged. What came before was given.
    pub(crate) fn broken(&self) -> Option<String> {
        let error = self.broken.as_ref()?;
        Some(format!(
            "{}: it is cut short or damaged ({error}); what stands before that was read",
            self.path.display()
        ))
    }

    fn ahead(&self) -> &[u8] {
        self.buffer.get(self.begin..self.end).unwrap_or_default()
    }

    fn take(&mut self, length: usize, part: Part) -> Line<'_> {
        let begin = self.begin;
        self.begin += length;
        // Bytes of one time only are read at once.
        let written = self.written.get().or(self.file_written);
        let written_by = written.map_or(self.read_at, |time| time.min(self.read_at));
        Line {
            bytes: self.buffer.get(begin..self.begin).unwrap_or_default(),
            part,
            written_by,
        }
    }

    /// Reads some more.
    fn fill(&mut self) -> Result<(), Failure> {
        self.buffer.copy_within(self.begin..self.end, 0);
        (self.begin, self.end) = (0, self.end - self.begin);
        if self.end == self.buffer.len() {
            self.buffer.resize(self.end + BLOCK, 0);
        }
        loop {
            match self.input.read(self.buffer.split_at_mut(self.end).1) {
                Ok(read) => {
                    self.read_at = now();
                    self.end += read;
                    self.is_over = read == 0;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if self.is_packed => {
                    self.broken = Some(error);
                    self.is_over = true;
                    return Ok(());
                }
                Err(error) => return Err(unusable(self.path, "read", &error)),
            }
        }
    }
}

/// Bytes that end in an error.
struct Broken(io::Error);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(self.0.kind(), self.0.to_string()))
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

/// The bytes of a file or of standard input, and when the file was written last.
pub(super) fn open(path: &Path) -> io::Result<(Bytes, Option<Timestamp>)> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let file = File::open(path)?;
    let written = written(&file)?;
    Ok((Box::new(file), written))
}

/// When a file was written last; nothing of a pipe.
pub(super) fn written(file: &File) -> io::Result<Option<Timestamp>> {
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Ok(None);
    }
    let since = facts.modified()?.duration_since(SystemTime::UNIX_EPOCH);
    Ok(Some(Timestamp::EPOCH.after(since.unwrap_or_default())))
}
