//! Who is which device.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use jiff::tz::TimeZone;
use portledger_model::{Device, Realm};

use super::devices::Promise;

/// The devices that are heard, and how they tell.
#[derive(Debug, Clone)]
pub struct Roster {
    /// Devices that are known: the first that fits counts.
    pub known: Vec<Known>,
    /// How anybody else is taken to tell; `None` refuses them.
    pub others: Option<Telling>,
}

/// A device that is known by where its messages come from.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its name in the ledger.
    pub device: Device,
    /// The addresses it sends from; none for any.
    pub from: Vec<IpNet>,
    /// The names it has in the headers of its syslog; none for any. Several devices whose messages
    /// come through a relay are told apart so.
    pub hosts: Vec<String>,
    /// How it tells.
    pub telling: Telling,
}

/// How a device tells.
#[derive(Debug, Clone, Default)]
pub struct Telling {
    /// What its operator says of its log.
    pub promise: Promise,
    /// The zone of times that are written without one; `None` refuses these.
    pub zone: Option<TimeZone>,
    /// The realm of subscribers of whom none is told.
    pub realm: Realm,
    /// The name of the form of its lines; `None` to guess it.
    pub form: Option<String>,
    /// A longer silence is a gap; `None` where it may be silent for as long as it likes.
    pub silence: Option<Duration>,
}

impl Roster {
    /// Everybody is taken for who they say they are.
    pub fn everybody(telling: Telling) -> Self {
        Self {
            known: Vec::new(),
            others: Some(telling),
        }
    }

    /// The device that sends from this address, and calls itself so where its messages say it.
    /// `None` for one that is to be refused.
    pub(super) fn find(&self, from: IpAddr, host: Option<&str>) -> Option<(Device, &Telling)> {
        let known = self.known.iter().find(|known| {
            let from_there =
                known.from.is_empty() || known.from.iter().any(|net| net.contains(&from));
            let called_so = known.hosts.is_empty()
                || host.is_some_and(|host| known.hosts.iter().any(|name| name == host));
            from_there && called_so
        });
        if let Some(known) = known {
            return Some((known.device.clone(), &known.telling));
        }
        let telling = self.others.as_ref()?;
        let named = host.and_then(|host| Device::new(host).ok());
        Some((named.or_else(|| device_at(from))?, telling))
    }
}

/// A device that is called after its address, which in IPv6 has `-` for `:`.
pub fn device_at(address: IpAddr) -> Option<Device> {
    Device::new(&address.to_string().replace(':', "-")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(device: &str, from: &[&str], hosts: &[&str]) -> Known {
        Known {
            device: Device::new(device).unwrap(),
            from: from.iter().map(|net| net.parse().unwrap()).collect(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            telling: Telling::default(),
        }
    }

    fn name(roster: &Roster, from: &str, host: Option<&str>) -> Option<String> {
        let found = roster.find(from.parse().unwrap(), host);
        found.map(|(device, _)| device.to_string())
    }

    #[test]
    fn a_device_is_known_by_its_address_and_behind_a_relay_by_its_name_too() {
        let roster = Roster {
            known: vec![
                known("cgn1", &["192.0.2.1/32"], &[]),
                known("cgn2", &["198.51.100.0/24"], &["cgn2", "cgn2.example"]),
                known("cgn3", &["198.51.100.0/24"], &["cgn3"]),
            ],
            others: None,
        };
        assert_eq!(
            name(&roster, "192.0.2.1", Some("x")).as_deref(),
            Some("cgn1")
        );
        let relay = "198.51.100.9";
        assert_eq!(
            name(&roster, relay, Some("cgn2.example")).as_deref(),
            Some("cgn2")
        );
        assert_eq!(name(&roster, relay, Some("cgn3")).as_deref(), Some("cgn3"));
        // Whoever only says that it is a device is not believed.
        assert_eq!(name(&roster, "203.0.113.1", Some("cgn2")), None);
        assert_eq!(name(&roster, relay, None), None);
    }

    #[test]
    fn others_are_called_by_their_name_or_address() {
        let roster = Roster::everybody(Telling::default());
        assert_eq!(
            name(&roster, "192.0.2.1", Some("cgn9")).as_deref(),
            Some("cgn9")
        );
        assert_eq!(
            name(&roster, "192.0.2.1", Some("no name")).as_deref(),
            Some("192.0.2.1")
        );
        assert_eq!(
            name(&roster, "2001:db8::1", None).as_deref(),
            Some("2001-db8--1")
        );
    }
}
