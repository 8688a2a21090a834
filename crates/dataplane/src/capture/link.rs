//! What a captured frame begins with.

use std::fmt;

/// A link type as capture files number them: what the first bytes of a frame are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: the address family in the capturing machine's byte order.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// An IPv4 or IPv6 packet, nothing before it. What [`Writer`](super::Writer) writes.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: the address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked, version 1 (the `any` device).
    pub const LINUX_SLL: Self = Self(113);
    /// An IPv4 packet, nothing before it.
    pub const IPV4: Self = Self(228);
    /// An IPv6 packet, nothing before it.
    pub const IPV6: Self = Self(229);
    /// Linux cooked, version 2.
    pub const LINUX_SLL2: Self = Self(276);
    /// [`LinkType::RAW`] as most systems number it inside, found in files by mistake.
    pub(super) const RAW_INSIDE: Self = Self(12);
    /// The same on OpenBSD.
    pub(super) const RAW_OPENBSD: Self = Self(14);
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NULL => f.write_str("BSD null"),
            Self::ETHERNET => f.write_str("Ethernet"),
            Self::RAW | Self::RAW_INSIDE | Self::RAW_OPENBSD => f.write_str("raw IP"),
            Self::LOOP => f.write_str("OpenBSD loop"),
            Self::LINUX_SLL => f.write_str("Linux cooked"),
            Self::IPV4 => f.write_str("raw IPv4"),
            Self::IPV6 => f.write_str("raw IPv6"),
            Self::LINUX_SLL2 => f.write_str("Linux cooked v2"),
            Self(other) => write!(f, "link type {other}"),
        }
    }
}
