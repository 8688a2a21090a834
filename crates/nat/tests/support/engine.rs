//! The engine in each of its modes, behind one face: tests speak of IPv4 packets on both sides, and
//! here they are put into what travels on the inside, and taken out of it again.

use std::{
    cell::Cell,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use portledger_model::{Block, Internal, Subscriber, Timestamp};
use portledger_nat::{
    Aftr, AftrConfig, Config, Counters, Emitted, EventNumber, HEADROOM, Nat, Nat64, Output, Packet,
    Past, RealmIndex, Restored, Side, Size, Slot, Verdict,
};
use portledger_ports::SubscriberKind;

use super::reference::{header_length, is_icmp_error, word};
use super::six_form::{as_before, from_six, nat64_config, to_six};

/// What travels on the inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// IPv4.
    Plain,
    /// IPv4 in IPv6, each host behind a B4 of its own.
    Softwires,
    /// IPv6, each host with an address of its own.
    Six,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::Plain) };
}

/// The mode of the tests of this thread, until this is dropped.
pub struct Within(Mode);

impl Within {
    pub fn new(mode: Mode) -> Self {
        Self(MODE.replace(mode))
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        MODE.set(self.0);
    }
}

pub fn mode() -> Mode {
    MODE.get()
}

/// The AFTR of these tests.
pub const AFTR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);

/// The B4 of a host: one a host, so that what is a subscriber stays the same.
pub fn b4(realm: RealmIndex, host: Ipv4Addr) -> Ipv6Addr {
    let host = u128::from(host.to_bits());
    Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(realm.0) << 80 | host)
}

/// The defaults of an AFTR for the softwires of [`b4`].
pub fn aftr_config(nat: Config) -> AftrConfig {
    let mut config = AftrConfig::new(nat.ports.clone(), AFTR, &[]);
    for number in 0..u16::try_from(nat.ports.realms.len()).unwrap() {
        let net = ipnet::Ipv6Net::new(b4(RealmIndex(number), Ipv4Addr::UNSPECIFIED), 48);
        config.softwires.push((RealmIndex(number), net.unwrap()));
    }
    config.nat = nat;
    config.nat.ports.subscribers = SubscriberKind::Softwire(128);
    for mapping in &mut config.nat.ports.static_mappings {
        if let IpAddr::V4(host) = mapping.internal {
            mapping.internal = b4(mapping.realm, host).into();
            mapping.behind = Some(host);
        }
    }
    config
}

/// The engine in the mode of the test.
pub enum Engine {
    Plain(Box<Nat>),
    Softwires(Box<Aftr>),
    Six(Box<Nat64>),
}

macro_rules! either {
    ($engine:expr, $nat:ident => $call:expr) => {
        match $engine {
            Engine::Plain($nat) => $call,
            Engine::Softwires($nat) => $call,
            Engine::Six($nat) => $call,
        }
    };
}

impl Engine {
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        match mode() {
            Mode::Plain => Self::Plain(Box::new(Nat::new(config, seed).unwrap())),
            Mode::Softwires => {
                Self::Softwires(Box::new(Aftr::new(aftr_config(config), seed).unwrap()))
            }
            Mode::Six => Self::Six(Box::new(Nat64::new(nat64_config(config), seed).unwrap())),
        }
    }

    pub fn start(&mut self, now: Timestamp, past: Past, output: &mut Output) {
        let past = match mode() {
            Mode::Plain => past,
            Mode::Softwires | Mode::Six => Past {
                held: past
                    .held
                    .into_iter()
                    .map(|held| Restored {
                        block: of_inside(held.block),
                        ..held
                    })
                    .collect(),
                resting: past
                    .resting
                    .into_iter()
                    .map(|(since, block)| (since, of_inside(block)))
                    .collect(),
                ..past
            },
        };
        either!(self, nat => nat.start(now, past, output));
        self.name_hosts(output);
    }

    pub fn batch(
        &mut self,
        now: Timestamp,
        from: Side,
        packets: &mut [Packet<'_>],
        output: &mut Output,
    ) {
        if let Self::Plain(nat) = self {
            return nat.batch(now, from, packets, output);
        }
        let mark = output.packets.len();
        let mut buffers: Vec<Vec<u8>> = packets
            .iter()
            .map(|packet| {
                let mut buffer = vec![0; HEADROOM];
                match (from, mode()) {
                    (Side::Inside, Mode::Softwires) => {
                        let end = b4(packet.realm, sender(packet.data));
                        buffer.extend(outer(end, AFTR, packet.data));
                        buffer.extend(&*packet.data);
                    }
                    (Side::Inside, Mode::Six) => buffer.extend(to_six(packet)),
                    _ => buffer.extend(&*packet.data),
                }
                buffer
            })
            .collect();
        let mut slots: Vec<Slot<'_>> = buffers
            .iter_mut()
            .zip(&*packets)
            .map(|(buffer, packet)| {
                let range = HEADROOM..buffer.len();
                let mut slot = Slot::new(buffer, range);
                (slot.realm, slot.offload) = (packet.realm, packet.offload);
                slot
            })
            .collect();
        match self {
            Self::Plain(_) => {}
            Self::Softwires(aftr) => aftr.batch(now, from, &mut slots, output),
            Self::Six(nat64) => nat64.batch(now, from, &mut slots, output),
        }
        for (packet, slot) in packets.iter_mut().zip(&slots) {
            (packet.verdict, packet.realm) = (slot.verdict, slot.realm);
            let bytes = match slot.verdict {
                Verdict::Forward {
                    to: Side::Inside,
                    realm,
                    ..
                } => unwrapped(realm, slot.bytes()),
                _ => slot.bytes().to_vec(),
            };
            if bytes.first().is_some_and(|first| first >> 4 == 4) {
                let mut bytes = bytes.to_vec();
                if mode() == Mode::Six && matches!(slot.verdict, Verdict::Forward { .. }) {
                    as_before(&mut bytes, packet.data);
                }
                let length = bytes.len().min(packet.data.len());
                packet.data[..length].copy_from_slice(&bytes[..length]);
            }
        }
        for Emitted {
            data, to, realm, ..
        } in &mut output.packets[mark..]
        {
            if *to == Side::Inside {
                *data = unwrapped(*realm, data);
            }
        }
        self.name_hosts(output);
    }

    pub fn advance(&mut self, now: Timestamp, output: &mut Output) {
        either!(self, nat => nat.advance(now, output));
        self.name_hosts(output);
    }

    pub fn next_timeout(&self) -> Option<Timestamp> {
        either!(self, nat => nat.next_timeout())
    }

    pub fn durable(&mut self, events: EventNumber) {
        either!(self, nat => nat.durable(events));
    }

    pub fn held_blocks(&self) -> Vec<(Block, Timestamp)> {
        let held: Vec<(Block, Timestamp)> = either!(self, nat => nat.held_blocks().collect());
        let named = held.into_iter().map(|(mut block, since)| {
            block.subscriber = of_host(&block.subscriber);
            (block, since)
        });
        named.collect()
    }

    pub fn counters(&self) -> &Counters {
        either!(self, nat => nat.counters())
    }

    pub fn size(&mut self) -> Size {
        either!(self, nat => nat.size())
    }

    /// Puts the address of a host in the place of its B4's, in what was told.
    fn name_hosts(&self, output: &mut Output) {
        use portledger_model::Event;
        if mode() == Mode::Plain {
            return;
        }
        for told in &mut output.events {
            match &mut told.event {
                Event::Allocated(block) | Event::Released { block, .. } => {
                    block.subscriber = of_host(&block.subscriber);
                }
                Event::LimitReached { subscriber, .. } => *subscriber = of_host(subscriber),
                _ => {}
            }
        }
    }
}

fn of_host(subscriber: &Subscriber) -> Subscriber {
    let Some(end) = subscriber.internal().prefix() else {
        return subscriber.clone();
    };
    let host = u32::try_from(end.network().to_bits() & u128::from(u32::MAX)).unwrap();
    Subscriber::new(subscriber.realm().clone(), Ipv4Addr::from_bits(host).into())
}

fn of_inside(block: Block) -> Block {
    let Internal::Address(host) = block.subscriber.internal() else {
        panic!("told in another family")
    };
    let number = u16::from(block.subscriber.realm().as_str() == "west");
    let end = b4(RealmIndex(number), host);
    let realm = block.subscriber.realm().clone();
    let subscriber = match mode() {
        Mode::Six => Subscriber::prefix(realm, end.into()),
        Mode::Plain | Mode::Softwires => Subscriber::softwire(realm, end.into()),
    };
    Block {
        subscriber,
        ..block
    }
}

/// The host a packet from the inside is from: for an error, the one it is about.
fn sender(packet: &[u8]) -> Ipv4Addr {
    let at = |packet: &[u8], at: usize| {
        let octets = packet
            .get(at..at + 4)
            .and_then(<[u8]>::first_chunk::<4>)
            .copied()
            .unwrap_or([100, 64, 0, 1]);
        Ipv4Addr::from(octets)
    };
    if packet.len() >= 20 && packet.len() >= header_length(packet) + 28 && is_icmp_error(packet) {
        at(packet, header_length(packet) + 8 + 16)
    } else {
        at(packet, 12)
    }
}

/// An IPv6 header around an IPv4 packet.
pub fn outer(source: Ipv6Addr, destination: Ipv6Addr, packet: &[u8]) -> Vec<u8> {
    let class = packet.get(1).copied().unwrap_or(0);
    let length = if packet.len() >= 20 {
        usize::from(word(packet, 2)).clamp(20, packet.len())
    } else {
        packet.len()
    };
    let mut header = vec![0x60 | class >> 4, class << 4, 0, 0];
    header.extend(u16::try_from(length).unwrap().to_be_bytes());
    header.extend([4, 64]);
    header.extend(source.octets());
    header.extend(destination.octets());
    header
}

/// The IPv4 packet in what goes to the inside.
fn unwrapped(realm: RealmIndex, packet: &[u8]) -> Vec<u8> {
    if mode() == Mode::Six {
        return from_six(realm, packet);
    }
    let inner = &packet[40..];
    let host = Ipv4Addr::new(inner[16], inner[17], inner[18], inner[19]);
    assert_eq!(
        packet[..40],
        outer(AFTR, b4(realm, host), inner),
        "the outer header"
    );
    assert_eq!(inner.len(), usize::from(word(inner, 2)), "and nothing else");
    inner.to_vec()
}
