//! Any bytes as RADIUS: as a packet, and as a packet whose sender knows the secret; as a detail
//! file of FreeRADIUS's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portledger_model::{Realm, Timestamp};
use portledger_wire::radius::{DetailReader, Packet, Secret};

const RECEIVED: Timestamp = Timestamp::from_secs(1_800_000_000);

fuzz_target!(|bytes: &[u8]| {
    packet(bytes);
    let mut reader = DetailReader::default();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let _ = reader.line(line);
    }
    let _ = reader.finish();
    assert!(reader.is_between());
});

fn packet(bytes: &[u8]) {
    let Ok(packet) = Packet::parse(bytes) else {
        return;
    };
    let inside: usize = packet.attributes().map(|it| it.value.len() + 2).sum();
    assert_eq!(
        inside + Packet::HEADER,
        packet.bytes().len(),
        "the attributes are all there is"
    );
    for extended in packet.extended().into_iter().flatten() {
        assert!((241..=246).contains(&extended.kind) && !extended.value.is_empty());
    }
    let _ = packet.vendor(3_561).count();

    // The same, sent by somebody who knows the secret.
    let secret = Secret::new(b"fuzzed").expect("not empty");
    let Some(signed) = packet.signed(&secret) else {
        return;
    };
    let signed = Packet::parse(&signed).expect("its lengths did not change");
    let Ok(request) = signed.verify(&secret) else {
        return;
    };
    let response = request.response(&secret);
    let answered = Packet::parse(&response).expect("what we send can be read");
    assert_eq!(answered.identifier(), packet.identifier());
    assert!(response.len() <= packet.bytes().len());
    if let Ok(accounting) = request.accounting() {
        for ports in request.ports().into_iter().flatten() {
            let _ = ports.event(&accounting, RECEIVED, &Realm::default());
        }
    }
}
