//! Apache httpd's error log: `[time] [module:level] [pid …] [client address:port] message`.

use portledger_model::{Moment, Transport};

use super::Lines;
use crate::{
    Options, Reason, Skip, address,
    fields::{Fields, Side, Times},
    reader::Outcome,
    time::parse::Cursor,
};

const CLIENT: &[u8] = b"[client ";

/// Reads Apache's error log.
#[derive(Debug)]
pub(super) struct ApacheError;

impl Lines for ApacheError {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        read(line, number, options)
    }
}

fn read(line: &[u8], number: u64, options: &Options) -> Outcome {
    let mut fields = Fields::over(Some(Transport::Tcp));
    fields.time_at = 1;
    let mut cursor = Cursor::new(line, 0);
    let time = cursor
        .byte(b'[')
        .and_then(|()| cursor.ctime(&mut fields.end))
        .and_then(|()| cursor.byte(b']'));
    if time.is_none() {
        let expected = "[Sat Nov 21 10:53:22.123456 2026]";
        return Err((cursor.at.min(line.len()), Reason::Time { expected }));
    }
    let Some(start) = client(line, cursor.at) else {
        return Ok(Err(Skip::NoClient));
    };
    let inside = line.get(start..).unwrap_or_default();
    let Some(length) = memchr::memchr(b']', inside) else {
        return Err((
            line.len(),
            Reason::Literal {
                expected: "]".to_owned(),
            },
        ));
    };
    let text = inside.get(..length).unwrap_or_default();
    let (text, port) = match address::endpoint(text) {
        // Apache 2.2 wrote no port: `2001:db8::1` is then an address whose last group is no port.
        Some((address, port)) if !is_old(line) => (address::Written::Ip(address), Some(port)),
        _ => (address::Written::read(text), None),
    };
    fields.set_address(Side::Remote, text, start);
    fields.set_port(Side::Remote, port);
    fields
        .sighting(Times::End(Moment::Logged), options, number)
        .map(Ok)
}

/// Where the client's endpoint begins. Only what Apache itself writes may stand before it: the
/// message after it is the client's to choose.
fn client(line: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    loop {
        let rest = line.get(at..)?;
        if rest.starts_with(b" ") {
            at += 1;
        } else if rest.starts_with(CLIENT) {
            return Some(at + CLIENT.len());
        } else if rest.starts_with(b"[") {
            at += memchr::memchr(b']', rest)? + 1;
        } else {
            at += remark(rest)?;
        }
    }
}

/// `mod_x.c(123): ` and `(13)Permission denied: `, which Apache puts before the client.
fn remark(rest: &[u8]) -> Option<usize> {
    let end = memchr::memmem::find(rest, b": ")? + 2;
    let remark = rest.get(..end)?;
    let is_error = remark.starts_with(b"(") && remark.get(1).is_some_and(u8::is_ascii_digit);
    let is_place = remark.ends_with(b"): ") && memchr::memmem::find(remark, b".c(").is_some();
    (is_error || is_place).then_some(end)
}

/// Apache 2.2: `[time] [level] [client address] message`, the level without its module.
fn is_old(line: &[u8]) -> bool {
    let Some(at) = memchr::memmem::find(line, b"] [") else {
        return false;
    };
    let level = line.get(at + 3..).unwrap_or_default();
    let level = level.split(|byte| *byte == b']').next().unwrap_or_default();
    memchr::memchr(b':', level).is_none()
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    #[test]
    fn local_times_need_a_zone() {
        let zone = jiff::tz::TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        insta::assert_snapshot!(read_lines(
            "apache-error",
            Some(zone),
            &[
                "[Sat Nov 21 10:53:22.123456 2026] [core:error] [pid 17] [client 203.0.113.7:49152] x",
                "[Sun Nov 01 01:30:00.000001 2026] [core:error] [pid 17] [client 203.0.113.7:49152] twice",
                "[Sun Mar 08 02:30:00.000001 2026] [core:error] [pid 17] [client 203.0.113.7:49152] never",
            ]
        ));
    }

    #[test]
    fn clients_come_with_their_port() {
        insta::assert_snapshot!(read_lines(
            "apache-error",
            None,
            &[
                "[Sat Nov 21 10:53:22.123456 2026] [core:error] [pid 17:tid 139] [client 203.0.113.7:49152] AH00126: Invalid URI in request GET /[client 192.0.2.66:4242] HTTP/1.1",
                "[Sat Nov 21 10:53:22.123456 2026] [core:error] [pid 17:tid 139] (13)Permission denied: [client 203.0.113.7:49152] AH00035: access denied",
                "[Sat Nov 21 10:53:22.123456 2026] [authz_core:debug] [pid 17:tid 139] mod_authz_core.c(815): [client 203.0.113.7:49152] AH01626: authorization result",
                "[Sat Nov 21 10:53:22.123456 2026] [core:info] [pid 17] [client 2001:db8::1:49152] AH00128: File does not exist",
                "[Sat Nov 21 10:53:22.123456 2026] [core:info] [pid 17] [client 203.0.113.7:0] AH00128: behind mod_remoteip",
                "[Sat Nov 21 10:53:22 2026] [error] [client 2001:db8::4242] File does not exist: /srv/www/x",
                "[Sat Nov 21 10:53:22.123456 2026] [mpm_event:notice] [pid 1:tid 1] AH00489: Apache configured -- resuming [client 192.0.2.66:4242]",
                "[Sat Nov 32 10:53:22.123456 2026] [core:error] [pid 17] [client 203.0.113.7:49152] x",
                "no error log",
            ]
        ));
    }
}
