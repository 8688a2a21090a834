//! What the benches of the engine's modes share: packets, draws and the clock.

/// Numbers below a bound, by xorshift.
pub(crate) struct Draw {
    state: u64,
    below: u32,
}

impl Draw {
    pub(crate) const fn new(below: u32) -> Self {
        Self {
            state: 0x9E37_79B9_7F4A_7C15,
            below,
        }
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let drawn = u64::from(self.state as u32) * u64::from(self.below);
        u32::try_from(drawn >> 32).unwrap()
    }
}

/// A TCP segment with 20 bytes behind its header, in IPv4, don't fragment.
pub(crate) fn segment(
    packet: &mut [u8],
    source: u32,
    destination: u32,
    from: u16,
    to: u16,
    flags: u8,
) {
    packet[..12].copy_from_slice(&[0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet[12..16].copy_from_slice(&source.to_be_bytes());
    packet[16..20].copy_from_slice(&destination.to_be_bytes());
    let words = [
        source >> 16,
        source & 0xFFFF,
        destination >> 16,
        destination & 0xFFFF,
    ];
    // 0x4500 + 60 + 0x4000 + 0x4006 of the fields before.
    let sum = 0xC542 + words.iter().sum::<u32>();
    let sum = (sum & 0xFFFF) + (sum >> 16);
    let sum = (sum & 0xFFFF) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!sum as u16).to_be_bytes());
    tcp(&mut packet[20..], from, to, flags);
}

pub(crate) fn tcp(segment: &mut [u8], from: u16, to: u16, flags: u8) {
    segment[..20].fill(0);
    segment[..2].copy_from_slice(&from.to_be_bytes());
    segment[2..4].copy_from_slice(&to.to_be_bytes());
    (segment[12], segment[13]) = (0x50, flags);
}

/// Seconds that this thread has had a processor: what others do on the machine does not count,
/// but for the caches.
pub(crate) fn processor_time() -> f64 {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds: f64 = statistics
        .split(' ')
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.0);
    nanoseconds * 1e-9
}
