//! What an operator chooses, and what cannot be chosen.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use ipnet::Ipv4Net;
use portledger_model::{
    AddressRanges, DETERMINISTIC_RULE, DeterministicRule, MAX_RULE_RANGES, PortRange, Realm, Rule,
    RuleName, Sharing, Transport,
};
use thiserror::Error;

use crate::{Pool, PoolError, RealmIndex, SubscriberKind};

/// RFC 6888 REQ-8: a port that was given back rests for at least 120 s.
pub const MIN_GUARD_TIME: Duration = Duration::from_secs(120);

/// What an operator chooses. [`Config::new`] has the defaults; `Ports::new` checks the whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// The external addresses.
    pub pool: Pool,
    /// The realms, in the order of [`RealmIndex`]. Default: one, named `default`.
    pub realms: Vec<Realm>,
    /// What counts as one subscriber. Default: an IPv4 address.
    pub subscribers: SubscriberKind,
    /// The ports that are shared out. Default 1024-65535.
    pub port_range: PortRange,
    /// Ports in a block: a power of two, 64 to 4096. Default 256.
    pub block_size: u32,
    /// Whether a subscriber's blocks stay on one address.
    pub pooling: Pooling,
    /// How long a block rests between two holders. Default and least 120 s (RFC 6888 REQ-8).
    pub guard_time: Duration,
    /// How long a block stays with its holder after its last mapping has gone. Default 120 s.
    pub block_idle: Duration,
    /// What one subscriber may hold.
    pub limits: Limits,
    /// Percentages of the pool's use at which events tell: (high, low). Default 90 and 80.
    pub thresholds: (u8, u8),
    /// Keep even ports even and odd ones odd (RFC 4787 REQ-4; RFC 7857 §8 lets it go).
    pub preserve_parity: bool,
    /// Ports forwarded for good, outside the dynamic blocks.
    pub static_mappings: Vec<StaticMapping>,
    /// How far this device's clock may be off, either way. Default 100 ms.
    pub device_clock_error: Duration,
    /// How far the clocks of the servers whose logs are traced may be off. Default 5 s.
    pub server_clock_error: Duration,
    /// Computed instead of drawn blocks (RFC 7422).
    pub deterministic: Option<DeterministicConfig>,
}

/// Whether a subscriber's blocks stay on one external address (RFC 4787 REQ-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooling {
    /// On one address while that has a rested block, then on another as well.
    #[default]
    Paired,
    /// On one address; when that has none, the subscriber is refused.
    PairedStrict,
    /// On any address.
    Arbitrary,
}

/// What one subscriber may hold (RFC 6888 REQ-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Blocks at once, 1 to 64. Default 8.
    pub blocks: u32,
    /// Ports at once, by transport (RFC 6888 REQ-4B). Default: as many as its blocks have.
    pub ports: [Option<u32>; 3],
    /// New mappings a second (RFC 6888 REQ-4C). Default: no limit.
    pub rate: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            blocks: 8,
            ports: [None; 3],
            rate: None,
        }
    }
}

/// A port forwarded for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticMapping {
    /// The realm of the internal address.
    pub realm: RealmIndex,
    /// The internal address, in the family of [`Config::subscribers`]: the end of its softwire
    /// for a host behind one.
    pub internal: IpAddr,
    /// The host's IPv4 address behind a softwire, and nowhere else.
    pub behind: Option<Ipv4Addr>,
    /// The internal port.
    pub internal_port: u16,
    /// The external address, one of the pool's.
    pub external: Ipv4Addr,
    /// The external port.
    pub external_port: u16,
    /// The transport.
    pub transport: Transport,
}

/// The inputs of RFC 7422 §2, other than those that [`Config`] has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeterministicConfig {
    /// I: the inside prefix, in the first realm.
    pub inside: Ipv4Net,
    /// C: subscribers on one external address.
    pub compression: u32,
    /// D: the dynamic pool on each address, in shares of one subscriber. 0 for none.
    pub dynamic: u32,
}

/// A configuration that cannot work, with what to change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The pool.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The block size.
    #[error("blocks.size: {0} ports; use a power of two from 64 to 4096")]
    BlockSize(u32),
    /// The port range.
    #[error(
        "ports.range: {range} holds no whole block of {size} ports; widen it or use a smaller blocks.size"
    )]
    RangeTooSmall {
        /// The range.
        range: PortRange,
        /// The block size.
        size: u32,
    },
    /// Port 0 is no port.
    #[error(
        "ports.range: {0} begins at 0, which is no port to send from; begin at 1 or higher, usually 1024"
    )]
    RangeHasZero(PortRange),
    /// Blocks per subscriber.
    #[error("limits.blocks: {0} blocks for one subscriber; use 1 to 64")]
    BlockLimit(u32),
    /// A limit that lets nothing through.
    #[error("limits.{0}: 0 would let nothing through; leave it out for no limit")]
    ZeroLimit(&'static str),
    /// Less than RFC 6888 asks for.
    #[error("blocks.guard_time: {} s; RFC 6888 REQ-8 asks for at least 120 s between two holders of a port", .0.as_secs_f64())]
    GuardTooShort(Duration),
    /// Too short for the clocks.
    #[error(
        "blocks.guard_time: {guard} s is too short for the declared clock errors: a sighting may be off by {device} s (clocks.device) + {server} s (clocks.servers) = {sum} s either way, so two holders of a port must be more than 2 x {sum} s = {needed} s apart, or an answer may name the wrong one; raise blocks.guard_time above {needed} s or declare better clocks",
        guard = .guard_time.as_secs_f64(),
        device = .device_error.as_secs_f64(),
        server = .server_error.as_secs_f64(),
        sum = (*.device_error + *.server_error).as_secs_f64(),
        needed = (2 * (*.device_error + *.server_error)).as_secs_f64(),
    )]
    GuardTooShortForClocks {
        /// The guard time.
        guard_time: Duration,
        /// The device's clock error.
        device_error: Duration,
        /// The servers' clock error.
        server_error: Duration,
    },
    /// A clock error longer than any use of the clock.
    #[error("clocks: an error of a day or more cannot be worked with")]
    ClockError,
    /// Thresholds out of order.
    #[error(
        "pool.thresholds: high {high} % and low {low} %; they must be 1 to 100 and low below high"
    )]
    Thresholds {
        /// The high-water mark.
        high: u8,
        /// The low-water mark.
        low: u8,
    },
    /// No realm, or too many.
    #[error("realm: {0} realms; configure 1 to 65,536")]
    Realms(usize),
    /// Two realms of one name.
    #[error("realm: '{0}' is there twice")]
    RealmTwice(Realm),
    /// A static mapping to an address that is not the pool's.
    #[error("static mapping to {external}:{port}: the address is not in the pool")]
    StaticOutsidePool {
        /// The external address.
        external: Ipv4Addr,
        /// The external port.
        port: u16,
    },
    /// Two static mappings of one external port, or one of port 0.
    #[error("static mapping to {external}:{port} ({transport}): the port is 0 or mapped already")]
    StaticPort {
        /// The external address.
        external: Ipv4Addr,
        /// The external port.
        port: u16,
        /// The transport.
        transport: Transport,
    },
    /// Two static mappings of one internal endpoint.
    #[error(
        "static mapping to {external}:{port}: the internal endpoint is mapped already, and its answers could leave from one external port only; map another internal port"
    )]
    StaticInternal {
        /// The external address.
        external: Ipv4Addr,
        /// The external port.
        port: u16,
    },
    /// A static mapping for a realm that does not exist.
    #[error("static mapping to {external}:{port}: realm number {realm} is not configured")]
    StaticRealm {
        /// The external address.
        external: Ipv4Addr,
        /// The external port.
        port: u16,
        /// The realm's number.
        realm: u16,
    },
    /// A static mapping to what is no subscriber's.
    #[error(
        "static mapping to {external}:{port}: the internal end is not of the subscribers' kind; give an IPv4 address for NAT44, an IPv6 address for NAT64, a softwire's IPv6 address and the IPv4 address behind it for DS-Lite"
    )]
    StaticFamily {
        /// The external address.
        external: Ipv4Addr,
        /// The external port.
        port: u16,
    },
    /// A prefix that IPv6 does not have.
    #[error("subscribers: a prefix of /{0}; use a length of 1 to 128")]
    PrefixLength(u8),
    /// Ranges are computed from IPv4 addresses.
    #[error(
        "deterministic: its ranges are computed from IPv4 addresses, and here a subscriber is an IPv6 prefix; draw blocks instead"
    )]
    DeterministicPrefix,
    /// More subscribers than the addresses can hold.
    #[error(
        "deterministic: {inside} has {subscribers} addresses, but {addresses} external addresses at {compression} subscribers each serve {capacity}; add external addresses or raise deterministic.compression"
    )]
    DeterministicPool {
        /// The inside prefix.
        inside: Ipv4Net,
        /// Addresses in it.
        subscribers: u64,
        /// External addresses.
        addresses: u32,
        /// Subscribers on each.
        compression: u32,
        /// Subscribers on all.
        capacity: u64,
    },
    /// No port for each.
    #[error(
        "deterministic: {ports} ports on an address / ({compression} subscribers + {dynamic} shares for the dynamic pool) leaves no port for each; lower deterministic.compression"
    )]
    DeterministicPorts {
        /// Ports on an address.
        ports: u32,
        /// Subscribers on an address.
        compression: u32,
        /// Shares of the dynamic pool.
        dynamic: u32,
    },
    /// A static mapping inside computed ranges.
    #[error(
        "static mapping to {external}:{port}: the port is inside a deterministic range; use one outside ports.range"
    )]
    StaticInDeterministic {
        /// The external address.
        external: Ipv4Addr,
        /// The external port.
        port: u16,
    },
}

impl Config {
    /// Who has which range without being asked, for the ledger; `None` where blocks are drawn, or
    /// the pool has more ranges of addresses than one record can tell of: then each subscriber's
    /// range is in a record of its own only.
    pub fn rule(&self) -> Option<Rule> {
        let rule = self.deterministic?;
        let outside: Vec<_> = self.pool.ranges().collect();
        if outside.len() > MAX_RULE_RANGES {
            return None;
        }
        let outside = AddressRanges::new(outside).ok()?;
        let (ports, compression) = (self.port_range, rule.compression);
        let each = DeterministicRule::ports_for(ports, compression, rule.dynamic);
        let told = DeterministicRule::new(rule.inside, outside, ports, compression, each).ok()?;
        Some(Rule {
            name: RuleName::new(DETERMINISTIC_RULE).ok()?,
            realm: self.realms.first()?.clone(),
            sharing: Sharing::Deterministic(match rule.dynamic {
                0 => told.without_rest(),
                _ => told,
            }),
        })
    }

    /// The defaults, for `pool`.
    pub fn new(pool: Pool) -> Self {
        Self {
            pool,
            realms: vec![Realm::default()],
            subscribers: SubscriberKind::default(),
            port_range: PortRange::new(1_024, u16::MAX).unwrap_or(PortRange::single(u16::MAX)),
            block_size: 256,
            pooling: Pooling::default(),
            guard_time: MIN_GUARD_TIME,
            block_idle: Duration::from_secs(120),
            limits: Limits::default(),
            thresholds: (90, 80),
            preserve_parity: false,
            static_mappings: Vec::new(),
            device_clock_error: Duration::from_millis(100),
            server_clock_error: Duration::from_secs(5),
            deterministic: None,
        }
    }

    /// Everything that can be told wrong without building anything.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !self.block_size.is_power_of_two() || !(64..=4_096).contains(&self.block_size) {
            return Err(ConfigError::BlockSize(self.block_size));
        }
        if self.port_range.first() == 0 {
            return Err(ConfigError::RangeHasZero(self.port_range));
        }
        if self.port_range.count() < self.block_size {
            return Err(ConfigError::RangeTooSmall {
                range: self.port_range,
                size: self.block_size,
            });
        }
        let (high, low) = self.thresholds;
        if !(1..=100).contains(&high) || low >= high {
            return Err(ConfigError::Thresholds { high, low });
        }
        self.check_limits()?;
        self.check_subscribers()?;
        self.check_guard_time()?;
        self.check_realms()?;
        self.check_static_mappings()
    }

    fn check_limits(&self) -> Result<(), ConfigError> {
        if !(1..=64).contains(&self.limits.blocks) {
            return Err(ConfigError::BlockLimit(self.limits.blocks));
        }
        if self.limits.rate == Some(0) {
            return Err(ConfigError::ZeroLimit("rate"));
        }
        let names = ["tcp_ports", "udp_ports", "icmp_identifiers"];
        for (name, limit) in names.into_iter().zip(self.limits.ports) {
            if limit == Some(0) {
                return Err(ConfigError::ZeroLimit(name));
            }
        }
        Ok(())
    }

    fn check_subscribers(&self) -> Result<(), ConfigError> {
        match self.subscribers {
            SubscriberKind::Address => Ok(()),
            SubscriberKind::Prefix(length) | SubscriberKind::Softwire(length)
                if !(1..=128).contains(&length) =>
            {
                Err(ConfigError::PrefixLength(length))
            }
            _ if self.deterministic.is_some() => Err(ConfigError::DeterministicPrefix),
            _ => Ok(()),
        }
    }

    /// Two holders of a block are `guard_time` apart by the device's clock. A sighting of the
    /// first may be logged up to `e` late and one of the second up to `e` early, where `e` is the
    /// sum of both clocks' errors, so that their windows meet unless the guard time exceeds `2e`
    /// (RFC 7768 §2: the guard time also buys tolerance of clock skew).
    fn check_guard_time(&self) -> Result<(), ConfigError> {
        if self.guard_time < MIN_GUARD_TIME {
            return Err(ConfigError::GuardTooShort(self.guard_time));
        }
        let (device_error, server_error) = (self.device_clock_error, self.server_clock_error);
        if device_error.max(server_error) >= Duration::from_secs(86_400) {
            return Err(ConfigError::ClockError);
        }
        if self.guard_time <= 2 * (device_error + server_error) {
            return Err(ConfigError::GuardTooShortForClocks {
                guard_time: self.guard_time,
                device_error,
                server_error,
            });
        }
        Ok(())
    }

    fn check_realms(&self) -> Result<(), ConfigError> {
        if self.realms.is_empty() || self.realms.len() > 1 << 16 {
            return Err(ConfigError::Realms(self.realms.len()));
        }
        for (place, realm) in self.realms.iter().enumerate() {
            if self.realms[..place].contains(realm) {
                return Err(ConfigError::RealmTwice(realm.clone()));
            }
        }
        Ok(())
    }

    fn check_static_mappings(&self) -> Result<(), ConfigError> {
        for (place, mapping) in self.static_mappings.iter().enumerate() {
            let &StaticMapping {
                realm,
                external,
                external_port: port,
                transport,
                ..
            } = mapping;
            if self.pool.number(external).is_none() {
                return Err(ConfigError::StaticOutsidePool { external, port });
            }
            if usize::from(realm.0) >= self.realms.len() {
                return Err(ConfigError::StaticRealm {
                    external,
                    port,
                    realm: realm.0,
                });
            }
            let is_softwire = matches!(self.subscribers, SubscriberKind::Softwire(_));
            if self.subscribers.subscriber(mapping.internal).is_none()
                || mapping.behind.is_some() != is_softwire
            {
                return Err(ConfigError::StaticFamily { external, port });
            }
            let same = |other: &StaticMapping| {
                (other.external, other.external_port, other.transport)
                    == (external, port, transport)
            };
            if port == 0 || self.static_mappings[..place].iter().any(same) {
                return Err(ConfigError::StaticPort {
                    external,
                    port,
                    transport,
                });
            }
            let same_internal = |other: &StaticMapping| {
                let end = |of: &StaticMapping| {
                    let port = (of.internal_port, of.transport);
                    (of.realm, of.internal, of.behind, port)
                };
                end(other) == end(mapping)
            };
            // Endpoint-independent mapping: what it sends can leave from one of them only.
            if self.static_mappings[..place].iter().any(same_internal) {
                return Err(ConfigError::StaticInternal { external, port });
            }
            if self.deterministic.is_some() && self.port_range.contains(port) {
                return Err(ConfigError::StaticInDeterministic { external, port });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(Pool::parse(&["203.0.113.0/29"]).unwrap())
    }

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(config().check(), Ok(()));
    }

    #[test]
    fn a_guard_time_too_short_for_the_clocks_shows_its_arithmetic() {
        let config = Config {
            server_clock_error: Duration::from_secs(65),
            device_clock_error: Duration::from_secs(5),
            ..config()
        };
        let message = config.check().unwrap_err().to_string();
        assert!(
            message.contains("5 s (clocks.device) + 65 s (clocks.servers) = 70 s"),
            "{message}"
        );
        assert!(message.contains("2 x 70 s = 140 s"), "{message}");
    }

    #[test]
    fn impossible_choices_are_refused() {
        let refused = |change: fn(&mut Config)| {
            let mut config = config();
            change(&mut config);
            config.check().unwrap_err()
        };
        assert!(matches!(
            refused(|c| c.block_size = 100),
            ConfigError::BlockSize(100)
        ));
        assert!(matches!(
            refused(|c| c.block_size = 32),
            ConfigError::BlockSize(32)
        ));
        assert!(matches!(
            refused(|c| c.block_size = 8_192),
            ConfigError::BlockSize(_)
        ));
        assert!(matches!(
            refused(|c| c.limits.blocks = 65),
            ConfigError::BlockLimit(65)
        ));
        assert!(matches!(
            refused(|c| c.limits.rate = Some(0)),
            ConfigError::ZeroLimit(_)
        ));
        assert!(matches!(
            refused(|c| c.guard_time = Duration::from_secs(119)),
            ConfigError::GuardTooShort(_)
        ));
        assert!(matches!(
            refused(|c| c.port_range = PortRange::new(1_024, 1_100).unwrap()),
            ConfigError::RangeTooSmall { .. }
        ));
        assert!(matches!(
            refused(|c| c.thresholds = (80, 80)),
            ConfigError::Thresholds { .. }
        ));
        assert!(matches!(
            refused(|c| c.realms = vec![Realm::default(), Realm::default()]),
            ConfigError::RealmTwice(_)
        ));
    }
}
