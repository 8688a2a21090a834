//! ISC dhcpd's lease files, `dhcpd.leases` and `dhcpd6.leases`: declarations that are appended to,
//! the last of a lease being the current one (dhcpd.leases(5)).

use std::{fmt, net::IpAddr};

use jiff::{civil::DateTime, tz::TimeZone};
use portledger_model::Timestamp;

use super::{
    Client, Lease, Reading, Reason, Told,
    scan::{Declared, Scanner, Token},
    values::{address, bits, colons, hex, name, seconds},
};
use crate::radius::readable;

/// Reads a lease file of ISC's dhcpd, for DHCPv4 or DHCPv6.
///
/// ```
/// use portledger_wire::leases::{IscReader, Reading, Told};
///
/// let file = "lease 100.64.3.9 {\n\
///             \x20 starts 6 2026/11/21 12:00:00;\n\
///             \x20 ends 6 2026/11/21 13:00:00;\n\
///             \x20 cltt 6 2026/11/21 12:00:00;\n\
///             \x20 binding state active;\n\
///             \x20 hardware ethernet 00:00:5e:00:53:af;\n\
///             \x20 option agent.circuit-id \"olt1 7/12\";\n\
///             }\n";
/// let mut reader = IscReader::default();
/// let read: Vec<Reading> = file.lines().map(|line| reader.line(line.as_bytes())).collect();
/// let Some(Reading::Lease(lease)) = read.last() else { panic!() };
/// assert_eq!(lease.client.circuit_id.as_deref(), Some("olt1 7/12"));
/// assert!(matches!(lease.told, Told::Held { .. }));
/// ```
#[derive(Clone, Default)]
pub struct IscReader {
    scanner: Scanner,
}

impl IscReader {
    /// Takes the next line, without or with its end.
    pub fn line(&mut self, line: &[u8]) -> Reading {
        self.scanner
            .line(line)
            .map_or(Reading::Nothing, declaration)
    }

    /// There are no more lines.
    pub fn finish(&mut self) -> Reading {
        self.scanner.finish().map_or(Reading::Nothing, declaration)
    }

    /// No declaration is begun: the next line begins one.
    pub const fn is_between(&self) -> bool {
        self.scanner.is_empty()
    }
}

fn declaration(declared: Declared) -> Reading {
    let tokens = match declared {
        Ok(tokens) => tokens,
        Err(reason) => return Reading::Rejected(reason),
    };
    let read = match &*tokens {
        [
            Token::Word(what),
            Token::Word(leased),
            Token::Open,
            body @ ..,
        ] if &**what == "lease" => lease(leased, body),
        [Token::Word(what), id, Token::Open, body @ ..]
            if ["ia-na", "ia-ta", "ia-pd"].contains(&&**what) =>
        {
            return association(id, body);
        }
        // server-duid, host, group, failover, authoring-byte-order, ...
        _ => return Reading::Nothing,
    };
    match read {
        Ok(Some(lease)) => Reading::Lease(lease),
        Ok(None) => Reading::Nothing,
        Err(reason) => Reading::Rejected(reason),
    }
}

/// What the statements of a lease or address say.
#[derive(Default)]
struct Statements {
    starts: Option<Timestamp>,
    /// `None` inside is never.
    ends: Option<Option<Timestamp>>,
    cltt: Option<Timestamp>,
    state: Option<Box<str>>,
    client: Client,
}

impl Statements {
    fn of(body: &[Token]) -> Result<Self, Reason> {
        let mut told = Self::default();
        for statement in statements(body) {
            told.take(statement)?;
        }
        Ok(told)
    }

    fn take(&mut self, statement: &[Token]) -> Result<(), Reason> {
        let [Token::Word(what), rest @ ..] = statement else {
            return Ok(());
        };
        let second = rest.first().and_then(Token::word);
        match (&**what, second) {
            ("starts", _) => self.starts = time(rest).ok_or(Reason::Field("starts"))?,
            ("ends", _) => self.ends = Some(time(rest).ok_or(Reason::Field("ends"))?),
            ("cltt", _) => self.cltt = time(rest).ok_or(Reason::Field("cltt"))?,
            ("binding", Some("state")) => {
                self.state = rest.get(1).and_then(Token::word).map(Into::into);
            }
            // `hardware ethernet 00:…`, `hardware token-ring …`.
            ("hardware", Some(_)) => {
                let hardware = rest.get(1).and_then(Token::word);
                self.client.hardware_address = hardware.and_then(address);
            }
            ("uid", _) => {
                self.client.client_id = octets(rest).map(|octets| colons(&octets));
            }
            ("client-hostname", _) => {
                let hostname = octets(rest).and_then(|octets| String::from_utf8(octets).ok());
                self.client.hostname = hostname.as_deref().and_then(name);
            }
            ("option", Some("agent.circuit-id" | "dhcp6.interface-id")) => {
                self.client.circuit_id = text(rest.get(1..));
            }
            ("option", Some("agent.remote-id" | "dhcp6.remote-id")) => {
                self.client.remote_id = text(rest.get(1..));
            }
            ("option", Some("agent.subscriber-id" | "dhcp6.subscriber-id")) => {
                self.client.subscriber_id = text(rest.get(1..));
            }
            _ => {}
        }
        Ok(())
    }
}

/// A lease of DHCPv4; `None` where nobody ever held it.
fn lease(leased: &str, body: &[Token]) -> Result<Option<Lease>, Reason> {
    let leased: IpAddr = leased.parse().map_err(|_| Reason::Field("the address"))?;
    let told = Statements::of(body)?;
    let state = told
        .state
        .as_deref()
        .ok_or(Reason::Missing("binding state"))?;
    let has_client = told.client != Client::default();
    let when = match state {
        "active" => {
            let from = told.starts.ok_or(Reason::Missing("starts"))?;
            let until = told.ends.ok_or(Reason::Missing("ends"))?;
            // Before `starts` the lease was another one.
            let heard = told.cltt.unwrap_or(from).max(from);
            if until.is_some_and(|until| until < from) {
                return Err(Reason::Backwards);
            }
            Told::Held { from, heard, until }
        }
        // Given back, or expired, and since then perhaps offered to others: who had it is told
        // still, and until when.
        "free" | "released" | "expired" | "backup" | "reset" if has_client => {
            match (told.starts, told.ends) {
                (Some(from), Some(Some(to))) if to >= from => Told::Ended { from, to },
                (Some(_), Some(Some(_))) => return Err(Reason::Backwards),
                _ => return Ok(None),
            }
        }
        // In use by somebody who did not ask for it: nobody knows whose it was before then.
        "abandoned" => {
            let ends = told.ends.flatten();
            let earliest = [told.cltt, told.starts, ends].into_iter().flatten().min();
            match earliest {
                Some(at) => Told::Free { at },
                None => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(Lease {
        address: leased,
        length: bits(leased),
        client: told.client,
        told: when,
    }))
}

/// An identity association of DHCPv6: its addresses or prefixes, all of one client.
fn association(id: &Token, body: &[Token]) -> Reading {
    let id = match id {
        Token::Quoted(octets) => Some(octets.clone()),
        Token::Word(word) => hex(word),
        _ => None,
    };
    // The IAID, of four octets, and the DUID (dhcpd.leases(5)).
    let duid = id.as_deref().and_then(|octets| octets.get(4..));
    let Some(duid) = duid.filter(|duid| !duid.is_empty()) else {
        return Reading::Rejected(Reason::Field("the client's identifier"));
    };
    let common = match Statements::of(body) {
        Ok(common) => common,
        Err(reason) => return Reading::Rejected(reason),
    };
    let mut found = Vec::new();
    for statement in statements(body) {
        let [
            Token::Word(what),
            Token::Word(place),
            Token::Open,
            inner @ ..,
        ] = statement
        else {
            continue;
        };
        if ["iaaddr", "iaprefix"].contains(&&**what) {
            let client = Client {
                duid: Some(colons(duid)),
                ..common.client.clone()
            };
            found.extend(associated(place, inner, common.cltt, client).transpose());
        }
    }
    match found.len() {
        0 => Reading::Nothing,
        _ => Reading::Leases(found),
    }
}

fn associated(
    place: &str,
    body: &[Token],
    cltt: Option<Timestamp>,
    client: Client,
) -> Result<Option<Lease>, Reason> {
    let (leased, length) = place.split_once('/').unwrap_or((place, "128"));
    let address: IpAddr = leased.parse().map_err(|_| Reason::Field("the address"))?;
    let length = length.parse().ok();
    let length = length.filter(|length| (1..=bits(address)).contains(length));
    let length = length.ok_or(Reason::Field("the prefix length"))?;
    let told = Statements::of(body)?;
    let from = cltt.ok_or(Reason::Missing("cltt"))?;
    let when = match told.state.as_deref() {
        Some("active") => {
            let until = told.ends.ok_or(Reason::Missing("ends"))?;
            if until.is_some_and(|until| until < from) {
                return Err(Reason::Backwards);
            }
            Told::Held {
                from,
                heard: from,
                until,
            }
        }
        // When it ended is not certain: at the earlier of the two at the earliest.
        Some(_) => {
            let ends = told.ends.flatten().unwrap_or(from);
            Told::Free { at: from.min(ends) }
        }
        None => return Err(Reason::Missing("binding state")),
    };
    Ok(Some(Lease {
        address,
        length,
        client,
        told: when,
    }))
}

/// The statements of a body: each ends with a semicolon, or with the brace that closes its own.
fn statements(body: &[Token]) -> impl Iterator<Item = &[Token]> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let mut depth = 0_usize;
        let end = rest.iter().position(|token| {
            match token {
                Token::Open => depth += 1,
                // The brace that closes the body itself ends it too.
                Token::Close if depth <= 1 => return true,
                Token::Close => depth -= 1,
                Token::End => return depth == 0,
                Token::Word(_) | Token::Quoted(_) => {}
            }
            false
        })?;
        let (statement, after) = rest.split_at_checked(end + 1)?;
        rest = after;
        statement.split_last().map(|(_, statement)| statement)
    })
}

/// `4 2026/11/21 12:00:00` in UTC, `epoch 1795262400`, or `never` (which is `None` inside).
fn time(tokens: &[Token]) -> Option<Option<Timestamp>> {
    let words: Vec<&str> = tokens.iter().filter_map(Token::word).collect();
    match *words {
        ["never"] => Some(None),
        ["epoch", text] => Some(Some(seconds(text)?)),
        [_weekday, date, clock] => {
            let text = format!("{date} {clock}");
            let civil = DateTime::strptime("%Y/%m/%d %H:%M:%S", text).ok()?;
            let zoned = civil.to_zoned(TimeZone::UTC).ok()?;
            let micros = zoned.timestamp().as_microsecond();
            Some(Some(Timestamp::from_micros(micros)))
        }
        _ => None,
    }
}

/// The octets of a quoted string, or of hex with colons.
fn octets(tokens: &[Token]) -> Option<Vec<u8>> {
    let octets = match tokens.first()? {
        Token::Quoted(octets) => octets.clone(),
        Token::Word(word) => hex(word)?,
        _ => return None,
    };
    (!octets.is_empty()).then_some(octets)
}

fn text(tokens: Option<&[Token]>) -> Option<Box<str>> {
    octets(tokens?).map(|octets| readable(&octets))
}

impl fmt::Debug for IscReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IscReader(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str) -> Vec<Reading> {
        let mut reader = IscReader::default();
        let mut found: Vec<Reading> = file
            .lines()
            .map(|line| reader.line(line.as_bytes()))
            .collect();
        found.push(reader.finish());
        found.retain(|reading| *reading != Reading::Nothing);
        found
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn a_lease_that_was_given_back_says_from_when_until_when() {
        let found = read(
            "# The format of this file is documented in the dhcpd.leases(5) manual page.\n\
             authoring-byte-order little-endian;\n\
             server-duid \"\\000\\001{\";\n\n\
             lease 100.64.3.9 {\n  starts epoch 1000; # Thu Jan 1\n  ends epoch 2000;\n  tstp epoch 2000;\n\
             \x20 cltt epoch 1000;\n  binding state free;\n  hardware ethernet 0:0:5e:0:53:af;\n\
             \x20 uid \"\\001\\000\\\"x\";\n  on expiry { if (a) { execute(\"b;\"); } }\n  client-hostname \"nemo\";\n}\n",
        );
        let [Reading::Lease(lease)] = &*found else {
            panic!("{found:?}")
        };
        let told = Told::Ended {
            from: at(1_000),
            to: at(2_000),
        };
        assert_eq!(lease.told, told);
        assert_eq!(lease.client.hostname.as_deref(), Some("nemo"));
        assert_eq!(lease.client.client_id.as_deref(), Some("01:00:22:78"));
        let hardware = lease.client.hardware_address.as_deref();
        assert_eq!(hardware, Some("00:00:5e:00:53:af"));
    }

    #[test]
    fn never_is_for_ever() {
        let found = read(
            "lease 100.64.3.9 {\n  starts 6 2026/11/21 12:00:00;\n  ends never;\n  binding state active;\n  hardware ethernet 00:00:5e:00:53:af;\n}",
        );
        let [Reading::Lease(lease)] = &*found else {
            panic!("{found:?}")
        };
        let from: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let told = Told::Held {
            from,
            heard: from,
            until: None,
        };
        assert_eq!(lease.told, told);
    }

    #[test]
    fn an_association_tells_of_each_address_and_prefix() {
        let found = read(
            "ia-na \"\\001\\000\\000\\000\\000\\003\\000\\001\\012\" {\n  cltt epoch 1000;\n  iaaddr 2001:db8::1 {\n    binding state active;\n    preferred-life 50;\n    max-life 100;\n    ends epoch 1100;\n  }\n  iaaddr 2001:db8::2 {\n    binding state released;\n    ends epoch 900;\n  }\n}\n\
             ia-pd \"\\001\\000\\000\\000\\000\\003\\000\\001\\012\" {\n  cltt epoch 1000;\n  iaprefix 2001:db8:0:100::/56 {\n    binding state active;\n    ends epoch 1100;\n  }\n}\n",
        );
        let [Reading::Leases(addresses), Reading::Leases(prefixes)] = &*found else {
            panic!("{found:?}")
        };
        let first = addresses[0].as_ref().unwrap();
        assert_eq!(first.client.duid.as_deref(), Some("00:03:00:01:0a"));
        assert!(matches!(first.told, Told::Held { until: Some(until), .. } if until == at(1_100)));
        let second = addresses[1].as_ref().unwrap();
        assert_eq!(second.told, Told::Free { at: at(900) });
        assert_eq!(prefixes[0].as_ref().unwrap().length, 56);
    }

    #[test]
    fn a_declaration_that_was_cut_short_costs_only_itself() {
        let whole = "lease 100.64.3.9 {\n  starts epoch 1000;\n  ends epoch 2000;\n  binding state active;\n  hardware ethernet 00:00:5e:00:53:af;\n}\n";
        let cut = "lease 100.64.3.10 {\n  starts epoch 1000;\n  ends epo\n";
        let found = read(&format!("{whole}{cut}{whole}{cut}"));
        let rejected = Reading::Rejected(Reason::Unfinished);
        assert_eq!(found[1], rejected);
        assert!(matches!(found[2], Reading::Lease(_)));
        assert_eq!(found[3], rejected);
    }

    #[test]
    fn what_is_no_lease_is_refused() {
        for (body, reason) in [
            ("", Reason::Missing("binding state")),
            ("binding state active;", Reason::Missing("starts")),
            ("starts 9;", Reason::Field("starts")),
            (
                "binding state active; starts epoch 9; ends epoch 8;",
                Reason::Backwards,
            ),
        ] {
            let found = read(&format!("lease 100.64.3.9 {{\n {body}\n}}\n"));
            assert_eq!(found, [Reading::Rejected(reason)], "{body}");
        }
        let long = format!("lease 100.64.3.9 {{\n{}}}\n", "  x;\n".repeat(20_000));
        assert_eq!(read(&long), [Reading::Rejected(Reason::TooLong(64 << 10))]);
    }
}
