//! Any bytes as the life of a translator whose inside speaks IPv6: packets from both sides, right
//! ones with some bytes changed and some that were never right, and time between them.
//!
//! ```text
//!   0..4  a packet     which of the target's own, how many changes, (place, value)...
//!   5     raw bytes    from the inside: length, bytes
//!   6     raw bytes    from the outside
//!   7     time         how long
//! ```

use std::time::Duration;

use portledger_model::Timestamp;
use portledger_nat::{Form, HEADROOM, Offload, Output, Past, Side, Slot, Stateful, Verdict};

/// From moments inside a second to beyond the longest timer.
const STEPS: [Duration; 8] = [
    Duration::from_micros(1),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(61),
    Duration::from_secs(121),
    Duration::from_secs(301),
    Duration::from_secs(7_441),
];

/// What may wait in fragments, by the configuration of the targets.
pub const WAITING: usize = 80_000;

pub struct Life<F> {
    nat: Stateful<F>,
    now: Timestamp,
    /// External endpoints that were seen: where answers go.
    seen: Vec<[u8; 6]>,
    came: u64,
    kept: u64,
}

/// A packet of the target's own, by number.
pub type Template = fn(u8) -> (Side, Vec<u8>);

impl<F: Form> Life<F> {
    pub fn run(nat: Stateful<F>, template: Template, mut bytes: &[u8]) {
        let mut life = Self {
            nat,
            now: Timestamp::from_secs(1_793_534_400),
            seen: Vec::new(),
            came: 0,
            kept: 0,
        };
        life.nat
            .start(life.now, Past::default(), &mut Output::default());
        while let Some(choice) = take(&mut bytes) {
            match choice & 7 {
                7 => {
                    let step = usize::from(take(&mut bytes).unwrap_or(0)) % STEPS.len();
                    life.now = life.now.after(STEPS[step]);
                    let mut output = Output::default();
                    life.nat.advance(life.now, &mut output);
                    check_emitted(&output);
                }
                side @ (5 | 6) => {
                    let length = usize::from(take(&mut bytes).unwrap_or(0)).min(bytes.len());
                    let (packet, rest) = bytes.split_at(length);
                    bytes = rest;
                    let side = if side == 5 {
                        Side::Inside
                    } else {
                        Side::Outside
                    };
                    life.bring(side, packet.to_vec(), choice);
                }
                _ => {
                    let (side, mut packet) = template(take(&mut bytes).unwrap_or(0));
                    if side == Side::Outside {
                        life.answer(&mut packet, choice >> 3);
                    }
                    for _ in 0..take(&mut bytes).unwrap_or(0) % 8 {
                        let at = take(&mut bytes).unwrap_or(0);
                        let value = take(&mut bytes).unwrap_or(0);
                        if let Some(byte) = packet.get_mut(usize::from(at)) {
                            *byte = value;
                        }
                    }
                    if side == Side::Outside {
                        mend(&mut packet);
                    }
                    life.bring(side, packet, choice);
                }
            }
        }
        life.end();
    }

    /// Turns a packet to an external endpoint that was seen.
    fn answer(&self, packet: &mut [u8], which: u8) {
        let Some(end) = self.seen.get(usize::from(which) % self.seen.len().max(1)) else {
            return;
        };
        packet[16..20].copy_from_slice(&end[..4]);
        packet[22..24].copy_from_slice(&end[4..]);
    }

    fn bring(&mut self, from: Side, packet: Vec<u8>, choice: u8) {
        let mut buffer = vec![0; HEADROOM];
        buffer.extend(&packet);
        let mut slots = [Slot::new(&mut buffer, HEADROOM..HEADROOM + packet.len())];
        if choice >> 3 == 31 {
            slots[0].offload = Offload::Checksum;
        }
        let mut output = Output::default();
        self.nat.batch(self.now, from, &mut slots, &mut output);
        self.came += 1;
        match slots[0].verdict {
            Verdict::Forward { to, .. } => {
                check(to, slots[0].bytes());
                if (from, to) == (Side::Inside, Side::Outside) {
                    let bytes = slots[0].bytes();
                    let port = bytes.get(20..22).unwrap_or(&[0, 0]);
                    self.seen
                        .push([bytes[12], bytes[13], bytes[14], bytes[15], port[0], port[1]]);
                }
            }
            Verdict::Kept => self.kept += 1,
            Verdict::Drop(_) => {}
        }
        check_emitted(&output);
        assert!(self.nat.size().fragment_bytes <= WAITING);
    }

    fn end(mut self) {
        let mut output = Output::default();
        self.nat
            .advance(self.now.after(Duration::from_secs(100_000)), &mut output);
        check_emitted(&output);
        let counters = self.nat.counters();
        assert_eq!(self.came, counters.from_inside + counters.from_outside);
        let size = self.nat.size();
        assert_eq!((size.mappings, size.hosts, size.fragment_bytes), (0, 0, 0));
        assert_eq!(size.usage.held, 0);
    }
}

fn take(bytes: &mut &[u8]) -> Option<u8> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(first)
}

/// Makes the sum of an IPv4 header right.
fn mend(packet: &mut [u8]) {
    let length = packet
        .first()
        .map_or(0, |first| usize::from(first & 15) * 4);
    if length >= 20
        && let Some(header) = packet.get_mut(..length)
    {
        header[10..12].fill(0);
        let sum = !sum(header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

pub fn sum(bytes: &[u8]) -> u16 {
    let mut total = 0_u32;
    for pair in bytes.chunks(2) {
        total += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        total = (total & 0xFFFF) + (total >> 16);
    }
    u16::try_from(total).expect("folded")
}

fn check_emitted(output: &Output) {
    for emitted in &output.packets {
        check(emitted.to, &emitted.data);
    }
}

/// What goes out is IPv4 of its length with a right header, what goes in is IPv6 of its length.
fn check(to: Side, packet: &[u8]) {
    let word = |at: usize| usize::from(packet[at]) << 8 | usize::from(packet[at + 1]);
    match to {
        Side::Outside => {
            assert_eq!(packet[0] >> 4, 4);
            assert!(word(2) <= packet.len());
            assert_eq!(sum(&packet[..usize::from(packet[0] & 15) * 4]), 0xFFFF);
            // Only addresses of the pool are seen.
            assert_eq!(packet[12..15], [203, 0, 113]);
        }
        Side::Inside => {
            assert_eq!(packet[0] >> 4, 6);
            assert!(word(4) + 40 <= packet.len());
            // To whom it may concern: all of the inside is here.
            assert_eq!(packet[24..30], [0x20, 1, 0x0d, 0xb8, 0, 0x0a]);
        }
    }
}
