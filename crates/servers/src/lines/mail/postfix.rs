//! Postfix: smtpd under any name of its service, postscreen, and cleanup's lines of a message
//! whose connection is open.
//!
//! Every line of smtpd's has the endpoint behind words of its own; what a client chose (HELO,
//! sender, recipient, the command in a warning) stands behind the endpoint.

use portledger_model::{Destination, Moment};

use super::{
    super::{
        entry::{Endpoint, Entry, NO_CLIENT},
        programs::{Known, Program},
        session::{Key, Sessions},
        syslog::Header,
    },
    named_peer, queue_id,
};
use crate::reader::Outcome;

pub(in crate::lines) const KNOWN: Known = Known {
    name: "postfix",
    // `syslog_name` is `postfix`, with the instance's or the service's name behind it.
    is_of: |header| header.program.starts_with(b"postfix") && header.program.contains(&b'/'),
    start: || Box::<Postfix>::default(),
};

#[derive(Debug, Default)]
struct Postfix {
    /// By the process of smtpd: it serves one client after another.
    clients: Sessions<Endpoint>,
    /// The process that a message came in by, by its queue id.
    messages: Sessions<Key>,
}

impl Program for Postfix {
    fn read(&mut self, header: &Header<'_>, entry: Entry<'_>) -> Outcome {
        match header.program.rsplit(|byte| *byte == b'/').next() {
            Some(b"smtpd") => self.smtpd(header, entry),
            Some(b"postscreen") => postscreen(entry),
            Some(b"cleanup") => self.cleanup(header, entry),
            Some(b"master" | b"postfix-script") => {
                if is_start(entry.message) {
                    self.clients.end_all_of(header.host);
                    self.messages.end_all_of(header.host);
                }
                NO_CLIENT
            }
            _ => NO_CLIENT,
        }
    }
}

fn is_start(message: &[u8]) -> bool {
    message.starts_with(b"daemon started") || message.starts_with(b"starting the Postfix")
}

impl Postfix {
    fn smtpd(&mut self, header: &Header<'_>, entry: Entry<'_>) -> Outcome {
        let process = Key::of_process(header);
        let message = entry.message;
        if let Some(client) = message.strip_prefix(b"connect from ") {
            let Some((endpoint, _)) = named_peer(client) else {
                if let Some(process) = &process {
                    self.clients.end(process);
                }
                return unread(&entry);
            };
            if let Some(process) = process {
                self.clients.begin(process, endpoint);
            }
            return entry.seen(endpoint, Moment::Connect);
        }
        if let Some(client) = message.strip_prefix(b"disconnect from ") {
            if let Some(process) = &process {
                self.clients.end(process);
            }
            return match named_peer(client) {
                Some((endpoint, _)) => entry.seen(endpoint, Moment::Logged),
                None => unread(&entry),
            };
        }
        let (id, words) = queue_id(message).map_or((None, message), |(id, rest)| (Some(id), rest));
        if let Some(client) = words.strip_prefix(b"client=") {
            let Some((endpoint, _)) = named_peer(client) else {
                return unread(&entry);
            };
            if let (Some(id), Some(process)) = (id, process) {
                self.messages.begin(Key::of(header.host, &[id]), process);
            }
            return entry.seen(endpoint, Moment::Logged);
        }
        if let Some((endpoint, _)) = told(words) {
            return entry.seen(endpoint, Moment::Logged);
        }
        // Cyrus SASL's and OpenSSL's own words name nobody: a failed login among them.
        let of_session = [&b"warning: SASL "[..], b"warning: TLS library problem"];
        if of_session.iter().any(|words| message.starts_with(words))
            && let Some(endpoint) = process.and_then(|process| self.clients.told(&process))
        {
            return entry.seen(endpoint, Moment::Logged);
        }
        NO_CLIENT
    }

    /// cleanup takes a message in while its client is connected. What becomes of the message
    /// afterwards, be it days later, says nothing of who holds the client's port by then.
    fn cleanup(&mut self, header: &Header<'_>, entry: Entry<'_>) -> Outcome {
        let client = || {
            let (id, _) = queue_id(entry.message)?;
            let process = self.messages.told(&Key::of(header.host, &[id]))?;
            self.clients.told(&process)
        };
        let mut client = client;
        match client() {
            Some(endpoint) => entry.seen(endpoint, Moment::Logged),
            None => NO_CLIENT,
        }
    }
}

fn unread(entry: &Entry<'_>) -> Outcome {
    // A client through a UNIX domain socket, and one that was gone before smtpd looked.
    let message = entry.message;
    if memchr::memmem::find(message, b"from unknown[unknown]").is_some()
        || memchr::memmem::find(message, b"from localhost[unix:").is_some()
    {
        return NO_CLIENT;
    }
    entry.no_endpoint("name[address] after these words of Postfix")
}

/// What smtpd's own words begin with, where its client stands behind the first ` from `.
const BEFORE_FROM: &[&[u8]] = &[
    b"lost connection after ",
    b"timeout after ",
    b"too many errors after ",
    b"improper command pipelining after ",
    b"SSL_accept error ",
    b"setting up TLS connection ",
    b"Anonymous TLS connection established ",
    b"Untrusted TLS connection established ",
    b"Trusted TLS connection established ",
    b"Verified TLS connection established ",
    b"Connection rate limit exceeded: ",
    b"Connection concurrency limit exceeded: ",
    b"New TLS session rate limit exceeded: ",
    b"Message delivery request rate limit exceeded: ",
    b"Recipient address rate limit exceeded: ",
    b"AUTH command rate limit exceeded: ",
    b"non-SMTP command ",
    b"Illegal address syntax ",
    b"reject: ",
    b"reject_warning: ",
    b"warn: ",
    b"hold: ",
    b"discard: ",
    b"filter: ",
    b"redirect: ",
    b"info: ",
    b"milter-reject: ",
    b"milter-discard: ",
    b"milter-hold: ",
    b"proxy-reject: ",
    b"proxy-accept: ",
];

/// The client of a line in the middle of a session.
fn told(words: &[u8]) -> Option<(Endpoint, &[u8])> {
    let words = words.strip_prefix(b"warning: ").unwrap_or(words);
    if BEFORE_FROM.iter().any(|before| words.starts_with(before)) {
        let from = memchr::memmem::find(words, b"from ")?;
        return named_peer(words.get(from + 5..)?);
    }
    // `warning: name[192.0.2.1]: SASL LOGIN authentication failed: …`.
    named_peer(words).filter(|(_, after)| after.starts_with(b": "))
}

/// In all of postscreen's lines nothing but its own words stands before the client.
fn postscreen(entry: Entry<'_>) -> Outcome {
    let message = entry.message;
    let client = || {
        let open = memchr::memmem::find(message, b" [")? + 1;
        Endpoint::bracketed(message.get(open..)?)
    };
    let Some((endpoint, after)) = client() else {
        return NO_CLIENT;
    };
    if !message.starts_with(b"CONNECT from ") {
        return entry.seen(endpoint, Moment::Logged);
    }
    let server = after.strip_prefix(b" to ").and_then(Endpoint::bracketed);
    let server = server.map_or(Destination::default(), |(server, _)| Destination {
        address: Some(server.address),
        port: server.port,
    });
    entry.seen(endpoint.at_server(server), Moment::Connect)
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    fn lines(messages: &[&str]) -> String {
        let lines: Vec<String> = messages
            .iter()
            .map(|message| format!("2026-11-21T10:53:22.123456+00:00 mail postfix/{message}"))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        read_lines("postfix", None, &lines)
    }

    #[test]
    fn a_clients_text_is_never_its_endpoint() {
        insta::assert_snapshot!(lines(&[
            "smtpd[1]: connect from a.example.org[203.0.113.7]:49152",
            "smtpd[1]: warning: non-SMTP command from a.example.org[203.0.113.7]:49152: GET from x[192.0.2.66]:4242",
            "smtpd[1]: improper command pipelining after EHLO from a.example.org[203.0.113.7]:49152: MAIL FROM:<x[192.0.2.66]:4242>",
            "smtpd[1]: NOQUEUE: reject: RCPT from a.example.org[203.0.113.7]:49152: 554 5.7.1 <x>: Helo command rejected; from=<from y[192.0.2.66]:4242> to=<z> proto=ESMTP helo=<from y[192.0.2.66]:4242>",
            "smtpd[1]: warning: a.example.org[203.0.113.7]:49152: SASL LOGIN authentication failed: from y[192.0.2.66]:4242",
            "smtpd[1]: warning: SASL authentication failure: Password verification failed",
            "smtpd[1]: warning: hostname from y[192.0.2.66]:4242 does not resolve to address 203.0.113.7",
            "smtpd[1]: warning: TLS library problem: error:0A00010B:SSL routines::wrong version number:../ssl/record/ssl3_record.c:354:",
            "submission/smtpd[2]: connect from unknown[2001:db8:0:0:0:0:0:7]:49153",
            "submission/smtpd[2]: 4C5F2A0123: client=unknown[2001:db8::7]:49153, sasl_method=PLAIN, sasl_username=x[192.0.2.66]:4242",
            "smtpd[3]: connect from unknown[unknown]",
            "smtpd[3]: connect from x",
            "postscreen[4]: CONNECT from [::ffff:203.0.113.7]:2026 to [192.0.2.25]:25",
            "postscreen[4]: NOQUEUE: reject: RCPT from [203.0.113.7]:2026: 550 5.7.1 Service unavailable; from=<a>, to=<b>, proto=SMTP, helo=<[192.0.2.66]:4242>",
            "postscreen[4]: cache btree: full cleanup: retained=0 dropped=0 entries",
        ]));
    }

    #[test]
    fn a_message_is_its_clients_while_that_is_connected() {
        insta::assert_snapshot!(lines(&[
            "smtpd[1]: connect from unknown[203.0.113.7]:49152",
            "smtpd[1]: 4C5F2A0123: client=unknown[203.0.113.7]:49152",
            "cleanup[2]: 4C5F2A0123: message-id=<from y[192.0.2.66]:4242>",
            "smtpd[1]: disconnect from unknown[203.0.113.7]:49152 ehlo=1 quit=1 commands=2",
            "cleanup[2]: 4C5F2A0123: message-id=<x>",
            "qmgr[5]: 4C5F2A0123: from=<a@example.org>, size=340, nrcpt=1 (queue active)",
            "smtpd[1]: warning: SASL authentication failure: Password verification failed",
        ]));
    }

    #[test]
    fn a_reused_process_inherits_nothing() {
        insta::assert_snapshot!(lines(&[
            "smtpd[1]: connect from unknown[203.0.113.7]:49152",
            "smtpd[1]: connect from unknown[unknown]",
            "smtpd[1]: warning: SASL authentication failure: Password verification failed",
            "smtpd[1]: connect from unknown[203.0.113.7]:49153",
            "master[9]: daemon started -- version 3.7.11, configuration /etc/postfix",
            "smtpd[1]: warning: SASL authentication failure: Password verification failed",
        ]));
    }
}
