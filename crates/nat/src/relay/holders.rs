//! Who has which address and ports: asked for each packet, from both sides.

use std::{
    cmp::Reverse,
    net::{Ipv4Addr, Ipv6Addr},
};

use portledger_model::{MapRule, PortSet, SoftwireBinding};

use super::{
    Carriage, Customers, RelayConfig, RelayConfigError, bindings::Bindings, rules::Compiled,
};
use crate::DropReason;

/// Who has which address and ports: by rules (RFC 7597 §5), and one by one. A port has one holder:
/// where rules overlap, the longest match by IPv4 address says who (RFC 7599 §8.4), in both
/// directions.
#[derive(Debug)]
pub(super) struct Holders {
    /// The longest IPv4 prefix first.
    rules: Vec<Compiled>,
    /// Bindings, and rules with a PSID of their own, which are for one customer each (RFC 7597
    /// §5.2).
    bindings: Bindings,
}

impl Holders {
    pub(super) fn new(config: &RelayConfig) -> Result<Self, RelayConfigError> {
        let is_translated = matches!(config.carriage, Carriage::Translated { .. });
        let (rules, bindings) = match &config.customers {
            Customers::Rules(rules) => (compiled(rules, is_translated)?, told(rules)),
            Customers::Bindings(bindings) => (Vec::new(), bindings.clone()),
        };
        if rules.is_empty() && bindings.is_empty() {
            return Err(RelayConfigError::NoCustomers);
        }
        Ok(Self {
            rules,
            bindings: Bindings::new(bindings)?,
        })
    }

    /// The end of the softwire of whoever has the port; without a port, of whoever has all ports
    /// of the address.
    #[inline]
    pub(super) fn find(&self, address: Ipv4Addr, port: Option<u16>) -> Option<Ipv6Addr> {
        if !self.bindings.is_empty()
            && let Some(end) = self.bindings.find(address, port)
        {
            return Some(end);
        }
        self.rule_of(address)?.find(address.to_bits(), port)
    }

    /// Whether the customer at `end` may send from `source` and `port`; without a port, only one
    /// that shares the address with nobody. It may if what comes back would reach it (RFC 7597
    /// §8.1, RFC 7596 §6.2).
    #[inline]
    pub(super) fn permit(
        &self,
        end: Ipv6Addr,
        source: Ipv4Addr,
        port: Option<u16>,
    ) -> Result<(), DropReason> {
        if self.find(source, port) == Some(end) {
            return Ok(());
        }
        Err(self.offence(end, source))
    }

    /// Whether the customer at `end` has `source`, whoever else does.
    pub(super) fn permit_address(&self, end: Ipv6Addr, source: Ipv4Addr) -> Result<(), DropReason> {
        match self.offence(end, source) {
            DropReason::SoftwirePort => Ok(()),
            offence => Err(offence),
        }
    }

    /// Whether anybody is at `end`, of customers whose packets are wrapped.
    pub(super) fn know(&self, end: Ipv6Addr) -> bool {
        let by_rule = || self.rule_at(end)?.rule.of_map_address(end);
        self.bindings.address_of(end).is_some() || by_rule().is_some()
    }

    /// Whether an IPv4 address is customers'.
    #[inline]
    pub(super) fn cover(&self, address: Ipv4Addr) -> bool {
        self.rule_of(address).is_some()
            || (!self.bindings.is_empty() && self.bindings.cover(address))
    }

    /// The IPv4 address that the IPv6 address of a customer of MAP-T stands for (RFC 7599 §8.3).
    #[inline]
    pub(super) fn address_of(&self, end: Ipv6Addr) -> Result<Ipv4Addr, DropReason> {
        if !self.bindings.is_empty()
            && let Some(address) = self.bindings.address_of(end)
        {
            return Ok(address);
        }
        self.rule_at(end)
            .map(|rule| rule.address_of(end))
            .ok_or(DropReason::UnknownSoftwire)
    }

    /// What is wrong with a packet from `end` that says it is from `source`, if its port is not
    /// wrong only.
    #[cold]
    fn offence(&self, end: Ipv6Addr, source: Ipv4Addr) -> DropReason {
        if let Some(offence) = self.bindings.offence(end, source) {
            return offence;
        }
        let Some(edge) = self.rule_at(end).and_then(|rule| rule.rule.of_ipv6(end)) else {
            return DropReason::UnknownSoftwire;
        };
        if !edge.ipv4.contains(&source) {
            return DropReason::SoftwireSource;
        }
        // A longer match may have given the address to others.
        let Some(rule) = self.rule_of(source).filter(|rule| rule.contains(end)) else {
            return DropReason::SoftwireSource;
        };
        // The whole address is the customer edge's one: no other subnet, no other interface.
        let port = rule.rule.ports(&edge).ranges().next();
        let own = rule.find(source.to_bits(), port.map(|range| range.first()));
        if own == Some(end) {
            DropReason::SoftwirePort
        } else {
            DropReason::SoftwireAddress
        }
    }

    #[inline]
    fn rule_of(&self, address: Ipv4Addr) -> Option<&Compiled> {
        let bits = address.to_bits();
        self.rules.iter().find(|rule| rule.covers(bits))
    }

    /// The rule of whoever is at `end`, by the longest match of an IPv6 prefix (RFC 7597 §8.1).
    #[inline]
    fn rule_at(&self, end: Ipv6Addr) -> Option<&Compiled> {
        self.rules
            .iter()
            .filter(|rule| rule.contains(end))
            .max_by_key(|rule| rule.ipv6_mask)
    }
}

/// The rules that are for many customers.
fn compiled(rules: &[MapRule], is_translated: bool) -> Result<Vec<Compiled>, RelayConfigError> {
    let mut compiled: Vec<Compiled> = rules
        .iter()
        .filter(|rule| rule.told_psid().is_none())
        .map(|&rule| Compiled::new(rule, is_translated))
        .collect();
    compiled.sort_by_key(|rule| (Reverse(rule.mask), rule.network));
    for two in compiled.windows(2) {
        if (two[0].network, two[0].mask) == (two[1].network, two[1].mask) {
            let prefix = two[0].rule.ipv4().to_string();
            return Err(RelayConfigError::TwoRules(prefix));
        }
    }
    let mut prefixes: Vec<_> = compiled.iter().map(|rule| rule.rule.ipv6()).collect();
    prefixes.sort_unstable();
    match prefixes.windows(2).find(|two| two[0] == two[1]) {
        Some(two) => Err(RelayConfigError::TwoRules(two[0].to_string())),
        None => Ok(compiled),
    }
}

/// The rules that are for one customer each, as bindings of their MAP addresses.
fn told(rules: &[MapRule]) -> Vec<SoftwireBinding> {
    rules
        .iter()
        .filter_map(|rule| {
            let psid = rule.told_psid()?;
            let edge = rule.of_psid(rule.ipv4().network(), psid)?;
            Some(SoftwireBinding {
                b4: edge.map_address(),
                ipv4: edge.ipv4.network(),
                ports: PortSet::Psid(rule.parameters(), psid),
            })
        })
        .collect()
}
