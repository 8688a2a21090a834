//! Any bytes as lease files: each reader is given any file, and all that is read becomes
//! intervals, which are the same in reverse.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portledger_identity::{
    Sessions,
    sessions::{Fact, Reading},
};
use portledger_model::Timestamp;
use portledger_wire::{
    leases::{DnsmasqReader, IscReader, KeaReader, Lease, LegalReader, Reading as Read},
    radius::DetailReader,
};

const WRITTEN: Timestamp = Timestamp::from_secs(1_800_000_000);

fuzz_target!(|bytes: &[u8]| {
    let lines = || bytes.split_inclusive(|byte| *byte == b'\n');
    let (mut kea, mut isc) = (KeaReader::default(), IscReader::default());
    let (mut dnsmasq, mut legal) = (DnsmasqReader::new(WRITTEN), LegalReader);
    let mut leases = Vec::new();
    for line in lines() {
        for read in [
            kea.line(line),
            isc.line(line),
            dnsmasq.line(line),
            legal.line(line),
        ] {
            leases.extend(of(read));
        }
    }
    leases.extend(of(isc.finish()));
    assert!(isc.is_between());

    let reading = Reading::default();
    let mut facts: Vec<Fact> = leases.iter().flat_map(|it| reading.lease(it)).collect();
    let mut detail = DetailReader::default();
    let mut records: Vec<_> = lines().filter_map(|line| detail.line(line)).collect();
    records.extend(detail.finish());
    for record in records.into_iter().flatten() {
        let fact = reading.accounting(&record.accounting, record.received);
        facts.extend(fact.ok().flatten());
    }
    let there = intervals(facts.iter());
    assert_eq!(there, intervals(facts.iter().rev()), "whatever the order");
});

fn of(read: Read) -> Vec<Lease> {
    match read {
        Read::Lease(lease) => vec![lease],
        Read::Leases(leases) => leases.into_iter().flatten().collect(),
        Read::Nothing | Read::Rejected(_) => Vec::new(),
    }
}

fn intervals<'a>(facts: impl Iterator<Item = &'a Fact>) -> Vec<portledger_identity::Interval> {
    let mut sessions = Sessions::default();
    for fact in facts {
        sessions.take(fact.clone());
    }
    sessions.drain()
}
