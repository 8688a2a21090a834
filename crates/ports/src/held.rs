//! Blocks in somebody's hands: which of their ports are in use, and what for.

use portledger_model::{Timestamp, Transport};

use crate::{BlockIndex, EventNumber, draw::Draw, subscriber::SubscriberIndex};

/// What the caller keeps on a port it has opened. All but [`Handle::NONE`] are the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle(pub u32);

impl Handle {
    /// The one value that is not a handle: a port nobody has opened.
    pub const NONE: Self = Self(u32::MAX);
}

/// A block in somebody's hands.
#[derive(Debug)]
pub(crate) struct HeldBlock {
    pub(crate) index: BlockIndex,
    pub(crate) holder: SubscriberIndex,
    pub(crate) since: Timestamp,
    /// The last packet of any of its ports, in either direction (RFC 7768 §2).
    pub(crate) last_packet: Timestamp,
    /// The event that told of its allocation.
    pub(crate) event: EventNumber,
    /// Ports in use, all transports together.
    pub(crate) in_use: u32,
    /// Counts how often it was emptied, so that an old note of that can be told from a new one.
    pub(crate) emptied: u32,
    ports: [Option<Ports>; 3],
}

impl HeldBlock {
    pub(crate) fn new(
        index: BlockIndex,
        holder: SubscriberIndex,
        since: Timestamp,
        event: EventNumber,
    ) -> Self {
        Self {
            index,
            holder,
            since,
            last_packet: since,
            event,
            in_use: 0,
            emptied: 0,
            ports: [None, None, None],
        }
    }

    /// Free ports for `transport`, of the `size` it has.
    pub(crate) fn free(&self, transport: Transport, size: u32) -> u32 {
        self.ports[transport.index()]
            .as_ref()
            .map_or(size, |ports| ports.free)
    }

    /// What is kept on each port of the block, [`Handle::NONE`] on those that are free. Empty
    /// where no port is open.
    pub(crate) fn handles(&self, transport: Transport) -> &[Handle] {
        self.ports[transport.index()]
            .as_ref()
            .map_or(&[], |ports| &ports.handles)
    }

    /// Opens a free port, drawn evenly among those of `parity` (or among all free ones where
    /// there is none of that parity), and keeps `handle` on it. Its offset into the block.
    pub(crate) fn open(
        &mut self,
        transport: Transport,
        size: u32,
        parity: Option<Parity>,
        draw: &mut Draw,
        handle: Handle,
    ) -> Option<u16> {
        let ports = self.ports[transport.index()].get_or_insert_with(|| Ports::new(size));
        let offset = ports.draw_free(parity, draw)?;
        ports.set(offset, handle);
        self.in_use += 1;
        Some(offset)
    }

    /// Closes the port `offset` places into the block. Whether it was open.
    pub(crate) fn close(&mut self, transport: Transport, offset: u16) -> bool {
        let Some(ports) = self.ports[transport.index()].as_mut() else {
            return false;
        };
        if !ports.clear(offset) {
            return false;
        }
        self.in_use -= 1;
        if self.in_use == 0 {
            self.emptied = self.emptied.wrapping_add(1);
            // An empty block keeps no tables: most blocks serve one or two transports.
            self.ports = [None, None, None];
        }
        true
    }
}

/// Whether a port is even or odd, by its offset into a block that begins at an even port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parity {
    pub(crate) odd_offset: bool,
}

/// The ports of one block for one transport: a bitmap of the free ones and a row of handles.
#[derive(Debug)]
struct Ports {
    free: u32,
    /// A set bit is a free port.
    bitmap: Box<[u64]>,
    handles: Box<[Handle]>,
}

const EVEN: u64 = 0x5555_5555_5555_5555;

impl Ports {
    fn new(size: u32) -> Self {
        let words = size.div_ceil(64) as usize;
        let mut bitmap = vec![u64::MAX; words].into_boxed_slice();
        if !size.is_multiple_of(64)
            && let Some(last) = bitmap.last_mut()
        {
            *last = (1 << (size % 64)) - 1;
        }
        Self {
            free: size,
            bitmap,
            handles: vec![Handle::NONE; size as usize].into_boxed_slice(),
        }
    }

    fn draw_free(&self, parity: Option<Parity>, draw: &mut Draw) -> Option<u16> {
        let mask = match parity {
            None => u64::MAX,
            Some(Parity { odd_offset: false }) => EVEN,
            Some(Parity { odd_offset: true }) => !EVEN,
        };
        let free = if parity.is_none() {
            self.free
        } else {
            self.bitmap
                .iter()
                .map(|word| (word & mask).count_ones())
                .sum()
        };
        match (free, parity) {
            (0, None) => None,
            // RFC 4787 REQ-4 only recommends parity: a port of the wrong one beats none.
            (0, Some(_)) => self.draw_free(None, draw),
            (free, _) => self.nth_free(mask, draw.below(free)),
        }
    }

    /// The `nth` free port (from 0) under `mask`.
    fn nth_free(&self, mask: u64, mut nth: u32) -> Option<u16> {
        for (place, word) in (0_u16..).zip(self.bitmap.iter()) {
            let mut word = word & mask;
            let ones = word.count_ones();
            if nth >= ones {
                nth -= ones;
                continue;
            }
            for _ in 0..nth {
                word &= word - 1;
            }
            return Some(place * 64 + u16::try_from(word.trailing_zeros()).unwrap_or(0));
        }
        None
    }

    fn set(&mut self, offset: u16, handle: Handle) {
        self.bitmap[usize::from(offset / 64)] &= !(1 << (offset % 64));
        self.handles[usize::from(offset)] = handle;
        self.free -= 1;
    }

    fn clear(&mut self, offset: u16) -> bool {
        let Some(handle) = self.handles.get_mut(usize::from(offset)) else {
            return false;
        };
        if *handle == Handle::NONE {
            return false;
        }
        *handle = Handle::NONE;
        self.bitmap[usize::from(offset / 64)] |= 1 << (offset % 64);
        self.free += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held() -> HeldBlock {
        HeldBlock::new(
            BlockIndex(0),
            SubscriberIndex(0),
            Timestamp::EPOCH,
            EventNumber(0),
        )
    }

    proptest! {
        /// A block gives each of its ports once, whatever its size, and then no more; a closed
        /// port is given again.
        #[test]
        fn every_port_once(size in 1_u32..700, key in any::<[u8; 32]>()) {
            let (mut block, mut draw) = (held(), Draw::new(key));
            let mut seen = std::collections::HashSet::new();
            for n in 0..size {
                let offset = block.open(Transport::Udp, size, None, &mut draw, Handle(n)).unwrap();
                prop_assert!(u32::from(offset) < size && seen.insert(offset));
                prop_assert_eq!(block.handles(Transport::Udp)[usize::from(offset)], Handle(n));
            }
            prop_assert_eq!(block.free(Transport::Udp, size), 0);
            prop_assert_eq!(block.free(Transport::Tcp, size), size);
            prop_assert_eq!(block.open(Transport::Udp, size, None, &mut draw, Handle(9)), None);
            let one = u16::try_from(size / 2).unwrap();
            prop_assert!(block.close(Transport::Udp, one));
            prop_assert!(!block.close(Transport::Udp, one));
            let again = block.open(Transport::Udp, size, None, &mut draw, Handle(9));
            prop_assert_eq!(again, Some(one));
        }
    }

    #[test]
    fn parity_is_kept_while_there_is_a_port_of_it() {
        let (mut block, mut draw) = (held(), Draw::new([5; 32]));
        let mut open = |odd_offset| {
            block
                .open(
                    Transport::Udp,
                    64,
                    Some(Parity { odd_offset }),
                    &mut draw,
                    Handle(0),
                )
                .unwrap()
        };
        assert!((0..32).all(|_| open(true) % 2 == 1));
        assert_eq!(open(true) % 2, 0);
    }
}
