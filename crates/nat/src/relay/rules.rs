//! MAP's arithmetic (RFC 7597 §5, §6) with all that a rule alone says worked out beforehand: it is
//! asked for each packet. What it computes is [`MapRule`]'s, as a property here says.

use std::net::{Ipv4Addr, Ipv6Addr};

use portledger_model::{MapRule, PortParameters};

/// A rule that is for many customers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compiled {
    /// The rule's IPv4 prefix.
    pub(super) network: u32,
    pub(super) mask: u32,
    /// The rule's IPv6 prefix.
    pub(super) ipv6_network: u128,
    pub(super) ipv6_mask: u128,
    pub(super) rule: MapRule,
    parameters: PortParameters,
    is_shared: bool,
    /// How far from its end an IPv4 address has the bits that are embedded.
    suffix_shift: u32,
    /// How far from its end an IPv6 address has the embedded bits, and how many there are.
    ea_shift: u32,
    ea_mask: u64,
    /// What of the interface identifier the End-user prefix leaves.
    identifier_mask: u128,
    /// What of an IPv4 address the identifier holds: all of it in MAP-T (RFC 7599 §6, erratum
    /// 5225), and in MAP-E the customer's prefix.
    held_mask: u32,
    /// The bits of an IPv4 address that are in the identifier only.
    host_mask: u32,
}

impl Compiled {
    pub(super) fn new(rule: MapRule, is_translated: bool) -> Self {
        let parameters = rule.parameters();
        let ea_length = rule.ea_length();
        let suffix_length = ea_length.saturating_sub(parameters.psid_length());
        let customer_bits = u32::from(rule.ipv4().prefix_len() + suffix_length);
        let host_mask = u32::MAX.checked_shr(customer_bits).unwrap_or(0);
        let end_user = u32::from(rule.ipv6().prefix_len() + ea_length);
        Self {
            network: rule.ipv4().network().to_bits(),
            mask: rule.ipv4().netmask().to_bits(),
            ipv6_network: rule.ipv6().network().to_bits(),
            ipv6_mask: rule.ipv6().netmask().to_bits(),
            rule,
            parameters,
            is_shared: parameters.psid_length() > 0,
            suffix_shift: 32_u32.saturating_sub(customer_bits),
            ea_shift: 128_u32.saturating_sub(end_user),
            ea_mask: (1 << ea_length) - 1,
            identifier_mask: u128::MAX.checked_shr(end_user).unwrap_or(0),
            held_mask: if is_translated { u32::MAX } else { !host_mask },
            host_mask,
        }
    }

    #[inline]
    pub(super) const fn covers(&self, address: u32) -> bool {
        address & self.mask == self.network
    }

    /// The IPv6 address of whoever has the port of an address of this rule; without a port, of
    /// whoever shares the address with nobody.
    #[inline]
    pub(super) fn find(&self, address: u32, port: Option<u16>) -> Option<Ipv6Addr> {
        let psid = if self.is_shared {
            self.parameters.psid_of(port?)?
        } else {
            0
        };
        Some(self.end(address, psid))
    }

    #[inline]
    fn end(&self, address: u32, psid: u16) -> Ipv6Addr {
        let psid_length = self.parameters.psid_length();
        let suffix = (address & !self.mask)
            .checked_shr(self.suffix_shift)
            .unwrap_or(0);
        let ea = (u64::from(suffix) << psid_length) | u64::from(psid);
        let prefix = u128::from(ea).checked_shl(self.ea_shift).unwrap_or(0);
        let identifier = (u128::from(address & self.held_mask) << 16) | u128::from(psid);
        Ipv6Addr::from_bits(self.ipv6_network | prefix | (identifier & self.identifier_mask))
    }

    #[inline]
    pub(super) fn contains(&self, end: Ipv6Addr) -> bool {
        end.to_bits() & self.ipv6_mask == self.ipv6_network
    }

    /// The IPv4 address of whoever is at an IPv6 address of this rule.
    #[inline]
    pub(super) fn address_of(&self, end: Ipv6Addr) -> Ipv4Addr {
        let bits = end.to_bits();
        let ea = bits.checked_shr(self.ea_shift).unwrap_or(0) as u64 & self.ea_mask;
        let suffix = (ea >> self.parameters.psid_length()) as u32;
        let suffix = suffix.checked_shl(self.suffix_shift).unwrap_or(0);
        let host = (bits >> 16) as u32 & self.host_mask;
        Ipv4Addr::from_bits(self.network | suffix | host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::{Ipv4Net, Ipv6Net};
    use proptest::prelude::*;

    fn any_rule() -> impl Strategy<Value = MapRule> {
        let lengths = (0..=80_u8, 0..=32_u8, 0..=16_u8, 0..16_u8, any::<bool>());
        (any::<u128>(), any::<u32>(), lengths).prop_map(|(v6, v4, (n, r, k, a, shares))| {
            let suffix = 32 - r;
            let k = k.min(16 - a);
            let ea = if shares { suffix + k } else { suffix.min(k) };
            let ipv6 = Ipv6Net::new(v6.into(), n).unwrap();
            MapRule::new(ipv6, Ipv4Net::new(v4.into(), r).unwrap(), ea, a).unwrap()
        })
    }

    proptest! {
        #[test]
        fn it_is_the_rule_s_arithmetic(rule in any_rule(), host in any::<u32>(), port in any::<u16>()) {
            let host_mask = rule.ipv4().hostmask().to_bits();
            let address = rule.ipv4().network().to_bits() | (host & host_mask);
            let compiled = Compiled::new(rule, false);
            prop_assert!(compiled.covers(address));
            let found = compiled.find(address, Some(port));
            let edge = rule.of_port(address.into(), port);
            prop_assert_eq!(found, edge.map(|edge| edge.map_address()));
            if let (Some(end), Some(edge)) = (found, edge) {
                prop_assert!(compiled.contains(end));
                prop_assert!(edge.ipv4.contains(&compiled.address_of(end)));
            }
        }

        /// Where the prefix leaves room for all of an address (RFC 7599 §6).
        #[test]
        fn a_whole_address_comes_out_again(rule in any_rule(), host in any::<u32>(), port in any::<u16>()) {
            if rule.ipv6().prefix_len() + rule.ea_length() > 64 {
                return Ok(());
            }
            let host_mask = rule.ipv4().hostmask().to_bits();
            let address = rule.ipv4().network().to_bits() | (host & host_mask);
            let compiled = Compiled::new(rule, true);
            if let Some(end) = compiled.find(address, Some(port)) {
                prop_assert_eq!(compiled.address_of(end), Ipv4Addr::from(address));
            }
        }
    }
}
