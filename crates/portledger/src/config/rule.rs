//! Who has which address and ports by arithmetic or by a table: MAP's rules and the bindings of a
//! lwAFTR.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::{Ipv4Net, Ipv6Net};
use portledger_model::{
    MapRule, MapRuleError, PortParameters, PortParametersError, PortSet, Realm, Rule, RuleName,
    Sharing, SoftwireBinding,
};
use portledger_nat::Customers;
use serde::Deserialize;
use thiserror::Error;

/// A rule or a binding that cannot be one.
#[derive(Debug, Error)]
pub(crate) enum RuleError {
    #[error("rule {ipv6}: {error}")]
    Map { ipv6: Ipv6Net, error: MapRuleError },
    #[error("rule {ipv6}: psid and psid_length go together, and with an ea_length of 0")]
    Told { ipv6: Ipv6Net },
    #[error("binding {b4}: {error}")]
    Ports {
        b4: Ipv6Addr,
        error: PortParametersError,
    },
    #[error("binding {b4}: psid: {psid} does not fit in {length} bits; raise psid_length")]
    Psid { b4: Ipv6Addr, psid: u16, length: u8 },
}

/// `[[rule]]`: a MAP rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleTable {
    ipv6: Ipv6Net,
    ipv4: Ipv4Net,
    ea_length: u8,
    #[serde(default = "default_offset")]
    psid_offset: u8,
    psid_length: Option<u8>,
    psid: Option<u16>,
}

const fn default_offset() -> u8 {
    PortParameters::DEFAULT_OFFSET
}

/// `[[binding]]`: one softwire of a lwAFTR.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BindingTable {
    pub(super) b4: Ipv6Addr,
    pub(super) ipv4: Ipv4Addr,
    #[serde(default)]
    pub(super) psid_offset: u8,
    #[serde(default)]
    pub(super) psid_length: u8,
    #[serde(default)]
    pub(super) psid: u16,
}

impl RuleTable {
    pub(super) fn checked(&self) -> Result<MapRule, RuleError> {
        let &Self { ipv6, ipv4, .. } = self;
        let refused = |error| RuleError::Map { ipv6, error };
        match (self.psid, self.psid_length) {
            (None, None) => {
                MapRule::new(ipv6, ipv4, self.ea_length, self.psid_offset).map_err(refused)
            }
            (Some(psid), Some(length)) if self.ea_length == 0 => {
                let parameters = PortParameters::new(self.psid_offset, length);
                let parameters = parameters.map_err(|error| refused(error.into()))?;
                MapRule::with_psid(ipv6, ipv4, parameters, psid).map_err(refused)
            }
            _ => Err(RuleError::Told { ipv6 }),
        }
    }
}

impl BindingTable {
    pub(super) fn checked(&self) -> Result<SoftwireBinding, RuleError> {
        let &Self { b4, psid, .. } = self;
        let parameters = PortParameters::new(self.psid_offset, self.psid_length)
            .map_err(|error| RuleError::Ports { b4, error })?;
        if !parameters.has(psid) {
            let length = self.psid_length;
            return Err(RuleError::Psid { b4, psid, length });
        }
        Ok(SoftwireBinding {
            b4,
            ipv4: self.ipv4,
            ports: PortSet::Psid(parameters, psid),
        })
    }
}

/// What the ledger is told of who has which ports. The names follow from what the rules give away,
/// which no two do: so a rule that stays is known again.
pub(super) fn told(customers: &Customers) -> Vec<Arc<Rule>> {
    let rule = |name: String, sharing| {
        let rule = Rule {
            name: RuleName::new(&name).ok()?,
            realm: Realm::default(),
            sharing,
        };
        Some(Arc::new(rule))
    };
    let of_map = |map: &MapRule| {
        let ipv4 = map.ipv4();
        let read = map.parameters();
        let (offset, parts) = (read.offset(), read.psid_length());
        let told = map.told_psid();
        let told = told.map(|psid| format!("-{offset}-{parts}-{psid}"));
        let (network, length) = (ipv4.network(), ipv4.prefix_len());
        let name = format!("map-{network}-{length}{}", told.unwrap_or_default());
        rule(name, Sharing::Map(*map))
    };
    let of_binding = |binding: &SoftwireBinding| {
        let SoftwireBinding { b4, ipv4, ports } = binding;
        let name = match ports {
            PortSet::Psid(read, psid) => {
                let (offset, length) = (read.offset(), read.psid_length());
                format!("softwire-{ipv4}-{offset}-{length}-{psid}")
            }
            // Not from a file.
            _ => format!("softwire-{ipv4}-{:x}", b4.to_bits()),
        };
        rule(name, Sharing::Softwire(binding.clone()))
    };
    match customers {
        Customers::Rules(rules) => rules.iter().filter_map(of_map).collect(),
        Customers::Bindings(bindings) => bindings.iter().filter_map(of_binding).collect(),
    }
}
