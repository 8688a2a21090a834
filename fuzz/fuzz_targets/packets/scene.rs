//! The network around the NAT: few addresses and narrow limits, so that a short input meets them.

use std::net::Ipv4Addr;

use portledger_model::{PortRange, Realm, Transport};
use portledger_nat::{Config, Filtering, IcmpRefusal, Limits, Mtu, RealmIndex, Side};
use portledger_ports::{Config as Ports, Pool, Pooling, StaticMapping};

use crate::input::Input;

/// The external addresses.
pub(crate) const EXTERNAL: [Ipv4Addr; 2] =
    [Ipv4Addr::new(203, 0, 113, 6), Ipv4Addr::new(203, 0, 113, 7)];
/// The first of the subscribers' addresses, which both realms use.
pub(crate) const INTERNAL: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 0);
/// The first of the servers' addresses.
pub(crate) const REMOTE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 0);
/// A destination to which nothing is translated.
pub(crate) const EXEMPT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const STATIC_MAPPINGS: u32 = 1;
pub(crate) const SMALL_MTU: u16 = 600;

const REALMS: [&str; 2] = ["east", "west"];

pub(crate) struct Scene {
    choices: u8,
    /// Whether links take few bytes, so that packets are cut.
    pub(crate) small_links: bool,
    /// Whether every packet is a batch of its own.
    pub(crate) one_by_one: bool,
}

impl Scene {
    pub(crate) fn new(input: &mut Input<'_>) -> Self {
        let choices = input.byte();
        Self {
            choices,
            small_links: choices & 0x01 != 0,
            one_by_one: choices & 0x02 != 0,
        }
    }

    pub(crate) fn config(&self) -> Config {
        let chosen = |bit: u8| self.choices & bit != 0;
        let inside = "100.64.0.0/24".parse().expect("a prefix");
        let mut config = Config::new(ports(chosen(0x04)), &[]);
        config.inside = vec![(RealmIndex(0), inside), (RealmIndex(1), inside)];
        config.exempt = vec![EXEMPT.into()];
        if chosen(0x08) {
            config.filtering = [Filtering::AddressDependent; 3];
        }
        config.inbound_refresh = chosen(0x10);
        config.tcp_pick_up = !chosen(0x20);
        if chosen(0x40) {
            config.icmp_refusal = IcmpRefusal::AdministrativelyProhibited;
        }
        config.icmp_rate = 10;
        if self.small_links {
            config.mtu = Mtu {
                inside: SMALL_MTU,
                outside: SMALL_MTU,
            };
        }
        config.limits = Limits {
            mappings: 40,
            sessions: 8,
            sessions_per_mapping: 3,
            fragmented: 4,
            fragment_bytes: 4_000,
            incoming_syns: 2,
        };
        config
    }

    /// The largest packet that the link on this side takes.
    pub(crate) const fn mtu(&self, to: Side) -> usize {
        match (self.small_links, to) {
            (true, _) => SMALL_MTU as usize,
            (false, _) => u16::MAX as usize,
        }
    }
}

/// Four blocks on each of two addresses.
fn ports(strict: bool) -> Ports {
    let pool = EXTERNAL.map(|address| address.to_string());
    let mut ports = Ports::new(Pool::parse(&pool).expect("a pool"));
    ports.realms = REALMS
        .map(|name| Realm::new(name).expect("a name"))
        .to_vec();
    ports.port_range = PortRange::new(1_024, 1_279).expect("a range");
    ports.block_size = 64;
    ports.limits.blocks = 2;
    ports.limits.ports = [None, Some(4), None];
    ports.limits.rate = strict.then_some(6);
    if strict {
        ports.pooling = Pooling::PairedStrict;
    }
    ports.static_mappings = vec![StaticMapping {
        realm: RealmIndex(0),
        internal: host(1).into(),
        behind: None,
        internal_port: 80,
        external: EXTERNAL[0],
        external_port: 80,
        transport: Transport::Tcp,
    }];
    ports
}

/// The realm's name in the event log.
pub(crate) fn realm_name(realm: RealmIndex) -> &'static str {
    REALMS[usize::from(realm.0)]
}

/// A subscriber's address.
pub(crate) fn host(number: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(INTERNAL.to_bits() | u32::from(number))
}

pub(crate) fn is_internal(address: Ipv4Addr) -> bool {
    address.to_bits() >> 8 == INTERNAL.to_bits() >> 8
}
