//! X-ARF: version 4's JSON (`source_identifier`, `source_port`, `timestamp`), the JSON of the
//! versions before it, and the message whose second part is YAML of the oldest.
//!
//! `Port` of the oldest is the port that was attacked: it is not read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use portledger_model::{Moment, Transport};
use serde_json::{Map, Value};

use super::{
    super::Lines,
    IN_BETWEEN, date,
    parts::{Part, Parts},
};
use crate::{
    Options, Reason,
    address::{self, Written},
    fields::{Fields, Side, Times},
    reader::Outcome,
};

/// What the first lines of a report have, one at a line's beginning, that nothing else has.
pub(crate) const MARKS: &[&str] = &["X-XARF:", "X-ARF:", "Schema-URL: http"];

/// Reads reports: an object a line, an object over many lines, or mail.
#[derive(Debug, Default)]
pub(in crate::lines) struct Xarf {
    parts: Parts,
    braces: Braces,
}

/// Follows an object that stands alone, so that it is read once, at its end.
#[derive(Debug, Default)]
struct Braces {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Braces {
    /// Whether the line ends an object.
    fn end_in(&mut self, line: &[u8]) -> bool {
        let mut ended = false;
        for byte in line {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' if self.depth > 0 => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' => self.depth += 1,
                b'}' => {
                    self.depth = self.depth.saturating_sub(1);
                    ended = self.depth == 0;
                }
                _ => {}
            }
        }
        ended
    }
}

impl Lines for Xarf {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        if let Some(part) = self.parts.line(line, number) {
            return match part.place {
                // The first is for people, those behind the second are evidence.
                2 => report(&part, options),
                _ => IN_BETWEEN,
            };
        }
        let is_alone = |part: &Part| {
            part.lines
                .first()
                .is_some_and(|line| line.starts_with(b"{"))
        };
        if self.parts.alone().is_some_and(is_alone)
            && self.braces.end_in(line)
            && let Some(part) = self.parts.end()
        {
            self.braces = Braces::default();
            return report(&part, options);
        }
        IN_BETWEEN
    }

    fn end(&mut self, options: &Options) -> Option<Outcome> {
        let part = self.parts.end()?;
        let is_alone = part.place == 0 && begins_a_report(&part);
        (is_alone || part.place == 2).then(|| report(&part, options))
    }
}

fn begins_a_report(part: &Part) -> bool {
    let first = part
        .lines
        .iter()
        .find(|line| !line.is_empty() && *line != b"---");
    first.is_some_and(|line| line.starts_with(b"{"))
        || part.fields().iter().any(|(name, _)| name == "report-type")
}

const EXPECTED: &str = "a report of X-ARF";

fn report(part: &Part, options: &Options) -> Outcome {
    if part.is_too_long {
        let expected = "a report of at most 8 MiB";
        return Err((0, Reason::Value { expected }));
    }
    let told = match json(part) {
        Some(object) => Told::of_json(&object),
        None => Told::of_fields(&part.fields()),
    };
    let Some(told) = told else {
        return Err((0, Reason::Value { expected: EXPECTED }));
    };
    told.sighting(options, part.first_line)
}

/// The object in the part, behind the part's own header and in base64 where that says so.
fn json(part: &Part) -> Option<Map<String, Value>> {
    let header = part.fields();
    let is_base64 = header.iter().any(|(name, value)| {
        name == "content-transfer-encoding" && value.eq_ignore_ascii_case("base64")
    });
    let is_of_header = |line: &[u8]| {
        line.starts_with(b" ")
            || line.starts_with(b"\t")
            || line.to_ascii_lowercase().starts_with(b"content-")
    };
    let mut body = part
        .lines
        .iter()
        .skip_while(|line| part.place > 0 && is_of_header(line));
    let text: Vec<u8> = if is_base64 {
        let encoded: Vec<u8> = body
            .flatten()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        STANDARD.decode(encoded).ok()?
    } else {
        let first = body.next()?;
        first.starts_with(b"{").then_some(())?;
        let mut text = first.clone();
        for line in body {
            text.push(b'\n');
            text.extend(line);
        }
        text
    };
    serde_json::from_slice(&text).ok()
}

/// What a report says, in whatever version's names.
#[derive(Debug, Default)]
struct Told {
    source: String,
    port: Option<u64>,
    when: Option<String>,
    protocol: Option<String>,
    destination: Option<String>,
    destination_port: Option<u64>,
}

impl Told {
    fn of_json(report: &Map<String, Value>) -> Option<Self> {
        if report.contains_key("xarf_version") {
            return Some(Self::named(
                report,
                [
                    "source_identifier",
                    "source_port",
                    "timestamp",
                    "protocol",
                    "destination_ip",
                    "destination_port",
                ],
            ));
        }
        if let Some(Value::Object(report)) = report.get("Report") {
            return Some(Self::named(
                report,
                [
                    "SourceIp",
                    "SourcePort",
                    "Date",
                    "Protocol",
                    "DestinationIp",
                    "DestinationPort",
                ],
            ));
        }
        report.contains_key("Report-Type").then(|| {
            Self::named(
                report,
                [
                    "Source",
                    "Source-Port",
                    "Date",
                    "Protocol",
                    "Destination",
                    "Destination-Port",
                ],
            )
        })
    }

    fn named(report: &Map<String, Value>, names: [&str; 6]) -> Self {
        let [source, port, when, protocol, destination, destination_port] = names;
        let text = |name: &str| report.get(name).and_then(Value::as_str).map(str::to_owned);
        // Some write numbers as text.
        let number = |name: &str| {
            let value = report.get(name)?;
            value
                .as_u64()
                .or_else(|| Some(value.as_str()?.parse().unwrap_or(u64::MAX)))
        };
        Self {
            source: text(source).unwrap_or_default(),
            port: number(port),
            when: text(when),
            protocol: text(protocol),
            destination: text(destination),
            destination_port: number(destination_port),
        }
    }

    /// `Source: 192.0.2.1`: all the YAML that reports have.
    fn of_fields(fields: &[(String, String)]) -> Option<Self> {
        let value = |name: &str| {
            let (_, value) = fields.iter().find(|(known, _)| known == name)?;
            Some(value.trim_matches(['"', '\'']).to_owned())
        };
        value("report-type")?;
        Some(Self {
            source: value("source").unwrap_or_default(),
            port: value("source-port").map(|port| port.parse().unwrap_or(u64::MAX)),
            when: value("date"),
            protocol: value("protocol"),
            destination: value("destination"),
            destination_port: value("destination-port").and_then(|port| port.parse().ok()),
        })
    }

    fn sighting(&self, options: &Options, line: u64) -> Outcome {
        let protocol = self.protocol.as_deref().map(str::to_ascii_lowercase);
        let mut fields = Fields::over(match protocol.as_deref() {
            Some("smtp") => Some(Transport::Tcp),
            Some(protocol) => protocol.parse().ok(),
            None => None,
        });
        fields.set_address(Side::Remote, Written::read(self.source.as_bytes()), 0);
        if let Some(port) = self.port {
            let port = u16::try_from(port).map_err(|_| (0, Reason::Port))?;
            fields.set_port(Side::Remote, Some(port));
        }
        let destination = self.destination.as_deref();
        fields.destination.address = destination.and_then(|text| address::parse(text.as_bytes()));
        fields.destination.port = self
            .destination_port
            .and_then(|port| u16::try_from(port).ok());
        let Some(when) = &self.when else {
            return fields
                .sighting(Times::None(Moment::Logged), options, line)
                .map(Ok);
        };
        let expected = "2026-11-21T10:53:22Z";
        fields.end = date::read(when).ok_or((0, Reason::Time { expected }))?;
        fields
            .sighting(Times::End(Moment::Logged), options, line)
            .map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    #[test]
    fn objects_of_each_version() {
        insta::assert_snapshot!(read_lines(
            "xarf",
            None,
            &[
                r#"{"xarf_version":"4.0.0","source_identifier":"203.0.113.7","source_port":49152,"timestamp":"2026-11-21T10:53:22.123Z","category":"connection","type":"login_attack","protocol":"tcp","destination_ip":"192.0.2.22","destination_port":22,"first_seen":"2026-11-21T10:00:00Z"}"#,
                r#"{"Version":"3","ReporterInfo":{},"Report":{"ReportType":"Login-Attack","Date":"2026-11-21T10:53:22+01:00","SourceIp":"2001:db8::7","SourcePort":2026,"DestinationPort":22}}"#,
                r#"{"Report-Type":"login-attack","Source":"203.0.113.7","Source-Type":"ipv4","Port":22,"Date":"Sat, 21 Nov 2026 10:53:22 +0100"}"#,
                r#"{"xarf_version":"4.0.0","source_identifier":"example.org","timestamp":"2026-11-21T10:53:22Z"}"#,
                r#"{"xarf_version":"4.0.0","source_identifier":"203.0.113.7","source_port":65536,"timestamp":"2026-11-21T10:53:22Z"}"#,
                r#"{"other":"203.0.113.7"}"#,
                "{",
                r#"  "xarf_version": "4.0.0","#,
                r#"  "evidence": {"#,
                "  },",
                r#"  "source_identifier": "203.0.113.7","#,
                r#"  "timestamp": "2026-11-21T10:53:22Z""#,
                "}",
            ]
        ));
    }

    #[test]
    fn the_attacked_port_is_not_the_source_port() {
        let mail: &[&str] = &[
            "From: <abuse@example.org>",
            "Date: Sat, 21 Nov 2026 12:00:00 +0000",
            "X-XARF: PLAIN",
            "Content-Type: multipart/mixed; charset=utf8; boundary=Abuse-123;",
            "",
            "--Abuse-123",
            "Content-Type: text/plain",
            "Source: 192.0.2.66",
            "--Abuse-123",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; name=\"report.txt\"",
            "",
            "---",
            "Reported-From: abuse@example.org",
            "Category: abuse",
            "Report-Type: login-attack",
            "Service: ssh",
            "Port: 22",
            "Source: 203.0.113.7",
            "Source-Type: ip-address",
            "Date: Sat, 21 Nov 2026 10:53:22 +0100",
            "Schema-URL: http://www.example.org/schema.json",
            "--Abuse-123",
            "Content-Type: text/plain; name=\"logfile.log\"",
            "",
            "Report-Type: login-attack",
            "Source: 192.0.2.66",
            "--Abuse-123--",
        ];
        insta::assert_snapshot!(read_lines("xarf", None, mail));
    }

    #[test]
    fn an_object_in_base64() {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let object = r#"{"xarf_version":"4.0.0","source_identifier":"203.0.113.7","source_port":49152,"timestamp":"2026-11-21T10:53:22Z"}"#;
        let encoded = STANDARD.encode(object);
        let (one, two) = encoded.split_at(76);
        insta::assert_snapshot!(read_lines(
            "xarf",
            None,
            &[
                "Content-Type: multipart/mixed;",
                "\tboundary=\"b\"",
                "--b",
                "Content-Type: text/plain",
                "--b",
                "Content-Type: application/json; name=\"xarf.json\"",
                "Content-Transfer-Encoding: base64",
                one,
                two,
                "--b--",
            ]
        ));
    }
}
