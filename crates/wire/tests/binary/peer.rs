//! A second opinion: another implementation reads what we write, and finds the same in it.

use std::fmt::Debug;

use netflow_parser::{
    NetflowPacket, NetflowParser,
    variable_versions::{ipfix, v9},
};
use portledger_model::{PortRange, Realm, Subscriber, Timestamp, Transport};
use portledger_wire::{
    EventTime, Holding, Kind, NatEvent, Phase, Told,
    flow::{ExportSettings, Version},
};

use crate::round_trip::export;

/// The fields of every data record, as the other implementation prints them.
fn peer_reads(version: Version, events: &[NatEvent]) -> Vec<Vec<String>> {
    let settings = ExportSettings {
        version,
        domain: 7,
        ..ExportSettings::default()
    };
    let mut parser = NetflowParser::default();
    let mut records = Vec::new();
    for message in export(settings, events) {
        let result = parser.parse_bytes(&message);
        assert!(result.is_ok(), "{:?}", result.error);
        for packet in result.packets {
            match packet {
                NetflowPacket::IPFix(packet) => {
                    records.extend(packet.flowsets.iter().flat_map(|set| of_ipfix(&set.body)));
                }
                NetflowPacket::V9(packet) => {
                    records.extend(packet.flowsets.iter().flat_map(|set| of_v9(&set.body)));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    records
}

fn of_ipfix(body: &ipfix::FlowSetBody) -> Vec<Vec<String>> {
    match body {
        ipfix::FlowSetBody::Data(data) => data.fields.iter().map(|row| shown(row)).collect(),
        ipfix::FlowSetBody::OptionsData(data) => data.fields.iter().map(|row| shown(row)).collect(),
        ipfix::FlowSetBody::NoTemplate(missing) => panic!("{missing:?}"),
        _ => Vec::new(),
    }
}

fn of_v9(body: &v9::FlowSetBody) -> Vec<Vec<String>> {
    match body {
        v9::FlowSetBody::Data(data) => data.fields.iter().map(|row| shown(row)).collect(),
        v9::FlowSetBody::OptionsData(data) => data
            .fields
            .iter()
            .map(|row| shown(&row.options_fields))
            .collect(),
        v9::FlowSetBody::NoTemplate(missing) => panic!("{missing:?}"),
        _ => Vec::new(),
    }
}

fn shown<F: Debug, V: Debug>(row: &[(F, V)]) -> Vec<String> {
    row.iter()
        .map(|(field, value)| format!("{field:?} {value:?}"))
        .collect()
}

fn events() -> Vec<NatEvent> {
    let at = Timestamp::from_millis(1_790_000_000_123);
    let v4 = Subscriber::new(Realm::default(), "100.64.3.9".parse().unwrap());
    let west = || Realm::new("west").unwrap();
    let v6 = Subscriber::new(west(), "2001:db8::9".parse().unwrap());
    let prefix = Subscriber::prefix(west(), "2001:db8:1:2::/64".parse().unwrap());
    let softwire = Subscriber::softwire(west(), "2001:db8::7".parse().unwrap());
    let holding = |phase, kind, subscriber, ports, transport, since| NatEvent {
        at: EventTime::Told(at),
        told: Told::Ports(Holding {
            phase,
            kind,
            subscriber: Some(subscriber),
            external: [203, 0, 113, 7].into(),
            ports,
            transport,
            since,
        }),
    };
    let block = PortRange::new(1_024, 1_535).unwrap();
    let since = Some(Timestamp::from_millis(1_789_999_000_000));
    let session = Kind::Session {
        internal_port: Some(5_000),
        destination: Some("198.51.100.1:443".parse().unwrap()),
    };
    let mapping = Kind::Mapping {
        internal_port: Some(5_000),
    };
    let single = PortRange::single(40_000);
    vec![
        holding(Phase::Begun, Kind::Block, v4.clone(), block, None, None),
        holding(Phase::Ended, Kind::Block, v4.clone(), block, None, since),
        holding(
            Phase::Begun,
            session,
            v4,
            single,
            Some(Transport::Tcp),
            None,
        ),
        holding(
            Phase::Ended,
            mapping,
            v6,
            single,
            Some(Transport::Udp),
            None,
        ),
        holding(Phase::Begun, Kind::Block, prefix, block, None, None),
        holding(Phase::Begun, Kind::Block, softwire, block, None, None),
        NatEvent {
            at: EventTime::Told(at),
            told: Told::PoolExhausted {
                pool: Some(3),
                blocks: None,
                resting: None,
            },
        },
        NatEvent {
            at: EventTime::Told(at),
            told: Told::Heartbeat,
        },
    ]
}

#[test]
fn another_implementation_reads_our_ipfix_as_it_was_meant() {
    insta::assert_debug_snapshot!(peer_reads(Version::Ipfix, &events()));
}

#[test]
fn another_implementation_reads_our_netflow9_as_it_was_meant() {
    insta::assert_debug_snapshot!(peer_reads(Version::NetFlow9, &events()));
}
