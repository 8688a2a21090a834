//! The filter that the kernel runs over each packet, in classic BPF: it passes first packets to
//! watched ports, and what begins like a PROXY header where it comes from a balancer.
//!
//! Packets are looked at from their IP header on, as a packet socket of type `SOCK_DGRAM` has
//! them. What the filter cannot tell (extension headers of IPv6, a first fragment whose flags are
//! in the next) it passes: the watcher looks again.

use ipnet::IpNet;
use portledger_servers::connection_log::Ports;

use crate::Settings;

/// One instruction: `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// How many instructions a jump leaves out where its test holds.
    pub if_true: u8,
    /// And where it does not.
    pub if_false: u8,
    /// Its argument.
    pub argument: u32,
}

/// Which packets a filter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_WORD_AT_X: u16 = 0x40;
const LOAD_HALF_AT_X: u16 = 0x48;
const LOAD_BYTE_AT_X: u16 = 0x50;
/// X is four times the low four bits: the length of an IPv4 header.
const LOAD_X_HEADER: u16 = 0xb1;
const LOAD_X: u16 = 0x01;
const AND: u16 = 0x54;
const SHIFT_RIGHT: u16 = 0x74;
const ADD_X: u16 = 0x0c;
const TO_X: u16 = 0x07;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

/// `SKF_AD_OFF + SKF_AD_PKTTYPE`: to whom the link sent it.
const PACKET_TYPE: u32 = 0xffff_f000 + 4;
/// `PACKET_HOST`: to this machine.
const TO_THIS_MACHINE: u32 = 0;

/// How much of a first packet is needed: the longest IPv4 header and TCP's first 20 bytes, or
/// IPv6's with some extensions.
const FIRST_PACKET: u32 = 160;
/// And where a PROXY header may be behind it.
const WITH_HEADER: u32 = 320;

/// The filter for what is watched.
pub fn filter(settings: &Settings, version: Version) -> Vec<Instruction> {
    let mut program = Program::default();
    if !settings.mirror {
        program.load(LOAD_WORD, PACKET_TYPE);
        program.unless_equal(TO_THIS_MACHINE, Label::Drop);
    }
    match version {
        Version::V4 => program.load(LOAD_BYTE, 9),
        Version::V6 => program.load(LOAD_BYTE, 6),
    }
    if settings.watched.tcp != Ports::None {
        program.if_equal(6, Label::Tcp);
    }
    if settings.watched.udp != Ports::None {
        program.if_equal(17, Label::Udp);
    }
    if version == Version::V6 {
        // Hop-by-hop, routing, fragment, authentication and destination options (RFC 8200 §4.1).
        for extension in [0, 43, 44, 51, 60] {
            program.if_equal(extension, Label::Accept);
        }
    }
    program.jump(Label::Drop);

    program.place(Label::Tcp);
    program.find_transport(version);
    program.ports(&settings.watched.tcp, Label::TcpPort);
    program.place(Label::TcpPort);
    if version == Version::V4 {
        // RFC 791 §3.1: more fragments. The flags may be in the next.
        program.load(LOAD_HALF, 6);
        program.if_set(0x2000, Label::Accept);
    }
    // RFC 9293 §3.1: SYN 2, RST 4, ACK 16.
    program.load(LOAD_BYTE_AT_X, 13);
    program.push(AND, 0x16);
    program.if_equal(2, Label::Accept);
    program.if_set(0x06, Label::Drop);
    for net in &settings.balancers {
        program.if_from(*net, version, Label::Balancer);
    }
    program.jump(Label::Drop);

    program.place(Label::Balancer);
    program.load(LOAD_BYTE_AT_X, 12);
    program.push(AND, 0xf0);
    program.push(SHIFT_RIGHT, 2);
    program.push(ADD_X, 0);
    program.push(TO_X, 0);
    program.load(LOAD_WORD_AT_X, 0);
    program.if_equal(u32::from_be_bytes(*b"PROX"), Label::Accept);
    program.if_equal(u32::from_be_bytes(*b"\r\n\r\n"), Label::Accept);
    program.jump(Label::Drop);

    program.place(Label::Udp);
    program.find_transport(version);
    program.ports(&settings.watched.udp, Label::Accept);

    program.place(Label::Drop);
    program.push(RETURN, 0);
    program.place(Label::Accept);
    let length = if settings.balancers.is_empty() {
        FIRST_PACKET
    } else {
        WITH_HEADER
    };
    program.push(RETURN, length);
    program.resolved()
}

/// A place to jump to: always forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Tcp,
    TcpPort,
    Udp,
    Balancer,
    Drop,
    Accept,
}

#[derive(Default)]
struct Program {
    instructions: Vec<Instruction>,
    jumps: Vec<(usize, Label)>,
    places: Vec<(Label, usize)>,
}

impl Program {
    fn push(&mut self, code: u16, argument: u32) {
        self.instructions.push(Instruction {
            code,
            if_true: 0,
            if_false: 0,
            argument,
        });
    }

    fn load(&mut self, code: u16, at: u32) {
        self.push(code, at);
    }

    fn place(&mut self, label: Label) {
        self.places.push((label, self.instructions.len()));
    }

    /// An unconditional jump has room for any distance, a test only for 255: so each test leaves
    /// out, or does not, the jump behind it.
    fn jump(&mut self, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.push(JUMP, 0);
    }

    fn test(&mut self, code: u16, argument: u32, when: bool, to: Label) {
        self.instructions.push(Instruction {
            code,
            if_true: u8::from(!when),
            if_false: u8::from(when),
            argument,
        });
        self.jump(to);
    }

    fn if_equal(&mut self, value: u32, to: Label) {
        self.test(JUMP_EQUAL, value, true, to);
    }

    fn unless_equal(&mut self, value: u32, to: Label) {
        self.test(JUMP_EQUAL, value, false, to);
    }

    fn if_set(&mut self, bits: u32, to: Label) {
        self.test(JUMP_SET, bits, true, to);
    }

    /// X is where the transport's header begins; later fragments have none.
    fn find_transport(&mut self, version: Version) {
        match version {
            Version::V4 => {
                self.load(LOAD_HALF, 6);
                self.if_set(0x1fff, Label::Drop);
                self.load(LOAD_X_HEADER, 0);
            }
            Version::V6 => self.push(LOAD_X, 40),
        }
    }

    fn ports(&mut self, ports: &Ports, to: Label) {
        match ports {
            Ports::All => self.jump(to),
            Ports::None => self.jump(Label::Drop),
            Ports::These(ports) => {
                self.load(LOAD_HALF_AT_X, 2);
                for port in ports {
                    self.if_equal(u32::from(*port), to);
                }
                self.jump(Label::Drop);
            }
        }
    }

    fn if_from(&mut self, net: IpNet, version: Version, to: Label) {
        let (source, net, mask) = match (net, version) {
            (IpNet::V4(net), Version::V4) => (
                12,
                net.network().octets().to_vec(),
                net.netmask().octets().to_vec(),
            ),
            (IpNet::V6(net), Version::V6) => (
                8,
                net.network().octets().to_vec(),
                net.netmask().octets().to_vec(),
            ),
            _ => return,
        };
        let words = |bytes: Vec<u8>| -> Vec<u32> {
            let words = bytes.as_chunks::<4>().0;
            words.iter().map(|word| u32::from_be_bytes(*word)).collect()
        };
        let words: Vec<_> = words(net)
            .into_iter()
            .zip(words(mask))
            .zip((source..).step_by(4))
            .collect();
        // Where a word differs, the rest of this network's test is left out: three instructions a
        // word, the last of which has a jump behind it.
        let count = words.len();
        for (index, ((net, mask), at)) in words.into_iter().enumerate() {
            self.load(LOAD_WORD, at);
            self.push(AND, mask);
            let left = u8::try_from(3 * (count - 1 - index) + 1).unwrap_or(u8::MAX);
            self.instructions.push(Instruction {
                code: JUMP_EQUAL,
                if_true: 0,
                if_false: left,
                argument: net,
            });
        }
        self.jump(to);
    }

    fn resolved(mut self) -> Vec<Instruction> {
        for (from, label) in self.jumps {
            let place = self.places.iter().find(|(placed, _)| *placed == label);
            if let (Some((_, to)), Some(jump)) = (place, self.instructions.get_mut(from)) {
                jump.argument = u32::try_from(to - from - 1).unwrap_or(u32::MAX);
            }
        }
        self.instructions
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use portledger_servers::connection_log::Watched;
    use proptest::prelude::*;

    use super::*;

    /// What the kernel does with a packet: how many of its bytes it passes (`bpf(4)`).
    fn run(program: &[Instruction], packet: &[u8], packet_type: u32) -> u32 {
        let load = |at: usize, size: usize| -> Option<u32> {
            let bytes = packet.get(at..at.checked_add(size)?)?;
            Some(
                bytes
                    .iter()
                    .fold(0, |word, byte| word << 8 | u32::from(*byte)),
            )
        };
        let (mut a, mut x, mut at) = (0_u32, 0_u32, 0_usize);
        loop {
            let step = program[at];
            at += 1;
            let k = step.argument as usize;
            let loaded = match step.code {
                LOAD_WORD if step.argument == PACKET_TYPE => Some(packet_type),
                LOAD_WORD => load(k, 4),
                LOAD_HALF => load(k, 2),
                LOAD_BYTE => load(k, 1),
                LOAD_WORD_AT_X => load(x as usize + k, 4),
                LOAD_HALF_AT_X => load(x as usize + k, 2),
                LOAD_BYTE_AT_X => load(x as usize + k, 1),
                LOAD_X_HEADER => match load(k, 1) {
                    Some(byte) => {
                        x = (byte & 15) * 4;
                        continue;
                    }
                    None => return 0,
                },
                RETURN => return step.argument,
                code => {
                    let holds = match code {
                        LOAD_X => {
                            x = step.argument;
                            continue;
                        }
                        AND => {
                            a &= step.argument;
                            continue;
                        }
                        SHIFT_RIGHT => {
                            a >>= step.argument;
                            continue;
                        }
                        ADD_X => {
                            a = a.wrapping_add(x);
                            continue;
                        }
                        TO_X => {
                            x = a;
                            continue;
                        }
                        JUMP => {
                            at += k;
                            continue;
                        }
                        JUMP_EQUAL => a == step.argument,
                        JUMP_SET => a & step.argument != 0,
                        other => panic!("no such instruction: {other:#x}"),
                    };
                    at += usize::from(if holds { step.if_true } else { step.if_false });
                    continue;
                }
            };
            match loaded {
                Some(value) => a = value,
                // A load beyond the packet ends the filter with 0.
                None => return 0,
            }
        }
    }

    fn settings(tcp: Ports, udp: Ports, balancers: &[&str]) -> Settings {
        Settings {
            watched: Watched { tcp, udp },
            balancers: balancers.iter().map(|net| net.parse().unwrap()).collect(),
            ..Settings::default()
        }
    }

    const CLIENT: [u8; 4] = [203, 0, 113, 7];
    const SERVER: [u8; 4] = [192, 0, 2, 80];

    fn segment(port: u16, flags: u8, payload: &[u8]) -> [Vec<u8>; 2] {
        let wide = |[a, b, c, d]: [u8; 4]| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d];
        let build = |builder: etherparse::PacketBuilderStep<etherparse::IpHeaders>| {
            let mut packet = Vec::new();
            let options = [etherparse::TcpOptionElement::MaximumSegmentSize(1_400)];
            let builder = builder.tcp(40_000, port, 7, 9).options(&options).unwrap();
            builder.write(&mut packet, payload).unwrap();
            packet
        };
        let mut v4 = build(PacketBuilder::ipv4(CLIENT, SERVER, 64));
        let mut v6 = build(PacketBuilder::ipv6(wide(CLIENT), wide(SERVER), 64));
        v4[20 + 13] = flags;
        v6[40 + 13] = flags;
        [v4, v6]
    }

    fn passes(settings: &Settings, packets: &[Vec<u8>; 2]) -> [bool; 2] {
        let [v4, v6] = packets;
        [
            run(&filter(settings, Version::V4), v4, TO_THIS_MACHINE) > 0,
            run(&filter(settings, Version::V6), v6, TO_THIS_MACHINE) > 0,
        ]
    }

    #[test]
    fn first_packets_to_watched_ports_pass_and_nothing_else() {
        let watched = settings(Ports::These(vec![80, 443]), Ports::None, &[]);
        let all = settings(Ports::All, Ports::All, &[]);
        for (port, flags, expected) in [
            (443, 0x02, true),
            (80, 0xc2, true),
            (443, 0x12, false),
            (443, 0x10, false),
            (443, 0x04, false),
            (443, 0x06, false),
            (22, 0x02, false),
        ] {
            let packets = segment(port, flags, b"");
            assert_eq!(
                passes(&watched, &packets),
                [expected; 2],
                "{port} {flags:#x}"
            );
            assert_eq!(passes(&all, &packets), [flags & 0x16 == 2; 2]);
        }
        let mut udp = Vec::new();
        let builder = PacketBuilder::ipv4(CLIENT, SERVER, 64).udp(40_000, 443);
        builder.write(&mut udp, b"x").unwrap();
        assert_eq!(run(&filter(&watched, Version::V4), &udp, 0), 0);
        assert_ne!(run(&filter(&all, Version::V4), &udp, 0), 0);
    }

    #[test]
    fn what_goes_elsewhere_passes_on_a_mirror_port_only() {
        let [v4, _] = segment(443, 2, b"");
        let mut watched = settings(Ports::All, Ports::None, &[]);
        for packet_type in 1..5 {
            assert_eq!(run(&filter(&watched, Version::V4), &v4, packet_type), 0);
        }
        watched.mirror = true;
        assert_ne!(run(&filter(&watched, Version::V4), &v4, 3), 0);
    }

    #[test]
    fn headers_pass_from_balancers_only() {
        let (v1, v2) = (b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n!\x11");
        let other = segment(443, 0x18, b"GET / HTTP/1.1\r\n\r\n");
        let none = segment(443, 0x10, b"");
        for (nets, expected) in [
            (vec!["203.0.113.0/29", "2001:db8::/64"], [true, true]),
            (vec!["198.51.100.0/24", "203.0.113.7/32"], [true, false]),
            (vec!["2001:db8::cb00:7107/128"], [false, true]),
            (vec!["2001:db8::cb00:7108/128", "0.0.0.0/0"], [true, false]),
            (vec!["203.0.113.8/29", "2001:db8:1::/48"], [false, false]),
        ] {
            let settings = settings(Ports::All, Ports::None, &nets);
            for header in [v1.as_slice(), v2.as_slice()] {
                let packets = segment(443, 0x18, header);
                assert_eq!(passes(&settings, &packets), expected, "{nets:?}");
            }
            assert_eq!(passes(&settings, &other), [false; 2]);
            assert_eq!(passes(&settings, &none), [false; 2]);
        }
    }

    #[test]
    fn nothing_hides_in_fragments_or_extension_headers() {
        let watched = settings(Ports::These(vec![443]), Ports::None, &[]);
        let [mut v4, mut v6] = segment(443, 2, b"");
        v4[6] = 0x20;
        v4.truncate(28);
        assert_ne!(run(&filter(&watched, Version::V4), &v4, 0), 0);
        v4[7] = 1;
        assert_eq!(run(&filter(&watched, Version::V4), &v4, 0), 0);
        v6[6] = 60;
        assert_ne!(run(&filter(&watched, Version::V6), &v6, 0), 0);
    }

    #[test]
    fn any_number_of_ports_will_do() {
        let ports: Vec<u16> = (1_000..2_000).collect();
        let watched = settings(Ports::These(ports.clone()), Ports::None, &[]);
        for port in ports {
            assert_eq!(passes(&watched, &segment(port, 2, b"")), [true; 2]);
        }
        assert_eq!(passes(&watched, &segment(999, 2, b"")), [false; 2]);
        // BPF_MAXINSNS
        assert!(filter(&watched, Version::V4).len() <= 4_096);
    }

    proptest! {
        /// The filter and the parser agree on each plain packet that there can be.
        #[test]
        fn what_the_watcher_would_record_passes(bytes in prop::collection::vec(any::<u8>(), 0..80), v6: bool, tcp: bool) {
            let mut packet = bytes;
            if packet.len() < 20 {
                return Ok(());
            }
            packet[0] = if v6 { 0x60 } else { 0x40 | (packet[0] & 15).max(5) };
            let protocol = if tcp { 6 } else { 17 };
            packet[if v6 { 6 } else { 9 }] = protocol;
            let watched = settings(Ports::All, Ports::All, &[]);
            let version = if v6 { Version::V6 } else { Version::V4 };
            use portledger_servers::packet::{Kind, parse};
            if let Ok(read) = parse(&packet)
                && matches!(read.kind, Kind::Syn(_) | Kind::Datagram)
            {
                prop_assert_ne!(run(&filter(&watched, version), &packet, 0), 0);
            }
            for balancers in [vec![], vec!["0.0.0.0/0", "::/0"]] {
                let watched = settings(Ports::These(vec![1, 2]), Ports::None, &balancers);
                run(&filter(&watched, version), &packet, 0);
            }
        }
    }
}
