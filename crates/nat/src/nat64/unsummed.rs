//! UDP without a checksum, in fragments. IPv6 wants one, and only the whole datagram has it.

use std::net::Ipv4Addr;

use portledger_model::Timestamp;

use super::Translation;
use crate::{
    DropReason, HEADROOM, Slot,
    checksum::{checksum, sum},
    header::{UDP, set_word, word},
    hosts::Numbers,
    reassembly::{Key, Piece},
    stateful::Left,
    translate::{Fragment, Incoming, read_v4},
};

/// The length of an IPv4 header without options.
const HEADER: usize = 20;

impl Translation {
    /// RFC 6146 §3.4: fragments of a datagram without a checksum are put together, and one is
    /// computed. `None` where this is a fragment of another. The engine lets the first fragment
    /// pass before all others, so that these are known by it.
    pub(super) fn leave_unsummed(
        &mut self,
        numbers: &Numbers,
        now: Timestamp,
        slot: &Slot<'_>,
        incoming: &Incoming<Ipv4Addr>,
    ) -> Result<Option<Left>, DropReason> {
        let outer = &incoming.outer;
        let key = Key {
            realm: 0,
            source: outer.source.to_bits().into(),
            destination: outer.destination.to_bits().into(),
            identification: outer.identification,
        };
        let data = slot
            .bytes()
            .get(..outer.total as usize)
            .ok_or(DropReason::Truncated)?;
        let payload = data
            .get(usize::from(outer.header)..)
            .ok_or(DropReason::Truncated)?;
        let begins = outer.fragment == Fragment::First && word(payload, 6) == 0;
        if !begins && !self.unsummed.knows(&key) {
            return Ok(None);
        }
        let piece = Piece {
            offset: usize::from(outer.offset) * 8,
            more: outer.more_fragments,
            payload,
        };
        let expires = now.after(self.fragment_time).as_micros();
        let Some(mut whole) = self.unsummed.add(expires, key, piece)? else {
            return Ok(Some(Left::Kept));
        };
        let start = HEADROOM - HEADER;
        complete(&mut whole[start..], &data[..HEADER])?;
        let range = start..whole.len();
        let mut slot = Slot::new(&mut whole, range);
        let incoming = read_v4(slot.bytes()).map_err(|refused| refused.reason)?;
        Ok(Some(
            match self.leave_as(numbers, &mut slot, &incoming)? {
                Left::InPlace => Left::Instead(vec![slot.bytes().to_vec()]),
                left => left,
            },
        ))
    }
}

/// Makes a whole packet of a datagram behind the room for a header: with the header of one of its
/// fragments, and a checksum.
fn complete(packet: &mut [u8], header: &[u8]) -> Result<(), DropReason> {
    let total = u16::try_from(packet.len()).map_err(|_| DropReason::Malformed)?;
    let (ip, udp) = packet.split_at_mut(HEADER);
    ip.copy_from_slice(header);
    ip[0] = 0x45;
    set_word(ip, 2, total);
    set_word(ip, 6, 0);
    set_word(ip, 10, 0);
    let header_sum = checksum(ip);
    set_word(ip, 10, header_sum);
    // RFC 768: what is behind the datagram's own length is no part of it.
    let length = usize::from(word(udp, 4));
    if length < 8 || length > udp.len() {
        return Err(DropReason::Malformed);
    }
    let pseudo = sum(&ip[12..20], u32::from(UDP)) as u32 + u32::from(word(udp, 4));
    let sum = match !sum(&udp[..length], pseudo) {
        0 => 0xFFFF,
        sum => sum,
    };
    set_word(udp, 6, sum);
    Ok(())
}
