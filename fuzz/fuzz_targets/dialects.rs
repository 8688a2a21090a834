//! Any bytes as a NAT's log under every dialect; and, up to a line `---`, as a dialect file for
//! what follows it.
#![no_main]

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use portledger_model::Timestamp;
use portledger_wire::{
    dialect::{Dialect, Dialects, Outcome, Reader, Untimed},
    syslog::Clock,
};

static BUILT_IN: LazyLock<Dialects> = LazyLock::new(Dialects::built_in);
const END_OF_FILE: &[u8] = b"\n---\n";

fuzz_target!(|bytes: &[u8]| {
    let end = bytes
        .windows(END_OF_FILE.len())
        .position(|text| text == END_OF_FILE);
    if let Some(end) = end
        && let Ok(file) = std::str::from_utf8(&bytes[..end])
    {
        if let Ok(dialect) = Dialect::parse("fuzzed.toml", file) {
            read(&dialect, &bytes[end + END_OF_FILE.len()..]);
        }
        return;
    }
    for dialect in BUILT_IN.iter() {
        read(dialect, bytes);
    }
    let lines = bytes.split(|&byte| byte == b'\n');
    for guess in BUILT_IN.guess(lines) {
        assert!(guess.with_events <= guess.read);
    }
});

fn read(dialect: &Dialect, log: &[u8]) {
    let clock = Clock::new(Timestamp::from_secs(1_800_000_000)).in_zone(TimeZone::UTC);
    let mut reader = Reader::new(dialect, clock).untimed(Untimed::Received);
    for line in log.split(|&byte| byte == b'\n') {
        let mut events = Vec::new();
        match reader.read(line, &mut events) {
            Outcome::Events(count) => assert!(count > 0 && count == events.len()),
            Outcome::Nothing(_) => assert!(events.is_empty()),
            Outcome::Rejected(rejection) => {
                assert!((1..=line.len() + 1).contains(&rejection.column));
            }
        }
    }
}
