//! Changing an address of an IPv4 packet that the engine has not looked at yet, or any more: a
//! host's number comes in its place, or goes out of it.
//!
//! Nothing is checked. What is broken stays broken, and the engine finds it: all sums are updated
//! by difference (RFC 1624).

use crate::{
    Offload,
    checksum::{Delta, checksum},
    header::{ICMP, TCP, UDP, long, set_long, set_word, word},
    icmp,
    rewrite::{End, checksum_at},
};

/// The length of an ICMP error's header, before what it quotes.
const ICMP_HEADER: usize = 8;

/// Gives one end of a packet another address.
#[inline]
pub(crate) fn set_end(data: &mut [u8], end: End, address: u32) {
    set_end_offloaded(data, end, address, Offload::None);
}

/// As [`set_end`], for a packet of which a device has left something undone.
#[inline]
pub(crate) fn set_end_offloaded(data: &mut [u8], end: End, address: u32, offload: Offload) {
    let address_at = match end {
        End::Source => 12,
        End::Destination => 16,
    };
    let Some(ip) = data.first_chunk_mut::<20>() else {
        return;
    };
    let delta = Delta::default().address(long(ip, address_at), address);
    let (length, protocol) = (usize::from(ip[0] & 0x0F) * 4, ip[9]);
    let is_later = word(ip, 6) & 0x1FFF != 0;
    set_long(ip, address_at, address);
    let sum = delta.apply(word(ip, 10));
    set_word(ip, 10, sum);
    // The ICMP checksum covers no addresses (RFC 792).
    if is_later || !matches!(protocol, TCP | UDP) {
        return;
    }
    let at = length + checksum_at(protocol);
    if data.len() < at + 2 {
        return;
    }
    let old = word(data, at);
    let new = match (offload, protocol) {
        (Offload::None, UDP) if old == 0 => return,
        // RFC 768: a computed zero is sent as all ones.
        (Offload::None, UDP) => match delta.apply(old) {
            0 => 0xFFFF,
            sum => sum,
        },
        (Offload::None, _) => delta.apply(old),
        _ => delta.apply_uncomplemented(old),
    };
    set_word(data, at, new);
}

/// Whether a packet is an ICMP error that quotes another packet, by its first bytes.
pub(crate) fn is_error(data: &[u8]) -> bool {
    let Some(ip) = data.first_chunk::<20>() else {
        return false;
    };
    let at = usize::from(ip[0] & 0x0F) * 4;
    ip[9] == ICMP && word(ip, 6) & 0x3FFF == 0 && matches!(data.get(at), Some(3 | 11 | 12))
}

/// The ICMP message in a packet, as long as the packet says.
fn message(data: &mut [u8]) -> Option<&mut [u8]> {
    let at = usize::from(data.first()? & 0x0F) * 4;
    let total = usize::from(word(data, 2));
    data.get_mut(at..total)
}

/// The packet that an ICMP error quotes, where the error's checksum is right.
pub(crate) fn quoted(data: &mut [u8]) -> Option<&[u8]> {
    let message = message(data)?;
    if checksum(message) != 0 {
        return None;
    }
    message.get(ICMP_HEADER..)
}

/// Gives one end of the packet that an ICMP error quotes another address.
pub(crate) fn set_quoted_end(data: &mut [u8], end: End, address: u32) {
    let Some(message) = message(data) else {
        return;
    };
    let Some(quoted) = message.get_mut(ICMP_HEADER..) else {
        return;
    };
    set_end(quoted, end, address);
    icmp::finish(message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Header;
    use proptest::prelude::*;

    proptest! {
        /// A number goes in and out again, and the packet is as before.
        #[test]
        fn a_number_goes_in_and_out(
            mut data in prop::collection::vec(any::<u8>(), 0..80),
            number in any::<u32>(),
            head in 4_u8..16,
            protocol in prop::sample::select(vec![1_u8, 6, 17, 47]),
        ) {
            if let Some(ip) = data.first_chunk_mut::<20>() {
                (ip[0], ip[9]) = (0x40 | head, protocol);
            }
            let before = data.clone();
            for end in [End::Source, End::Destination] {
                let at = if end == End::Source { 12 } else { 16 };
                set_end(&mut data, end, number);
                if data.len() >= 20 {
                    prop_assert_eq!(long(&data, at), number);
                }
                set_end(&mut data, end, long(&before, at));
            }
            // But for the two zeros of one's complement.
            let same = data.chunks(2).zip(before.chunks(2)).all(|(new, old)| {
                new == old || [new, old].iter().all(|sum| matches!(sum, [0, 0] | [255, 255]))
            });
            prop_assert!(same, "{:?} {:?}", data, before);
        }
    }

    /// The sums of a whole packet stay right.
    #[test]
    fn sums_stay_right() {
        let mut packet = [
            0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0xa9, 0x53, 100, 64, 3, 9, 198, 51, 100, 1,
            0x9c, 0x40, 0, 53, 0, 8, 0, 0,
        ];
        set_end(&mut packet, End::Source, 7);
        let header = Header::parse(&packet).unwrap();
        assert_eq!((header.source, word(&packet, 26)), (7, 0));
    }
}
