//! Lines in, sightings out.

use std::sync::Arc;

use portledger_model::Moment;

use crate::{
    Counts, Format, Options, Reading, Rejection, Skip,
    fields::{Fault, Found},
    format::Kind,
    lines::Lines,
    pattern::Pattern,
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
    Pattern(Arc<Pattern>),
    Own(Box<dyn Lines>),
}

/// What a format's own reader says of a line.
pub(crate) type Outcome = Result<Result<Found, Skip>, Fault>;

impl Reader {
    /// For one log whose lines are of `format`.
    pub fn new(format: Format, options: Options) -> Self {
        let way = match &format.kind {
            Kind::Pattern(pattern) => Way::Pattern(Arc::clone(pattern)),
            Kind::Own(own) => Way::Own((own.start)()),
            Kind::Described(described) => Way::Own(described.start()),
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
                Way::Pattern(pattern) => pattern.read(line, number, &self.options).map(Ok),
                Way::Own(own) => own.read(line, number, &self.options),
            }
        };
        self.reading(outcome)
    }

    /// What the lines add up to at their end: the sighting of an abuse report, most of which have
    /// no line that ends them. `None` where nothing is left to say.
    pub fn end(&mut self) -> Option<Reading> {
        let outcome = match &mut self.way {
            Way::Pattern(_) => None,
            Way::Own(own) => own.end(&self.options),
        };
        outcome.map(|outcome| self.reading(outcome))
    }

    fn reading(&mut self, outcome: Outcome) -> Reading {
        let reading = match outcome {
            Ok(Ok(mut found)) => {
                if self.format.moment_unknown {
                    found.sighting.moment = Moment::Logged;
                }
                self.counts.port_zero += u64::from(found.port_zero);
                Reading::Sighting(found.sighting)
            }
            Ok(Err(skip)) => Reading::Skipped(skip),
            Err((at, reason)) => Reading::Rejected(Rejection {
                line: self.number,
                column: at + 1,
                reason,
            }),
        };
        self.counts.add(&reading);
        reading
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

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
