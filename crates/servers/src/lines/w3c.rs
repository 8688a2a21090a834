//! W3C Extended Log File Format as IIS, HTTP.sys and CloudFront write it, after their
//! documentation: `#Fields` names the columns, and may do so again in the middle of a file.

use std::borrow::Cow;

use portledger_model::{Moment, Transport};

use super::Lines;
use crate::{
    Header, Options, Reason, Skip, address,
    fields::{Fault, Fields, Found, Side, Times},
    forwarded::Headers,
    reader::Outcome,
    time::{Written, parse::Cursor},
};

/// Whose log it is: told by columns that only one of them has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// Separated by spaces; a space in a value is a plus sign.
    Iis,
    /// `httperr*.log`: what HTTP.sys did not hand on to a site.
    HttpErr,
    /// Separated by tabs.
    CloudFront,
}

impl Flavour {
    fn of(columns: &[&str]) -> Self {
        if columns.contains(&"x-edge-location") {
            Self::CloudFront
        } else if columns.contains(&"s-reason") {
            Self::HttpErr
        } else {
            Self::Iis
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Iis => "the columns of IIS in #Fields",
            Self::HttpErr => "the columns of HTTP.sys's error log (s-reason) in #Fields",
            Self::CloudFront => "the columns of CloudFront (x-edge-location) in #Fields",
        }
    }

    const fn separator(self) -> u8 {
        match self {
            Self::Iis | Self::HttpErr => b' ',
            Self::CloudFront => b'\t',
        }
    }

    /// CloudFront says that it is of the end; IIS and HTTP.sys do not say which moment it is.
    const fn moment(self) -> Moment {
        match self {
            Self::CloudFront => Moment::RequestEnd,
            Self::Iis | Self::HttpErr => Moment::Logged,
        }
    }
}

/// A table: the columns that its last `#Fields` named.
#[derive(Debug)]
pub(super) struct Table {
    flavour: Flavour,
    columns: Vec<Option<Column>>,
    /// What the column of the port is called, where one was taken.
    port: Option<String>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Date,
    Time,
    Address,
    Port,
    ServerAddress,
    ServerPort,
    Seconds,
    Header(Header),
}

/// What operators call a column of `REMOTE_PORT`, for which IIS has no name of its own. None of
/// these is the name of anything else.
const PORT_NAMES: &[&str] = &[
    "c-port",
    "remote_port",
    "remote-port",
    "remoteport",
    "client-port",
    "clientport",
];

impl Table {
    pub(super) const fn new(flavour: Flavour) -> Self {
        Self {
            flavour,
            columns: Vec::new(),
            port: None,
        }
    }

    fn header(&mut self, names: &str, options: &Options) -> Result<(), Reason> {
        let names: Vec<&str> = names.split_ascii_whitespace().collect();
        self.columns.clear();
        if Flavour::of(&names) != self.flavour {
            let expected = self.flavour.expected();
            return Err(Reason::Value { expected });
        }
        let columns: Vec<_> = names
            .iter()
            .map(|name| self.column(name, options))
            .collect();
        for (column, missing) in [
            (Column::Address, "c-ip"),
            (Column::Time, "time"),
            (Column::Date, "date"),
        ] {
            if !columns.contains(&Some(column)) {
                return Err(Reason::HeaderColumn { missing });
            }
        }
        let port = columns.iter().position(|it| *it == Some(Column::Port));
        self.port = port.and_then(|at| names.get(at).map(|&name| name.to_owned()));
        self.columns = columns;
        Ok(())
    }

    fn column(&self, name: &str, options: &Options) -> Option<Column> {
        if let Some(field) = &options.port_field {
            // The operator knows: no other column is the port.
            if name.eq_ignore_ascii_case(field) {
                return Some(Column::Port);
            }
        } else if PORT_NAMES
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
        {
            return Some(Column::Port);
        }
        Some(match name {
            "date" => Column::Date,
            "time" => Column::Time,
            "c-ip" => Column::Address,
            // CloudFront's is the edge's, of which there is no column.
            "s-ip" => Column::ServerAddress,
            "s-port" => Column::ServerPort,
            "time-taken" if self.flavour == Flavour::CloudFront => Column::Seconds,
            _ => {
                let inner = name
                    .strip_prefix("cs(")
                    .and_then(|name| name.strip_suffix(')'));
                Column::Header(Header::named(inner.unwrap_or(name))?)
            }
        })
    }

    fn row(&self, line: &[u8], number: u64, options: &Options) -> Result<Found, Fault> {
        let mut fields = Fields::over(Some(Transport::Tcp));
        let mut headers = Headers::default();
        let mut at = 0;
        let mut found = 0;
        for cell in line.split(|byte| *byte == self.flavour.separator()) {
            if let Some(Some(column)) = self.columns.get(found) {
                set(&mut fields, &mut headers, *column, cell).map_err(|reason| (at, reason))?;
            }
            at += cell.len() + 1;
            found += 1;
        }
        // The name of an application pool may have spaces; it is the last column.
        let expected = self.columns.len();
        if found < expected || (found > expected && self.flavour != Flavour::HttpErr) {
            return Err((line.len(), Reason::Columns { found, expected }));
        }
        fields.end.zone = Some(Written::Utc);
        if options.trust.is_any() {
            fields.look_behind(&headers, &options.trust);
        }
        fields.sighting(Times::End(self.flavour.moment()), options, number)
    }
}

impl Lines for Table {
    fn port_column(&self) -> Option<&str> {
        self.port.as_deref()
    }

    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        // A byte order mark, where a tool has put one.
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        if let Some(names) = line.strip_prefix(b"#Fields:") {
            let names = String::from_utf8_lossy(names);
            self.header(&names, options)
                .map_err(|reason| (line.len() - names.len().min(line.len()), reason))?;
            return Ok(Err(Skip::Header));
        }
        if line.starts_with(b"#") {
            return Ok(Err(Skip::Blank));
        }
        if self.columns.is_empty() {
            return Err((0, Reason::HeaderColumn { missing: "#Fields" }));
        }
        self.row(line, number, options).map(Ok)
    }
}

fn set<'a>(
    fields: &mut Fields,
    headers: &mut Headers<'a>,
    column: Column,
    cell: &'a [u8],
) -> Result<(), Reason> {
    let port = |cell: &[u8]| match cell {
        b"" | b"-" => Ok(None),
        _ => address::port(cell).map(Some).ok_or(Reason::Port),
    };
    match column {
        Column::Date => date(fields, cell)?,
        Column::Time => time(fields, cell)?,
        Column::Address => fields.set_address(Side::Remote, address::Written::read(cell), 0),
        Column::Port => fields.set_port(Side::Remote, port(cell)?),
        Column::ServerAddress => fields.destination.address = address::parse(cell),
        Column::ServerPort => fields.destination.port = port(cell)?,
        Column::Seconds => {
            let mut cursor = Cursor::new(cell, 0);
            fields.duration = cursor
                .epoch_seconds()
                .filter(|_| cursor.at == cell.len())
                .and_then(|epoch| Some((u64::try_from(epoch.micros).ok()?, epoch.step)))
                .map(|(micros, step)| (std::time::Duration::from_micros(micros), step));
        }
        Column::Header(header) => headers.set(header, plain(cell)),
    }
    Ok(())
}

fn date(fields: &mut Fields, cell: &[u8]) -> Result<(), Reason> {
    let mut cursor = Cursor::new(cell, 0);
    let pieces = &mut fields.end;
    let mut read = || {
        pieces.year = Some(cursor.year()?);
        cursor.byte(b'-')?;
        pieces.month = cursor.two()?;
        cursor.byte(b'-')?;
        pieces.day = cursor.two()?;
        (cursor.at == cell.len()).then_some(())
    };
    let expected = "2026-11-21";
    read().ok_or(Reason::Time { expected })
}

fn time(fields: &mut Fields, cell: &[u8]) -> Result<(), Reason> {
    let mut cursor = Cursor::new(cell, 0);
    let read = cursor.clock(&mut fields.end);
    let expected = "10:53:22";
    read.filter(|()| cursor.at == cell.len())
        .ok_or(Reason::Time { expected })
}

/// A value with its spaces back: IIS writes a plus sign, CloudFront `%20`.
fn plain(cell: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'+', b'%', cell).is_none() {
        return Cow::Borrowed(cell);
    }
    let mut plain = Vec::with_capacity(cell.len());
    let mut at = 0;
    while let Some(&byte) = cell.get(at) {
        let digits = cell
            .get(at + 1..at + 3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let coded = digits
            .filter(|_| byte == b'%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(match (byte, coded) {
            (_, Some(coded)) => coded,
            (b'+', _) => b' ',
            _ => byte,
        });
        at += if coded.is_some() { 3 } else { 1 };
    }
    Cow::Owned(plain)
}
