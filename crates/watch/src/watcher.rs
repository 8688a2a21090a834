//! Packets in, entries of the log out.

use std::{hash::BuildHasher, net::IpAddr, time::Duration};

use ipnet::IpNet;
use portledger_model::{Timestamp, Transport};
use portledger_servers::{
    Skip,
    connection_log::{Entry, LeftOut, Mark, Ports, Record, Says, Watched, Why},
    packet::{Kind, Unread, parse},
};
use serde::Serialize;

use crate::{
    flood::{Flood, Rule},
    pending::Pending,
    repeats::Repeats,
};

/// What is watched, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// To which ports of servers.
    pub watched: Watched,
    /// The load balancers whose PROXY headers are taken.
    pub balancers: Vec<IpNet>,
    /// How long a header is waited for.
    pub header_wait: Duration,
    /// What is written of a flood; all where there is no rule.
    pub flood: Option<Rule>,
    /// What goes to other machines is watched too: the interface is a mirror port.
    pub mirror: bool,
}

impl Default for Settings {
    /// Every TCP port of this machine.
    fn default() -> Self {
        Self {
            watched: Watched {
                tcp: Ports::All,
                udp: Ports::None,
            },
            balancers: Vec::new(),
            header_wait: Duration::from_secs(10),
            flood: None,
            mirror: false,
        }
    }
}

/// How many first packets are known again.
const REPEATS: usize = 1 << 17;
/// RFC 6298 §5.5: the wait for the next SYN doubles; Linux's longest is 64 s.
const SYN_AGAIN: u32 = 70;
/// RFC 4787 REQ-5: a NAT's mapping for UDP lasts two minutes or more.
const UDP_QUIET: u32 = 120;

/// What was seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Packets that the kernel passed.
    pub packets: u64,
    /// Connections that were given to the log.
    pub connections: u64,
    /// Packets of connections that were seen a moment ago.
    pub repeated: u64,
    /// Packets that begin nothing that is watched.
    pub ignored: u64,
    /// Connections that the kernel had no room for.
    pub lost: u64,
    /// Connections left out by the operator's rule for floods.
    pub flooded: u64,
    /// Packets that could not be read, of which each may have begun a connection.
    pub unread: u64,
    /// Of the connections, those of a balancer that told no client.
    pub untold: u64,
}

/// Sees connections in first packets.
pub struct Watcher<S> {
    settings: Settings,
    /// Keyed by chance: who sends packets must not foresee it.
    hasher: S,
    repeats: Repeats,
    pending: Pending,
    flood: Flood,
    unread: Option<LeftOut>,
    counts: Counts,
}

impl<S: BuildHasher> Watcher<S> {
    /// Nothing was seen yet. The hasher's key must be drawn at random.
    pub fn new(settings: Settings, hasher: S) -> Self {
        Self {
            repeats: Repeats::new(REPEATS),
            pending: Pending::new(settings.header_wait),
            flood: Flood::new(settings.flood),
            unread: None,
            counts: Counts::default(),
            settings,
            hasher,
        }
    }

    /// What is watched.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What was seen so far.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// A packet, from its IP header on, that the kernel got at `at`.
    pub fn packet(&mut self, at: Timestamp, packet: &[u8], told: &mut impl FnMut(Entry)) {
        self.counts.packets += 1;
        let packet = match parse(packet) {
            Ok(packet) => packet,
            // Its first fragment was looked at, and other protocols have no ports.
            Err(Unread::Skip(Skip::Fragment | Skip::NoPort)) => {
                self.counts.ignored += 1;
                return;
            }
            Err(_) => {
                self.counts.unread += 1;
                let unread = self.unread.get_or_insert(LeftOut {
                    from: at,
                    to: at,
                    connections: 0,
                    source: None,
                    why: Why::Unread,
                });
                unread.from = unread.from.min(at);
                unread.to = unread.to.max(at);
                unread.connections += 1;
                return;
            }
        };
        let key = packet.key;
        let port = key.responder.1;
        let (seconds, initial) = match packet.kind {
            Kind::Syn(initial) if self.settings.watched.tcp.contains(port) => (SYN_AGAIN, initial),
            Kind::Datagram
                if key.transport == Transport::Udp && self.settings.watched.udp.contains(port) =>
            {
                (UDP_QUIET, 0)
            }
            Kind::Segment(sequence) => {
                match self.pending.data(key, sequence, packet.payload) {
                    Some(record) => self.tell(record, told),
                    None => self.counts.ignored += 1,
                }
                return;
            }
            _ => {
                self.counts.ignored += 1;
                return;
            }
        };
        if self.repeats.saw(&self.hasher, (key, initial), at, seconds) {
            self.counts.repeated += 1;
            return;
        }
        let record = Record {
            at,
            transport: key.transport,
            client: (key.initiator.0.to_canonical(), key.initiator.1),
            server: key.responder,
            told: None,
        };
        if key.transport != Transport::Tcp || !self.is_balancer(record.client.0) {
            self.tell(record, told);
            return;
        }
        let mut late = Vec::new();
        self.pending
            .begin(key, initial, record, &mut |record| late.push(record));
        // RFC 7413: the SYN may have the first data with it, one number later.
        let first = initial.wrapping_add(1);
        late.extend(self.pending.data(key, first, packet.payload));
        for record in late {
            self.tell(record, told);
        }
    }

    fn is_balancer(&self, address: IpAddr) -> bool {
        let mut nets = self.settings.balancers.iter();
        nets.any(|net| net.contains(&address))
    }

    /// Connections that began from `from` to `to` and are not in the log, as the driver noticed.
    pub fn left_out(&mut self, left_out: LeftOut, told: &mut impl FnMut(Entry)) {
        if left_out.why == Why::Lost {
            self.counts.lost += left_out.connections;
        }
        told(mark(left_out));
    }

    /// To be called about once a second: `now` is the time, and all packets that the kernel got
    /// before `seen` were given.
    pub fn tick(&mut self, now: Timestamp, seen: Timestamp, told: &mut impl FnMut(Entry)) {
        let mut late = Vec::new();
        self.pending.tick(now, &mut |record| late.push(record));
        for record in late {
            self.tell(record, told);
        }
        let counts = &mut self.counts;
        self.flood.tick(seen, &mut |left_out| {
            counts.flooded += left_out.connections;
            told(mark(left_out));
        });
        if let Some(unread) = self.unread.take() {
            told(mark(unread));
        }
    }

    /// Before which time all is in the log, or is said to be left out, where all packets that the
    /// kernel got before `seen` were given.
    pub fn complete_before(&self, seen: Timestamp) -> Timestamp {
        self.pending
            .oldest()
            .map_or(seen, |oldest| oldest.min(seen))
    }

    /// The end: all that waited is told.
    pub fn finish(&mut self, now: Timestamp, told: &mut impl FnMut(Entry)) {
        let mut late = Vec::new();
        self.pending.finish(&mut |record| late.push(record));
        for record in late {
            self.tell(record, told);
        }
        self.tick(now, Timestamp::MAX, told);
    }

    fn tell(&mut self, record: Record, told: &mut impl FnMut(Entry)) {
        use portledger_servers::connection_log::Told;

        let counts = &mut self.counts;
        let mut left = |left_out: LeftOut| {
            counts.flooded += left_out.connections;
            told(mark(left_out));
        };
        let source = record.client.0;
        if self.flood.takes(record.at, source, &self.hasher, &mut left) {
            self.counts.connections += 1;
            self.counts.untold += u64::from(matches!(record.told, Some(Told::Not(_))));
            told(Entry::Connection(record));
        }
    }
}

fn mark(left_out: LeftOut) -> Entry {
    Entry::Mark(Mark {
        at: left_out.to,
        says: Says::LeftOut(left_out),
    })
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasherDefault, DefaultHasher};

    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;
    use crate::flood::Rest;

    type Fixed = BuildHasherDefault<DefaultHasher>;

    const CLIENT: [u8; 4] = [203, 0, 113, 7];
    const HOP: [u8; 4] = [192, 0, 2, 9];
    const SERVER: [u8; 4] = [192, 0, 2, 80];
    const HEADER: &[u8] = b"PROXY TCP4 203.0.113.7 198.51.100.1 40123 443\r\n";

    fn segment(from: ([u8; 4], u16), sequence: u32, syn: bool, payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ipv4(from.0, SERVER, 64).tcp(from.1, 443, sequence, 1_000);
        let builder = if syn { builder.syn() } else { builder.ack(1) };
        let mut packet = Vec::new();
        builder.write(&mut packet, payload).unwrap();
        packet
    }

    fn datagram(port: u16) -> Vec<u8> {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4(CLIENT, SERVER, 64).udp(port, 443);
        builder.write(&mut packet, b"x").unwrap();
        packet
    }

    fn watching(settings: Settings) -> Watcher<Fixed> {
        Watcher::new(settings, Fixed::default())
    }

    /// The log, where each packet comes so many seconds after the first.
    fn log(settings: Settings, packets: &[(i64, Vec<u8>)]) -> String {
        let mut watcher = watching(settings);
        let mut text = String::new();
        let mut told = |entry: Entry| text += &format!("{entry}\n");
        for (seconds, packet) in packets {
            let at = Timestamp::from_secs(1_795_258_400 + seconds);
            watcher.tick(at, at, &mut told);
            watcher.packet(at, packet, &mut told);
        }
        watcher.finish(Timestamp::from_secs(1_795_259_000), &mut told);
        text
    }

    fn with_balancers() -> Settings {
        Settings {
            balancers: vec!["192.0.2.0/28".parse().unwrap()],
            ..Settings::default()
        }
    }

    #[test]
    fn each_connection_once_however_often_its_first_packet_comes() {
        let mut settings = Settings::default();
        settings.watched.udp = Ports::These(vec![443]);
        insta::assert_snapshot!(log(
            settings,
            &[
                (0, segment((CLIENT, 40_000), 1, true, b"")),
                (1, segment((CLIENT, 40_000), 1, true, b"")),
                (3, segment((CLIENT, 40_000), 1, true, b"")),
                (4, segment((CLIENT, 40_000), 2, true, b"")),
                (4, segment((CLIENT, 40_000), 3, false, b"x")),
                (5, datagram(50_000)),
                (100, datagram(50_000)),
                (150, datagram(50_000)),
                (300, datagram(50_000)),
            ]
        ));
    }

    #[test]
    fn a_balancers_word_is_taken_for_the_first_data_alone() {
        insta::assert_snapshot!(log(
            with_balancers(),
            &[
                // Told at once, with the SYN, and with a SYN that came twice.
                (0, segment((HOP, 5_000), 100, true, b"")),
                (0, segment((HOP, 5_000), 101, false, HEADER)),
                (0, segment((HOP, 5_000), 101, false, HEADER)),
                (0, segment((HOP, 5_001), 100, true, HEADER)),
                (0, segment((HOP, 5_002), u32::MAX, true, b"")),
                (1, segment((HOP, 5_002), u32::MAX, true, b"")),
                (1, segment((HOP, 5_002), 0, false, HEADER)),
                // A client's own words, later in the stream.
                (1, segment((HOP, 5_003), 100, true, b"")),
                (1, segment((HOP, 5_003), 200, false, HEADER)),
                // Nobody's word but the balancers'.
                (2, segment((CLIENT, 5_004), 100, true, b"")),
                (2, segment((CLIENT, 5_004), 101, false, HEADER)),
                (2, segment((HOP, 5_005), 100, true, b"")),
                (2, segment((HOP, 5_005), 101, false, b"PROXY TCP5 x\r\n")),
                (2, segment((HOP, 5_006), 100, true, b"")),
                (
                    2,
                    segment((HOP, 5_006), 101, false, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")
                ),
                (2, segment((HOP, 5_007), 100, true, b"")),
                (2, segment((HOP, 5_007), 101, false, &HEADER[..20])),
            ]
        ));
    }

    #[test]
    fn what_waits_holds_back_the_word_that_all_is_written() {
        let mut watcher = watching(with_balancers());
        let at = Timestamp::from_secs(100);
        let seen = Timestamp::from_secs(105);
        watcher.packet(at, &segment((HOP, 5_000), 100, true, b""), &mut |_| {});
        assert_eq!(watcher.complete_before(seen), at);
        let mut told = 0;
        watcher.tick(Timestamp::from_secs(110), seen, &mut |_| told += 1);
        assert_eq!((watcher.complete_before(seen), told), (seen, 1));
    }

    #[test]
    fn what_cannot_be_read_is_said_to_be_left_out() {
        let whole = segment((CLIENT, 40_000), 1, true, b"");
        insta::assert_snapshot!(log(
            Settings::default(),
            &[(0, whole[..28].to_vec()), (0, vec![0x60; 20]), (2, whole)]
        ));
    }

    #[test]
    fn a_flood_is_told_in_the_log() {
        let flood = Some(Rule {
            limit: 2.try_into().unwrap(),
            rest: Rest::Aggregate,
        });
        let packets: Vec<_> = (0..8_u16)
            .map(|number| {
                (
                    i64::from(number / 4),
                    segment((CLIENT, number + 1), 1, true, b""),
                )
            })
            .collect();
        let settings = Settings {
            flood,
            ..Settings::default()
        };
        insta::assert_snapshot!(log(settings, &packets));
    }

    proptest! {
        /// Whatever comes: each packet is a connection, a repeat, ignored, unread, awaited or left
        /// out by the rule, and nothing is lost between these.
        #[test]
        fn every_packet_is_accounted_for(
            packets in prop::collection::vec((0_i64..3, 0_u16..6, 0_u32..3, any::<bool>(), any::<bool>(), any::<bool>()), 0..200),
            limit in 1_u64..20,
            sampled: bool,
        ) {
            let rest = if sampled { Rest::Sample(2.try_into().unwrap()) } else { Rest::Aggregate };
            let flood = Some(Rule { limit: limit.try_into().unwrap(), rest });
            let mut watcher = watching(Settings { flood, ..with_balancers() });
            let (mut connections, mut left) = (0, 0);
            let mut told = |entry: Entry| match entry {
                Entry::Connection(_) => connections += 1,
                Entry::Mark(Mark { says: Says::LeftOut(one), .. }) => left += one.connections,
                Entry::Mark(_) => {}
            };
            let mut begun = std::collections::HashSet::new();
            let mut time = 0;
            for (step, port, sequence, syn, hop, header) in packets {
                time += step;
                let from = (if hop { HOP } else { CLIENT }, port);
                let payload: &[u8] = if header { HEADER } else { b"" };
                if syn {
                    begun.insert((from, sequence));
                }
                let packet = segment(from, sequence, syn, payload);
                watcher.packet(Timestamp::from_secs(time), &packet, &mut told);
            }
            watcher.finish(Timestamp::from_secs(time), &mut told);
            prop_assert!(connections + left >= begun.len() as u64);
            let counts = watcher.counts();
            prop_assert_eq!(counts.connections, connections);
            prop_assert_eq!(counts.flooded + counts.unread, left);
        }

        #[test]
        fn nothing_panics(packets: Vec<(i64, Vec<u8>)>) {
            let mut watcher = watching(with_balancers());
            for (at, packet) in packets {
                let at = Timestamp::from_micros(at);
                watcher.packet(at, &packet, &mut |_| {});
                watcher.tick(at, at, &mut |_| {});
            }
        }
    }
}
