//! IPv6 prefixes of the inside.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use portledger_ports::RealmIndex;

/// Prefixes as masks: few, and looked through one after the other.
#[derive(Debug)]
pub(crate) struct Prefixes(Vec<(RealmIndex, u128, u128)>);

impl Prefixes {
    pub(crate) fn new(nets: &[(RealmIndex, Ipv6Net)]) -> Self {
        let masks = nets.iter().map(|(realm, net)| {
            let (network, mask) = (net.network().to_bits(), net.netmask().to_bits());
            (*realm, network, mask)
        });
        Self(masks.collect())
    }

    #[inline]
    pub(crate) fn contains(&self, realm: RealmIndex, address: Ipv6Addr) -> bool {
        let address = address.to_bits();
        self.0
            .iter()
            .any(|&(other, network, mask)| other == realm && address & mask == network)
    }

    /// The first realm with a prefix that holds `address`.
    pub(crate) fn realm_of(&self, address: Ipv6Addr) -> Option<RealmIndex> {
        let address = address.to_bits();
        self.0
            .iter()
            .find(|&&(_, network, mask)| address & mask == network)
            .map(|&(realm, ..)| realm)
    }
}
