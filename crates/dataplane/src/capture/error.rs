//! What can be wrong with a capture file, and where.

use std::io;

use thiserror::Error;

use super::MAX_PACKET;

/// A capture that cannot be read further: where it broke, and how.
#[derive(Debug, Error)]
#[error("{file}: {}{problem}", place(*packets, *offset))]
pub struct CaptureError {
    /// The name the capture was opened with.
    pub file: String,
    /// How many packets were read before the break.
    pub packets: u64,
    /// Where in the file the record or block begins that cannot be read, in bytes from 0.
    pub offset: u64,
    /// What is wrong there.
    pub problem: Problem,
}

/// Nothing where nothing was read: then it is the file that is wrong, not a place in it.
fn place(packets: u64, offset: u64) -> String {
    match (packets, offset) {
        (0, 0) => String::new(),
        (0, offset) => format!("before the first packet, at byte {offset}: "),
        (1, offset) => format!("packet 1 is good, then at byte {offset}: "),
        (packets, offset) => format!("packets 1 to {packets} are good, then at byte {offset}: "),
    }
}

/// What is wrong with a capture, and what to do about it.
#[derive(Debug, Error)]
pub enum Problem {
    /// The system could not give the bytes.
    #[error("cannot read it: {0}; check that the file is there and may be read")]
    Io(#[from] io::Error),
    /// No bytes at all.
    #[error("the file is empty; check that the capture was written and flushed")]
    Empty,
    /// The first bytes are no capture's.
    #[error("not a pcap or pcapng capture, {0}")]
    NotACapture(Looks),
    /// The file ends inside a header, record or block.
    #[error(
        "the file ends inside the {part} that begins here (bytes missing: {missing}); copy or capture it again if the rest matters"
    )]
    CutShort {
        /// Which part of the file is incomplete.
        part: &'static str,
        /// How many bytes it lacks, as far as its claimed length can be trusted.
        missing: u64,
    },
    /// A version this reader does not know.
    #[error("{format} version {major}.{minor} is not known; convert it with editcap -F pcap")]
    Version {
        /// `pcap` or `pcapng`.
        format: &'static str,
        /// The file's major version.
        major: u16,
        /// The file's minor version.
        minor: u16,
    },
    /// A packet that claims more bytes than any packet has: the file is damaged here.
    #[error(
        "a packet claims {0} bytes, more than the {MAX_PACKET} any capture takes; the file is damaged here, copy or capture it again if the rest matters"
    )]
    TooLong(u32),
    /// A pcapng block whose length cannot be.
    #[error(
        "a block of type {kind:#010x} claims {length} bytes; the file is damaged here, copy or capture it again if the rest matters"
    )]
    BlockLength {
        /// The block's type.
        kind: u32,
        /// The length it claims, all of it.
        length: u32,
    },
    /// A pcapng block whose two lengths differ.
    #[error(
        "a block begins by saying it has {leading} bytes and ends by saying {trailing}; the file is damaged here, copy or capture it again if the rest matters"
    )]
    LengthsDiffer {
        /// The length at the block's beginning.
        leading: u32,
        /// The length at its end.
        trailing: u32,
    },
    /// A pcapng section with neither byte order.
    #[error(
        "a section begins with the byte order mark {0:#010x}, which is none; the file is damaged here, copy or capture it again if the rest matters"
    )]
    ByteOrder(u32),
    /// A packet of an interface that was never described: its link and clock are unknown.
    #[error(
        "a packet names interface {interface}, but this section describes {described}; without the description its link type and clock are unknown, join the files with mergecap instead of cutting blocks"
    )]
    NoInterface {
        /// The interface named.
        interface: u32,
        /// How many were described before it in this section.
        described: usize,
    },
    /// More interface descriptions than a section can need.
    #[error(
        "a section describes more than {0} interfaces; split the capture with editcap -i or -c"
    )]
    TooManyInterfaces(usize),
    /// The options of an interface description cannot be read, so its clock is unknown.
    #[error(
        "the options of an interface description are damaged, so the times after it cannot be trusted; write the file anew with editcap"
    )]
    Options,
}

/// What a file that is no capture looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Looks {
    /// Compressed by the program named.
    #[error("it is compressed: unpack it with {0} first")]
    Compressed(&'static str),
    /// A capture of another kind.
    #[error("it is a {0} capture: convert it with editcap -F pcap first")]
    Foreign(&'static str),
    /// Nothing known; the first four bytes.
    #[error(
        "it begins with the bytes {:02x} {:02x} {:02x} {:02x}: check that this is the right file",
        _0[0], _0[1], _0[2], _0[3]
    )]
    Unknown([u8; 4]),
}

impl Looks {
    /// By the first four bytes.
    pub(super) fn like(magic: [u8; 4]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Compressed("gunzip"),
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Compressed("unzstd"),
            [0xfd, b'7', b'z', b'X'] => Self::Compressed("unxz"),
            [b'B', b'Z', b'h', _] => Self::Compressed("bunzip2"),
            [0x04, 0x22, 0x4d, 0x18] => Self::Compressed("unlz4"),
            [b'P', b'K', 3, 4] => Self::Compressed("unzip"),
            // RFC 1761: a snoop file begins with "snoop" and three zero bytes.
            [b's', b'n', b'o', b'o'] => Self::Foreign("snoop"),
            [b'G', b'M', b'B', b'U'] => Self::Foreign("Network Monitor"),
            _ => Self::Unknown(magic),
        }
    }
}
