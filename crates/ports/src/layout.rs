//! Where blocks lie: from address and port to a block and back, by arithmetic.

use std::net::Ipv4Addr;

use portledger_model::PortRange;

use crate::Pool;

/// The number of a block within the pool, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockIndex(pub u32);

/// Blocks of one size, side by side, the same on every address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    first: u16,
    size: u32,
    count: u32,
    /// The index, within an address, of the first block.
    base: u32,
}

impl Region {
    /// As many blocks of `size` ports as fit into `range`, from its first port on.
    pub fn fill(range: PortRange, size: u32) -> Self {
        Self {
            first: range.first(),
            size,
            count: range.count() / size,
            base: 0,
        }
    }

    /// `count` blocks of `size` ports, from `first` on; as many of them as fit below 65,536.
    pub fn blocks(first: u16, size: u32, count: u32) -> Self {
        let fit = (65_536 - u32::from(first)) / size;
        Self {
            first,
            size,
            count: count.min(fit),
            base: 0,
        }
    }

    /// Ports in a block.
    pub const fn size(self) -> u32 {
        self.size
    }

    /// Blocks on an address.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The block that holds `port`, and the port's offset into it.
    fn find(self, port: u16) -> Option<(u32, u16)> {
        let from_first = u32::from(port).checked_sub(u32::from(self.first))?;
        let (block, offset) = if self.size.is_power_of_two() {
            (
                from_first >> self.size.trailing_zeros(),
                from_first & (self.size - 1),
            )
        } else {
            (from_first / self.size, from_first % self.size)
        };
        (block < self.count).then(|| (block, u16::try_from(offset).unwrap_or(0)))
    }
}

/// Every block of a pool: its addresses times the blocks of its regions.
#[derive(Debug, Clone)]
pub struct Layout {
    pool: Pool,
    regions: Vec<Region>,
    per_address: u32,
}

impl Layout {
    /// The blocks of `regions`, which must not share a port, on each address of `pool`.
    pub fn new(pool: Pool, regions: impl IntoIterator<Item = Region>) -> Self {
        let mut per_address = 0;
        let regions = regions
            .into_iter()
            .map(|region| {
                let based = Region {
                    base: per_address,
                    ..region
                };
                per_address += region.count;
                based
            })
            .collect();
        Self {
            pool,
            regions,
            per_address,
        }
    }

    /// The addresses.
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Blocks on an address.
    pub const fn per_address(&self) -> u32 {
        self.per_address
    }

    /// Blocks in all.
    pub const fn count(&self) -> u32 {
        self.pool.count() * self.per_address
    }

    /// The block that holds `port` of `address`, and the port's offset into it.
    pub fn find(&self, address: Ipv4Addr, port: u16) -> Option<(BlockIndex, u16)> {
        let address = self.pool.number(address)?;
        self.regions.iter().find_map(|region| {
            let (block, offset) = region.find(port)?;
            let index = address * self.per_address + region.base + block;
            Some((BlockIndex(index), offset))
        })
    }

    /// The block of just these ports of `address`, where the layout has it.
    pub fn exact(&self, address: Ipv4Addr, ports: PortRange) -> Option<BlockIndex> {
        let (block, _) = self.find(address, ports.first())?;
        (self.ports(block) == Some(ports)).then_some(block)
    }

    /// Every block that shares a port with `ports` of `address`.
    pub fn overlapping(
        &self,
        address: Ipv4Addr,
        ports: PortRange,
    ) -> impl Iterator<Item = BlockIndex> {
        let number = self.pool.number(address);
        let base = number.map(|number| number * self.per_address);
        base.into_iter().flat_map(move |base| {
            (base..base + self.per_address)
                .map(BlockIndex)
                .filter(move |&block| self.ports(block).is_some_and(|mine| mine.overlaps(ports)))
        })
    }

    /// The number of the address a block is on.
    pub const fn address_number(&self, block: BlockIndex) -> u32 {
        block.0 / self.per_address
    }

    /// The address a block is on.
    pub fn address(&self, block: BlockIndex) -> Option<Ipv4Addr> {
        self.pool.address(self.address_number(block))
    }

    /// A block's ports.
    pub fn ports(&self, block: BlockIndex) -> Option<PortRange> {
        let within = block.0 % self.per_address;
        let region = self.regions.iter().rfind(|region| region.base <= within)?;
        let first = u32::from(region.first) + (within - region.base) * region.size;
        let last = first + region.size - 1;
        PortRange::new(u16::try_from(first).ok()?, u16::try_from(last).ok()?).ok()
    }

    /// Blocks of region `region` on the address with number `address`.
    pub fn region_blocks(&self, address: u32, region: usize) -> std::ops::Range<u32> {
        let region = self.regions[region];
        let base = address * self.per_address + region.base;
        base..base + region.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_port_is_found_in_the_block_that_has_it(shift in 6_u32..=12, first in 0_u16..60_000, size in 1_u32..5_000) {
            let pool = Pool::parse(&["203.0.113.1", "203.0.113.5"]).unwrap();
            let fixed = Region::blocks(first, size, 3);
            let rest = u32::from(first) + fixed.count() * size;
            prop_assume!(rest < 65_000);
            let dynamic = Region::fill(PortRange::new(u16::try_from(rest).unwrap(), 65_535).unwrap(), 1 << shift);
            let layout = Layout::new(pool, [fixed, dynamic]);
            for index in 0..layout.count() {
                let block = BlockIndex(index);
                let (address, ports) = (layout.address(block).unwrap(), layout.ports(block).unwrap());
                prop_assert_eq!(layout.find(address, ports.first()), Some((block, 0)));
                prop_assert_eq!(layout.find(address, ports.last()).map(|(block, _)| block), Some(block));
                prop_assert_eq!(layout.exact(address, ports), Some(block));
                prop_assert_eq!(layout.overlapping(address, ports).collect::<Vec<_>>(), vec![block]);
            }
        }
    }

    #[test]
    fn the_default_range_has_252_blocks_of_256() {
        let range = PortRange::new(1_024, 65_535).unwrap();
        assert_eq!(Region::fill(range, 256).count(), 252);
        // 64,512 is not a multiple of 4,096: what is left over at the end belongs to no block.
        assert_eq!(Region::fill(range, 4_096).count(), 15);
    }
}
