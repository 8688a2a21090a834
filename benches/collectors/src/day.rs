//! The block events of a day: the workload of everything here, and of `service`'s bench of the way from a
//! datagram to the disk.

use std::{collections::VecDeque, net::Ipv4Addr, time::Duration};

use portledger_model::{PortRange, Realm, Subscriber, Timestamp};
use portledger_wire::{EventTime, Holding, Kind, NatEvent, Phase, Told};

/// Subscribers of the NAT.
const SUBSCRIBERS: u64 = 1_000_000;
/// Ports of a block, of 64,512 from 1,024 on.
const BLOCK: u16 = 512;
const BLOCKS_OF_AN_ADDRESS: u64 = 126;
/// Addresses of the pool: two blocks a subscriber.
const ADDRESSES: u64 = 2 * SUBSCRIBERS / BLOCKS_OF_AN_ADDRESS;
/// Blocks held at once, when the day is under way.
const HELD: usize = 1_000_000;

/// A generator that needs no library: the constants of Knuth's MMIX.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Blocks that are handed out in no order, each to no one in particular, and given back after
/// about as many others were handed out as are held.
pub(crate) struct Day {
    draw: Draw,
    free: Vec<u32>,
    held: VecDeque<(u32, u32)>,
    realm: Realm,
    from: Timestamp,
    events: u64,
    told: u64,
}

impl Day {
    /// So many events from a time on, spread over a day.
    pub(crate) fn new(from: Timestamp, events: u64) -> Self {
        let mut draw = Draw(8_158);
        let mut free: Vec<u32> = (0..(ADDRESSES * BLOCKS_OF_AN_ADDRESS) as u32).collect();
        for at in (1..free.len()).rev() {
            free.swap(at, draw.below(at as u64 + 1) as usize);
        }
        Self {
            draw,
            free,
            held: VecDeque::new(),
            realm: Realm::default(),
            from,
            events,
            told: 0,
        }
    }
}

impl Iterator for Day {
    type Item = NatEvent;

    fn next(&mut self) -> Option<NatEvent> {
        if self.told == self.events {
            return None;
        }
        let full = self.held.len() >= HELD.min((self.events / 4) as usize);
        let (phase, block, subscriber) = if full && self.draw.below(2) == 0 {
            let (block, subscriber) = self.held.pop_front()?;
            self.free.push(block);
            (Phase::Ended, block, subscriber)
        } else {
            let place = self.draw.below(self.free.len() as u64) as usize;
            let block = self.free.swap_remove(place);
            let subscriber = self.draw.below(SUBSCRIBERS) as u32;
            self.held.push_back((block, subscriber));
            (Phase::Begun, block, subscriber)
        };
        let micros = 86_400_000_000 * self.told / self.events;
        self.told += 1;
        let address = u64::from(block) / BLOCKS_OF_AN_ADDRESS;
        let first = 1_024 + BLOCK * (u64::from(block) % BLOCKS_OF_AN_ADDRESS) as u16;
        let subscriber = Ipv4Addr::from_bits(Ipv4Addr::new(100, 64, 0, 0).to_bits() + subscriber);
        Some(NatEvent {
            at: EventTime::Told(self.from.after(Duration::from_micros(micros))),
            told: Told::Ports(Holding {
                phase,
                kind: Kind::Block,
                subscriber: Some(Subscriber::new(self.realm.clone(), subscriber.into())),
                external: Ipv4Addr::from_bits(
                    Ipv4Addr::new(198, 18, 0, 0).to_bits() + address as u32,
                ),
                ports: PortRange::new(first, first + BLOCK - 1).ok()?,
                transport: None,
                since: None,
            }),
        })
    }
}
