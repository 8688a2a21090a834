//! The Abuse Reporting Format (RFC 5965), whose `Source-Port` is RFC 6692's: a message of
//! multipart/report, a mailbox of such, or the part message/feedback-report alone.

use portledger_model::{Moment, Transport};

use super::{
    super::Lines,
    IN_BETWEEN, date,
    parts::{Part, Parts},
};
use crate::{
    Options, Reason,
    address::{self, Written},
    fields::{Fault, Fields, Side, Times},
    reader::Outcome,
};

/// Reads reports.
#[derive(Debug, Default)]
pub(in crate::lines) struct Arf {
    parts: Parts,
    /// The message had its part for machines: what follows is evidence.
    found: bool,
}

impl Lines for Arf {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        match self.parts.line(line, number) {
            Some(part) => self.part(&part, options).unwrap_or(IN_BETWEEN),
            None => IN_BETWEEN,
        }
    }

    fn end(&mut self, options: &Options) -> Option<Outcome> {
        let part = self.parts.end()?;
        self.part(&part, options)
    }
}

impl Arf {
    fn part(&mut self, part: &Part, options: &Options) -> Option<Outcome> {
        if part.place == 0 {
            self.found = false;
        }
        let fields = part.fields();
        let value = |name: &str| {
            fields
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value)
        };
        let is_report = match part.place {
            0 => value("feedback-type").is_some(),
            _ => value("content-type").is_some_and(|kind| {
                kind.to_ascii_lowercase()
                    .starts_with("message/feedback-report")
            }),
        };
        if !is_report || self.found {
            return None;
        }
        self.found = true;
        let is_encoded = value("content-transfer-encoding").is_some_and(|encoding| {
            !["7bit", "8bit", "binary"].contains(&encoding.to_ascii_lowercase().as_str())
        });
        if is_encoded {
            // RFC 5965 §3: it is to be 7bit.
            let expected = "a feedback report without an encoding";
            return Some(Err((0, Reason::Value { expected })));
        }
        Some(sighting(&fields, options, part.first_line))
    }
}

fn sighting(told: &[(String, String)], options: &Options, line: u64) -> Outcome {
    // What RFC 5965 §3.2 lets a report tell from where and when: each once.
    let once = |name: &str| -> Result<Option<&str>, Fault> {
        let mut all = told.iter().filter(|(known, _)| known == name);
        match (all.next(), all.next()) {
            (_, Some(_)) => {
                let expected = "each field of a feedback report once";
                Err((0, Reason::Value { expected }))
            }
            (found, None) => Ok(found.map(|(_, value)| value.as_str())),
        }
    };
    // Mail comes over TCP.
    let mut fields = Fields::over(Some(Transport::Tcp));
    let source = once("source-ip")?.unwrap_or_default();
    let source = source.strip_prefix("IPv6:").unwrap_or(source);
    fields.set_address(Side::Remote, Written::read(source.as_bytes()), 0);
    if let Some(port) = once("source-port")? {
        let port = address::port(port.as_bytes()).ok_or((0, Reason::Port))?;
        fields.set_port(Side::Remote, Some(port));
    }
    // `Received-Date` is the older name of it.
    let when = match once("arrival-date")? {
        Some(when) => Some(when),
        None => once("received-date")?,
    };
    let Some(when) = when else {
        return fields
            .sighting(Times::None(Moment::Logged), options, line)
            .map(Ok);
    };
    let expected = "Sat, 21 Nov 2026 10:53:22 +0100";
    fields.end = date::read(when).ok_or((0, Reason::Time { expected }))?;
    fields
        .sighting(Times::End(Moment::Logged), options, line)
        .map(Ok)
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    const HEAD: &[&str] = &[
        "From: <abuse@example.org>",
        "Date: Sat, 21 Nov 2026 12:00:00 +0000",
        "Subject: FW: Earn money",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=feedback-report;",
        "     boundary=\"part1_13d.2e68ed54_boundary\"",
        "",
        "--part1_13d.2e68ed54_boundary",
        "Content-Type: text/plain; charset=\"US-ASCII\"",
        "",
        "Source-IP: 192.0.2.66",
        "--part1_13d.2e68ed54_boundary",
        "Content-Type: message/feedback-report",
        "",
        "Feedback-Type: abuse",
        "User-Agent: SomeGenerator/1.0",
        "Version: 1",
        "Source-IP: 203.0.113.7",
        "Source-Port: 49152",
        "Arrival-Date: Sat, 21 Nov 2026",
        " 10:53:22 +0100",
        "--part1_13d.2e68ed54_boundary",
        "Content-Type: message/rfc822",
        "",
        "Content-Type: message/feedback-report; boundary=\"x\"",
        "Feedback-Type: abuse",
        "Source-IP: 192.0.2.66",
        "--x",
        "Content-Type: message/feedback-report",
        "Source-IP: 192.0.2.66",
        "--part1_13d.2e68ed54_boundary",
        "Content-Type: message/feedback-report",
        "Source-IP: 192.0.2.66",
    ];

    #[test]
    fn only_the_part_for_machines_is_read() {
        let end: &[&str] = &[
            "--part1_13d.2e68ed54_boundary--",
            "From x Sat Nov 21 12:00:00 2026",
        ];
        insta::assert_snapshot!(read_lines("arf", None, &[HEAD, end, HEAD].concat()));
    }

    #[test]
    fn the_part_alone() {
        let alone =
            |lines: &[&str]| read_lines("arf", None, &[&["Feedback-Type: abuse"], lines].concat());
        insta::assert_snapshot!(
            [
                alone(&[
                    "Source-IP: 2001:db8::7",
                    "Source-Port: 2026",
                    "Received-Date: Sat, 21 Nov 2026 10:53:22 EST"
                ]),
                alone(&[
                    "Source-IP: 203.0.113.7",
                    "Arrival-Date: Sat, 21 Nov 2026 10:53:22 CET"
                ]),
                alone(&["Source-IP: 203.0.113.7", "Source-IP: 192.0.2.66"]),
                alone(&["Source-Port: 1"]),
                alone(&["Source-IP: 203.0.113.7", "Source-Port: 65536"]),
                alone(&["Source-IP: 203.0.113.7", "Arrival-Date: yesterday"]),
            ]
            .join("--\n")
        );
    }
}
