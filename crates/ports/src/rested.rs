//! RFC 7768's policy: a random block among those that have rested for the guard time.

use std::{collections::VecDeque, time::Duration};

use portledger_model::Timestamp;

use crate::{Asker, BlockIndex, BlockPolicy, Layout, Pooling, Refusal, draw::Draw, policy::Supply};

/// Draws at random among the blocks that have rested for the guard time (RFC 7768 §2).
///
/// ```text
///   rested:  one bag of blocks an address, and a tree of the bags' sizes to draw over all
///   resting: a queue by end of rest; what has rested moves to its bag
/// ```
#[derive(Debug)]
pub struct RestedBlocks {
    layout: Layout,
    /// The region of the layout that is drawn from.
    region: usize,
    pooling: Pooling,
    guard_time: Duration,
    rested: Vec<Vec<u32>>,
    sizes: SizeTree,
    resting: VecDeque<(Timestamp, BlockIndex)>,
    total: u32,
    draw: Draw,
}

impl RestedBlocks {
    /// All blocks of `layout`'s region number `region`, rested.
    pub fn new(
        layout: Layout,
        region: usize,
        pooling: Pooling,
        guard_time: Duration,
        key: [u8; 32],
    ) -> Self {
        let addresses = layout.pool().count();
        let rested: Vec<Vec<u32>> = (0..addresses)
            .map(|n| layout.region_blocks(n, region).collect())
            .collect();
        let sizes = SizeTree::new(rested.iter().map(|bag| count(bag)));
        let total = sizes.total();
        Self {
            layout,
            region,
            pooling,
            guard_time,
            rested,
            sizes,
            resting: VecDeque::new(),
            total,
            draw: Draw::new(key),
        }
    }

    fn is_mine(&self, block: BlockIndex) -> bool {
        self.layout
            .region_blocks(self.layout.address_number(block), self.region)
            .contains(&block.0)
    }

    /// Moves what has rested for the guard time to where it can be drawn.
    fn settle(&mut self, now: Timestamp) {
        while let Some(&(rested_at, block)) = self.resting.front()
            && rested_at <= now
        {
            self.resting.pop_front();
            let address = self.layout.address_number(block);
            self.rested[address as usize].push(block.0);
            self.sizes.add(address, 1);
        }
    }

    fn draw_from(&mut self, address: u32) -> Option<BlockIndex> {
        let size = count(&self.rested[address as usize]);
        if size == 0 {
            return None;
        }
        let pick = self.draw.below(size);
        self.sizes.add(address, -1);
        Some(BlockIndex(
            self.rested[address as usize].swap_remove(pick as usize),
        ))
    }

    fn remove_rested(&mut self, block: BlockIndex) -> bool {
        let address = self.layout.address_number(block);
        let bag = &mut self.rested[address as usize];
        let Some(place) = bag.iter().position(|&other| other == block.0) else {
            return false;
        };
        bag.swap_remove(place);
        self.sizes.add(address, -1);
        true
    }
}

impl BlockPolicy for RestedBlocks {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn draw(&mut self, now: Timestamp, asker: Asker<'_>) -> Result<BlockIndex, Refusal> {
        self.settle(now);
        if self.pooling != Pooling::Arbitrary {
            // RFC 4787 REQ-2, RFC 6888 REQ-2: all of a subscriber's ports on one address.
            for &held in asker.held {
                if let Some(block) = self.draw_from(self.layout.address_number(held)) {
                    return Ok(block);
                }
            }
            if self.pooling == Pooling::PairedStrict && !asker.held.is_empty() {
                return Err(Refusal::AddressFull);
            }
        }
        if self.sizes.total() == 0 {
            return Err(Refusal::PoolExhausted);
        }
        let pick = self.draw.below(self.sizes.total());
        let address = self.sizes.holder(pick);
        self.draw_from(address).ok_or(Refusal::PoolExhausted)
    }

    fn give_back(&mut self, since: Timestamp, block: BlockIndex) {
        let rested_at = since.after(self.guard_time);
        // In order of the end of rest; only a restart gives back out of order.
        let place = self
            .resting
            .partition_point(|&(other, _)| other <= rested_at);
        self.resting.insert(place, (rested_at, block));
    }

    fn resting_since(&self, block: BlockIndex) -> Option<Timestamp> {
        let &(rested_at, _) = self.resting.iter().find(|&&(_, other)| other == block)?;
        Some(rested_at.before(self.guard_time))
    }

    fn claim(&mut self, block: BlockIndex) -> bool {
        if !self.is_mine(block) {
            return false;
        }
        if self.remove_rested(block) {
            return true;
        }
        let Some(place) = self.resting.iter().position(|&(_, other)| other == block) else {
            return false;
        };
        self.resting.remove(place);
        true
    }

    fn reserve(&mut self, block: BlockIndex) {
        if self.claim(block) {
            self.total -= 1;
        }
    }

    fn supply(&mut self, now: Timestamp) -> Supply {
        self.settle(now);
        Supply {
            total: self.total,
            rested: self.sizes.total(),
            resting: u32::try_from(self.resting.len()).unwrap_or(u32::MAX),
        }
    }
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

/// Sizes of numbered bags, with their running sums (a Fenwick tree): finds the bag of the n-th
/// item of all in logarithmic time.
#[derive(Debug)]
struct SizeTree {
    sums: Vec<u32>,
    total: u32,
}

impl SizeTree {
    fn new(sizes: impl ExactSizeIterator<Item = u32>) -> Self {
        let mut tree = Self {
            sums: vec![0; sizes.len() + 1],
            total: 0,
        };
        for (bag, size) in (0_u32..).zip(sizes) {
            tree.add(bag, i64::from(size));
        }
        tree
    }

    const fn total(&self) -> u32 {
        self.total
    }

    fn add(&mut self, bag: u32, change: i64) {
        let apply = |value: u32| u32::try_from(i64::from(value) + change).unwrap_or(0);
        self.total = apply(self.total);
        let mut node = bag as usize + 1;
        while node < self.sums.len() {
            self.sums[node] = apply(self.sums[node]);
            node += node & node.wrapping_neg();
        }
    }

    /// The bag that holds item `item` (from 0, below the total).
    fn holder(&self, item: u32) -> u32 {
        let (mut node, mut left) = (0, item);
        let mut step = self.sums.len().next_power_of_two();
        while step > 0 {
            if let Some(&sum) = self.sums.get(node + step)
                && sum <= left
            {
                node += step;
                left -= sum;
            }
            step /= 2;
        }
        u32::try_from(node).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Inside, Pool, RealmIndex, Region};
    use portledger_model::PortRange;
    use proptest::prelude::*;

    fn asker(held: &[BlockIndex]) -> Asker<'_> {
        Asker {
            inside: Inside {
                realm: RealmIndex(0),
                address: [100, 64, 0, 1].into(),
            },
            held,
        }
    }

    fn blocks(addresses: &str, pooling: Pooling) -> RestedBlocks {
        let layout = Layout::new(
            Pool::parse(&[addresses]).unwrap(),
            [Region::fill(PortRange::new(1_024, 2_047).unwrap(), 256)],
        );
        RestedBlocks::new(layout, 0, pooling, Duration::from_secs(120), [1; 32])
    }

    fn secs(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_block_is_not_drawn_again_before_its_guard_time() {
        let mut policy = blocks("203.0.113.1", Pooling::Paired);
        let drawn: Vec<_> = (0..4)
            .map(|_| policy.draw(secs(0), asker(&[])).unwrap())
            .collect();
        policy.give_back(secs(10), drawn[2]);
        assert_eq!(
            policy.draw(secs(129), asker(&[])),
            Err(Refusal::PoolExhausted)
        );
        assert_eq!(policy.draw(secs(130), asker(&[])), Ok(drawn[2]));
    }

    #[test]
    fn paired_moves_on_only_when_the_address_is_full() {
        let mut policy = blocks("203.0.113.0/30", Pooling::Paired);
        let mut held = vec![policy.draw(secs(0), asker(&[])).unwrap()];
        for _ in 0..4 {
            held.push(policy.draw(secs(0), asker(&held)).unwrap());
        }
        let address = |n: usize| policy.layout().address_number(held[n]);
        assert!((1..4).all(|n| address(n) == address(0)));
        assert_ne!(address(4), address(0));
    }

    #[test]
    fn strictly_paired_refuses_instead() {
        let mut policy = blocks("203.0.113.0/30", Pooling::PairedStrict);
        let mut held = vec![policy.draw(secs(0), asker(&[])).unwrap()];
        for _ in 0..3 {
            held.push(policy.draw(secs(0), asker(&held)).unwrap());
        }
        assert_eq!(
            policy.draw(secs(0), asker(&held)),
            Err(Refusal::AddressFull)
        );
    }

    /// The next block must not be guessable from the last one, as `hint + 1` would be.
    #[test]
    fn the_first_draws_are_spread_over_the_pool() {
        let layout = Layout::new(
            Pool::parse(&["203.0.113.0/28"]).unwrap(),
            [Region::fill(PortRange::new(1_024, 65_535).unwrap(), 256)],
        );
        let mut policy = RestedBlocks::new(layout, 0, Pooling::Paired, Duration::ZERO, [9; 32]);
        let drawn: Vec<u32> = (0..400)
            .map(|_| policy.draw(secs(0), asker(&[])).unwrap().0)
            .collect();
        let neighbours = drawn
            .windows(2)
            .filter(|w| w[0].abs_diff(w[1]) <= 1)
            .count();
        assert!(
            neighbours <= 5,
            "{neighbours} of 399 draws were next to the one before"
        );
        let halves = drawn.iter().filter(|&&block| block < 2_016).count();
        assert!(
            (150..250).contains(&halves),
            "{halves} of 400 in the lower half"
        );
    }

    proptest! {
        /// Whatever is drawn, given back and claimed: nobody gets a block that somebody has, or
        /// that was given back less than the guard time ago.
        #[test]
        fn no_block_is_drawn_twice_or_early(steps in prop::collection::vec((0_u8..4, 0_usize..16, 0_i64..90), 1..200)) {
            let mut policy = blocks("203.0.113.0/30", Pooling::Arbitrary);
            let mut now = 0;
            let mut held: Vec<BlockIndex> = Vec::new();
            let mut released: std::collections::HashMap<BlockIndex, i64> = Default::default();
            for (step, pick, wait) in steps {
                now += wait;
                match step {
                    0 | 1 => {
                        if let Ok(block) = policy.draw(secs(now), asker(&[])) {
                            prop_assert!(!held.contains(&block));
                            if let Some(at) = released.get(&block) {
                                prop_assert!(now - at >= 120, "rested {} s", now - at);
                            }
                            held.push(block);
                        } else {
                            let resting = released.iter().filter(|(b, at)| !held.contains(b) && now - **at < 120).count();
                            prop_assert_eq!(held.len() + resting, 16, "refused though a block has rested");
                        }
                    }
                    2 if !held.is_empty() => {
                        let block = held.swap_remove(pick % held.len());
                        policy.give_back(secs(now), block);
                        released.insert(block, now);
                    }
                    _ => {
                        let block = BlockIndex(u32::try_from(pick).unwrap());
                        prop_assert_eq!(policy.claim(block), !held.contains(&block));
                        if !held.contains(&block) { held.push(block); }
                    }
                }
                let supply = policy.supply(secs(now));
                prop_assert_eq!(supply.rested + supply.resting + u32::try_from(held.len()).unwrap(), supply.total);
            }
        }
    }
}
