//! The packet's form (RFC 2865 §3, §5).

use std::fmt;

use thiserror::Error;

/// The shortest packet, in bytes: code, identifier, length, authenticator.
const HEADER: usize = 20;

/// What a packet is for (RFC 2865 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u8);

impl Code {
    /// Accounting-Request (RFC 2866 §4.1).
    pub const ACCOUNTING_REQUEST: Self = Self(4);
    /// Accounting-Response (RFC 2866 §4.2).
    pub const ACCOUNTING_RESPONSE: Self = Self(5);
}

/// A packet whose lengths fit. Whether it is genuine is not known before [`Packet::verify`].
///
/// `Debug` shows no attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Of the length that the packet tells, at least the header.
    bytes: &'a [u8],
}

/// Why bytes are no RADIUS packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PacketError {
    /// Shorter than the header.
    #[error(
        "{found} bytes are no RADIUS packet, which has at least {}",
        Packet::HEADER
    )]
    Short {
        /// How many there are.
        found: usize,
    },
    /// The length told is none that a packet may have, or more than there is.
    #[error(
        "byte 3: the packet tells a length of {told} bytes; it has {found}, and may have {} to {}",
        Packet::HEADER,
        Packet::LONGEST
    )]
    Length {
        /// What the packet tells.
        told: usize,
        /// How many bytes there are.
        found: usize,
    },
    /// An attribute's length is less than its own header, or leads past the end.
    #[error("byte {at}: an attribute tells a length of {told} bytes, and {left} are left")]
    Attribute {
        /// Where it begins, from 1.
        at: usize,
        /// What it tells.
        told: u8,
        /// How many bytes the packet has from there on.
        left: usize,
    },
    /// One byte is left where an attribute would begin.
    #[error("byte {at}: the packet ends inside an attribute's header")]
    Cut {
        /// Where, from 1.
        at: usize,
    },
}

/// An attribute: its type and value (RFC 2865 §5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its number.
    pub kind: u8,
    /// Its value: 0 to 253 bytes.
    pub value: &'a [u8],
    /// Where in the packet it begins, from 1.
    pub at: usize,
}

impl<'a> Packet<'a> {
    /// The shortest packet, in bytes.
    pub const HEADER: usize = HEADER;
    /// The longest packet, in bytes (RFC 2865 §3).
    pub const LONGEST: usize = 4_096;

    /// Takes a datagram apart, and checks every length in it.
    ///
    /// # Errors
    /// When a length does not fit. RFC 2866 §3: such a packet is silently discarded.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, PacketError> {
        let found = datagram.len();
        let header = datagram.first_chunk::<HEADER>();
        let [_, _, high, low, ..] = header.ok_or(PacketError::Short { found })?;
        let told = usize::from(u16::from_be_bytes([*high, *low]));
        let fits = (Self::HEADER..=Self::LONGEST).contains(&told);
        // RFC 2865 §3: what is beyond the length is padding.
        let bytes = datagram.get(..told).filter(|_| fits);
        let packet = Self {
            bytes: bytes.ok_or(PacketError::Length { told, found })?,
        };
        let mut rest = packet.body();
        let mut at = Self::HEADER + 1;
        while !rest.is_empty() {
            let [_, told, ..] = *rest else {
                return Err(PacketError::Cut { at });
            };
            let left = rest.len();
            let length = usize::from(told);
            let after = rest.get(length..).filter(|_| length >= 2);
            rest = after.ok_or(PacketError::Attribute { at, told, left })?;
            at += length;
        }
        Ok(packet)
    }

    /// What it is for.
    pub fn code(&self) -> Code {
        Code(self.bytes.first().copied().unwrap_or_default())
    }

    /// By which a response is matched with its request.
    pub fn identifier(&self) -> u8 {
        self.bytes.get(1).copied().unwrap_or_default()
    }

    /// The Authenticator field.
    pub fn authenticator(&self) -> [u8; 16] {
        let field = self.bytes.get(4..Self::HEADER);
        field
            .and_then(|field| field.try_into().ok())
            .unwrap_or_default()
    }

    /// All of it, without padding.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes of the attributes.
    pub(super) fn body(&self) -> &'a [u8] {
        self.bytes.get(Self::HEADER..).unwrap_or_default()
    }

    /// The attributes, in their order.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let mut rest = self.body();
        let mut at = Self::HEADER + 1;
        std::iter::from_fn(move || {
            let [kind, length, ..] = *rest else {
                return None;
            };
            let (whole, after) = rest.split_at_checked(usize::from(length))?;
            let value = whole.get(2..)?;
            let attribute = Attribute { kind, value, at };
            rest = after;
            at += whole.len();
            Some(attribute)
        })
    }

    /// What the vendor of this number says in attributes of its own: type and value
    /// (RFC 2865 §5.26). Where a vendor's attributes are not of the form that the RFC recommends,
    /// the rest of that attribute is left out.
    pub fn vendor(&self, vendor: u32) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        const VENDOR_SPECIFIC: u8 = 26;
        self.attributes()
            .filter(|attribute| attribute.kind == VENDOR_SPECIFIC)
            .filter_map(move |attribute| {
                let (number, rest) = attribute.value.split_first_chunk::<4>()?;
                (u32::from_be_bytes(*number) == vendor).then_some(rest)
            })
            .flat_map(tlvs)
            .map_while(Result::ok)
    }
}

/// Types, lengths and values behind each other (RFC 2865 §5.26, RFC 6929 §2.3); an error, once,
/// where a length does not fit.
pub(super) fn tlvs(mut rest: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8]), ()>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let one = match *rest {
            [kind, length, ..] if length >= 2 => rest
                .split_at_checked(usize::from(length))
                .and_then(|(whole, after)| Some((kind, whole.get(2..)?, after))),
            _ => None,
        };
        let Some((kind, value, after)) = one else {
            rest = &[];
            return Some(Err(()));
        };
        rest = after;
        Some(Ok((kind, value)))
    })
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, identifier) = (self.code().0, self.identifier());
        let bytes = self.bytes.len();
        write!(
            f,
            "Packet(code {code}, identifier {identifier}, {bytes} bytes, redacted)"
        )
    }
}

impl fmt::Debug for Attribute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.value.len();
        write!(f, "Attribute({}, {bytes} bytes, redacted)", self.kind)
    }
}
