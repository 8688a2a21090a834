//! UW IMAP's imapd and ipop3d, which never write a port. From its source code's messages; not run.

use portledger_model::Moment;

use super::super::{
    entry::{Endpoint, Entry, NO_CLIENT},
    programs::{Known, Program},
    syslog::Header,
};
use crate::reader::Outcome;

pub(in crate::lines) const KNOWN: Known = Known {
    name: "uw-imap",
    is_of: |header| header.is_of(&[b"imapd", b"ipop3d", b"ipop2d"]),
    start: || Box::new(UwImap),
};

#[derive(Debug)]
struct UwImap;

impl Program for UwImap {
    fn read(&mut self, _: &Header<'_>, entry: Entry<'_>) -> Outcome {
        match client(entry.message) {
            Some(endpoint) => entry.seen(endpoint, Moment::Logged),
            None => NO_CLIENT,
        }
    }
}

const WORDS: &[&[u8]] = &[
    b"Login ",
    b"Authenticated ",
    b"Logout ",
    b"Autologout ",
    b"Killed ",
    b"Broken pipe ",
    b"Connection reset by peer",
];

/// `Login user=… host=name [192.0.2.1]`: the host is last, behind the user's text.
fn client(message: &[u8]) -> Option<Endpoint> {
    let message = message.trim_ascii_end();
    WORDS
        .iter()
        .any(|words| message.starts_with(words))
        .then_some(())?;
    let open = memchr::memrchr(b'[', message)?;
    let (endpoint, rest) = Endpoint::bracketed(message.get(open..)?)?;
    let before = message.get(..open)?;
    let host = before.get(memchr::memmem::rfind(before, b" host=")? + 6..)?;
    let is_name = !host.trim_ascii_end().contains(&b' ');
    (rest.is_empty() && is_name).then_some(endpoint)
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    #[test]
    fn the_host_is_last() {
        insta::assert_snapshot!(read_lines(
            "uw-imap",
            None,
            &[
                "2026-11-21T10:53:22+00:00 mail imapd[1]: Login user=alice host=a.example.org [203.0.113.7]",
                "2026-11-21T10:53:22+00:00 mail imapd[1]: Login failed user=x host=y [192.0.2.66] auth=x host=[2001:db8::7]",
                "2026-11-21T10:53:22+00:00 mail ipop3d[1]: Login user=x host=y [192.0.2.66] z",
                "2026-11-21T10:53:22+00:00 mail imapd[1]: imap service init from 203.0.113.7",
            ]
        ));
    }
}
