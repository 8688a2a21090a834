//! Tables with a header: `address,port,time` and what else people call these.

use std::borrow::Cow;

use portledger_model::{Moment, Transport};

use super::Lines;
use crate::{
    Options, Reason, Skip, address,
    fields::{Fault, Fields, Side, Times},
    reader::Outcome,
    time::parse::Cursor,
};

/// A table: its header once it was read.
#[derive(Debug, Default)]
pub(super) struct Table {
    header: Option<Header>,
}

#[derive(Debug, Clone)]
struct Header {
    separator: u8,
    columns: Vec<Option<Column>>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Address,
    Port,
    Time,
    Transport,
    ServerAddress,
    ServerPort,
}

const NAMES: &[(Column, &[&str])] = &[
    (
        Column::Address,
        &[
            "address",
            "ip",
            "ip_address",
            "source_address",
            "source_ip",
            "src_ip",
            "src_addr",
            "src",
            "client_ip",
            "client_address",
            "remote_addr",
            "remote_address",
            "remote_ip",
            "c_ip",
        ],
    ),
    (
        Column::Port,
        &[
            "port",
            "source_port",
            "src_port",
            "sport",
            "client_port",
            "remote_port",
            "c_port",
        ],
    ),
    (
        Column::Time,
        &[
            "time",
            "timestamp",
            "date",
            "datetime",
            "date_time",
            "at",
            "when",
            "event_time",
            "seen",
        ],
    ),
    (Column::Transport, &["transport", "protocol", "proto"]),
    (
        Column::ServerAddress,
        &[
            "destination_address",
            "destination_ip",
            "dest_ip",
            "dst_ip",
            "dst_addr",
            "dst",
            "server_address",
            "server_addr",
            "server_ip",
            "s_ip",
        ],
    ),
    (
        Column::ServerPort,
        &[
            "destination_port",
            "dest_port",
            "dst_port",
            "dport",
            "server_port",
            "s_port",
        ],
    ),
];

impl Lines for Table {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        if line.starts_with(b"#") {
            return Ok(Err(Skip::Blank));
        }
        match &self.header {
            None => {
                self.header = Some(header(line)?);
                Ok(Err(Skip::Header))
            }
            Some(header) => header.row(line, number, options).map(Ok),
        }
    }
}

fn header(line: &[u8]) -> Result<Header, Fault> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let separator = [b',', b';', b'\t']
        .into_iter()
        .max_by_key(|separator| {
            (
                line.iter().filter(|byte| *byte == separator).count(),
                *separator == b',',
            )
        })
        .unwrap_or(b',');
    let mut columns = Vec::new();
    let mut cells = Cells::new(line, separator);
    while let Some((_, cell)) = cells.next_cell()? {
        let name: String = String::from_utf8_lossy(&cell)
            .trim()
            .to_ascii_lowercase()
            .replace([' ', '-', '.'], "_");
        let column = NAMES
            .iter()
            .find(|(_, names)| names.contains(&name.as_str()));
        columns.push(column.map(|(column, _)| *column));
    }
    for (column, missing) in [(Column::Address, "address"), (Column::Time, "time")] {
        if !columns.contains(&Some(column)) {
            return Err((0, Reason::HeaderColumn { missing }));
        }
    }
    Ok(Header { separator, columns })
}

impl Header {
    fn row(
        &self,
        line: &[u8],
        number: u64,
        options: &Options,
    ) -> Result<crate::fields::Found, Fault> {
        let mut fields = Fields::default();
        let mut cells = Cells::new(line, self.separator);
        let mut found = 0;
        let has_port = self.columns.contains(&Some(Column::Port));
        while let Some((at, cell)) = cells.next_cell()? {
            if let Some(Some(column)) = self.columns.get(found) {
                set(&mut fields, *column, at, cell.trim_ascii(), has_port)?;
            }
            found += 1;
        }
        let expected = self.columns.len();
        if found != expected {
            return Err((line.len(), Reason::Columns { found, expected }));
        }
        fields.sighting(Times::End(Moment::Logged), options, number)
    }
}

fn set(
    fields: &mut Fields,
    column: Column,
    at: usize,
    cell: &[u8],
    has_port: bool,
) -> Result<(), Fault> {
    let port = |cell: &[u8]| match cell {
        b"" | b"-" => Ok(None),
        _ => address::port(cell).map(Some).ok_or((at, Reason::Port)),
    };
    match column {
        Column::Address => match address::endpoint(cell) {
            Some((address, port)) if !has_port && is_endpoint(cell) => {
                fields.set_address(Side::Remote, address::Written::Ip(address), at);
                fields.set_port(Side::Remote, Some(port));
            }
            _ => fields.set_address(Side::Remote, address::Written::read(cell), at),
        },
        Column::Port => fields.set_port(Side::Remote, port(cell)?),
        Column::Time => time(fields, at, cell)?,
        Column::Transport => {
            let text = String::from_utf8_lossy(cell);
            fields.transport = match text.as_ref() {
                "" | "-" => None,
                text => Some(text.parse::<Transport>().map_err(|_| {
                    let expected = "tcp, udp or icmp";
                    (at, Reason::Value { expected })
                })?),
            };
        }
        Column::ServerAddress => fields.destination.address = address::parse(cell),
        Column::ServerPort => fields.destination.port = port(cell)?,
    }
    Ok(())
}

/// `192.0.2.1:4242` and `[2001:db8::1]:4242`; `2001:db8::1` alone is an address.
fn is_endpoint(cell: &[u8]) -> bool {
    cell.starts_with(b"[") || memchr::memchr_iter(b':', cell).count() == 1
}

/// ISO 8601, the Common Log Format's time, or a number since 1970.
fn time(fields: &mut Fields, at: usize, cell: &[u8]) -> Result<(), Fault> {
    fields.time_at = at;
    let mut cursor = Cursor::new(cell, 0);
    let read = if cell.get(4) == Some(&b'-') {
        cursor.iso(&mut fields.end)
    } else if cell.get(2) == Some(&b'/') {
        cursor.common_log(&mut fields.end)
    } else {
        cursor.epoch().map(|epoch| fields.end.epoch = Some(epoch))
    };
    // What is left over may be the half of the day: never to be passed over.
    if read.is_some() && cursor.at == cell.len() {
        return Ok(());
    }
    let expected = "2026-11-21T10:53:22.000Z, or with an offset; hours 00 to 23";
    Err((at + cursor.at.min(cell.len()), Reason::Time { expected }))
}

/// The cells of a row (RFC 4180 §2), except that a quoted cell ends on its line.
pub(super) struct Cells<'a> {
    line: &'a [u8],
    separator: u8,
    /// Where the next cell begins; `None` after the last.
    at: Option<usize>,
}

/// Where a cell begins, and its text without its quotes.
pub(super) type Cell<'a> = (usize, Cow<'a, [u8]>);

impl<'a> Cells<'a> {
    pub(super) const fn new(line: &'a [u8], separator: u8) -> Self {
        Self {
            line,
            separator,
            at: Some(0),
        }
    }

    /// The next cell; `None` behind the last.
    pub(super) fn next_cell(&mut self) -> Result<Option<Cell<'a>>, Fault> {
        let Some(start) = self.at else {
            return Ok(None);
        };
        let rest = self.line.get(start..).unwrap_or_default();
        if rest.first() == Some(&b'"') {
            let (cell, length) = quoted(rest).ok_or((start, Reason::OpenQuote))?;
            self.at = match rest.get(length) {
                None => None,
                Some(byte) if *byte == self.separator => Some(start + length + 1),
                Some(_) => {
                    let expected = "the end of the quoted field";
                    return Err((start + length, Reason::Value { expected }));
                }
            };
            return Ok(Some((start, cell)));
        }
        let length = memchr::memchr(self.separator, rest);
        self.at = length.map(|length| start + length + 1);
        let cell = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
        Ok(Some((start, Cow::Borrowed(cell))))
    }
}

/// The text of a quoted cell, where two quotes are one, and its length with its quotes.
fn quoted(rest: &[u8]) -> Option<(Cow<'_, [u8]>, usize)> {
    let mut at = 1;
    loop {
        at += memchr::memchr(b'"', rest.get(at..)?)?;
        if rest.get(at + 1) != Some(&b'"') {
            break;
        }
        at += 2;
    }
    let inside = rest.get(1..at)?;
    let cell = match memchr::memmem::find(inside, b"\"\"") {
        None => Cow::Borrowed(inside),
        Some(_) => {
            let mut cell = Vec::with_capacity(inside.len());
            let mut bytes = inside.iter();
            while let Some(byte) = bytes.next() {
                cell.push(*byte);
                if *byte == b'"' {
                    bytes.next();
                }
            }
            Cow::Owned(cell)
        }
    };
    Some((cell, at + 1))
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    #[test]
    fn columns_by_the_names_people_give_them() {
        insta::assert_snapshot!(read_lines(
            "csv",
            None,
            &[
                "Source IP,Source Port,Timestamp,Protocol,Destination Port,Note",
                "203.0.113.7,49152,2026-11-21T10:53:22.123Z,TCP,443,\"a, \"\"b\"\"\"",
                "2001:db8::1,,1795258402,udp,,x",
                "203.0.113.7,0,2026-11-21 10:53:22,tcp,443,no zone",
                "203.0.113.7,49152,2026-11-21 10:53:22 PM,tcp,443,half of a day",
                "203.0.113.7,49152,2026-11-21T10:53:22Z,tcp,443",
                "203.0.113.7,70000,2026-11-21T10:53:22Z,tcp,443,x",
                "203.0.113.7,49152,2026-11-21T10:53:22Z,tcp,443,\"open",
            ]
        ));
    }

    #[test]
    fn an_address_column_may_hold_the_port() {
        insta::assert_snapshot!(read_lines(
            "csv",
            None,
            &[
                "time;address",
                "2026-11-21T10:53:22+01:00;[2001:db8::1]:49152",
                "2026-11-21T10:53:22+01:00;203.0.113.7:49152",
                "2026-11-21T10:53:22+01:00;2001:db8::1",
            ]
        ));
    }

    #[test]
    fn a_header_without_a_time_is_refused() {
        insta::assert_snapshot!(read_lines("csv", None, &["ip,port"]));
    }
}
