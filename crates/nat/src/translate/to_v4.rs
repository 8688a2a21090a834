//! IPv6 to IPv4 (RFC 7915 §5).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    Answer, Config, Datagram, Done, Incoming, LEAST_IPV6_MTU, Mapped, Pair, Refused, Translator,
    error, size_on_link,
    transport::{ICMP6, echo_to_v4, pseudo_header, readdress, sum_v4, sum_v6},
};
use crate::{
    DropReason, Slot,
    checksum::checksum,
    header::{Fragment, ICMP, TCP, set_long, set_word},
};

/// The length of an IPv4 header without options.
pub(crate) const IPV4_HEADER: usize = 20;

/// RFC 7915 §5.1: packets of at most so many bytes may be cut on their way.
pub(crate) const MAY_BE_CUT: usize = 1_260;

impl Translator {
    /// Translates the IPv6 packet in `slot`, of which [`read_v6`](super::read_v6) said
    /// `incoming`, to IPv4 with the ends of `mapped`. `identification` is for a packet that
    /// brings none of its own (RFC 7915 §5.1; RFC 6864 §4.3 on what it must differ from). The
    /// slot then holds the IPv4 packet, and its verdict is the caller's. A refused packet is
    /// unchanged.
    ///
    /// A packet that may be cut and is too large for the next link comes out whole, with its
    /// don't fragment bit clear: cutting it is the caller's.
    ///
    /// # Errors
    /// When it may not be translated, or is too large for the next link.
    #[inline]
    pub fn to_v4(
        &self,
        slot: &mut Slot<'_>,
        incoming: &Incoming<Ipv6Addr>,
        mapped: &Mapped<Ipv4Addr>,
        identification: u16,
    ) -> Result<Done, Refused> {
        let outer = &incoming.outer;
        let Some(hops) = self.hops(outer.hops) else {
            let expired = Refused::telling(DropReason::HopLimit, Answer::HopsExceeded);
            return Err(expired.unless(incoming.quoted.is_some()));
        };
        if let Some(quoted) = &incoming.quoted {
            let parts = (outer, quoted);
            return error::to_v4(self, slot, parts, mapped, hops, identification);
        }
        self.fits_v4(outer, slot)?;
        let pair = mapped.outer;
        let payload_at = slot.packet.start + usize::from(outer.header);
        let end = slot.packet.start + outer.total as usize;
        let Some((before, payload)) = slot
            .buffer
            .get_mut(..end)
            .and_then(|buffer| buffer.split_at_mut_checked(payload_at))
        else {
            return Err(Refused::silently(DropReason::NoRoom));
        };
        if outer.fragment != Fragment::Later {
            let offload = slot.offload;
            if outer.protocol == ICMP {
                let pseudo = pseudo_header(outer.source, outer.destination, payload.len(), ICMP6);
                echo_to_v4(payload, pseudo);
            } else {
                let old = sum_v6(outer.source, outer.destination);
                let new = sum_v4(pair.source, pair.destination);
                readdress(payload, outer.protocol, old, new, offload);
            }
        }
        let start = payload_at - IPV4_HEADER;
        let header = ipv4_header(
            &self.config,
            outer,
            pair,
            hops,
            payload.len(),
            identification,
        );
        before[start..].copy_from_slice(&header);
        slot.packet = start..end;
        Ok(Done::InPlace)
    }

    /// Whether the packet may go on: one that may not be cut must fit.
    #[inline]
    fn fits_v4(&self, outer: &Datagram<Ipv6Addr>, slot: &Slot<'_>) -> Result<(), Refused> {
        let size = IPV4_HEADER + outer.payload();
        if may_be_cut(outer) {
            return Ok(());
        }
        let transport = match slot.bytes().get(usize::from(outer.header) + 12) {
            Some(&offset) if outer.protocol == TCP => usize::from(offset >> 4) * 4,
            _ => 8,
        };
        let on_link = size_on_link(size, IPV4_HEADER + transport, slot.offload);
        let next_link = usize::from(self.config.ipv4_mtu);
        // No IPv4 header can say more, whatever the device does with the packet.
        if on_link > next_link || size > 65_535 {
            // RFC 7915 §1.4, RFC 4443 §3.2: the size that fits, with what is taken away here;
            // never less than IPv6's least, which would not be believed (RFC 8201 §4).
            let fits = next_link + usize::from(outer.header) - IPV4_HEADER;
            let fits = u32::try_from(fits).unwrap_or(u32::MAX);
            let answer = Answer::TooBig(fits.max(u32::from(LEAST_IPV6_MTU)));
            return Err(Refused::telling(DropReason::TooBig, answer));
        }
        Ok(())
    }
}

/// RFC 7915 §5.1, §5.1.1: the don't fragment bit is clear in fragments, and in small packets.
const fn may_be_cut(datagram: &Datagram<Ipv6Addr>) -> bool {
    datagram.is_fragmented || IPV4_HEADER + datagram.payload() <= MAY_BE_CUT
}

/// The IPv4 header of a packet with so many bytes of payload (RFC 7915 §5.1).
#[inline]
pub(super) fn ipv4_header(
    config: &Config,
    datagram: &Datagram<Ipv6Addr>,
    pair: Pair<Ipv4Addr>,
    hops: u8,
    payload: usize,
    identification: u16,
) -> [u8; IPV4_HEADER] {
    let fragmentation = if datagram.is_fragmented {
        let more = if datagram.more_fragments { 0x2000 } else { 0 };
        datagram.offset | more
    } else if may_be_cut(datagram) {
        0
    } else {
        0x4000
    };
    let identification = if datagram.is_fragmented {
        // RFC 7915 §5.1.1: the low-order 16 bits.
        (datagram.identification & 0xFFFF) as u16
    } else {
        identification
    };
    header(Fields {
        class: config.type_of_service.unwrap_or(datagram.class),
        total: u16::try_from(IPV4_HEADER + payload).unwrap_or(u16::MAX),
        identification,
        fragmentation,
        hops,
        protocol: datagram.protocol,
        pair,
    })
}

/// What an IPv4 header without options says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    pub(crate) class: u8,
    pub(crate) total: u16,
    pub(crate) identification: u16,
    pub(crate) fragmentation: u16,
    pub(crate) hops: u8,
    pub(crate) protocol: u8,
    pub(crate) pair: Pair<Ipv4Addr>,
}

/// An IPv4 header, checksum included.
#[inline]
pub(crate) fn header(fields: Fields) -> [u8; IPV4_HEADER] {
    let mut header = [0; IPV4_HEADER];
    header[0] = 0x45;
    header[1] = fields.class;
    set_word(&mut header, 2, fields.total);
    set_word(&mut header, 4, fields.identification);
    set_word(&mut header, 6, fields.fragmentation);
    header[8] = fields.hops;
    header[9] = fields.protocol;
    set_long(&mut header, 12, fields.pair.source.to_bits());
    set_long(&mut header, 16, fields.pair.destination.to_bits());
    let sum = checksum(&header);
    set_word(&mut header, 10, sum);
    header
}
