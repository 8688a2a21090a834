//! PostgreSQL's csvlog and jsonlog, which have the client of every line, address and port.

use portledger_model::{Moment, Transport};
use serde_json::Value;

use super::super::{
    Lines,
    csv::Cells,
    entry::{Endpoint, Entry, NO_CLIENT},
};
use crate::{Options, Reason, address, fields::Fields, reader::Outcome, time::parse::Cursor};

/// Reads csvlog. A row goes on over the ends of lines inside its quotes: such lines are what a
/// client wrote.
#[derive(Debug, Default)]
pub(in crate::lines) struct Csv {
    /// Whether a quote of the row before is open.
    open: bool,
}

/// The columns up to that of the client: time, user, database, process, client.
const CLIENT: usize = 4;

impl Lines for Csv {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        let goes_on = self.open;
        // Quotes inside quotes are doubled, so an odd number opens or closes.
        self.open ^= memchr::memchr_iter(b'"', line).count() % 2 == 1;
        if goes_on {
            return NO_CLIENT;
        }
        let mut cells = Cells::new(line, b',');
        let mut fields = Fields::over(Some(Transport::Tcp));
        let mut client = None;
        for index in 0..=CLIENT {
            let Some((at, cell)) = cells.next_cell()? else {
                let (found, expected) = (index, 26);
                return Err((line.len(), Reason::Columns { found, expected }));
            };
            if index == 0 {
                read_time(&cell, &mut fields)?;
            } else if index == CLIENT {
                client = Some((at, cell));
            }
        }
        let (at, client) = client.unwrap_or_default();
        let entry = Entry {
            fields,
            message: line.get(at..).unwrap_or_default(),
            line,
            number,
            options,
        };
        match client.as_ref() {
            b"" | b"[local]" => NO_CLIENT,
            client => match Endpoint::with_colon(client) {
                Some(endpoint) => entry.seen(endpoint, Moment::Logged),
                None => Err((at, Reason::HostName)),
            },
        }
    }
}

fn read_time(text: &[u8], fields: &mut Fields) -> Result<(), crate::fields::Fault> {
    let mut cursor = Cursor::new(text, 0);
    match cursor.abbreviated(&mut fields.end) {
        Some(()) if cursor.at == text.len() => Ok(()),
        _ => {
            let expected = "2026-11-21 10:53:22.123 UTC";
            Err((cursor.at.min(text.len()), Reason::Time { expected }))
        }
    }
}

/// Reads jsonlog: an object a line.
#[derive(Debug)]
pub(in crate::lines) struct Json;

impl Lines for Json {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        let expected = "an object of PostgreSQL's jsonlog";
        let Ok(Value::Object(row)) = serde_json::from_slice(line) else {
            return Err((0, Reason::Value { expected }));
        };
        let text = |name: &str| row.get(name).and_then(Value::as_str);
        let Some(time) = text("timestamp").filter(|_| row.contains_key("error_severity")) else {
            return Err((0, Reason::Value { expected }));
        };
        let mut fields = Fields::over(Some(Transport::Tcp));
        read_time(time.as_bytes(), &mut fields)?;
        let host = match text("remote_host") {
            None | Some("[local]" | "") => return NO_CLIENT,
            Some(host) => host,
        };
        let Some(address) = address::parse(host.as_bytes()) else {
            return Err((0, Reason::HostName));
        };
        let port = row.get("remote_port").and_then(Value::as_u64);
        let port = port.and_then(|port| u16::try_from(port).ok());
        let entry = Entry {
            fields,
            message: line,
            line,
            number,
            options,
        };
        entry.seen(Endpoint::new(address, port), Moment::Logged)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    #[test]
    fn a_row_goes_on_inside_its_quotes() {
        insta::assert_snapshot!(read_lines(
            "postgresql-csv",
            None,
            &[
                r#"2026-11-21 10:53:22.123 UTC,"a, ""b"" 192.0.2.66:4242","c",7,"203.0.113.7:49152",6b.7,1,"SELECT",2026-11-21 10:53:22 UTC,3/1,0,LOG,00000,"statement: select"#,
                r#"2026-11-21 10:53:22.123 UTC,""x"",""y"",7,""192.0.2.66:4242"",z"#,
                r#"",,,,,,,,,"psql","client backend",,0"#,
                r#"2026-11-21 10:53:22.123 EST,,,7,"2001:db8::7:2026",6b.7,1,"","#,
                r#"2026-11-21 10:53:22.123 UTC,"a","b",7,"[local]",6b.7,1,"","#,
                r#"2026-11-21 10:53:22.123 UTC,,,1,,6b.7,1,,"#,
                r#"2026-11-21 10:53:22.123 UTC,,,7,"a.example.org:49152",6b.7"#,
            ]
        ));
    }

    #[test]
    fn an_object_a_line() {
        insta::assert_snapshot!(read_lines(
            "postgresql-json",
            None,
            &[
                r#"{"timestamp":"2026-11-21 10:53:22.123 UTC","user":"x\",\"remote_host\":\"192.0.2.66","pid":7,"remote_host":"203.0.113.7","remote_port":49152,"error_severity":"LOG","message":"m"}"#,
                r#"{"timestamp":"2026-11-21 10:53:22.123 UTC","pid":7,"error_severity":"LOG","message":"m"}"#,
                r#"{"timestamp":"2026-11-21 10:53:22.123 UTC","pid":7,"remote_host":"203.0.113.7"}"#,
                "{",
            ]
        ));
    }
}
