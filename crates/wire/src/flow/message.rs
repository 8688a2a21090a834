//! The headers of messages.

use portledger_model::Timestamp;

use super::{
    item::{Reject, Unit},
    sequence::Head,
};

/// RFC 7011 §3.1.
pub(super) const IPFIX_HEADER: usize = 16;
/// RFC 3954 §5.1.
pub(super) const V9_HEADER: usize = 20;

/// Which of the two protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// NetFlow version 9 (RFC 3954).
    NetFlow9,
    /// IPFIX, version 10 (RFC 7011).
    Ipfix,
}

impl Version {
    /// What its sequence numbers count.
    pub const fn unit(self) -> Unit {
        match self {
            Self::NetFlow9 => Unit::Messages,
            Self::Ipfix => Unit::Records,
        }
    }
}

/// An observation domain, or a source of NetFlow v9: both may be on one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Domain {
    pub(super) version: Version,
    pub(super) number: u32,
}

/// A message whose header was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) domain: Domain,
    pub(super) head: Head,
    /// What is behind the header.
    pub(super) body: &'a [u8],
    /// Where that begins.
    pub(super) offset: usize,
}

/// Reads a header.
pub(super) fn read(bytes: &[u8]) -> Result<Message<'_>, Reject> {
    let version = u16_at(bytes, 0).ok_or(Reject::Short {
        needed: 2,
        got: bytes.len(),
    })?;
    match version {
        10 => ipfix(bytes),
        9 => netflow9(bytes),
        other => Err(Reject::Version(other)),
    }
}

fn ipfix(bytes: &[u8]) -> Result<Message<'_>, Reject> {
    let short = Reject::Short {
        needed: IPFIX_HEADER,
        got: bytes.len(),
    };
    let said = usize::from(u16_at(bytes, 2).ok_or(short)?);
    let field = |offset| u32_at(bytes, offset).ok_or(short);
    let (sent, number, domain) = (field(4)?, field(8)?, field(12)?);
    let body = bytes.get(IPFIX_HEADER..said).ok_or(Reject::MessageLength {
        said,
        got: bytes.len(),
    })?;
    Ok(Message {
        domain: Domain {
            version: Version::Ipfix,
            number: domain,
        },
        head: Head {
            number,
            sent: Timestamp::from_secs(sent.into()),
            uptime: None,
        },
        body,
        offset: IPFIX_HEADER,
    })
}

/// The header counts records, templates included; nothing needs that, and exporters differ in it.
fn netflow9(bytes: &[u8]) -> Result<Message<'_>, Reject> {
    let short = Reject::Short {
        needed: V9_HEADER,
        got: bytes.len(),
    };
    let field = |offset| u32_at(bytes, offset).ok_or(short);
    let (uptime, sent, number, source) = (field(4)?, field(8)?, field(12)?, field(16)?);
    Ok(Message {
        domain: Domain {
            version: Version::NetFlow9,
            number: source,
        },
        head: Head {
            number,
            sent: Timestamp::from_secs(sent.into()),
            uptime: Some(uptime),
        },
        body: bytes.get(V9_HEADER..).unwrap_or_default(),
        offset: V9_HEADER,
    })
}

/// A set and where its contents begin in the body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set<'a> {
    pub(super) id: u16,
    pub(super) contents: &'a [u8],
    pub(super) offset: usize,
}

/// The sets of a message's body; after one that lies about its length nothing can be found.
pub(super) struct Sets<'a> {
    pub(super) body: &'a [u8],
    pub(super) offset: usize,
}

impl<'a> Iterator for Sets<'a> {
    type Item = Result<Set<'a>, (usize, Reject)>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.body.get(self.offset..)?;
        // Less than a header is padding, where it is anything.
        let (id, said) = (u16_at(rest, 0)?, usize::from(u16_at(rest, 2)?));
        let Some(contents) = rest.get(4..said) else {
            let offset = self.offset;
            self.offset = self.body.len();
            let why = Reject::SetLength {
                id,
                said,
                left: rest.len(),
            };
            return Some(Err((offset, why)));
        };
        let offset = self.offset + 4;
        self.offset += said;
        Some(Ok(Set {
            id,
            contents,
            offset,
        }))
    }
}

pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let bytes = bytes.get(offset..offset.checked_add(2)?)?;
    bytes.try_into().ok().map(u16::from_be_bytes)
}

pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..offset.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_be_bytes)
}
