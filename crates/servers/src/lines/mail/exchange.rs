//! Exchange's protocol log of SMTP receive: comma-separated, its columns named by `#Fields:`, its
//! times in UTC. From Microsoft's documentation; not run.

use portledger_model::{Destination, Moment, Transport};

use super::super::{
    Lines,
    csv::Cells,
    entry::{Endpoint, Entry, NO_CLIENT},
};
use crate::{Options, Reason, Skip, fields::Fields, reader::Outcome, time::parse::Cursor};

/// Reads one file of the log.
#[derive(Debug, Default)]
pub(in crate::lines) struct ReceiveLog {
    columns: Option<Columns>,
    /// Of a log of what was sent, the remote end is the server that mail went to.
    is_of_sending: bool,
}

#[derive(Debug, Clone, Copy)]
struct Columns {
    time: usize,
    local: Option<usize>,
    remote: usize,
    event: Option<usize>,
}

impl Columns {
    fn read(fields: &[u8]) -> Option<Self> {
        let names: Vec<&[u8]> = fields
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .collect();
        let find = |name: &[u8]| names.iter().position(|known| *known == name);
        Some(Self {
            time: find(b"date-time")?,
            local: find(b"local-endpoint"),
            remote: find(b"remote-endpoint")?,
            event: find(b"event"),
        })
    }
}

impl Lines for ReceiveLog {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        if line.starts_with(b"#") {
            return self.header(line);
        }
        let Some(columns) = self.columns else {
            let expected = "#Fields: with date-time and remote-endpoint above".to_owned();
            return Err((0, Reason::Literal { expected }));
        };
        if self.is_of_sending {
            return NO_CLIENT;
        }
        row(columns, line, number, options)
    }
}

impl ReceiveLog {
    fn header(&mut self, line: &[u8]) -> Outcome {
        if let Some(kind) = line.strip_prefix(b"#Log-type: ") {
            self.is_of_sending = memchr::memmem::find(kind, b"Receive").is_none();
        }
        if let Some(fields) = line.strip_prefix(b"#Fields: ") {
            self.columns = Columns::read(fields);
            if self.columns.is_none() {
                return Err((
                    0,
                    Reason::HeaderColumn {
                        missing: "remote-endpoint",
                    },
                ));
            }
        }
        Ok(Err(Skip::Header))
    }
}

fn row(columns: Columns, line: &[u8], number: u64, options: &Options) -> Outcome {
    let mut cells = Cells::new(line, b',');
    let (mut time, mut local, mut remote, mut event) = (None, None, None, None);
    let last = [
        Some(columns.time),
        columns.local,
        Some(columns.remote),
        columns.event,
    ];
    let last = last.into_iter().flatten().max().unwrap_or_default();
    // What clients said stands behind these columns: it is not looked at.
    for index in 0..=last {
        let Some((_, cell)) = cells.next_cell()? else {
            let (found, expected) = (index, last + 1);
            return Err((line.len(), Reason::Columns { found, expected }));
        };
        if index == columns.time {
            time = Some(cell);
        } else if index == columns.remote {
            remote = Some(cell);
        } else if Some(index) == columns.local {
            local = Some(cell);
        } else if Some(index) == columns.event {
            event = Some(cell);
        }
    }
    let mut fields = Fields::over(Some(Transport::Tcp));
    let time = time.unwrap_or_default();
    let mut cursor = Cursor::new(&time, 0);
    if cursor.iso(&mut fields.end).is_none() || cursor.at != time.len() {
        let expected = "2026-11-21T10:53:22.123Z";
        return Err((0, Reason::Time { expected }));
    }
    let entry = Entry {
        fields,
        message: line,
        line,
        number,
        options,
    };
    let remote = remote.unwrap_or_default();
    if remote.is_empty() {
        return NO_CLIENT;
    }
    let Some(endpoint) = Endpoint::with_colon(&remote) else {
        return entry.no_endpoint("address:port in the column remote-endpoint");
    };
    let server = local.as_deref().and_then(Endpoint::with_colon);
    let server = server.map_or(Destination::default(), |server| Destination {
        address: Some(server.address),
        port: server.port,
    });
    let moment = match event.as_deref() {
        Some(b"+") => Moment::Connect,
        _ => Moment::Logged,
    };
    entry.seen(endpoint.at_server(server), moment)
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    #[test]
    fn the_columns_are_the_headers() {
        insta::assert_snapshot!(read_lines(
            "exchange-smtp",
            None,
            &[
                "\u{feff}#Software: Microsoft Exchange Server",
                "#Log-type: SMTP Receive Protocol Log",
                "#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context",
                r"2026-11-21T10:53:22.123Z,MBX\Default Frontend MBX,08D9A,0,192.0.2.25:25,203.0.113.7:49152,+,,",
                r"2026-11-21T10:53:22.123Z,MBX\Default Frontend MBX,08D9A,1,[2001:db8::25]:25,[2001:db8::7]:2026,<,EHLO 192.0.2.66:4242,",
                r#"2026-11-21T10:53:22.123Z,MBX\Default,08D9A,1,192.0.2.25:25,,<,"EHLO "",""",x"#,
                r"2026-11-21T10:53:22.123Z,MBX\Default,08D9A,1",
                "#Log-type: SMTP Send Protocol Log",
                r"2026-11-21T10:53:22.123Z,Out,08D9A,1,192.0.2.25:49152,192.0.2.26:25,+,,",
            ]
        ));
    }
}
