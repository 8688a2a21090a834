//! The IPv6 header and what stands between it and the transport, read and written (RFC 8200).

use std::net::Ipv6Addr;

use crate::header::{long, set_word, word};

/// The length of the header (RFC 8200 §3).
pub(crate) const HEADER: usize = 40;
/// The length of a Fragment header (RFC 8200 §4.5).
pub(crate) const FRAGMENT_HEADER: usize = 8;

pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const DESTINATION_OPTIONS: u8 = 60;

/// The most extension headers that are walked over. RFC 8200 §4.1 knows of seven in a packet.
pub(crate) const MOST_HEADERS: usize = 8;

/// The address at `at`.
#[inline]
pub(crate) fn address(bytes: &[u8], at: usize) -> Ipv6Addr {
    let octets = bytes.get(at..at + 16).and_then(<[u8]>::first_chunk::<16>);
    octets.map_or(Ipv6Addr::UNSPECIFIED, |&octets| octets.into())
}

/// The traffic class of a packet.
#[inline]
pub(crate) fn class(bytes: &[u8]) -> u8 {
    (word(bytes, 0) >> 4).to_be_bytes()[1]
}

/// The extension header at `at`, which gives its own length, in units of eight bytes beyond the
/// first (RFC 8200 §4.3, §4.4, §4.6). `None` where it is not all there.
pub(crate) fn extension(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let units = bytes.get(at + 1)?;
    bytes.get(at..at + (usize::from(*units) + 1) * 8)
}

/// What a Fragment header says (RFC 8200 §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// What follows.
    pub(crate) next: u8,
    /// In units of eight bytes.
    pub(crate) offset: u16,
    pub(crate) more: bool,
    pub(crate) identification: u32,
}

impl Fragment {
    /// The header at `at`.
    pub(crate) fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let header = bytes.get(at..at + FRAGMENT_HEADER)?;
        let place = word(header, 2);
        Some(Self {
            next: header[0],
            offset: place >> 3,
            more: place & 1 != 0,
            identification: long(header, 4),
        })
    }

    pub(crate) fn bytes(self) -> [u8; FRAGMENT_HEADER] {
        let mut header = [0; FRAGMENT_HEADER];
        header[0] = self.next;
        set_word(&mut header, 2, self.offset << 3 | u16::from(self.more));
        header[4..].copy_from_slice(&self.identification.to_be_bytes());
        header
    }
}

/// A header (RFC 8200 §3) before so many bytes, with the flow label 0.
#[inline]
pub(crate) fn header(
    class: u8,
    length: usize,
    next: u8,
    hops: u8,
    source: Ipv6Addr,
    destination: Ipv6Addr,
) -> [u8; HEADER] {
    let first = 0x6000_0000 | u32::from(class) << 20;
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    let second = u32::from(length) << 16 | u32::from(next) << 8 | u32::from(hops);
    let fixed = u64::from(first) << 32 | u64::from(second);
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&fixed.to_be_bytes());
    header[8..24].copy_from_slice(&source.octets());
    header[24..].copy_from_slice(&destination.octets());
    header
}
