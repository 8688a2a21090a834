//! IPv6 to IPv4 (RFC 7915 §5).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    Answer, Datagram, Done, Incoming, LEAST_IPV6_MTU, Mapped, Refused, Translator, error,
    headers::{IPV4_HEADER, header_to_v4, may_be_cut},
    size_on_link,
    transport::{ICMP6, echo_to_v4, pseudo_header, readdress, sum_v4, sum_v6},
};
use crate::{
    DropReason, Slot,
    header::{Fragment, ICMP, TCP},
};

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
        let header = header_to_v4(
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
        // RFC 7915 §5.1, §5.1.1: the don't fragment bit is clear.
        if outer.is_fragmented || may_be_cut(size) {
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
