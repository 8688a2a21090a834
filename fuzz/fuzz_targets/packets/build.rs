//! Makes packets: right ones, and right ones that were then damaged.

use std::net::Ipv4Addr;

use portledger_nat::{DropReason, Offload, Packet, RealmIndex, Side, Verdict};

use crate::{
    input::Input,
    packet::{ICMP, TCP, UDP, View, set_word, sum},
    scene::{EXEMPT, EXTERNAL, REMOTE, host},
};

/// A packet as a driver has it.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    pub(crate) side: Side,
    pub(crate) realm: RealmIndex,
    pub(crate) offload: Offload,
    pub(crate) data: Vec<u8>,
}

/// A mapping that a packet went out through, and where that packet went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) protocol: u8,
    pub(crate) internal: End,
    pub(crate) external: End,
    pub(crate) remote: End,
}

pub(crate) type End = (Ipv4Addr, u16);

impl Built {
    pub(crate) fn as_packet(&mut self) -> Packet<'_> {
        Packet {
            data: &mut self.data,
            realm: self.realm,
            offload: self.offload,
            verdict: Verdict::Drop(DropReason::NotSeen),
        }
    }
}

/// The next packet, from this side; `known` are endpoints that lead somewhere.
pub(crate) fn packet(side: Side, input: &mut Input<'_>, known: &[Known]) -> Built {
    let kind = input.byte();
    let realm = RealmIndex(u16::from(kind >> 7));
    let shape = Shape(input.byte());
    if kind & 0x07 == 7 {
        let length = usize::from(input.byte());
        let data = input.take(length).to_vec();
        return Built {
            side,
            realm,
            offload: shape.offload(),
            data,
        };
    }
    let data = match kind & 0x07 {
        6 if !known.is_empty() => {
            let about = known[usize::from(input.byte()) % known.len()];
            error(side, about, input)
        }
        kind => query(side, kind, shape, input, known),
    };
    let mut built = Built {
        side,
        realm,
        offload: shape.offload(),
        data,
    };
    if shape.is_damaged() {
        damage(&mut built.data, input);
    }
    built
}

/// What a packet is like beside its endpoints.
#[derive(Clone, Copy)]
struct Shape(u8);

impl Shape {
    const fn offload(self) -> Offload {
        match self.0 >> 6 {
            2 => Offload::Checksum,
            3 => Offload::Segments(500),
            _ => Offload::None,
        }
    }

    const fn is_damaged(self) -> bool {
        self.0 & 0x20 != 0
    }

    /// Don't fragment, more fragments.
    const fn flags(self) -> u16 {
        (self.0 as u16 & 0x03) << 13
    }

    const fn has_options(self) -> bool {
        self.0 & 0x04 != 0
    }

    const fn has_bytes_behind(self) -> bool {
        self.0 & 0x08 != 0
    }

    const fn leaves_checksum_out(self) -> bool {
        self.0 & 0x10 != 0
    }
}

/// TCP, UDP, an ICMP query, or a later fragment of one of them.
fn query(side: Side, kind: u8, shape: Shape, input: &mut Input<'_>, known: &[Known]) -> Vec<u8> {
    let (protocol, source, destination) = ends(side, kind, input, known);
    let detail = input.byte();
    let filler = usize::from(input.byte()) * 8;
    let is_later = kind == 5;
    let (payload, fragmentation) = if is_later {
        (Vec::new(), shape.flags() | (input.word() & 0x1FFF))
    } else {
        (
            transport(protocol, source.1, destination.1, detail, filler),
            shape.flags(),
        )
    };
    let mut ip = Ip {
        source: source.0,
        destination: destination.0,
        protocol,
        identification: u16::from(detail & 0x03),
        fragmentation,
        has_options: shape.has_options(),
    }
    .packet(&payload);
    if is_later {
        ip.extend((0..=filler).map(|place| place as u8));
        let total = ip.len() as u16;
        set_word(&mut ip, 2, total);
        sum_header(&mut ip);
    } else {
        sum_transport(&mut ip, shape);
    }
    if shape.has_bytes_behind() {
        ip.extend([0xA5; 5]);
    }
    ip
}

/// Who sends to whom, over what.
fn ends(side: Side, kind: u8, input: &mut Input<'_>, known: &[Known]) -> (u8, End, End) {
    let who = input.byte();
    let protocol = match kind {
        0 | 1 => TCP,
        2 | 3 => UDP,
        4 => ICMP,
        _ => [TCP, UDP, ICMP, 50][usize::from(who & 0x03)],
    };
    let server = |number: u8| Ipv4Addr::from_bits(REMOTE.to_bits() | u32::from(number));
    let port = u16::from(input.byte());
    let chosen = known.get(usize::from(port));
    let met = chosen.filter(|known| known.protocol == protocol);
    match side {
        Side::Inside => {
            let source = (host(1 + (who >> 2 & 0x03)), 80 + (port & 0x3F));
            let destination = match who >> 4 {
                0 => (EXEMPT, 53),
                1 => (Ipv4Addr::new(224, 0, 0, 1), 53),
                2..=5 => met.map_or((EXTERNAL[0], 80), |known| known.external),
                number => (server(number & 0x03), 53),
            };
            (protocol, source, destination)
        }
        Side::Outside => {
            let source = match who >> 4 {
                0 => (EXEMPT, 53),
                1 => (host(1), 53),
                2 => (EXTERNAL[1], 1_024 + port),
                number => (server(number & 0x03), 53),
            };
            let destination = match (who >> 2 & 0x03, met) {
                (0, _) => (EXTERNAL[0], 80),
                (1, _) => (EXTERNAL[usize::from(port & 1)], 1_024 + port),
                (2, _) if who >> 4 == 0 => (host(1), 53),
                (_, Some(known)) => {
                    return (protocol, (known.remote.0, source.1), known.external);
                }
                (_, None) => (EXTERNAL[0], port),
            };
            (protocol, source, destination)
        }
    }
}

/// A transport header with its checksum left zero, and `filler` bytes behind it.
fn transport(protocol: u8, source: u16, destination: u16, detail: u8, filler: usize) -> Vec<u8> {
    let mut bytes = match protocol {
        TCP => vec![0; 20],
        _ => vec![0; 8],
    };
    match protocol {
        ICMP => {
            // Requests and their replies; the identifier is the port of whichever end is inside.
            bytes[0] = [8, 0, 13, 14][usize::from(detail >> 4 & 0x03)];
            set_word(
                &mut bytes,
                4,
                if destination == 53 {
                    source
                } else {
                    destination
                },
            );
        }
        _ => {
            set_word(&mut bytes, 0, source);
            set_word(&mut bytes, 2, destination);
        }
    }
    match protocol {
        TCP => {
            bytes[12] = 5 << 4;
            // SYN, SYN ACK, ACK, FIN, RST.
            bytes[13] =
                [0x02, 0x12, 0x10, 0x11, 0x04, 0x14, 0x00, 0x02][usize::from(detail >> 4 & 7)];
        }
        UDP => set_word(&mut bytes, 4, (8 + filler) as u16),
        _ => {}
    }
    bytes.extend((0..filler).map(|place| place as u8));
    bytes
}

/// An ICMP error about a packet that went through a mapping, as its receiver saw that packet.
fn error(side: Side, about: Known, input: &mut Input<'_>) -> Vec<u8> {
    let (detail, more) = (input.byte(), usize::from(input.byte()));
    let (source, destination) = match side {
        Side::Outside => (about.external, about.remote),
        Side::Inside => (about.remote, about.internal),
    };
    let plain = Ip {
        source: source.0,
        destination: destination.0,
        protocol: about.protocol,
        identification: 1,
        fragmentation: 0,
        has_options: detail & 0x80 != 0,
    };
    let quoted = transport(about.protocol, source.1, destination.1, detail, 200);
    let mut quoted = plain.packet(&quoted);
    sum_transport(&mut quoted, Shape(detail & 0x10));
    quoted.truncate(28 + more);

    let mut message = vec![
        [3, 3, 11, 12][usize::from(detail & 0x03)],
        detail >> 2 & 0x03,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    message.extend(quoted);
    let (from, to) = match side {
        Side::Outside => (REMOTE, about.external.0),
        Side::Inside => (about.internal.0, about.remote.0),
    };
    let mut error = Ip {
        source: from,
        destination: to,
        protocol: ICMP,
        identification: 1,
        fragmentation: 0,
        has_options: false,
    }
    .packet(&message);
    sum_transport(&mut error, Shape(0));
    error
}

struct Ip {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    identification: u16,
    fragmentation: u16,
    has_options: bool,
}

impl Ip {
    fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; if self.has_options { 24 } else { 20 }];
        packet[20..].fill(1);
        packet[0] = 0x40 | (packet.len() / 4) as u8;
        let total = packet.len() + payload.len();
        set_word(&mut packet, 2, total as u16);
        set_word(&mut packet, 4, self.identification);
        set_word(&mut packet, 6, self.fragmentation);
        packet[8] = 64;
        packet[9] = self.protocol;
        packet[12..16].copy_from_slice(&self.source.octets());
        packet[16..20].copy_from_slice(&self.destination.octets());
        sum_header(&mut packet);
        packet.extend(payload);
        packet
    }
}

fn sum_header(packet: &mut [u8]) {
    set_word(packet, 10, 0);
    let header = usize::from(packet[0] & 0x0F) * 4;
    if let Some(header) = packet.get(..header) {
        let sum = sum(header);
        set_word(packet, 10, !sum);
    }
}

/// Writes the checksum that belongs there, or as much of it as the offload leaves to do.
fn sum_transport(packet: &mut [u8], shape: Shape) {
    let view = View::read(packet).expect("what is built is well-formed");
    let Some(at) = view.checksum_at() else { return };
    let (header, protocol) = (view.header, view.protocol);
    let value = match (protocol, shape.offload()) {
        (UDP, Offload::None) if shape.leaves_checksum_out() => 0,
        (ICMP, _) => !sum(view.payload),
        (_, Offload::None) => match !view.full_sum() {
            0 if protocol == UDP => 0xFFFF,
            sum => sum,
        },
        _ => view.pseudo_header_sum(),
    };
    set_word(packet, header + at, value);
}

/// Changes up to four bytes and perhaps the length; perhaps makes the header's checksum right
/// again, so that the change is looked at.
fn damage(packet: &mut Vec<u8>, input: &mut Input<'_>) {
    let how = input.byte();
    for _ in 0..=how & 0x03 {
        let place = usize::from(input.word()) % packet.len();
        packet[place] ^= input.byte();
    }
    if how & 0x04 != 0 {
        packet.truncate(usize::from(input.byte()));
    }
    if how & 0x08 != 0 && packet.len() >= 20 {
        sum_header(packet);
    }
}
