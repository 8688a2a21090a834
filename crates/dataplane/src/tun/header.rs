//! `virtio_net_hdr`, which the kernel puts before each packet on the queue.
//!
//! It says what the sender left to a network card: the checksum of one field, and the cutting of
//! a packet of up to 64 KiB into segments. Passed through a NAT it lets such a packet stay whole.

use std::num::NonZeroU16;

use thiserror::Error;

/// Bytes of the header before each packet.
pub const HEADER_LENGTH: usize = 10;

/// What is left to do to a packet before it goes on a wire (virtio 1.2 §5.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VirtioHeader {
    /// The state of the transport checksum.
    pub checksum: Checksum,
    /// How the packet is to be cut; `None` where it is one packet.
    pub segments: Option<Segments>,
}

/// The state of a packet's transport checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// It is in the packet, and nobody has checked it.
    #[default]
    Unchecked,
    /// It is in the packet, and has been found right.
    Verified,
    /// The field holds the sum of the pseudo-header only, not complemented; whoever puts the
    /// packet on a wire adds the rest. A change of address is added to that sum as it stands.
    Partial {
        /// Where the summed bytes begin: the transport header, in bytes from the IP header's first.
        start: u16,
        /// Where the checksum field is, in bytes from `start`.
        offset: u16,
    },
}

/// How a packet is to be cut into segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    /// What is cut.
    pub kind: SegmentKind,
    /// Payload bytes in each segment but the last.
    pub size: NonZeroU16,
    /// About how many bytes of headers come first: a hint, never more than the packet.
    pub header_length: u16,
}

/// What is cut into segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// TCP over IPv4.
    TcpV4 {
        /// The congestion window was reduced (CWR): only the first segment may say so.
        ecn: bool,
    },
    /// TCP over IPv6.
    TcpV6 {
        /// The congestion window was reduced (CWR): only the first segment may say so.
        ecn: bool,
    },
    /// UDP datagrams of one size, over IPv4 or IPv6.
    Udp,
}

/// Why a header does not fit its packet, or what this program asks the kernel for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// Flags the device was not told we understand.
    #[error("unknown flags {0:#04x} in the virtio header")]
    Flags(u8),
    /// A kind of segmentation the device was not told we understand.
    #[error("unknown segmentation type {0:#04x} in the virtio header")]
    SegmentKind(u8),
    /// Segments of no size.
    #[error("segments of zero bytes in the virtio header")]
    SegmentSize,
    /// The headers are longer than the packet.
    #[error("headers of {header} bytes in a packet of {packet}")]
    HeaderLength {
        /// What the header says.
        header: u16,
        /// The packet's length in bytes.
        packet: usize,
    },
    /// The checksum field is outside the packet.
    #[error("checksum field at {at} in a packet of {packet} bytes")]
    ChecksumOutside {
        /// Where the header puts it.
        at: usize,
        /// The packet's length in bytes.
        packet: usize,
    },
}

// virtio 1.2 §5.1.6: the bits of `flags` and the values of `gso_type`.
const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

impl VirtioHeader {
    /// Reads the header of a packet of `packet` bytes.
    ///
    /// # Errors
    /// Where a field points outside the packet, or is one the device was not asked for.
    pub fn parse(bytes: &[u8; HEADER_LENGTH], packet: usize) -> Result<Self, HeaderError> {
        // All fields are little-endian, whatever the processor: the device is told so.
        let [flags, gso_type, h0, h1, s0, s1, c0, c1, o0, o1] = *bytes;
        let word = |low, high| u16::from_le_bytes([low, high]);
        if flags & !(NEEDS_CSUM | DATA_VALID) != 0 {
            return Err(HeaderError::Flags(flags));
        }
        let checksum = if flags & NEEDS_CSUM != 0 {
            partial(word(c0, c1), word(o0, o1), packet)?
        } else if flags & DATA_VALID != 0 {
            Checksum::Verified
        } else {
            Checksum::Unchecked
        };
        let segments = match segment_kind(gso_type)? {
            None => None,
            Some(kind) => segments(kind, word(s0, s1), word(h0, h1), packet)?,
        };
        Ok(Self { checksum, segments })
    }

    /// The header's bytes, for a packet written to the device.
    pub fn encode(&self) -> [u8; HEADER_LENGTH] {
        let (flags, start, offset) = match self.checksum {
            Checksum::Unchecked => (0, 0, 0),
            Checksum::Verified => (DATA_VALID, 0, 0),
            Checksum::Partial { start, offset } => (NEEDS_CSUM, start, offset),
        };
        let (gso_type, size, header_length) = match self.segments {
            None => (GSO_NONE, 0, 0),
            Some(segments) => (
                segments.kind.gso_type(),
                segments.size.get(),
                segments.header_length,
            ),
        };
        let [h0, h1] = header_length.to_le_bytes();
        let [s0, s1] = size.to_le_bytes();
        let [c0, c1] = start.to_le_bytes();
        let [o0, o1] = offset.to_le_bytes();
        [flags, gso_type, h0, h1, s0, s1, c0, c1, o0, o1]
    }
}

impl VirtioHeader {
    /// The header of what has become of a packet: its beginning moved from `before` to `after`
    /// while its payload stayed where it was, and it is of this version of IP now. `None` where
    /// what is left to do is no longer in the packet.
    #[must_use]
    pub fn moved(self, before: usize, after: usize, version: u8) -> Option<Self> {
        if before == after {
            return Some(self);
        }
        let shifted =
            |place: u16| u16::try_from((usize::from(place) + before).checked_sub(after)?).ok();
        let checksum = match self.checksum {
            Checksum::Partial { start, offset } => Checksum::Partial {
                start: shifted(start)?,
                offset,
            },
            // It may be that of what is inside.
            Checksum::Unchecked | Checksum::Verified => Checksum::Unchecked,
        };
        let segments = self.segments.map(|segments| Segments {
            kind: segments.kind.over(version),
            header_length: shifted(segments.header_length).unwrap_or(0),
            ..segments
        });
        Some(Self { checksum, segments })
    }
}

fn partial(start: u16, offset: u16, packet: usize) -> Result<Checksum, HeaderError> {
    let at = usize::from(start) + usize::from(offset);
    if at + 2 > packet {
        return Err(HeaderError::ChecksumOutside { at, packet });
    }
    Ok(Checksum::Partial { start, offset })
}

fn segment_kind(gso_type: u8) -> Result<Option<SegmentKind>, HeaderError> {
    let ecn = gso_type & GSO_ECN != 0;
    match gso_type & !GSO_ECN {
        GSO_NONE if !ecn => Ok(None),
        GSO_TCPV4 => Ok(Some(SegmentKind::TcpV4 { ecn })),
        GSO_TCPV6 => Ok(Some(SegmentKind::TcpV6 { ecn })),
        GSO_UDP_L4 if !ecn => Ok(Some(SegmentKind::Udp)),
        _ => Err(HeaderError::SegmentKind(gso_type)),
    }
}

fn segments(
    kind: SegmentKind,
    size: u16,
    header_length: u16,
    packet: usize,
) -> Result<Option<Segments>, HeaderError> {
    let size = NonZeroU16::new(size).ok_or(HeaderError::SegmentSize)?;
    if usize::from(header_length) > packet {
        return Err(HeaderError::HeaderLength {
            header: header_length,
            packet,
        });
    }
    // A packet no longer than one segment is one packet: Linux's own reading of the header.
    Ok((packet > usize::from(size.get())).then_some(Segments {
        kind,
        size,
        header_length,
    }))
}

impl SegmentKind {
    /// The same over this version of IP.
    const fn over(self, version: u8) -> Self {
        match (self, version) {
            (Self::TcpV4 { ecn } | Self::TcpV6 { ecn }, 4) => Self::TcpV4 { ecn },
            (Self::TcpV4 { ecn } | Self::TcpV6 { ecn }, _) => Self::TcpV6 { ecn },
            (Self::Udp, _) => Self::Udp,
        }
    }

    fn gso_type(self) -> u8 {
        let with_ecn = |kind, ecn| if ecn { kind | GSO_ECN } else { kind };
        match self {
            Self::TcpV4 { ecn } => with_ecn(GSO_TCPV4, ecn),
            Self::TcpV6 { ecn } => with_ecn(GSO_TCPV6, ecn),
            Self::Udp => GSO_UDP_L4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Flags NEEDS_CSUM, TCPv4, 54 header bytes, segments of 1448, checksum at 20 + 16.
    const TCP: [u8; HEADER_LENGTH] = [1, 1, 54, 0, 0xa8, 0x05, 20, 0, 16, 0];

    #[test]
    fn a_tcp_super_packet() {
        let header = VirtioHeader::parse(&TCP, 60_000).unwrap();
        assert_eq!(
            header.checksum,
            Checksum::Partial {
                start: 20,
                offset: 16
            }
        );
        let segments = header.segments.unwrap();
        assert_eq!(segments.kind, SegmentKind::TcpV4 { ecn: false });
        assert_eq!(segments.size.get(), 1448);
        assert_eq!(segments.header_length, 54);
        assert_eq!(header.encode(), TCP);
    }

    #[test]
    fn a_packet_that_moved_has_less_or_more_before_its_payload() {
        let header = VirtioHeader::parse(&TCP, 60_000).unwrap();
        let six = header.moved(48, 28, 6).unwrap();
        assert_eq!(six.encode(), [1, 4, 74, 0, 0xa8, 0x05, 40, 0, 16, 0]);
        assert_eq!(six.moved(28, 48, 4), Some(header));
        assert_eq!(header.moved(48, 48, 4), Some(header));
        // The header that is summed would lie before the packet.
        assert_eq!(header.moved(48, 69, 4), None);
        let verified = VirtioHeader {
            checksum: Checksum::Verified,
            segments: None,
        };
        assert_eq!(verified.moved(48, 48, 4), Some(verified));
        assert_eq!(verified.moved(48, 8, 6), Some(VirtioHeader::default()));
    }

    #[test]
    fn the_checksum_field_must_be_inside_to_its_last_byte() {
        let header = [1, 0, 0, 0, 0, 0, 20, 0, 6, 0];
        assert!(VirtioHeader::parse(&header, 28).is_ok());
        assert_eq!(
            VirtioHeader::parse(&header, 27),
            Err(HeaderError::ChecksumOutside { at: 26, packet: 27 })
        );
        let far = [1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
        assert!(VirtioHeader::parse(&far, 65_535).is_err());
    }

    #[test]
    fn what_was_not_asked_for_is_refused() {
        let with = |flags, gso_type| [flags, gso_type, 0, 0, 100, 0, 0, 0, 0, 0];
        // 3 is UDP fragmentation, 0x20 and 0x40 are segments inside UDP tunnels.
        for gso_type in [2, 3, 0x20, 0x41, 0x80, 0x85] {
            assert_eq!(
                VirtioHeader::parse(&with(0, gso_type), 1_000),
                Err(HeaderError::SegmentKind(gso_type))
            );
        }
        for flags in [4, 8, 0xff] {
            assert_eq!(
                VirtioHeader::parse(&with(flags, 0), 1_000),
                Err(HeaderError::Flags(flags))
            );
        }
        assert_eq!(
            VirtioHeader::parse(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0], 1_000),
            Err(HeaderError::SegmentSize)
        );
        assert_eq!(
            VirtioHeader::parse(&[0, 1, 0xe9, 3, 1, 0, 0, 0, 0, 0], 1_000),
            Err(HeaderError::HeaderLength {
                header: 1_001,
                packet: 1_000
            })
        );
    }

    #[test]
    fn a_packet_of_one_segment_is_one_packet() {
        let short = VirtioHeader::parse(&TCP, 1_448).unwrap();
        assert_eq!(short.segments, None);
        assert_ne!(short.checksum, Checksum::Unchecked);
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_points_inside_and_survives_encoding(
            bytes: [u8; HEADER_LENGTH],
            known in 0_u8..4,
            gso in prop::sample::select(vec![0_u8, 1, 4, 5, 0x81, 0x84, 3]),
            keep: bool,
            packet in 0_usize..70_000,
        ) {
            let mut bytes = bytes;
            // Random flags are refused nearly always: make the rest reachable too.
            if keep {
                [bytes[0], bytes[1]] = [known, gso];
            }
            if let Ok(header) = VirtioHeader::parse(&bytes, packet) {
                if let Checksum::Partial { start, offset } = header.checksum {
                    prop_assert!(usize::from(start) + usize::from(offset) + 2 <= packet);
                }
                if let Some(segments) = header.segments {
                    prop_assert!(usize::from(segments.header_length) <= packet);
                    prop_assert!(usize::from(segments.size.get()) < packet);
                }
                prop_assert_eq!(VirtioHeader::parse(&header.encode(), packet), Ok(header));
            }
        }
    }
}
