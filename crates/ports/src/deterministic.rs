//! RFC 7422's policy: a range by arithmetic first, then blocks from a dynamic pool.

use std::net::IpAddr;

use portledger_model::{DeterministicRule, PortRange, Timestamp};

use crate::{
    Asker, BlockIndex, BlockPolicy, Config, ConfigError, DeterministicConfig, Inside, Layout,
    RealmIndex, Refusal, Region, RestedBlocks, policy::Supply,
};

/// Gives each subscriber the range that arithmetic says (RFC 7422 §2), and further blocks from
/// the dynamic pool of its address, which are drawn and rested as everywhere.
///
/// A range is one record for good, written at its subscriber's first packet; only the use of the
/// dynamic pool is logged after that. Who has which range is told by [`Config::rule`] as well.
#[derive(Debug)]
pub struct Deterministic {
    rule: DeterministicConfig,
    /// Draws from the dynamic pool; its layout holds the ranges too.
    dynamic: RestedBlocks,
}

/// The regions of the layout.
const RANGES: usize = 0;
const DYNAMIC: usize = 1;

impl Deterministic {
    /// The ranges and the dynamic pool of `config` under `rule`.
    ///
    /// # Errors
    /// When the addresses or the ports do not suffice for the prefix.
    pub fn new(
        config: &Config,
        rule: DeterministicConfig,
        key: [u8; 32],
    ) -> Result<Self, ConfigError> {
        let subscribers = 1_u64 << (32 - rule.inside.prefix_len());
        let addresses = config.pool.count();
        let capacity = u64::from(addresses) * u64::from(rule.compression);
        if subscribers > capacity {
            return Err(ConfigError::DeterministicPool {
                inside: rule.inside,
                subscribers,
                addresses,
                compression: rule.compression,
                capacity,
            });
        }
        let per_subscriber =
            DeterministicRule::ports_for(config.port_range, rule.compression, rule.dynamic);
        if per_subscriber == 0 {
            return Err(ConfigError::DeterministicPorts {
                ports: config.port_range.count(),
                compression: rule.compression,
                dynamic: rule.dynamic,
            });
        }
        let regions = regions(config.port_range, per_subscriber, rule, config.block_size);
        let layout = Layout::new(config.pool.clone(), regions);
        let dynamic = RestedBlocks::new(layout, DYNAMIC, config.pooling, config.guard_time, key);
        Ok(Self { rule, dynamic })
    }

    /// The range of the subscriber at `inside`: sequential assignment (RFC 7422 §2.1's
    /// algorithm "sequential").
    pub fn range(&self, inside: Inside) -> Option<BlockIndex> {
        let IpAddr::V4(subscriber) = inside.address else {
            return None;
        };
        if inside.realm != RealmIndex(0) || !self.rule.inside.contains(&subscriber) {
            return None;
        }
        let number = subscriber.to_bits() - self.rule.inside.network().to_bits();
        let (address, place) = (
            number / self.rule.compression,
            number % self.rule.compression,
        );
        let ranges = self.layout().region_blocks(address, RANGES);
        Some(BlockIndex(ranges.start + place)).filter(|block| ranges.contains(&block.0))
    }

    fn is_range(&self, block: BlockIndex) -> bool {
        let address = self.layout().address_number(block);
        self.layout()
            .region_blocks(address, RANGES)
            .contains(&block.0)
    }
}

/// The ranges, and the dynamic pool behind them up to the end of the ports: the remainder of the
/// division falls to the pool, as in the RFC's example.
fn regions(
    range: PortRange,
    per_subscriber: u32,
    rule: DeterministicConfig,
    block_size: u32,
) -> [Region; 2] {
    let ranges = Region::blocks(range.first(), per_subscriber, rule.compression);
    let dynamic_first = u32::from(range.first()) + per_subscriber * rule.compression;
    let rest = u16::try_from(dynamic_first)
        .ok()
        .filter(|_| rule.dynamic > 0)
        .and_then(|first| PortRange::new(first, range.last()).ok());
    let dynamic = match rest {
        Some(rest) => Region::fill(rest, block_size),
        None => Region::blocks(u16::MAX, block_size, 0),
    };
    [ranges, dynamic]
}

impl BlockPolicy for Deterministic {
    fn layout(&self) -> &Layout {
        self.dynamic.layout()
    }

    fn draw(&mut self, now: Timestamp, asker: Asker<'_>) -> Result<BlockIndex, Refusal> {
        let range = self.range(asker.inside).ok_or(Refusal::NotInRule)?;
        if asker.held.contains(&range) {
            self.dynamic.draw(now, asker)
        } else {
            Ok(range)
        }
    }

    /// A range belongs to its subscriber alone, so it needs no rest (RFC 6888 REQ-8 (B)).
    fn give_back(&mut self, since: Timestamp, block: BlockIndex) {
        if !self.is_range(block) {
            self.dynamic.give_back(since, block);
        }
    }

    fn resting_since(&self, block: BlockIndex) -> Option<Timestamp> {
        self.dynamic.resting_since(block)
    }

    fn claim(&mut self, block: BlockIndex) -> bool {
        self.is_range(block) || self.dynamic.claim(block)
    }

    fn may_hold(&self, inside: Inside, block: BlockIndex) -> bool {
        !self.is_range(block) || self.range(inside) == Some(block)
    }

    fn reserve(&mut self, block: BlockIndex) {
        self.dynamic.reserve(block);
    }

    fn keeps(&self, block: BlockIndex) -> bool {
        self.is_range(block)
    }

    fn supply(&mut self, now: Timestamp) -> Supply {
        self.dynamic.supply(now)
    }
}

#[cfg(test)]
mod tests {
    use portledger_model::Sharing;

    use super::*;
    use crate::Pool;

    fn deterministic(
        inside: &str,
        outside: &[&str],
        compression: u32,
        dynamic: u32,
    ) -> Deterministic {
        let config = Config::new(Pool::parse(outside).unwrap());
        let rule = DeterministicConfig {
            inside: inside.parse().unwrap(),
            compression,
            dynamic,
        };
        Deterministic::new(&config, rule, [1; 32]).unwrap()
    }

    fn range(policy: &Deterministic, inside: &str) -> (String, u16, u16) {
        let inside = Inside {
            realm: RealmIndex(0),
            address: inside.parse().unwrap(),
        };
        let block = policy.range(inside).unwrap();
        let ports = policy.layout().ports(block).unwrap();
        (
            policy.layout().address(block).unwrap().to_string(),
            ports.first(),
            ports.last(),
        )
    }

    /// RFC 7422's worked example: I = 198.51.100.0/28, O = 192.0.2.1, C = 16, D = 2, R = 0-1023.
    #[test]
    fn rfc_7422_example() {
        let policy = deterministic("198.51.100.0/28", &["192.0.2.1"], 16, 2);
        let outside = "192.0.2.1".to_owned();
        assert_eq!(
            range(&policy, "198.51.100.0"),
            (outside.clone(), 1_024, 4_607)
        );
        assert_eq!(
            range(&policy, "198.51.100.1"),
            (outside.clone(), 4_608, 8_191)
        );
        assert_eq!(range(&policy, "198.51.100.15"), (outside, 54_784, 58_367));
        let pool = policy.layout().region_blocks(0, DYNAMIC);
        let (first, last) = (BlockIndex(pool.start), BlockIndex(pool.end - 1));
        assert_eq!(policy.layout().ports(first).unwrap().first(), 58_368);
        assert_eq!(policy.layout().ports(last).unwrap().last(), 65_535);
    }

    /// The ladder of ratios without a dynamic pool: ports = floor(64512 / ratio).
    #[test]
    fn ports_by_compression_ratio() {
        for (ratio, ports) in [
            (1_024, 63),
            (512, 126),
            (256, 252),
            (128, 504),
            (64, 1_008),
            (32, 2_016),
            (16, 4_032),
        ] {
            let policy = deterministic(
                "10.0.0.0/16",
                &["198.51.100.0/24", "192.0.2.0/24", "203.0.112.0/20"],
                ratio,
                0,
            );
            let (_, first, last) = range(&policy, "10.0.0.1");
            assert_eq!(last - first + 1, ports, "{ratio}:1");
            assert_eq!(u32::from(first), 1_024 + u32::from(ports));
        }
    }

    #[test]
    fn the_next_address_follows_when_one_is_full() {
        let policy = deterministic("10.0.0.0/27", &["192.0.2.1", "192.0.2.9"], 16, 0);
        assert_eq!(range(&policy, "10.0.0.15").0, "192.0.2.1");
        assert_eq!(
            range(&policy, "10.0.0.16"),
            ("192.0.2.9".into(), 1_024, 5_055)
        );
    }

    /// What the ledger is told is what is handed out.
    #[test]
    fn the_rule_says_of_every_subscriber_what_the_policy_gives() {
        for (compression, dynamic, rest) in [(16, 2, true), (100, 0, false), (1, 0, false)] {
            let mut config =
                Config::new(Pool::parse(&["192.0.2.7-192.0.2.90", "192.0.3.0/24"]).unwrap());
            let deterministic = DeterministicConfig {
                inside: "10.0.0.0/24".parse().unwrap(),
                compression,
                dynamic,
            };
            config.deterministic = Some(deterministic);
            let policy = Deterministic::new(&config, deterministic, [1; 32]).unwrap();
            let rule = config.rule().unwrap();
            assert_eq!(rule.realm, config.realms[0]);
            let Sharing::Deterministic(rule) = rule.sharing else {
                panic!("another kind");
            };
            assert_eq!(rule.rest().is_some(), rest);
            for host in 0..=255 {
                let inside = std::net::Ipv4Addr::new(10, 0, 0, host);
                let (outside, first, last) = range(&policy, &inside.to_string());
                let told = rule.of_inside(inside).unwrap();
                assert_eq!(
                    (
                        told.outside.to_string(),
                        told.ports.first(),
                        told.ports.last()
                    ),
                    (outside, first, last)
                );
            }
        }
    }

    #[test]
    fn too_few_addresses_are_refused_with_the_arithmetic() {
        let config = Config::new(Pool::parse(&["192.0.2.1"]).unwrap());
        let rule = DeterministicConfig {
            inside: "10.0.0.0/24".parse().unwrap(),
            compression: 16,
            dynamic: 0,
        };
        let message = Deterministic::new(&config, rule, [1; 32])
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("256 addresses") && message.contains("serve 16"),
            "{message}"
        );
    }
}
