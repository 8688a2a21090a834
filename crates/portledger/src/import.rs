//! `portledger import`: another device's log files into the ledger.

mod capture;
mod rules;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufWriter, Write as _},
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use portledger_ledger::{Options, Writer};
use portledger_model::{Device, Realm, Timestamp};
use portledger_service::collect::{Came, Devices, Form, FormReader, Line, Promise, device_at};
use portledger_wire::{
    NatEvent, Unkept,
    dialect::{Dialect, Dialects, Untimed},
    flow::Item,
    syslog::{Clock, Message},
};
use serde_json::json;

use crate::{
    args::ImportArgs,
    failure::{Ended, Failure},
    input::{Lines, Part, Progress, create, parse_zone, tell_reasons, unusable},
    ledger,
    output::refuse_to_overwrite,
    questions::now,
    seal,
};
use capture::Exporters;

/// How many lines a format is guessed from.
const GUESSED_FROM: usize = 1_000;
/// How many records go to the log at once.
const BATCH: usize = 4_096;
/// How many rejections are shown.
const EXAMPLES: usize = 5;

pub(crate) fn run(args: &ImportArgs) -> Ended {
    let named = args.device.as_deref().map(Device::new).transpose()?;
    if args.format.as_deref() == Some(rules::FORMAT) {
        return rules::run(args, named.as_ref());
    }
    let realm = Realm::new(&args.realm)?;
    let zone = args.zone.as_deref().map(parse_zone).transpose()?;
    if let Some(rejects) = &args.rejects {
        let used = args.files.iter().chain(&args.dialects);
        refuse_to_overwrite(rejects, used.map(PathBuf::as_path))?;
    }
    let dialects = dialects(&args.dialects)?;
    let mut progress = Progress::default();
    for path in &args.files {
        progress.expect(
            facts(path)?
                .filter(|facts| facts.is_file())
                .map(|facts| facts.len()),
        );
    }
    // What every file is, is settled before the first record is written.
    let mut files = Vec::new();
    for path in &args.files {
        let mut lines = Lines::open(path, &progress)?;
        let is_capture = lines.is_capture()?;
        let first = if is_capture {
            texts(path)?
        } else {
            lines.look_ahead(GUESSED_FROM)?
        };
        let form = match form(args.format.as_deref(), &dialects, &first, path) {
            // A capture may hold no lines, or other programs' only, beside its flow messages.
            Err(_) if is_capture && args.format.is_none() => None,
            form => Some(form?),
        };
        let mut clock = Clock::new(written(path)?);
        clock.zone.clone_from(&zone);
        let reader = form
            .as_ref()
            .map(|form| form.reader(clock, &realm, Untimed::Reject));
        files.push((lines, is_capture, form, reader));
    }
    let mut writer = ledger::open_to_write(
        &args.ledger.ledger,
        Options {
            collects: true,
            ..Options::default()
        },
    )?;
    let mut import = Import {
        named,
        devices: Devices::new(&writer.ledger()?)?,
        promise: Promise {
            clock_error: args.clock_error,
            complete_from: args.complete_from,
        },
        rejects: args.rejects.as_deref().map(create).transpose()?,
        rejects_are_no_events: args.rejects_are_no_events,
        told: Summary::default(),
    };
    progress.start();
    for (lines, is_capture, form, reader) in files {
        let name = form.as_ref().map_or("flow messages", Form::name);
        import.told.formats.insert(name.to_owned());
        match reader {
            reader if is_capture => import.capture(lines, reader, &mut writer)?,
            Some(reader) => import.file(lines, reader, &mut writer)?,
            None => {}
        }
    }
    import.devices.finish();
    import.write(&mut writer)?;
    progress.done();
    if let Some((path, rejects)) = &mut import.rejects {
        rejects
            .flush()
            .map_err(|error| unusable(path, "write", &error))?;
    }
    seal::after_writing(writer);
    import.told.tell(args, import.devices.heard());
    Ok(if import.told.is_whole() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The dialects that this release knows, and those of files.
pub(crate) fn dialects(files: &[PathBuf]) -> Result<Dialects, Failure> {
    let mut dialects = Dialects::built_in();
    for path in files {
        let text = fs::read_to_string(path).map_err(|error| unusable(path, "read", &error))?;
        let dialect = Dialect::parse(&path.display().to_string(), &text);
        dialects.add(dialect.map_err(|error| Failure::usage(error.to_string()))?);
    }
    Ok(dialects)
}

/// The form of that name, or the one that fits the first lines best, and that is said.
fn form<'d>(
    name: Option<&str>,
    dialects: &'d Dialects,
    first: &[Vec<u8>],
    path: &Path,
) -> Result<Form<'d>, Failure> {
    if let Some(name) = name.filter(|name| *name != "auto") {
        let named = Form::named(name, dialects);
        return named.map_err(|error| Failure::usage(format!("--format: {error}")));
    }
    let lines = first.iter().map(|line| line.trim_ascii_end());
    let Some((form, read)) = Form::guess(lines, dialects) else {
        return Err(Failure::usage(format!(
            "{}: its first {} lines are of no NAT log that is known; give --format, or describe it in a dialect file and give that with --dialect",
            path.display(),
            first.len()
        )));
    };
    eprintln!(
        "portledger: {}: read as {}: {read} of the first {} lines are its events",
        path.display(),
        form.name(),
        first.len()
    );
    Ok(form)
}

/// What the system says of a file; nothing of standard input.
fn facts(path: &Path) -> Result<Option<fs::Metadata>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(None);
    }
    let facts = fs::metadata(path).map_err(|error| unusable(path, "read", &error))?;
    Ok(Some(facts))
}

/// The first lines of syslog in a capture; none of standard input, which is read once.
fn texts(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let mut texts = Vec::new();
    if path.as_os_str() != "-" {
        let bytes = Lines::open(path, &Progress::default())?.into_bytes();
        let name = path.display().to_string();
        // Where it breaks off is told when it is imported.
        capture::datagrams(&name, bytes, |datagram| {
            if datagram.is_text() {
                texts.push(datagram.payload.to_vec());
            }
            Ok(texts.len() < GUESSED_FROM)
        })?;
    }
    Ok(texts)
}

/// When a file was written last: what is in it happened before, and tells the year where its lines
/// do not.
fn written(path: &Path) -> Result<Timestamp, Failure> {
    let Some(facts) = facts(path)? else {
        return Ok(now());
    };
    let time = facts
        .modified()
        .map_err(|error| unusable(path, "read", &error))?;
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    Ok(Timestamp::EPOCH.after(since.unwrap_or_default()))
}

/// What importing came to.
#[derive(Debug, Default)]
struct Summary {
    formats: BTreeSet<String>,
    lines: u64,
    events: u64,
    records: u64,
    skipped: BTreeMap<String, u64>,
    rejected: BTreeMap<String, u64>,
    examples: Vec<String>,
    /// Files that broke off.
    broken: Vec<String>,
}

impl Summary {
    /// Whether there were events in what could be read, to its end. A line that cannot be read
    /// is kept aside and told of, and is no failure.
    fn is_whole(&self) -> bool {
        self.broken.is_empty() && (self.events > 0 || self.rejected() == 0)
    }

    fn rejected(&self) -> u64 {
        self.rejected.values().sum()
    }

    fn tell(&self, args: &ImportArgs, devices: usize) {
        let skipped: u64 = self.skipped.values().sum();
        let (events, records, rejected) = (self.events, self.records, self.rejected());
        if args.ledger.json {
            println!(
                "{}",
                json!({
                    "format": self.formats.iter().cloned().collect::<Vec<_>>().join(", "),
                    "devices": devices,
                    "lines": self.lines,
                    "events": events,
                    "records": records,
                    "skipped": self.skipped,
                    "rejected": rejected,
                    "rejected_because": self.rejected,
                    "complete_from": args.complete_from,
                })
            );
        } else {
            println!(
                "{events} events of {devices} devices became {records} records in {}",
                args.ledger.ledger.display()
            );
        }
        eprintln!("portledger: {events} events, {skipped} lines skipped, {rejected} rejected");
        tell_reasons(&self.skipped, &self.rejected, &self.examples);
        for broken in &self.broken {
            eprintln!("portledger: {broken}");
        }
        if args.complete_from.is_none() && events > 0 {
            eprintln!(
                "portledger: taken for all that was logged; who held a port before it was first told of stays 'unknown', unless --complete-from TIME says since when everything was told"
            );
        }
    }
}

struct Import {
    /// The device of all lines; else each line's header or each exporter's address tells.
    named: Option<Device>,
    devices: Devices,
    /// What the operator says of each device's log.
    promise: Promise,
    rejects: Option<(PathBuf, BufWriter<fs::File>)>,
    rejects_are_no_events: bool,
    told: Summary,
}

/// What lines are of that name no device.
const UNNAMED: &str = "imported";

impl Import {
    fn file(
        &mut self,
        mut lines: Lines<'_>,
        mut reader: FormReader<'_>,
        writer: &mut Writer,
    ) -> Result<(), Failure> {
        let name = lines.path.display().to_string();
        let mut number = 0_u64;
        while let Some(line) = lines.next()? {
            match line.part {
                Part::Whole => {
                    number += 1;
                    self.line(&name, number, line.bytes, &mut reader, writer)?;
                }
                Part::Begin => {
                    number += 1;
                    self.told.lines += 1;
                    let why = "only a part of a line".to_owned();
                    self.reject(&name, number, line.bytes, why)?;
                }
                Part::Rest => {}
            }
        }
        self.told.broken.extend(lines.broken());
        Ok(())
    }

    fn line(
        &mut self,
        name: &str,
        number: u64,
        line: &[u8],
        reader: &mut FormReader<'_>,
        writer: &mut Writer,
    ) -> Result<(), Failure> {
        self.told.lines += 1;
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let mut events = Vec::new();
        let outcome = reader.read(text, &mut events);
        if !events.is_empty() {
            let device = self.device_of(text)?;
            for event in events {
                self.take(&device, event, writer)?;
            }
        }
        match outcome {
            Line::Events => Ok(()),
            Line::Skipped(reason) => {
                *self.told.skipped.entry(reason).or_default() += 1;
                Ok(())
            }
            Line::Rejected(reason) => {
                self.may_have_lost(self.told_device_of(text).as_ref());
                self.reject(name, number, line, reason)
            }
        }
    }

    /// What was not understood may have been an event of the device, or of any where nobody can say
    /// of which: until the next event nothing is claimed.
    fn may_have_lost(&mut self, device: Option<&Device>) {
        if self.rejects_are_no_events {
            return;
        }
        match device {
            Some(device) => {
                let index = self.devices.enter(device, self.promise);
                self.devices.interrupted(index);
            }
            None => self.devices.all_interrupted(),
        }
    }

    fn capture(
        &mut self,
        lines: Lines<'_>,
        mut reader: Option<FormReader<'_>>,
        writer: &mut Writer,
    ) -> Result<(), Failure> {
        let name = lines.path.display().to_string();
        let mut exporters = Exporters::default();
        let mut last = Timestamp::MIN;
        let broken = capture::datagrams(&name, lines.into_bytes(), |datagram| {
            last = last.max(datagram.at);
            let mut items = Vec::new();
            if datagram.is_flow_message() {
                if !exporters.read(&datagram, |item| items.push(item)) {
                    let why = "more exporters than are told apart: import them one by one";
                    let device = self.exporter(datagram.source())?;
                    self.may_have_lost(Some(&device));
                    self.reject(&name, datagram.number, datagram.payload, why.into())?;
                }
            } else if datagram.is_text() {
                match &mut reader {
                    Some(reader) => {
                        reader.received(datagram.at);
                        self.line(&name, datagram.number, datagram.payload, reader, writer)?;
                    }
                    None => {
                        let why = "syslog of no NAT that is known".to_owned();
                        *self.told.skipped.entry(why).or_default() += 1;
                    }
                }
            }
            let device = self.exporter(datagram.source())?;
            let (number, payload) = (datagram.number, datagram.payload);
            self.items(&name, &device, number, payload, items, writer)?;
            Ok(true)
        })?;
        self.told
            .broken
            .extend(broken.map(|error| error.to_string()));
        for (source, items) in exporters.finish(last) {
            let device = self.exporter(source)?;
            self.items(&name, &device, 0, &[], items, writer)?;
        }
        Ok(())
    }

    /// The device that a line is of: as given, or as its syslog header says.
    fn device_of(&self, line: &[u8]) -> Result<Device, Failure> {
        let told = self.told_device_of(line);
        Ok(told.map_or_else(|| Device::new(UNNAMED), Ok)?)
    }

    fn told_device_of(&self, line: &[u8]) -> Option<Device> {
        if let Some(named) = &self.named {
            return Some(named.clone());
        }
        let host = Message::parse(line).hostname?;
        Device::new(str::from_utf8(host).ok()?).ok()
    }

    fn exporter(&self, source: IpAddr) -> Result<Device, Failure> {
        Ok(match &self.named {
            Some(named) => named.clone(),
            None => device_at(source).map_or_else(|| Device::new(UNNAMED), Ok)?,
        })
    }

    fn items(
        &mut self,
        name: &str,
        device: &Device,
        number: u64,
        payload: &[u8],
        items: Vec<Item>,
        writer: &mut Writer,
    ) -> Result<(), Failure> {
        for item in items {
            let index = self.devices.enter(device, self.promise);
            match self.devices.item(index, item, None) {
                Came::Event { unkept, .. } => self.count(unkept, writer)?,
                Came::Rejected { reason, set } => {
                    let bytes = set.as_ref().map_or(payload, |set| &set.0);
                    self.may_have_lost(Some(device));
                    self.reject(name, number, bytes, reason)?;
                }
                Came::Lost(_) | Came::Disordered => {}
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        device: &Device,
        event: NatEvent,
        writer: &mut Writer,
    ) -> Result<(), Failure> {
        let index = self.devices.enter(device, self.promise);
        let unkept = self.devices.take(index, event, None);
        self.count(unkept, writer)
    }

    fn count(&mut self, unkept: Option<Unkept>, writer: &mut Writer) -> Result<(), Failure> {
        self.told.events += 1;
        if let Some(unkept) = unkept {
            *self.told.skipped.entry(unkept.to_string()).or_default() += 1;
        }
        if self.devices.batch().len() >= BATCH {
            self.write(writer)?;
        }
        Ok(())
    }

    fn reject(
        &mut self,
        name: &str,
        number: u64,
        line: &[u8],
        reason: String,
    ) -> Result<(), Failure> {
        if self.told.examples.len() < EXAMPLES {
            self.told
                .examples
                .push(format!("{name}:{number}: {reason}"));
        }
        // Rejections are counted by what is wrong, not by where in the line.
        let what = reason
            .split_once(": ")
            .map_or(reason.as_str(), |(_, what)| what);
        *self.told.rejected.entry(what.to_owned()).or_default() += 1;
        if let Some((path, rejects)) = &mut self.rejects {
            let written = rejects.write_all(line);
            written.map_err(|error| unusable(path, "write", &error))?;
        }
        Ok(())
    }

    fn write(&mut self, writer: &mut Writer) -> Result<(), Failure> {
        let batch = self.devices.batch();
        if !batch.is_empty() {
            writer.append(batch)?;
            writer.sync()?;
            self.told.records += batch.len() as u64;
            batch.clear();
        }
        Ok(())
    }
}
