//! The lines of a table.

use std::io::{BufRead, Read};

use portledger_model::{Realm, Timestamp};

use super::{
    Column, HeaderError, Reason, Reject,
    cells::{Stray, cells},
    header::Header,
};
use crate::{Customer, Error, Interval, Prefix};

/// The longest line, in bytes: more than a customer with all fields at their longest needs.
const LONGEST: usize = 64 << 10;

/// Reads the intervals of a table, line by line, in the memory of one line.
///
/// ```
/// use portledger_identity::{Intervals, Line, Reason};
///
/// # fn main() -> Result<(), portledger_identity::Error> {
/// let table = "internal,from,to,customer\n\
///              2001:db8:0:100::/56,2026-03-01T00:00:00Z,,C-1007\n\
///              100.64.3.9,2026-03-01 00:00:00,,C-1008\n";
/// let mut intervals = Intervals::new(table.as_bytes())?;
/// assert!(matches!(intervals.next_line()?, Some(Line::Interval(_))));
/// let Some(Line::Reject(reject)) = intervals.next_line()? else { panic!() };
/// assert!(matches!(reject.reason, Reason::NoZone(_)));
/// assert!(intervals.next_line()?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Intervals<R> {
    input: R,
    header: Header,
    /// The number of the line read last, from 1.
    number: u64,
    line: Vec<u8>,
}

/// What a line says.
#[derive(Debug)]
pub enum Line {
    /// Who was behind a subscriber.
    Interval(Interval),
    /// Nothing that could be kept.
    Reject(Reject),
}

impl<R: BufRead> Intervals<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When the table cannot be read, and when its first line is no header.
    pub fn new(mut input: R) -> Result<Self, Error> {
        let mut line = Vec::new();
        let mut number = 0;
        loop {
            number += 1;
            let Some(whole) = read_line(&mut input, &mut line)? else {
                return Err(HeaderError::Empty.into());
            };
            let text = str::from_utf8(&line).ok().filter(|_| whole);
            let text = text.ok_or(HeaderError::Malformed)?;
            if !text.trim_start_matches('\u{feff}').trim().is_empty() {
                return Ok(Self {
                    header: Header::parse(text)?,
                    input,
                    number,
                    line,
                });
            }
        }
    }

    /// What the next line says; `None` after the last. Empty lines are passed over.
    ///
    /// # Errors
    /// When the table cannot be read further.
    pub fn next_line(&mut self) -> Result<Option<Line>, Error> {
        loop {
            let Some(whole) = read_line(&mut self.input, &mut self.line)? else {
                return Ok(None);
            };
            self.number = self.number.saturating_add(1);
            if self.line.trim_ascii().is_empty() {
                continue;
            }
            let read = if whole {
                self.read()
            } else {
                Err(Reason::TooLong(LONGEST))
            };
            return Ok(Some(match read {
                Ok(interval) => Line::Interval(interval),
                Err(reason) => Line::Reject(Reject {
                    line: self.number,
                    reason,
                    text: self.line.clone(),
                }),
            }));
        }
    }

    fn read(&self) -> Result<Interval, Reason> {
        let header = &self.header;
        let line = str::from_utf8(&self.line).map_err(|_| Reason::NotUtf8)?;
        let cells = cells(line, header.separator).map_err(|stray| match stray {
            Stray::Open => Reason::OpenQuote,
            Stray::Behind | Stray::Inside => Reason::StrayQuote,
        })?;
        if cells.len() != header.width {
            return Err(Reason::Cells {
                expected: header.width,
                found: cells.len(),
            });
        }
        let at = |place: usize| cells.get(place).map_or("", |cell| cell.trim());
        let cell = |column| header.place(column).map_or("", at);
        let realm = match cell(Column::Realm) {
            "" => Realm::default(),
            name => Realm::new(name).map_err(|_| Reason::Realm)?,
        };
        let prefix = Prefix::parse(cell(Column::Internal)).map_err(Reason::Internal)?;
        let from = time(Column::From, cell(Column::From))?;
        let to = match cell(Column::To) {
            "" => None,
            text => Some(time(Column::To, text)?),
        };
        let mut customer = Customer::new(cell(Column::Customer)).map_err(Reason::Customer)?;
        for (place, name) in &header.fields {
            let inserted = customer.insert(name, at(*place));
            inserted.map_err(|why| Reason::Field {
                column: place + 1,
                why,
            })?;
        }
        Interval::new(realm, prefix, from, to, customer).map_err(|_| Reason::Ends)
    }
}

fn time(column: Column, text: &str) -> Result<Timestamp, Reason> {
    text.parse().map_err(|error| Reason::time(column, &error))
}

/// Reads a line without its end; false where it is longer than the longest, of which the
/// beginning is read and the rest passed over. `None` after the last.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> Result<Option<bool>, Error> {
    line.clear();
    // The line, its end (two bytes), and one more that shows it to be longer.
    let mut limited = input.take(LONGEST as u64 + 2);
    let read = limited.read_until(b'\n', line).map_err(Error::Reading)?;
    if read == 0 {
        return Ok(None);
    }
    if line.pop_if(|last| *last == b'\n').is_some() {
        line.pop_if(|last| *last == b'\r');
    } else if line.len() > LONGEST {
        input.skip_until(b'\n').map_err(Error::Reading)?;
    }
    let whole = line.len() <= LONGEST;
    line.truncate(LONGEST);
    Ok(Some(whole))
}

#[cfg(test)]
mod tests;
