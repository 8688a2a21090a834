//! One engine of those whose inside speaks IPv6, and plain eyes on what goes in and comes out.

use std::{net::Ipv6Addr, time::Duration};

use portledger_model::{Event, Timestamp};
use portledger_nat::{
    DropReason, Emitted, Form, HEADROOM, Output, RealmIndex, Side, Slot, Stateful, Told, Verdict,
};

use super::{
    reference::{header_checksum_is_right, transport_checksum_is_right},
    six::read6,
};

/// An engine and the time.
pub struct Lab6<F> {
    pub nat: Stateful<F>,
    pub now: Timestamp,
    pub told: Vec<Told>,
}

/// What became of one packet.
#[derive(Debug)]
pub struct Passed6 {
    pub verdict: Verdict,
    pub bytes: Vec<u8>,
    pub emitted: Vec<Emitted>,
}

impl<F: Form> Lab6<F> {
    pub fn of(mut nat: Stateful<F>) -> Self {
        let now = Timestamp::from_secs(1_000_000);
        let mut output = Output::default();
        nat.start(now, portledger_nat::Past::default(), &mut output);
        Self {
            nat,
            now,
            told: output.events,
        }
    }

    pub fn pass(&mut self, from: Side, bytes: &[u8]) -> Passed6 {
        self.pass_in(RealmIndex(0), from, bytes)
    }

    pub fn pass_in(&mut self, realm: RealmIndex, from: Side, bytes: &[u8]) -> Passed6 {
        let mut buffer = [&[0; HEADROOM], bytes].concat();
        let mut slots = [Slot::new(&mut buffer, HEADROOM..HEADROOM + bytes.len())];
        slots[0].realm = realm;
        let mut output = Output::default();
        self.nat.batch(self.now, from, &mut slots, &mut output);
        let passed = Passed6 {
            verdict: slots[0].verdict,
            bytes: slots[0].bytes().to_vec(),
            emitted: output.packets,
        };
        self.told.extend(output.events);
        if let Verdict::Forward { to, .. } = passed.verdict {
            check(to, &passed.bytes);
        }
        for emitted in &passed.emitted {
            check(emitted.to, &emitted.data);
        }
        passed
    }

    pub fn wait(&mut self, seconds: u64) -> Vec<Emitted> {
        self.now = self.now.after(Duration::from_secs(seconds));
        let mut output = Output::default();
        self.nat.advance(self.now, &mut output);
        self.told.extend(output.events);
        for emitted in &output.packets {
            check(emitted.to, &emitted.data);
        }
        output.packets
    }

    /// From the inside to the outside: the IPv4 packet that comes out.
    pub fn out(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.forwarded(Side::Inside, Side::Outside, bytes)
    }

    /// From the outside to the inside.
    pub fn inward(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.forwarded(Side::Outside, Side::Inside, bytes)
    }

    /// From the inside to the inside.
    pub fn hairpin(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.forwarded(Side::Inside, Side::Inside, bytes)
    }

    fn forwarded(&mut self, from: Side, to: Side, bytes: &[u8]) -> Vec<u8> {
        let passed = self.pass(from, bytes);
        match passed.verdict {
            Verdict::Forward { to: side, .. } if side == to => passed.bytes,
            other => panic!("not forwarded but {other:?}"),
        }
    }

    pub fn dropped(&mut self, from: Side, bytes: &[u8]) -> DropReason {
        let passed = self.pass(from, bytes);
        assert_eq!(passed.emitted, [], "in silence");
        match passed.verdict {
            Verdict::Drop(reason) => reason,
            other => panic!("not dropped but {other:?}"),
        }
    }

    /// A packet that must be dropped with an error to its sender.
    pub fn refused(&mut self, from: Side, bytes: &[u8]) -> (DropReason, Vec<u8>) {
        let mut passed = self.pass(from, bytes);
        let Verdict::Drop(reason) = passed.verdict else {
            panic!("not dropped but {:?}", passed.verdict)
        };
        assert_eq!(passed.emitted.len(), 1, "one error");
        let error = passed.emitted.remove(0);
        assert_eq!(error.to, from, "to the sender");
        (reason, error.data)
    }

    /// The packets that stand for one that goes to the inside.
    pub fn pieces(&mut self, from: Side, bytes: &[u8]) -> Vec<Vec<u8>> {
        let passed = self.pass(from, bytes);
        assert_eq!(passed.verdict, Verdict::Kept);
        passed
            .emitted
            .into_iter()
            .map(|emitted| emitted.data)
            .collect()
    }

    /// The first addresses of the subscribers that got blocks, in order.
    pub fn holders(&self) -> Vec<Ipv6Addr> {
        let holder = |told: &Told| match &told.event {
            Event::Allocated(block) => match block.subscriber.internal().network() {
                std::net::IpAddr::V6(address) => Some(address),
                std::net::IpAddr::V4(_) => None,
            },
            _ => None,
        };
        self.told.iter().filter_map(holder).collect()
    }
}

/// What goes out is IPv4 with right sums, and what goes in is IPv6.
fn check(to: Side, bytes: &[u8]) {
    match to {
        Side::Outside => {
            assert!(header_checksum_is_right(bytes));
            assert_ne!(transport_checksum_is_right(bytes), Some(false));
        }
        Side::Inside => {
            let seen = read6(bytes);
            if matches!(seen.next, 6 | 17 | 58) && seen.fragment.is_none() {
                assert!(seen.checksum_is_right());
            }
            if seen.next == 4 && seen.fragment.is_none() {
                assert!(header_checksum_is_right(&seen.payload));
                assert_ne!(transport_checksum_is_right(&seen.payload), Some(false));
            }
        }
    }
}
