//! Any bytes as a log: under every named format, under the one that is guessed, and where the first
//! line is a server's format string, under that.
#![no_main]

use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use portledger_model::{Timestamp, Zone};
use portledger_servers::{Counts, Format, Options, Reader, Reading, guess, names};

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let (first, rest) = bytes.split_at(end.map_or(0, |end| end + 1));
    if let Ok(text) = std::str::from_utf8(first)
        && let Ok(format) = Format::parse(text.trim_end_matches('\n'))
    {
        assert_eq!(
            Format::parse(format.name()).map(|same| same.has_port()),
            Ok(format.has_port()),
            "a format's name is the format"
        );
        read(format, rest);
        return;
    }
    for (name, _) in names() {
        let format = Format::parse(name).expect("a named format is one");
        read(format, bytes);
    }
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    if let Ok(guessed) = guess(&lines) {
        read(guessed.format, bytes);
    }
});

fn read(format: Format, log: &[u8]) {
    let mut reader = Reader::new(format, options(log));
    let mut lines = 0;
    for line in log.split_inclusive(|&byte| byte == b'\n') {
        lines += 1;
        check(&reader.line(line, lines), line, lines);
    }
    check_counts(reader.counts(), lines);
}

fn check(reading: &Reading, line: &[u8], number: u64) {
    match reading {
        Reading::Sighting(sighting) => {
            assert_eq!(sighting.source.line, number);
            assert_ne!(sighting.port, Some(0), "port 0 is no port");
            let is_missing = sighting.zone == Zone::Missing;
            assert_eq!(sighting.at.is_none(), is_missing, "no zone, no time");
            assert!(sighting.or_at.is_none() || sighting.at < sighting.or_at);
        }
        Reading::Rejected(rejection) => {
            assert_eq!(rejection.line, number);
            assert!(
                (1..=line.len() + 1).contains(&rejection.column),
                "{rejection}"
            );
        }
        Reading::Skipped(_) => {}
    }
}

/// Every line comes to one thing.
fn check_counts(counts: &Counts, lines: u64) {
    let skipped = counts.skipped.iter().map(|(_, count)| count);
    let rejected = counts.rejected.iter().map(|(_, count)| count);
    let others: u64 = skipped.chain(rejected).sum();
    assert_eq!(counts.sightings + others, lines, "{counts:?}");
    assert!(counts.port_zero <= counts.sightings);
}

/// A log of odd length comes with a zone that has summer time.
fn options(log: &[u8]) -> Options {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("the zone is well-formed");
    let mut options = Options::new("fuzz.log");
    options.zone = (log.len() % 2 == 1).then_some(zone);
    options.reference = Some(Timestamp::from_secs(1_793_534_400));
    options
}
