//! Cyrus IMAP: its event notifications (`event_notifier: log`), which have the client's port for
//! logins that succeed, and its own lines of logins, which have the address alone. As Cyrus 3.6
//! wrote them.

use portledger_model::{Destination, Moment};
use serde_json::Value;

use super::super::{
    entry::{Endpoint, Entry, NO_CLIENT},
    programs::{Known, Program},
    syslog::Header,
};
use crate::{
    address,
    reader::Outcome,
    time::{Pieces, parse::Cursor},
};

pub(in crate::lines) const KNOWN: Known = Known {
    name: "cyrus",
    is_of: |header| {
        let services: &[&[u8]] = &[
            b"imap", b"imaps", b"pop3", b"pop3s", b"sieve", b"nntp", b"lmtp", b"notify",
            b"notifyd", b"http", b"https",
        ];
        header.program.starts_with(b"cyrus/") || services.contains(&header.program)
    },
    start: || Box::new(Cyrus),
};

#[derive(Debug)]
struct Cyrus;

/// What notifyd writes before an event: its class and four fields that events leave empty. Notices
/// of other classes, among them what a user's Sieve script says, name theirs here.
const EVENT: &[u8] = b"EVENT, , , ,  \"";

impl Program for Cyrus {
    fn read(&mut self, _: &Header<'_>, entry: Entry<'_>) -> Outcome {
        if let Some(event) = entry.message.strip_prefix(EVENT) {
            return notified(entry, event);
        }
        for words in [&b"login: "[..], b"badlogin: "] {
            if let Some(client) = entry.message.strip_prefix(words) {
                return match login(client) {
                    Some(endpoint) => entry.seen(endpoint, Moment::Logged),
                    None => NO_CLIENT,
                };
            }
        }
        NO_CLIENT
    }
}

/// `name [192.0.2.1] user …`: the name is that of the address's reverse zone.
fn login(client: &[u8]) -> Option<Endpoint> {
    let open = memchr::memchr(b'[', client)?;
    let name = client.get(..open)?;
    let is_name = !name.trim_ascii_end().contains(&b' ');
    is_name.then_some(())?;
    Endpoint::bracketed(client.get(open..)?).map(|(endpoint, _)| endpoint)
}

/// `{"event":"Login",…}"`, whose last quote is notifyd's.
fn notified<'a>(mut entry: Entry<'a>, event: &'a [u8]) -> Outcome {
    const EXPECTED: &str = "an event of Cyrus with clientIP, clientPort and timestamp";
    let object = event.strip_suffix(b"\"").unwrap_or_default();
    let Ok(Value::Object(event)) = serde_json::from_slice(object) else {
        return entry.no_endpoint(EXPECTED);
    };
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let Some(client) = text("clientIP") else {
        return NO_CLIENT;
    };
    let Some(address) = address::parse(client.as_bytes()) else {
        return entry.no_endpoint(EXPECTED);
    };
    let port = |name: &str| u16::try_from(event.get(name)?.as_u64()?).ok();
    let server = Destination {
        address: text("serverDomain").and_then(|text| address::parse(text.as_bytes())),
        port: port("serverPort"),
    };
    if let Some(timestamp) = text("timestamp") {
        let mut pieces = Pieces::default();
        let mut cursor = Cursor::new(timestamp.as_bytes(), 0);
        if cursor.iso(&mut pieces).is_none() || cursor.at != timestamp.len() {
            return entry.no_endpoint(EXPECTED);
        }
        entry.fields.end = pieces;
    }
    let endpoint = Endpoint::new(address, port("clientPort")).at_server(server);
    entry.seen(endpoint, Moment::Logged)
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    #[test]
    fn events_have_the_port() {
        insta::assert_snapshot!(read_lines(
            "cyrus",
            None,
            &[
                r#"2026-11-21T10:53:22.121816+00:00 mail cyrus/notify[7]: EVENT, , , ,  "{"event":"Login","timestamp":"2026-11-21T11:53:22.121+01:00","service":"imap","serverDomain":"192.0.2.1","serverPort":143,"clientIP":"203.0.113.7","clientPort":49152,"uri":"imap://mail","pid":1,"user":"{\"clientIP\":\"192.0.2.66\"}"}""#,
                r#"2026-11-21T10:53:22.133293+00:00 mail notifyd[7]: EVENT, , , ,  "{"event":"Logout","timestamp":"2026-11-21T10:53:22.132Z","clientIP":"2001:db8::7","clientPort":2026}""#,
                r#"2026-11-21T10:53:22+00:00 mail notifyd[7]: EVENT, , , ,  "{"event":"MailboxCreate","uri":"imap://mail/INBOX"}""#,
                "2026-11-21T10:53:22+00:00 mail cyrus/imap[1]: badlogin: a.example.org [203.0.113.7] plaintext x [192.0.2.66] SASL(-13)",
                "2026-11-21T10:53:22+00:00 mail cyrus/imap[1]: login: [203.0.113.7] alice plaintext User logged in",
                r#"2026-11-21T10:53:22+00:00 mail notifyd[7]: EVENT, , , ,  "{"event":"Login","clientIP":"x"}""#,
                r#"2026-11-21T10:53:22+00:00 mail notifyd[7]: EVENT, , , ,  "{"event":"Login","clientIP":"192.0.2.66""#,
                r#"2026-11-21T10:53:22+00:00 mail notifyd[7]: SIEVE, , alice, INBOX,  "{"clientIP":"192.0.2.66","clientPort":1}""#,
                r#"2026-11-21T10:53:22+00:00 mail cyrus/imap[1]: {"clientIP":"192.0.2.66","clientPort":1}"#,
                "2026-11-21T10:53:22+00:00 mail imap[1]: open: user alice opened INBOX",
            ]
        ));
    }
}
