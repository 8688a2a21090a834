//! OpenLDAP's slapd at loglevel stats: `conn=1000 fd=11 ACCEPT from IP=address:port (IP=…)`, and the
//! logins of that connection. Names in a BIND are escaped and stand behind all that is read here.

use portledger_model::{Destination, Moment};

use super::super::{
    entry::{Endpoint, Entry, NO_CLIENT, split_at},
    programs::{Known, Program},
    session::{Key, Sessions},
    syslog::Header,
};
use crate::reader::Outcome;

pub(in crate::lines) const KNOWN: Known = Known {
    name: "slapd",
    is_of: |header| header.is_of(&[b"slapd"]),
    start: || Box::<Slapd>::default(),
};

#[derive(Debug, Default)]
struct Slapd {
    open: Sessions<Endpoint>,
}

impl Program for Slapd {
    fn read(&mut self, header: &Header<'_>, entry: Entry<'_>) -> Outcome {
        if entry.message.starts_with(b"slapd starting") {
            // It counts its connections from 1000 again.
            self.open.end_all_of(header.host);
            return NO_CLIENT;
        }
        let read = || {
            let rest = entry.message.strip_prefix(b"conn=")?;
            let (connection, rest) = split_at(rest, b' ')?;
            connection.iter().all(u8::is_ascii_digit).then_some(())?;
            let (_, words) = split_at(rest, b' ')?;
            Some((connection, words))
        };
        let Some((connection, words)) = read() else {
            return NO_CLIENT;
        };
        let process = header.process.unwrap_or_default();
        let key = Key::of(header.host, &[process, connection]);
        if let Some(client) = words.strip_prefix(b"ACCEPT from IP=") {
            let Some(endpoint) = accepted(client) else {
                return entry.no_endpoint("IP=address:port behind ACCEPT from");
            };
            self.open.begin(key, endpoint);
            return entry.seen(endpoint, Moment::Connect);
        }
        if words.starts_with(b"ACCEPT from ") {
            self.open.end(&key);
            return NO_CLIENT;
        }
        let told = if words.starts_with(b"closed") {
            self.open.end(&key)
        } else if words.starts_with(b"BIND ") || words.starts_with(b"RESULT tag=97 ") {
            self.open.told(&key)
        } else {
            None
        };
        match told {
            Some(endpoint) => entry.seen(endpoint, Moment::Logged),
            None => NO_CLIENT,
        }
    }
}

/// `203.0.113.7:49152 (IP=192.0.2.1:389)`.
fn accepted(client: &[u8]) -> Option<Endpoint> {
    let (client, server) = split_at(client, b' ').unwrap_or((client, b""));
    let endpoint = Endpoint::with_colon(client)?;
    let server = || Endpoint::with_colon(server.strip_prefix(b"(IP=")?.strip_suffix(b")")?);
    let server = server().map_or(Destination::default(), |server| Destination {
        // Listening on all addresses it does not say on which.
        address: Some(server.address).filter(|address| !address.is_unspecified()),
        port: server.port,
    });
    Some(endpoint.at_server(server))
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    #[test]
    fn a_connection_is_its_number_until_it_is_closed() {
        let lines = [
            "conn=1000 fd=11 ACCEPT from IP=203.0.113.7:49152 (IP=0.0.0.0:389)",
            "conn=1000 op=0 BIND dn=\"cn=ACCEPT from IP=192.0.2.66:4242\" method=128",
            "conn=1000 op=0 RESULT tag=97 err=49 text=",
            "conn=1000 op=1 SRCH base=\"\" scope=0",
            "conn=1000 fd=11 closed (connection lost)",
            "conn=1000 op=0 BIND dn=\"\" method=128",
            "conn=1001 fd=11 ACCEPT from IP=[2001:db8::7]:2026 (IP=[2001:db8::1]:389)",
            "conn=1002 fd=12 ACCEPT from PATH=/run/ldapi (PATH=/run/ldapi)",
            "slapd starting",
            "conn=1001 op=0 BIND dn=\"\" method=128",
            "conn=1003 fd=12 ACCEPT from IP=x",
        ]
        .map(|message| format!("2026-11-21T10:53:22+00:00 host slapd[7]: {message}"));
        insta::assert_snapshot!(read_lines(
            "slapd",
            None,
            &lines.each_ref().map(String::as_str)
        ));
    }
}
