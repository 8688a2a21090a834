//! pure-ftpd, which writes no port: `(user@address) [LEVEL] words`.

use portledger_model::Moment;

use super::super::{
    entry::{Endpoint, Entry, NO_CLIENT, TwoEndpoints, last, the_only},
    programs::{Known, Program},
    syslog::Header,
};
use crate::{Reason, address, reader::Outcome};

pub(in crate::lines) const KNOWN: Known = Known {
    name: "pure-ftpd",
    is_of: |header| header.is_of(&[b"pure-ftpd"]),
    start: || Box::new(PureFtpd),
};

#[derive(Debug)]
struct PureFtpd;

const LEVELS: &[&[u8]] = &[
    b"[INFO] ",
    b"[NOTICE] ",
    b"[WARNING] ",
    b"[ERROR] ",
    b"[DEBUG] ",
];

impl Program for PureFtpd {
    fn read(&mut self, _: &Header<'_>, entry: Entry<'_>) -> Outcome {
        let message = entry.message;
        if !message.starts_with(b"(") {
            return NO_CLIENT;
        }
        // A user's name may look like the whole of it.
        let host = |end: usize| {
            let before = last(message.get(..end)?, 256);
            let behind = message.get(end + 2..)?;
            LEVELS
                .iter()
                .any(|level| behind.starts_with(level))
                .then_some(())?;
            before.get(memchr::memrchr(b'@', before)? + 1..)
        };
        let hosts = || memchr::memmem::find_iter(message, b") ").filter_map(host);
        let endpoint = |host| address::parse(host).map(|address| Endpoint::new(address, None));
        match the_only(hosts().map(endpoint)) {
            Ok(Some(endpoint)) => entry.seen(endpoint, Moment::Logged),
            Err(TwoEndpoints) => entry.ambiguous(),
            Ok(None) if hosts().next().is_some_and(|host| host != b"?") => {
                Err((entry.at(), Reason::HostName))
            }
            Ok(None) => NO_CLIENT,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    #[test]
    fn a_user_may_be_called_anything() {
        let lines = [
            "(?@203.0.113.7) [INFO] New connection from 203.0.113.7",
            "(alice@2001:db8::7) [NOTICE] /x downloaded",
            "(x@192.0.2.66) [INFO] @203.0.113.7) [INFO] Logout.",
            "(x@192.0.2.66) [INFO] @a.example.org) [INFO] Logout.",
            "(?@a.example.org) [INFO] New connection from a.example.org",
            "Server started",
        ]
        .map(|message| format!("2026-11-21T10:53:22+00:00 host pure-ftpd[7]: {message}"));
        insta::assert_snapshot!(read_lines(
            "pure-ftpd",
            None,
            &lines.each_ref().map(String::as_str)
        ));
    }
}
