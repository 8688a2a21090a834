//! Packets to send, built by `etherparse`, and a plain reading of packets that come out.

use std::net::Ipv4Addr;

use etherparse::{
    IcmpEchoHeader, Icmpv4Header, Icmpv4Type, IpFragOffset, IpNumber, Ipv4Header, TcpHeader,
    UdpHeader,
};

use super::reference::{
    checksum_at, header_length, is_later_fragment, set_word, sum, trimmed, word,
};

/// An address and a port, or an ICMP query's identifier.
pub type End = (Ipv4Addr, u16);

pub const SYN: u8 = 0x02;
pub const SYN_ACK: u8 = 0x12;
pub const ACK: u8 = 0x10;
pub const FIN: u8 = 0x11;
pub const RST: u8 = 0x04;

pub const UNREACHABLE: u8 = 3;
pub const TIME_EXCEEDED: u8 = 11;
pub const PARAMETER_PROBLEM: u8 = 12;

/// Subscriber number `number`, at `port`.
pub fn host(number: u8, port: u16) -> End {
    (Ipv4Addr::new(100, 64, 0, number), port)
}

/// Host number `number` of the Internet, at `port`.
pub fn remote(number: u8, port: u16) -> End {
    (Ipv4Addr::new(198, 51, 100, number), port)
}

/// A packet to be built.
#[derive(Debug, Clone)]
pub struct Draft {
    source: End,
    destination: End,
    body: Body,
    identification: u16,
    dont_fragment: bool,
    options: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Body {
    Udp { payload: Vec<u8>, checksum: bool },
    Tcp { flags: u8, payload: Vec<u8> },
    Query { kind: u8, payload: Vec<u8> },
    Error { kind: u8, code: u8, quoted: Vec<u8> },
}

pub fn udp(source: End, destination: End) -> Draft {
    draft(
        source,
        destination,
        Body::Udp {
            payload: b"some words".to_vec(),
            checksum: true,
        },
    )
}

pub fn tcp(source: End, destination: End, flags: u8) -> Draft {
    draft(
        source,
        destination,
        Body::Tcp {
            flags,
            payload: Vec::new(),
        },
    )
}

/// An ICMP query or reply; its identifier is the source's "port".
pub fn query(source: End, destination: Ipv4Addr, kind: u8) -> Draft {
    let payload = b"abcdefghijklmnopqrstuvwxyz".to_vec();
    draft(
        source,
        (destination, source.1),
        Body::Query { kind, payload },
    )
}

pub fn echo(source: End, destination: Ipv4Addr) -> Draft {
    query(source, destination, 8)
}

pub fn echo_reply(source: Ipv4Addr, destination: End) -> Draft {
    query((source, destination.1), destination.0, 0)
}

/// An ICMP error that quotes all of `quoted`.
pub fn error(source: Ipv4Addr, destination: Ipv4Addr, kind: u8, code: u8, quoted: &[u8]) -> Draft {
    let quoted = quoted.to_vec();
    draft(
        (source, 0),
        (destination, 0),
        Body::Error { kind, code, quoted },
    )
}

fn draft(source: End, destination: End, body: Body) -> Draft {
    Draft {
        source,
        destination,
        body,
        identification: 0x1234,
        dont_fragment: true,
        options: Vec::new(),
    }
}

impl Draft {
    pub fn payload(mut self, bytes: &[u8]) -> Self {
        match &mut self.body {
            Body::Udp { payload, .. } | Body::Tcp { payload, .. } | Body::Query { payload, .. } => {
                *payload = bytes.to_vec();
            }
            Body::Error { .. } => panic!("an error has no payload but what it quotes"),
        }
        self
    }

    /// `length` bytes of payload, all different from their neighbours.
    pub fn payload_of(self, length: usize) -> Self {
        let bytes: Vec<u8> = (0..length)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        self.payload(&bytes)
    }

    /// RFC 768: the sender computed no checksum.
    pub fn no_checksum(mut self) -> Self {
        match &mut self.body {
            Body::Udp { checksum, .. } => *checksum = false,
            _ => panic!("only UDP may be without a checksum"),
        }
        self
    }

    /// May be fragmented, and has this identification.
    pub fn identified(mut self, identification: u16) -> Self {
        (self.identification, self.dont_fragment) = (identification, false);
        self
    }

    /// With IPv4 options: a multiple of four bytes.
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut ip = Ipv4Header::new(
            0,
            64,
            self.protocol(),
            self.source.0.octets(),
            self.destination.0.octets(),
        )
        .unwrap();
        ip.options = self.options[..].try_into().unwrap();
        let transport = self.transport(&ip);
        ip.set_payload_len(transport.len()).unwrap();
        ip.identification = self.identification;
        ip.dont_fragment = self.dont_fragment;
        ip.fragment_offset = IpFragOffset::ZERO;
        ip.header_checksum = ip.calc_header_checksum();
        [&ip.to_bytes()[..], &transport].concat()
    }

    fn protocol(&self) -> IpNumber {
        match self.body {
            Body::Udp { .. } => IpNumber::UDP,
            Body::Tcp { .. } => IpNumber::TCP,
            Body::Query { .. } | Body::Error { .. } => IpNumber::ICMP,
        }
    }

    fn transport(&self, ip: &Ipv4Header) -> Vec<u8> {
        match &self.body {
            Body::Udp { payload, checksum } => {
                let mut udp =
                    UdpHeader::with_ipv4_checksum(self.source.1, self.destination.1, ip, payload)
                        .unwrap();
                if !checksum {
                    udp.checksum = 0;
                }
                [&udp.to_bytes()[..], payload].concat()
            }
            Body::Tcp { flags, payload } => {
                let mut tcp = TcpHeader::new(self.source.1, self.destination.1, 7_000, 64_000);
                (tcp.fin, tcp.syn, tcp.rst, tcp.ack) = (
                    flags & 1 != 0,
                    flags & 2 != 0,
                    flags & 4 != 0,
                    flags & 16 != 0,
                );
                tcp.checksum = tcp.calc_checksum_ipv4(ip, payload).unwrap();
                [&tcp.to_bytes()[..], payload].concat()
            }
            Body::Query { kind: 8, payload } => {
                let head = IcmpEchoHeader {
                    id: self.source.1,
                    seq: 1,
                };
                let icmp = Icmpv4Header::with_checksum(Icmpv4Type::EchoRequest(head), payload);
                [&icmp.to_bytes()[..], payload].concat()
            }
            Body::Query { kind, payload } => icmp(*kind, 0, [self.source.1, 1], payload),
            Body::Error { kind, code, quoted } => icmp(*kind, *code, [0, 0], quoted),
        }
    }
}

fn icmp(kind: u8, code: u8, rest: [u16; 2], payload: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend(rest.iter().flat_map(|word| word.to_be_bytes()));
    message.extend(payload);
    let checksum = !sum(&message);
    set_word(&mut message, 2, checksum);
    message
}

/// Cuts a packet into fragments with these many bytes of payload each, and a last one with the
/// rest.
pub fn fragments(packet: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let (header, mut payload) = packet.split_at(header_length(packet));
    let (mut pieces, mut offset) = (Vec::new(), 0);
    for &size in sizes.iter().chain([&usize::MAX]) {
        let (piece, rest) = payload.split_at(size.min(payload.len()));
        let mut fragment = [header, piece].concat();
        let more = if rest.is_empty() { 0 } else { 0x2000 };
        let length = u16::try_from(fragment.len()).unwrap();
        set_word(&mut fragment, 2, length);
        set_word(&mut fragment, 6, u16::try_from(offset / 8).unwrap() | more);
        renew_header_checksum(&mut fragment);
        pieces.push(fragment);
        offset += piece.len();
        payload = rest;
        if payload.is_empty() {
            break;
        }
    }
    pieces
}

/// Puts fragments, in any order, together again. They must be of one datagram.
pub fn reassembled(pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut pieces: Vec<&[u8]> = pieces.iter().map(|piece| trimmed(piece)).collect();
    pieces.sort_by_key(|piece| word(piece, 6) & 0x1FFF);
    let mut whole = pieces[0][..header_length(pieces[0])].to_vec();
    for piece in &pieces {
        assert_eq!(word(piece, 4), word(pieces[0], 4), "one identification");
        assert_eq!(piece[12..20], pieces[0][12..20], "one pair of addresses");
        let offset = usize::from(word(piece, 6) & 0x1FFF) * 8;
        assert_eq!(offset, whole.len() - header_length(pieces[0]), "no gap");
        whole.extend(&piece[header_length(piece)..]);
    }
    assert_eq!(
        word(pieces[pieces.len() - 1], 6) & 0x2000,
        0,
        "the last one is there"
    );
    let length = u16::try_from(whole.len()).unwrap();
    set_word(&mut whole, 2, length);
    set_word(&mut whole, 6, 0);
    renew_header_checksum(&mut whole);
    whole
}

pub fn renew_header_checksum(packet: &mut [u8]) {
    set_word(packet, 10, 0);
    let checksum = !sum(&packet[..header_length(packet)]);
    set_word(packet, 10, checksum);
}

/// Computes an ICMP message's checksum anew, after a change to the message.
pub fn renew_icmp_checksum(packet: &mut [u8]) {
    let at = header_length(packet);
    set_word(packet, at + 2, 0);
    let checksum = !sum(&packet[at..]);
    set_word(packet, at + 2, checksum);
}

/// What a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub source: End,
    pub destination: End,
    pub protocol: u8,
    pub identification: u16,
    /// The transport's checksum field.
    pub checksum: u16,
}

/// Reads a packet that came out; ports are 0 where there are none.
pub fn read(packet: &[u8]) -> Seen {
    let at = header_length(packet);
    let (source_port, destination_port) = match packet[9] {
        _ if is_later_fragment(packet) => (0, 0),
        1 if matches!(packet[at], 3 | 11 | 12) => (0, 0),
        1 => (word(packet, at + 4), word(packet, at + 4)),
        _ => (word(packet, at), word(packet, at + 2)),
    };
    let checksum = checksum_at(packet).filter(|_| !is_later_fragment(packet));
    Seen {
        source: (address(packet, 12), source_port),
        destination: (address(packet, 16), destination_port),
        protocol: packet[9],
        identification: word(packet, 4),
        checksum: checksum.map_or(0, |at| word(packet, at)),
    }
}

/// What an ICMP error quotes.
pub fn quoted(packet: &[u8]) -> &[u8] {
    &trimmed(packet)[header_length(packet) + 8..]
}

/// Type and code of an ICMP message.
pub fn icmp_kind(packet: &[u8]) -> (u8, u8) {
    let at = header_length(packet);
    assert_eq!(packet[9], 1, "ICMP");
    (packet[at], packet[at + 1])
}

fn address(packet: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3])
}
