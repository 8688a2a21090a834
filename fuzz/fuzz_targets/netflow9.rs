//! Any bytes as NetFlow v9: as one datagram, and cut into several. And any events that come out
//! of them go out again and come back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portledger_model::Timestamp;
use portledger_wire::{
    NatEvent,
    flow::{ExportSettings, Exporter, Item, Limits, Medium, Precision, Session, Version},
};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

fuzz_target!(|bytes: &[u8]| {
    let events = read([bytes]);
    there_and_back(Version::NetFlow9, &events);
    there_and_back(Version::Ipfix, &events);
    if let Some((size, rest)) = bytes.split_first() {
        read(rest.chunks(20 + usize::from(*size)));
    }
});

fn read<'a>(datagrams: impl IntoIterator<Item = &'a [u8]>) -> Vec<NatEvent> {
    let mut session = Session::new(Medium::Datagrams, Limits::default());
    let mut events = Vec::new();
    for datagram in datagrams {
        session.datagram(datagram, NOW, &mut |item| match item {
            Item::Event { event, .. } => events.push(event),
            Item::Rejected { offset, why } => assert!(offset <= datagram.len(), "{why}"),
            _ => {}
        });
    }
    session.finish(NOW, &mut |_| {});
    assert_eq!(session.counters().events, events.len() as u64);
    events
}

/// What can be exported at all is read as it was, once it has been exported once: the first time
/// cuts what a field cannot hold.
fn there_and_back(version: Version, events: &[NatEvent]) {
    let once = export(version, events);
    let twice = export(version, &once);
    assert_eq!(once, twice);
}

fn export(version: Version, events: &[NatEvent]) -> Vec<NatEvent> {
    let mut exporter = Exporter::new(ExportSettings {
        version,
        precision: Precision::Microseconds,
        ..ExportSettings::default()
    });
    let mut session = Session::new(Medium::Datagrams, Limits::default());
    let (mut rest, mut message, mut back) = (events, Vec::new(), Vec::new());
    let mut sent = 0;
    while let Some((_, behind)) = rest.split_first() {
        let Ok(taken) = exporter.message(NOW, rest, &mut message) else {
            rest = behind;
            continue;
        };
        sent += taken;
        rest = &rest[taken..];
        session.datagram(&message, NOW, &mut |item| match item {
            Item::Event { event, .. } => back.push(event),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(back.len(), sent);
    back
}
