//! Segments of an established connection, which go the shortest way, beside the same ones on the
//! long way.

use portledger_ports::{Config as PortsConfig, Pool};
use proptest::prelude::*;

use super::*;
use crate::{
    Aftr, AftrConfig, Limits, Nat64, Nat64Config,
    checksum::checksum,
    header::{set_word, word},
    translate::Prefix,
};

const HOST: &str = "2001:db8:a::9";
const END: &str = "2001:db8:ffff::1";
const PREFIX: &str = "2001:db8:64::";
const BEHIND: [u8; 4] = [10, 0, 0, 2];
const REMOTE: [u8; 4] = [198, 51, 100, 1];
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

fn ports() -> PortsConfig {
    PortsConfig::new(Pool::parse(&["203.0.113.7"]).unwrap())
}

fn few() -> Limits {
    Limits {
        mappings: 8,
        sessions: 8,
        ..Limits::default()
    }
}

fn aftr() -> Aftr {
    let mut config = AftrConfig::new(
        ports(),
        END.parse().unwrap(),
        &["2001:db8:a::/48".parse().unwrap()],
    );
    config.nat.limits = few();
    Aftr::new(config, [7; 32]).unwrap()
}

fn nat64() -> Nat64 {
    let prefix = Prefix::new(PREFIX.parse().unwrap(), 96).unwrap();
    let inside = ["2001:db8:a::/48".parse().unwrap()];
    let mut config = Nat64Config::new(ports(), prefix, &inside, END.parse().unwrap());
    config.nat.limits = few();
    config.nat.mtu.outside = 1_400;
    config.translation.ipv6_mtu = 1_400;
    Nat64::new(config, [7; 32]).unwrap()
}

fn ipv4(source: [u8; 4], destination: [u8; 4], flags: u16, segment: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 61, 6, 0, 0];
    set_word(&mut packet, 2, u16::try_from(20 + segment.len()).unwrap());
    set_word(&mut packet, 6, flags);
    packet.extend([source, destination].concat());
    packet.extend(segment);
    mend(&mut packet);
    packet
}

fn mend(packet: &mut [u8]) {
    set_word(packet, 10, 0);
    let sum = checksum(&packet[..20]);
    set_word(packet, 10, sum);
}

fn ipv6(next: u8, destination: &str, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, 61];
    set_word(&mut packet, 4, u16::try_from(payload.len()).unwrap());
    for address in [HOST, destination] {
        packet.extend(address.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    packet.extend(payload);
    packet
}

fn segment(ports: (u16, u16), flags: u8, payload: usize) -> Vec<u8> {
    let mut segment = vec![0; 20 + payload];
    set_word(&mut segment, 0, ports.0);
    set_word(&mut segment, 2, ports.1);
    (segment[12], segment[13]) = (0x50, flags);
    set_word(&mut segment, 16, 0xABCD);
    segment
}

/// One of the two forms, with an established connection.
struct Life<F> {
    stateful: Stateful<F>,
    external: ([u8; 4], u16),
}

impl<F: Form> Life<F> {
    fn new(stateful: Stateful<F>, wrap: fn(u16, &[u8]) -> Vec<u8>) -> Self {
        let mut life = Self {
            stateful,
            external: ([0; 4], 0),
        };
        let (out, _) = life.pass(Side::Inside, false, &wrap(0, &segment((4_000, 80), SYN, 0)));
        life.external = (*out[12..16].first_chunk().unwrap(), word(&out, 20));
        let answer = life.inward(0, SYN | ACK, 0);
        life.pass(Side::Outside, false, &answer);
        life.pass(Side::Inside, false, &wrap(0, &segment((4_000, 80), ACK, 0)));
        life.stateful.durable(EventNumber(9));
        // Only now is the connection known not to wait for the disk.
        life.pass(Side::Inside, false, &wrap(0, &segment((4_000, 80), ACK, 0)));
        life
    }

    fn inward(&self, fragmentation: u16, flags: u8, payload: usize) -> Vec<u8> {
        let (address, port) = self.external;
        let segment = segment((80, port), flags, payload);
        ipv4(REMOTE, address, fragmentation, &segment)
    }

    /// What becomes of a packet, on the shortest way that it may go or on the long one.
    fn pass(&mut self, from: Side, may_be_short: bool, packet: &[u8]) -> (Vec<u8>, String) {
        let mut buffer = [&[0; HEADROOM][..], packet].concat();
        let mut slot = Slot::new(&mut buffer, HEADROOM..HEADROOM + packet.len());
        let mut output = Output::default();
        let now = Timestamp::from_secs(9);
        if may_be_short {
            let slots = std::slice::from_mut(&mut slot);
            self.stateful.batch(now, from, slots, &mut output);
        } else {
            self.stateful.advance(now, &mut output);
            match from {
                Side::Inside => self.stateful.enter_one(&mut slot, None, &mut output),
                Side::Outside => self.stateful.arrive_one(&mut slot, &UNSTAGED, &mut output),
            }
        }
        let told = format!("{:?} {:?}", slot.verdict, output.packets);
        let counters = self.stateful.counters();
        (slot.bytes().to_vec(), format!("{told} {counters:?}"))
    }
}

/// A packet from the inside or the outside, with so many bytes of payload, these bits of
/// fragmentation, these flags, and bytes that are changed.
type Drawn = (bool, usize, u16, u8, Vec<(usize, u8)>);

/// Both ways of packets that are changed in a few places.
fn compare<F: Form>(
    new: fn() -> Stateful<F>,
    wrap: fn(u16, &[u8]) -> Vec<u8>,
    packets: Vec<Drawn>,
) -> Result<(), TestCaseError> {
    let (mut short, mut long) = (Life::new(new(), wrap), Life::new(new(), wrap));
    for (outward, payload, fragmentation, flags, changes) in packets {
        let (from, mut packet) = if outward {
            let segment = segment((4_000, 80), flags, payload);
            (Side::Inside, wrap(fragmentation, &segment))
        } else {
            let packet = short.inward(fragmentation, flags, payload);
            (Side::Outside, packet)
        };
        for (at, value) in changes {
            if let Some(byte) = packet.get_mut(at) {
                *byte = value;
            }
        }
        if !outward && packet[0] == 0x45 {
            mend(&mut packet);
        }
        prop_assert_eq!(
            short.pass(from, true, &packet),
            long.pass(from, false, &packet)
        );
    }
    Ok(())
}

fn wrapped(fragmentation: u16, segment: &[u8]) -> Vec<u8> {
    ipv6(4, END, &ipv4(BEHIND, REMOTE, fragmentation, segment))
}

fn translated(_fragmentation: u16, segment: &[u8]) -> Vec<u8> {
    ipv6(6, "2001:db8:64::c633:6401", segment)
}

fn packets() -> impl Strategy<Value = Vec<Drawn>> {
    let payload = prop_oneof![0_usize..40, 1_180_usize..1_500];
    let fragmentation = prop_oneof![4 => Just(0x4000_u16), 2 => Just(0), 1 => Just(0x2000)];
    let flags = prop_oneof![6 => Just(ACK), 1 => any::<u8>()];
    let changes = prop::collection::vec((0_usize..80, any::<u8>()), 0..2);
    let packet = (any::<bool>(), payload, fragmentation, flags, changes);
    prop::collection::vec(packet, 1..8)
}

proptest! {
    #[test]
    fn the_shortest_way_of_an_aftr_leads_where_the_long_one_does(packets in packets()) {
        compare(aftr, wrapped, packets)?;
    }

    #[test]
    fn the_shortest_way_of_a_nat64_leads_where_the_long_one_does(packets in packets()) {
        compare(nat64, translated, packets)?;
    }
}

/// Or the properties above would hold for want of packets that go it.
fn goes_the_shortest_way<F: Form>(stateful: Stateful<F>, wrap: fn(u16, &[u8]) -> Vec<u8>) {
    let mut life = Life::new(stateful, wrap);
    let outward = wrap(0, &segment((4_000, 80), ACK, 30));
    let inward = life.inward(0, ACK, 30);
    for (from, packet) in [(Side::Inside, outward), (Side::Outside, inward)] {
        let mut buffer = [&[0; HEADROOM][..], &packet].concat();
        let mut slot = Slot::new(&mut buffer, HEADROOM..HEADROOM + packet.len());
        let slots = std::slice::from_ref(&slot);
        let (of_host, of_ends) = match from {
            Side::Inside => (life.stateful.approach(slots)[0], None),
            Side::Outside => (None, Some(life.stateful.nat.approach_slots(slots)[0])),
        };
        let Stateful { nat, form } = &mut life.stateful;
        let realm = match (of_host, of_ends) {
            (Some(staged), _) => form.enter_established(nat, &mut slot, &staged),
            (_, Some(staged)) => {
                let ends = staged.ends.unwrap();
                form.leave_established(nat, &mut slot, &ends, staged.candidate)
            }
            _ => None,
        };
        assert_eq!(realm, Some(RealmIndex(0)), "{from:?}");
    }
}

#[test]
fn usual_segments_go_the_shortest_way() {
    goes_the_shortest_way(aftr(), wrapped);
    goes_the_shortest_way(nat64(), translated);
}
