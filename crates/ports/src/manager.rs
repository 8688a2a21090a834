//! Ports: opens and closes ports for subscribers, hands out and takes back their blocks.

use std::{
    collections::{HashMap, VecDeque},
    net::Ipv4Addr,
};

use portledger_model::{Block, Event, Limit, Realm, Subscriber, Timestamp, Transport};
use thiserror::Error;

pub use find::Sought;
use watch::PoolWatch;

use crate::{
    Asker, BlockIndex, BlockPolicy, Config, ConfigError, Deterministic, EventNumber, Handle,
    Inside, Layout, Region, RestedBlocks, Told,
    draw::Draw,
    event::Events,
    held::{HeldBlock, Parity},
    policy::Supply,
    subscriber::{Holders, SubscriberIndex},
};

/// A port that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The external address.
    pub address: Ipv4Addr,
    /// The external port.
    pub port: u16,
    /// Its block, for [`Ports::touch`].
    pub block: BlockIndex,
    /// The event of its block's allocation: it must be durable before the port goes out, where
    /// the operator wants log before use.
    pub event: EventNumber,
}

/// Why no port was opened. Mappings that exist are never touched to make room (RFC 6888
/// REQ-11 (D)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Refusal {
    /// No rested block is left.
    #[error("no rested block is left in the pool")]
    PoolExhausted,
    /// No rested block is left on the subscriber's address, and pooling is strictly paired.
    #[error("no rested block is left on the subscriber's address")]
    AddressFull,
    /// The subscriber's limit.
    #[error("the subscriber is at its limit")]
    Limit(Limit),
    /// The internal address is outside the rule of a deterministic NAT.
    #[error("the internal address is outside the deterministic prefix")]
    NotInRule,
}

/// A block that was held when the device stopped or crashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What was held, and by whom.
    pub block: Block,
    /// When it was handed out.
    pub since: Timestamp,
}

/// How much is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Subscribers that hold something.
    pub subscribers: u64,
    /// Blocks held.
    pub held: u32,
    /// Blocks at rest.
    pub resting: u32,
    /// Blocks that could be handed out now.
    pub rested: u32,
}

/// Port management: see the page of the crate.
#[derive(Debug)]
pub struct Ports {
    config: Config,
    policy: Box<dyn BlockPolicy>,
    /// The policy's, at hand: every packet from the outside asks it.
    layout: Layout,
    subscribers: Holders,
    /// From a block's index to its place in `held`, or [`VACANT`].
    places: Vec<u32>,
    held: Vec<HeldBlock>,
    held_count: u32,
    vacant: Vec<u32>,
    /// Blocks whose last mapping has gone, by when, with their count of emptyings.
    idle: VecDeque<(Timestamp, BlockIndex, u32)>,
    statics: HashMap<(Ipv4Addr, u16, Transport), Handle>,
    draw: Draw,
    events: Events,
    watch: PoolWatch,
}

const VACANT: u32 = u32::MAX;

impl Ports {
    /// An empty table under `config`. `seed` keys every draw: keep it secret, and new at each
    /// start.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(config: Config, seed: [u8; 32]) -> Result<Self, ConfigError> {
        config.check()?;
        let mut block_key = seed;
        block_key[0] ^= 0x5A; // Two streams of one seed: blocks and ports.
        let mut policy: Box<dyn BlockPolicy> = match config.deterministic {
            Some(rule) => Box::new(Deterministic::new(&config, rule, block_key)?),
            None => {
                let region = Region::fill(config.port_range, config.block_size);
                let layout = Layout::new(config.pool.clone(), [region]);
                let (pooling, guard_time) = (config.pooling, config.guard_time);
                Box::new(RestedBlocks::new(layout, 0, pooling, guard_time, block_key))
            }
        };
        for mapping in &config.static_mappings {
            if let Some((block, _)) = policy
                .layout()
                .find(mapping.external, mapping.external_port)
            {
                policy.reserve(block);
            }
        }
        let layout = policy.layout().clone();
        let places = vec![VACANT; layout.count() as usize];
        Ok(Self {
            config,
            policy,
            layout,
            subscribers: Holders::new(),
            places,
            held: Vec::new(),
            held_count: 0,
            vacant: Vec::new(),
            idle: VecDeque::new(),
            statics: HashMap::new(),
            draw: Draw::new(seed),
            events: Events::default(),
            watch: PoolWatch::default(),
        })
    }

    /// The configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The name of a realm.
    pub fn realm(&self, inside: Inside) -> Realm {
        self.config
            .realms
            .get(usize::from(inside.realm.0))
            .cloned()
            .unwrap_or_default()
    }

    /// Opens a port for `inside`, keeping `handle` on it. `internal_port` matters only where
    /// parity is preserved.
    ///
    /// # Errors
    /// When the subscriber is at a limit or no block can be had for it. The first time that
    /// happens is an event; until it has eased, the rest is the caller's to count.
    pub fn open(
        &mut self,
        now: Timestamp,
        inside: Inside,
        transport: Transport,
        internal_port: u16,
        handle: Handle,
    ) -> Result<Opened, Refusal> {
        let subscriber = self.subscribers.find_or_add(inside);
        let opened = self.open_for(now, subscriber, transport, internal_port, handle);
        if opened.is_err() {
            self.subscribers.forget_if_empty(subscriber);
        }
        opened
    }

    /// Closes a port that [`Ports::open`] opened. Whether it was open.
    pub fn close(
        &mut self,
        now: Timestamp,
        block: BlockIndex,
        transport: Transport,
        port: u16,
    ) -> bool {
        let Some(ports) = self.layout.ports(block) else {
            return false;
        };
        let Some(offset) = port.checked_sub(ports.first()) else {
            return false;
        };
        let Some(held) = self.held_mut(block) else {
            return false;
        };
        if !held.close(transport, offset) {
            return false;
        }
        let (holder, emptied) = (held.holder, (held.in_use == 0).then_some(held.emptied));
        if let Some(emptied) = emptied {
            self.idle.push_back((now, block, emptied));
        }
        let limit = self.config.limits.ports[transport.index()];
        let holder = self.subscribers.get_mut(holder);
        let in_use = &mut holder.in_use[transport.index()];
        *in_use = in_use.saturating_sub(1);
        // Eased only well below the limit: a subscriber that hovers at it is one event.
        if limit.is_some_and(|limit| *in_use <= limit - limit.div_ceil(8)) {
            holder.eased(Limit::Ports(transport));
        }
        true
    }

    /// Whether `address` is one of the external addresses.
    pub fn is_external(&self, address: Ipv4Addr) -> bool {
        self.config.pool.number(address).is_some()
    }

    /// Notes a packet of `block`, in either direction. Blocks that see none are left out of port
    /// selection, so that they can empty (RFC 7768 §2).
    pub fn touch(&mut self, now: Timestamp, block: BlockIndex) {
        if let Some(held) = self.held_mut(block) {
            held.last_packet = now;
        }
    }

    /// Takes back the blocks that have been empty for the configured time.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some(&(since, block, emptied)) = self.idle.front()
            && since.after(self.config.block_idle) <= now
        {
            self.idle.pop_front();
            let still_empty = self
                .held(block)
                .is_some_and(|held| held.in_use == 0 && held.emptied == emptied);
            if still_empty && !self.policy.keeps(block) {
                self.release(now, block);
            }
        }
    }

    /// When [`Ports::advance`] next has something to do.
    pub fn next_timeout(&self) -> Option<Timestamp> {
        self.idle
            .front()
            .map(|&(since, ..)| since.after(self.config.block_idle))
    }

    /// The events since the last call, in order.
    pub fn drain_events(&mut self) -> std::vec::Drain<'_, Told> {
        self.events.drain()
    }

    /// Whether there are events to drain.
    pub const fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Appends an event of the caller's own, so that all of a device's events are in one order.
    pub fn tell(&mut self, at: Timestamp, event: Event) -> EventNumber {
        self.events.tell(at, event)
    }

    /// What is held, for interim records (RFC 7768 leaves the repair of lost events open; these
    /// are it).
    pub fn held_blocks(&self) -> impl Iterator<Item = (Block, Timestamp)> {
        self.held
            .iter()
            .enumerate()
            .filter(|&(place, held)| self.place(held.index) == Some(place))
            .filter_map(|(_, held)| Some((self.block(held.index, held.holder)?, held.since)))
    }

    /// How much is in use.
    pub fn usage(&mut self, now: Timestamp) -> Usage {
        let Supply {
            rested, resting, ..
        } = self.policy.supply(now);
        let subscribers = u64::try_from(self.subscribers.len()).unwrap_or(u64::MAX);
        Usage {
            subscribers,
            held: self.held_count,
            resting,
            rested,
        }
    }

    fn open_for(
        &mut self,
        now: Timestamp,
        subscriber: SubscriberIndex,
        transport: Transport,
        internal_port: u16,
        handle: Handle,
    ) -> Result<Opened, Refusal> {
        let limits = self.config.limits;
        let holder = self.subscribers.get_mut(subscriber);
        if let Some(rate) = limits.rate
            && !holder.spend(now, rate)
        {
            return Err(self.refuse(now, subscriber, Limit::Rate));
        }
        if limits.ports[transport.index()].is_some_and(|l| holder.in_use[transport.index()] >= l) {
            return Err(self.refuse(now, subscriber, Limit::Ports(transport)));
        }
        let block = match self.block_with_room(subscriber, transport) {
            Some(block) => block,
            None => self.allocate(now, subscriber)?,
        };
        let opened = self.open_in(block, transport, internal_port, handle);
        // A block with room, or a new one, has a free port: nothing has come between.
        let opened = opened.ok_or(Refusal::PoolExhausted)?;
        self.subscribers.get_mut(subscriber).in_use[transport.index()] += 1;
        Ok(opened)
    }

    /// Draws a block, each in proportion to its free ports, so that all free ports are equally
    /// likely: RFC 6056 §3.3.2 over ports that are not contiguous. The block idle for longest is
    /// left out unless no other has a free port (RFC 7768 §2).
    fn block_with_room(
        &mut self,
        subscriber: SubscriberIndex,
        transport: Transport,
    ) -> Option<BlockIndex> {
        let blocks = &self.subscribers.get(subscriber).blocks;
        if let &[only] = &blocks[..] {
            return (self.free(only, transport) > 0).then_some(only);
        }
        let longest_idle = blocks
            .iter()
            .copied()
            .min_by_key(|&block| self.held(block).map(|held| held.last_packet))?;
        // At most 64 blocks a subscriber (`Config::check`).
        let mut free = [0; 64];
        for (free, &block) in free.iter_mut().zip(blocks) {
            *free = if block == longest_idle {
                0
            } else {
                self.free(block, transport)
            };
        }
        let total: u32 = free.iter().sum();
        if total == 0 {
            return (self.free(longest_idle, transport) > 0).then_some(longest_idle);
        }
        let mut pick = self.draw.below(total);
        for (&block, free) in blocks.iter().zip(free) {
            if pick < free {
                return Some(block);
            }
            pick -= free;
        }
        None
    }

    fn open_in(
        &mut self,
        block: BlockIndex,
        transport: Transport,
        internal_port: u16,
        handle: Handle,
    ) -> Option<Opened> {
        let layout = &self.layout;
        let (address, ports) = (layout.address(block)?, layout.ports(block)?);
        let parity =
            (self.config.preserve_parity && transport == Transport::Udp).then_some(Parity {
                odd_offset: (internal_port ^ ports.first()) & 1 == 1,
            });
        let place = self.place(block)?;
        let held = &mut self.held[place];
        let offset = held.open(transport, ports.count(), parity, &mut self.draw, handle)?;
        Some(Opened {
            address,
            port: ports.first() + offset,
            block,
            event: held.event,
        })
    }

    /// Hands the next block to `subscriber` (RFC 7768 §2: one event for each).
    fn allocate(
        &mut self,
        now: Timestamp,
        subscriber: SubscriberIndex,
    ) -> Result<BlockIndex, Refusal> {
        let holder = self.subscribers.get(subscriber);
        if holder.blocks.len() >= self.config.limits.blocks as usize {
            return Err(self.refuse(now, subscriber, Limit::Blocks));
        }
        let asker = Asker {
            inside: holder.inside,
            held: &holder.blocks,
        };
        let drawn = self.policy.draw(now, asker);
        self.watch_pool(now, drawn == Err(Refusal::PoolExhausted));
        let block = drawn?;
        self.hold(block, subscriber, now, self.events.next_number());
        if let Some(told) = self.block(block, subscriber) {
            self.tell(now, Event::Allocated(told));
        }
        Ok(block)
    }

    fn release(&mut self, now: Timestamp, index: BlockIndex) {
        let Some(place) = self.place(index) else {
            return;
        };
        let (holder, since) = (self.held[place].holder, self.held[place].since);
        if let Some(block) = self.block(index, holder) {
            self.tell(now, Event::Released { block, since });
        }
        self.places[index.0 as usize] = VACANT;
        self.vacant.push(u32::try_from(place).unwrap_or(VACANT));
        self.held_count -= 1;
        self.policy.give_back(now, index);
        let subscriber = self.subscribers.get_mut(holder);
        subscriber.blocks.retain(|&other| other != index);
        subscriber.eased(Limit::Blocks);
        self.subscribers.forget_if_empty(holder);
        self.watch_pool(now, false);
    }

    fn watch_pool(&mut self, now: Timestamp, exhausted: bool) {
        let supply = self.policy.supply(now);
        for event in self.watch.look(supply, self.config.thresholds, exhausted) {
            self.events.tell(now, event);
        }
    }

    fn refuse(&mut self, now: Timestamp, subscriber: SubscriberIndex, limit: Limit) -> Refusal {
        let holder = self.subscribers.get_mut(subscriber);
        if holder.say(limit) {
            let inside = holder.inside;
            let subscriber = self.subscriber(inside);
            self.tell(now, Event::LimitReached { subscriber, limit });
        }
        Refusal::Limit(limit)
    }

    fn hold(
        &mut self,
        index: BlockIndex,
        subscriber: SubscriberIndex,
        since: Timestamp,
        event: EventNumber,
    ) {
        let held = HeldBlock::new(index, subscriber, since, event);
        let place = if let Some(place) = self.vacant.pop() {
            self.held[place as usize] = held;
            place
        } else {
            self.held.push(held);
            u32::try_from(self.held.len() - 1).unwrap_or(VACANT)
        };
        self.places[index.0 as usize] = place;
        self.held_count += 1;
        self.subscribers.get_mut(subscriber).blocks.push(index);
    }

    fn subscriber(&self, inside: Inside) -> Subscriber {
        let internal = self.config.subscribers.internal(inside.address);
        // Of another family's address no packet is taken.
        let internal = internal.unwrap_or_else(|| inside.address.into());
        Subscriber::of(self.realm(inside), internal)
    }

    fn block(&self, index: BlockIndex, holder: SubscriberIndex) -> Option<Block> {
        Some(Block {
            subscriber: self.subscriber(self.subscribers.get(holder).inside),
            external: self.layout.address(index)?,
            ports: self.layout.ports(index)?,
            transport: None,
        })
    }

    fn free(&self, block: BlockIndex, transport: Transport) -> u32 {
        let size = self
            .policy
            .layout()
            .ports(block)
            .map_or(0, |ports| ports.count());
        self.held(block)
            .map_or(0, |held| held.free(transport, size))
    }

    fn place(&self, block: BlockIndex) -> Option<usize> {
        match *self.places.get(block.0 as usize)? {
            VACANT => None,
            place => Some(place as usize),
        }
    }

    fn held(&self, block: BlockIndex) -> Option<&HeldBlock> {
        self.held.get(self.place(block)?)
    }

    fn held_mut(&mut self, block: BlockIndex) -> Option<&mut HeldBlock> {
        let place = self.place(block)?;
        self.held.get_mut(place)
    }
}

mod find;
mod restart;
mod statics;
mod watch;

#[cfg(test)]
mod tests;
