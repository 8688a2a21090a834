//! sendmail, with the lines that RFC 7768, Appendix A.3 has it write: `Port_Stat.` with address
//! and port, between which the last dot separates.

use portledger_model::Moment;

use super::{
    super::{
        entry::{Endpoint, Entry, NO_CLIENT, TwoEndpoints, after, first, the_only},
        programs::{Known, Program},
        session::{Key, Sessions},
        syslog::Header,
    },
    queue_id,
};
use crate::{address, reader::Outcome};

pub(in crate::lines) const KNOWN: Known = Known {
    name: "sendmail",
    is_of: |header| header.is_of(&[b"sendmail", b"sm-mta", b"sm-msp-queue"]),
    start: || Box::<Sendmail>::default(),
};

#[derive(Debug, Default)]
struct Sendmail {
    /// sendmail starts a process for each client.
    clients: Sessions<Endpoint>,
}

impl Program for Sendmail {
    fn read(&mut self, header: &Header<'_>, entry: Entry<'_>) -> Outcome {
        let words = queue_id(entry.message).map_or(entry.message, |(_, rest)| rest);
        let process = Key::of_process(header);
        if words.starts_with(b"starting daemon ") {
            self.clients.end_all_of(header.host);
            return NO_CLIENT;
        }
        if let Some(told) = port_stat(words) {
            let Some(endpoint) = joined_by_dot(told) else {
                return entry.no_endpoint("Port_Stat.address.port");
            };
            if let Some(process) = process {
                self.clients.begin(process, endpoint);
            }
            return entry.seen(endpoint, Moment::Logged);
        }
        if let Some(client) = words.strip_prefix(b"connect from ") {
            if let Some(process) = &process {
                self.clients.end(process);
            }
            return match relay(client) {
                Some(endpoint) => entry.seen(endpoint, Moment::Connect),
                None => NO_CLIENT,
            };
        }
        let endpoint = match named(words) {
            Ok(Some(endpoint)) => endpoint,
            Ok(None) => return NO_CLIENT,
            Err(TwoEndpoints) => return entry.ambiguous(),
        };
        // The same address again, and its port from the line that has it.
        let known = process.and_then(|process| self.clients.told(&process));
        let known = known.filter(|known| known.address == endpoint.address);
        entry.seen(known.unwrap_or(endpoint), Moment::Logged)
    }
}

/// The `syslog` map writes what it is given, with what the recipe puts before it.
fn port_stat(words: &[u8]) -> Option<&[u8]> {
    let told = words.strip_prefix(b"Port_Stat")?;
    told.strip_prefix(b".").or_else(|| told.strip_prefix(b": "))
}

/// `198.51.100.7.1024` and `IPv6:2001:db8:0:0:0:0:0:7.7518`.
fn joined_by_dot(text: &[u8]) -> Option<Endpoint> {
    let text = text.trim_ascii_end();
    let text = text.strip_prefix(b"IPv6:").unwrap_or(text);
    let dot = memchr::memrchr(b'.', text)?;
    let address = address::parse(text.get(..dot)?)?;
    Some(Endpoint::new(
        address,
        Some(address::port(text.get(dot + 1..)?)?),
    ))
}

/// The client of a line without its port. Of a line that names two, one was made up by it.
fn named(words: &[u8]) -> Result<Option<Endpoint>, TwoEndpoints> {
    // `to=` has a relay as well: the server that mail is given to.
    let is_of_client = [
        &b"from="[..],
        b"ruleset=",
        b"AUTH=server",
        b"STARTTLS=server",
    ];
    if is_of_client.iter().any(|before| words.starts_with(before)) {
        const RELAY: &[u8] = b"relay=";
        let all =
            memchr::memmem::find_iter(words, RELAY).map(|at| relay(words.get(at + RELAY.len()..)?));
        return the_only(all);
    }
    for before in [
        &b"lost input channel from "[..],
        b"timeout waiting for input from ",
    ] {
        if let Some(client) = words.strip_prefix(before) {
            return Ok(relay(client));
        }
    }
    if after(
        words,
        b" did not issue MAIL/EXPN/VRFY/ETRN during connection to ",
    )
    .is_some()
    {
        return Ok(relay(words));
    }
    Ok(None)
}

/// `name [192.0.2.1]` and `[192.0.2.1]`; before the name what an ident server said.
fn relay(text: &[u8]) -> Option<Endpoint> {
    let open = memchr::memchr(b'[', first(text, 512))?;
    let name = text.get(..open)?;
    let is_name = name.iter().all(|byte| !matches!(byte, b',' | b'<' | b'='));
    is_name.then_some(())?;
    let (endpoint, _) = Endpoint::bracketed(text.get(open..)?)?;
    // sendmail never writes a port there.
    Some(Endpoint::new(endpoint.address, None))
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    #[test]
    fn the_last_dot_separates_and_a_process_is_a_client() {
        let lines: Vec<String> = [
            "sm-mta[1]: Port_Stat.198.51.100.7.1024",
            "sm-mta[2]: Port_Stat.IPv6:2001:db8:c:0:0:0:0:7.7518",
            "sendmail[3]: NOQUEUE: Port_Stat.198.51.100.7.2026",
            "sm-mta[1]: 0AT1VZ: ruleset=check_rcpt, arg1=<a@example.org>, relay=a.example.org [198.51.100.7], reject=550 5.7.1 <a@example.org>... Relaying denied",
            "sm-mta[4]: 0AT1VZ2: from=<a@example.org>, size=12, class=0, nrcpts=1, msgid=<x>, proto=ESMTP, daemon=MTA-v4, relay=[198.51.100.7]",
            "sm-mta[4]: 0AT1VZ2: from=<relay=x [192.0.2.66]>, size=12, class=0, nrcpts=1, proto=ESMTP, relay=[198.51.100.7]",
            "sm-mta[4]: 0AT1VZ2: to=<b@example.org>, delay=00:00:01, mailer=esmtp, relay=mx.example.org. [192.0.2.25], dsn=2.0.0, stat=Sent",
            "sm-mta[2]: NOQUEUE: [IPv6:2001:db8:c:0:0:0:0:7] did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA-v6",
            "sm-mta[5]: starting daemon (8.17.1): SMTP+queueing@00:10:00",
            "sm-mta[1]: 0AT1VZ: from=<a@example.org>, size=12, relay=a.example.org [198.51.100.7]",
            "sm-mta[1]: Port_Stat.198.51.100.7",
        ]
        .iter()
        .map(|message| format!("2026-11-21T10:53:22+00:00 mail {message}"))
        .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        insta::assert_snapshot!(read_lines("sendmail", None, &lines));
    }
}
