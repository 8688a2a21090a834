//! Packets that a device has left to be cut ([`Offload::Segments`](crate::Offload)), where no
//! device could cut what becomes of them.
//!
//! ```
//! use portledger_nat::Segments;
//!
//! // A UDP datagram of 6 bytes of payload, to be cut into two of at most 4.
//! let packet = [
//!     0x45, 0, 0, 34, 0, 9, 0, 0, 64, 17, 0x8e, 0x6c, 192, 0, 2, 33, 198, 51, 100, 1,
//!     0x9c, 0x40, 0, 53, 0, 14, 0, 0, 1, 2, 3, 4, 5, 6,
//! ];
//! let (mut segments, mut bytes) = (Segments::of(&packet, 4).unwrap(), Vec::new());
//! assert_eq!(segments.append_next(&mut bytes), Some(32));
//! assert_eq!(segments.append_next(&mut bytes), Some(30));
//! assert_eq!(segments.append_next(&mut bytes), None);
//! assert_eq!(bytes[28..32], [1, 2, 3, 4]);
//! assert_eq!(bytes[32 + 28..], [5, 6]);
//! ```

use std::num::NonZeroU16;

use crate::{
    DropReason,
    checksum::{checksum, sum},
    header::{Fragment, TCP, UDP, long, set_long, set_word, word},
    ipv6::HEADER as IPV6_HEADER,
    rewrite::checksum_at,
    translate::{IPV4_HEADER, header_v4, header_v6, may_be_cut},
};

/// The segments of one packet, made as a network card would make them.
#[derive(Debug)]
pub struct Segments<'a> {
    packet: &'a [u8],
    layout: Layout,
    size: usize,
    /// Where the payload of the next one begins.
    at: usize,
    made: u16,
}

/// Where things are in a packet.
#[derive(Debug, Clone, Copy)]
struct Layout {
    is_ipv4: bool,
    protocol: u8,
    /// The transport's header.
    transport: usize,
    payload: usize,
    end: usize,
}

impl<'a> Segments<'a> {
    /// The segments of a TCP or UDP packet over IPv4 or IPv6, each with `size` bytes of payload
    /// but the last.
    ///
    /// # Errors
    /// When it is no whole packet of these, or has nothing to cut.
    pub fn of(packet: &'a [u8], size: u16) -> Result<Self, DropReason> {
        let layout = Layout::of(packet)?;
        let size = NonZeroU16::new(size).ok_or(DropReason::Malformed)?;
        if layout.payload >= layout.end {
            return Err(DropReason::Malformed);
        }
        Ok(Self {
            packet,
            layout,
            size: usize::from(size.get()),
            at: layout.payload,
            made: 0,
        })
    }

    /// Appends the next segment to `to`, and says how long it is; `None` where there is no more.
    /// Its transport's checksum is left undone ([`Offload::Checksum`](crate::Offload)).
    pub fn append_next(&mut self, to: &mut Vec<u8>) -> Option<usize> {
        let Layout { payload, end, .. } = self.layout;
        let next = (self.at + self.size).min(end);
        let headers = self.packet.get(..payload)?;
        let part = self.packet.get(self.at..next)?;
        if part.is_empty() {
            return None;
        }
        let begin = to.len();
        to.extend_from_slice(headers);
        to.extend_from_slice(part);
        self.finish(to.get_mut(begin..)?, next == end);
        (self.at, self.made) = (next, self.made.wrapping_add(1));
        Some(headers.len() + part.len())
    }

    /// Makes the headers of a segment its own.
    fn finish(&self, segment: &mut [u8], is_last: bool) {
        let Layout {
            is_ipv4,
            protocol,
            transport,
            payload,
            ..
        } = self.layout;
        let length = segment.len();
        let addresses = if is_ipv4 {
            set_word(segment, 2, length16(length));
            // RFC 6864 §4.3: the sender has put aside as many as there are segments.
            let identification = word(segment, 4).wrapping_add(self.made);
            set_word(segment, 4, identification);
            set_word(segment, 10, 0);
            let of_header = checksum(segment.get(..transport).unwrap_or_default());
            set_word(segment, 10, of_header);
            12..20
        } else {
            set_word(segment, 4, length16(length - IPV6_HEADER));
            8..40
        };
        let rest = length16(length - transport);
        let addresses = segment.get(addresses).unwrap_or_default();
        let pseudo = sum(addresses, u32::from(protocol) + u32::from(rest));
        let Some(head) = segment.get_mut(transport..) else {
            return;
        };
        set_word(head, checksum_at(protocol), pseudo);
        match protocol {
            UDP => set_word(head, 4, rest),
            _ => {
                let before = u32::try_from(self.at - payload).unwrap_or(u32::MAX);
                set_long(head, 4, long(head, 4).wrapping_add(before));
                // RFC 9293 §3.8.6, RFC 3168 §6.1.2: the end comes once, and so does what tells of
                // a window that was reduced.
                let mut flags = !0;
                if !is_last {
                    flags &= !(FIN | PUSH);
                }
                if self.made > 0 {
                    flags &= !WINDOW_REDUCED;
                }
                if let Some(place) = head.get_mut(13) {
                    *place &= flags;
                }
            }
        }
    }
}

const FIN: u8 = 0x01;
const PUSH: u8 = 0x08;
const WINDOW_REDUCED: u8 = 0x80;

impl Layout {
    fn of(packet: &[u8]) -> Result<Self, DropReason> {
        let is_ipv4 = packet.first().is_some_and(|first| first >> 4 == 4);
        let (protocol, fragment, transport, end) = if is_ipv4 {
            let read = header_v4(packet)?;
            (read.protocol, read.fragment, read.header, read.total)
        } else {
            let (read, next) = header_v6(packet).map_err(|refused| refused.reason)?;
            (next, read.fragment, read.header, read.total)
        };
        let (transport, end) = (usize::from(transport), end as usize);
        let head = packet.get(transport..end).unwrap_or_default();
        let header = match protocol {
            TCP => usize::from(head.get(12).map_or(0, |offset| offset >> 4)) * 4,
            UDP => 8,
            _ => return Err(DropReason::Protocol),
        };
        let least = if protocol == TCP { 20 } else { 8 };
        if fragment != Fragment::Whole || header < least || header > head.len() {
            return Err(DropReason::Malformed);
        }
        Ok(Self {
            is_ipv4,
            protocol,
            transport,
            payload: transport + header,
            end,
        })
    }
}

/// Whether a packet that is to be cut into segments of `size` bytes of payload may be
/// translated between IPv4 and IPv6 as it is, so that a device cuts what becomes of it.
///
/// It may not where its segments may be cut once more on their way, so that each needs an
/// identification of its own: IPv4 that says so, and IPv6 that becomes such (RFC 7915 §4.1, §5.1).
pub fn is_translated_whole(packet: &[u8], size: u16) -> bool {
    match Layout::of(packet) {
        Ok(layout) if layout.is_ipv4 => word(packet, 6) & 0x4000 != 0,
        Ok(layout) => {
            let headers = IPV4_HEADER + layout.payload - layout.transport;
            !may_be_cut(headers + usize::from(size))
        }
        // The translator says what is wrong with it.
        Err(_) => true,
    }
}

fn length16(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A TCP or UDP packet whose checksum is left undone.
    fn packet(is_ipv4: bool, protocol: u8, options: usize, payload: &[u8]) -> Vec<u8> {
        let mut transport = vec![0x11; if protocol == TCP { 20 + options * 4 } else { 8 }];
        if protocol == TCP {
            transport[12] = u8::try_from(5 + options).unwrap() << 4;
            // CWR, ACK, PSH, FIN.
            transport[13] = 0x99;
        }
        transport.extend(payload);
        if protocol == UDP {
            let length = length16(transport.len());
            set_word(&mut transport, 4, length);
        }
        let mut packet = if is_ipv4 {
            let mut header = vec![0x45, 0, 0, 0, 0xFF, 0xFE, 0, 0, 64, protocol, 0, 0];
            header.extend([192, 0, 2, 1, 198, 51, 100, 7]);
            set_word(&mut header, 2, length16(20 + transport.len()));
            let sum = checksum(&header);
            set_word(&mut header, 10, sum);
            header
        } else {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
            header.extend([0x20, 1, 0xd, 0xb8].repeat(8));
            set_word(&mut header, 4, length16(transport.len()));
            header
        };
        packet.extend(transport);
        packet
    }

    fn cut(packet: &[u8], size: u16) -> Vec<Vec<u8>> {
        let mut segments = Segments::of(packet, size).unwrap();
        let mut bytes = Vec::new();
        let mut all = Vec::new();
        while let Some(length) = segments.append_next(&mut bytes) {
            assert_eq!(bytes.len(), length);
            all.push(std::mem::take(&mut bytes));
        }
        all
    }

    proptest! {
        #[test]
        fn each_segment_is_a_packet_and_all_of_them_are_the_payload(
            is_ipv4: bool,
            protocol in prop::sample::select(vec![TCP, UDP]),
            options in 0_usize..10,
            payload in prop::collection::vec(any::<u8>(), 1..3_000),
            size in 1_u16..1_500,
        ) {
            let whole = packet(is_ipv4, protocol, options, &payload);
            let at = if is_ipv4 { 20 } else { 40 };
            let headers = at + if protocol == TCP { 20 + options * 4 } else { 8 };
            let segments = cut(&whole, size);
            prop_assert_eq!(segments.len(), payload.len().div_ceil(usize::from(size)));
            let mut seen: Vec<u8> = Vec::new();
            for (number, segment) in (0_u16..).zip(&segments) {
                let (first, last) = (number == 0, usize::from(number) + 1 == segments.len());
                let transport = &segment[at..];
                let length = u32::try_from(transport.len()).unwrap();
                let addresses = if is_ipv4 {
                    prop_assert_eq!(checksum(&segment[..20]), 0);
                    prop_assert_eq!(usize::from(word(segment, 2)), segment.len());
                    prop_assert_eq!(word(segment, 4), 0xFFFE_u16.wrapping_add(number));
                    &segment[12..20]
                } else {
                    prop_assert_eq!(u32::from(word(segment, 4)), length);
                    &segment[8..40]
                };
                // What a device adds to the sum of the pseudo-header makes the checksum right.
                let pseudo = sum(addresses, u32::from(protocol) + length);
                prop_assert_eq!(word(transport, checksum_at(protocol)), pseudo);
                if protocol == TCP {
                    let sequence = 0x1111_1111 + u32::try_from(seen.len()).unwrap();
                    prop_assert_eq!(long(transport, 4), sequence);
                    let flags = if first { 0x90 } else { 0x10 } | if last { 0x09 } else { 0 };
                    prop_assert_eq!(transport[13], flags);
                } else {
                    prop_assert_eq!(u32::from(word(transport, 4)), length);
                }
                seen.extend(&segment[headers..]);
            }
            prop_assert_eq!(seen, payload);
        }

        #[test]
        fn no_bytes_lead_astray(
            is_ipv4: bool,
            payload in prop::collection::vec(any::<u8>(), 0..100),
            changes in prop::collection::vec((0_usize..60, any::<u8>()), 0..4),
            length in 0_usize..120,
            size: u16,
        ) {
            let mut bytes = packet(is_ipv4, TCP, 1, &payload);
            for (at, value) in changes {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            bytes.truncate(length);
            is_translated_whole(&bytes, size);
            if let Ok(mut segments) = Segments::of(&bytes, size) {
                let mut all = Vec::new();
                while segments.append_next(&mut all).is_some() {}
                prop_assert!(!all.is_empty());
            }
        }
    }

    #[test]
    fn what_may_be_cut_on_its_way_is_not_translated_whole() {
        let payload = [7; 3_000];
        let mut four = packet(true, TCP, 3, &payload);
        assert!(!is_translated_whole(&four, 1_400));
        four[6] = 0x40;
        let sum = {
            set_word(&mut four, 10, 0);
            checksum(&four[..20])
        };
        set_word(&mut four, 10, sum);
        assert!(is_translated_whole(&four, 1_400));
        // 20 of IPv4, 32 of TCP and 1,208 are 1,260 bytes.
        let six = packet(false, TCP, 3, &payload);
        assert!(!is_translated_whole(&six, 1_208) && is_translated_whole(&six, 1_209));
        let six = packet(false, UDP, 0, &payload);
        assert!(!is_translated_whole(&six, 1_232) && is_translated_whole(&six, 1_233));
    }
}
