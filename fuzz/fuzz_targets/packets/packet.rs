//! A second reading of IPv4 packets, written apart from the engine's and slow on purpose.

use std::{fmt, net::Ipv4Addr};

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

/// A well-formed IPv4 packet (RFC 791 §3.1).
pub(crate) struct View<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) header: usize,
    pub(crate) payload: &'a [u8],
    pub(crate) protocol: u8,
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    /// In bytes.
    pub(crate) offset: usize,
    pub(crate) more: bool,
}

impl<'a> View<'a> {
    /// The packet that `data` begins with, its length and header checksum right.
    pub(crate) fn read(data: &'a [u8]) -> Option<Self> {
        let view = Self::read_any_length(data)?;
        (view.bytes.len() == usize::from(word(data, 2))).then_some(view)
    }

    /// The same where the end may be missing, as in what an ICMP error quotes.
    pub(crate) fn read_any_length(data: &'a [u8]) -> Option<Self> {
        let header = usize::from(data.first()? & 0x0F) * 4;
        let total = usize::from(word(data, 2));
        if data[0] >> 4 != 4 || header < 20 || data.len() < header || total < header {
            return None;
        }
        if sum(&data[..header]) != 0 {
            return None;
        }
        let bytes = &data[..total.min(data.len())];
        Some(Self {
            bytes,
            header,
            payload: &bytes[header..],
            protocol: data[9],
            source: address(data, 12),
            destination: address(data, 16),
            offset: usize::from(word(data, 6) & 0x1FFF) * 8,
            more: word(data, 6) & 0x2000 != 0,
        })
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.offset == 0 && !self.more
    }

    /// The protocol where this packet has its header: not in later fragments.
    pub(crate) fn transport(&self) -> Option<u8> {
        (self.offset == 0).then_some(self.protocol)
    }

    pub(crate) fn is_icmp_error(&self) -> bool {
        self.transport() == Some(ICMP) && matches!(self.payload.first(), Some(3 | 11 | 12))
    }

    /// The packet that an ICMP error quotes.
    pub(crate) fn quoted(&self) -> Option<View<'a>> {
        View::read_any_length(self.payload.get(8..)?)
    }

    /// Where in the payload the transport's checksum lies.
    pub(crate) fn checksum_at(&self) -> Option<usize> {
        match self.transport()? {
            TCP => Some(16),
            UDP => Some(6),
            ICMP => Some(2),
            _ => None,
        }
    }

    /// What a right checksum makes zero (RFC 768, 792, 9293), whatever it is here. `None` where
    /// there is no checksum, or not all that it covers.
    pub(crate) fn balance(&self) -> Option<u16> {
        if !self.is_whole() || self.has_no_checksum() {
            return None;
        }
        let covered = self.covered();
        (covered <= self.payload.len()).then(|| add(self.full_sum(), 0))
    }

    /// The part of that sum that a cut packet still has: no right or wrong, but no translation
    /// changes it.
    pub(crate) fn balance_of_first(&self) -> Option<u16> {
        if self.has_no_checksum() {
            return None;
        }
        match self.transport()? {
            ICMP => Some(sum(self.payload)),
            _ => Some(add(sum(self.payload), sum(&self.bytes[12..20]))),
        }
    }

    /// The checksum field less the sum of the pseudo-header: zero where a device is to do the
    /// rest.
    pub(crate) fn partial_balance(&self) -> Option<u16> {
        let field = word(self.payload, self.checksum_at()?);
        Some(add(field, !self.pseudo_header_sum()))
    }

    /// The sum over all that the transport's checksum covers.
    pub(crate) fn full_sum(&self) -> u16 {
        let covered = self.covered().min(self.payload.len());
        let payload = sum(&self.payload[..covered]);
        match self.protocol {
            ICMP => payload,
            _ => add(payload, self.pseudo_header_sum()),
        }
    }

    /// The sum over addresses, protocol and length (RFC 9293 §3.1).
    pub(crate) fn pseudo_header_sum(&self) -> u16 {
        let length = sum(&(self.covered() as u32).to_be_bytes());
        add(
            sum(&self.bytes[12..20]),
            add(u16::from(self.protocol), length),
        )
    }

    /// How many bytes the transport's checksum covers.
    fn covered(&self) -> usize {
        match self.protocol {
            UDP => usize::from(word(self.payload, 4)),
            _ => self.payload.len(),
        }
    }

    /// RFC 768: zero where the sender computed none.
    fn has_no_checksum(&self) -> bool {
        match self.checksum_at() {
            Some(at) => self.protocol == UDP && word(self.payload, at) == 0,
            None => true,
        }
    }
}

/// The headers, without what they carry.
impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.bytes.len().min(self.header + 28);
        let (length, headers) = (self.bytes.len(), &self.bytes[..shown]);
        write!(f, "{} to {}, ", self.source, self.destination)?;
        write!(f, "{length} bytes from {headers:02x?} on")
    }
}

pub(crate) fn word(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..at + 2) {
        Some(pair) => u16::from_be_bytes([pair[0], pair[1]]),
        None => 0,
    }
}

pub(crate) fn set_word(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// The one's complement sum of 16-bit words (RFC 1071), in which all ones is written as zero.
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| [pair[0], *pair.get(1).unwrap_or(&0)]);
    words.fold(0, |total, pair| add(total, u16::from_be_bytes(pair)))
}

pub(crate) fn add(one: u16, other: u16) -> u16 {
    let total = u32::from(one) + u32::from(other);
    (total % 0xFFFF) as u16
}

fn address(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(word(bytes, at)) << 16 | u32::from(word(bytes, at + 2)))
}
