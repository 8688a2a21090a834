//! Kea's lease files: CSV that is appended to (Kea's manual, "Memfile - Basic Storage for
//! Leases"), and cleaned up into files of the same form with other endings.

use std::{borrow::Cow, net::IpAddr, time::Duration};

use portledger_model::Timestamp;

use super::{
    Client, Lease, Reading, Reason, Told,
    values::{address, bits, name, seconds},
};

/// A valid lifetime that never ends (RFC 2131 §3.3, RFC 8415 §7.7).
const FOREVER: u32 = u32::MAX;
/// More columns than any release has.
const MOST_COLUMNS: usize = 64;

/// Reads a lease file of Kea's, for DHCPv4 or DHCPv6. Its header says which columns it has.
///
/// Each line is the lease's state after a transaction; the last one counts, and what the earlier
/// ones told stays true of their time.
#[derive(Debug, Clone, Default)]
pub struct KeaReader {
    columns: Option<Columns>,
}

/// Where the columns are.
#[derive(Debug, Clone)]
struct Columns {
    width: usize,
    address: usize,
    valid_lifetime: usize,
    expire: usize,
    state: Option<usize>,
    hwaddr: Option<usize>,
    client_id: Option<usize>,
    duid: Option<usize>,
    lease_type: Option<usize>,
    prefix_len: Option<usize>,
    hostname: Option<usize>,
    user_context: Option<usize>,
}

impl KeaReader {
    /// Whether a line is a header of such a file.
    pub fn is_header(line: &[u8]) -> bool {
        line.trim_ascii().starts_with(b"address,") && Columns::of(line).is_some()
    }

    /// Takes the next line, without or with its end.
    pub fn line(&mut self, line: &[u8]) -> Reading {
        let line = line.trim_ascii_end();
        if line.is_empty() || line.starts_with(b"#") {
            return Reading::Nothing;
        }
        if line.starts_with(b"address,") {
            self.columns = Columns::of(line);
            return match self.columns {
                Some(_) => Reading::Nothing,
                None => Reading::Rejected(Reason::NoHeader),
            };
        }
        let Some(columns) = &self.columns else {
            return Reading::Rejected(Reason::NoHeader);
        };
        match columns.read(line) {
            Ok(Some(lease)) => Reading::Lease(lease),
            Ok(None) => Reading::Nothing,
            Err(reason) => Reading::Rejected(reason),
        }
    }
}

impl Columns {
    fn of(line: &[u8]) -> Option<Self> {
        let names: Vec<&str> = str::from_utf8(line).ok()?.trim().split(',').collect();
        let place = |wanted: &str| names.iter().position(|name| *name == wanted);
        (names.len() <= MOST_COLUMNS).then_some(())?;
        Some(Self {
            width: names.len(),
            address: place("address")?,
            valid_lifetime: place("valid_lifetime")?,
            expire: place("expire")?,
            state: place("state"),
            hwaddr: place("hwaddr"),
            client_id: place("client_id"),
            duid: place("duid"),
            lease_type: place("lease_type"),
            prefix_len: place("prefix_len"),
            hostname: place("hostname"),
            user_context: place("user_context"),
        })
    }

    /// The lease of a line; `None` where nobody holds or held it by DHCP.
    fn read(&self, line: &[u8]) -> Result<Option<Lease>, Reason> {
        let line =
            str::from_utf8(line).map_err(|_| Reason::Field("the line, which is no UTF-8,"))?;
        let cells: Vec<&str> = line.splitn(MOST_COLUMNS + 1, ',').collect();
        // A file that a newer release took over keeps lines that end before its new columns.
        let needed = self.address.max(self.valid_lifetime).max(self.expire) + 1;
        if cells.len() < needed || cells.len() > self.width {
            return Err(Reason::Fields {
                found: cells.len(),
                expected: self.width,
            });
        }
        let cell = |place: Option<usize>| {
            let cell = place.and_then(|place| cells.get(place)).copied();
            unescaped(cell.unwrap_or_default())
        };
        let leased: IpAddr = cell(Some(self.address))
            .parse()
            .map_err(|_| Reason::Field("address"))?;
        let length = match (&*cell(self.lease_type), self.prefix_len) {
            // Lease::TYPE_PD.
            ("2", Some(place)) => {
                let length = cell(Some(place)).parse().ok();
                length
                    .filter(|length| (1..=128).contains(length))
                    .ok_or(Reason::Field("prefix_len"))?
            }
            _ => bits(leased),
        };
        let lifetime: u32 = cell(Some(self.valid_lifetime))
            .parse()
            .map_err(|_| Reason::Field("valid_lifetime"))?;
        let expire = seconds(&cell(Some(self.expire))).ok_or(Reason::Field("expire"))?;
        // `expire` is the client's last transaction and the lifetime.
        let heard = expire.before(Duration::from_secs(lifetime.into()));
        let told = match &*cell(self.state) {
            // A release that had not told states, or the default, or expired and taken back: that
            // it expired was told before.
            "" | "0" | "2" => held(heard, lifetime, expire),
            // Released, and kept for a returning client; when is not told.
            "3" => Told::Ended {
                from: heard,
                to: heard,
            },
            // Declined: somebody else has it, nobody knows who.
            "1" => Told::Free { at: heard },
            // Registered by a client that chose the address itself (RFC 9686).
            "4" => held(heard, lifetime, expire),
            _ => return Err(Reason::Field("state")),
        };
        let mut client = Client {
            hardware_address: address(&cell(self.hwaddr)),
            client_id: address(&cell(self.client_id)),
            duid: address(&cell(self.duid)),
            hostname: name(&cell(self.hostname)),
            ..Client::default()
        };
        relay(&cell(self.user_context), &mut client);
        Ok(Some(Lease {
            address: leased,
            length,
            client,
            told,
        }))
    }
}

fn held(heard: Timestamp, lifetime: u32, expire: Timestamp) -> Told {
    match lifetime {
        // Kea writes a lease that was released or deleted with lifetime 0 and the time of its last
        // transaction. When it ended is not told.
        0 => Told::Ended {
            from: expire,
            to: expire,
        },
        FOREVER => Told::Held {
            from: heard,
            heard,
            until: None,
        },
        _ => Told::Held {
            from: heard,
            heard,
            until: Some(expire),
        },
    }
}

/// Kea writes a comma in a text as `&#x2c`, and so other bytes that would break the line.
fn unescaped(cell: &str) -> Cow<'_, str> {
    if !cell.contains("&#x") {
        return Cow::Borrowed(cell);
    }
    let mut text = String::with_capacity(cell.len());
    let mut rest = cell;
    while let Some((before, after)) = rest.split_once("&#x") {
        text.push_str(before);
        let code = after
            .get(..2)
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                text.push(char::from(code));
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                text.push_str("&#x");
                rest = after;
            }
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// What the relay said, where 'store-extended-info' keeps it: in the user context, under `ISC`,
/// `relay-agent-info`.
fn relay(context: &str, client: &mut Client) {
    if !context.contains("relay-agent-info") {
        return;
    }
    let Ok(context) = serde_json::from_str::<serde_json::Value>(context) else {
        return;
    };
    let Some(info) = context.pointer("/ISC/relay-agent-info") else {
        return;
    };
    // One relay (DHCPv4), or the relays from the server's side on (DHCPv6): the last is the one
    // that the client spoke to.
    let info = info.as_array().and_then(|all| all.last()).unwrap_or(info);
    let told = |name: &str| {
        let value = info.get(name)?.as_str()?;
        let digits = value.strip_prefix("0x").unwrap_or(value);
        let pairs: Option<Vec<u8>> = digits
            .as_bytes()
            .chunks(2)
            .map(|pair| {
                let pair = str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
                u8::from_str_radix(pair, 16).ok()
            })
            .collect();
        let octets = pairs.filter(|octets| !octets.is_empty())?;
        Some(crate::radius::readable(&octets))
    };
    client.circuit_id = told("circuit-id").or_else(|| told("interface-id"));
    client.remote_id = told("remote-id");
    client.subscriber_id = told("subscriber-id");
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER4: &str = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id";

    fn read(header: &str, line: &str) -> Reading {
        let mut reader = KeaReader::default();
        assert_eq!(reader.line(header.as_bytes()), Reading::Nothing);
        reader.line(line.as_bytes())
    }

    fn lease(header: &str, line: &str) -> Lease {
        match read(header, line) {
            Reading::Lease(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_comma_in_a_context_is_one() {
        let context = "{\"ISC\":{\"relay-agent-info\":{\"circuit-id\":\"0x6f6c7431\"&#x2c\"remote-id\":\"00ff\"}}}";
        let found = lease(
            HEADER4,
            &format!("100.64.3.9,00:0:5E:00:53:af,01:02,60,1000,1,0,0,a&#x2cb,0,{context},0"),
        );
        assert_eq!(found.client.circuit_id.as_deref(), Some("olt1"));
        assert_eq!(found.client.remote_id.as_deref(), Some("0x00ff"));
        assert_eq!(found.client.hostname.as_deref(), Some("a,b"));
        assert_eq!(
            found.client.hardware_address.as_deref(),
            Some("00:00:5e:00:53:af")
        );
    }

    #[test]
    fn a_released_lease_is_held_when_it_was_last_heard_of_and_no_longer() {
        let at = Timestamp::from_secs(1_000);
        let found = lease(HEADER4, "100.64.3.9,,01,0,1000,1,0,0,,0,,0");
        assert_eq!(found.told, Told::Ended { from: at, to: at });
        let declined = lease(HEADER4, "100.64.3.9,,,100,1100,1,0,0,,1,,0");
        assert_eq!(declined.told, Told::Free { at });
    }

    #[test]
    fn a_delegated_prefix_has_its_length() {
        let header = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source,pool_id";
        let found = lease(
            header,
            "2001:db8:0:100::,00:03:00:01:0a,4294967295,5294967295,1,50,2,7,56,0,0,,,0,,,,0",
        );
        assert_eq!(found.length, 56);
        assert!(matches!(found.told, Told::Held { until: None, .. }));
        // A line of an earlier release.
        let short = lease(
            header,
            "2001:db8::1,00:03:00:01:0a,100,1100,1,50,0,7,128,0,0,",
        );
        assert_eq!(short.length, 128);
    }

    #[test]
    fn what_is_no_lease_is_refused() {
        assert_eq!(
            KeaReader::default().line(b"100.64.3.9,,,1,1,1,0,0,,0,,0"),
            Reading::Rejected(Reason::NoHeader)
        );
        for (line, reason) in [
            ("nemo,,,1,1,1,0,0,,0,,0", Reason::Field("address")),
            (
                "100.64.3.9,,,-1,1,1,0,0,,0,,0",
                Reason::Field("valid_lifetime"),
            ),
            (
                "100.64.3.9,,,1,99999999999999,1,0,0,,0,,0",
                Reason::Field("expire"),
            ),
            ("100.64.3.9,,,1,1,1,0,0,,9,,0", Reason::Field("state")),
            (
                "100.64.3.9,",
                Reason::Fields {
                    found: 2,
                    expected: 12,
                },
            ),
        ] {
            assert_eq!(read(HEADER4, line), Reading::Rejected(reason), "{line}");
        }
    }
}
