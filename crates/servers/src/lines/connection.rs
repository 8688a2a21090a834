//! One connection a line: `epoch_ms ip port server_ip server_port request_id`, the log beside one
//! that must not change, and what `portledger watch` writes, which has the transport at the end.

use std::time::Duration;

use portledger_model::{Destination, Moment, Transport};

use super::{
    Lines,
    entry::{Endpoint, Entry as Message},
    programs::{Known, Program},
    syslog::Header,
};
use crate::{
    FormatError, Options, Reason, Skip,
    connection_log::{Entry, Line, Mark, NotEntry, PROGRAM, Record, Says},
    fields::{End, Fields, Side},
    pattern::{Element, Escaping, Field, Pattern, TimeForm, Traits},
    reader::Outcome,
    time::{Epoch, Pieces, recent::Recent},
};

/// What the watcher says to syslog.
pub(super) const KNOWN: Known = Known {
    name: "connection",
    is_of: |header| header.program == PROGRAM.as_bytes(),
    start: || Box::new(Watcher),
};

#[derive(Debug)]
struct Watcher;

impl Program for Watcher {
    fn read(&mut self, _: &Header<'_>, message: Message<'_>) -> Outcome {
        carried(Entry::parse(message.message.trim_ascii_start()), message)
    }
}

/// Reads a connection log.
#[derive(Debug)]
pub(super) struct Connection {
    pattern: Result<Pattern, FormatError>,
    recent: Recent,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self {
            pattern: pattern(),
            recent: Recent::default(),
        }
    }
}

impl Lines for Connection {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        let whole = || Message {
            fields: Fields::default(),
            message: line,
            line,
            number,
            options,
        };
        // No header begins with so many digits but one whose time is in seconds since 1970, and
        // then no address and port follow.
        let is_plain = line.iter().take(5).all(u8::is_ascii_digit);
        if !is_plain && let Some(told) = behind_header(line, whole) {
            return told;
        }
        if let Some(record) = Record::parse(line) {
            return seen(&record, whole());
        }
        // The pattern is a constant, and a test reads with it.
        let Ok(pattern) = &self.pattern else {
            return Ok(Err(Skip::NoClient));
        };
        match pattern.read(line, number, options, &mut self.recent) {
            Err(fault) if is_plain => behind_header(line, whole).unwrap_or(Err(fault)),
            read => read.map(Ok),
        }
    }
}

/// What a mark says, or a line behind a header of syslog's. Nothing of any other.
fn behind_header<'a>(line: &[u8], whole: impl Fn() -> Message<'a>) -> Option<Outcome> {
    match Line::parse(line) {
        Ok(Line::OfAnother) => Some(Ok(Err(Skip::OtherProgram))),
        Ok(Line::Own(entry) | Line::Carried(entry)) => Some(carried(Ok(entry), whole())),
        Err(NotEntry::Other) => None,
        Err(other) => Some(carried(Err(other), whole())),
    }
}

const NO_MARK: Reason = Reason::Value {
    expected: "a mark of the connection log",
};

const fn skipped(mark: &Mark) -> Skip {
    match mark.says {
        Says::LeftOut(_) => Skip::LeftOut,
        _ => Skip::Mark,
    }
}

/// An entry behind a header of syslog's. Its own time is the connection's; the header's is the
/// logger's.
fn carried(entry: Result<Entry, NotEntry>, message: Message<'_>) -> Outcome {
    match entry {
        Ok(Entry::Connection(record)) => seen(&record, message),
        Ok(Entry::Mark(mark)) => Ok(Err(skipped(&mark))),
        Err(NotEntry::Comment) => Ok(Err(Skip::Blank)),
        Err(NotEntry::Mark) => Err((message.at(), NO_MARK)),
        Err(NotEntry::Other) => message.no_endpoint("a line of the connection log"),
    }
}

fn seen(record: &Record, mut message: Message<'_>) -> Outcome {
    message.fields = Fields::over(Some(record.transport));
    message.fields.end = Pieces {
        epoch: Some(Epoch {
            micros: record.at.as_micros(),
            step: Duration::from_micros(1),
        }),
        ..Pieces::default()
    };
    let (address, port) = record.client;
    let server = Destination {
        address: Some(record.server.0),
        port: Some(record.server.1),
    };
    let endpoint = Endpoint::new(address, Some(port)).at_server(server);
    message.seen(endpoint, Moment::Connect)
}

fn pattern() -> Result<Pattern, FormatError> {
    let fields = [
        Field::Time(TimeForm::EpochMillis, End::End),
        Field::Address(Side::Remote),
        Field::Port(Side::Remote),
        Field::ServerAddress,
        Field::ServerPort,
        Field::Text,
    ];
    let mut elements = Vec::new();
    for field in fields {
        if !elements.is_empty() {
            elements.push(Element::Literal(b" ".to_vec()));
        }
        elements.push(Element::Field(field));
    }
    let places: Vec<usize> = (0..elements.len()).collect();
    let traits = Traits {
        escaping: Escaping::None,
        end: Moment::Logged,
        transport: Some(Transport::Tcp),
        ..Traits::HTTP
    };
    Pattern::new(elements, &places, traits)
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    #[test]
    fn what_the_watcher_writes_has_its_transport_and_marks_are_skipped() {
        insta::assert_snapshot!(read_lines(
            "connection",
            None,
            &[
                "# 1795258400.000000 start tcp=80,443 udp=none",
                "1795258402.123456 203.0.113.7 49152 192.0.2.80 443 tcp",
                "1795258402.123456 2001:db8::7 49152 2001:db8::80 443 udp",
                "1795258402.130021 203.0.113.8 40123 192.0.2.80 443 tcp hop=192.0.2.9:5000 front=192.0.2.1:443",
                "1795258402.140021 192.0.2.9 5001 192.0.2.80 443 tcp proxy=unknown",
                "1795258402123 203.0.113.7 49152 192.0.2.80 443 4f2a",
                "# 1795258404.000000 left-out from=1795258402.200000 to=1795258403.999000 connections=17 why=lost",
                "# 1795258404.000000 left-out from=1795258402.200",
                "# by hand: the disk was changed here",
                "# 1795258411.000000 stop",
            ]
        ));
    }

    #[test]
    fn a_connection_is_no_other_programs_line_nor_the_other_way_round() {
        let line = "1795258402.130021 203.0.113.8 40123 192.0.2.80 443 tcp";
        let own = read_lines("connection", None, &[line]);
        // The header's time is in seconds, and its host an address.
        let carried = format!("1795258403.5 192.0.2.9 portledger-watch[7]: {line}");
        assert_eq!(read_lines("connection", None, &[&carried]), own);
        insta::assert_snapshot!(read_lines(
            "connection",
            None,
            &[
                "1795258402130 203.0.113.8 40123 192.0.2.80 443 id: 7",
                "1795258403.5 192.0.2.9 cron[7]: 1795258402.130021 203.0.113.8 40123 192.0.2.80 443 tcp",
                "1795258402130 203.0.113.8 40123 192.0.2.80",
            ]
        ));
    }

    #[test]
    fn what_the_watcher_told_syslog_is_the_same() {
        let line = "1795258402.130021 203.0.113.8 40123 192.0.2.80 443 udp hop=192.0.2.9:5000 front=192.0.2.1:443";
        let own = read_lines("connection", None, &[line]);
        let header = "Nov 29 23:21:27 vm portledger-watch[7]: ";
        let carried = format!("{header}{line}");
        for format in ["connection", "syslog"] {
            assert_eq!(read_lines(format, None, &[&carried]), own, "{format}");
            insta::assert_snapshot!(
                format!("carried-{format}"),
                read_lines(
                    format,
                    None,
                    &[
                        &format!("{header}# 1795258404.000000 complete"),
                        &format!("{header}# 1795258404.000000 complet"),
                        &format!("{header}1795258402.130021 203.0.113.8 40123"),
                        "Nov 29 23:21:27 vm cron[7]: 1795258402.130021 203.0.113.8 40123 192.0.2.80 443 udp",
                    ]
                )
            );
        }
    }
}
