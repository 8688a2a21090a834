//! The tables of the modes that hand out ports.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4},
};

use ipnet::Ipv4Net;
use portledger_model::{Realm, Transport};
use portledger_nat::{Filtering, IcmpRefusal, Mtu, RealmIndex, Timers};
use portledger_ports::{Limits as PortLimits, Pooling, StaticMapping};
use serde::Deserialize;

use super::{
    ValueError,
    value::{Range, Time, set, time},
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PortsTable {
    pub(super) range: Option<Range>,
    #[serde(default)]
    pub(super) preserve_parity: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Blocks {
    pub(super) size: Option<u32>,
    pub(super) guard_time: Option<Time>,
    pub(super) idle: Option<Time>,
    #[serde(default)]
    pub(super) pooling: PoolingName,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PoolingName {
    #[default]
    Paired,
    PairedStrict,
    Arbitrary,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) blocks: Option<u32>,
    pub(super) tcp_ports: Option<u32>,
    pub(super) udp_ports: Option<u32>,
    pub(super) icmp_identifiers: Option<u32>,
    pub(super) rate: Option<u32>,
    pub(super) mappings: Option<u32>,
    pub(super) sessions: Option<u32>,
    pub(super) sessions_per_mapping: Option<u16>,
    pub(super) fragmented: Option<usize>,
    pub(super) fragment_bytes: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimersTable {
    pub(super) udp: Option<Time>,
    #[serde(default)]
    pub(super) udp_by_port: BTreeMap<String, Time>,
    pub(super) tcp_established: Option<Time>,
    pub(super) tcp_opening: Option<Time>,
    pub(super) tcp_closing: Option<Time>,
    pub(super) icmp: Option<Time>,
    pub(super) fragment: Option<Time>,
    pub(super) incoming_syn: Option<Time>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilteringTable {
    #[serde(default)]
    pub(super) tcp: FilteringName,
    #[serde(default)]
    pub(super) udp: FilteringName,
    #[serde(default)]
    pub(super) icmp: FilteringName,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FilteringName {
    #[default]
    EndpointIndependent,
    AddressDependent,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clocks {
    pub(super) device: Option<Time>,
    pub(super) servers: Option<Time>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NatTable {
    #[serde(default)]
    pub(super) exempt: Vec<Ipv4Net>,
    #[serde(default)]
    pub(super) inbound_refresh: bool,
    pub(super) tcp_pick_up: Option<bool>,
    #[serde(default)]
    pub(super) icmp_refusal: IcmpRefusalName,
    pub(super) icmp_rate: Option<u32>,
    pub(super) own_address: Option<Ipv4Addr>,
    pub(super) inside_mtu: Option<u16>,
    pub(super) outside_mtu: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum IcmpRefusalName {
    #[default]
    HostUnreachable,
    AdministrativelyProhibited,
    Silent,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StaticTable {
    #[serde(default = "default_realm")]
    pub(super) realm: String,
    pub(super) internal: SocketAddr,
    /// The B4 behind which the internal address is.
    pub(super) softwire: Option<Ipv6Addr>,
    pub(super) external: SocketAddrV4,
    pub(super) transport: TransportName,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TransportName {
    Tcp,
    Udp,
    Icmp,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeterministicTable {
    pub(super) inside: Ipv4Net,
    pub(super) compression: u32,
    #[serde(default)]
    pub(super) dynamic: u32,
}

impl PortsTable {
    pub(super) fn apply(self, ports: &mut portledger_ports::Config) {
        set(&mut ports.port_range, self.range.map(|range| range.0));
        ports.preserve_parity = self.preserve_parity;
    }
}

impl Blocks {
    pub(super) fn apply(self, ports: &mut portledger_ports::Config) {
        set(&mut ports.block_size, self.size);
        set(&mut ports.guard_time, time(self.guard_time));
        set(&mut ports.block_idle, time(self.idle));
        ports.pooling = match self.pooling {
            PoolingName::Paired => Pooling::Paired,
            PoolingName::PairedStrict => Pooling::PairedStrict,
            PoolingName::Arbitrary => Pooling::Arbitrary,
        };
    }
}

impl FilteringTable {
    pub(super) fn checked(self) -> [Filtering; 3] {
        [self.tcp, self.udp, self.icmp].map(|name| match name {
            FilteringName::EndpointIndependent => Filtering::EndpointIndependent,
            FilteringName::AddressDependent => Filtering::AddressDependent,
        })
    }
}

impl Limits {
    pub(super) fn of_a_subscriber(&self) -> PortLimits {
        PortLimits {
            blocks: self.blocks.unwrap_or(PortLimits::default().blocks),
            ports: [self.tcp_ports, self.udp_ports, self.icmp_identifiers],
            rate: self.rate,
        }
    }
}

impl TimersTable {
    pub(super) fn checked(self) -> Result<Timers, ValueError> {
        let mut timers = Timers::default();
        set(&mut timers.udp, time(self.udp));
        set(&mut timers.tcp_established, time(self.tcp_established));
        set(&mut timers.tcp_opening, time(self.tcp_opening));
        set(&mut timers.tcp_closing, time(self.tcp_closing));
        set(&mut timers.icmp, time(self.icmp));
        set(&mut timers.fragment, time(self.fragment));
        set(&mut timers.incoming_syn, time(self.incoming_syn));
        for (port, time) in self.udp_by_port {
            let number = port.parse().map_err(|_| ValueError::UdpPort(port))?;
            timers.udp_by_port.push((number, time.0));
        }
        Ok(timers)
    }
}

impl NatTable {
    pub(super) fn apply(self, nat: &mut portledger_nat::Config) {
        nat.exempt = self.exempt;
        nat.inbound_refresh = self.inbound_refresh;
        set(&mut nat.tcp_pick_up, self.tcp_pick_up);
        nat.icmp_refusal = match self.icmp_refusal {
            IcmpRefusalName::HostUnreachable => IcmpRefusal::HostUnreachable,
            IcmpRefusalName::AdministrativelyProhibited => IcmpRefusal::AdministrativelyProhibited,
            IcmpRefusalName::Silent => IcmpRefusal::Silent,
        };
        set(&mut nat.icmp_rate, self.icmp_rate);
        set(&mut nat.own_address, self.own_address);
        let Mtu { inside, outside } = Mtu::default();
        nat.mtu = Mtu {
            inside: self.inside_mtu.unwrap_or(inside),
            outside: self.outside_mtu.unwrap_or(outside),
        };
    }
}

impl StaticTable {
    pub(super) fn checked(&self, realms: &[Realm]) -> Result<StaticMapping, ValueError> {
        let realm = realms
            .iter()
            .position(|realm| realm.as_str() == self.realm)
            .and_then(|number| u16::try_from(number).ok())
            .ok_or_else(|| ValueError::StaticRealm(self.realm.clone()))?;
        // The engine says what does not fit its subscribers.
        let (internal, behind) = match (self.internal.ip(), self.softwire) {
            (IpAddr::V4(behind), Some(softwire)) => (softwire.into(), Some(behind)),
            (internal, _) => (internal, None),
        };
        Ok(StaticMapping {
            realm: RealmIndex(realm),
            internal,
            behind,
            internal_port: self.internal.port(),
            external: *self.external.ip(),
            external_port: self.external.port(),
            transport: match self.transport {
                TransportName::Tcp => Transport::Tcp,
                TransportName::Udp => Transport::Udp,
                TransportName::Icmp => Transport::Icmp,
            },
        })
    }
}

fn default_realm() -> String {
    "default".into()
}
