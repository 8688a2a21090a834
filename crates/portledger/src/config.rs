//! The configuration file of `portledger nat`: TOML in, checked values out.

mod bindings;
mod export;
mod fragments;
mod mode;
mod relay;
mod rule;
mod tables;
mod translation;
mod value;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use portledger_dataplane::run::LedgerFull;
use portledger_model::{Device, DeviceError, Durability, Realm, RealmError};
use portledger_nat::RealmIndex;
use portledger_ports::{DeterministicConfig, Pool};
use serde::Deserialize;
use thiserror::Error;

pub(crate) use export::Export;
use export::{ExportError, ExportTable};
use fragments::{FollowedTable, ReassemblyTable};
use mode::{Mode, ModeError};
use relay::RelayTable;
use rule::{BindingTable, RuleTable};
use tables::{
    Blocks, Clocks, DeterministicTable, FilteringTable, Limits, NatTable, PortsTable, StaticTable,
    TimersTable,
};
pub(crate) use translation::Translation;
use translation::{AftrTable, Nat64Table};
use value::{Seed, set, time};
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
        let folder = path.parent().unwrap_or(Path::new(""));
        file.checked(folder)
            .map_err(|error| ConfigFileError::Value {
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
    pool: Option<PoolTable>,
    #[serde(default, rename = "realm")]
    realms: Vec<RealmTable>,
    ports: Option<PortsTable>,
    blocks: Option<Blocks>,
    limits: Option<Limits>,
    timers: Option<TimersTable>,
    filtering: Option<FilteringTable>,
    #[serde(default)]
    clocks: Clocks,
    nat: Option<NatTable>,
    #[serde(default, rename = "static")]
    statics: Vec<StaticTable>,
    deterministic: Option<DeterministicTable>,
    nat64: Option<Nat64Table>,
    aftr: Option<AftrTable>,
    relay: Option<RelayTable>,
    #[serde(default, rename = "rule")]
    rules: Vec<RuleTable>,
    #[serde(default, rename = "binding")]
    bindings: Vec<BindingTable>,
    followed: Option<FollowedTable>,
    reassembly: Option<ReassemblyTable>,
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

/// How far a device's clock is off where nothing is said: as [`portledger_ports::Config::new`] has
/// it.
const CLOCK_ERROR: Duration = Duration::from_millis(100);

fn default_tun() -> String {
    "portledger0".into()
}

const fn default_queues() -> u16 {
    2
}

impl File {
    /// Checks what was read; files that it names are looked for from its folder on.
    fn checked(mut self, folder: &Path) -> Result<NatConfig, ValueError> {
        self.refuse_other_modes()?;
        let (tun, ledger) = (
            std::mem::take(&mut self.tun),
            std::mem::take(&mut self.ledger),
        );
        let exports = export::checked(std::mem::take(&mut self.exports))
            .map_err(|(name, error)| ValueError::Export { name, error })?;
        Ok(NatConfig {
            device: Device::new(&self.device)?,
            tun,
            ledger: ledger.checked()?,
            exports,
            seed: self.seed.map(|seed| seed.0),
            translation: match self.mode {
                Mode::Nat44 | Mode::Nat64 | Mode::Aftr => self.with_ports()?,
                Mode::MapE | Mode::MapT | Mode::Lw4o6 => self.without_ports(folder)?,
            },
        })
    }

    /// A key that would be read and do nothing is a mistake.
    fn refuse_other_modes(&self) -> Result<(), ModeError> {
        use Mode::{Aftr, Lw4o6, MapE, MapT, Nat44, Nat64};
        const POOL: &[Mode] = &[Nat44, Nat64, Aftr];
        const MAP: &[Mode] = &[MapE, MapT];
        const RELAY: &[Mode] = &[MapE, MapT, Lw4o6];
        const WRAPPED: &[Mode] = &[Aftr, MapE, Lw4o6];
        let inside_mtu = (self.nat.as_ref()).is_some_and(|nat| nat.inside_mtu.is_some());
        for (given, key, modes) in [
            (self.pool.is_some(), "pool", POOL),
            (!self.realms.is_empty(), "realm", POOL),
            (self.ports.is_some(), "ports", POOL),
            (self.blocks.is_some(), "blocks", POOL),
            (self.limits.is_some(), "limits", POOL),
            (self.timers.is_some(), "timers", POOL),
            (self.filtering.is_some(), "filtering", POOL),
            (self.nat.is_some(), "nat", POOL),
            (!self.statics.is_empty(), "static", POOL),
            (self.deterministic.is_some(), "deterministic", &[Nat44]),
            (inside_mtu, "nat.inside_mtu", &[Nat44]),
            (self.nat64.is_some(), "nat64", &[Nat64]),
            (self.aftr.is_some(), "aftr", &[Aftr]),
            (self.relay.is_some(), "relay", RELAY),
            (!self.rules.is_empty(), "rule", MAP),
            (!self.bindings.is_empty(), "binding", &[Lw4o6]),
            (self.followed.is_some(), "followed", RELAY),
            (self.reassembly.is_some(), "reassembly", WRAPPED),
        ] {
            if given && !modes.contains(&self.mode) {
                let mode = self.mode;
                return Err(ModeError::OtherMode { key, mode, modes });
            }
        }
        Ok(())
    }

    fn without_ports(self, folder: &Path) -> Result<Translation, ValueError> {
        let given = relay::Given {
            mode: self.mode,
            table: self.relay.ok_or(ModeError::Missing {
                key: "relay",
                mode: self.mode,
            })?,
            rules: self.rules,
            bindings: self.bindings,
            followed: self.followed,
            reassembly: self.reassembly,
        };
        Ok(Translation::Relay {
            config: Box::new(given.checked(folder)?),
            clock_error: time(self.clocks.device).unwrap_or(CLOCK_ERROR),
        })
    }

    fn with_ports(self) -> Result<Translation, ValueError> {
        let pool = self.pool.ok_or(ModeError::Missing {
            key: "pool",
            mode: self.mode,
        })?;
        let mut ports = portledger_ports::Config::new(Pool::parse(&pool.addresses)?);
        set(&mut ports.thresholds, pool.thresholds);
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
        let limits = self.limits.unwrap_or_default();
        self.ports.unwrap_or_default().apply(&mut ports);
        self.blocks.unwrap_or_default().apply(&mut ports);
        set(&mut ports.device_clock_error, time(self.clocks.device));
        set(&mut ports.server_clock_error, time(self.clocks.servers));
        ports.limits = limits.of_a_subscriber();
        ports.deterministic = self.deterministic.map(|rule| DeterministicConfig {
            inside: rule.inside,
            compression: rule.compression,
            dynamic: rule.dynamic,
        });

        let mut nat = portledger_nat::Config::new(ports, &[]);
        nat.timers = self.timers.unwrap_or_default().checked()?;
        set(&mut nat.limits.mappings, limits.mappings);
        set(&mut nat.limits.sessions, limits.sessions);
        set(
            &mut nat.limits.sessions_per_mapping,
            limits.sessions_per_mapping,
        );
        set(&mut nat.limits.fragmented, limits.fragmented);
        set(&mut nat.limits.fragment_bytes, limits.fragment_bytes);
        nat.filtering = self.filtering.unwrap_or_default().checked();
        let given = translation::Given {
            mode: self.mode,
            nat,
            table: self.nat.unwrap_or_default(),
            inside,
            nat64: self.nat64,
            aftr: self.aftr,
            reassembly: self.reassembly,
        };
        Ok(given.checked()?)
    }
}
