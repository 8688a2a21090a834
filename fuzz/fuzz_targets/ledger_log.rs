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
    assert!(stats.unsealed <= stats.records, "{stats:?}");
    let resumes = ledger
        .resumes(Timestamp::MIN)
        .expect("what is in memory can be read");
    for device in ledger.devices() {
        let resume = ledger
            .resume(device, Timestamp::MIN)
            .expect("what is in memory can be read");
        let among_all = resumes.iter().any(|(of, _)| of == device);
        assert_eq!(resume.is_some(), among_all);
        // Whoever told of rules alone has nothing to go on with.
        let Some(resume) = resume else { continue };
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
    let by_subscriber = ledger
        .by_subscriber(&block.subscriber, ALL)
        .expect("what is in memory can be read");
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
        .coverage(external, ALL, Timestamp::MAX)
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

/// The file with every checksum right, up to where its lengths lead nowhere.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    match bytes.get(8..12) {
        Some([2, 0, 0, 0]) => sealed_2(bytes),
        _ => sealed_1(bytes),
    }
}

/// Version 1: a header of fixed length, lengths of two bytes.
fn sealed_1(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = bytes.to_vec();
    let Some((header, rest)) = sealed.split_at_mut_checked(HEADER) else {
        return sealed;
    };
    let crc = crc32c::crc32c(&header[..20]);
    header[20..].copy_from_slice(&crc.to_le_bytes());
    seal_frames(rest, 2);
    sealed
}

/// Version 2: hashes in the header, lengths of four bytes.
fn sealed_2(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = bytes.to_vec();
    let hashes = usize::from(*sealed.get(20).unwrap_or(&0));
    let end = 21 + hashes * 32;
    let Some((header, rest)) = sealed.split_at_mut_checked(end + 4) else {
        return sealed;
    };
    let crc = crc32c::crc32c(&header[..end]);
    header[end..].copy_from_slice(&crc.to_le_bytes());
    seal_frames(rest, 4);
    sealed
}

fn seal_frames(mut rest: &mut [u8], width: usize) {
    let frame = width + 4;
    while rest.len() > frame {
        let mut length = [0; 8];
        length[..width].copy_from_slice(&rest[..width]);
        let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
        let Some(end) = frame.checked_add(length) else {
            break;
        };
        let Some((this, after)) = rest.split_at_mut_checked(end) else {
            break;
        };
        let crc = crc32c::crc32c_append(crc32c::crc32c(&this[..width]), &this[frame..]);
        this[width..frame].copy_from_slice(&crc.to_le_bytes());
        rest = after;
    }
}
