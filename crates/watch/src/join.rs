//! Lines without a port held against the connection log.
//!
//! A server's line says that an address used a connection at a time, not when that connection
//! began: it may have been open for long. The log knows beginnings only. So the connections that
//! can have carried a line are all that the address began from the longest time that a connection
//! lasts before the line until the line itself. Where that is one port, and the log is complete for
//! all of that time, the line's port is certain. Else it is not, and nothing is chosen.

mod coverage;
mod gaps;

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use portledger_model::{Destination, Sighting, Span, Timestamp, Transport};
use portledger_servers::connection_log::{
    Entry, LeftOut, Line, NotEntry, NotTold, Ports, Record, Says, Told,
};
use serde::{Serialize, Serializer};

use coverage::Coverage;
use gaps::Gaps;

/// What whoever asks knows of the server.
#[derive(Debug, Clone)]
pub struct Rules {
    /// No connection lasts longer.
    pub longest: Duration,
    /// How far the clocks of the server's log and of the connection log are apart, either way.
    pub slack: Duration,
    /// The ports that the server listens at, for lines that do not say.
    pub server_ports: Vec<u16>,
}

/// Reads connection logs.
#[derive(Debug)]
pub struct Builder {
    /// Whose connections are kept.
    wanted: HashSet<IpAddr>,
    begun: HashMap<IpAddr, Vec<Candidate>>,
    coverage: Coverage,
    gaps: Gaps,
    figures: Figures,
    file: Option<OpenFile>,
    /// Whether lines came by way of a logger.
    is_carried: bool,
}

/// What the logs came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Figures {
    /// Connections.
    pub connections: u64,
    /// Connections that are said to be left out.
    pub left_out: u64,
    /// Lines that could not be understood: each is a gap.
    pub unread: u64,
}

/// Where the reading of a file is.
#[derive(Debug, Default)]
struct OpenFile {
    /// The latest time that a line so far named.
    last: Option<Timestamp>,
    /// A line that could not be read stood after this time.
    unread_since: Option<Timestamp>,
}

/// A connection that can have carried a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Candidate {
    /// When it began.
    pub at: Timestamp,
    /// The client's port.
    pub port: u16,
    /// TCP or UDP.
    #[serde(serialize_with = "as_text")]
    pub transport: Transport,
    /// The server's own end.
    #[serde(serialize_with = "as_destination")]
    pub server: (IpAddr, u16),
}

fn as_text<S: Serializer>(transport: &Transport, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(transport)
}

fn as_destination<S: Serializer>(
    (address, port): &(IpAddr, u16),
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Destination {
        address: Some(*address),
        port: Some(*port),
    }
    .serialize(serializer)
}

impl Builder {
    /// Keeps the connections of these addresses only: those of which lines have no port.
    pub fn new(wanted: HashSet<IpAddr>) -> Self {
        Self {
            wanted: wanted.iter().map(IpAddr::to_canonical).collect(),
            begun: HashMap::new(),
            coverage: Coverage::default(),
            gaps: Gaps::default(),
            figures: Figures::default(),
            file: None,
            is_carried: false,
        }
    }

    /// Another file begins.
    pub fn file(&mut self) {
        self.end_of_file();
        self.file = Some(OpenFile::default());
        self.coverage.file();
    }

    /// A line with its end; one without may be half a line.
    pub fn line(&mut self, line: &[u8]) {
        let entry = match line.strip_suffix(b"\n") {
            Some(whole) if whole.iter().all(u8::is_ascii_whitespace) => return,
            Some(whole) => Line::parse(whole.strip_suffix(b"\r").unwrap_or(whole)),
            None => Err(NotEntry::Mark),
        };
        match entry {
            Err(NotEntry::Comment) => {}
            Err(NotEntry::Other | NotEntry::Mark) => {
                self.figures.unread += 1;
                let file = self.file.get_or_insert_default();
                let last = file.last.unwrap_or(Timestamp::MIN);
                file.unread_since = Some(file.unread_since.unwrap_or(last).min(last));
            }
            Ok(Line::OfAnother) => {}
            Ok(Line::Carried(entry)) => self.carried(entry),
            Ok(Line::Own(Entry::Connection(record))) => {
                self.seen(record.at);
                self.connection(&record);
            }
            Ok(Line::Own(Entry::Mark(mark))) => {
                self.seen(mark.at);
                match mark.says {
                    Says::Start(watched) | Says::GoesOn(watched) => {
                        self.coverage.begins(mark.at, watched);
                    }
                    Says::Complete => self.coverage.complete(mark.at),
                    Says::Stop => self.coverage.stop(mark.at),
                    Says::LeftOut(left_out) => self.left_out(&left_out),
                }
            }
        }
    }

    /// What came by way of a logger is there. What a logger, or a network, dropped on that way it
    /// did not say, so that nothing of it is known to be complete.
    fn carried(&mut self, entry: Entry) {
        self.is_carried = true;
        match entry {
            Entry::Connection(record) => self.connection(&record),
            Entry::Mark(mark) => {
                if let Says::LeftOut(left_out) = mark.says {
                    self.left_out(&left_out);
                }
            }
        }
    }

    /// Between the lines around what could not be read anything may have been.
    fn seen(&mut self, at: Timestamp) {
        let file = self.file.get_or_insert_default();
        if let Some(since) = file.unread_since.take() {
            let to = at.max(since).after(Span::TICK);
            self.gaps.add(Span::new(since.min(at), to), None);
        }
        file.last = Some(file.last.map_or(at, |last| last.max(at)));
    }

    fn connection(&mut self, record: &Record) {
        self.figures.connections += 1;
        // The balancer's connection is a client's, and nobody knows whose.
        if let Some(Told::Not(why)) = record.told
            && why != NotTold::Local
        {
            let span = Span::new(record.at, record.at.after(Span::TICK));
            self.gaps.add(span, None);
        }
        let address = record.client.0.to_canonical();
        if self.wanted.contains(&address) {
            self.begun.entry(address).or_default().push(Candidate {
                at: record.at,
                port: record.client.1,
                transport: record.transport,
                server: record.server,
            });
        }
    }

    fn left_out(&mut self, left_out: &LeftOut) {
        self.figures.left_out += left_out.connections;
        let span = crate::flood::span(left_out);
        self.gaps.add(span, left_out.source);
    }

    fn end_of_file(&mut self) {
        if let Some(since) = self.file.take().and_then(|file| file.unread_since) {
            self.gaps.add(Span::new(since, Timestamp::MAX), None);
        }
        self.coverage.end_of_file();
    }

    /// All files were read.
    pub fn build(mut self) -> Join {
        self.end_of_file();
        self.gaps.settle();
        for begun in self.begun.values_mut() {
            begun.sort_unstable();
            // A line that was read from two copies of a file.
            begun.dedup();
        }
        Join {
            begun: self.begun,
            coverage: self.coverage,
            gaps: self.gaps,
            figures: self.figures,
            is_carried: self.is_carried,
        }
    }
}

/// Connection logs, to ask for the port of a line.
#[derive(Debug)]
pub struct Join {
    begun: HashMap<IpAddr, Vec<Candidate>>,
    coverage: Coverage,
    gaps: Gaps,
    figures: Figures,
    is_carried: bool,
}

/// What the connection log says of a line without a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Joined {
    /// How sure it is.
    pub verdict: Verdict,
    /// Why it is not, where it is not.
    pub because: Option<Because>,
    /// From how many ports it may have come, as far as is known.
    pub ports: usize,
    /// The connections that can have carried it, at most [`SHOWN`] of them.
    pub candidates: Vec<Candidate>,
}

impl Joined {
    /// Whether the candidates are known to be all that were found: a full list may have been cut.
    pub const fn is_whole(&self) -> bool {
        self.candidates.len() < SHOWN
    }
}

/// How many candidates are shown.
pub const SHOWN: usize = 100;

/// How sure the connection log is of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The line came from this port and no other.
    Unique,
    /// It came from one of several.
    Several,
    /// The log is complete, and the address began no connection.
    None,
    /// The log is not complete for the time in which the connection can have begun.
    Unknown,
}

/// Why nothing is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// The line has no time, or two.
    NoTime,
    /// Nothing was watched for a part of the time, or what was is not known to be written.
    NotWatched,
    /// The line does not say the server's port, nor did whoever asked, and not all were watched.
    ServerPortUnsaid,
    /// Connections of that time were left out.
    LeftOut,
    /// The log came by way of a logger, which may have lost some of it.
    Carried,
}

impl Because {
    /// For a person, with what to do.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NoTime => "the line has no certain time: give its zone with --zone",
            Self::NotWatched => {
                "the connection log does not cover the whole time in which the connection can have begun: give all its files; --longest-connection says how long that is"
            }
            Self::ServerPortUnsaid => {
                "the line does not say the server's port, and not all ports were watched: give the ports that this server listens at with --server-port"
            }
            Self::LeftOut => {
                "the connection log left out connections of the time in which this one can have begun"
            }
            Self::Carried => {
                "the connection log came through syslog, which may lose lines without a word: let watch keep files (--dir) for certainty"
            }
        }
    }
}

impl Join {
    /// What the logs came to.
    pub const fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Gives a sighting without a port the port of the one connection that can have carried it,
    /// where that is certain. Nothing is said of a sighting that has a port.
    pub fn fill(&self, sighting: &mut Sighting, rules: &Rules) -> Option<Joined> {
        if sighting.port.is_some() {
            return None;
        }
        let joined = self.ask(sighting, rules);
        if let (Verdict::Unique, Some(one)) = (joined.verdict, joined.candidates.first()) {
            sighting.port = Some(one.port);
            sighting.transport = Some(one.transport);
            let destination = &mut sighting.destination;
            let same = |one: &(IpAddr, u16), all: &[Candidate]| {
                all.iter().all(|other| other.server == *one)
            };
            if same(&one.server, &joined.candidates) {
                destination.address.get_or_insert(one.server.0);
                destination.port.get_or_insert(one.server.1);
            }
        }
        Some(joined)
    }

    /// Which connections can have carried the sighting.
    pub fn ask(&self, sighting: &Sighting, rules: &Rules) -> Joined {
        let (Some(at), None) = (sighting.at, sighting.or_at) else {
            return Joined {
                verdict: Verdict::Unknown,
                because: Some(Because::NoTime),
                ports: 0,
                candidates: Vec::new(),
            };
        };
        let before = sighting.lasted.unwrap_or_default() + rules.longest + rules.slack;
        let window = Span::new(
            at.before(before),
            at.after(sighting.resolution + rules.slack),
        );
        let ports = match sighting.destination.port {
            Some(port) => Ports::These(vec![port]),
            None if rules.server_ports.is_empty() => Ports::All,
            None => Ports::These(rules.server_ports.clone()),
        };
        let candidates = self.candidates(sighting, window, &ports);
        let distinct: HashSet<(u16, Transport)> = candidates
            .iter()
            .map(|candidate| (candidate.port, candidate.transport))
            .collect();
        let because = self.missing(sighting, window, &ports);
        Joined {
            verdict: match (because, distinct.len()) {
                (Some(_), _) => Verdict::Unknown,
                (None, 0) => Verdict::None,
                (None, 1) => Verdict::Unique,
                (None, _) => Verdict::Several,
            },
            because,
            ports: distinct.len(),
            candidates: candidates.into_iter().take(SHOWN).collect(),
        }
    }

    /// A line's transport is not looked at: a server of HTTP/3 writes lines of both into one log,
    /// and they look alike.
    fn candidates(&self, sighting: &Sighting, window: Span, ports: &Ports) -> Vec<Candidate> {
        let address = sighting.address.to_canonical();
        let begun = self.begun.get(&address).map_or(&[][..], Vec::as_slice);
        let first = begun.partition_point(|candidate| candidate.at < window.from);
        let begun = begun.get(first..).unwrap_or_default().iter();
        let begun = begun.take_while(|candidate| candidate.at < window.to);
        let server = sighting
            .destination
            .address
            .map(|server| server.to_canonical());
        let is_one = |candidate: &&Candidate| {
            ports.contains(candidate.server.1)
                && server.is_none_or(|server| server == candidate.server.0.to_canonical())
        };
        begun.filter(is_one).copied().collect()
    }

    /// Why the candidates may not be all.
    fn missing(&self, sighting: &Sighting, window: Span, ports: &Ports) -> Option<Because> {
        let transport = sighting.transport;
        if !self.coverage.covers(window, None, &Ports::None) {
            return Some(match self.is_carried {
                true => Because::Carried,
                false => Because::NotWatched,
            });
        }
        if !self.coverage.covers(window, transport, ports) {
            return Some(match ports {
                Ports::All => Because::ServerPortUnsaid,
                _ => Because::NotWatched,
            });
        }
        let address = sighting.address.to_canonical();
        self.gaps
            .concern(window, address)
            .then_some(Because::LeftOut)
    }
}

#[cfg(test)]
mod tests;
