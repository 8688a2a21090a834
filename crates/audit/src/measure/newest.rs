//! The newest lines of a log, read as if those before them had been: what names the columns of a
//! table stands in its first lines, or between others.

use portledger_servers::{Format, Options, Reader, Reading, Skip};

use crate::Machine;

/// A file's end, and the lines before it that may say how it is to be read.
#[derive(Debug)]
pub(super) struct Newest {
    bytes: Vec<u8>,
    /// Whether the first of its lines is only the end of one.
    is_cut: bool,
    above: Vec<Vec<u8>>,
}

/// How much of a file's beginning is read for what stands there.
const BEGINNING: usize = 64 * 1024;

/// How far before the lines that are wanted is looked for what stands between.
pub(super) const FURTHER: usize = 4 << 20;

impl Newest {
    /// The last bytes of a file, at most so many.
    pub(super) fn of(machine: &dyn Machine, path: &str, most: usize) -> Option<Self> {
        let bytes = machine.newest(path, most).ok()?;
        let mut newest = Self {
            is_cut: bytes.len() == most,
            bytes,
            above: Vec::new(),
        };
        if newest.is_cut {
            let beginning = machine.beginning(path, BEGINNING).ok()?;
            newest.above.extend(first_lines(&beginning));
            if most < FURTHER {
                let further = machine.newest(path, FURTHER).ok()?;
                let older = further.len().saturating_sub(most);
                let between = further.get(..older).unwrap_or_default();
                newest.above.extend(directives(between));
            }
        }
        Some(newest)
    }

    /// Its whole lines.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.bytes.split(|byte| *byte == b'\n');
        lines.skip(usize::from(self.is_cut))
    }

    /// A reader that knows what stands above. Only what it takes for a header is told to it: a line
    /// of somebody long ago has no part in those that are new.
    pub(super) fn reader(&self, format: &Format, options: &Options) -> Reader {
        let new = || Reader::new(format.clone(), options.clone());
        let mut probe = new();
        let mut is_header = |line: &&Vec<u8>| {
            let reading = probe.line(line, 1);
            reading == Reading::Skipped(Skip::Header)
        };
        let headers: Vec<&Vec<u8>> = self.above.iter().filter(|line| is_header(line)).collect();
        let mut reader = new();
        for header in headers {
            reader.line(header, 1);
        }
        reader
    }
}

/// The lines of a file's beginning up to the first that is none of `#`: a table's header may be
/// that one. What was cut at the end is no line.
fn first_lines(beginning: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for line in whole_lines(beginning) {
        lines.push(line.to_vec());
        // A byte order mark, where a tool has put one.
        let text = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        if !text.starts_with(b"#") {
            break;
        }
    }
    lines
}

/// The lines that begin with `#`, but for the first, which may be the end of one.
fn directives(between: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    whole_lines(between)
        .skip(1)
        .filter(|line| line.starts_with(b"#"))
        .map(<[u8]>::to_vec)
}

/// All but what stands behind the last end of a line.
fn whole_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let whole = bytes.get(..end).unwrap_or_default();
    whole.split(|byte| *byte == b'\n')
}
