//! Lease files, cut at every byte and read in whatever pieces.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use portledger_model::Timestamp;
use portledger_wire::leases::{
    DnsmasqReader, IscReader, KeaReader, Lease, LegalReader, Reading, Reason, Told,
};
use proptest::prelude::*;

const KEA: &str = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id\n\
100.64.3.9,00:00:5e:00:53:01,01:00:00:5e:00:53:01,3600,1795266000,1,0,0,nemo,0,{ \"a\": 1&#x2c \"b\": 2 },0\n\
100.64.3.9,00:00:5e:00:53:01,01:00:00:5e:00:53:01,3600,1795267800,1,0,0,nemo,0,,0\n\
100.64.3.9,,,0,1795266000,1,0,0,,2,,0\n";
const ISC: &str = "server-duid \"\\000\\001\\000\\001\";\n\nlease 100.64.3.9 {\n  starts 6 2026/11/21 12:00:00;\n  ends 6 2026/11/21 13:00:00;\n  cltt 6 2026/11/21 12:00:00;\n  binding state active;\n  hardware ethernet 00:00:5e:00:53:01;\n  set vendor-class-identifier = \"a \\\"quoted\\\" { brace\";\n}\nia-na \"\\001\\000\\000\\000\\000\\003\\000\\001\\012\" {\n  cltt 6 2026/11/21 12:00:00;\n  iaaddr 2001:db8::1 {\n    binding state active;\n    ends 6 2026/11/21 13:00:00;\n  }\n}\n";
const DNSMASQ: &str = "1795266000 00:00:5e:00:53:01 100.64.3.9 nemo 01:00:00:5e:00:53:01\nduid 00:01:00:01\n0 7 2001:db8::1 * 00:03:00:01:0a\n";
const LEGAL: &str = "2026-11-21 12:00:00 UTC Address: 100.64.3.9 has been assigned for 1 hrs 0 min 0 secs to a device with hardware address: hwtype=1 00:00:5e:00:53:01\n2026-11-21 12:30:00 UTC Address: 100.64.3.9 has been released from a device with hardware address: hwtype=1 00:00:5e:00:53:01\n";

/// What is read of a file by each reader: any reader may be given any file.
fn read(file: &[u8]) -> [Vec<Reading>; 4] {
    let lines = || file.split_inclusive(|byte| *byte == b'\n');
    let mut kea = KeaReader::default();
    let mut isc = IscReader::default();
    let mut dnsmasq = DnsmasqReader::new(Timestamp::from_secs(1_795_262_400));
    let mut legal = LegalReader;
    let mut declarations: Vec<Reading> = lines().map(|line| isc.line(line)).collect();
    declarations.push(isc.finish());
    [
        lines().map(|line| kea.line(line)).collect(),
        declarations,
        lines().map(|line| dnsmasq.line(line)).collect(),
        lines().map(|line| legal.line(line)).collect(),
    ]
}

fn leases(read: &[Reading]) -> Vec<&Lease> {
    let mut leases = Vec::new();
    for reading in read {
        match reading {
            Reading::Leases(all) => leases.extend(all.iter().flatten()),
            Reading::Lease(lease) => leases.push(lease),
            Reading::Nothing | Reading::Rejected(_) => {}
        }
    }
    leases
}

#[test]
fn each_file_is_read_by_its_reader() {
    let [kea, ..] = read(KEA.as_bytes());
    assert_eq!(leases(&kea).len(), 3);
    let [_, isc, ..] = read(ISC.as_bytes());
    assert_eq!(leases(&isc).len(), 2);
    let [_, _, dnsmasq, _] = read(DNSMASQ.as_bytes());
    assert_eq!(leases(&dnsmasq).len(), 2);
    let [.., legal] = read(LEGAL.as_bytes());
    assert_eq!(leases(&legal).len(), 2);
}

#[test]
fn all_readers_agree_on_one_lease() {
    let (from, until) = ("2026-11-21T12:00:00Z", "2026-11-21T13:00:00Z");
    let (from, until) = (from.parse().unwrap(), until.parse().unwrap());
    let told = Told::Held {
        from,
        heard: from,
        until: Some(until),
    };
    let [kea, ..] = read(KEA.as_bytes());
    let [_, isc, ..] = read(ISC.as_bytes());
    let [_, _, dnsmasq, _] = read(DNSMASQ.as_bytes());
    let [.., legal] = read(LEGAL.as_bytes());
    for read in [kea, isc, dnsmasq, legal] {
        let first = leases(&read)[0];
        assert_eq!(first.told, told);
        assert_eq!(first.address.to_string(), "100.64.3.9");
        let hardware = first.client.hardware_address.as_deref();
        assert_eq!(hardware, Some("00:00:5e:00:53:01"));
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_read_as_far_as_it_goes() {
    for file in [KEA, ISC, DNSMASQ, LEGAL] {
        let whole = read(file.as_bytes());
        for length in 0..file.len() {
            let cut = read(&file.as_bytes()[..length]);
            for (cut, whole) in cut.iter().zip(&whole) {
                // What stands before the line that is cut is the same.
                let lines = file[..length].matches('\n').count();
                assert_eq!(cut[..lines], whole[..lines], "{length}");
            }
        }
    }
}

#[test]
fn debug_and_errors_show_nobody() {
    for file in [KEA, ISC, DNSMASQ, LEGAL] {
        let shown = format!("{:?}", read(file.as_bytes()));
        for somebody in ["100.64", "2001", "5e", "nemo"] {
            assert!(!shown.contains(somebody), "{shown}");
        }
    }
    let [kea, ..] = read(b"nemo,100.64.3.9");
    assert_eq!(kea, [Reading::Rejected(Reason::NoHeader)]);
}

proptest! {
    #[test]
    fn any_lines_are_read_or_refused(
        lines in prop::collection::vec("[-a-z0-9,:;{}\"\\\\ ./#&x\t]{0,60}", 0..12)
    ) {
        let _ = read(lines.join("\n").as_bytes());
        let begun = format!("lease 100.64.3.9 {{\n{}\n}}\n", lines.join("\n"));
        let _ = read(begun.as_bytes());
    }
}
