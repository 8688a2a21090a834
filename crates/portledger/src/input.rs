//! Sightings from files: logs in any known format, and captures.

mod definition;

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    io::{self, BufRead as _, BufReader, BufWriter, Read, Write as _},
    path::{Path, PathBuf},
};

use jiff::tz::TimeZone;
use portledger_dataplane::capture::{Reader as CaptureReader, ip_packet};
use portledger_model::Sighting;
use portledger_servers::{
    ConnectionOptions, Connections, Counts, Format, GuessError, Options, Reader, Reading as Line,
    Skip, guess,
};

use crate::{
    args::Reading,
    failure::Failure,
    output::{Progress, refuse_to_overwrite},
    questions::now,
};

/// What reading came to, besides the sightings.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    sightings: u64,
    port_zero: u64,
    skipped: BTreeMap<Skip, u64>,
    rejected: BTreeMap<&'static str, u64>,
    /// The first few rejections, to be shown.
    examples: Vec<String>,
    /// Captures that broke off.
    broken: Vec<String>,
}

/// How many rejections are shown.
const EXAMPLES: usize = 5;
/// How many lines a format is guessed from.
const GUESSED_FROM: usize = 50;

impl Summary {
    /// Says on standard error what was left out, and why.
    pub(crate) fn tell(&self) {
        let skipped: u64 = self.skipped.values().sum();
        let rejected: u64 = self.rejected.values().sum();
        let sightings = self.sightings;
        eprintln!("portledger: {sightings} sightings, {skipped} skipped, {rejected} rejected");
        for (reason, count) in &self.skipped {
            eprintln!("  skipped {count}: {reason}");
        }
        for (reason, count) in &self.rejected {
            eprintln!("  rejected {count}: {reason}");
        }
        for example in &self.examples {
            eprintln!("    {example}");
        }
        if self.port_zero > 0 {
            eprintln!(
                "  {} have port 0, which is what mod_remoteip leaves of the true one: no port",
                self.port_zero
            );
        }
        for broken in &self.broken {
            eprintln!("portledger: {broken}");
        }
    }

    /// Whether everything there was could be read to its end.
    pub(crate) fn is_whole(&self) -> bool {
        self.broken.is_empty()
    }

    fn add(&mut self, counts: &Counts) {
        self.sightings += counts.sightings;
        self.port_zero += counts.port_zero;
        for &(reason, count) in &counts.skipped {
            *self.skipped.entry(reason).or_default() += count;
        }
        for &(reason, count) in &counts.rejected {
            *self.rejected.entry(reason).or_default() += count;
        }
    }
}

/// Reads every file, in order, handing each sighting to `sighted`. A line that cannot be read
/// stops nothing; a sighting that cannot be handled stops all.
pub(crate) fn read(
    args: &Reading,
    mut sighted: impl FnMut(Sighting) -> Result<(), Failure>,
) -> Result<Summary, Failure> {
    // What one file lacks is said before the others have given half an answer.
    for path in args.files.iter().filter(|path| path.as_os_str() != "-") {
        fs::metadata(path).map_err(|error| unusable(path, "read", &error))?;
    }
    if let Some(rejects) = &args.rejects {
        let used = args.files.iter().chain(&args.config);
        refuse_to_overwrite(rejects, used.map(PathBuf::as_path))?;
    }
    let mut input = Input {
        zone: args.zone.as_deref().map(parse_zone).transpose()?,
        rejects: args.rejects.as_deref().map(create).transpose()?,
        summary: Summary::default(),
        progress: Progress::counting("sightings"),
        args,
    };
    // What every file is, before the first gives an answer: never a part of the answers.
    let mut sources = Vec::new();
    for path in &args.files {
        sources.push(input.open(path)?);
    }
    for source in sources {
        match source {
            Source::Capture { path, input: bytes } => {
                input.capture(path, bytes, &mut sighted)?;
            }
            Source::Log { lines, format } => input.log(lines, format, &mut sighted)?,
            Source::Empty => {}
        }
    }
    if let Some((path, rejects)) = &mut input.rejects {
        rejects
            .flush()
            .map_err(|error| unusable(path, "write", &error))?;
    }
    input.progress.done();
    Ok(input.summary)
}

struct Input<'a> {
    args: &'a Reading,
    zone: Option<TimeZone>,
    rejects: Option<(PathBuf, BufWriter<File>)>,
    summary: Summary,
    progress: Progress,
}

/// Where sightings go.
type Sighted<'a> = &'a mut dyn FnMut(Sighting) -> Result<(), Failure>;

/// A file that is open, and what it is.
enum Source<'a> {
    Capture {
        path: &'a Path,
        input: BufReader<Box<dyn Read>>,
    },
    Log {
        lines: Lines<'a>,
        format: Format,
    },
    /// A log without a line, which may be of any format.
    Empty,
}

impl<'a> Input<'a> {
    fn open(&self, path: &'a Path) -> Result<Source<'a>, Failure> {
        let mut input = BufReader::with_capacity(1 << 16, open(path)?);
        let begin = input
            .fill_buf()
            .map_err(|error| unusable(path, "read", &error))?;
        if is_capture(begin) {
            return Ok(Source::Capture { path, input });
        }
        let mut lines = Lines {
            path,
            input,
            ahead: VecDeque::new(),
        };
        let format = self.format(path, &mut lines)?;
        Ok(format.map_or(Source::Empty, |format| Source::Log { lines, format }))
    }

    fn capture(
        &mut self,
        path: &Path,
        input: impl Read,
        sighted: Sighted<'_>,
    ) -> Result<(), Failure> {
        let name = path.display().to_string();
        let mut connections = Connections::new(ConnectionOptions::new(name.clone()));
        let mut reader = CaptureReader::new(name, input)?;
        loop {
            let frame = match reader.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    self.summary.broken.push(error.to_string());
                    break;
                }
            };
            let Ok(packet) = ip_packet(frame.link, frame.data) else {
                continue;
            };
            if let Line::Sighting(sighting) =
                connections.packet(frame.number, frame.at, packet.bytes)
            {
                self.progress.at(connections.counts().sightings);
                sighted(sighting)?;
            }
        }
        self.summary.add(connections.counts());
        Ok(())
    }

    fn log(
        &mut self,
        mut lines: Lines<'_>,
        format: Format,
        sighted: Sighted<'_>,
    ) -> Result<(), Failure> {
        let name = lines.path.display().to_string();
        let mut options = Options::new(name.clone());
        options.zone.clone_from(&self.zone);
        options.reference = Some(now());
        let mut reader = Reader::new(format, options);
        let mut number = 0;
        while let Some(line) = lines.next()? {
            number += 1;
            match reader.line(&line, number) {
                Line::Sighting(sighting) => {
                    self.progress.at(number);
                    sighted(sighting)?;
                }
                Line::Skipped(_) => {}
                Line::Rejected(rejection) => {
                    if self.summary.examples.len() < EXAMPLES {
                        self.summary.examples.push(format!("{name}: {rejection}"));
                    }
                    if let Some((path, rejects)) = &mut self.rejects {
                        let written = rejects.write_all(&line);
                        written.map_err(|error| unusable(path, "write", &error))?;
                    }
                }
            }
        }
        self.summary.add(reader.counts());
        Ok(())
    }

    /// The format: as given, as the server's configuration says, or guessed, and the guess said.
    /// `None` where there is nothing to guess from, and nothing to read.
    fn format(&self, path: &Path, lines: &mut Lines<'_>) -> Result<Option<Format>, Failure> {
        if let Some(format) = &self.args.format {
            let format = Format::parse(format);
            return format
                .map(Some)
                .map_err(|error| Failure::usage(format!("--format: {error}")));
        }
        if let Some(config) = &self.args.config {
            return definition::format(config, path).map(Some);
        }
        lines.look_ahead()?;
        let first: Vec<&[u8]> = lines.ahead.iter().map(Vec::as_slice).collect();
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
}

/// The lines of a log, of any bytes, with their ends.
struct Lines<'a> {
    path: &'a Path,
    input: BufReader<Box<dyn Read>>,
    /// Lines read already to guess from.
    ahead: VecDeque<Vec<u8>>,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(Some(line));
        }
        let mut line = Vec::new();
        let read = self.input.read_until(b'\n', &mut line);
        let read = read.map_err(|error| unusable(self.path, "read", &error))?;
        Ok((read > 0).then_some(line))
    }

    fn look_ahead(&mut self) -> Result<(), Failure> {
        let mut ahead = VecDeque::new();
        while ahead.len() < GUESSED_FROM
            && let Some(line) = self.next()?
        {
            ahead.push_back(line);
        }
        self.ahead = ahead;
        Ok(())
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

fn parse_zone(text: &str) -> Result<TimeZone, Failure> {
    if text.eq_ignore_ascii_case("utc") || text == "Z" {
        return Ok(TimeZone::UTC);
    }
    // An offset is read as the end of a time.
    if let Ok(zoned) = jiff::fmt::temporal::DateTimeParser::new().parse_time_zone(text) {
        return Ok(zoned);
    }
    Err(Failure::usage(format!(
        "--zone: '{text}' is not a zone; write UTC, +01:00 or Europe/Berlin"
    )))
}

fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).map_err(|error| unusable(path, "read", &error))?;
    Ok(Box::new(file))
}

fn create(path: &Path) -> Result<(PathBuf, BufWriter<File>), Failure> {
    let file = File::create(path).map_err(|error| unusable(path, "write", &error))?;
    Ok((path.to_owned(), BufWriter::new(file)))
}

fn unusable(path: &Path, what: &str, error: &io::Error) -> Failure {
    Failure::failed(format!("{}: cannot {what} it: {error}", path.display()))
}
