//! Cyrus IMAP: its event notifications (`event_notifier: log`), which have the client's port for
//! logins that succeed, and its own lines of logins, which have the address alone. The object of an
//! event is as Cyrus 3.6 wrote it; what stands around it in the line is from its documentation.

use portledger_model::Moment;
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

impl Program for Cyrus {
    fn read(&mut self, _: &Header<'_>, entry: Entry<'_>) -> Outcome {
        // What stands before the object is Cyrus's own: its name for the log's channel.
        if let Some(open) = memchr::memchr(b'{', entry.message)
            && entry.message.get(..open).is_some_and(is_channel)
        {
            return event(entry, open);
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

fn is_channel(text: &[u8]) -> bool {
    text.len() <= 32
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b" :._-".contains(byte))
}

/// `name [192.0.2.1] user …`: the name is that of the address's reverse zone.
fn login(client: &[u8]) -> Option<Endpoint> {
    let open = memchr::memchr(b'[', client)?;
    let name = client.get(..open)?;
    let is_name = !name.trim_ascii_end().contains(&b' ');
    is_name.then_some(())?;
    Endpoint::bracketed(client.get(open..)?).map(|(endpoint, _)| endpoint)
}

fn event(mut entry: Entry<'_>, open: usize) -> Outcome {
    const EXPECTED: &str = "an event of Cyrus with clientIP, clientPort and timestamp";
    let text = entry.message.get(open..).unwrap_or_default();
    let Ok(Value::Object(event)) = serde_json::from_slice(text) else {
        return entry.no_endpoint(EXPECTED);
    };
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let Some(client) = text("clientIP") else {
        return NO_CLIENT;
    };
    let Some(address) = address::parse(client.as_bytes()) else {
        return entry.no_endpoint(EXPECTED);
    };
    let port = event.get("clientPort").and_then(Value::as_u64);
    let port = port.and_then(|port| u16::try_from(port).ok());
    if let Some(timestamp) = text("timestamp") {
        let mut pieces = Pieces::default();
        let mut cursor = Cursor::new(timestamp.as_bytes(), 0);
        if cursor.iso(&mut pieces).is_none() || cursor.at != timestamp.len() {
            return entry.no_endpoint(EXPECTED);
        }
        entry.fields.end = pieces;
    }
    entry.seen(Endpoint::new(address, port), Moment::Logged)
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
                r#"2026-11-21T10:53:22+00:00 mail cyrus/imap[1]: {"event":"Login","timestamp":"2026-11-21T11:53:21.500+01:00","service":"imap","clientIP":"203.0.113.7","clientPort":49152,"userId":"{\"clientIP\":\"192.0.2.66\"}"}"#,
                r#"2026-11-21T10:53:22+00:00 mail imap[1]: {"event":"Login","clientIP":"2001:db8::7","clientPort":2026}"#,
                "2026-11-21T10:53:22+00:00 mail cyrus/imap[1]: badlogin: a.example.org [203.0.113.7] plaintext x [192.0.2.66] SASL(-13)",
                "2026-11-21T10:53:22+00:00 mail cyrus/imap[1]: login: [203.0.113.7] alice plaintext User logged in",
                r#"2026-11-21T10:53:22+00:00 mail imap[1]: {"event":"Login","clientIP":"x"}"#,
                "2026-11-21T10:53:22+00:00 mail imap[1]: open: user alice opened INBOX",
            ]
        ));
    }
}
