//! Lines in, sightings out.

use std::sync::Arc;

use portledger_model::{Moment, Timestamp};

use crate::{
    Counts, Format, Options, Reading, Reason, Rejection, Skip,
    fields::{Fault, Found},
    format::Kind,
    lines::{BehindSyslog, Lines, Prefixed},
    pattern::{Pattern, behind_clock},
    time::recent::Recent,
};

/// Reads the lines of one log.
#[derive(Debug)]
pub struct Reader {
    format: Format,
    options: Options,
    way: Way,
    counts: Counts,
    /// The line read last.
    number: u64,
}

/// How the lines are read.
#[derive(Debug)]
enum Way {
    Pattern(Arc<Pattern>, Recent),
    Own(Box<dyn Lines>),
}

/// What a format's own reader says of a line.
pub(crate) type Outcome = Result<Result<Found, Skip>, Fault>;

impl Reader {
    /// For one log whose lines are of `format`.
    pub fn new(format: Format, options: Options) -> Self {
        let way = match &format.kind {
            Kind::Pattern(pattern) => Way::Pattern(Arc::clone(pattern), Recent::default()),
            Kind::Syslog(pattern) => Way::Own(Box::new(BehindSyslog::new(Arc::clone(pattern)))),
            Kind::Own(own) => Way::Own((own.start)()),
            Kind::Postgresql(prefixed) => Way::Own(Box::new(Prefixed::clone(prefixed))),
        };
        Self {
            format,
            options,
            way,
            counts: Counts::default(),
            number: 0,
        }
    }

    /// Reads the line of this number, with or without its end-of-line. Any bytes will do.
    pub fn line(&mut self, line: &[u8], number: u64) -> Reading {
        let line = without_end(line);
        self.number = number;
        let outcome = if line.iter().all(u8::is_ascii_whitespace) {
            Ok(Err(Skip::Blank))
        } else {
            match &mut self.way {
                Way::Pattern(pattern, recent) => {
                    let found = pattern.read(line, number, &self.options, recent);
                    found.map(Ok)
                }
                Way::Own(own) => own.read(line, number, &self.options),
            }
        };
        self.reading(outcome)
    }

    /// What the lines add up to at their end: the sighting of an abuse report, most of which have
    /// no line that ends them. `None` where nothing is left to say.
    pub fn end(&mut self) -> Option<Reading> {
        let outcome = match &mut self.way {
            Way::Pattern(..) => None,
            Way::Own(own) => own.end(&self.options),
        };
        outcome.map(|outcome| self.reading(outcome))
    }

    fn reading(&mut self, outcome: Outcome) -> Reading {
        match outcome {
            Ok(Ok(mut found)) => {
                if self.format.moment_unknown {
                    found.sighting.moment = Moment::Logged;
                }
                behind_clock(&mut found.sighting, self.format.clock);
                self.counts.sightings += 1;
                self.counts.port_zero += u64::from(found.port_zero);
                Reading::Sighting(found.sighting)
            }
            Ok(Err(skip)) => self.counted(Reading::Skipped(skip)),
            Err((at, reason)) => self.counted(Reading::Rejected(Rejection {
                line: self.number,
                column: at + 1,
                reason,
            })),
        }
    }

    /// Counts what is no line of the log but a part of one, `length` bytes long: none of it is
    /// believed, since what a port lost of its digits is another port.
    pub fn cut(&mut self, length: usize, number: u64) -> Reading {
        self.counted(Reading::Rejected(Rejection {
            line: number,
            column: length + 1,
            reason: Reason::Cut,
        }))
    }

    /// Says when the lines that follow were written at the latest: [`Options::reference`].
    pub fn written_by(&mut self, time: Timestamp) {
        self.options.reference = Some(time);
    }

    fn counted(&mut self, reading: Reading) -> Reading {
        self.counts.add(&reading);
        reading
    }

    /// What the column is called that was taken for the port's, of a table whose columns operators
    /// name.
    pub fn port_column(&self) -> Option<&str> {
        match &self.way {
            Way::Pattern(..) => None,
            Way::Own(own) => own.port_column(),
        }
    }

    /// The format.
    pub const fn format(&self) -> &Format {
        &self.format
    }

    /// What the lines came to so far.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }
}

pub(crate) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
