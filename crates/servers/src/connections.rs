//! The connection log beside servers that cannot write one, read from a capture: a sighting for
//! each TCP connection attempt, each UDP flow and each ICMP echo identifier.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use portledger_model::{Destination, Moment, Sighting, Source, Timestamp, Transport, Zone};

use crate::{
    Counts, Reading, Reason, Rejection, Skip,
    packet::{Key, Kind, Packet, Unread, parse},
};

/// What is to be seen of a capture.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// The capture's name, for [`Source`].
    pub file: Arc<str>,
    /// The servers' addresses: only what others begin with them is seen. Where none are given,
    /// whoever sends first is the initiator.
    pub servers: HashSet<IpAddr>,
    /// How long a UDP flow or an ICMP identifier is quiet before its next packet begins another.
    pub quiet: Duration,
    /// How long a TCP connection may be quiet before it is forgotten.
    pub tcp_quiet: Duration,
    /// How many connections and flows are remembered at once; beyond it the one that began first
    /// is forgotten, and seen again if it goes on.
    pub limit: usize,
}

impl ConnectionOptions {
    /// For a capture of this name: every server, 60 s for UDP and ICMP, 2 h 4 min for TCP
    /// (RFC 5382 §5, REQ-5: what a NAT holds an idle connection for), a million connections.
    pub fn new(file: impl Into<Arc<str>>) -> Self {
        Self {
            file: file.into(),
            servers: HashSet::new(),
            quiet: Duration::from_secs(60),
            tcp_quiet: Duration::from_secs(7_440),
            limit: 1_000_000,
        }
    }
}

/// Sees connections in the packets of a capture.
#[derive(Debug, Clone)]
pub struct Connections {
    options: ConnectionOptions,
    flows: HashMap<Key, Flow>,
    /// Keys in the order in which their flows began; some may be forgotten or begun again.
    order: VecDeque<(Key, u64)>,
    begun: u64,
    forgotten: u64,
    counts: Counts,
}

#[derive(Debug, Clone, Copy)]
struct Flow {
    last: Timestamp,
    /// The initial sequence number of the SYN it began with, where it was seen.
    initial: Option<u32>,
    number: u64,
}

impl Connections {
    /// Nothing was seen yet.
    pub fn new(options: ConnectionOptions) -> Self {
        Self {
            options,
            flows: HashMap::new(),
            order: VecDeque::new(),
            begun: 0,
            forgotten: 0,
            counts: Counts::default(),
        }
    }

    /// Looks at packet `number` (from 1), which was captured at `at`: an IP packet without its
    /// link layer, perhaps cut short after the transport's first bytes.
    pub fn packet(&mut self, number: u64, at: Timestamp, packet: &[u8]) -> Reading {
        let reading = match parse(packet) {
            Ok(packet) => match self.see(&packet, at) {
                Ok((key, moment)) => Reading::Sighting(self.sighting(key, moment, number, at)),
                Err(skip) => Reading::Skipped(skip),
            },
            Err(Unread::Skip(skip)) => Reading::Skipped(skip),
            Err(Unread::Short { at, header }) => Reading::Rejected(Rejection {
                line: number,
                column: at + 1,
                reason: Reason::Packet { header },
            }),
        };
        self.counts.add(&reading);
        reading
    }

    /// What the packets came to so far.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many connections were forgotten before they were quiet, for want of room: each may be
    /// seen twice.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The flow that the packet begins, as its initiator sees it, and of which moment that is.
    fn see(&mut self, packet: &Packet<'_>, at: Timestamp) -> Result<(Key, Moment), Skip> {
        let key = self.oriented(packet);
        let moment = match (packet.kind, self.live(key, at)) {
            // RFC 9293 §3.4: a new connection has a new initial sequence number, a repeated SYN
            // has the old one.
            (Kind::Syn(initial), known)
                if known.is_none_or(|flow| flow.initial != Some(initial)) =>
            {
                self.begin(key, Some(initial), at);
                Moment::Connect
            }
            (_, Some(_)) => {
                if let Some(flow) = self.flows.get_mut(&key) {
                    flow.last = flow.last.max(at);
                }
                return Err(Skip::KnownConnection);
            }
            (Kind::Reset | Kind::Reply, None) => return Err(Skip::NotBeginning),
            (Kind::Syn(_) | Kind::SynAck | Kind::Segment(_) | Kind::Datagram, None) => {
                self.begin(key, None, at);
                // The first datagram of a flow opens it; a TCP segment is from its midst.
                match key.transport {
                    Transport::Tcp => Moment::Logged,
                    Transport::Udp | Transport::Icmp => Moment::Connect,
                }
            }
        };
        // What a server begins is remembered all the same, so that the answers to it are known.
        if !self.options.servers.is_empty() && !self.is_to_server(key) {
            return Err(Skip::NotServerBound);
        }
        Ok((key, moment))
    }

    fn is_to_server(&self, key: Key) -> bool {
        self.options.servers.contains(&key.responder.0)
    }

    /// The packet's key with the initiator first: as the kind of packet tells, else as the flow is
    /// known, else as it was sent. In the midst of a TCP connection that says nothing of who began
    /// it: there a server is taken to be the one that did not.
    fn oriented(&self, packet: &Packet<'_>) -> Key {
        let (sent, reversed) = (packet.key, packet.key.reversed());
        match packet.kind {
            Kind::Syn(_) => sent,
            Kind::SynAck | Kind::Reply => reversed,
            Kind::Segment(_) | Kind::Datagram | Kind::Reset => {
                if self.flows.contains_key(&sent) {
                    sent
                } else if self.flows.contains_key(&reversed)
                    || (sent.transport == Transport::Tcp
                        && self.is_to_server(reversed)
                        && !self.is_to_server(sent))
                {
                    reversed
                } else {
                    sent
                }
            }
        }
    }

    /// The flow, unless it was quiet for too long.
    fn live(&mut self, key: Key, at: Timestamp) -> Option<Flow> {
        let flow = *self.flows.get(&key)?;
        if at.since(flow.last) > self.quiet(key.transport) {
            self.flows.remove(&key);
            return None;
        }
        Some(flow)
    }

    const fn quiet(&self, transport: Transport) -> Duration {
        match transport {
            Transport::Tcp => self.options.tcp_quiet,
            Transport::Udp | Transport::Icmp => self.options.quiet,
        }
    }

    fn begin(&mut self, key: Key, initial: Option<u32>, at: Timestamp) {
        self.begun += 1;
        let number = self.begun;
        let flow = Flow {
            last: at,
            initial,
            number,
        };
        self.flows.insert(key, flow);
        self.order.push_back((key, number));
        while self.flows.len() > self.options.limit || self.order.len() > self.most_in_order() {
            let Some(first) = self.order.pop_front() else {
                break;
            };
            self.forget(first, at);
        }
    }

    /// Begun-again flows leave their old places in the order behind.
    const fn most_in_order(&self) -> usize {
        self.options.limit.saturating_mul(2).saturating_add(1)
    }

    /// Forgets the flow that began then; it may have begun again since, or be forgotten already.
    fn forget(&mut self, (key, number): (Key, u64), at: Timestamp) {
        let Some(flow) = self.flows.get(&key).filter(|flow| flow.number == number) else {
            return;
        };
        if at.since(flow.last) <= self.quiet(key.transport) {
            self.forgotten += 1;
        }
        self.flows.remove(&key);
    }

    fn sighting(&self, key: Key, moment: Moment, number: u64, at: Timestamp) -> Sighting {
        Sighting {
            source: Source {
                file: Arc::clone(&self.options.file),
                line: number,
            },
            address: key.initiator.0,
            port: Some(key.initiator.1),
            transport: Some(key.transport),
            destination: Destination {
                address: Some(key.responder.0),
                port: match key.transport {
                    Transport::Tcp | Transport::Udp => Some(key.responder.1),
                    Transport::Icmp => None,
                },
            },
            at: Some(at),
            or_at: None,
            resolution: Duration::from_micros(1),
            zone: Zone::Utc,
            moment,
            lasted: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::show;

    const CLIENT: [u8; 4] = [203, 0, 113, 7];
    const SERVER: [u8; 4] = [192, 0, 2, 80];

    #[derive(Clone, Copy)]
    enum Flags {
        Syn(u32),
        SynAck,
        Ack,
        Reset,
    }

    fn tcp_packet(from: ([u8; 4], u16), to: ([u8; 4], u16), flags: Flags) -> Vec<u8> {
        let sequence = if let Flags::Syn(initial) = flags {
            initial
        } else {
            7
        };
        let builder = PacketBuilder::ipv4(from.0, to.0, 64).tcp(from.1, to.1, sequence, 1_000);
        let builder = match flags {
            Flags::Syn(_) => builder.syn(),
            Flags::SynAck => builder.syn().ack(1),
            Flags::Ack => builder.ack(1),
            Flags::Reset => builder.rst(),
        };
        let mut packet = Vec::new();
        builder.write(&mut packet, &[]).unwrap();
        packet
    }

    fn udp_packet(from: ([u8; 4], u16), to: ([u8; 4], u16)) -> Vec<u8> {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4(from.0, to.0, 64).udp(from.1, to.1);
        builder.write(&mut packet, b"x").unwrap();
        packet
    }

    fn see(options: ConnectionOptions, packets: &[(u64, Vec<u8>)]) -> String {
        let mut connections = Connections::new(options);
        packets
            .iter()
            .zip(1..)
            .map(|((seconds, packet), number)| {
                let at = Timestamp::EPOCH.after(Duration::from_secs(*seconds));
                let reading = connections.packet(number, at, packet);
                format!("{number} at {seconds} s: {}\n", show(&reading))
            })
            .collect()
    }

    const C: ([u8; 4], u16) = (CLIENT, 49_152);
    const S: ([u8; 4], u16) = (SERVER, 443);

    #[test]
    fn one_sighting_for_each_attempt() {
        insta::assert_snapshot!(see(
            ConnectionOptions::new("x"),
            &[
                (0, tcp_packet(C, S, Flags::Syn(1))),
                (1, tcp_packet(C, S, Flags::Syn(1))),
                (1, tcp_packet(S, C, Flags::SynAck)),
                (1, tcp_packet(C, S, Flags::Ack)),
                (2, tcp_packet(S, C, Flags::Reset)),
                (3, tcp_packet(C, S, Flags::Syn(2))),
                (3, tcp_packet((CLIENT, 49_153), S, Flags::Ack)),
                (3, tcp_packet(S, (CLIENT, 49_154), Flags::SynAck)),
                (3, tcp_packet((CLIENT, 49_155), S, Flags::Reset)),
                (9_000, tcp_packet(C, S, Flags::Ack)),
            ]
        ));
    }

    #[test]
    fn a_quiet_minute_ends_a_udp_flow() {
        insta::assert_snapshot!(see(
            ConnectionOptions::new("x"),
            &[
                (0, udp_packet(C, S)),
                (50, udp_packet(S, C)),
                (100, udp_packet(C, S)),
                (161, udp_packet(C, S)),
            ]
        ));
    }

    #[test]
    fn only_what_goes_to_a_server_where_servers_are_given() {
        let mut options = ConnectionOptions::new("x");
        options.servers.insert(SERVER.into());
        insta::assert_snapshot!(see(
            options,
            &[
                (0, tcp_packet((SERVER, 50_000), (CLIENT, 25), Flags::Syn(1))),
                (0, tcp_packet((CLIENT, 25), (SERVER, 50_000), Flags::SynAck)),
                (0, tcp_packet((CLIENT, 25), (SERVER, 50_000), Flags::Ack)),
                (0, tcp_packet(S, C, Flags::Ack)),
                (0, udp_packet((SERVER, 50_000), (CLIENT, 53))),
                (0, udp_packet((CLIENT, 53), (SERVER, 50_000))),
                (0, udp_packet(C, S)),
            ]
        ));
    }

    #[test]
    fn echo_requests_by_identifier() {
        let echo = |identifier, from, to, reply| {
            let mut packet = Vec::new();
            let builder = PacketBuilder::ipv4(from, to, 64);
            if reply {
                builder
                    .icmpv4_echo_reply(identifier, 1)
                    .write(&mut packet, &[])
                    .unwrap();
            } else {
                builder
                    .icmpv4_echo_request(identifier, 1)
                    .write(&mut packet, &[])
                    .unwrap();
            }
            packet
        };
        insta::assert_snapshot!(see(
            ConnectionOptions::new("x"),
            &[
                (0, echo(7, CLIENT, SERVER, false)),
                (0, echo(7, SERVER, CLIENT, true)),
                (1, echo(7, CLIENT, SERVER, false)),
                (1, echo(8, CLIENT, SERVER, false)),
                (1, echo(9, SERVER, CLIENT, true)),
            ]
        ));
    }

    #[test]
    fn what_holds_no_endpoint() {
        let whole = tcp_packet(C, S, Flags::Syn(1));
        let mut fragment = whole.clone();
        fragment[7] = 1;
        let mut gre = whole.clone();
        gre[9] = 47;
        insta::assert_snapshot!(see(
            ConnectionOptions::new("x"),
            &[
                (0, fragment),
                (0, gre),
                (0, whole[..30].to_vec()),
                (0, whole[..10].to_vec()),
                (0, vec![0x60; 40]),
            ]
        ));
    }

    #[test]
    fn state_is_bounded() {
        let mut options = ConnectionOptions::new("x");
        options.limit = 2;
        let mut connections = Connections::new(options);
        for port in 0..100 {
            for initial in 0..3 {
                let packet = tcp_packet((CLIENT, port), S, Flags::Syn(initial));
                connections.packet(1, Timestamp::EPOCH, &packet);
                assert!(connections.flows.len() <= 2 && connections.order.len() <= 5);
            }
        }
        assert_eq!(connections.counts().sightings, 300);
        assert_eq!(connections.forgotten(), 98);
    }

    proptest! {
        #[test]
        fn nothing_panics(packets: Vec<(i64, Vec<u8>)>) {
            let mut connections = Connections::new(ConnectionOptions::new("x"));
            for (at, packet) in packets {
                connections.packet(1, Timestamp::from_micros(at), &packet);
            }
        }

        #[test]
        fn nothing_panics_inside_ipv4(payload: Vec<u8>, protocol: u8) {
            let mut packet = tcp_packet(C, S, Flags::Ack);
            packet.truncate(20);
            packet[9] = protocol;
            packet.extend(payload);
            Connections::new(ConnectionOptions::new("x")).packet(1, Timestamp::EPOCH, &packet);
        }
    }
}
