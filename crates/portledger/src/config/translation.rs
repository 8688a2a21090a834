//! What each mode is told besides, and the engine that comes of it.

use std::{net::Ipv6Addr, sync::Arc, time::Duration};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use portledger_dataplane::{engine::Engine, start::Declared};
use portledger_model::{Device, Durability, Rule};
use portledger_nat::{
    Aftr, AftrConfig, AftrConfigError, Config, Nat, Nat64, Nat64Config, Nat64ConfigError,
    RealmIndex, Relay, RelayConfig,
    translate::{Prefix, UdpWithoutChecksum},
};
use portledger_ports::SubscriberKind;
use serde::Deserialize;

use super::{
    fragments::ReassemblyTable,
    mode::{Mode, ModeError, translation_prefix},
    relay, rule,
    tables::NatTable,
    value::set,
};

/// `[nat64]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nat64Table {
    #[serde(default = "well_known")]
    prefix: Ipv6Net,
    own_address: Ipv6Addr,
    subscriber_prefix: Option<u8>,
    ipv6_mtu: Option<u16>,
    udp_without_checksum: Option<UdpWithoutChecksumName>,
    unsummed: Option<usize>,
    unsummed_bytes: Option<usize>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UdpWithoutChecksumName {
    Compute,
    Drop,
}

/// RFC 6052 §2.1.
fn well_known() -> Ipv6Net {
    Ipv6Net::new_assert(Prefix::WELL_KNOWN.embed([0; 4].into()), 96)
}

/// `[aftr]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AftrTable {
    address: Ipv6Addr,
    subscriber_prefix: Option<u8>,
    behind: Option<Vec<Ipv4Net>>,
    ipv6_mtu: Option<u16>,
    learn_mtu: Option<bool>,
    mss: Option<u16>,
    hop_limit: Option<u8>,
}

/// An engine's configuration, by its mode.
#[derive(Debug)]
pub(crate) enum Translation {
    Nat44(Box<Config>),
    Nat64(Box<Nat64Config>),
    Aftr(Box<AftrConfig>),
    Relay {
        config: Box<RelayConfig>,
        clock_error: Duration,
    },
}

impl Translation {
    /// The ports, where any are handed out.
    const fn nat(&self) -> Option<&Config> {
        match self {
            Self::Nat44(config) => Some(config),
            Self::Nat64(config) => Some(&config.nat),
            Self::Aftr(config) => Some(&config.nat),
            Self::Relay { .. } => None,
        }
    }

    /// How far the device's clock may be off.
    pub(crate) fn clock_error(&self) -> Duration {
        match self {
            Self::Relay { clock_error, .. } => *clock_error,
            others => (others.nat()).map_or(Duration::ZERO, |nat| nat.ports.device_clock_error),
        }
    }

    /// What a device of this name declares.
    pub(crate) fn declared(&self, device: Device, durability: Durability) -> Declared {
        match self.nat() {
            Some(nat) => Declared::new(device, nat, durability),
            None => {
                let rules = self.rules();
                Declared::without_ports(device, self.clock_error(), durability, rules)
            }
        }
    }

    /// The rules of a relay, by names that follow from them.
    fn rules(&self) -> Vec<Arc<Rule>> {
        match self {
            Self::Relay { config, .. } => rule::told(&config.customers),
            _ => Vec::new(),
        }
    }

    /// The engine, or what of the configuration cannot work, and where.
    pub(crate) fn engine(self, seed: [u8; 32]) -> Result<Engine, String> {
        match self {
            Self::Nat44(config) => made(Nat::new(*config, seed), |error| error.to_string()),
            Self::Nat64(config) => made(Nat64::new(*config, seed), |error| match error {
                Nat64ConfigError::Nat(error) => error.to_string(),
                Nat64ConfigError::InsidePrefix(_) => format!("realm.{error}"),
                Nat64ConfigError::Ipv4Inside => error.to_string(),
                error => format!("nat64.{error}"),
            }),
            Self::Aftr(config) => made(Aftr::new(*config, seed), |error| match error {
                AftrConfigError::Nat(error) => error.to_string(),
                AftrConfigError::Exempt => format!("nat.{error}"),
                AftrConfigError::Mtu(_) => format!("aftr.ipv6_{error}"),
                AftrConfigError::Reassembly(_) | AftrConfigError::ReassemblyTime(_) => {
                    error.to_string()
                }
                error => format!("aftr.{error}"),
            }),
            Self::Relay { config, .. } => made(Relay::new(*config, seed), relay::told),
        }
    }
}

fn made<N: Into<Engine>, E>(
    engine: Result<N, E>,
    told: impl FnOnce(E) -> String,
) -> Result<Engine, String> {
    engine.map(Into::into).map_err(told)
}

/// What a file says of a translation that hands out ports, its mode not yet heeded.
pub(super) struct Given {
    pub(super) mode: Mode,
    pub(super) nat: Config,
    pub(super) table: NatTable,
    pub(super) inside: Vec<(RealmIndex, IpNet)>,
    pub(super) nat64: Option<Nat64Table>,
    pub(super) aftr: Option<AftrTable>,
    pub(super) reassembly: Option<ReassemblyTable>,
}

impl Given {
    pub(super) fn checked(self) -> Result<Translation, ModeError> {
        if self.inside.is_empty() {
            return Err(ModeError::NoInside);
        }
        match self.mode {
            Mode::Nat64 => self.nat64(),
            Mode::Aftr => self.aftr(),
            _ => self.nat44(),
        }
    }

    fn nat44(self) -> Result<Translation, ModeError> {
        let mut nat = self.nat;
        for &(realm, prefix) in &self.inside {
            let IpNet::V4(prefix) = prefix else {
                return Err(other_family(prefix, self.mode, "IPv4"));
            };
            nat.inside.push((realm, prefix));
        }
        self.table.apply(&mut nat);
        Ok(Translation::Nat44(Box::new(nat)))
    }

    fn nat64(self) -> Result<Translation, ModeError> {
        let given = self.nat64.ok_or(ModeError::Missing {
            key: "nat64",
            mode: self.mode,
        })?;
        let prefix = translation_prefix("nat64", given.prefix)?;
        let ports = self.nat.ports.clone();
        let mut config = Nat64Config::new(ports, prefix, &[], given.own_address);
        let kind = config.nat.ports.subscribers;
        config.nat = self.nat;
        config.nat.ports.subscribers = match given.subscriber_prefix {
            None => kind,
            Some(length) => SubscriberKind::Prefix(prefix_length("nat64", length)?),
        };
        self.table.apply(&mut config.nat);
        config.inside = of_ipv6(&self.inside, self.mode)?;
        let translation = &mut config.translation;
        set(&mut translation.ipv6_mtu, given.ipv6_mtu);
        if let Some(UdpWithoutChecksumName::Drop) = given.udp_without_checksum {
            translation.udp_without_checksum = UdpWithoutChecksum::Drop;
        }
        set(&mut config.unsummed, given.unsummed);
        set(&mut config.unsummed_bytes, given.unsummed_bytes);
        Ok(Translation::Nat64(Box::new(config)))
    }

    fn aftr(self) -> Result<Translation, ModeError> {
        let given = self.aftr.ok_or(ModeError::Missing {
            key: "aftr",
            mode: self.mode,
        })?;
        let mut config = AftrConfig::new(self.nat.ports.clone(), given.address, &[]);
        let usual: Vec<Ipv4Net> = config.nat.inside.iter().map(|(_, net)| *net).collect();
        let own_address = config.nat.own_address;
        let kind = config.nat.ports.subscribers;
        config.nat = self.nat;
        config.nat.own_address = own_address;
        config.nat.ports.subscribers = match given.subscriber_prefix {
            None => kind,
            Some(length) => SubscriberKind::Softwire(prefix_length("aftr", length)?),
        };
        self.table.apply(&mut config.nat);
        config.softwires = of_ipv6(&self.inside, self.mode)?;
        let behind = given.behind.unwrap_or(usual);
        for number in (0..).take(config.nat.ports.realms.len()) {
            let realm = RealmIndex(number);
            let prefixes = behind.iter().map(|&prefix| (realm, prefix));
            config.nat.inside.extend(prefixes);
        }
        set(&mut config.mtu, given.ipv6_mtu);
        set(&mut config.learn_mtu, given.learn_mtu);
        set(&mut config.hop_limit, given.hop_limit);
        config.mss = given.mss;
        self.reassembly
            .unwrap_or_default()
            .apply(&mut config.reassembly);
        Ok(Translation::Aftr(Box::new(config)))
    }
}

fn of_ipv6(
    inside: &[(RealmIndex, IpNet)],
    mode: Mode,
) -> Result<Vec<(RealmIndex, Ipv6Net)>, ModeError> {
    let checked = inside.iter().map(|&(realm, prefix)| match prefix {
        IpNet::V6(prefix) => Ok((realm, prefix)),
        IpNet::V4(_) => Err(other_family(prefix, mode, "IPv6")),
    });
    checked.collect()
}

fn other_family(prefix: IpNet, mode: Mode, family: &'static str) -> ModeError {
    ModeError::Family {
        prefix,
        mode,
        family,
    }
}

fn prefix_length(table: &'static str, given: u8) -> Result<u8, ModeError> {
    match given {
        1..=128 => Ok(given),
        _ => Err(ModeError::SubscriberPrefix { table, given }),
    }
}
