//! The modes: how the inside speaks, and what each mode is told besides.

use std::{fmt, net::Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use portledger_dataplane::engine::Engine;
use portledger_nat::{Aftr, AftrConfig, AftrConfigError, Config, Nat, RealmIndex};
use portledger_ports::SubscriberKind;
use serde::Deserialize;
use thiserror::Error;

use super::{NatTable, set};

/// What is between the inside and the outside.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    #[default]
    Nat44,
    Aftr,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nat44 => "nat44",
            Self::Aftr => "aftr",
        })
    }
}

/// Keys that do not go together with the mode.
#[derive(Debug, Error)]
pub(crate) enum ModeError {
    #[error("{table}: mode = \"{table}\" needs this table")]
    Missing { table: &'static str },
    #[error("{key}: means nothing where mode is \"{mode}\"; it is for {instead}")]
    OtherMode {
        key: &'static str,
        mode: String,
        instead: &'static str,
    },
    #[error(
        "realm.inside: {prefix} is of the other family; where mode is \"{mode}\", the inside is {family}"
    )]
    Family {
        prefix: IpNet,
        mode: String,
        family: &'static str,
    },
    #[error("realm.inside: no prefix; name those in which subscribers are")]
    NoInside,
    #[error("{table}.subscriber_prefix: {given}; an IPv6 prefix has 1 to 128 bits")]
    SubscriberPrefix { table: &'static str, given: u8 },
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
    Nat44(Config),
    Aftr(AftrConfig),
}

impl Translation {
    /// The translation of addresses and ports.
    pub(crate) const fn nat(&self) -> &Config {
        match self {
            Self::Nat44(config) => config,
            Self::Aftr(config) => &config.nat,
        }
    }

    /// The engine, or what of the configuration cannot work, and where.
    pub(crate) fn engine(self, seed: [u8; 32]) -> Result<Engine, String> {
        match self {
            Self::Nat44(config) => made(Nat::new(config, seed), |error| error.to_string()),
            Self::Aftr(config) => made(Aftr::new(config, seed), |error| match error {
                AftrConfigError::Nat(error) => error.to_string(),
                AftrConfigError::Exempt => format!("nat.{error}"),
                AftrConfigError::Mtu(_) => format!("aftr.ipv6_{error}"),
                error => format!("aftr.{error}"),
            }),
        }
    }
}

fn made<N: Into<Engine>, E>(
    engine: Result<N, E>,
    told: impl FnOnce(E) -> String,
) -> Result<Engine, String> {
    engine.map(Into::into).map_err(told)
}

/// What a file says of the translation, its mode not yet heeded.
pub(super) struct Given {
    pub(super) mode: Mode,
    pub(super) nat: Config,
    pub(super) table: NatTable,
    pub(super) inside: Vec<(RealmIndex, IpNet)>,
    pub(super) aftr: Option<AftrTable>,
}

impl Given {
    pub(super) fn checked(self) -> Result<Translation, ModeError> {
        self.refuse_other_tables()?;
        if self.inside.is_empty() {
            return Err(ModeError::NoInside);
        }
        match self.mode {
            Mode::Nat44 => self.nat44(),
            Mode::Aftr => self.aftr(),
        }
    }

    /// A key that would be read and do nothing is a mistake.
    fn refuse_other_tables(&self) -> Result<(), ModeError> {
        let is = |mode| self.mode == mode;
        for (given, fits, key, instead) in [
            (
                self.aftr.is_some(),
                is(Mode::Aftr),
                "aftr",
                "mode = \"aftr\"",
            ),
            (
                self.table.inside_mtu.is_some(),
                is(Mode::Nat44),
                "nat.inside_mtu",
                "mode = \"nat44\"; the others have an ipv6_mtu in a table of their own",
            ),
        ] {
            if given && !fits {
                let mode = self.mode.to_string();
                return Err(ModeError::OtherMode { key, mode, instead });
            }
        }
        Ok(())
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
        Ok(Translation::Nat44(nat))
    }

    fn aftr(self) -> Result<Translation, ModeError> {
        let given = self.aftr.ok_or(ModeError::Missing { table: "aftr" })?;
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
        Ok(Translation::Aftr(config))
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
    let mode = mode.to_string();
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
