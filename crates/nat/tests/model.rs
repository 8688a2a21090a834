//! Random traffic against a model simple enough to be read at a glance, and random bytes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "support/mod.rs"]
mod support;

use std::{collections::HashMap, net::Ipv4Addr, time::Duration};

use portledger_model::{Event, PortRange, Timestamp, Transport};
use portledger_nat::{
    Config, DropReason, Filtering, Offload, Output, Packet, RealmIndex, Side, Verdict,
};
use portledger_ports::{Pool, Pooling};
use proptest::prelude::*;

use support::{
    engine::{Engine, Mode, Within},
    lab::{Lab, config},
    packet::{
        ACK, End, FIN, RST, SYN, SYN_ACK, echo, echo_reply, error, fragments, host, read, remote,
        renew_header_checksum, renew_icmp_checksum, tcp, udp,
    },
    reference::{header_length, trimmed},
};

/// Two addresses with four blocks of 64 ports each, and short times, so that blocks change hands.
fn narrow(config: &mut Config) {
    config.ports.pool = Pool::parse(&["203.0.113.0/31"]).unwrap();
    config.ports.port_range = PortRange::new(1_024, 1_279).unwrap();
    config.ports.block_size = 64;
    config.ports.block_idle = Duration::from_secs(20);
    config.ports.limits.blocks = 2;
    config.ports.limits.ports = [Some(5), Some(5), None];
}

/// An internal endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Inner {
    realm: u16,
    host: u8,
    port: u16,
    transport: Transport,
}

impl Inner {
    fn end(self) -> End {
        host(self.host, self.port)
    }

    /// How long a session lasts: TCP is only ever opened here, never established.
    fn seconds(self) -> u64 {
        match self.transport {
            Transport::Tcp => 240,
            Transport::Udp => 300,
            Transport::Icmp => 60,
        }
    }

    fn packet(self, to: End, payload: &[u8]) -> Vec<u8> {
        match self.transport {
            Transport::Tcp => tcp(self.end(), to, SYN).payload(payload).bytes(),
            Transport::Udp => udp(self.end(), to).payload(payload).bytes(),
            Transport::Icmp => echo(self.end(), to.0).payload(payload).bytes(),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A packet from an internal endpoint to a remote host.
    Out(Inner, u8, Vec<u8>),
    /// An answer to one of the sessions so far, from whom that was opened with.
    Answer(prop::sample::Index),
    Wait(u16),
}

fn modes() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Plain, Mode::Softwires, Mode::Six])
}

/// Harmed IPv4 has no form in IPv6: the fuzz targets have harmed IPv6.
fn modes_of_ipv4() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Plain, Mode::Softwires])
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let transport = prop::sample::select(Transport::ALL.to_vec());
    let inner =
        (0_u16..2, 1_u8..6, 1_u16..5, transport).prop_map(|(realm, host, port, transport)| Inner {
            realm,
            host,
            port,
            transport,
        });
    let payload = prop::collection::vec(any::<u8>(), 0..40);
    let step = prop_oneof![
        5 => (inner, 1_u8..4, payload).prop_map(|(inner, to, payload)| Step::Out(inner, to, payload)),
        4 => any::<prop::sample::Index>().prop_map(Step::Answer),
        2 => (0_u16..150).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..250)
}

/// What the model remembers: for each session, its mapping's external endpoint and its last
/// packet from the inside. Sessions of UDP and ICMP are with everybody: remote 0.
#[derive(Debug, Default)]
struct Model {
    sessions: HashMap<(Inner, u8), (End, Timestamp)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Life {
    Lives,
    /// In the second or two that rounding takes.
    Either,
    Over,
}

impl Model {
    fn life(inner: Inner, last: Timestamp, now: Timestamp) -> Life {
        match now.since(last).as_secs() {
            idle if idle <= inner.seconds() => Life::Lives,
            idle if idle < inner.seconds() + 2 => Life::Either,
            _ => Life::Over,
        }
    }

    /// The external endpoint that an internal one must have now.
    fn external(&self, inner: Inner, now: Timestamp) -> Option<End> {
        let lives = |&(&(other, _), &(_, last)): &(&(Inner, u8), &(End, Timestamp))| {
            other == inner && Self::life(inner, last, now) == Life::Lives
        };
        self.sessions
            .iter()
            .find(lives)
            .map(|(_, &(external, _))| external)
    }

    /// Who must have an external endpoint now.
    fn holder(&self, external: End, transport: Transport, now: Timestamp) -> Option<Inner> {
        let holds = |&(&(inner, _), &(held, last)): &(&(Inner, u8), &(End, Timestamp))| {
            (held, inner.transport) == (external, transport)
                && Self::life(inner, last, now) == Life::Lives
        };
        self.sessions
            .iter()
            .find(holds)
            .map(|(&(inner, _), _)| inner)
    }
}

/// No block goes to another before it has rested for 120 s, by the events alone.
fn check_rests(lab: &Lab) {
    let mut released: HashMap<(Ipv4Addr, u16), Timestamp> = HashMap::new();
    for told in &lab.told {
        match &told.event {
            Event::Released { block, .. } => {
                released.insert((block.external, block.ports.first()), told.at);
            }
            Event::Allocated(block) => {
                if let Some(at) = released.remove(&(block.external, block.ports.first())) {
                    assert!(told.at.since(at) >= Duration::from_secs(120));
                }
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever subscribers, remote hosts and the clock do: external endpoints are unique, an
    /// internal endpoint keeps its own while any of its sessions lives, and packets from the
    /// outside reach the holder or nobody. The laboratory checks each packet: sums, payload, and
    /// that the events so far name the holder of its port.
    #[test]
    fn the_engine_does_what_the_model_does(
        steps in steps(),
        pooling in prop::sample::select(vec![Pooling::Paired, Pooling::Arbitrary]),
        mode in modes(),
    ) {
        let _mode = Within::new(mode);
        let mut lab = Lab::with(|config| {
            narrow(config);
            config.ports.pooling = pooling;
        });
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Out(inner, to, payload) => {
                    let with = if inner.transport == Transport::Tcp { to } else { 0 };
                    let packet = inner.packet(remote(to, 80), &payload);
                    let passed = lab.pass_in(RealmIndex(inner.realm), Side::Inside, &packet);
                    let expected = model.external(inner, lab.now);
                    if let Verdict::Drop(reason) = passed.verdict {
                        prop_assert!(matches!(reason, DropReason::PoolExhausted | DropReason::SubscriberLimit), "{reason:?}");
                        prop_assert_eq!(expected, None, "refused although it has a mapping");
                        continue;
                    }
                    let external = read(&passed.bytes).source;
                    prop_assert!(expected.is_none_or(|expected| expected == external), "another endpoint");
                    let holder = model.holder(external, inner.transport, lab.now);
                    prop_assert!(holder.is_none_or(|holder| holder == inner), "{holder:?} has it");
                    model.sessions.insert((inner, with), (external, lab.now));
                }
                Step::Answer(_) if model.sessions.is_empty() => {}
                Step::Answer(pick) => {
                    let mut all: Vec<_> = model.sessions.iter().map(|(k, v)| (*k, *v)).collect();
                    all.sort_by_key(|((inner, with), _)| (inner.realm, inner.host, inner.port, inner.transport.index(), *with));
                    let ((inner, with), (external, last)) = all[pick.index(all.len())];
                    let from = remote(with.max(1), 80);
                    let packet = match inner.transport {
                        Transport::Tcp => tcp(from, external, ACK).bytes(),
                        Transport::Udp => udp(from, external).bytes(),
                        Transport::Icmp => echo_reply(from.0, external).bytes(),
                    };
                    let passed = lab.pass(Side::Outside, &packet);
                    let reached = match passed.verdict {
                        Verdict::Forward { realm, .. } => Some((realm.0, read(&passed.bytes).destination)),
                        _ => None,
                    };
                    let own = (inner.realm, inner.end());
                    match Model::life(inner, last, lab.now) {
                        Life::Lives => prop_assert_eq!(reached, Some(own)),
                        Life::Either => {}
                        Life::Over => if let Some((realm, end)) = reached {
                            // Then it is another's by now, or a mapping in its last second.
                            let others = model.sessions.iter().any(|(&(other, _), &(held, last))| {
                                held == external && (other.realm, other.end()) == (realm, end)
                                    && Model::life(other, last, lab.now) != Life::Over
                            });
                            prop_assert!(others, "a mapping outlived its sessions");
                        }
                    }
                }
                Step::Wait(seconds) => {
                    lab.wait(seconds.into());
                }
            }
        }
        check_rests(&lab);
        // In the end all of it ends, and every block is given back.
        lab.wait(10_000);
        let size = lab.nat.size();
        prop_assert_eq!((size.mappings, size.further_sessions, size.usage.held, size.usage.subscribers), (0, 0, 0, 0));
        prop_assert_eq!(size.hosts, 0);
        prop_assert!(lab.held.is_empty());
        prop_assert_eq!(lab.nat.counters().mappings_opened, lab.nat.counters().mappings_ended);
    }
}

/// What is done to a valid packet before it is sent.
#[derive(Debug, Clone)]
struct Harm {
    valid: usize,
    from_inside: bool,
    /// Bytes that are replaced: place and value.
    bytes: Vec<(prop::sample::Index, u8)>,
    /// Cut off behind so many bytes, or lengthened.
    length: Option<prop::sample::Index>,
    /// Whether the checksums are made right again, so that the harm gets further in.
    repaired: bool,
    offload: u8,
    wait: u16,
}

fn harms() -> impl Strategy<Value = Vec<Harm>> {
    let harm = (
        0_usize..64,
        any::<bool>(),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        prop::option::weighted(0.2, any::<prop::sample::Index>()),
        prop::bool::weighted(0.8),
        0_u8..12,
        prop_oneof![6 => Just(0_u16), 1 => 0_u16..400],
    );
    let harm = harm.prop_map(
        |(valid, from_inside, bytes, length, repaired, offload, wait)| Harm {
            valid,
            from_inside,
            bytes,
            length,
            repaired,
            offload,
            wait,
        },
    );
    prop::collection::vec(harm, 1..150)
}

/// Packets of all kinds, among them answers to what was sent before.
fn valid(number: usize, seen: &[End]) -> Vec<u8> {
    let inner = host(u8::try_from(number % 5).unwrap() + 1, 4_000);
    let external = seen.get(number % seen.len().max(1)).copied();
    let external = external.unwrap_or((Ipv4Addr::new(203, 0, 113, 1), 1_050));
    let flags = [SYN, SYN_ACK, ACK, FIN, RST][number % 5];
    let long = udp(inner, remote(1, 53))
        .payload_of(600)
        .identified(7)
        .bytes();
    let long_in = udp(remote(1, 53), external)
        .payload_of(600)
        .identified(7)
        .bytes();
    let inner_quoted = udp(remote(1, 53), inner).bytes();
    let outer_quoted = udp(external, remote(1, 53)).bytes();
    match number % 13 {
        0 => udp(inner, remote(1, 53)).bytes(),
        1 => tcp(inner, remote(1, 80), flags).bytes(),
        2 => echo(inner, remote(1, 0).0).bytes(),
        3 => udp(remote(1, 53), external).bytes(),
        4 => tcp(remote(1, 80), external, flags).bytes(),
        5 => echo_reply(remote(1, 0).0, external).bytes(),
        6 => error(remote(9, 0).0, external.0, 3, 4, &outer_quoted).bytes(),
        7 => error(inner.0, remote(1, 0).0, 11, 0, &inner_quoted).bytes(),
        8 => udp(inner, external).options(&[1; 8]).bytes(),
        9 => fragments(&long, &[304, 96]).swap_remove(number % 3),
        10 => fragments(&long_in, &[304, 96]).swap_remove(number % 3),
        11 => error(inner.0, external.0, 3, 3, &udp(external, inner).bytes()).bytes(),
        _ => udp(inner, remote(1, 53))
            .no_checksum()
            .payload_of(900)
            .identified(3)
            .bytes(),
    }
}

fn harmed(harm: &Harm, seen: &[End]) -> Vec<u8> {
    let mut packet = valid(harm.valid, seen);
    for (place, value) in &harm.bytes {
        let at = place.index(packet.len());
        packet[at] = *value;
    }
    if let Some(length) = harm.length {
        packet.resize(length.index(packet.len() + 40), 0xEE);
    }
    let length = packet.first().map_or(0, |_| header_length(&packet));
    if harm.repaired && (20..=packet.len()).contains(&length) {
        if packet[9] == 1 && packet.len() >= length + 8 {
            renew_icmp_checksum(&mut packet);
        }
        renew_header_checksum(&mut packet);
    }
    packet
}

fn run_harms(harms: &[Harm], change: impl FnOnce(&mut Config)) -> (Engine, u64) {
    let mut config = config();
    narrow(&mut config);
    change(&mut config);
    let mut nat = Engine::new(config, [3; 32]);
    let mut output = Output::default();
    let mut now = Timestamp::from_secs(1_000);
    let (mut seen, mut cut) = (Vec::new(), 0);
    for harm in harms {
        now = now.after(Duration::from_millis(u64::from(harm.wait) * 100));
        let mut bytes = harmed(harm, &seen);
        let before = bytes.clone();
        let side = if harm.from_inside {
            Side::Inside
        } else {
            Side::Outside
        };
        let offload = match harm.offload {
            0 => Offload::Checksum,
            1 => Offload::Segments(100),
            _ => Offload::None,
        };
        let kept = nat.counters().fragments_kept;
        let mut packets = [Packet {
            offload,
            ..Packet::new(&mut bytes)
        }];
        nat.batch(now, side, &mut packets, &mut output);
        match packets[0].verdict {
            Verdict::Forward { to, .. } => {
                assert!(support::reference::header_checksum_is_right(&bytes));
                assert_eq!(trimmed(&bytes).len(), trimmed(&before).len());
                if (side, to) == (Side::Inside, Side::Outside)
                    && !support::reference::is_fragment(&bytes)
                {
                    seen.push(read(&bytes).source);
                }
            }
            Verdict::Kept if nat.counters().fragments_kept == kept => cut += 1,
            Verdict::Kept | Verdict::Drop(_) => {}
        }
    }
    nat.advance(now.after(Duration::from_secs(20_000)), &mut output);
    for emitted in &output.packets {
        assert!(support::reference::header_checksum_is_right(&emitted.data));
    }
    (nat, cut)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever bytes come, from either side: nothing panics, and each packet ends in exactly one
    /// counter.
    #[test]
    fn every_packet_ends_in_one_counter(harms in harms(), filtered in any::<bool>(), mode in modes_of_ipv4()) {
        let _mode = Within::new(mode);
        let (mut nat, cut) = run_harms(&harms, |config| {
            if filtered {
                config.filtering = [Filtering::AddressDependent; 3];
            }
        });
        prop_assert_eq!(cut, 0);
        let counters = nat.counters();
        let dropped: u64 = counters.drops().map(|(_, count)| count).sum();
        let came = counters.from_inside + counters.from_outside;
        prop_assert_eq!(came, harms.len() as u64);
        prop_assert_eq!(came + counters.icmp_sent, counters.to_inside + counters.to_outside + dropped);
        prop_assert_eq!(counters.dropped(DropReason::NotSeen), 0);
        let size = nat.size();
        prop_assert_eq!((size.mappings, size.further_sessions, size.fragment_bytes, size.usage.held), (0, 0, 0, 0));
        prop_assert_eq!(size.hosts, 0);
    }

    /// The same where packets have to be cut on both sides, and the tables are tiny.
    #[test]
    fn tiny_links_and_tables_stand_any_bytes(harms in harms(), mode in modes_of_ipv4()) {
        let _mode = Within::new(mode);
        let (mut nat, _) = run_harms(&harms, |config| {
            (config.mtu.inside, config.mtu.outside) = (68, 100);
            (config.limits.mappings, config.limits.sessions) = (2, 1);
            (config.limits.fragmented, config.limits.fragment_bytes) = (1, 200);
            config.limits.incoming_syns = 1;
        });
        prop_assert_eq!((nat.size().mappings, nat.size().hosts), (0, 0));
    }
}
