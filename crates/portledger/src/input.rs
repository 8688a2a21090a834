//! Sightings from files: logs in any known format, and captures.

mod definition;
mod lines;
mod packed;
mod progress;
mod source;

use std::{
    collections::BTreeMap,
    fmt::Display,
    fs::{self, File},
    io::{self, BufWriter, Read, Write as _},
    path::{Path, PathBuf},
};

use jiff::tz::TimeZone;
use portledger_dataplane::capture::{Reader as CaptureReader, packet_of_either};
use portledger_model::Sighting;
use portledger_servers::{
    ConnectionOptions, Connections, Counts, Format, Options, Reader, Reading as Line, Skip, Trust,
};

use crate::{
    args::{Joining, Reading},
    failure::Failure,
    output::refuse_to_overwrite,
};
pub(crate) use definition::format as configured;
pub(crate) use lines::{Lines, Part};
pub(crate) use progress::Progress;
use source::{Source, Stream};

/// What reading came to, besides the sightings.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    sightings: u64,
    port_zero: u64,
    skipped: BTreeMap<Skip, u64>,
    rejected: BTreeMap<&'static str, u64>,
    /// The first few rejections, to be shown.
    examples: Vec<String>,
    /// Files that broke off.
    broken: Vec<String>,
    /// What the port's column is called, where operators name it, and in how many files.
    port_columns: BTreeMap<String, u64>,
}

/// How many rejections are shown.
const EXAMPLES: usize = 5;

impl Summary {
    /// Says on standard error what was left out, and why.
    pub(crate) fn tell(&self) {
        let skipped: u64 = self.skipped.values().sum();
        let rejected: u64 = self.rejected.values().sum();
        let sightings = self.sightings;
        eprintln!("portledger: {sightings} sightings, {skipped} skipped, {rejected} rejected");
        tell_reasons(&self.skipped, &self.rejected, &self.examples);
        if self.port_zero > 0 {
            eprintln!(
                "  {} have port 0, which is what mod_remoteip leaves of the true one: no port",
                self.port_zero
            );
        }
        for (column, files) in &self.port_columns {
            let plural = if *files == 1 { "" } else { "s" };
            eprintln!("  the port is what the column '{column}' has, in {files} file{plural}");
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

/// Says on standard error why lines were left out.
pub(crate) fn tell_reasons(
    skipped: &BTreeMap<impl Display, u64>,
    rejected: &BTreeMap<impl Display, u64>,
    examples: &[String],
) {
    for (reason, count) in skipped {
        eprintln!("  skipped {count}: {reason}");
    }
    for (reason, count) in rejected {
        eprintln!("  rejected {count}: {reason}");
    }
    for example in examples {
        eprintln!("    {example}");
    }
}

/// How often the files will be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passes {
    One,
    /// What can be read once only is put aside on disk, in a file without a name.
    Several,
}

impl Passes {
    /// A connection log is read for the lines' addresses, which are read first.
    pub(crate) fn for_joining(args: &Joining) -> Self {
        if args.connections.is_empty() {
            Self::One
        } else {
            Self::Several
        }
    }
}

/// One reading of all files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    /// What it is for, shown beside its progress.
    pub(crate) why: &'static str,
    /// Its answers are printed, and the lines that cannot be read are kept. They are in one pass.
    pub(crate) last: bool,
}

impl Pass {
    /// The one that gives answers.
    pub(crate) const LAST: Self = Self {
        why: "",
        last: true,
    };
}

/// The files, open, each with its format.
pub(crate) struct Inputs<'a> {
    zone: Option<TimeZone>,
    trust: Trust,
    port_field: Option<&'a str>,
    rejects: Option<(PathBuf, BufWriter<File>)>,
    progress: Progress,
    sources: Vec<Source<'a>>,
}

impl<'a> Inputs<'a> {
    /// Settles what every file is before the first gives an answer: never a part of the answers.
    pub(crate) fn open(args: &'a Reading, passes: Passes) -> Result<Self, Failure> {
        let mut progress = Progress::default();
        for path in args.files.iter().filter(|path| path.as_os_str() != "-") {
            let facts = fs::metadata(path).map_err(|error| unusable(path, "read", &error))?;
            progress.expect(facts.is_file().then_some(facts.len()));
        }
        if args.files.iter().any(|path| path.as_os_str() == "-") {
            progress.expect(None);
        }
        if let Some(rejects) = &args.rejects {
            let used = args.files.iter().chain(&args.config);
            refuse_to_overwrite(rejects, used.map(PathBuf::as_path))?;
        }
        let zone = args.zone.as_deref().map(parse_zone).transpose()?;
        let rejects = args.rejects.as_deref().map(create).transpose()?;
        let sources = args.files.iter();
        let sources = sources.map(|path| Source::open(path, args, passes, &progress));
        let sources = sources.collect::<Result<_, _>>()?;
        Ok(Self {
            zone,
            trust: Trust {
                proxies: args.trusted_proxies.clone(),
                headers: args.trusted_headers.clone(),
            },
            port_field: args.port_field.as_deref(),
            rejects,
            progress,
            sources,
        })
    }

    /// Reads every file, in order, handing each sighting to `sighted`. A line that cannot be read
    /// stops nothing; a sighting that cannot be handled stops all.
    pub(crate) fn read(
        &mut self,
        pass: Pass,
        sighted: &mut dyn FnMut(Sighting) -> Result<(), Failure>,
    ) -> Result<Summary, Failure> {
        self.progress.begin(pass);
        let mut reading = OnePass {
            zone: self.zone.as_ref(),
            trust: &self.trust,
            port_field: self.port_field,
            rejects: self.rejects.as_mut().filter(|_| pass.last),
            summary: Summary::default(),
        };
        for source in &mut self.sources {
            match source.stream(&self.progress)? {
                Stream::Capture { path, bytes } => reading.capture(path, bytes, sighted)?,
                Stream::Log { lines, format } => reading.log(lines, format, sighted)?,
                Stream::Empty => {}
            }
        }
        if let Some((path, rejects)) = reading.rejects {
            rejects
                .flush()
                .map_err(|error| unusable(path, "write", &error))?;
        }
        let summary = reading.summary;
        self.progress.done();
        Ok(summary)
    }
}

struct OnePass<'a> {
    zone: Option<&'a TimeZone>,
    trust: &'a Trust,
    port_field: Option<&'a str>,
    rejects: Option<&'a mut (PathBuf, BufWriter<File>)>,
    summary: Summary,
}

/// Where sightings go.
type Sighted<'a> = &'a mut dyn FnMut(Sighting) -> Result<(), Failure>;

impl OnePass<'_> {
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
            let Ok(packet) = packet_of_either(frame.link, frame.data) else {
                continue;
            };
            if let Line::Sighting(sighting) =
                connections.packet(frame.number, frame.at, packet.bytes)
            {
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
        options.zone = self.zone.cloned();
        options.trust = self.trust.clone();
        options.port_field = self.port_field.map(str::to_owned);
        let mut reader = Reader::new(format, options);
        let mut number = 0;
        while let Some(line) = lines.next()? {
            number += u64::from(line.part != Part::Rest);
            reader.written_by(line.written_by);
            let reading = match line.part {
                Part::Whole => reader.line(line.bytes, number),
                Part::Begin => reader.cut(line.bytes.len(), number),
                Part::Rest => {
                    keep(&mut self.rejects, line.bytes)?;
                    continue;
                }
            };
            self.take(&name, reading, line.bytes, sighted)?;
        }
        if let Some(reading) = reader.end() {
            self.take(&name, reading, b"", sighted)?;
        }
        self.summary.add(reader.counts());
        if let Some(column) = reader.port_column() {
            let files = self.summary.port_columns.entry(column.to_owned());
            *files.or_default() += 1;
        }
        self.summary.broken.extend(lines.broken());
        Ok(())
    }

    /// Hands a sighting on, keeps what was rejected.
    fn take(
        &mut self,
        name: &str,
        reading: Line,
        line: &[u8],
        sighted: Sighted<'_>,
    ) -> Result<(), Failure> {
        match reading {
            Line::Sighting(sighting) => {
                sighted(sighting)?;
            }
            Line::Skipped(_) => {}
            Line::Rejected(rejection) => {
                if self.summary.examples.len() < EXAMPLES {
                    self.summary.examples.push(format!("{name}: {rejection}"));
                }
                keep(&mut self.rejects, line)?;
            }
        }
        Ok(())
    }
}

/// Puts a line that could not be read aside, where that is asked for.
fn keep(rejects: &mut Option<&mut (PathBuf, BufWriter<File>)>, line: &[u8]) -> Result<(), Failure> {
    let Some((path, rejects)) = rejects else {
        return Ok(());
    };
    let written = rejects.write_all(line);
    written.map_err(|error| unusable(path, "write", &error))
}

pub(crate) fn parse_zone(text: &str) -> Result<TimeZone, Failure> {
    if text.eq_ignore_ascii_case("utc") || text == "Z" {
        return Ok(TimeZone::UTC);
    }
    // An offset is read as the end of a time.
    if let Ok(zoned) = jiff::fmt::temporal::DateTimeParser::new().parse_time_zone(text) {
        return Ok(zoned);
    }
    Err(Failure::usage(format!(
        "'{text}' is not a zone; write UTC, +01:00 or Europe/Berlin"
    )))
}

pub(crate) fn create(path: &Path) -> Result<(PathBuf, BufWriter<File>), Failure> {
    let file = File::create(path).map_err(|error| unusable(path, "write", &error))?;
    Ok((path.to_owned(), BufWriter::new(file)))
}

pub(crate) fn unusable(path: &Path, what: &str, error: &io::Error) -> Failure {
    Failure::failed(format!("{}: cannot {what} it: {error}", path.display()))
}
