//! Lines in, sightings out.

use portledger_model::Moment;

use crate::{
    Counts, Format, Options, Reading, Rejection, Skip,
    csv::Table,
    fields::{Fault, Found},
    format::Kind,
};

/// Reads the lines of one log.
#[derive(Debug, Clone)]
pub struct Reader {
    format: Format,
    options: Options,
    table: Table,
    counts: Counts,
}

/// What a format's own reader says of a line.
pub(crate) type Outcome = Result<Result<Found, Skip>, Fault>;

impl Reader {
    /// For one log whose lines are of `format`.
    pub fn new(format: Format, options: Options) -> Self {
        Self {
            format,
            options,
            table: Table::default(),
            counts: Counts::default(),
        }
    }

    /// Reads the line of this number, with or without its end-of-line. Any bytes will do.
    pub fn line(&mut self, line: &[u8], number: u64) -> Reading {
        let line = without_end(line);
        let outcome = if line.iter().all(u8::is_ascii_whitespace) {
            Ok(Err(Skip::Blank))
        } else {
            match &self.format.kind {
                Kind::Pattern(pattern) => pattern.read(line, number, &self.options).map(Ok),
                Kind::ApacheError => crate::apache_error::read(line, number, &self.options),
                Kind::Sshd => crate::sshd::read(line, number, &self.options),
                Kind::Csv => self.table.read(line, number, &self.options),
            }
        };
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
