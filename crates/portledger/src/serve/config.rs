//! The configuration file of `portledger serve`: TOML in, checked values out.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use portledger_identity::sessions::{Field, Reading};
use portledger_model::{Device, Realm, Timestamp};
use portledger_service::{
    accounting::Client,
    collect::{Form, Known, Listener, Promise, Protocol, Roster, Telling, Transport},
    tls,
};
use portledger_wire::{dialect::Dialects, radius::Secret};
use serde::Deserialize;

use super::wrong;
use crate::{
    args::{IdentityKeys, IdentityStore},
    config::Time,
    failure::Failure,
    input::parse_zone,
};

/// What a configuration file says, checked.
pub(super) struct ServeConfig {
    path: PathBuf,
    pub(super) ledger: PathBuf,
    pub(super) metrics: Option<SocketAddr>,
    /// Where what is not understood is kept aside, and how many bytes of it.
    pub(super) rejects: Option<(PathBuf, u64)>,
    pub(super) dialects: Vec<PathBuf>,
    pub(super) listeners: Vec<Listener>,
    pub(super) roster: Roster,
    pub(super) radius: Option<Radius>,
}

/// A socket for RADIUS accounting, and where customers are kept.
pub(super) struct Radius {
    pub(super) address: SocketAddr,
    pub(super) clients: Vec<Client>,
    pub(super) reading: Reading,
    pub(super) store: IdentityStore,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    ledger: PathBuf,
    metrics: Option<SocketAddr>,
    rejects: Option<PathBuf>,
    rejects_bytes: Option<u64>,
    #[serde(default)]
    dialects: Vec<PathBuf>,
    /// Whether devices that are not listed are heard.
    others: Option<bool>,
    #[serde(default)]
    defaults: TellingTable,
    listen: Vec<ListenTable>,
    #[serde(default, rename = "device")]
    devices: Vec<DeviceTable>,
    radius: Option<RadiusTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RadiusTable {
    address: SocketAddr,
    identities: PathBuf,
    identity_keys: Option<PathBuf>,
    identity_master_key: Option<PathBuf>,
    realm: Option<String>,
    customer: Option<String>,
    #[serde(rename = "client")]
    clients: Vec<ClientTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientTable {
    from: Net,
    secret_file: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenTable {
    protocol: ProtocolName,
    transport: TransportName,
    address: SocketAddr,
    buffer: Option<usize>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProtocolName {
    Flows,
    Lines,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TransportName {
    Udp,
    Tcp,
    Tls,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceTable {
    name: String,
    #[serde(default)]
    from: Vec<Net>,
    #[serde(default)]
    hosts: Vec<String>,
    clock_error: Option<Time>,
    complete_from: Option<String>,
    zone: Option<String>,
    realm: Option<String>,
    format: Option<String>,
    silence: Option<Time>,
}

/// An address, or a net of addresses.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Net {
    Net(IpNet),
    Address(std::net::IpAddr),
}

/// How devices tell of which nothing else is said.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TellingTable {
    clock_error: Option<Time>,
    complete_from: Option<String>,
    zone: Option<String>,
    realm: Option<String>,
    format: Option<String>,
    silence: Option<Time>,
}

/// The kernel's memory for a socket's datagrams, in bytes, where nothing else is said.
const BUFFER: usize = 64 << 20;
/// Bytes that are kept aside.
const REJECTS: u64 = 64 << 20;
/// What a clock may be off of which nothing is said.
const CLOCK_ERROR: Duration = Duration::from_secs(1);

impl ServeConfig {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| wrong(path, format!("cannot read it: {error}")))?;
        let file: File = toml::from_str(&text).map_err(|error| wrong(path, error))?;
        file.checked(path).map_err(|failure| wrong(path, failure))
    }

    /// Whether each form that devices tell in is known.
    pub(super) fn check_forms(&self, dialects: &Dialects) -> Result<(), Failure> {
        let known = self.roster.known.iter().map(|known| &known.telling);
        for form in known
            .chain(&self.roster.others)
            .filter_map(|t| t.form.as_ref())
        {
            Form::named(form, dialects)
                .map_err(|error| wrong(&self.path, format!("format: {error}")))?;
        }
        Ok(())
    }
}

impl File {
    fn checked(self, path: &Path) -> Result<ServeConfig, Failure> {
        if self.listen.is_empty() {
            return Err(Failure::usage(
                "no [[listen]]: nobody could be heard; say on which address and port",
            ));
        }
        let defaults = self.defaults;
        let devices = self.devices.into_iter();
        let known = devices
            .map(|device| device.checked(&defaults))
            .collect::<Result<Vec<_>, _>>()?;
        let others = self.others.unwrap_or(known.is_empty());
        let others = others
            .then(|| TellingTable::default().checked(&defaults))
            .transpose()?;
        let listeners = self.listen.into_iter().map(ListenTable::checked);
        Ok(ServeConfig {
            path: path.to_owned(),
            ledger: self.ledger,
            metrics: self.metrics,
            rejects: self
                .rejects
                .map(|path| (path, self.rejects_bytes.unwrap_or(REJECTS))),
            dialects: self.dialects,
            listeners: listeners.collect::<Result<_, _>>()?,
            roster: Roster { known, others },
            radius: self.radius.map(RadiusTable::checked).transpose()?,
        })
    }
}

impl ListenTable {
    fn checked(self) -> Result<Listener, Failure> {
        let address = self.address;
        let failed = |what: String| Failure::usage(format!("listen {address}: {what}"));
        let transport = match (self.transport, self.certificate, self.key) {
            (TransportName::Udp, None, None) => Transport::Udp {
                buffer: self.buffer.unwrap_or(BUFFER),
            },
            (TransportName::Tcp, None, None) => Transport::Tcp,
            (TransportName::Tls, Some(certificate), Some(key)) => {
                let authorities = self.client_ca.as_deref();
                let config = tls::server_config(&certificate, &key, authorities);
                Transport::Tls(config.map_err(|error| failed(error.to_string()))?)
            }
            (TransportName::Tls, ..) => {
                return Err(failed(
                    "transport 'tls' needs a certificate and its key".into(),
                ));
            }
            _ => return Err(failed("certificate and key are for transport 'tls'".into())),
        };
        Ok(Listener {
            protocol: match self.protocol {
                ProtocolName::Flows => Protocol::Flows,
                ProtocolName::Lines => Protocol::Lines,
            },
            transport,
            address,
        })
    }
}

impl RadiusTable {
    fn checked(self) -> Result<Radius, Failure> {
        if self.clients.is_empty() {
            return Err(Failure::usage(
                "radius: no [[radius.client]]: nobody would be answered",
            ));
        }
        let clients = self.clients.into_iter().map(ClientTable::checked);
        let realm = self.realm.as_deref();
        let customer = self.customer.as_deref().map(str::parse::<Field>);
        Ok(Radius {
            address: self.address,
            clients: clients.collect::<Result<_, _>>()?,
            reading: Reading {
                realm: realm.map_or(Ok(Realm::default()), Realm::new)?,
                customer: customer
                    .transpose()
                    .map_err(|error| Failure::usage(format!("radius.customer: {error}")))?,
            },
            store: IdentityStore {
                identities: self.identities,
                keys: IdentityKeys {
                    identity_keys: self.identity_keys,
                    identity_master_key: self.identity_master_key,
                },
            },
        })
    }
}

impl ClientTable {
    fn checked(self) -> Result<Client, Failure> {
        let path = self.secret_file.display().to_string();
        let failed = |what: &dyn std::fmt::Display| Failure::usage(format!("{path}: {what}"));
        let text = std::fs::read(&self.secret_file).map_err(|error| failed(&error))?;
        Ok(Client {
            from: self.from.net(),
            // The end of the line is the editor's.
            secret: Secret::new(text.trim_ascii_end()).map_err(|error| failed(&error))?,
        })
    }
}

impl DeviceTable {
    fn checked(self, defaults: &TellingTable) -> Result<Known, Failure> {
        let name = self.name;
        let failed =
            |what: &dyn std::fmt::Display| Failure::usage(format!("device '{name}': {what}"));
        if self.from.is_empty() && self.hosts.is_empty() {
            return Err(failed(&"neither 'from' nor 'hosts' says who it is"));
        }
        let telling = TellingTable {
            clock_error: self.clock_error,
            complete_from: self.complete_from,
            zone: self.zone,
            realm: self.realm,
            format: self.format,
            silence: self.silence,
        };
        Ok(Known {
            device: Device::new(&name).map_err(|error| failed(&error))?,
            from: self.from.into_iter().map(Net::net).collect(),
            hosts: self.hosts,
            telling: telling.checked(defaults).map_err(|error| failed(&error))?,
        })
    }
}

impl Net {
    fn net(self) -> IpNet {
        match self {
            Self::Net(net) => net,
            Self::Address(address) => address.into(),
        }
    }
}

impl TellingTable {
    fn checked(self, defaults: &Self) -> Result<Telling, Failure> {
        let either = |own: Option<String>, default: &Option<String>| own.or(default.clone());
        let zone = either(self.zone, &defaults.zone);
        let realm = either(self.realm, &defaults.realm);
        let complete_from = either(self.complete_from, &defaults.complete_from);
        let complete_from = complete_from.map(|text| {
            let wrong = |error| Failure::usage(format!("complete_from: {error}"));
            text.parse::<Timestamp>().map_err(wrong)
        });
        let clock_error = self.clock_error.or(defaults.clock_error);
        Ok(Telling {
            promise: Promise {
                clock_error: clock_error.map_or(CLOCK_ERROR, |time| time.0),
                complete_from: complete_from.transpose()?,
            },
            zone: zone.as_deref().map(parse_zone).transpose()?,
            realm: realm.as_deref().map_or(Ok(Realm::default()), Realm::new)?,
            form: either(self.format, &defaults.format).filter(|form| form != "auto"),
            silence: self.silence.or(defaults.silence).map(|time| time.0),
        })
    }
}
