//! Lightweight 4over6: who is at the end of a softwire, one by one (RFC 7596 §6.1).

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::PortSet;

/// An entry of a lwAFTR's binding table (RFC 7596 §6.1): the B4 at this IPv6 address has these
/// ports of this IPv4 address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SoftwireBinding {
    /// The IPv6 address of the lwB4's end of the softwire.
    pub b4: Ipv6Addr,
    /// The IPv4 address.
    pub ipv4: Ipv4Addr,
    /// The ports.
    pub ports: PortSet,
}

impl SoftwireBinding {
    /// Whether a packet out of this softwire may come from an IPv4 address and port: the lwAFTR
    /// drops all others (RFC 7596 §6.2).
    pub fn permits(&self, ipv4: Ipv4Addr, port: u16) -> bool {
        self.ipv4 == ipv4 && self.ports.contains(port)
    }
}

/// Who it is stays out of logs.
impl fmt::Debug for SoftwireBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwireBinding")
            .field("ipv4", &self.ipv4)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PortParameters;

    #[test]
    fn only_its_own_address_and_ports() {
        let binding = SoftwireBinding {
            b4: "2001:db8::1".parse().unwrap(),
            ipv4: Ipv4Addr::new(192, 0, 2, 1),
            ports: PortSet::Psid(PortParameters::new(0, 8).unwrap(), 0x34),
        };
        assert!(binding.permits(Ipv4Addr::new(192, 0, 2, 1), 13_312));
        assert!(!binding.permits(Ipv4Addr::new(192, 0, 2, 1), 13_568));
        assert!(!binding.permits(Ipv4Addr::new(192, 0, 2, 2), 13_312));
    }
}
