//! Any bytes as a capture file: pcap or pcapng, and the frames in it down to their IPv4 packets.
#![no_main]

use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use portledger_dataplane::capture::{CaptureError, Walk, walk};

const NAME: &str = "fuzz.pcap";

fuzz_target!(|bytes: &[u8]| {
    let seen = walk(NAME, bytes);
    let counted = seen.whole + seen.cut + seen.not_ip.values().sum::<u64>();
    assert_eq!(counted, seen.frames, "every frame is counted once");
    if let Some(broken) = &seen.broken {
        assert_eq!(broken.packets, seen.frames, "{broken}");
        assert!(broken.offset <= bytes.len() as u64, "{broken}");
    }
    // A pipe gives a file in pieces of its own choosing; what is in it stays the same.
    assert_same(&seen, &walk(NAME, Trickle(bytes)));
});

/// Gives its bytes a few at a time.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let few = buffer.len().min(1 + self.0.len() % 7);
        self.0.read(&mut buffer[..few])
    }
}

fn assert_same(one: &Walk, other: &Walk) {
    let counts = |walk: &Walk| (walk.frames, walk.whole, walk.cut, walk.not_ip.clone());
    let broken = |walk: &Walk| walk.broken.as_ref().map(CaptureError::to_string);
    assert_eq!(counts(one), counts(other));
    assert_eq!(broken(one), broken(other));
}
