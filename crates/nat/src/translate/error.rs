//! ICMP errors, with the packets that they quote (RFC 7915 §4.2, §4.3, §5.2, §5.3). They are few
//! and grow in two places: each is written anew, and then put in the place of the old one.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    Datagram, Done, LEAST_IPV6_MTU, Mapped, Pair, Refused, Translator,
    headers::{IPV4_HEADER, header_to_v4, headers_to_v6, length_in_v6},
    kinds::{self, Kind, Sizes},
    read_v4::ICMP_HEADER,
    transport::{
        ICMP6, echo_to_v4, echo_to_v6, number_in_v6, pseudo_header, readdress, sum_v4, sum_v6,
    },
};
use crate::{
    DropReason, Offload, Slot,
    checksum::{checksum, sum},
    header::{Fragment, ICMP, long, set_long, set_word},
    ipv6::{self, HEADER as IPV6_HEADER},
};

/// RFC 4443 §2.4 (c): an error is no larger than the least MTU.
const MOST_V6: usize = LEAST_IPV6_MTU as usize;
/// What becomes of it in IPv4: the most that may be cut (RFC 7915 §5).
const MOST_V4: usize = MOST_V6 - 20;
/// RFC 4884 §4: where an extension follows, what is quoted has at least so many bytes.
const LEAST_QUOTED: usize = 128;

/// An ICMP error to ICMPv6.
#[cold]
pub(super) fn to_v6(
    translator: &Translator,
    slot: &mut Slot<'_>,
    outer: &Datagram<Ipv4Addr>,
    quoted: &Datagram<Ipv4Addr>,
    mapped: &Mapped<Ipv6Addr>,
    hops: u8,
) -> Result<Done, Refused> {
    let config = translator.config();
    let (message, inner) = parts(slot, outer, mapped)?;
    let (original, extension) = split(message, 5, 4, kinds::may_be_extended_v4);
    let sizes = Sizes {
        ipv6_mtu: config.ipv6_mtu,
        ipv4_mtu: config.ipv4_mtu,
        quoted: quoted.total,
        is_fragment: quoted.is_fragmented,
    };
    let Some(kind) = kinds::to_v6(kind(message), sizes) else {
        return Err(Refused::silently(DropReason::IcmpType));
    };
    // RFC 7915 §4.3: as any packet, but for its hops.
    let mut payload = shown(original, quoted).to_vec();
    if quoted.fragment != Fragment::Later {
        if quoted.protocol == ICMP {
            let length = quoted.payload();
            let pseudo = pseudo_header(inner.source, inner.destination, length, ICMP6);
            echo_to_v6(&mut payload, pseudo);
        } else {
            let old = sum_v4(quoted.source, quoted.destination);
            let new = sum_v6(inner.source, inner.destination);
            readdress(&mut payload, quoted.protocol, old, new, Offload::None);
        }
    }
    let mut translated = vec![0; length_in_v6(quoted.is_fragmented)];
    headers_to_v6(
        config,
        &mut translated,
        quoted,
        inner,
        quoted.hops,
        quoted.payload(),
    );
    translated.append(&mut payload);
    let room = MOST_V6 - IPV6_HEADER - ICMP_HEADER;
    let extension = extension.filter(|_| kinds::may_be_extended_v6(kind.kind));
    let (body, length) = joined(translated, extension, 8, room);
    let pair = mapped.outer;
    let class = config.traffic_class.unwrap_or(outer.class);
    let next = number_in_v6(ICMP);
    let size = ICMP_HEADER + body.len();
    let header = ipv6::header(class, size, next, hops, pair.source, pair.destination);
    let mut packet = header.to_vec();
    packet.extend(head(kind, 4, length));
    packet.extend(body);
    let message = &mut packet[IPV6_HEADER..];
    let pseudo = pseudo_header(pair.source, pair.destination, message.len(), ICMP6);
    let checksum = !sum(message, u32::from(pseudo));
    set_word(message, 2, checksum);
    Ok(put(slot, outer.total as usize, packet))
}

/// An ICMPv6 error to ICMP.
#[cold]
pub(super) fn to_v4(
    translator: &Translator,
    slot: &mut Slot<'_>,
    (outer, quoted): (&Datagram<Ipv6Addr>, &Datagram<Ipv6Addr>),
    mapped: &Mapped<Ipv4Addr>,
    hops: u8,
    identification: u16,
) -> Result<Done, Refused> {
    let config = translator.config();
    let (message, inner) = parts(slot, outer, mapped)?;
    let (original, extension) = split(message, 4, 8, kinds::may_be_extended_v6);
    let sizes = Sizes {
        ipv6_mtu: config.ipv6_mtu,
        ipv4_mtu: config.ipv4_mtu,
        quoted: quoted.total,
        is_fragment: quoted.is_fragmented,
    };
    let Some(kind) = kinds::to_v4(kind(message), sizes) else {
        return Err(Refused::silently(DropReason::IcmpType));
    };
    let mut payload = shown(original, quoted).to_vec();
    if quoted.fragment != Fragment::Later {
        if quoted.protocol == ICMP {
            let length = quoted.payload();
            let pseudo = pseudo_header(quoted.source, quoted.destination, length, ICMP6);
            echo_to_v4(&mut payload, pseudo);
        } else {
            let old = sum_v6(quoted.source, quoted.destination);
            let new = sum_v4(inner.source, inner.destination);
            readdress(&mut payload, quoted.protocol, old, new, Offload::None);
        }
    }
    let length = quoted.payload();
    let mut translated = header_to_v4(config, quoted, inner, quoted.hops, length, 0).to_vec();
    translated.append(&mut payload);
    let room = MOST_V4.min(usize::from(config.ipv4_mtu)) - IPV4_HEADER - ICMP_HEADER;
    let extension = extension.filter(|_| kinds::may_be_extended_v4(kind.kind));
    let (body, length) = joined(translated, extension, 4, room);
    let plain = Datagram {
        is_fragmented: false,
        ..outer_of(outer, ICMP_HEADER + body.len())
    };
    let size = ICMP_HEADER + body.len();
    let mut packet =
        header_to_v4(config, &plain, mapped.outer, hops, size, identification).to_vec();
    packet.extend(head(kind, 5, length));
    packet.extend(body);
    let message = &mut packet[IPV4_HEADER..];
    let checksum = checksum(message);
    set_word(message, 2, checksum);
    Ok(put(slot, outer.total as usize, packet))
}

/// The packet as if it had so many bytes behind its header.
const fn outer_of(outer: &Datagram<Ipv6Addr>, payload: usize) -> Datagram<Ipv6Addr> {
    Datagram {
        total: outer.header as u32 + payload as u32,
        ..*outer
    }
}

/// The ICMP message in the slot, and the ends of what it quotes.
fn parts<'a, A, B: Copy>(
    slot: &'a Slot<'_>,
    outer: &Datagram<A>,
    mapped: &Mapped<B>,
) -> Result<(&'a [u8], Pair<B>), Refused> {
    let message = slot
        .bytes()
        .get(usize::from(outer.header)..outer.total as usize)
        .filter(|message| message.len() >= ICMP_HEADER);
    match (message, mapped.quoted) {
        (Some(message), Some(inner)) => Ok((message, inner)),
        _ => Err(Refused::silently(DropReason::Malformed)),
    }
}

fn kind(message: &[u8]) -> Kind {
    Kind {
        kind: message[0],
        code: message[1],
        rest: long(message, 4),
    }
}

/// What an error quotes, and the extension behind it, of which byte `at` tells in units of `unit`
/// (RFC 4884 §4). A length that leads out of the message is none, nor is one that is less than it
/// must be.
fn split(message: &[u8], at: usize, unit: usize, may_be: fn(u8) -> bool) -> (&[u8], Option<&[u8]>) {
    let body = &message[ICMP_HEADER..];
    let length = usize::from(message[at]) * unit;
    if length < LEAST_QUOTED || !may_be(message[0]) {
        return (body, None);
    }
    match body.split_at_checked(length) {
        Some((original, extension)) if !extension.is_empty() => (original, Some(extension)),
        _ => (body, None),
    }
}

/// What is shown of a quoted packet's payload, without padding.
fn shown<'a, A>(original: &'a [u8], quoted: &Datagram<A>) -> &'a [u8] {
    let payload = original
        .get(usize::from(quoted.header)..)
        .unwrap_or_default();
    &payload[..payload.len().min(quoted.payload())]
}

/// What stands behind the head of an error, and the length of what it quotes in units of `unit`,
/// or 0 where no extension follows. An extension that has no room is left out (RFC 7915 §4.2).
fn joined(
    mut quoted: Vec<u8>,
    extension: Option<&[u8]>,
    unit: usize,
    room: usize,
) -> (Vec<u8>, u8) {
    if let Some(extension) = extension {
        let padded = quoted.len().max(LEAST_QUOTED).next_multiple_of(unit);
        if let Ok(length) = u8::try_from(padded / unit)
            && padded + extension.len() <= room
        {
            quoted.resize(padded, 0);
            quoted.extend_from_slice(extension);
            return (quoted, length);
        }
    }
    quoted.truncate(room);
    (quoted, 0)
}

/// The first eight bytes of an error, with the length of what it quotes at byte `at`.
fn head(kind: Kind, at: usize, length: u8) -> [u8; ICMP_HEADER] {
    let mut head = [0; ICMP_HEADER];
    head[0] = kind.kind;
    head[1] = kind.code;
    set_long(&mut head, 4, kind.rest);
    if length != 0 {
        head[at] = length;
    }
    head
}

/// Puts `packet` where one of `old` bytes was, if there is room.
fn put(slot: &mut Slot<'_>, old: usize, packet: Vec<u8>) -> Done {
    let end = slot.packet.start + old;
    let start = end.saturating_sub(packet.len());
    let range = start..start + packet.len();
    match slot.buffer.get_mut(range.clone()) {
        Some(place) => {
            place.copy_from_slice(&packet);
            slot.packet = range;
            Done::InPlace
        }
        None => Done::Instead(vec![packet]),
    }
}
