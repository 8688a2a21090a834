//! The shard: what a batch goes through, and what time does.

mod errors;
mod established;
mod fragments;
mod hosts;
mod inbound;
mod outbound;
mod sessions;
mod time;

use std::{collections::VecDeque, hint::black_box, net::Ipv4Addr};

use portledger_model::{Block, Event, Timestamp, Transport};
use portledger_ports::{
    EventNumber, Handle, Ports, RealmIndex, Restored, Sought, StaticMapping, SubscriberKind, Usage,
};

use crate::{
    Config, ConfigError, Counters, DropReason, Emitted, Output, Packet, Side, Verdict,
    budget::Budget,
    fragment::Fragments,
    header::{Content, Ends, Header},
    hosts::{Hosts, Numbers},
    mapping::{InternalKey, Kind, NewMapping, Pending, Table},
    wheel::{NONE, Tick},
};
pub(crate) use established::OtherEnd;
use sessions::Seconds;
use time::HeldSyn;

/// One shard of a NAT44: see the page of the crate.
#[derive(Debug)]
pub struct Nat {
    config: Config,
    inside: Vec<(RealmIndex, Prefix)>,
    exempt: Vec<Prefix>,
    /// Who an inside host is by the 32 bits that the tables have for it.
    hosts: Hosts,
    /// The largest packet towards the inside that is or may be fragmented.
    cut_inside: u16,
    seconds: Seconds,
    ports: Ports,
    table: Table,
    statics: u32,
    fragments: Fragments,
    syns: VecDeque<HeldSyn>,
    identifications: Box<[u16; IDENTIFICATIONS]>,
    icmp_budget: Budget,
    counters: Counters,
    begun: Option<Timestamp>,
    now: Timestamp,
    tick: Tick,
    durable: EventNumber,
}

/// What a shard holds at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Mappings.
    pub mappings: u32,
    /// Sessions beyond the first of their mapping.
    pub further_sessions: u32,
    /// Hosts of the inside that have a number, where an address does not name them.
    pub hosts: usize,
    /// Bytes of the tables, of which the system backs what was used.
    pub table_bytes: usize,
    /// Bytes of fragments that wait for their first.
    pub fragment_bytes: usize,
    /// Subscribers and blocks.
    pub usage: Usage,
}

/// What a restarted device knows of the time before.
#[derive(Debug, Default)]
pub struct Past {
    /// Blocks that were held.
    pub held: Vec<Restored>,
    /// Blocks that were released less than the guard time ago, and when.
    pub resting: Vec<(Timestamp, Block)>,
    /// Events may have been lost, so that any block may have been in use.
    pub events_lost: bool,
}

/// A prefix as a mask: a packet is compared with two instructions.
#[derive(Debug, Clone, Copy)]
struct Prefix {
    network: u32,
    mask: u32,
}

impl Prefix {
    const fn contains(self, address: u32) -> bool {
        address & self.mask == self.network
    }
}

impl From<&ipnet::Ipv4Net> for Prefix {
    fn from(net: &ipnet::Ipv4Net) -> Self {
        Self {
            network: net.network().to_bits(),
            mask: net.netmask().to_bits(),
        }
    }
}

/// Counters of IP identifications, by a hash of the ends (RFC 6864 §5.3.1): a power of two.
const IDENTIFICATIONS: usize = 2_048;

/// Packets whose memory reads overlap.
pub(crate) const STAGE: usize = 32;

/// A packet between its stages: guesses only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Staged {
    pub(crate) ends: Option<Ends>,
    /// Its mapping, unless a packet before it changes the tables.
    pub(crate) candidate: u32,
}

pub(crate) const UNSTAGED: Staged = Staged {
    ends: None,
    candidate: NONE,
};

impl Nat {
    /// An empty shard under `config`. `seed` keys every draw and hash: keep it secret, and new at
    /// each start.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(config: Config, seed: [u8; 32]) -> Result<Self, ConfigError> {
        if config.ports.subscribers != SubscriberKind::Address {
            return Err(ConfigError::NotAddresses);
        }
        if config.inside.is_empty() {
            return Err(ConfigError::NoInside);
        }
        Self::with_hosts(config, seed)
    }

    /// As [`Nat::new`], where an inside host may be a number: whoever brings packets has put it
    /// in the place of the inside address, and takes it out of there again.
    pub(crate) fn with_hosts(config: Config, seed: [u8; 32]) -> Result<Self, ConfigError> {
        config.check()?;
        let ports = Ports::new(config.ports.clone(), seed)?;
        let mut keys = Keys::new(seed);
        let key = [keys.next(), keys.next(), keys.next(), keys.next()];
        let mut identifications = Box::new([0; IDENTIFICATIONS]);
        for place in identifications.iter_mut() {
            *place = u16::try_from(keys.next() >> 48).unwrap_or(0);
        }
        let limits = config.limits;
        let hosts = match config.ports.subscribers {
            SubscriberKind::Address => Hosts::Addresses,
            kind => {
                // All that may name one: mappings, both ends of datagrams, packets of a batch.
                let fragmented = u32::try_from(limits.fragmented).unwrap_or(u32::MAX);
                let most = limits
                    .mappings
                    .saturating_add(fragmented.saturating_mul(2))
                    .saturating_add(u32::try_from(STAGE).unwrap_or(0))
                    .min(1 << 30);
                let key = std::array::from_fn(|_| keys.next());
                Hosts::Numbers(Box::new(Numbers::new(kind, most, key)))
            }
        };
        Ok(Self {
            hosts,
            cut_inside: config.mtu.inside,
            inside: config
                .inside
                .iter()
                .map(|(realm, net)| (*realm, net.into()))
                .collect(),
            exempt: config.exempt.iter().map(Prefix::from).collect(),
            seconds: Seconds::new(&config.timers),
            ports,
            table: Table::new(limits.mappings, limits.sessions, key),
            statics: 0,
            fragments: Fragments::new(limits.fragmented, limits.fragment_bytes),
            syns: VecDeque::new(),
            identifications,
            icmp_budget: Budget::new(config.icmp_rate),
            counters: Counters::default(),
            begun: None,
            now: Timestamp::MIN,
            tick: Tick::default(),
            durable: EventNumber(0),
            config,
        })
    }

    /// Begins at `now` with what is known of the time before, and opens the static mappings.
    /// Call it once, before the first packet; a shard without past or static mappings needs it
    /// not.
    pub fn start(&mut self, now: Timestamp, past: Past, output: &mut Output) {
        self.advance(now, output);
        let open: Vec<Block> = past.held.iter().map(|held| held.block.clone()).collect();
        self.ports.restore(now, past.held);
        for (since, block) in &past.resting {
            self.ports.restore_resting(*since, block);
        }
        if past.events_lost {
            self.ports.rest_all(now);
        }
        for (number, mapping) in self
            .ports
            .static_mappings()
            .to_vec()
            .into_iter()
            .enumerate()
        {
            self.open_static(now, number, &mapping, &open);
        }
        self.collect_events(output);
    }

    /// Translates `packets`, which came from one side, and sets their verdicts.
    ///
    /// `now` is the time of their arrival; one that is earlier than an earlier call's is taken
    /// for that one's.
    pub fn batch(
        &mut self,
        now: Timestamp,
        from: Side,
        packets: &mut [Packet<'_>],
        output: &mut Output,
    ) {
        self.advance(now, output);
        let mut stage = [UNSTAGED; STAGE];
        for packets in packets.chunks_mut(STAGE) {
            for (staged, packet) in stage.iter_mut().zip(packets.iter()) {
                staged.ends = Ends::peek(packet.data);
            }
            let stage = &mut stage[..packets.len()];
            let realm = packets.first().map_or(RealmIndex(0), |packet| packet.realm);
            self.approach(from, realm, stage);
            for (packet, staged) in packets.iter_mut().zip(stage) {
                if let Err(reason) = self.translate(from, packet, staged, output) {
                    packet.verdict = Verdict::Drop(reason);
                }
                self.count(&packet.verdict);
            }
        }
        self.collect_events(output);
    }

    /// Lets time pass: ends what has timed out.
    pub fn advance(&mut self, now: Timestamp, output: &mut Output) {
        self.pass_time(now, output);
        self.collect_events(output);
    }

    /// When [`Nat::advance`] next has something to do, at the latest.
    pub fn next_timeout(&self) -> Option<Timestamp> {
        let busy = self.something_ends() || !self.fragments.is_empty() || !self.syns.is_empty();
        let next_tick = self.time_of(self.tick.after(1));
        match (busy, self.ports.next_timeout()) {
            (true, _) => Some(next_tick),
            (false, timeout) => timeout,
        }
    }

    /// Notes that the first `events` events are durable.
    pub fn durable(&mut self, events: EventNumber) {
        self.durable = self.durable.max(events);
    }

    /// Appends an event of the driver's own.
    pub fn tell(&mut self, at: Timestamp, event: Event, output: &mut Output) -> EventNumber {
        let number = self.ports.tell(at, event);
        self.collect_events(output);
        number
    }

    /// What is held, for interim records.
    pub fn held_blocks(&self) -> impl Iterator<Item = (Block, Timestamp)> {
        self.ports.held_blocks()
    }

    /// What has been done so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What is held now.
    pub fn size(&mut self) -> Size {
        Size {
            mappings: self.table.len(),
            further_sessions: self.table.further_len(),
            hosts: self.numbers().map_or(0, Numbers::len),
            table_bytes: self.table.bytes() + self.hosts.bytes(),
            fragment_bytes: self.fragments.bytes(),
            usage: self.ports.usage(self.now),
        }
    }

    /// The side and the realm that a packet comes from, by its addresses: for a driver whose sides
    /// share one device. `None` where it is neither side's.
    pub fn origin(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Option<(Side, RealmIndex)> {
        if let Some(realm) = self.realm_of(source.to_bits()) {
            return Some((Side::Inside, realm));
        }
        let back = self.is_exempt(source.to_bits());
        (self.ports.is_external(destination) || back).then_some((Side::Outside, RealmIndex(0)))
    }

    /// Reads the memory that the packets of a stage will need, one kind of read after the other,
    /// so that the waits overlap. Only guesses come out of it, such as that all packets are of one
    /// realm: nothing is decided here.
    fn approach(&self, from: Side, realm: RealmIndex, stage: &mut [Staged]) {
        match from {
            Side::Inside => {
                for staged in stage.iter_mut() {
                    staged.candidate = NONE;
                    let Some(ends) = &staged.ends else { continue };
                    let key =
                        InternalKey::new(realm, ends.transport, ends.source, ends.source_port);
                    let hash = self.table.hash(key);
                    staged.candidate = self.table.approach(hash).unwrap_or(NONE);
                }
            }
            Side::Outside => {
                let mut sought = [None; STAGE];
                for (sought, staged) in sought.iter_mut().zip(&*stage) {
                    *sought = staged.ends.as_ref().map(|ends| Sought {
                        address: ends.destination.into(),
                        port: ends.destination_port,
                        transport: ends.transport,
                    });
                }
                for (staged, found) in stage.iter_mut().zip(self.ports.find_many(&sought)) {
                    staged.candidate = found.map_or(NONE, |handle| handle.0);
                }
            }
        }
        let read = stage
            .iter()
            .fold(0, |read, staged| read ^ self.table.glance(staged.candidate));
        black_box(read);
    }

    /// Sets the packet's verdict in its place; an error is one, too. (Handing verdicts up through
    /// the calls costs as much as translating.)
    fn translate(
        &mut self,
        from: Side,
        packet: &mut Packet<'_>,
        staged: &Staged,
        output: &mut Output,
    ) -> Result<(), DropReason> {
        match from {
            Side::Inside => self.counters.from_inside += 1,
            Side::Outside => self.counters.from_outside += 1,
        }
        let candidate = staged.candidate;
        if let Some(ends) = &staged.ends
            && self.established(from, packet, ends, candidate)
        {
            return Ok(());
        }
        let header = Header::parse(packet.data)?;
        match from {
            Side::Inside => self.outbound(packet, &header, candidate, output),
            Side::Outside => self.inbound(packet, &header, candidate, output),
        }
    }

    fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Forward {
                to: Side::Inside, ..
            } => self.counters.to_inside += 1,
            Verdict::Forward {
                to: Side::Outside, ..
            } => self.counters.to_outside += 1,
            Verdict::Drop(reason) => self.counters.count_drop(*reason),
            Verdict::Kept => {}
        }
    }

    fn emit(&mut self, emitted: Emitted, output: &mut Output) {
        match emitted.to {
            Side::Inside => self.counters.to_inside += 1,
            Side::Outside => self.counters.to_outside += 1,
        }
        output.packets.push(emitted);
    }

    /// Hands out the events that came of packets.
    pub(crate) fn collect_events(&mut self, output: &mut Output) {
        if self.ports.has_events() {
            output.events.extend(self.ports.drain_events());
        }
    }

    fn open_static(
        &mut self,
        now: Timestamp,
        number: usize,
        mapping: &StaticMapping,
        open: &[Block],
    ) {
        let (Some(place), Some(internal)) =
            (self.table.next_number(), self.hosts.of_static(mapping))
        else {
            return;
        };
        let open_already = open.contains(&self.ports.static_block(mapping));
        let event = self
            .ports
            .open_static(now, number, Handle(place), open_already);
        let place = self.table.insert(NewMapping {
            realm: mapping.realm,
            transport: mapping.transport,
            internal,
            internal_port: mapping.internal_port,
            external: mapping.external.to_bits(),
            external_port: mapping.external_port,
            block: portledger_ports::BlockIndex(NONE),
            pending: event.map_or(Pending::NONE, Pending::on),
            kind: Kind::Static,
        });
        self.hosts.hold(internal);
        self.table.schedule(place, Tick::NEVER);
        self.statics += 1;
    }

    fn realm_of(&self, address: u32) -> Option<RealmIndex> {
        let holds = |&&(_, prefix): &&(RealmIndex, Prefix)| prefix.contains(address);
        self.inside.iter().find(holds).map(|&(realm, _)| realm)
    }

    /// Whoever brings packets of numbered hosts has looked at where they come from.
    fn may_send(&self, realm: RealmIndex, host: u32) -> bool {
        matches!(self.hosts, Hosts::Numbers(_)) || self.is_subscriber(realm, host)
    }

    pub(crate) fn is_subscriber(&self, realm: RealmIndex, address: u32) -> bool {
        self.inside
            .iter()
            .any(|&(other, prefix)| other == realm && prefix.contains(address))
    }

    fn is_exempt(&self, address: u32) -> bool {
        self.exempt.iter().any(|prefix| prefix.contains(address))
    }
}

/// The transport and the port (or identifier) that a packet is from.
const fn source_endpoint(content: &Content) -> Option<(Transport, u16)> {
    match *content {
        Content::Tcp { source, .. } => Some((Transport::Tcp, source)),
        Content::Udp { source, .. } => Some((Transport::Udp, source)),
        Content::Query { identifier, .. } => Some((Transport::Icmp, identifier)),
        Content::Error | Content::Nothing => None,
    }
}

/// The transport and the port (or identifier) that a packet is for.
const fn destination_endpoint(content: &Content) -> Option<(Transport, u16)> {
    match *content {
        Content::Tcp { destination, .. } => Some((Transport::Tcp, destination)),
        Content::Udp { destination, .. } => Some((Transport::Udp, destination)),
        Content::Query { identifier, .. } => Some((Transport::Icmp, identifier)),
        Content::Error | Content::Nothing => None,
    }
}

/// Keys for hashes from the seed, by the SplitMix64 generator.
struct Keys(u64);

impl Keys {
    fn new(seed: [u8; 32]) -> Self {
        let words = seed.chunks(8).map(|chunk| {
            chunk
                .iter()
                .fold(0_u64, |word, &byte| word << 8 | u64::from(byte))
        });
        Self(words.fold(0x243F_6A88_85A3_08D3, |key, word| {
            (key ^ word)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .rotate_left(23)
        }))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
