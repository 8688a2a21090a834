//! The modes: how the inside speaks, and what does not go together with one.

use std::fmt;

use ipnet::{IpNet, Ipv6Net};
use portledger_nat::translate::{Prefix, PrefixError};
use serde::Deserialize;
use thiserror::Error;

use super::{bindings::BindingsError, rule::RuleError};

/// What is between the inside and the outside.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    #[default]
    Nat44,
    Nat64,
    Aftr,
    MapE,
    MapT,
    Lw4o6,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nat44 => "nat44",
            Self::Nat64 => "nat64",
            Self::Aftr => "aftr",
            Self::MapE => "map-e",
            Self::MapT => "map-t",
            Self::Lw4o6 => "lw4o6",
        })
    }
}

/// Keys that do not go together with the mode.
#[derive(Debug, Error)]
pub(crate) enum ModeError {
    #[error("{key}: missing; mode = \"{mode}\" needs it")]
    Missing { key: &'static str, mode: Mode },
    #[error("{key}: means nothing where mode = \"{mode}\"; it is for {}", listed(.modes))]
    OtherMode {
        key: &'static str,
        mode: Mode,
        modes: &'static [Mode],
    },
    #[error("realm.inside: {prefix}; where mode = \"{mode}\", the inside is {family}")]
    Family {
        prefix: IpNet,
        mode: Mode,
        family: &'static str,
    },
    #[error("realm.inside: no prefix; name those in which subscribers are")]
    NoInside,
    #[error("{table}.subscriber_prefix: {given}; an IPv6 prefix has 1 to 128 bits")]
    SubscriberPrefix { table: &'static str, given: u8 },
    #[error("{table}.prefix: {error}")]
    Prefix {
        table: &'static str,
        error: PrefixError,
    },
    #[error(transparent)]
    Rule(#[from] RuleError),
    #[error("relay.bindings_file: {0}")]
    Bindings(#[from] BindingsError),
}

fn listed(modes: &[Mode]) -> String {
    let names: Vec<String> = modes.iter().map(Mode::to_string).collect();
    names.join(", ")
}

pub(super) fn translation_prefix(
    table: &'static str,
    prefix: Ipv6Net,
) -> Result<Prefix, ModeError> {
    Prefix::new(prefix.addr(), prefix.prefix_len())
        .map_err(|error| ModeError::Prefix { table, error })
}
