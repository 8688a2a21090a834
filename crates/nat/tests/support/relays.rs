//! One border relay, and its customers' ends.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use portledger_model::{MapRule, PortParameters, PortSet, SoftwireBinding, Timestamp};
use portledger_nat::{
    DropReason, Emitted, HEADROOM, Output, Relay, RelayConfig, Side, Slot, Verdict,
    translate::Prefix,
};

use super::{
    packet::End,
    six::{buffer, raw6, read6},
};

/// The relay's end of all softwires.
pub fn end() -> Ipv6Addr {
    "2001:db8:ffff::1".parse().unwrap()
}

/// RFC 7597 Appendix A, example 1: 256 customers on each address, ports from 1,024 on.
pub fn rule() -> MapRule {
    MapRule::new(
        "2001:db8::/40".parse().unwrap(),
        "192.0.2.0/24".parse().unwrap(),
        16,
        6,
    )
    .unwrap()
}

/// The customer of the RFC's examples: its MAP address, and one of its ports.
pub fn customer() -> (Ipv6Addr, End) {
    (
        "2001:db8:12:3400:0:c000:212:34".parse().unwrap(),
        (Ipv4Addr::new(192, 0, 2, 18), 1_232),
    )
}

/// The next customer on the same address.
pub fn neighbour() -> (Ipv6Addr, End) {
    (
        "2001:db8:12:3500:0:c000:212:35".parse().unwrap(),
        (Ipv4Addr::new(192, 0, 2, 18), 1_236),
    )
}

/// RFC 7599's examples 2 and 3: a prefix of 64 bits.
pub fn internet() -> Prefix {
    Prefix::new("2001:db8:ffff::".parse().unwrap(), 64).unwrap()
}

/// A binding of the PSIDs of eight bits, without an offset.
pub fn binding(b4: &str, ipv4: &str, psid: u16) -> SoftwireBinding {
    SoftwireBinding {
        b4: b4.parse().unwrap(),
        ipv4: ipv4.parse().unwrap(),
        ports: PortSet::Psid(PortParameters::new(0, 8).unwrap(), psid),
    }
}

pub fn map_e() -> RelayConfig {
    RelayConfig::map_e(vec![rule()], end())
}

pub fn map_t() -> RelayConfig {
    RelayConfig::map_t(vec![rule()], internet(), end())
}

/// A relay, the time, and what comes out of it.
pub struct RelayLab {
    pub relay: Relay,
    pub now: Timestamp,
}

/// What became of one packet.
#[derive(Debug)]
pub struct Passed {
    pub verdict: Verdict,
    pub bytes: Vec<u8>,
    /// Packets of the relay's own.
    pub emitted: Vec<Emitted>,
}

impl RelayLab {
    pub fn new(config: RelayConfig) -> Self {
        Self {
            relay: Relay::new(config, [7; 32]).unwrap(),
            now: Timestamp::from_secs(1_000_000),
        }
    }

    pub fn wait_for(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.relay.advance(self.now);
    }

    pub fn pass(&mut self, from: Side, packet: &[u8]) -> Passed {
        let mut buffer = buffer(packet);
        let range = HEADROOM..buffer.len();
        let mut slots = [Slot::new(&mut buffer, range)];
        let mut output = Output::default();
        self.relay.batch(self.now, from, &mut slots, &mut output);
        let [slot] = slots;
        assert!(output.events.is_empty());
        Passed {
            verdict: slot.verdict,
            bytes: slot.bytes().to_vec(),
            emitted: output.packets,
        }
    }

    /// A packet that goes on, to this side.
    pub fn sent(&mut self, from: Side, to: Side, packet: &[u8]) -> Vec<u8> {
        let passed = self.pass(from, packet);
        assert!(
            matches!(passed.verdict, Verdict::Forward { to: side, .. } if side == to),
            "{:?}",
            passed.verdict
        );
        passed.bytes
    }

    /// From a customer to the Internet.
    pub fn out(&mut self, packet: &[u8]) -> Vec<u8> {
        self.sent(Side::Inside, Side::Outside, packet)
    }

    /// From the Internet to a customer.
    pub fn inward(&mut self, packet: &[u8]) -> Vec<u8> {
        self.sent(Side::Outside, Side::Inside, packet)
    }

    /// Why a packet was dropped, and what was told; it is as it came.
    pub fn dropped(&mut self, from: Side, packet: &[u8]) -> (DropReason, Vec<Emitted>) {
        let passed = self.pass(from, packet);
        let Verdict::Drop(reason) = passed.verdict else {
            panic!("{:?}", passed.verdict)
        };
        assert_eq!(passed.bytes, packet);
        assert!(self.relay.counters().dropped(reason) > 0);
        (reason, passed.emitted)
    }

    pub fn reason(&mut self, from: Side, packet: &[u8]) -> DropReason {
        self.dropped(from, packet).0
    }

    /// What comes of a packet that is kept or replaced.
    pub fn kept(&mut self, from: Side, packet: &[u8]) -> Vec<Emitted> {
        let passed = self.pass(from, packet);
        assert_eq!(passed.verdict, Verdict::Kept);
        passed.emitted
    }
}

/// An IPv4 packet in IPv6, from a customer's end.
pub fn wrapped(from: Ipv6Addr, packet: &[u8]) -> Vec<u8> {
    raw6(from, end(), 4, packet)
}

/// The IPv4 packet that goes to a customer's end.
pub fn unwrapped(packet: &[u8], to: Ipv6Addr) -> Vec<u8> {
    let seen = read6(packet);
    assert_eq!((seen.source, seen.destination, seen.next), (end(), to, 4));
    seen.payload
}
