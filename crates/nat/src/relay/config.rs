//! What an operator chooses of a border relay.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use portledger_model::{MapRule, SoftwireBinding};
use thiserror::Error;

use crate::{
    Mtu, ReassemblyLimits,
    translate::{self, LEAST_IPV6_MTU, Prefix, Translator},
};

/// What an operator chooses of a border relay. [`RelayConfig::map_e`], [`RelayConfig::map_t`] and
/// [`RelayConfig::lw4o6`] have the defaults; [`Relay::new`](crate::Relay::new) checks the whole.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Who has which address and ports.
    pub customers: Customers,
    /// How IPv4 crosses the IPv6 network.
    pub carriage: Carriage,
    /// The relay's IPv6 address: where softwires end, and whence its ICMPv6 errors come. It may be
    /// anycast (RFC 7597 §7.2).
    pub address: Ipv6Addr,
    /// The source of ICMP errors to IPv4, and of those of IPv6 routers that have no IPv4 address
    /// (RFC 6791). Default 192.0.0.8, the dummy address of RFC 7600.
    pub own_address: Ipv4Addr,
    /// The largest packets: towards the inside of IPv6, at least and by default 1,280 and 1,500;
    /// towards the outside of IPv4, by default 65,535.
    pub mtu: Mtu,
    /// Whether what must not be cut is answered (RFC 2473 §7.2 (a)), rather than cut in IPv6 all
    /// the same (RFC 6333 §6.3). Of relays that wrap. Default: yes.
    pub honour_dont_fragment: bool,
    /// Whether packets from one customer to another pass (RFC 7596 §6.2). Default: yes.
    pub hairpinning: bool,
    /// What is told to whom.
    pub refusals: Refusals,
    /// ICMP errors of the relay's own a second, at most (RFC 7596 §9). Default 100.
    pub icmp_rate: u32,
    /// The largest segment size that a TCP connection may begin with. Default: as it likes.
    pub mss: Option<u16>,
    /// The hop limit of packets that wrap others (RFC 2473 §6.3). Default 64.
    pub hop_limit: u8,
    /// Whether the relay takes a hop off what it carries. Default: no, the system that forwards to
    /// the relay's device has done so.
    pub counts_as_hop: bool,
    /// Fragments that are followed by their first one's ports.
    pub followed: FollowedLimits,
    /// Packets that were cut in the IPv6 network and are put together. Of relays that wrap.
    pub reassembly: ReassemblyLimits,
}

/// Who has which address and ports.
#[derive(Debug, Clone)]
pub enum Customers {
    /// By arithmetic (RFC 7597 §5).
    Rules(Vec<MapRule>),
    /// By a table (RFC 7596 §6.1).
    Bindings(Vec<SoftwireBinding>),
}

/// How IPv4 crosses the IPv6 network.
#[derive(Debug, Clone)]
pub enum Carriage {
    /// In IPv6 (RFC 2473): MAP-E, lightweight 4over6.
    Wrapped,
    /// As IPv6 (RFC 7915): MAP-T. The MTUs and hops of its `translation` are the relay's.
    Translated {
        /// Behind which the Internet's addresses lie: the default mapping rule (RFC 7599 §5.1).
        prefix: Prefix,
        /// The translation.
        translation: translate::Config,
    },
}

/// What is told to whom, within the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusals {
    /// To a customer, that its packet's source is not its own: ICMPv6 1/5. RFC 7597 §8.1 wants
    /// silence, RFC 7599 §8.3 an answer, RFC 7596 §6.2 leaves it open; the default is each one's,
    /// and an answer for the last.
    pub spoofed: bool,
    /// To the Internet, that nobody has the port: ICMP 3/1 (RFC 7596 §6.2). Default: yes.
    pub unreachable: bool,
}

/// How many datagrams' fragments are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowedLimits {
    /// Datagrams. Default 4,096.
    pub datagrams: usize,
    /// Of these, from one customer. Default 64.
    pub of_customer: usize,
    /// Bytes of fragments that wait for their first. Default 1 MiB.
    pub bytes: usize,
    /// How long a datagram is followed. Default 2 s.
    pub time: Duration,
}

impl Default for FollowedLimits {
    fn default() -> Self {
        Self {
            datagrams: 4_096,
            of_customer: 64,
            bytes: 1 << 20,
            time: Duration::from_secs(2),
        }
    }
}

/// A configuration of a relay that cannot work, with what to change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RelayConfigError {
    /// Nobody to carry for.
    #[error("customers: none; name a rule or a binding")]
    NoCustomers,
    /// Two customers have one port.
    #[error("customers: port {port} of {address} has two holders; no log could say who it was")]
    TwoHolders {
        /// The address.
        address: Ipv4Addr,
        /// The port.
        port: u16,
    },
    /// Two rules for one prefix.
    #[error("customers: two rules for {0}; a packet could not be told to be one's")]
    TwoRules(String),
    /// Smaller than any link of IPv6 is.
    #[error("mtu.inside: {0}; IPv6 has links of at least 1280 bytes (RFC 8200 §5)")]
    InsideMtu(u16),
    /// Smaller than any link of IPv4 is.
    #[error("mtu.outside: {0}; IPv4 has links of at least 68 bytes (RFC 791 §3.2)")]
    OutsideMtu(u16),
    /// The translation.
    #[error(transparent)]
    Translation(#[from] translate::ConfigError),
    /// A hop limit that leads nowhere.
    #[error("hop_limit: 0 leads nowhere; use 64")]
    HopLimit,
    /// A segment size with hardly a byte in it.
    #[error("mss: {0}; a TCP connection needs at least 64")]
    Mss(u16),
    /// Less than one packet.
    #[error("reassembly: too little for a single packet; use the default")]
    Reassembly,
    /// Nobody's fragments are followed.
    #[error("followed: 0 would follow no fragment at all; use the default")]
    Followed,
    /// Longer than any fragment may wait.
    #[error("{name}: {} s; RFC 8200 §4.5 allows at most 60 s", .given.as_secs_f64())]
    Time {
        /// Which key.
        name: &'static str,
        /// What was given.
        given: Duration,
    },
}

impl RelayConfig {
    /// MAP-E (RFC 7597): a border relay at `address` for these rules.
    pub fn map_e(rules: Vec<MapRule>, address: Ipv6Addr) -> Self {
        let mut config = Self::new(Customers::Rules(rules), Carriage::Wrapped, address);
        config.refusals.spoofed = false;
        config
    }

    /// MAP-T (RFC 7599): a border relay at `address` for these rules, with `prefix` for the
    /// Internet.
    pub fn map_t(rules: Vec<MapRule>, prefix: Prefix, address: Ipv6Addr) -> Self {
        let carriage = Carriage::Translated {
            prefix,
            translation: translate::Config::default(),
        };
        Self::new(Customers::Rules(rules), carriage, address)
    }

    /// Lightweight 4over6 (RFC 7596): a lwAFTR at `address` with these bindings.
    pub fn lw4o6(bindings: Vec<SoftwireBinding>, address: Ipv6Addr) -> Self {
        Self::new(Customers::Bindings(bindings), Carriage::Wrapped, address)
    }

    fn new(customers: Customers, carriage: Carriage, address: Ipv6Addr) -> Self {
        Self {
            customers,
            carriage,
            address,
            own_address: Ipv4Addr::new(192, 0, 0, 8),
            mtu: Mtu {
                inside: 1_500,
                outside: u16::MAX,
            },
            honour_dont_fragment: true,
            hairpinning: true,
            refusals: Refusals {
                spoofed: true,
                unreachable: true,
            },
            icmp_rate: 100,
            mss: None,
            hop_limit: 64,
            counts_as_hop: false,
            followed: FollowedLimits::default(),
            reassembly: ReassemblyLimits::default(),
        }
    }

    /// The translator, where there is one, once the whole is checked.
    pub(super) fn check(&self) -> Result<Option<(Prefix, Translator)>, RelayConfigError> {
        if self.mtu.inside < LEAST_IPV6_MTU {
            return Err(RelayConfigError::InsideMtu(self.mtu.inside));
        }
        if self.mtu.outside < 68 {
            return Err(RelayConfigError::OutsideMtu(self.mtu.outside));
        }
        if self.hop_limit == 0 {
            return Err(RelayConfigError::HopLimit);
        }
        if let Some(mss) = self.mss
            && mss < 64
        {
            return Err(RelayConfigError::Mss(mss));
        }
        let limits = &self.reassembly;
        if limits.datagrams == 0 || limits.of_softwire == 0 || limits.bytes < 65_535 {
            return Err(RelayConfigError::Reassembly);
        }
        let followed = &self.followed;
        if followed.datagrams == 0 || followed.of_customer == 0 || followed.bytes == 0 {
            return Err(RelayConfigError::Followed);
        }
        for (name, given) in [
            ("reassembly.time", limits.time),
            ("followed.time", followed.time),
        ] {
            if given > Duration::from_secs(60) {
                return Err(RelayConfigError::Time { name, given });
            }
        }
        match &self.carriage {
            Carriage::Wrapped => Ok(None),
            Carriage::Translated {
                prefix,
                translation,
            } => {
                let translator = Translator::new(translate::Config {
                    ipv6_mtu: self.mtu.inside,
                    ipv4_mtu: self.mtu.outside,
                    counts_as_hop: self.counts_as_hop,
                    ..*translation
                })?;
                Ok(Some((*prefix, translator)))
            }
        }
    }
}
