//! Lines in, sightings out.

use std::sync::Arc;

use portledger_model::Moment;

use crate::{
    Counts, Format, Options, Reading, Rejection, Skip,
    fields::{Fault, Found},
    format::Kind,
    lines::{BehindSyslog, Lines},
    pattern::{Pattern, behind_clock},
};

/// Reads the lines of one log.
#[derive(Debug)]
pub struct Reader {
    format: Format,
    options: Options,
    way: Way,
    counts: Counts,
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
            Kind::Syslog(pattern) => Way::Own(Box::new(BehindSyslog::new(Arc::clone(pattern)))),
            Kind::Own(own) => Way::Own((own.start)()),
        };
        Self {
            format,
            options,
            way,
            counts: Counts::default(),
        }
    }

    /// Reads the line of this number, with or without its end-of-line. Any bytes will do.
    pub fn line(&mut self, line: &[u8], number: u64) -> Reading {
        let line = without_end(line);
        let outcome = if line.iter().all(u8::is_ascii_whitespace) {
            Ok(Err(Skip::Blank))
        } else {
            match &mut self.way {
                Way::Pattern(pattern) => pattern.read(line, number, &self.options).map(Ok),
                Way::Own(own) => own.read(line, number, &self.options),
            }
        };
        let reading = match outcome {
            Ok(Ok(mut found)) => {
                if self.format.moment_unknown {
                    found.sighting.moment = Moment::Logged;
                }
                behind_clock(&mut found.sighting, self.format.clock);
                self.counts.port_zero += u64::from(found.port_zero);
                Reading::Sighting(found.sighting)
            }
            Ok(Err(skip)) => Reading::Skipped(skip),
            Err((at, reason)) => Reading::Rejected(Rejection {
                line: number,
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
