//! One connection a line: `epoch_ms ip port server_ip server_port request_id`, the log beside one
//! that must not change, and what `portledger watch` writes, which has the transport at the end.

use portledger_model::{Moment, Transport};

use super::Lines;
use crate::{
    FormatError, Options, Reason, Skip,
    connection_log::{Entry, NotEntry, Says},
    fields::{End, Side},
    pattern::{Element, Escaping, Field, Pattern, TimeForm, Traits},
    reader::Outcome,
    time::recent::Recent,
};

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
        let entry = Entry::parse(line);
        match &entry {
            Ok(Entry::Mark(mark)) => {
                return Ok(Err(match mark.says {
                    Says::LeftOut(_) => Skip::LeftOut,
                    _ => Skip::Mark,
                }));
            }
            Err(NotEntry::Comment) => return Ok(Err(Skip::Blank)),
            Err(NotEntry::Mark) => {
                let expected = "a mark of the connection log";
                return Err((0, Reason::Value { expected }));
            }
            Ok(Entry::Connection(_)) | Err(NotEntry::Other) => {}
        }
        // The pattern is a constant, and a test reads with it.
        let Ok(pattern) = &self.pattern else {
            return Ok(Err(Skip::NoClient));
        };
        let mut found = pattern.read(line, number, options, &mut self.recent)?;
        if let Ok(Entry::Connection(record)) = entry {
            found.sighting.transport = Some(record.transport);
            found.sighting.moment = Moment::Connect;
        }
        Ok(Ok(found))
    }
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
}
