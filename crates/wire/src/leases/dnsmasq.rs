//! dnsmasq's lease file: `expiry address-of-the-hardware address name client-id`, five fields with
//! a space between them. Behind a line `duid …`, the leases of DHCPv6, which have the IAID in the
//! second field and the DUID in the fifth.

use std::net::IpAddr;

use portledger_model::Timestamp;

use super::{
    Client, Lease, Reading, Reason, Told,
    values::{address, bits, name, seconds},
};

/// Reads a lease file of dnsmasq's.
///
/// It says when a lease expires (0 is never), not when it began: a lease is known from the time
/// on at which the file was written.
#[derive(Debug, Clone, Copy)]
pub struct DnsmasqReader {
    written: Timestamp,
}

impl DnsmasqReader {
    /// Of a file that was written then.
    pub const fn new(written: Timestamp) -> Self {
        Self { written }
    }

    /// Takes the next line, without or with its end.
    pub fn line(&mut self, line: &[u8]) -> Reading {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") || line.starts_with(b"duid ") {
            return Reading::Nothing;
        }
        match self.read(line) {
            Ok(lease) => Reading::Lease(lease),
            Err(reason) => Reading::Rejected(reason),
        }
    }

    fn read(&self, line: &[u8]) -> Result<Lease, Reason> {
        let line =
            str::from_utf8(line).map_err(|_| Reason::Field("the line, which is no UTF-8,"))?;
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [expiry, hardware, leased, hostname, id] = *fields else {
            return Err(Reason::Fields {
                found: fields.len(),
                expected: 5,
            });
        };
        let leased: IpAddr = leased.parse().map_err(|_| Reason::Field("the address"))?;
        let until = match expiry {
            "0" => None,
            text => Some(seconds(text).ok_or(Reason::Field("the expiry"))?),
        };
        if until.is_some_and(|until| until <= self.written) {
            return Err(Reason::Expired);
        }
        let hostname = if hostname == "*" {
            None
        } else {
            name(hostname)
        };
        let id = if id == "*" { None } else { address(id) };
        let client = if leased.is_ipv6() {
            Client {
                duid: id,
                hostname,
                ..Client::default()
            }
        } else {
            // `06-` and the like before it says of which kind it is where that is not Ethernet.
            let (_, hardware) = hardware.rsplit_once('-').unwrap_or(("", hardware));
            Client {
                hardware_address: address(hardware),
                client_id: id,
                hostname,
                ..Client::default()
            }
        };
        Ok(Lease {
            address: leased,
            length: bits(leased),
            client,
            told: Told::Held {
                from: self.written,
                heard: self.written,
                until,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_known_from_when_the_file_was_written() {
        let written = Timestamp::from_secs(1_000);
        let mut reader = DnsmasqReader::new(written);
        let Reading::Lease(lease) =
            reader.line(b"2000 00:00:5e:00:53:af 100.64.3.9 nemo 01:00:00:5e:00:53:af\n")
        else {
            panic!("no lease")
        };
        let until = Some(Timestamp::from_secs(2_000));
        let told = Told::Held {
            from: written,
            heard: written,
            until,
        };
        assert_eq!(lease.told, told);
        assert_eq!(lease.client.hostname.as_deref(), Some("nemo"));
        assert_eq!(reader.line(b"duid 00:01:00:01\n"), Reading::Nothing);
        let Reading::Lease(lease) = reader.line(b"0 7 2001:db8::1 * 00:03:00:01:0a") else {
            panic!("no lease")
        };
        assert_eq!(lease.client.duid.as_deref(), Some("00:03:00:01:0a"));
        assert!(matches!(lease.told, Told::Held { until: None, .. }));
    }

    #[test]
    fn a_lease_that_was_over_when_the_file_was_written_tells_nothing() {
        let mut reader = DnsmasqReader::new(Timestamp::from_secs(1_000));
        assert_eq!(
            reader.line(b"1000 00:00:5e:00:53:af 100.64.3.9 * *"),
            Reading::Rejected(Reason::Expired)
        );
        let fields = Reason::Fields {
            found: 2,
            expected: 5,
        };
        assert_eq!(reader.line(b"1000 x"), Reading::Rejected(fields));
    }
}
