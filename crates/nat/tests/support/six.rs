//! IPv6 packets to send, built by `etherparse`, a plain reading of those that come out, and a
//! translator whose both ends lie behind one prefix.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{Icmpv6Header, Icmpv6Type, PacketBuilder};
use portledger_nat::{
    HEADROOM, Slot,
    translate::{Config, Done, Incoming, Mapped, Pair, Prefix, Refused, Translator},
    translate::{read_v4, read_v6},
};

use super::reference::{set_word, sum, word};

/// An IPv6 address and a port.
pub type End6 = (Ipv6Addr, u16);

/// Behind which the tests' IPv4 addresses lie. Not checksum-neutral.
pub fn prefix() -> Prefix {
    Prefix::new("2001:db8:64::".parse().unwrap(), 96).unwrap()
}

/// An IPv4 end as IPv6 sees it.
pub fn six(end: (Ipv4Addr, u16)) -> End6 {
    (prefix().embed(end.0), end.1)
}

pub fn tcp6(source: End6, destination: End6, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ipv6(source.0.octets(), destination.0.octets(), 64)
        .tcp(source.1, destination.1, 7_000, 64_000)
        .ack(9);
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

pub fn udp6(source: End6, destination: End6, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ipv6(source.0.octets(), destination.0.octets(), 64)
        .udp(source.1, destination.1);
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

/// An ICMPv6 echo request or reply.
pub fn echo6(source: End6, destination: Ipv6Addr, kind: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = source.1.to_be_bytes();
    icmp6(source.0, destination, kind, 0, [high, low, 0, 1], payload)
}

/// Any ICMPv6 message.
pub fn icmp6(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    kind: u8,
    code: u8,
    rest: [u8; 4],
    payload: &[u8],
) -> Vec<u8> {
    let unknown = Icmpv6Type::Unknown {
        type_u8: kind,
        code_u8: code,
        bytes5to8: rest,
    };
    let header =
        Icmpv6Header::with_checksum(unknown, source.octets(), destination.octets(), payload)
            .unwrap();
    raw6(
        source,
        destination,
        58,
        &[&header.to_bytes()[..], payload].concat(),
    )
}

/// An IPv6 packet that carries `payload` as protocol `next`.
pub fn raw6(source: Ipv6Addr, destination: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, 64];
    set_word(&mut packet, 4, u16::try_from(payload.len()).unwrap());
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

/// The packet with extension headers put before its transport, in order: number, and the bytes
/// after the "next header" of each.
pub fn with_headers(packet: &[u8], headers: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = packet[..40].to_vec();
    let mut numbers: Vec<u8> = headers.iter().map(|&(number, _)| number).collect();
    numbers.push(packet[6]);
    out[6] = numbers[0];
    for ((_, bytes), next) in headers.iter().zip(&numbers[1..]) {
        out.push(*next);
        out.extend(*bytes);
    }
    out.extend(&packet[40..]);
    let length = u16::try_from(out.len() - 40).unwrap();
    set_word(&mut out, 4, length);
    out
}

/// What follows the "next header" of a Fragment header.
pub fn fragment_header(offset: u16, more: bool, identification: u32) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(((offset << 3) | u16::from(more)).to_be_bytes());
    bytes.extend(identification.to_be_bytes());
    bytes
}

/// What an IPv6 packet says, read the plain way. No extension header but Fragment is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen6 {
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
    pub class: u8,
    pub hops: u8,
    /// Of the transport.
    pub next: u8,
    /// Offset in bytes, whether more follow, identification.
    pub fragment: Option<(usize, bool, u32)>,
    pub payload: Vec<u8>,
}

pub fn read6(packet: &[u8]) -> Seen6 {
    assert_eq!(packet[0] >> 4, 6);
    assert_eq!(
        word(packet, 4) as usize + 40,
        packet.len(),
        "payload length"
    );
    read6_cut(packet)
}

/// As [`read6`], of a packet whose end may be missing.
pub fn read6_cut(packet: &[u8]) -> Seen6 {
    assert_eq!(packet[0] >> 4, 6);
    assert_eq!(
        (packet[1] & 15, packet[2], packet[3]),
        (0, 0, 0),
        "no flow label"
    );
    let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap());
    let (mut next, mut at, mut fragment) = (packet[6], 40, None);
    if next == 44 {
        next = packet[40];
        let bits = word(packet, 42);
        let identification = u32::from(word(packet, 44)) << 16 | u32::from(word(packet, 46));
        fragment = Some((usize::from(bits & 0xFFF8), bits & 1 != 0, identification));
        at = 48;
    }
    Seen6 {
        source: address(8),
        destination: address(24),
        class: packet[0] << 4 | packet[1] >> 4,
        hops: packet[7],
        next,
        fragment,
        payload: packet[at..].to_vec(),
    }
}

impl Seen6 {
    pub fn ports(&self) -> (u16, u16) {
        (word(&self.payload, 0), word(&self.payload, 2))
    }

    /// Whether the transport's checksum is right over a whole packet.
    pub fn checksum_is_right(&self) -> bool {
        let mut all = [self.source.octets(), self.destination.octets()].concat();
        let length = match self.next {
            17 => u32::from(word(&self.payload, 4)),
            _ => u32::try_from(self.payload.len()).unwrap(),
        };
        all.extend(length.to_be_bytes());
        all.extend([0, 0, 0, self.next]);
        all.extend(&self.payload);
        sum(&all) == 0xFFFF
    }
}

/// A buffer with a packet and the room that a driver leaves.
pub fn buffer(packet: &[u8]) -> Vec<u8> {
    [&[0xEE; HEADROOM][..], packet].concat()
}

/// The ends behind [`prefix`], of a packet that goes to IPv6.
pub fn mapped6(incoming: &Incoming<Ipv4Addr>) -> Mapped<Ipv6Addr> {
    let pair = |source, destination| Pair {
        source: prefix().embed(source),
        destination: prefix().embed(destination),
    };
    Mapped {
        outer: pair(incoming.outer.source, incoming.outer.destination),
        quoted: incoming
            .quoted
            .map(|quoted| pair(quoted.source, quoted.destination)),
    }
}

/// The ends out of [`prefix`], of a packet that goes to IPv4. What lies elsewhere is 192.0.2.254.
pub fn mapped4(incoming: &Incoming<Ipv6Addr>) -> Mapped<Ipv4Addr> {
    let four = |address| {
        prefix()
            .extract(address)
            .unwrap_or(Ipv4Addr::new(192, 0, 2, 254))
    };
    let pair = |source, destination| Pair {
        source: four(source),
        destination: four(destination),
    };
    Mapped {
        outer: pair(incoming.outer.source, incoming.outer.destination),
        quoted: incoming
            .quoted
            .map(|quoted| pair(quoted.source, quoted.destination)),
    }
}

/// An IPv4 packet as IPv6, or as several.
pub fn to_six_under(config: Config, packet: &[u8]) -> Result<Vec<Vec<u8>>, Refused> {
    let mut buffer = buffer(packet);
    let range = HEADROOM..buffer.len();
    let mut slot = Slot::new(&mut buffer, range);
    let incoming = read_v4(slot.bytes())?;
    let translator = Translator::new(config).unwrap();
    let done = translator.to_v6(&mut slot, &incoming, &mapped6(&incoming))?;
    Ok(out(done, &slot))
}

/// An IPv6 packet as IPv4; one without an identification gets 0x4321.
pub fn to_four_under(config: Config, packet: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut buffer = buffer(packet);
    let range = HEADROOM..buffer.len();
    let mut slot = Slot::new(&mut buffer, range);
    let incoming = read_v6(slot.bytes())?;
    let translator = Translator::new(config).unwrap();
    let done = translator.to_v4(&mut slot, &incoming, &mapped4(&incoming), 0x4321)?;
    Ok(out(done, &slot).remove(0))
}

fn out(done: Done, slot: &Slot<'_>) -> Vec<Vec<u8>> {
    match done {
        Done::InPlace => vec![slot.bytes().to_vec()],
        Done::Instead(packets) => packets,
    }
}

/// The one packet that an IPv4 packet becomes.
pub fn to_six(packet: &[u8]) -> Vec<u8> {
    let mut packets = to_six_under(Config::default(), packet).unwrap();
    assert_eq!(packets.len(), 1);
    packets.remove(0)
}

pub fn to_four(packet: &[u8]) -> Vec<u8> {
    to_four_under(Config::default(), packet).unwrap()
}
