//! One engine, with eyes on everything that goes in and comes out.

use std::{net::IpAddr, time::Duration};

use portledger_model::{Block, Event, Realm, Timestamp, Transport};
use portledger_nat::{
    Config, DropReason, Emitted, Offload, Output, Packet, Past, RealmIndex, Side, Told, Verdict,
};
use portledger_ports::{Config as PortsConfig, Pool};

use super::{
    engine::Engine,
    packet::{ACK, End, SYN, SYN_ACK, Seen, echo, read, tcp, udp},
    reference::{
        header_checksum_is_right, is_icmp_error, is_later_fragment, transport_checksum_is_right,
        trimmed, without_what_may_change,
    },
};

pub const INSIDE: &str = "100.64.0.0/16";
pub const POOL: [&str; 1] = ["203.0.113.0/30"];

/// One engine, the time, and everything it has told. Every packet that comes out of it is checked
/// on the way: checksums, that nothing changed but what had to, that no internal address shows
/// outside, and that by then an event has told who holds its port.
pub struct Lab {
    pub nat: Engine,
    pub now: Timestamp,
    pub told: Vec<Told>,
    /// What is held by the events so far.
    pub held: Vec<Block>,
}

/// What became of one packet.
#[derive(Debug)]
pub struct Passed {
    pub verdict: Verdict,
    pub bytes: Vec<u8>,
    /// Packets of the engine's own.
    pub emitted: Vec<Emitted>,
}

/// The defaults, for subscribers in two realms with the same prefix.
pub fn config() -> Config {
    let mut ports = PortsConfig::new(Pool::parse(&POOL).unwrap());
    ports.realms = vec![Realm::default(), Realm::new("west").unwrap()];
    let inside = INSIDE.parse().unwrap();
    let mut config = Config::new(ports, &[inside]);
    config.inside.push((RealmIndex(1), inside));
    config
}

impl Lab {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// A laboratory with changes to the defaults.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::after(Past::default(), change)
    }

    /// A laboratory that takes up a past.
    pub fn after(past: Past, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        let mut lab = Self {
            nat: Engine::new(config, [7; 32]),
            now: Timestamp::from_secs(1_000_000),
            told: Vec::new(),
            held: past.held.iter().map(|held| held.block.clone()).collect(),
        };
        let mut output = Output::default();
        lab.nat.start(lab.now, past, &mut output);
        lab.note(output);
        lab
    }

    /// Lets so many seconds pass. What the engine sends meanwhile.
    pub fn wait(&mut self, seconds: u64) -> Vec<Emitted> {
        self.wait_for(Duration::from_secs(seconds))
    }

    pub fn wait_for(&mut self, time: Duration) -> Vec<Emitted> {
        self.now = self.now.after(time);
        let mut output = Output::default();
        self.nat.advance(self.now, &mut output);
        self.note(output)
    }

    /// Brings a packet of the first realm.
    pub fn pass(&mut self, from: Side, bytes: &[u8]) -> Passed {
        self.pass_in(RealmIndex(0), from, bytes)
    }

    pub fn pass_in(&mut self, realm: RealmIndex, from: Side, bytes: &[u8]) -> Passed {
        self.pass_offloaded(realm, Offload::None, from, bytes)
    }

    pub fn pass_offloaded(
        &mut self,
        realm: RealmIndex,
        offload: Offload,
        from: Side,
        bytes: &[u8],
    ) -> Passed {
        let mut data = bytes.to_vec();
        let mut packets = [Packet {
            realm,
            offload,
            ..Packet::new(&mut data)
        }];
        let mut output = Output::default();
        self.nat.batch(self.now, from, &mut packets, &mut output);
        let verdict = packets[0].verdict;
        let emitted = self.note(output);
        if let Verdict::Forward { to, .. } = verdict {
            self.check_translation(realm, offload, from, to, bytes, &data);
        }
        Passed {
            verdict,
            bytes: data,
            emitted,
        }
    }

    /// From the inside to the outside: the packet as it comes out.
    pub fn out(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.out_of(RealmIndex(0), bytes)
    }

    pub fn out_of(&mut self, realm: RealmIndex, bytes: &[u8]) -> Vec<u8> {
        let passed = self.pass_in(realm, Side::Inside, bytes);
        assert!(
            matches!(
                passed.verdict,
                Verdict::Forward {
                    to: Side::Outside,
                    ..
                }
            ),
            "{:?}",
            passed.verdict
        );
        passed.bytes
    }

    /// From the outside to the inside: the packet as it comes out.
    pub fn inward(&mut self, bytes: &[u8]) -> Vec<u8> {
        let passed = self.pass(Side::Outside, bytes);
        assert!(
            matches!(
                passed.verdict,
                Verdict::Forward {
                    to: Side::Inside,
                    ..
                }
            ),
            "{:?}",
            passed.verdict
        );
        passed.bytes
    }

    /// From the inside to the inside: the packet as it comes out.
    pub fn hairpin(&mut self, bytes: &[u8]) -> Vec<u8> {
        let passed = self.pass(Side::Inside, bytes);
        assert!(
            matches!(
                passed.verdict,
                Verdict::Forward {
                    to: Side::Inside,
                    ..
                }
            ),
            "{:?}",
            passed.verdict
        );
        passed.bytes
    }

    /// A packet that must be dropped: why it was.
    pub fn dropped(&mut self, from: Side, bytes: &[u8]) -> DropReason {
        match self.pass(from, bytes).verdict {
            Verdict::Drop(reason) => reason,
            other => panic!("not dropped but {other:?}"),
        }
    }

    /// A packet that must be dropped with an ICMP error to its sender.
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

    /// Opens a mapping by a packet, and says its external endpoint.
    pub fn open_udp(&mut self, inside: End, outside: End) -> End {
        read(&self.out(&udp(inside, outside).bytes())).source
    }

    pub fn open_echo(&mut self, inside: End, outside: End) -> End {
        read(&self.out(&echo(inside, outside.0).bytes())).source
    }

    /// A SYN only.
    pub fn syn(&mut self, inside: End, outside: End) -> End {
        read(&self.out(&tcp(inside, outside, SYN).bytes())).source
    }

    /// A whole handshake.
    pub fn connect(&mut self, inside: End, outside: End) -> End {
        let external = self.syn(inside, outside);
        self.inward(&tcp(outside, external, SYN_ACK).bytes());
        self.out(&tcp(inside, outside, ACK).bytes());
        external
    }

    /// Whether a packet to an external endpoint comes in, and to whom. It refreshes nothing: it is
    /// UDP, an echo, or a bare ACK.
    pub fn reaches(&mut self, from: End, external: End, transport: Transport) -> Option<Seen> {
        let packet = match transport {
            Transport::Udp => udp(from, external).bytes(),
            Transport::Tcp => tcp(from, external, ACK).bytes(),
            Transport::Icmp => super::packet::echo_reply(from.0, external).bytes(),
        };
        let passed = self.pass(Side::Outside, &packet);
        matches!(passed.verdict, Verdict::Forward { .. }).then(|| read(&passed.bytes))
    }

    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.nat.counters().dropped(reason)
    }

    /// The events so far.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.told.iter().map(|told| &told.event)
    }

    /// Events that a predicate picks.
    pub fn count_events(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events().filter(|event| wanted(event)).count()
    }

    fn note(&mut self, output: Output) -> Vec<Emitted> {
        for told in &output.events {
            assert!(told.at <= self.now, "told before it happened");
            match &told.event {
                Event::Allocated(block) => {
                    let overlaps = |other: &Block| {
                        other.external == block.external
                            && other.ports.first() <= block.ports.last()
                            && block.ports.first() <= other.ports.last()
                            && (other.transport.is_none()
                                || block.transport.is_none()
                                || other.transport == block.transport)
                    };
                    assert!(!self.held.iter().any(overlaps), "{block:?} has a holder");
                    self.held.push(block.clone());
                }
                Event::Released { block, .. } => {
                    let place = self.held.iter().position(|held| held == block);
                    self.held.swap_remove(place.expect("a block that was held"));
                }
                _ => {}
            }
        }
        self.told.extend(output.events);
        for emitted in &output.packets {
            assert!(header_checksum_is_right(&emitted.data));
            assert_ne!(transport_checksum_is_right(&emitted.data), Some(false));
            if emitted.to == Side::Outside {
                assert_no_leak(&emitted.data);
            }
        }
        output.packets
    }

    fn check_translation(
        &self,
        realm: RealmIndex,
        offload: Offload,
        from: Side,
        to: Side,
        before: &[u8],
        after: &[u8],
    ) {
        assert!(header_checksum_is_right(after), "IPv4 header checksum");
        if offload == Offload::None && transport_checksum_is_right(before) == Some(true) {
            assert_ne!(
                transport_checksum_is_right(after),
                Some(false),
                "transport checksum"
            );
        }
        assert_eq!(
            before[trimmed(before).len()..],
            after[trimmed(before).len()..],
            "bytes behind the packet"
        );
        if before == after {
            return; // exempt
        }
        assert_eq!(
            without_what_may_change(before, from, to),
            without_what_may_change(after, from, to),
            "something else changed"
        );
        if from == Side::Inside {
            let end = read(after).source;
            assert!(is_of_pool(end.0), "the source {end:?} is external");
            // A hairpinned query shows only its receiver's identifier.
            let query_to_inside = before[9] == 1 && to == Side::Inside;
            if !is_later_fragment(before) && !is_icmp_error(before) && !query_to_inside {
                self.assert_held(realm, read(before), end);
            }
            if to == Side::Outside {
                assert_no_leak(after);
            }
        }
    }

    /// The events told so far say that the sender of `inner` holds `external`.
    fn assert_held(&self, realm: RealmIndex, inner: Seen, external: End) {
        let transport = [Transport::Tcp, Transport::Udp, Transport::Icmp]
            .into_iter()
            .find(|transport| transport.protocol_number() == inner.protocol);
        let holder = self.held.iter().find(|block| {
            block.external == external.0
                && block.ports.contains(external.1)
                && (block.transport.is_none() || block.transport == transport)
        });
        let holder = holder.unwrap_or_else(|| panic!("nobody holds {external:?}"));
        assert_eq!(
            holder.subscriber.internal(),
            IpAddr::V4(inner.source.0).into(),
            "another holds {external:?}"
        );
        assert_eq!(holder.subscriber.realm().as_str() == "west", realm.0 == 1);
    }
}

pub fn is_of_pool(address: std::net::Ipv4Addr) -> bool {
    address.octets()[..3] == [203, 0, 113]
}

/// No address of the inside, neither in the header nor in what an ICMP error quotes.
fn assert_no_leak(packet: &[u8]) {
    let inner = if is_icmp_error(packet) {
        Some(super::packet::quoted(packet))
    } else {
        None
    };
    for header in [Some(packet), inner].into_iter().flatten() {
        for at in [12, 16] {
            assert_ne!(
                header[at..at + 2],
                [100, 64],
                "an internal address shows outside"
            );
        }
    }
}
