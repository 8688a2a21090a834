//! What an operator chooses of the translation.

use std::{net::Ipv4Addr, time::Duration};

use ipnet::Ipv4Net;
use portledger_ports::RealmIndex;
use thiserror::Error;

/// What an operator chooses. [`Config::new`] has the defaults; [`Nat::new`](crate::Nat::new)
/// checks the whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// The ports.
    pub ports: portledger_ports::Config,
    /// Where subscribers are: no packet from elsewhere is translated.
    pub inside: Vec<(RealmIndex, Ipv4Net)>,
    /// Destinations to which, and from which, packets pass untranslated (RFC 6888 REQ-6).
    pub exempt: Vec<Ipv4Net>,
    /// What may come in, by transport: TCP, UDP, ICMP (RFC 7857 §6 lets them differ).
    pub filtering: [Filtering; 3],
    /// How long what lasts.
    pub timers: Timers,
    /// How much there may be.
    pub limits: Limits,
    /// How large packets may be.
    pub mtu: Mtu,
    /// Whether packets from the outside keep UDP and ICMP mappings alive (RFC 4787 REQ-6: MAY).
    pub inbound_refresh: bool,
    /// Whether a TCP connection that is older than the NAT is picked up in its middle, so that
    /// its client soon learns that it is broken.
    pub tcp_pick_up: bool,
    /// Which ICMP error tells of a refused mapping.
    pub icmp_refusal: IcmpRefusal,
    /// ICMP errors of the engine's own a second, at most (RFC 1812 §4.3.2.8).
    pub icmp_rate: u32,
    /// The source of ICMP errors to the inside. Default 192.0.0.8, the dummy address of RFC 7600.
    pub own_address: Ipv4Addr,
}

/// What may come in through a mapping (RFC 4787 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filtering {
    /// Packets from anywhere.
    #[default]
    EndpointIndependent,
    /// Packets from addresses that the inside has sent to.
    AddressDependent,
}

/// Which ICMP error tells of a refused mapping. RFC 5508 REQ-8 asks for code 13, RFC 6888
/// REQ-11 (B) for code 1; the later one is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IcmpRefusal {
    /// Type 3, code 1: host unreachable.
    #[default]
    HostUnreachable,
    /// Type 3, code 13: communication administratively prohibited.
    AdministrativelyProhibited,
    /// None.
    Silent,
}

/// How long what lasts without a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timers {
    /// UDP mappings; at least 120 s, default 300 s (RFC 4787 REQ-5).
    pub udp: Duration,
    /// Shorter times for UDP to well-known ports, 0 to 1023 (RFC 4787 REQ-5a). Default: none.
    pub udp_by_port: Vec<(u16, Duration)>,
    /// Established TCP; at least and by default 7,440 s (RFC 5382 REQ-5).
    pub tcp_established: Duration,
    /// TCP that is opening; default 240 s, may be lower (RFC 7857 §2.1).
    pub tcp_opening: Duration,
    /// TCP that is closing; at least and by default 240 s (RFC 5382 REQ-5).
    pub tcp_closing: Duration,
    /// ICMP queries; at least and by default 60 s (RFC 5508 REQ-2).
    pub icmp: Duration,
    /// Fragments that wait for their first, and what is known of their datagram; at least and by
    /// default 2 s (RFC 6146 §4).
    pub fragment: Duration,
    /// An unsolicited SYN, before it is answered; at least and by default 6 s (RFC 5382 REQ-4).
    pub incoming_syn: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            udp: Duration::from_secs(300),
            udp_by_port: Vec::new(),
            tcp_established: Duration::from_secs(7_440),
            tcp_opening: Duration::from_secs(240),
            tcp_closing: Duration::from_secs(240),
            icmp: Duration::from_secs(60),
            fragment: Duration::from_secs(2),
            incoming_syn: Duration::from_secs(6),
        }
    }
}

/// How much there may be. Memory is set aside for it as it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Mappings. Default 1,048,576.
    pub mappings: u32,
    /// TCP connections beyond the first of their mapping, and peers under address-dependent
    /// filtering. Default 1,048,576.
    pub sessions: u32,
    /// Of these, for one mapping (RFC 6888 REQ-5). Default 1,024.
    pub sessions_per_mapping: u16,
    /// Datagrams whose fragments are followed. Default 4,096.
    pub fragmented: usize,
    /// Bytes of fragments that wait for their first. Default 1 MiB.
    pub fragment_bytes: usize,
    /// Unsolicited SYNs that wait for their answer. Default 256.
    pub incoming_syns: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            mappings: 1 << 20,
            sessions: 1 << 20,
            sessions_per_mapping: 1_024,
            fragmented: 4_096,
            fragment_bytes: 1 << 20,
            incoming_syns: 256,
        }
    }
}

/// The largest packets that the links take, in bytes from the IPv4 header on. A driver whose
/// system looks after that itself leaves them at 65,535, the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mtu {
    /// Towards the inside.
    pub inside: u16,
    /// Towards the outside.
    pub outside: u16,
}

impl Default for Mtu {
    fn default() -> Self {
        Self {
            inside: u16::MAX,
            outside: u16::MAX,
        }
    }
}

/// A configuration that cannot work, with what to change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The ports.
    #[error(transparent)]
    Ports(#[from] portledger_ports::ConfigError),
    /// Nobody to translate for.
    #[error("realm.inside: no prefix; name the prefixes in which subscribers are")]
    NoInside,
    /// Subscribers that are no addresses, in an engine that knows them by address.
    #[error(
        "subscribers: NAT44 knows its subscribers by IPv4 address; use NAT64 or the AFTR for IPv6 prefixes and softwires"
    )]
    NotAddresses,
    /// A prefix of a realm that does not exist.
    #[error("realm.inside: {prefix} belongs to realm number {realm}, which is not configured")]
    UnknownRealm {
        /// The prefix.
        prefix: Ipv4Net,
        /// The realm's number.
        realm: u16,
    },
    /// More realms than the key of a mapping can tell apart.
    #[error("realm: {0} realms; one device translates for at most 16,384")]
    TooManyRealms(usize),
    /// An external address that is also an internal one.
    #[error(
        "realm.inside: {0} holds addresses of the external pool; a packet could not be told inside from outside"
    )]
    PoolInside(Ipv4Net),
    /// A timer below what its RFC asks for.
    #[error("timers.{name}: {} s; {source_text} asks for at least {} s", .given.as_secs_f64(), .least.as_secs_f64())]
    TimerTooShort {
        /// Which timer.
        name: &'static str,
        /// What was given.
        given: Duration,
        /// The least.
        least: Duration,
        /// Who says so.
        source_text: &'static str,
    },
    /// A timer beyond what the wheel counts.
    #[error("timers.{name}: {} s; at most one day can be configured", .given.as_secs_f64())]
    TimerTooLong {
        /// Which timer.
        name: &'static str,
        /// What was given.
        given: Duration,
    },
    /// A shorter UDP timer for a port that may not have one.
    #[error(
        "timers.udp_by_port: {0}; only the well-known ports 0 to 1023 may have a shorter time (RFC 4787 REQ-5a)"
    )]
    UdpPort(u16),
    /// A table without a place, or with more than can be numbered.
    #[error("limits.{name}: {given}; use 1 to {most}")]
    Limit {
        /// Which limit.
        name: &'static str,
        /// What was given.
        given: u64,
        /// The most.
        most: u64,
    },
    /// Smaller than any link of IPv4 may be.
    #[error("nat.{name}_mtu: {given}; IPv4 needs at least 68 (RFC 791)")]
    Mtu {
        /// Which side.
        name: &'static str,
        /// What was given.
        given: u16,
    },
}

const DAY: Duration = Duration::from_secs(86_400);

impl Config {
    /// The defaults, for these ports and subscribers in these prefixes of the first realm.
    pub fn new(ports: portledger_ports::Config, inside: &[Ipv4Net]) -> Self {
        Self {
            ports,
            inside: inside
                .iter()
                .map(|&prefix| (RealmIndex(0), prefix))
                .collect(),
            exempt: Vec::new(),
            filtering: [Filtering::default(); 3],
            timers: Timers::default(),
            limits: Limits::default(),
            mtu: Mtu::default(),
            inbound_refresh: false,
            tcp_pick_up: true,
            icmp_refusal: IcmpRefusal::default(),
            icmp_rate: 100,
            own_address: Ipv4Addr::new(192, 0, 0, 8),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let realms = self.ports.realms.len();
        if realms > 1 << 14 {
            return Err(ConfigError::TooManyRealms(realms));
        }
        for &(realm, prefix) in &self.inside {
            if usize::from(realm.0) >= realms {
                return Err(ConfigError::UnknownRealm {
                    prefix,
                    realm: realm.0,
                });
            }
            let pool = &self.ports.pool;
            let mut external = (0..pool.count()).filter_map(|number| pool.address(number));
            if external.any(|address| prefix.contains(&address)) {
                return Err(ConfigError::PoolInside(prefix));
            }
        }
        self.check_timers()?;
        self.check_limits()
    }

    fn check_timers(&self) -> Result<(), ConfigError> {
        let timers = &self.timers;
        let rules = [
            ("udp", timers.udp, 120, "RFC 4787 REQ-5"),
            (
                "tcp_established",
                timers.tcp_established,
                7_440,
                "RFC 5382 REQ-5",
            ),
            (
                "tcp_opening",
                timers.tcp_opening,
                4,
                "the retransmission of a SYN (RFC 6298)",
            ),
            ("tcp_closing", timers.tcp_closing, 240, "RFC 5382 REQ-5"),
            ("icmp", timers.icmp, 60, "RFC 5508 REQ-2"),
            ("fragment", timers.fragment, 2, "RFC 6146 §4"),
            ("incoming_syn", timers.incoming_syn, 6, "RFC 5382 REQ-4"),
        ];
        for (name, given, least, source_text) in rules {
            let least = Duration::from_secs(least);
            if given < least {
                return Err(ConfigError::TimerTooShort {
                    name,
                    given,
                    least,
                    source_text,
                });
            }
            if given > DAY {
                return Err(ConfigError::TimerTooLong { name, given });
            }
        }
        for &(port, given) in &timers.udp_by_port {
            if port > 1_023 {
                return Err(ConfigError::UdpPort(port));
            }
            let (name, least) = ("udp_by_port", Duration::from_secs(1));
            if given < least {
                return Err(ConfigError::TimerTooShort {
                    name,
                    given,
                    least,
                    source_text: "the NAT's own clock",
                });
            }
            if given > DAY {
                return Err(ConfigError::TimerTooLong { name, given });
            }
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), ConfigError> {
        // Half of the numbers: the index doubles them, and one value means "none".
        const MOST: u32 = 1 << 30;
        for (name, given) in [
            ("mappings", self.limits.mappings),
            ("sessions", self.limits.sessions),
        ] {
            if !(1..=MOST).contains(&given) {
                return Err(ConfigError::Limit {
                    name,
                    given: given.into(),
                    most: MOST.into(),
                });
            }
        }
        for (name, given) in [("inside", self.mtu.inside), ("outside", self.mtu.outside)] {
            if given < 68 {
                return Err(ConfigError::Mtu { name, given });
            }
        }
        Ok(())
    }
}
