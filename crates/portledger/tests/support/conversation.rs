//! Real captures as a NAT would meet them: what the inside sends, and what the outside sends to
//! where the NAT put the inside.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::{Ipv4Addr, SocketAddrV4},
};

use portledger_model::Timestamp;

use super::{
    capture::Recorded,
    packet::{
        Ends, ICMP, Parts, TCP, UDP, destination, quoted, renew_checksums, set_word, source,
        transport_residue, word,
    },
};

/// The two sides of a capture that was taken on one wire, in the order of their times.
pub struct Sides {
    pub inside: Vec<Recorded>,
    pub outside: Vec<Recorded>,
    /// What the NAT's configuration calls inside.
    pub prefixes: Vec<String>,
    /// The addresses of the inside that occur.
    pub hosts: BTreeSet<Ipv4Addr>,
}

/// Private addresses are inside, where some packet goes between them and others. Elsewhere
/// whoever begins a conversation is.
pub fn sides(mut packets: Vec<Recorded>) -> Sides {
    in_order(&mut packets);
    let crosses = |packet: &Recorded| {
        let ends = [source(&packet.bytes), destination(&packet.bytes)];
        ends.iter().any(|&end| is_private(end)) && ends.iter().any(|&end| is_remote(end))
    };
    let by_address = packets.iter().any(crosses);
    let initiators = initiators(&packets);
    let is_inside = |address: Ipv4Addr| match by_address {
        true => is_private(address),
        false => initiators.contains(&address),
    };
    let hosts: BTreeSet<Ipv4Addr> = packets
        .iter()
        .flat_map(|packet| [source(&packet.bytes), destination(&packet.bytes)])
        .filter(|&address| is_inside(address))
        .collect();
    let prefixes = match by_address {
        true => PRIVATE.map(str::to_owned).to_vec(),
        false => hosts.iter().map(|host| format!("{host}/32")).collect(),
    };
    let (inside, outside) = packets
        .into_iter()
        .partition(|packet| is_inside(source(&packet.bytes)));
    Sides {
        inside,
        outside,
        prefixes,
        hosts,
    }
}

/// What is never on the Internet (RFC 1918, RFC 6598).
pub const PRIVATE: [&str; 4] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
];

fn is_private(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private() || (a == 100 && b & 0xC0 == 64)
}

fn is_remote(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    !is_private(address) && !address.is_loopback() && (1..224).contains(&first)
}

/// Of each packet's two ends the one that was first seen as a sender, so that nobody is on both
/// sides.
fn initiators(packets: &[Recorded]) -> HashSet<Ipv4Addr> {
    let mut inside = HashMap::new();
    for Recorded { bytes, .. } in packets {
        let (from, to) = (source(bytes), destination(bytes));
        let begins = inside.get(&to).is_none_or(|to: &bool| !to);
        let begins = *inside.entry(from).or_insert(begins);
        inside.entry(to).or_insert(!begins);
    }
    let inside = inside.into_iter().filter(|&(_, inside)| inside);
    inside.map(|(address, _)| address).collect()
}

/// A clock that was set back stays, as it does in the program.
fn in_order(packets: &mut [Recorded]) {
    let mut last = Timestamp::MIN;
    for packet in packets {
        last = last.max(packet.at);
        packet.at = last;
    }
}

/// An endpoint of one transport.
pub type Endpoint = (u8, SocketAddrV4);

/// Which internal endpoint had which external one when, as the packets themselves show.
#[derive(Debug, Default)]
pub struct Translations {
    external: HashMap<Endpoint, BTreeMap<Timestamp, SocketAddrV4>>,
    internal: HashMap<Endpoint, BTreeMap<Timestamp, SocketAddrV4>>,
}

impl Translations {
    /// Notes a packet before and after its translation to the outside.
    pub fn learn(&mut self, at: Timestamp, before: &[u8], after: &[u8]) {
        if let (Some(before), Some(after)) = (Ends::of(before), Ends::of(after)) {
            let protocol = before.protocol;
            let external = self.external.entry((protocol, before.source)).or_default();
            external.insert(at, after.source);
            let internal = self.internal.entry((protocol, after.source)).or_default();
            internal.insert(at, before.source);
        }
    }

    /// Whose external endpoint this was at `at`: whoever last sent from it.
    pub fn internal(&self, external: Endpoint, at: Timestamp) -> Option<SocketAddrV4> {
        let known = self.internal.get(&external)?;
        known
            .range(..=at)
            .next_back()
            .map(|(_, &internal)| internal)
    }

    /// The endpoint to reach an internal one by at `at`, or the first it will have.
    fn external(&self, internal: Endpoint, at: Timestamp) -> Option<SocketAddrV4> {
        let known = self.external.get(&internal)?;
        let last = known.range(..=at).next_back();
        last.or_else(|| known.first_key_value())
            .map(|(_, &external)| external)
    }

    /// Every change of an external endpoint's holder: the last packet of the one and the first of
    /// the next.
    pub fn handovers(&self) -> Vec<(Endpoint, Timestamp, Timestamp)> {
        let mut handovers = Vec::new();
        for (&endpoint, uses) in &self.internal {
            for ((&last, before), (&first, after)) in uses.iter().zip(uses.iter().skip(1)) {
                if before.ip() != after.ip() {
                    handovers.push((endpoint, last, first));
                }
            }
        }
        handovers
    }
}

/// The packets of the outside, sent to where the NAT put their receivers; those to others as they
/// are.
pub fn answers(outside: &[Recorded], translations: &Translations) -> Vec<Recorded> {
    let mut firsts = HashMap::new();
    let mut answers: Vec<Recorded> = Vec::new();
    for packet in outside {
        let mut answer = packet.clone();
        if readdress(&mut answer, translations).is_some()
            && Parts::of(&packet.bytes).is_some_and(|parts| parts.is_fragment())
        {
            firsts.insert(datagram(&packet.bytes), destination(&answer.bytes));
        }
        answers.push(answer);
    }
    // Fragments without ports go where their first went, be it before them or behind.
    for answer in &mut answers {
        let is_later = Parts::of(&answer.bytes).is_some_and(|parts| parts.fragment_offset > 0);
        if let Some(to) = firsts.get(&datagram(&answer.bytes)).filter(|_| is_later) {
            answer.bytes[16..20].copy_from_slice(&to.octets());
            renew_checksums(&mut answer.bytes, None);
        }
    }
    answers
}

fn datagram(packet: &[u8]) -> (Ipv4Addr, Ipv4Addr, u8, Option<u16>) {
    (
        source(packet),
        destination(packet),
        packet[9],
        word(packet, 4),
    )
}

fn readdress(packet: &mut Recorded, translations: &Translations) -> Option<()> {
    let (bytes, at) = (&mut packet.bytes, packet.at);
    let parts = Parts::of(bytes)?;
    let residue = transport_residue(bytes);
    let external = if let Some((inner_at, inner)) = quoted(bytes) {
        let ends = Ends::of(inner)?;
        let external = translations.external((ends.protocol, ends.source), at)?;
        let inner = &mut bytes[inner_at..];
        let inner_residue = transport_residue(inner);
        set_source(inner, external)?;
        renew_checksums(inner, inner_residue);
        external
    } else {
        let ends = Ends::of(bytes)?;
        let external = translations.external((ends.protocol, ends.destination), at)?;
        let port_at = parts.header + if ends.protocol == ICMP { 4 } else { 2 };
        set_word(bytes, port_at, external.port());
        external
    };
    bytes[16..20].copy_from_slice(&external.ip().octets());
    renew_checksums(bytes, residue);
    Some(())
}

fn set_source(packet: &mut [u8], to: SocketAddrV4) -> Option<()> {
    let parts = Parts::of(packet)?;
    packet[12..16].copy_from_slice(&to.ip().octets());
    let port_at = parts.header + if parts.protocol == ICMP { 4 } else { 0 };
    word(packet, port_at)?;
    set_word(packet, port_at, to.port());
    Some(())
}

/// A packet sent back to where it came from; `None` where that means nothing.
pub fn echo(packet: &Recorded) -> Option<Recorded> {
    let mut echo = packet.clone();
    let parts = Parts::of(&packet.bytes)?;
    Ends::of(&packet.bytes)?;
    if parts.is_fragment() || packet.missing > 0 {
        return None;
    }
    let (from, to) = (source(&packet.bytes), destination(&packet.bytes));
    echo.bytes[12..16].copy_from_slice(&to.octets());
    echo.bytes[16..20].copy_from_slice(&from.octets());
    match parts.protocol {
        TCP | UDP => {
            let (from, to) = (parts.header, parts.header + 2);
            let (source, destination) = (word(&packet.bytes, from)?, word(&packet.bytes, to)?);
            set_word(&mut echo.bytes, from, destination);
            set_word(&mut echo.bytes, to, source);
        }
        // A request is answered.
        _ if packet.bytes[parts.header] == 8 => echo.bytes[parts.header] = 0,
        _ => return None,
    }
    renew_checksums(&mut echo.bytes, Some(0));
    Some(echo)
}
