//! What other collectors were seen to get wrong when they are asked; `docs/collectors.md` lists which
//! test is against which.

use std::{net::UdpSocket, time::Duration};

use portledger_ledger::Ledger;
use portledger_model::{Evidence as _, External, Span, Timestamp};
use portledger_wire::flow::{ExportSettings, Exporter, Version};

use super::{
    POOL, Phase, Protocol, UDP, block, collect, everybody, heard_events, listener, settings, time,
    told, who,
};

fn holders(dir: &std::path::Path, port: u16, at: Timestamp, within: Duration) -> Vec<u8> {
    let ledger = Ledger::read(dir).unwrap();
    let external = External {
        address: POOL,
        port: Some(port),
        transport: None,
    };
    let held = ledger.holders(external, Span::new(at, at.after(within)));
    let mut hosts: Vec<_> = held
        .unwrap()
        .iter()
        .map(|held| {
            (1..=9)
                .find(|host| held.block.subscriber == who(*host))
                .unwrap()
        })
        .collect();
    hosts.sort_unstable();
    hosts
}

/// nfdump 1.7.1 drops blocks over IPFIX, its filters compare a port with the flow's own, and windows
/// of time miss what began before them; others look back for one or three hours only.
#[test]
fn a_block_is_found_by_each_of_its_ports_at_each_moment_it_was_held_however_it_was_told() {
    for version in [Version::Ipfix, Version::NetFlow9] {
        let dir = tempfile::tempdir().unwrap();
        let dialects = super::Dialects::built_in();
        // Handed out fifty hours ago and held until an hour ago.
        let begins = time(0).before(Duration::from_secs(49 * 3_600));
        let events = [
            block(begins, Phase::Begun, 1, 0),
            block(begins.after(Duration::from_secs(1)), Phase::Begun, 2, 1),
            block(time(0), Phase::Ended, 1, 0),
            block(time(10), Phase::Begun, 3, 0),
        ];
        let mut exporter = Exporter::new(ExportSettings {
            version,
            booted: begins,
            ..ExportSettings::default()
        });
        let figures = collect(
            dir.path(),
            settings(&dialects, vec![listener(Protocol::Flows, UDP)], everybody()),
            |addresses| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                for event in &events {
                    let (mut message, one) = (Vec::new(), std::slice::from_ref(event));
                    let sent = event.at.timestamp();
                    exporter.message(sent, one, &mut message).unwrap();
                    socket.send_to(&message, addresses[0]).unwrap();
                }
            },
            heard_events(4),
        );
        // Not "Flows: 0".
        assert_eq!(figures.sum(|device| device.events), 4);
        let moment = Duration::from_micros(1);
        for hours in [0, 1, 2, 5, 25, 48] {
            let at = begins.after(Duration::from_secs(hours * 3_600 + 7));
            for port in [1_024, 1_025, 1_200, 1_279] {
                assert_eq!(
                    holders(dir.path(), port, at, moment),
                    [1],
                    "{hours} h, {port}"
                );
            }
            assert_eq!(holders(dir.path(), 1_023, at, moment), [0_u8; 0]);
            assert_eq!(holders(dir.path(), 1_280, at, moment), [2]);
        }
        // Handed out and given back are not alike.
        assert_eq!(holders(dir.path(), 1_024, time(5), moment), [0_u8; 0]);
        assert_eq!(holders(dir.path(), 1_024, time(11), moment), [3]);
        // A window that touches both lists both.
        let window = Duration::from_secs(60);
        assert_eq!(
            holders(dir.path(), 1_024, time(0).before(window), 2 * window),
            [1, 3]
        );
    }
}

/// A release may come before its allocation was written, and one may be lost: the block is nobody's
/// for ever then.
#[test]
fn a_release_that_comes_first_or_never_leaves_no_block_with_anybody_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let dialects = super::Dialects::built_in();
    collect(
        dir.path(),
        settings(&dialects, vec![listener(Protocol::Lines, UDP)], everybody()),
        |addresses| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for event in [
                block(time(9), Phase::Ended, 1, 0),
                block(time(1), Phase::Begun, 1, 0),
                block(time(2), Phase::Begun, 2, 1),
                // 2's release is lost.
                block(time(50), Phase::Begun, 3, 1),
            ] {
                socket.send_to(&told("cgn1", &event), addresses[0]).unwrap();
            }
        },
        heard_events(4),
    );
    let moment = Duration::from_micros(1);
    assert_eq!(holders(dir.path(), 1_024, time(5), moment), [1]);
    assert_eq!(holders(dir.path(), 1_024, time(10), moment), [0_u8; 0]);
    assert_eq!(holders(dir.path(), 1_280, time(49), moment), [2]);
    assert_eq!(holders(dir.path(), 1_280, time(51), moment), [3]);
}
