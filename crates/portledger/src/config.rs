//! The configuration file of `portledger nat`: TOML in, checked values out.

mod export;
mod mode;
mod value;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4},
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net};
use portledger_dataplane::run::LedgerFull;
use portledger_model::{Device, DeviceError, Durability, Realm, RealmError, Transport};
use portledger_nat::{Filtering, IcmpRefusal, Mtu, RealmIndex, Timers};
use portledger_ports::{DeterministicConfig, Limits as PortLimits, Pool, Pooling, StaticMapping};
use serde::Deserialize;
use thiserror::Error;

pub(crate) use export::Export;
use export::{ExportError, ExportTable};
pub(crate) use mode::Translation;
use mode::{AftrTable, Mode, ModeError};
use value::{Range, Seed, set, time};
pub(crate) use value::{Time, parse_duration};

/// What a configuration file says, checked.
#[derive(Debug)]
pub(crate) struct NatConfig {
    pub(crate) device: Device,
    pub(crate) translation: Translation,
    pub(crate) tun: Tun,
    pub(crate) ledger: Ledger,
    pub(crate) exports: Vec<Export>,
    pub(crate) seed: Option<[u8; 32]>,
}

/// A configuration that cannot be used, and where.
#[derive(Debug, Error)]
pub(crate) enum ConfigFileError {
    #[error("{}: cannot read it: {error}", path.display())]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{}: {error}", path.display())]
    Toml {
        path: PathBuf,
        error: Box<toml::de::Error>,
    },
    #[error("{}: {error}", path.display())]
    Value { path: PathBuf, error: ValueError },
}

/// A value that TOML lets through and that means nothing here.
#[derive(Debug, Error)]
pub(crate) enum ValueError {
    #[error("device: {0}")]
    Device(#[from] DeviceError),
    #[error("realm: {0}")]
    Realm(#[from] RealmError),
    #[error(transparent)]
    Pool(#[from] portledger_ports::PoolError),
    #[error("static: realm '{0}' is not configured")]
    StaticRealm(String),
    #[error("timers.udp_by_port: '{0}' is not a port")]
    UdpPort(String),
    #[error("ledger.{0}: shorter than 1 s; it would fill the ledger with nothing new")]
    Interval(&'static str),
    #[error(transparent)]
    Mode(#[from] ModeError),
    #[error("export '{name}': {error}")]
    Export { name: String, error: ExportError },
}

impl NatConfig {
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigFileError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigFileError::Read {
            path: path.to_owned(),
            error,
        })?;
        let file: File = toml::from_str(&text).map_err(|error| ConfigFileError::Toml {
            path: path.to_owned(),
            error: Box::new(error),
        })?;
        file.checked().map_err(|error| ConfigFileError::Value {
            path: path.to_owned(),
            error,
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    device: String,
    #[serde(default)]
    mode: Mode,
    seed: Option<Seed>,
    pool: PoolTable,
    #[serde(default, rename = "realm")]
    realms: Vec<RealmTable>,
    #[serde(default)]
    ports: PortsTable,
    #[serde(default)]
    blocks: Blocks,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    timers: TimersTable,
    #[serde(default)]
    filtering: FilteringTable,
    #[serde(default)]
    clocks: Clocks,
    #[serde(default)]
    nat: NatTable,
    #[serde(default, rename = "static")]
    statics: Vec<StaticTable>,
    deterministic: Option<DeterministicTable>,
    aftr: Option<AftrTable>,
    #[serde(default)]
    tun: Tun,
    #[serde(default)]
    ledger: Ledger,
    #[serde(default, rename = "export")]
    exports: Vec<ExportTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolTable {
    addresses: Vec<String>,
    thresholds: Option<(u8, u8)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RealmTable {
    name: String,
    inside: Vec<IpNet>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PortsTable {
    range: Option<Range>,
    #[serde(default)]
    preserve_parity: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Blocks {
    size: Option<u32>,
    guard_time: Option<Time>,
    idle: Option<Time>,
    #[serde(default)]
    pooling: PoolingName,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PoolingName {
    #[default]
    Paired,
    PairedStrict,
    Arbitrary,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    blocks: Option<u32>,
    tcp_ports: Option<u32>,
    udp_ports: Option<u32>,
    icmp_identifiers: Option<u32>,
    rate: Option<u32>,
    mappings: Option<u32>,
    sessions: Option<u32>,
    sessions_per_mapping: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimersTable {
    udp: Option<Time>,
    #[serde(default)]
    udp_by_port: BTreeMap<String, Time>,
    tcp_established: Option<Time>,
    tcp_opening: Option<Time>,
    tcp_closing: Option<Time>,
    icmp: Option<Time>,
    fragment: Option<Time>,
    incoming_syn: Option<Time>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilteringTable {
    #[serde(default)]
    tcp: FilteringName,
    #[serde(default)]
    udp: FilteringName,
    #[serde(default)]
    icmp: FilteringName,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FilteringName {
    #[default]
    EndpointIndependent,
    AddressDependent,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clocks {
    device: Option<Time>,
    servers: Option<Time>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NatTable {
    #[serde(default)]
    exempt: Vec<Ipv4Net>,
    #[serde(default)]
    inbound_refresh: bool,
    tcp_pick_up: Option<bool>,
    #[serde(default)]
    icmp_refusal: IcmpRefusalName,
    icmp_rate: Option<u32>,
    own_address: Option<Ipv4Addr>,
    inside_mtu: Option<u16>,
    outside_mtu: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum IcmpRefusalName {
    #[default]
    HostUnreachable,
    AdministrativelyProhibited,
    Silent,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StaticTable {
    #[serde(default = "default_realm")]
    realm: String,
    internal: SocketAddr,
    /// The B4 behind which the internal address is.
    softwire: Option<Ipv6Addr>,
    external: SocketAddrV4,
    transport: TransportName,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TransportName {
    Tcp,
    Udp,
    Icmp,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeterministicTable {
    inside: Ipv4Net,
    compression: u32,
    #[serde(default)]
    dynamic: u32,
}

/// The TUN device of `nat run`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tun {
    #[serde(default = "default_tun")]
    pub(crate) name: String,
    #[serde(default = "default_queues")]
    pub(crate) queues: u16,
    pub(crate) mtu: Option<u16>,
}

impl Default for Tun {
    fn default() -> Self {
        Self {
            name: default_tun(),
            queues: default_queues(),
            mtu: None,
        }
    }
}

/// Where events go, and how surely.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ledger {
    pub(crate) path: Option<PathBuf>,
    /// Allow a crash to lose the events of so long a time, instead of log before use.
    bounded_loss: Option<Time>,
    heartbeat: Option<Time>,
    interim: Option<Time>,
    #[serde(default)]
    when_full: WhenFull,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WhenFull {
    #[default]
    HoldNewBlocks,
    Forward,
}

impl Ledger {
    fn checked(self) -> Result<Self, ValueError> {
        for (name, given) in [("heartbeat", self.heartbeat), ("interim", self.interim)] {
            if given.is_some_and(|time| time.0 < Duration::from_secs(1)) {
                return Err(ValueError::Interval(name));
            }
        }
        Ok(self)
    }

    /// What a crash may cost. Forwarding while the disk is full has no bound, so that answers of
    /// such a time must not take the log for complete.
    pub(crate) fn durability(&self) -> Durability {
        match (self.when_full, self.bounded_loss) {
            (WhenFull::HoldNewBlocks, None) => Durability::LogBeforeUse,
            (WhenFull::HoldNewBlocks, Some(time)) => Durability::BoundedLoss(time.0),
            (WhenFull::Forward, _) => Durability::BoundedLoss(Duration::MAX),
        }
    }

    pub(crate) const fn log_before_use(&self) -> bool {
        self.bounded_loss.is_none()
    }

    pub(crate) fn heartbeat(&self) -> Duration {
        self.heartbeat
            .map_or(Duration::from_secs(60), |time| time.0)
    }

    pub(crate) fn interim(&self) -> Duration {
        self.interim
            .map_or(Duration::from_secs(86_400), |time| time.0)
    }

    pub(crate) const fn when_full(&self) -> LedgerFull {
        match self.when_full {
            WhenFull::HoldNewBlocks => LedgerFull::HoldNewBlocks,
            WhenFull::Forward => LedgerFull::Forward,
        }
    }
}

fn default_realm() -> String {
    "default".into()
}

fn default_tun() -> String {
    "portledger0".into()
}

const fn default_queues() -> u16 {
    2
}

impl File {
    fn checked(self) -> Result<NatConfig, ValueError> {
        let mut ports = portledger_ports::Config::new(Pool::parse(&self.pool.addresses)?);
        if let Some(thresholds) = self.pool.thresholds {
            ports.thresholds = thresholds;
        }
        ports.realms = Vec::new();
        let mut inside = Vec::new();
        for (number, realm) in (0_u16..).zip(&self.realms) {
            ports.realms.push(Realm::new(&realm.name)?);
            let prefixes = realm.inside.iter();
            inside.extend(prefixes.map(|&prefix| (RealmIndex(number), prefix)));
        }
        for mapping in &self.statics {
            ports.static_mappings.push(mapping.checked(&ports.realms)?);
        }
        set(&mut ports.port_range, self.ports.range.map(|range| range.0));
        ports.preserve_parity = self.ports.preserve_parity;
        set(&mut ports.block_size, self.blocks.size);
        set(&mut ports.guard_time, time(self.blocks.guard_time));
        set(&mut ports.block_idle, time(self.blocks.idle));
        ports.pooling = match self.blocks.pooling {
            PoolingName::Paired => Pooling::Paired,
            PoolingName::PairedStrict => Pooling::PairedStrict,
            PoolingName::Arbitrary => Pooling::Arbitrary,
        };
        set(&mut ports.device_clock_error, time(self.clocks.device));
        set(&mut ports.server_clock_error, time(self.clocks.servers));
        ports.limits = self.limits.of_a_subscriber();
        ports.deterministic = self.deterministic.map(|rule| DeterministicConfig {
            inside: rule.inside,
            compression: rule.compression,
            dynamic: rule.dynamic,
        });

        let mut nat = portledger_nat::Config::new(ports, &[]);
        nat.timers = self.timers.checked()?;
        let Limits {
            mappings,
            sessions,
            sessions_per_mapping,
            ..
        } = self.limits;
        set(&mut nat.limits.mappings, mappings);
        set(&mut nat.limits.sessions, sessions);
        set(&mut nat.limits.sessions_per_mapping, sessions_per_mapping);
        let FilteringTable { tcp, udp, icmp } = self.filtering;
        nat.filtering = [tcp, udp, icmp].map(|name| match name {
            FilteringName::EndpointIndependent => Filtering::EndpointIndependent,
            FilteringName::AddressDependent => Filtering::AddressDependent,
        });
        let translation = mode::Given {
            mode: self.mode,
            nat,
            table: self.nat,
            inside,
            aftr: self.aftr,
        };
        Ok(NatConfig {
            device: Device::new(&self.device)?,
            translation: translation.checked()?,
            tun: self.tun,
            ledger: self.ledger.checked()?,
            exports: export::checked(self.exports)
                .map_err(|(name, error)| ValueError::Export { name, error })?,
            seed: self.seed.map(|seed| seed.0),
        })
    }
}

impl Limits {
    fn of_a_subscriber(&self) -> PortLimits {
        PortLimits {
            blocks: self.blocks.unwrap_or(PortLimits::default().blocks),
            ports: [self.tcp_ports, self.udp_ports, self.icmp_identifiers],
            rate: self.rate,
        }
    }
}

impl TimersTable {
    fn checked(self) -> Result<Timers, ValueError> {
        let mut timers = Timers::default();
        set(&mut timers.udp, time(self.udp));
        set(&mut timers.tcp_established, time(self.tcp_established));
        set(&mut timers.tcp_opening, time(self.tcp_opening));
        set(&mut timers.tcp_closing, time(self.tcp_closing));
        set(&mut timers.icmp, time(self.icmp));
        set(&mut timers.fragment, time(self.fragment));
        set(&mut timers.incoming_syn, time(self.incoming_syn));
        for (port, time) in self.udp_by_port {
            let number = port.parse().map_err(|_| ValueError::UdpPort(port))?;
            timers.udp_by_port.push((number, time.0));
        }
        Ok(timers)
    }
}

impl NatTable {
    fn apply(self, nat: &mut portledger_nat::Config) {
        nat.exempt = self.exempt;
        nat.inbound_refresh = self.inbound_refresh;
        set(&mut nat.tcp_pick_up, self.tcp_pick_up);
        nat.icmp_refusal = match self.icmp_refusal {
            IcmpRefusalName::HostUnreachable => IcmpRefusal::HostUnreachable,
            IcmpRefusalName::AdministrativelyProhibited => IcmpRefusal::AdministrativelyProhibited,
            IcmpRefusalName::Silent => IcmpRefusal::Silent,
        };
        set(&mut nat.icmp_rate, self.icmp_rate);
        set(&mut nat.own_address, self.own_address);
        let Mtu { inside, outside } = Mtu::default();
        nat.mtu = Mtu {
            inside: self.inside_mtu.unwrap_or(inside),
            outside: self.outside_mtu.unwrap_or(outside),
        };
    }
}

impl StaticTable {
    fn checked(&self, realms: &[Realm]) -> Result<StaticMapping, ValueError> {
        let realm = realms
            .iter()
            .position(|realm| realm.as_str() == self.realm)
            .and_then(|number| u16::try_from(number).ok())
            .ok_or_else(|| ValueError::StaticRealm(self.realm.clone()))?;
        // The engine says what does not fit its subscribers.
        let (internal, behind) = match (self.internal.ip(), self.softwire) {
            (IpAddr::V4(behind), Some(softwire)) => (softwire.into(), Some(behind)),
            (internal, _) => (internal, None),
        };
        Ok(StaticMapping {
            realm: RealmIndex(realm),
            internal,
            behind,
            internal_port: self.internal.port(),
            external: *self.external.ip(),
            external_port: self.external.port(),
            transport: match self.transport {
                TransportName::Tcp => Transport::Tcp,
                TransportName::Udp => Transport::Udp,
                TransportName::Icmp => Transport::Icmp,
            },
        })
    }
}
