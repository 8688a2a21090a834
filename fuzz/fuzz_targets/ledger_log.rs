//! Any bytes as a file of the ledger's log: as they are, and with right checksums, so that what
//! the checksums guard is read too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portledger_ledger::Ledger;
use portledger_model::{Allocation, Block, Evidence, External, Span, Timestamp};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ledger) = Ledger::from_bytes(bytes) {
        check(&ledger);
    }
    let sealed = sealed(bytes);
    if let Ok(ledger) = Ledger::from_bytes(&sealed) {
        check(&ledger);
        check_torn(&sealed, &ledger);
    }
});

const ALL: Span = Span {
    from: Timestamp::MIN,
    to: Timestamp::MAX,
};

/// What a device would go on with is found by whoever asks for it, from either end.
fn check(ledger: &Ledger) {
    let stats = ledger.stats();
    assert!(stats.open <= stats.allocations, "{stats:?}");
    assert!(stats.allocations <= stats.records, "{stats:?}");
    assert!(stats.first <= stats.last, "{stats:?}");
    for device in ledger.devices() {
        let resume = ledger
            .resume(device, Timestamp::MIN)
            .expect("it has a record");
        for held in resume
            .open
            .iter()
            .filter(|held| held.since < Timestamp::MAX)
        {
            check_found(ledger, &held.block, held.since);
        }
        // What was given back in the moment it was handed out is in no span.
        for rested in resume
            .released
            .iter()
            .filter(|rested| rested.since < rested.at)
        {
            check_found(ledger, &rested.block, rested.since);
        }
    }
}

fn check_found(ledger: &Ledger, block: &Block, since: Timestamp) {
    let external = External {
        address: block.external,
        port: Some(block.ports.last()),
        transport: block.transport,
    };
    let holders = ledger
        .holders(external, ALL)
        .expect("what is in memory can be read");
    assert!(holders.is_sorted_by_key(|held| held.from));
    let is_it = |held: &Allocation| held.block == *block && held.from == since;
    assert!(
        holders.iter().any(is_it),
        "{block:?} is not found by its port"
    );
    let by_subscriber = ledger.by_subscriber(&block.subscriber, ALL);
    assert!(
        by_subscriber.iter().any(is_it),
        "{block:?} is not found by its subscriber"
    );

    let nearest = ledger
        .nearest(external, since)
        .expect("what is in memory can be read");
    assert!(
        nearest
            .before
            .is_none_or(|before| before.to.is_some_and(|to| to <= since))
    );
    assert!(nearest.after.is_none_or(|after| after.from > since));
    let coverage = ledger
        .coverage(block.external, ALL, Timestamp::MAX)
        .expect("what is in memory can be read");
    assert!(coverage.gaps.iter().all(|gap| !gap.span.is_empty()));
}

/// A crash may tear the last file at any byte; what stands before is read, and nothing else.
fn check_torn(bytes: &[u8], whole: &Ledger) {
    let records = whole.stats().records;
    let cut = bytes.len() - bytes.len().min(1 + bytes.len() % 61);
    match Ledger::from_bytes(&bytes[..cut]) {
        Ok(torn) => assert!(torn.stats().records <= records),
        Err(error) => panic!("cut at {cut} of {}: {error}", bytes.len()),
    }
}

const HEADER: usize = 24;
const FRAME: usize = 6;

/// The file with every checksum right, up to where its lengths lead nowhere.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = bytes.to_vec();
    let Some((header, mut rest)) = sealed.split_at_mut_checked(HEADER) else {
        return sealed;
    };
    let crc = crc32c::crc32c(&header[..20]);
    header[20..].copy_from_slice(&crc.to_le_bytes());
    while rest.len() > FRAME {
        let length = usize::from(u16::from_le_bytes([rest[0], rest[1]]));
        let Some((frame, after)) = rest.split_at_mut_checked(FRAME + length) else {
            break;
        };
        let crc = crc32c::crc32c_append(crc32c::crc32c(&frame[..2]), &frame[FRAME..]);
        frame[2..FRAME].copy_from_slice(&crc.to_le_bytes());
        rest = after;
    }
    sealed
}
