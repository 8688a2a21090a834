//! Mapping of Address and Port: which IPv6 prefix has which IPv4 address and ports (RFC 7597, for
//! MAP-E and, with RFC 7599, for MAP-T).
//!
//! ```text
//!  0            n             n + o           64                                  128
//!  ├────────────┼───────────────┼──────────────┼──────┬──────────────┬────────────┤
//!  │ Rule IPv6  │ EA bits       │ subnet 0     │ 0    │ IPv4 address │ PSID       │
//!  │ prefix     │ IPv4 suf│PSID │              │ 16   │ 32           │ 16         │
//!  ├────────────┴───────────────┤              └──────┴──────────────┴────────────┘
//!  └─ End-user IPv6 prefix ─────┘                interface identifier (RFC 7597 §6)
//! ```

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use ipnet::{Ipv4Net, Ipv6Net};
use thiserror::Error;

use super::{PortParameters, PortParametersError, PortSet};
use crate::PortRange;

/// A mapping rule (RFC 7597 §5): basic for those in it, forwarding for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MapRule {
    ipv6: Ipv6Net,
    ipv4: Ipv4Net,
    ea_length: u8,
    parameters: PortParameters,
    psid: Option<u16>,
}

/// Who is at the customer's end of a rule (RFC 7597 §3's MAP CE), and what it has by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerEdge {
    /// The End-user IPv6 prefix.
    pub prefix: Ipv6Net,
    /// The IPv4 address; a shorter prefix where it has many.
    pub ipv4: Ipv4Net,
    /// Which of those who share the address it is; `None` where it shares it with nobody.
    pub psid: Option<u16>,
}

/// A rule that cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MapRuleError {
    /// More than 48: 32 of an address and 16 of a port.
    #[error("{0} EA bits: an IPv4 address and a port have 48")]
    EaLength(u8),
    /// The end-user prefix would be longer than an address.
    #[error("a rule prefix of {ipv6} and {ea_length} EA bits are longer than an IPv6 address")]
    TooLong {
        /// The rule's IPv6 prefix.
        ipv6: Ipv6Net,
        /// The EA bits.
        ea_length: u8,
    },
    /// The ports.
    #[error(transparent)]
    Ports(#[from] PortParametersError),
    /// A PSID that is told must belong to a whole address.
    #[error("a PSID is told beside the rule for one IPv4 address only, not for {0}")]
    ToldForPrefix(Ipv4Net),
    /// A PSID that does not have so many bits.
    #[error("PSID {psid:#x} has more than {length} bits")]
    Psid {
        /// The PSID.
        psid: u16,
        /// How many bits it may have.
        length: u8,
    },
}

impl MapRule {
    /// A rule of its IPv6 prefix, its IPv4 prefix, how many bits behind the IPv6 prefix tell
    /// addresses and ports, and the PSID offset. The PSID has as many of these bits as the IPv4
    /// prefix leaves (RFC 7597 §5.2).
    ///
    /// # Errors
    /// When the lengths do not fit together.
    pub fn new(
        ipv6: Ipv6Net,
        ipv4: Ipv4Net,
        ea_length: u8,
        offset: u8,
    ) -> Result<Self, MapRuleError> {
        if ea_length > 48 {
            return Err(MapRuleError::EaLength(ea_length));
        }
        if ipv6.prefix_len() > 128 - ea_length {
            return Err(MapRuleError::TooLong { ipv6, ea_length });
        }
        let psid_length = ea_length.saturating_sub(32 - ipv4.prefix_len());
        Ok(Self {
            ipv6: ipv6.trunc(),
            ipv4: ipv4.trunc(),
            ea_length,
            parameters: PortParameters::new(offset, psid_length)?,
            psid: None,
        })
    }

    /// A rule of one address without EA bits, whose PSID is told beside it (RFC 7597 §5.2, Appendix
    /// A, example 5).
    ///
    /// # Errors
    /// When the IPv4 prefix is no whole address or the PSID does not have so many bits.
    pub fn with_psid(
        ipv6: Ipv6Net,
        ipv4: Ipv4Net,
        parameters: PortParameters,
        psid: u16,
    ) -> Result<Self, MapRuleError> {
        if ipv4.prefix_len() != 32 {
            return Err(MapRuleError::ToldForPrefix(ipv4));
        }
        if !parameters.has(psid) {
            let length = parameters.psid_length();
            return Err(MapRuleError::Psid { psid, length });
        }
        Ok(Self {
            ipv6: ipv6.trunc(),
            ipv4,
            ea_length: 0,
            parameters,
            psid: Some(psid),
        })
    }

    /// The Rule IPv6 prefix.
    pub const fn ipv6(&self) -> Ipv6Net {
        self.ipv6
    }

    /// The Rule IPv4 prefix.
    pub const fn ipv4(&self) -> Ipv4Net {
        self.ipv4
    }

    /// o: how many EA bits.
    pub const fn ea_length(&self) -> u8 {
        self.ea_length
    }

    /// The offset and the length of the PSID.
    pub const fn parameters(&self) -> PortParameters {
        self.parameters
    }

    /// The PSID that is told beside the rule.
    pub const fn told_psid(&self) -> Option<u16> {
        self.psid
    }

    /// The length of an End-user IPv6 prefix.
    pub const fn end_user_length(&self) -> u8 {
        self.ipv6.prefix_len() + self.ea_length
    }

    /// Whether an address is shared.
    pub const fn is_shared(&self) -> bool {
        self.parameters.psid_length() > 0
    }

    /// Of the EA bits, how many are of the IPv4 address.
    const fn suffix_length(&self) -> u8 {
        match self.psid {
            Some(_) => 0,
            None => self.ea_length - self.parameters.psid_length(),
        }
    }

    /// Who has the IPv6 address: any one inside an End-user IPv6 prefix.
    pub fn of_ipv6(&self, address: Ipv6Addr) -> Option<CustomerEdge> {
        if !self.ipv6.contains(&address) {
            return None;
        }
        let prefix = Ipv6Net::new(address, self.end_user_length()).ok()?.trunc();
        let ea = low_bits(
            shift_right(address.to_bits(), 128 - u32::from(self.end_user_length())),
            self.ea_length,
        );
        let length = self.parameters.psid_length();
        let (suffix, psid) = match self.psid {
            Some(told) => (0, told),
            None => (ea >> length, low_bits(ea, length) as u16),
        };
        let bits = self.ipv4.prefix_len() + self.suffix_length();
        let suffix = shift_left(suffix, 32 - u32::from(bits)) as u32;
        let ipv4 = Ipv4Addr::from_bits(self.ipv4.network().to_bits() | suffix);
        Some(CustomerEdge {
            prefix,
            ipv4: Ipv4Net::new(ipv4, bits).ok()?,
            psid: self.is_shared().then_some(psid),
        })
    }

    /// All who have addresses of an IPv6 prefix, ascending: one, where it is inside an End-user
    /// IPv6 prefix.
    pub fn of_prefix(
        &self,
        network: Ipv6Addr,
        length: u8,
    ) -> impl Iterator<Item = CustomerEdge> + use<> {
        let rule = *self;
        let asked = Ipv6Net::new(network, length.min(128)).unwrap_or(rule.ipv6);
        // Of two prefixes that meet, the longer is inside the other.
        let inner = match rule.ipv6.contains(&asked.network()) {
            true => Some(asked),
            false => Some(rule.ipv6).filter(|ipv6| asked.contains(&ipv6.network())),
        };
        let inner = inner.map(|inner| match inner.prefix_len() < rule.ipv6.prefix_len() {
            true => rule.ipv6,
            false => inner,
        });
        inner.into_iter().flat_map(move |inner| {
            let free = rule.end_user_length().saturating_sub(inner.prefix_len());
            let step = 128 - u32::from(rule.end_user_length());
            (0..1_u64 << free).filter_map(move |number| {
                let bits = inner.network().to_bits() | shift_left(number.into(), step);
                rule.of_ipv6(Ipv6Addr::from_bits(bits))
            })
        })
    }

    /// Who has `port` of an IPv4 address. Where the address is not shared it has all ports.
    pub fn of_port(&self, address: Ipv4Addr, port: u16) -> Option<CustomerEdge> {
        let psid = match self.is_shared() {
            true => self.parameters.psid_of(port)?,
            false => 0,
        };
        self.of_psid(address, psid)
    }

    /// All who have ports of an IPv4 address, by PSID.
    pub fn all_of(&self, address: Ipv4Addr) -> impl Iterator<Item = CustomerEdge> + use<> {
        let rule = *self;
        let all = match rule.psid {
            Some(told) => u32::from(told)..u32::from(told) + 1,
            None => 0..rule.parameters.sharing_ratio(),
        };
        all.filter_map(move |psid| rule.of_psid(address, u16::try_from(psid).ok()?))
    }

    /// Who has a PSID of an IPv4 address.
    pub fn of_psid(&self, address: Ipv4Addr, psid: u16) -> Option<CustomerEdge> {
        if !self.ipv4.contains(&address)
            || !self.parameters.has(psid)
            || self.psid.is_some_and(|told| told != psid)
        {
            return None;
        }
        let bits = self.ipv4.prefix_len() + self.suffix_length();
        let ipv4 = Ipv4Net::new(address, bits).ok()?.trunc();
        let suffix = low_bits(
            u128::from(ipv4.network().to_bits()) >> (32 - bits),
            self.suffix_length(),
        );
        let ea = match self.psid {
            Some(_) => 0,
            None => suffix << self.parameters.psid_length() | u128::from(psid),
        };
        let ea = shift_left(ea, 128 - u32::from(self.end_user_length()));
        let prefix = Ipv6Addr::from_bits(self.ipv6.network().to_bits() | ea);
        Some(CustomerEdge {
            prefix: Ipv6Net::new(prefix, self.end_user_length()).ok()?,
            ipv4,
            psid: self.is_shared().then_some(psid),
        })
    }

    /// The ports that a customer edge has of its address.
    pub const fn ports(&self, edge: &CustomerEdge) -> PortSet {
        match edge.psid {
            Some(psid) => PortSet::Psid(self.parameters, psid),
            None => PortSet::Range(PortRange::ALL),
        }
    }

    /// The customer edge of which `address` is the MAP address, and of no other: what a border
    /// relay asks of a source before it lets a packet out (RFC 7597 §8.1).
    pub fn of_map_address(&self, address: Ipv6Addr) -> Option<CustomerEdge> {
        self.of_ipv6(address)
            .filter(|edge| edge.map_address() == address)
    }
}

impl CustomerEdge {
    /// The MAP IPv6 address: the prefix, and the interface identifier of 16 zero bits, the IPv4
    /// address and the PSID (RFC 7597 §6). A prefix longer than 64 bits is written over it.
    pub fn map_address(&self) -> Ipv6Addr {
        let ipv4 = u128::from(self.ipv4.network().to_bits());
        let identifier = ipv4 << 16 | u128::from(self.psid.unwrap_or(0));
        let behind = identifier & self.prefix.hostmask().to_bits();
        Ipv6Addr::from_bits(self.prefix.network().to_bits() | behind)
    }
}

/// Who it is stays out of logs.
impl fmt::Debug for CustomerEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomerEdge")
            .field("ipv4", &self.ipv4)
            .field("psid", &self.psid)
            .finish_non_exhaustive()
    }
}

/// The lowest `count` bits, of 48 at most.
const fn low_bits(bits: u128, count: u8) -> u128 {
    bits & ((1 << count) - 1)
}

/// As `>>`, and 0 where all is shifted out.
fn shift_right(bits: u128, by: u32) -> u128 {
    bits.checked_shr(by).unwrap_or(0)
}

/// As `<<`, and 0 where all is shifted out.
fn shift_left(bits: u128, by: u32) -> u128 {
    bits.checked_shl(by).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(ipv6: &str, ipv4: &str, ea_length: u8, offset: u8) -> MapRule {
        MapRule::new(
            ipv6.parse().unwrap(),
            ipv4.parse().unwrap(),
            ea_length,
            offset,
        )
        .unwrap()
    }

    fn edge(prefix: &str, ipv4: &str, psid: Option<u16>) -> CustomerEdge {
        CustomerEdge {
            prefix: prefix.parse().unwrap(),
            ipv4: ipv4.parse().unwrap(),
            psid,
        }
    }

    fn v6(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    /// RFC 7597 Appendix A, example 1, and the way back of example 2.
    #[test]
    fn rfc_7597_examples_1_and_2() {
        let rule = rule("2001:db8::/40", "192.0.2.0/24", 16, 6);
        let of = edge("2001:db8:12:3400::/56", "192.0.2.18/32", Some(0x34));
        assert_eq!(rule.of_ipv6(v6("2001:db8:12:3400::")), Some(of));
        assert_eq!(rule.of_ipv6(v6("2001:db8:12:34ff::7")), Some(of));
        assert_eq!(rule.of_port(Ipv4Addr::new(192, 0, 2, 18), 1232), Some(of));
        assert_eq!(of.map_address(), v6("2001:db8:12:3400:0:c000:212:34"));
        assert_eq!(rule.of_map_address(of.map_address()), Some(of));
        assert_eq!(rule.parameters(), PortParameters::new(6, 8).unwrap());
        assert_eq!(rule.ports(&of).count(), 252);
        // 1236 is the next one's.
        let next = rule.of_port(Ipv4Addr::new(192, 0, 2, 18), 1236).unwrap();
        assert_eq!(
            (next.psid, next.prefix.to_string().as_str()),
            (Some(0x35), "2001:db8:12:3500::/56")
        );
        assert_eq!(rule.of_port(Ipv4Addr::new(192, 0, 2, 18), 1_023), None);
        assert_eq!(rule.of_port(Ipv4Addr::new(192, 0, 3, 18), 1232), None);
        assert_eq!(rule.all_of(Ipv4Addr::new(192, 0, 2, 18)).count(), 256);
    }

    /// Example 4: an address of one's own.
    #[test]
    fn rfc_7597_example_4() {
        let rule = rule("2001:db8:12:3400::/56", "192.0.2.18/32", 0, 6);
        let of = edge("2001:db8:12:3400::/56", "192.0.2.18/32", None);
        assert_eq!(rule.of_ipv6(v6("2001:db8:12:3400::1")), Some(of));
        assert_eq!(rule.of_port(Ipv4Addr::new(192, 0, 2, 18), 80), Some(of));
        assert_eq!(of.map_address(), v6("2001:db8:12:3400:0:c000:212:0"));
        assert_eq!(rule.ports(&of).count(), 65_536);
    }

    /// Example 5: no EA bits, and a PSID of 8 bits told beside the rule. RFC 7599 prints 0x20 for
    /// it and means 0x34 (erratum 5324), as its own address says.
    #[test]
    fn rfc_7597_example_5_and_erratum_5324() {
        let (ipv6, ipv4) = ("2001:db8:12:3400::/56", "192.0.2.18/32");
        let parameters = PortParameters::new(6, 8).unwrap();
        let rule = MapRule::with_psid(
            ipv6.parse().unwrap(),
            ipv4.parse().unwrap(),
            parameters,
            0x34,
        )
        .unwrap();
        let of = edge(ipv6, ipv4, Some(0x34));
        assert_eq!(rule.of_ipv6(v6("2001:db8:12:3400::1")), Some(of));
        assert_eq!(of.map_address(), v6("2001:db8:12:3400:0:c000:212:34"));
        assert_eq!(rule.of_port(Ipv4Addr::new(192, 0, 2, 18), 1_232), Some(of));
        assert_eq!(rule.of_port(Ipv4Addr::new(192, 0, 2, 18), 1_236), None);
        assert_eq!(
            rule.all_of(Ipv4Addr::new(192, 0, 2, 18))
                .collect::<Vec<_>>(),
            [of]
        );
    }

    /// EA bits fewer than the IPv4 suffix: many addresses each (RFC 7597 §5.2, o + r < 32).
    #[test]
    fn a_customer_with_an_ipv4_prefix() {
        let rule = rule("2001:db8::/40", "192.0.0.0/16", 12, 6);
        let of = edge("2001:db8:aa:b000::/52", "192.0.170.176/28", None);
        assert_eq!(rule.of_ipv6(v6("2001:db8:aa:b123::")), Some(of));
        assert_eq!(rule.of_port(Ipv4Addr::new(192, 0, 170, 180), 5), Some(of));
        assert_eq!(of.map_address(), v6("2001:db8:aa:b000:0:c000:aab0:0"));
    }

    /// RFC 7597 §6: a longer prefix is written over the interface identifier.
    #[test]
    fn a_prefix_of_more_than_64_bits() {
        let of = edge("2001:db8:12:3400:abcd::/80", "192.0.2.18/32", Some(0x34));
        assert_eq!(of.map_address(), v6("2001:db8:12:3400:abcd:c000:212:34"));
    }

    #[test]
    fn another_interface_identifier_is_no_map_address() {
        let rule = rule("2001:db8::/40", "192.0.2.0/24", 16, 6);
        for spoofed in [
            "2001:db8:12:3400:0:c000:212:35",
            "2001:db8:12:3400:0:c000:213:34",
            "2001:db8:12:3401:0:c000:212:34",
            "2001:db8:12:3500:0:c000:212:34",
        ] {
            assert_eq!(rule.of_map_address(v6(spoofed)), None, "{spoofed}");
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let made = |ipv6: &str, ipv4: &str, ea, offset| {
            MapRule::new(ipv6.parse().unwrap(), ipv4.parse().unwrap(), ea, offset)
        };
        assert!(matches!(
            made("2001:db8::/40", "0.0.0.0/0", 49, 6),
            Err(MapRuleError::EaLength(49))
        ));
        assert!(matches!(
            made("2001:db8::/120", "192.0.2.0/24", 9, 6),
            Err(MapRuleError::TooLong { .. })
        ));
        assert!(matches!(
            made("2001:db8::/40", "192.0.2.0/24", 24, 6),
            Err(MapRuleError::Ports(_))
        ));
        let parameters = PortParameters::new(6, 8).unwrap();
        let told = |ipv4: &str, psid| {
            MapRule::with_psid(
                "2001:db8::/56".parse().unwrap(),
                ipv4.parse().unwrap(),
                parameters,
                psid,
            )
        };
        assert!(matches!(
            told("192.0.2.0/24", 1),
            Err(MapRuleError::ToldForPrefix(_))
        ));
        assert!(matches!(
            told("192.0.2.1/32", 256),
            Err(MapRuleError::Psid { .. })
        ));
    }

    fn any_rule() -> impl Strategy<Value = MapRule> {
        let lengths = (0..=80_u8, 0..=32_u8, 0..=16_u8);
        (
            any::<u128>(),
            any::<u32>(),
            lengths,
            0..16_u8,
            any::<u16>(),
            0..4_u8,
        )
            .prop_map(|(v6, v4, (n, r, k), a, psid, kind)| {
                let (v6, v4) = (Ipv6Addr::from_bits(v6), Ipv4Addr::from_bits(v4));
                let k = k.min(16 - a);
                if kind == 0 {
                    let parameters = PortParameters::new(a, k).unwrap();
                    let psid = (u32::from(psid) % parameters.sharing_ratio()) as u16;
                    return MapRule::with_psid(
                        Ipv6Net::new(v6, n).unwrap(),
                        Ipv4Net::new(v4, 32).unwrap(),
                        parameters,
                        psid,
                    )
                    .unwrap();
                }
                let suffix = 32 - r;
                let ea = if kind == 1 { suffix.min(k) } else { suffix + k };
                MapRule::new(
                    Ipv6Net::new(v6, n).unwrap(),
                    Ipv4Net::new(v4, r).unwrap(),
                    ea,
                    a,
                )
                .unwrap()
            })
    }

    proptest! {
        /// From an address and a port to the customer, to its MAP address, and back.
        #[test]
        fn there_and_back(rule in any_rule(), host: u32, port: u16) {
            let host = Ipv4Addr::from_bits(rule.ipv4().network().to_bits() | host & rule.ipv4().hostmask().to_bits());
            let Some(of) = rule.of_port(host, port) else {
                let nobody = rule.parameters().psid_of(port);
                prop_assert!(nobody.is_none() || rule.told_psid().is_some_and(|told| nobody != Some(told)));
                return Ok(());
            };
            prop_assert!(of.ipv4.contains(&host) && rule.ports(&of).contains(port));
            prop_assert!(rule.ipv6().contains(&of.prefix.network()));
            prop_assert_eq!(rule.of_ipv6(of.prefix.network()), Some(of));
            prop_assert_eq!(rule.of_ipv6(of.prefix.broadcast()), Some(of));
            prop_assert_eq!(rule.of_map_address(of.map_address()), Some(of));
            prop_assert_eq!(rule.of_psid(host, of.psid.unwrap_or(0)), Some(of));
        }

        /// From an end-user prefix to its address and ports, and back.
        #[test]
        fn back_and_there(rule in any_rule(), bits: u128) {
            let inside = Ipv6Addr::from_bits(rule.ipv6().network().to_bits() | bits & rule.ipv6().hostmask().to_bits());
            let of = rule.of_ipv6(inside).unwrap();
            prop_assert!(of.prefix.contains(&inside));
            prop_assert!(rule.ipv4().contains(&of.ipv4.network()));
            for range in rule.ports(&of).ranges().take(3) {
                prop_assert_eq!(rule.of_port(of.ipv4.network(), range.first()), Some(of));
                prop_assert_eq!(rule.of_port(of.ipv4.broadcast(), range.last()), Some(of));
            }
        }

        #[test]
        fn all_who_share_an_address_have_different_prefixes(rule in any_rule()) {
            let address = rule.ipv4().network();
            let all: Vec<_> = rule.all_of(address).collect();
            prop_assert_eq!(all.len() as u32, if rule.told_psid().is_some() { 1 } else { rule.parameters().sharing_ratio() });
            let prefixes: std::collections::BTreeSet<_> = all.iter().map(|of| of.prefix).collect();
            prop_assert_eq!(prefixes.len(), all.len());
        }
    }
}
