//! vsftpd's own log, which has no port; its time is local or, without `use_localtime`, GMT, and
//! does not say which: it needs a zone.

use portledger_model::{Moment, Transport};

use super::super::{
    Lines,
    entry::{Endpoint, Entry, NO_CLIENT, TwoEndpoints, split_at, the_only},
    programs::{Known, Program, Syslog},
    syslog::Header,
};
use crate::{Options, Reason, address, fields::Fields, reader::Outcome, time::parse::Cursor};

pub(in crate::lines) const KNOWN: Known = Known {
    name: "vsftpd",
    is_of: |header| header.is_of(&[b"vsftpd"]),
    start: || Box::new(VsFtpd),
};

#[derive(Debug)]
struct VsFtpd;

impl Program for VsFtpd {
    fn read(&mut self, _: &Header<'_>, entry: Entry<'_>) -> Outcome {
        message(entry)
    }
}

/// Reads the log, by whichever way it was written.
#[derive(Debug)]
pub(in crate::lines) struct Log {
    syslog: Syslog,
}

impl Log {
    pub(in crate::lines) fn new() -> Self {
        Self {
            syslog: Syslog::of(&[KNOWN]),
        }
    }
}

impl Lines for Log {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        let mut fields = Fields::over(Some(Transport::Tcp));
        let mut cursor = Cursor::new(line, 0);
        if cursor.ctime(&mut fields.end).is_none() {
            return self.syslog.read(line, number, options);
        }
        let behind = cursor.rest().strip_prefix(b" [pid ");
        let Some((_, words)) = behind.and_then(|rest| split_at(rest, b']')) else {
            let expected = " [pid 123] behind the time";
            return Err((cursor.at.min(line.len()), Reason::Value { expected }));
        };
        message(Entry {
            fields,
            message: words.strip_prefix(b" ").unwrap_or(words),
            line,
            number,
            options,
        })
    }
}

const CLIENT: &[u8] = b": Client \"";

/// `CONNECT: Client "192.0.2.1"`, or `[user] FAIL LOGIN: Client "192.0.2.1", …`.
fn message(entry: Entry<'_>) -> Outcome {
    let message = entry.message;
    let told = |at: usize| {
        let (address, _) = split_at(message.get(at + CLIENT.len()..)?, b'"')?;
        address::parse(address).map(|address| Endpoint::new(address, None))
    };
    let mut all = memchr::memmem::find_iter(message, CLIENT);
    // No text of a client's stands before the first, unless it has said who it is.
    let told = if message.starts_with(b"[") {
        the_only(all.map(told))
    } else {
        Ok(all.next().and_then(told))
    };
    match told {
        Ok(Some(endpoint)) => entry.seen(endpoint, Moment::Logged),
        Ok(None) => NO_CLIENT,
        Err(TwoEndpoints) => entry.ambiguous(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use crate::testing::read_lines;

    #[test]
    fn a_mapped_address_is_its_own() {
        insta::assert_snapshot!(read_lines(
            "vsftpd",
            Some(TimeZone::UTC),
            &[
                "Sat Nov 21 10:53:22 2026 [pid 7] CONNECT: Client \"::ffff:203.0.113.7\"",
                "Sat Nov 21 10:53:22 2026 [pid 7] [alice] FAIL LOGIN: Client \"2001:db8::7\"",
                "Sat Nov 21 10:53:22 2026 [pid 7] FTP command: Client \"203.0.113.7\", \"USER x: Client \"192.0.2.66\"\"",
                "Sat Nov 21 10:53:22 2026 [pid 7] [x: Client \"192.0.2.66\"] FAIL LOGIN: Client \"203.0.113.7\"",
                "Sat Nov 21 10:53:22 2026 [pid 7] x",
                "Sat Nov 21 10:53:22.123456 2026] [client 203.0.113.7:1]",
            ]
        ));
    }
}
