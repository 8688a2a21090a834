//! IPv4 to IPv6 (RFC 7915 §4).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    Answer, Config, Datagram, Done, Incoming, LEAST_IPV6_MTU, Mapped, Pair, Refused, Translator,
    UdpWithoutChecksum, error,
    headers::{headers_to_v6, length_in_v6},
    size_on_link,
    transport::{echo_to_v6, number_in_v6, pseudo_header, readdress, sum_v4, sum_v6},
};
use crate::{
    DropReason, Offload, Slot,
    checksum::sum,
    header::{Fragment, ICMP, TCP, UDP, set_word, word},
};

impl Translator {
    /// Translates the IPv4 packet in `slot`, of which [`read_v4`](super::read_v4) said
    /// `incoming`, to IPv6 with the ends of `mapped`. The slot then holds the IPv6 packet; its
    /// verdict is the caller's. A refused packet is unchanged.
    ///
    /// # Errors
    /// When it may not be translated, is too large for the next link, or the slot has not the
    /// room that [`HEADROOM`](crate::HEADROOM) asks for.
    #[inline]
    pub fn to_v6(
        &self,
        slot: &mut Slot<'_>,
        incoming: &Incoming<Ipv4Addr>,
        mapped: &Mapped<Ipv6Addr>,
    ) -> Result<Done, Refused> {
        let outer = &incoming.outer;
        let Some(hops) = self.hops(outer.hops) else {
            let expired = Refused::telling(DropReason::HopLimit, Answer::HopsExceeded);
            return Err(expired.unless(incoming.quoted.is_some()));
        };
        if let Some(quoted) = &incoming.quoted {
            return error::to_v6(self, slot, outer, quoted, mapped, hops);
        }
        if !goes_into_v6(outer.protocol) {
            return Err(Refused::silently(DropReason::Protocol));
        }
        let cut_to = self.fits_v6(outer, slot)?;
        let pair = mapped.outer;
        let packet = slot.packet.clone();
        let payload_at = packet.start + usize::from(outer.header);
        let end = packet.start + outer.total as usize;
        let headers = length_in_v6(outer.is_fragmented);
        let Some(start) = payload_at.checked_sub(headers) else {
            return Err(Refused::silently(DropReason::NoRoom));
        };
        let Some((before, payload)) = slot
            .buffer
            .get_mut(..end)
            .and_then(|buffer| buffer.split_at_mut_checked(payload_at))
        else {
            return Err(Refused::silently(DropReason::NoRoom));
        };
        self.transport_to_v6(outer, pair, payload, slot.offload)?;
        if let Some(limit) = cut_to {
            if slot.offload == Offload::Checksum {
                complete(outer, pair, payload);
            }
            let pieces = cut(&self.config, outer, pair, hops, payload, limit);
            return Ok(Done::Instead(pieces));
        }
        headers_to_v6(
            &self.config,
            &mut before[start..],
            outer,
            pair,
            hops,
            payload.len(),
        );
        slot.packet = start..end;
        Ok(Done::InPlace)
    }

    /// Whether the packet goes on as it is, must be cut to this size, or may not be.
    #[inline]
    fn fits_v6(
        &self,
        outer: &Datagram<Ipv4Addr>,
        slot: &Slot<'_>,
    ) -> Result<Option<usize>, Refused> {
        let headers = length_in_v6(outer.is_fragmented);
        let size = headers + outer.payload();
        let config = &self.config;
        if size <= usize::from(LEAST_IPV6_MTU) {
            return Ok(None);
        }
        let transport = match slot.bytes().get(usize::from(outer.header) + 12) {
            Some(&offset) if outer.protocol == TCP => usize::from(offset >> 4) * 4,
            _ => 8,
        };
        let on_link = size_on_link(size, headers + transport, slot.offload);
        let next_link = usize::from(config.ipv6_mtu);
        // What the device cuts into segments must fit as it is: nobody could cut it twice.
        let is_fixed = outer.dont_fragment || matches!(slot.offload, Offload::Segments(_));
        if is_fixed && on_link > next_link {
            // RFC 7915 §4.1: the sender learns the size that fits, less what is added here.
            let added = headers - usize::from(outer.header).min(headers);
            let fits = u32::try_from(next_link - added).unwrap_or(u32::MAX);
            return Err(Refused::telling(DropReason::TooBig, Answer::TooBig(fits)));
        }
        let limit = usize::from(config.lowest_ipv6_mtu.min(config.ipv6_mtu));
        Ok((!is_fixed && on_link > limit).then_some(limit))
    }

    /// The transport's checksum, and ICMP's type.
    #[inline]
    fn transport_to_v6(
        &self,
        outer: &Datagram<Ipv4Addr>,
        pair: Pair<Ipv6Addr>,
        payload: &mut [u8],
        offload: Offload,
    ) -> Result<(), Refused> {
        if outer.fragment == Fragment::Later {
            return Ok(());
        }
        match outer.protocol {
            ICMP => {
                let pseudo = pseudo_header(
                    pair.source,
                    pair.destination,
                    payload.len(),
                    number_in_v6(ICMP),
                );
                echo_to_v6(payload, pseudo);
                return Ok(());
            }
            UDP if word(payload, 6) == 0 && offload == Offload::None => {
                return self.udp_without_checksum(outer, pair, payload);
            }
            _ => {}
        }
        let old = sum_v4(outer.source, outer.destination);
        let new = sum_v6(pair.source, pair.destination);
        readdress(payload, outer.protocol, old, new, offload);
        Ok(())
    }

    /// RFC 7915 §4.5.
    #[cold]
    fn udp_without_checksum(
        &self,
        outer: &Datagram<Ipv4Addr>,
        pair: Pair<Ipv6Addr>,
        payload: &mut [u8],
    ) -> Result<(), Refused> {
        let is_whole = outer.fragment == Fragment::Whole;
        if !is_whole || self.config.udp_without_checksum == UdpWithoutChecksum::Drop {
            let answer = Answer::Prohibited;
            return Err(Refused::telling(DropReason::UdpWithoutChecksum, answer));
        }
        let length = usize::from(word(payload, 4));
        let pseudo = pseudo_header(pair.source, pair.destination, length, UDP);
        let Some(datagram) = payload.get_mut(..length) else {
            return Err(Refused::silently(DropReason::Malformed));
        };
        let sum = match !sum(datagram, u32::from(pseudo)) {
            0 => 0xFFFF,
            sum => sum,
        };
        set_word(datagram, 6, sum);
        Ok(())
    }
}

/// Whether a protocol of IPv4 keeps its meaning as a "next header" of IPv6. The numbers of IPv6's
/// own extension headers and of ICMPv6 are no transports: behind the translator they would be
/// taken for what no IPv4 host can say.
const fn goes_into_v6(protocol: u8) -> bool {
    !matches!(protocol, 0 | 43 | 44 | 58 | 60)
}

/// Completes a checksum that was left to the device, of a packet that it will not see as it is.
fn complete(outer: &Datagram<Ipv4Addr>, pair: Pair<Ipv6Addr>, payload: &mut [u8]) {
    let at = match outer.protocol {
        TCP => 16,
        UDP => 6,
        _ => return,
    };
    set_word(payload, at, 0);
    let pseudo = pseudo_header(pair.source, pair.destination, payload.len(), outer.protocol);
    let sum = match !sum(payload, u32::from(pseudo)) {
        0 => 0xFFFF,
        sum => sum,
    };
    set_word(payload, at, sum);
}

/// RFC 7915 §4.1: pieces of at most `limit` bytes, with the identification that the packet came
/// with.
#[cold]
fn cut(
    config: &Config,
    outer: &Datagram<Ipv4Addr>,
    pair: Pair<Ipv6Addr>,
    hops: u8,
    payload: &[u8],
    limit: usize,
) -> Vec<Vec<u8>> {
    let headers = length_in_v6(true);
    let room = (limit - headers) & !7;
    let count = payload.len().div_ceil(room);
    let piece = |(number, bytes): (usize, &[u8])| {
        let part = Datagram {
            is_fragmented: true,
            offset: outer.offset + u16::try_from(number * room / 8).unwrap_or(0),
            more_fragments: outer.more_fragments || number + 1 < count,
            ..*outer
        };
        let mut piece = vec![0; headers];
        headers_to_v6(config, &mut piece, &part, pair, hops, bytes.len());
        piece.extend_from_slice(bytes);
        piece
    };
    payload.chunks(room).enumerate().map(piece).collect()
}
