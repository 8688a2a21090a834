//! What the engine's time is measured against: the least that any NAT of so many sessions does.
//!
//! One hash of the ends, one slot of an index, one session of 64 bytes, two words of address and
//! port with their checksums, in batches whose memory reads overlap. No parsing, no checks, no
//! TCP state, no filter, no timers, no blocks.

use std::hint::black_box;

#[repr(C, align(64))]
#[derive(Clone, Copy, Default)]
struct Session {
    source: u32,
    ports: u32,
    external: u32,
    external_port: u16,
    seen: u32,
    rest: [u64; 4],
}

pub(crate) struct Bare {
    slots: Vec<u32>,
    mask: u32,
    sessions: Vec<Session>,
    now: u32,
}

/// Packets whose reads overlap.
const STAGE: usize = 64;

impl Bare {
    pub(crate) fn new(sessions: u32) -> Self {
        let size = (sessions * 2).next_power_of_two();
        Self {
            slots: vec![0; size as usize],
            mask: size - 1,
            sessions: Vec::with_capacity(sessions as usize),
            now: 0,
        }
    }

    pub(crate) fn open(&mut self, packet: &[u8; 60]) {
        let (source, ports) = ends(packet);
        let number = u32::try_from(self.sessions.len()).unwrap_or(0);
        self.sessions.push(Session {
            source,
            ports,
            external: 0xCB00_7100 + number / 60_000,
            external_port: (number % 60_000) as u16 + 1_024,
            ..Session::default()
        });
        let mut at = hash(source, ports) & self.mask;
        while self.slots[at as usize] != 0 {
            at = (at + 1) & self.mask;
        }
        self.slots[at as usize] = number + 1;
    }

    pub(crate) fn batch(&mut self, packets: &mut [[u8; 60]]) {
        self.now += 1;
        let mut places = [0_u32; STAGE];
        for packets in packets.chunks_mut(STAGE) {
            for (place, packet) in places.iter_mut().zip(&*packets) {
                let (source, ports) = ends(packet);
                *place = self.slots[(hash(source, ports) & self.mask) as usize];
            }
            let glance = places.iter().fold(0, |read, &place| {
                read ^ self
                    .sessions
                    .get(place.wrapping_sub(1) as usize)
                    .map_or(0, |s| s.source)
            });
            black_box(glance);
            for (packet, &place) in packets.iter_mut().zip(&places) {
                self.translate(packet, place);
            }
        }
    }

    fn translate(&mut self, packet: &mut [u8; 60], place: u32) {
        let (source, ports) = ends(packet);
        let mut found = place;
        let mut at = hash(source, ports) & self.mask;
        let session = loop {
            let session = &mut self.sessions[found.wrapping_sub(1) as usize];
            if (session.source, session.ports) == (source, ports) {
                break session;
            }
            at = (at + 1) & self.mask;
            found = self.slots[at as usize];
        };
        session.seen = self.now;
        let port = (ports >> 16) as u16;
        let address = !source >> 16;
        let delta =
            address + (!source & 0xFFFF) + (session.external >> 16) + (session.external & 0xFFFF);
        patch(packet, 10, delta);
        patch(
            packet,
            36,
            delta + u32::from(!port) + u32::from(session.external_port),
        );
        packet[12..16].copy_from_slice(&session.external.to_be_bytes());
        packet[20..22].copy_from_slice(&session.external_port.to_be_bytes());
    }
}

fn ends(packet: &[u8; 60]) -> (u32, u32) {
    let long = |at: usize| {
        u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
    };
    (long(12), long(20))
}

fn hash(source: u32, ports: u32) -> u32 {
    let key = u64::from(source) << 32 | u64::from(ports);
    ((key ^ (key >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

fn patch(packet: &mut [u8; 60], at: usize, delta: u32) {
    let sum = u32::from(!u16::from_be_bytes([packet[at], packet[at + 1]])) + delta;
    let sum = (sum & 0xFFFF) + (sum >> 16);
    let sum = (sum & 0xFFFF) + (sum >> 16);
    packet[at..at + 2].copy_from_slice(&(!sum as u16).to_be_bytes());
}
