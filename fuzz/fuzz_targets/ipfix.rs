//! Any bytes as IPFIX: as one datagram, as datagrams cut out of them, and as a stream in pieces.
//! What comes out is the same however a stream was cut, and everything that arrived is counted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portledger_model::Timestamp;
use portledger_wire::flow::{Item, Limits, Medium, Session};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    // The first byte cuts the rest into datagrams: templates in one, their data in another.
    if let Some((size, rest)) = bytes.split_first() {
        let mut session = Session::new(Medium::Datagrams, Limits::default());
        for datagram in rest.chunks(16 + usize::from(*size)) {
            session.datagram(datagram, NOW, &mut |_| {});
        }
        session.finish(NOW, &mut |_| {});
    }
    let whole = stream(bytes, bytes.len().max(1));
    assert_eq!(whole, stream(bytes, 1 + bytes.len() % 13));
});

fn check(bytes: &[u8]) {
    let mut session = Session::new(Medium::Datagrams, Limits::default());
    let (mut events, mut rejected) = (0, 0);
    session.datagram(bytes, NOW, &mut |item| match item {
        Item::Event { .. } => events += 1,
        Item::Rejected { offset, why } => {
            rejected += 1;
            assert!(offset <= bytes.len(), "{why}");
        }
        _ => {}
    });
    let counters = session.counters();
    assert_eq!((counters.events, counters.rejected), (events, rejected));
    session.finish(NOW, &mut |_| {});
    let counters = session.counters();
    assert!(counters.dropped_sets <= counters.waited_sets);
}

fn stream(bytes: &[u8], piece: usize) -> Vec<Item> {
    let mut session = Session::new(Medium::Stream, Limits::default());
    let mut items = Vec::new();
    for piece in bytes.chunks(piece) {
        if session.stream(piece, NOW, &mut |item| items.push(item)).is_err() {
            // How much of a message that is refused has arrived depends on the pieces.
            items.pop();
            break;
        }
    }
    session.finish(NOW, &mut |item| items.push(item));
    items
}
