//! Kea's forensic log in its default format (Kea's manual, `libdhcp_legal_log.so`): a line for
//! each lease that is assigned, renewed or released, by a client or by an administrator.

use std::{net::IpAddr, time::Duration};

use jiff::{civil::DateTime, tz::TimeZone};
use portledger_model::Timestamp;

use super::{
    Client, Lease, Reading, Reason, Told,
    values::{address, bits, hex},
};

/// Reads the forensic log of Kea for DHCPv4 or DHCPv6.
#[derive(Debug, Clone, Copy, Default)]
pub struct LegalReader;

impl LegalReader {
    /// Whether a line is of such a log.
    pub fn is_entry(line: &[u8]) -> bool {
        let Ok(line) = str::from_utf8(line) else {
            return false;
        };
        let verbs = ["assigned", "renewed", "released"];
        let by_client = |verb: &&str| line.contains(&format!(" has been {verb} "));
        verbs.iter().any(by_client)
            || [" Administrator ", " HA partner "]
                .iter()
                .any(|who| line.contains(who) && line.contains("lease"))
    }

    /// Takes the next line, without or with its end.
    pub fn line(&mut self, line: &[u8]) -> Reading {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Reading::Nothing;
        }
        match read(line) {
            Ok(lease) => Reading::Lease(lease),
            Err(reason) => Reading::Rejected(reason),
        }
    }
}

fn read(line: &[u8]) -> Result<Lease, Reason> {
    let line = str::from_utf8(line).map_err(|_| Reason::Field("the line, which is no UTF-8,"))?;
    let (at, rest) = time(line)?;
    // `Address: A has been …`, `Prefix: P/L has been …`, and what an administrator or the partner
    // of a pair did: `… a lease of address: A to a device …`.
    let (_, place) = ["Address:", "Prefix:", "address:", "prefix:"]
        .iter()
        .find_map(|mark| rest.split_once(mark))
        .ok_or(Reason::Unknown)?;
    let place = place.trim_start();
    let (place, what) = place.split_once(' ').unwrap_or((place, ""));
    let (leased, length) = match place.split_once('/') {
        Some((leased, length)) => (leased, length.parse().ok()),
        None => (place, None),
    };
    let leased: IpAddr = leased.parse().map_err(|_| Reason::Field("the address"))?;
    let length = match (length, place.contains('/')) {
        (Some(length), _) if (1..=bits(leased)).contains(&length) => length,
        (None, false) => bits(leased),
        _ => return Err(Reason::Field("the prefix length")),
    };
    let ends = what.contains("has been released")
        || rest.contains(" deleted ")
        || what.contains("has been declined");
    let told = if ends {
        Told::Free { at }
    } else {
        let (_, duration) = what
            .split_once(" for ")
            .ok_or(Reason::Missing("the duration"))?;
        Told::Held {
            from: at,
            heard: at,
            until: lasting(duration)?.map(|lasting| at.after(lasting)),
        }
    };
    Ok(Lease {
        address: leased,
        length,
        client: client(what),
        told,
    })
}

/// The time at a line's beginning, and what follows: `2026-11-21 12:00:00 UTC …`, or with an
/// offset.
fn time(line: &str) -> Result<(Timestamp, &str), Reason> {
    let none = Reason::Field("the time");
    let (date, rest) = line.split_once(' ').ok_or(none)?;
    let (clock, rest) = rest.split_once(' ').ok_or(none)?;
    let (zone, rest) = rest.split_once(' ').ok_or(none)?;
    let civil: DateTime = format!("{date}T{clock}").parse().map_err(|_| none)?;
    let text = match zone {
        "UTC" | "GMT" | "Z" => {
            let zoned = civil.to_zoned(TimeZone::UTC).map_err(|_| none)?;
            let micros = zoned.timestamp().as_microsecond();
            return Ok((Timestamp::from_micros(micros), rest));
        }
        offset if offset.starts_with(['+', '-']) => format!("{date}T{clock}{offset}"),
        _ => return Err(Reason::Zone),
    };
    Ok((text.parse().map_err(|_| none)?, rest))
}

/// `1 days 0 hrs 52 min 15 secs`, `3600 seconds`, `infinite duration`; `None` is for ever.
fn lasting(text: &str) -> Result<Option<Duration>, Reason> {
    let none = Reason::Field("the duration");
    if text.starts_with("infinite duration") {
        return Ok(None);
    }
    let mut words = text.split([' ', ',']);
    let mut seconds: u64 = 0;
    let mut told = false;
    while let (Some(number), Some(unit)) = (words.next(), words.next()) {
        let Ok(number) = number.parse::<u64>() else {
            break;
        };
        let each = match unit {
            "day" | "days" => 86_400,
            "hr" | "hrs" | "hour" | "hours" => 3_600,
            "min" | "mins" | "minute" | "minutes" => 60,
            "sec" | "secs" | "second" | "seconds" => 1,
            _ => return Err(none),
        };
        let more = number.checked_mul(each);
        seconds = more
            .and_then(|more| seconds.checked_add(more))
            .ok_or(none)?;
        told = true;
    }
    // The longest lease has 32 bits of seconds.
    let fits = told && seconds < u64::from(u32::MAX);
    fits.then(|| Some(Duration::from_secs(seconds))).ok_or(none)
}

fn client(what: &str) -> Client {
    let after = |mark: &str| {
        let (_, after) = what.split_once(mark)?;
        after.split([' ', ',']).find(|word| !word.is_empty())
    };
    let hardware = after("hardware address: hwtype=1")
        .or_else(|| after("hardware address:").filter(|word| !word.starts_with("hwtype=")));
    let octets = |mark: &str| {
        let octets = hex(after(mark)?)?;
        Some(crate::radius::readable(&octets))
    };
    Client {
        hardware_address: hardware.and_then(address),
        client_id: after("client-id:").and_then(address),
        duid: after("DUID:").and_then(address),
        hostname: None,
        circuit_id: octets("circuit-id:").or_else(|| octets("interface-id:")),
        remote_id: octets("remote-id:"),
        subscriber_id: octets("subscriber-id:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(line: &str) -> Lease {
        assert!(LegalReader::is_entry(line.as_bytes()), "{line}");
        read(line.as_bytes()).unwrap()
    }

    #[test]
    fn the_lines_of_kea_s_manual_are_read() {
        // The manual's, with the zone UTC.
        let renewed = lease(
            "2018-01-06 01:02:03 UTC Address: 192.2.1.100 has been renewed for 1 hrs 52 min 15 secs to a device with hardware address: hwtype=1 08:00:2b:02:3f:4e, client-id: 17:34:e2:ff:09:92:54 connected via relay at address: 192.2.16.33, identified by circuit-id: 68:6f:77:64:79 (howdy) and remote-id: 87:f6:79:77:ef",
        );
        let at: Timestamp = "2018-01-06T01:02:03Z".parse().unwrap();
        let told = Told::Held {
            from: at,
            heard: at,
            until: Some(at.after(Duration::from_secs(6_735))),
        };
        assert_eq!(renewed.told, told);
        let client = &renewed.client;
        assert_eq!(
            client.hardware_address.as_deref(),
            Some("08:00:2b:02:3f:4e")
        );
        assert_eq!(client.client_id.as_deref(), Some("17:34:e2:ff:09:92:54"));
        assert_eq!(client.circuit_id.as_deref(), Some("howdy"));
        assert_eq!(client.remote_id.as_deref(), Some("0x87f67977ef"));

        let assigned = lease(
            "2018-01-06 01:02:03 +0100 Address:2001:db8:1:: has been assigned for 0 hrs 11 mins 53 secs to a device with DUID: 17:34:e2:ff:09:92:54 and hardware address: hwtype=1 08:00:2b:02:3f:4e (from Raw Socket) connected via relay at address: fe80::abcd for client on link address: 3001::1, hop count: 1, identified by remote-id: 01:02:03:04:0a:0b:0c:0d:0e:0f and subscriber-id: 1a:2b:3c:4d:5e:6f",
        );
        assert_eq!(
            assigned.client.duid.as_deref(),
            Some("17:34:e2:ff:09:92:54")
        );
        assert!(
            matches!(assigned.told, Told::Held { from, .. } if from == at.before(Duration::from_secs(3_600)))
        );

        let added = lease(
            "2018-01-06 01:02:03 UTC Administrator added a lease of address: 192.0.2.202 to a device with hardware address: 1a:1b:1c:1d:1e:1f for 1 days 0 hrs 0 mins 0 secs",
        );
        assert_eq!(
            added.client.hardware_address.as_deref(),
            Some("1a:1b:1c:1d:1e:1f")
        );
        for ended in [
            "2018-01-06 01:02:03 UTC Address: 192.2.1.100 has been released from a device with hardware address: hwtype=1 08:00:2b:02:3f:4e",
            "2018-01-06 01:02:03 UTC Administrator deleted the lease for address: 192.0.2.202",
            "2018-01-06 01:02:03 UTC HA partner deleted the lease for address: 192.0.2.202",
        ] {
            assert_eq!(lease(ended).told, Told::Free { at });
        }
    }

    #[test]
    fn a_zone_that_is_only_an_abbreviation_is_refused() {
        let line =
            b"2018-01-06 01:02:03 CET Administrator deleted the lease for address: 192.0.2.202";
        assert_eq!(read(line), Err(Reason::Zone));
    }

    #[test]
    fn a_lease_for_ever_has_no_end() {
        let line = "2018-01-06 01:02:03 UTC Address: 192.2.1.100 has been assigned for infinite duration to a device with hardware address: hwtype=1 08:00:2b:02:3f:4e";
        assert!(matches!(lease(line).told, Told::Held { until: None, .. }));
        let line = b"2018-01-06 01:02:03 UTC Address: 192.2.1.100 has been assigned for 99999999999999999999 days to";
        assert_eq!(read(line), Err(Reason::Field("the duration")));
    }
}
