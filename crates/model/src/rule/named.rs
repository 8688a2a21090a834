//! A rule of a device, by name: what the ledger keeps with the time from which on it was in force.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::Ipv4Net;
use serde::{Serialize, Serializer};
use thiserror::Error;

use super::{DeterministicRule, MapRule, PortSet, SoftwireBinding};
use crate::{Internal, Ipv6Prefix, Realm, Subscriber, subscriber::is_name};

/// The name of a rule, one of its device's. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleName(Arc<str>);

/// A rule's name that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "rule name '{0}' cannot be used: 1 to 64 of the letters, digits, '.', '_' and '-' make a name"
)]
pub struct RuleNameError(String);

impl RuleName {
    /// A rule's name.
    ///
    /// # Errors
    /// When the name is not 1 to 64 ASCII letters, digits, `.`, `_` or `-`.
    pub fn new(name: &str) -> Result<Self, RuleNameError> {
        if is_name(name) {
            Ok(Self(name.into()))
        } else {
            Err(RuleNameError(name.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RuleName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The name of the one rule that a deterministic NAT of ours has.
pub const DETERMINISTIC_RULE: &str = "deterministic";

/// Who has which ports, without a record for each.
///
/// `Debug` shows the kind only: of some rules the rest is a subscriber's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// Its name on its device. Of two rules of one name, the later one ends the earlier.
    pub name: RuleName,
    /// The realm of those who have ports by it.
    pub realm: Realm,
    /// What it says.
    pub sharing: Sharing,
}

/// What a rule says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sharing {
    /// Ranges of a deterministic NAT (RFC 7422).
    Deterministic(DeterministicRule),
    /// A rule of a MAP domain (RFC 7597, 7599).
    Map(MapRule),
    /// A binding of a lwAFTR (RFC 7596).
    Softwire(SoftwireBinding),
    /// A port set that one subscriber was told (RFC 6431).
    PortSet(HeldPortSet),
}

/// A port set that one subscriber was told (RFC 6431).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeldPortSet {
    /// What the subscriber is known by.
    pub internal: Internal,
    /// The shared address.
    pub external: Ipv4Addr,
    /// The ports.
    pub ports: PortSet,
}

/// Who has ports by a rule, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who.
    pub subscriber: Subscriber,
    /// Of which addresses: one, where it is shared.
    pub external: Ipv4Net,
    /// Which ports of each.
    pub ports: PortSet,
}

impl Rule {
    /// Who has ports of an address by it: with a port, who has that one.
    ///
    /// At most as many as share the address: 65,536 of a PSID of 16 bits.
    pub fn grants(
        &self,
        external: Ipv4Addr,
        port: Option<u16>,
    ) -> Box<dyn Iterator<Item = Grant> + '_> {
        match &self.sharing {
            Sharing::Deterministic(rule) => {
                let of = |range| self.deterministic(range);
                match port {
                    Some(port) => Box::new(rule.of_port(external, port).map(of).into_iter()),
                    None => Box::new(rule.all_of(external).map(of)),
                }
            }
            Sharing::Map(rule) => {
                let of = move |edge| self.map(rule, &edge);
                match port {
                    Some(port) => Box::new(rule.of_port(external, port).and_then(of).into_iter()),
                    None => Box::new(rule.all_of(external).filter_map(of)),
                }
            }
            Sharing::Softwire(SoftwireBinding { ipv4, ports, .. })
            | Sharing::PortSet(HeldPortSet {
                external: ipv4,
                ports,
                ..
            }) => {
                let has = *ipv4 == external && port.is_none_or(|port| ports.contains(port));
                Box::new(self.sole().filter(|_| has).into_iter())
            }
        }
    }

    /// What those have by it whom one asks for as `asked`, see [`Subscriber::meets`]: of a prefix
    /// all who are in it.
    pub fn grants_of(&self, asked: &Subscriber) -> Box<dyn Iterator<Item = Grant> + '_> {
        if *asked.realm() != self.realm {
            return Box::new(std::iter::empty());
        }
        match (&self.sharing, asked.internal()) {
            (Sharing::Deterministic(rule), Internal::Address(inside)) => {
                let range = rule.of_inside(inside);
                Box::new(range.map(|range| self.deterministic(range)).into_iter())
            }
            (Sharing::Map(rule), Internal::Prefix(asked)) => {
                let edges = rule.of_prefix(asked.network(), asked.length());
                Box::new(edges.filter_map(move |edge| self.map(rule, &edge)))
            }
            (Sharing::Softwire(_) | Sharing::PortSet(_), _) => {
                let sole = self.sole().filter(|grant| grant.subscriber.meets(asked));
                Box::new(sole.into_iter())
            }
            _ => Box::new(std::iter::empty()),
        }
    }

    /// The addresses of which it gives ports away, as ranges.
    pub fn addresses(&self) -> Vec<(Ipv4Addr, Ipv4Addr)> {
        match &self.sharing {
            Sharing::Deterministic(rule) => rule.outside().ranges().to_vec(),
            Sharing::Map(rule) => vec![(rule.ipv4().network(), rule.ipv4().broadcast())],
            Sharing::Softwire(SoftwireBinding { ipv4, .. })
            | Sharing::PortSet(HeldPortSet { external: ipv4, .. }) => vec![(*ipv4, *ipv4)],
        }
    }

    /// Whether it gives ports of an address away.
    pub fn has(&self, external: Ipv4Addr) -> bool {
        match &self.sharing {
            Sharing::Deterministic(rule) => rule.outside().number(external).is_some(),
            Sharing::Map(rule) => rule.ipv4().contains(&external),
            Sharing::Softwire(SoftwireBinding { ipv4, .. })
            | Sharing::PortSet(HeldPortSet { external: ipv4, .. }) => *ipv4 == external,
        }
    }

    /// Whether it says all there is to say of a port of an address, or without a port of all of
    /// them: nobody has it but who has it by the rule, and where that is nobody, nobody has.
    pub fn decides(&self, external: Ipv4Addr, port: Option<u16>) -> bool {
        match (&self.sharing, port) {
            _ if !self.has(external) => false,
            // What is handed out of the rest is logged one by one (RFC 7422 §2).
            (Sharing::Deterministic(rule), Some(port)) => {
                rule.rest().is_none_or(|rest| !rest.contains(port))
            }
            (Sharing::Deterministic(rule), None) => rule.rest().is_none(),
            // A told PSID leaves the others to other rules.
            (Sharing::Map(rule), _) if rule.told_psid().is_none() => true,
            (_, Some(_)) => self.grants(external, port).next().is_some(),
            (_, None) => false,
        }
    }

    fn deterministic(&self, range: super::DeterministicRange) -> Grant {
        Grant {
            subscriber: Subscriber::new(self.realm.clone(), range.inside.into()),
            external: range.outside.into(),
            ports: PortSet::Range(range.ports),
        }
    }

    fn map(&self, rule: &MapRule, edge: &super::CustomerEdge) -> Option<Grant> {
        let prefix = Ipv6Prefix::new(edge.prefix.network(), edge.prefix.prefix_len()).ok()?;
        Some(Grant {
            subscriber: Subscriber::prefix(self.realm.clone(), prefix),
            external: edge.ipv4,
            ports: rule.ports(edge),
        })
    }

    /// The one grant of a rule that has one.
    fn sole(&self) -> Option<Grant> {
        let (internal, external, ports) = match &self.sharing {
            Sharing::Softwire(binding) => {
                let b4: Ipv6Addr = binding.b4;
                (Internal::Softwire(b4.into()), binding.ipv4, &binding.ports)
            }
            Sharing::PortSet(held) => (held.internal, held.external, &held.ports),
            Sharing::Deterministic(_) | Sharing::Map(_) => return None,
        };
        Some(Grant {
            subscriber: Subscriber::of(self.realm.clone(), internal),
            external: external.into(),
            ports: ports.clone(),
        })
    }
}

impl Sharing {
    /// The word for its kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Deterministic(_) => "deterministic",
            Self::Map(_) => "map",
            Self::Softwire(_) => "softwire",
            Self::PortSet(_) => "port-set",
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({}, {})", self.name, self.sharing.kind())
    }
}

impl fmt::Debug for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl fmt::Debug for HeldPortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldPortSet")
            .field("external", &self.external)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AddressRanges, PortParameters, PortRange};

    fn rule(sharing: Sharing) -> Rule {
        Rule {
            name: RuleName::new("west").unwrap(),
            realm: Realm::default(),
            sharing,
        }
    }

    fn external(host: u8) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, host)
    }

    fn deterministic(compression: u32, ports_each: u32) -> Rule {
        rule(Sharing::Deterministic(
            DeterministicRule::new(
                "100.64.0.0/28".parse().unwrap(),
                AddressRanges::new(vec![(external(1), external(4))]).unwrap(),
                PortRange::new(1_024, 65_535).unwrap(),
                compression,
                ports_each,
            )
            .unwrap(),
        ))
    }

    fn map() -> Rule {
        let (ipv6, ipv4) = (
            "2001:db8::/40".parse().unwrap(),
            "192.0.2.0/24".parse().unwrap(),
        );
        rule(Sharing::Map(MapRule::new(ipv6, ipv4, 16, 6).unwrap()))
    }

    #[test]
    fn a_grant_is_found_by_port_and_by_subscriber() {
        for (rule, port, internal, all) in [
            (deterministic(4, 3_584), 4_608, "100.64.0.5", 4),
            (map(), 1_232, "2001:db8:2:3400::/56", 256),
        ] {
            let grants: Vec<_> = rule.grants(external(2), Some(port)).collect();
            let subscriber = Subscriber::of(Realm::default(), internal.parse().unwrap());
            assert_eq!(grants.len(), 1, "{rule:?}");
            assert_eq!(grants[0].subscriber, subscriber, "{rule:?}");
            assert_eq!(rule.grants_of(&subscriber).collect::<Vec<_>>(), grants);
            assert_eq!(rule.grants(external(2), None).count(), all);
            assert_eq!(rule.grants(Ipv4Addr::new(192, 0, 3, 2), None).count(), 0);
            let elsewhere = Subscriber::of(Realm::new("east").unwrap(), internal.parse().unwrap());
            assert_eq!(rule.grants_of(&elsewhere).count(), 0);
        }
    }

    #[test]
    fn a_customer_is_found_by_an_address_inside_and_by_a_prefix_around() {
        let found = |asked: &str| {
            let asked = Subscriber::of(Realm::default(), asked.parse().unwrap());
            let rule = map();
            let grants = rule
                .grants_of(&asked)
                .map(|grant| grant.subscriber.internal().to_string());
            grants.collect::<Vec<_>>()
        };
        assert_eq!(found("2001:db8:2:34ff::7"), ["2001:db8:2:3400::/56"]);
        assert_eq!(found("2001:db8:2:3450::/60"), ["2001:db8:2:3400::/56"]);
        assert_eq!(
            found("2001:db8:2:3400::/55"),
            ["2001:db8:2:3400::/56", "2001:db8:2:3500::/56"]
        );
        assert_eq!(found("2001:db8::/32").len(), 65_536);
        assert!(
            found("2001:db9::/32").is_empty() && found("softwire 2001:db8:2:3400::").is_empty()
        );
    }

    #[test]
    fn a_rule_decides_what_it_leaves_to_no_log() {
        let (full, rest) = (deterministic(4, 16_128), deterministic(4, 3_584));
        assert!(full.decides(external(1), None) && full.decides(external(1), Some(1_023)));
        assert!(!rest.decides(external(1), None) && rest.decides(external(1), Some(1_024)));
        assert!(!rest.decides(external(1), Some(60_000)));
        assert!(!full.decides(external(5), Some(2_000)));
        assert!(map().decides(external(1), None) && map().decides(external(1), Some(80)));
        let binding = rule(Sharing::Softwire(SoftwireBinding {
            b4: "2001:db8::1".parse().unwrap(),
            ipv4: external(1),
            ports: PortSet::Psid(PortParameters::new(0, 8).unwrap(), 4),
        }));
        assert!(binding.decides(external(1), Some(1_024)));
        assert!(!binding.decides(external(1), Some(1_280)) && !binding.decides(external(1), None));
    }

    #[test]
    fn debug_shows_no_subscriber() {
        let held = rule(Sharing::PortSet(HeldPortSet {
            internal: "100.64.3.9".parse().unwrap(),
            external: external(1),
            ports: PortSet::Range(PortRange::ALL),
        }));
        assert_eq!(format!("{held:?}"), "Rule(west, port-set)");
        let grants: Vec<_> = held.grants(external(1), None).collect();
        assert!(!format!("{grants:?} {:?}", held.sharing).contains("100.64"));
    }
}
