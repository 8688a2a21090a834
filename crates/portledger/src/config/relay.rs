//! Border relays without sessions: MAP-E, MAP-T and lightweight 4over6.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use ipnet::Ipv6Net;
use portledger_nat::{RelayConfig, RelayConfigError};
use serde::Deserialize;

use super::{
    bindings,
    fragments::{FollowedTable, ReassemblyTable},
    mode::{Mode, ModeError, translation_prefix},
    rule::{BindingTable, RuleTable},
    value::set,
};

/// `[relay]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RelayTable {
    address: Ipv6Addr,
    prefix: Option<Ipv6Net>,
    ipv6_mtu: Option<u16>,
    ipv4_mtu: Option<u16>,
    own_address: Option<Ipv4Addr>,
    icmp_rate: Option<u32>,
    mss: Option<u16>,
    hop_limit: Option<u8>,
    hairpinning: Option<bool>,
    honour_dont_fragment: Option<bool>,
    /// Bindings besides those of this file.
    bindings_file: Option<PathBuf>,
}

/// What a file says of a relay.
pub(super) struct Given {
    pub(super) mode: Mode,
    pub(super) table: RelayTable,
    pub(super) rules: Vec<RuleTable>,
    pub(super) bindings: Vec<BindingTable>,
    pub(super) followed: Option<FollowedTable>,
    pub(super) reassembly: Option<ReassemblyTable>,
}

impl Given {
    pub(super) fn checked(self, folder: &Path) -> Result<RelayConfig, ModeError> {
        let Self { mode, table, .. } = self;
        let prefix = match (mode, table.prefix) {
            (Mode::MapT, Some(prefix)) => Some(translation_prefix("relay", prefix)?),
            (Mode::MapT, None) => {
                let key = "relay.prefix";
                return Err(ModeError::Missing { key, mode });
            }
            (_, Some(_)) => {
                return Err(ModeError::OtherMode {
                    key: "relay.prefix",
                    mode,
                    modes: &[Mode::MapT],
                });
            }
            (_, None) => None,
        };
        let rules: Result<Vec<_>, _> = self.rules.iter().map(RuleTable::checked).collect();
        let bindings: Result<Vec<_>, _> = self.bindings.iter().map(BindingTable::checked).collect();
        let (rules, mut bindings) = (rules?, bindings?);
        match (mode, &table.bindings_file) {
            (_, None) => {}
            (Mode::Lw4o6, Some(path)) => {
                bindings.extend(bindings::read(&folder.join(path))?);
            }
            (_, Some(_)) => {
                return Err(ModeError::OtherMode {
                    key: "relay.bindings_file",
                    mode,
                    modes: &[Mode::Lw4o6],
                });
            }
        }
        let (key, none) = match mode {
            Mode::Lw4o6 => ("binding", bindings.is_empty()),
            _ => ("rule", rules.is_empty()),
        };
        if none {
            return Err(ModeError::Missing { key, mode });
        }
        let mut config = match (mode, prefix) {
            (Mode::Lw4o6, _) => RelayConfig::lw4o6(bindings, table.address),
            (_, Some(prefix)) => RelayConfig::map_t(rules, prefix, table.address),
            (_, None) => RelayConfig::map_e(rules, table.address),
        };
        set(&mut config.mtu.inside, table.ipv6_mtu);
        set(&mut config.mtu.outside, table.ipv4_mtu);
        set(&mut config.own_address, table.own_address);
        set(&mut config.icmp_rate, table.icmp_rate);
        set(&mut config.hop_limit, table.hop_limit);
        set(&mut config.hairpinning, table.hairpinning);
        set(&mut config.honour_dont_fragment, table.honour_dont_fragment);
        config.mss = table.mss;
        self.followed
            .unwrap_or_default()
            .apply(&mut config.followed);
        self.reassembly
            .unwrap_or_default()
            .apply(&mut config.reassembly);
        Ok(config)
    }
}

/// What of a relay's configuration cannot work, and where.
pub(super) fn told(error: RelayConfigError) -> String {
    match error {
        RelayConfigError::InsideMtu(given) => {
            format!("relay.ipv6_mtu: {given}; IPv6 has links of at least 1280 bytes (RFC 8200 §5)")
        }
        RelayConfigError::OutsideMtu(given) => {
            format!("relay.ipv4_mtu: {given}; IPv4 has links of at least 68 bytes (RFC 791 §3.2)")
        }
        RelayConfigError::Reassembly
        | RelayConfigError::Followed
        | RelayConfigError::Time { .. } => error.to_string(),
        error => format!("relay: {error}"),
    }
}
