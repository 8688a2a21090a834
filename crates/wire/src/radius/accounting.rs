//! What an Accounting-Request tells: who, where, when.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use portledger_model::Timestamp;
use thiserror::Error;

use super::{Packet, readable};

/// The attributes that are read, by their numbers.
pub(super) mod kind {
    pub(in crate::radius) const USER_NAME: u8 = 1;
    pub(in crate::radius) const NAS_IP_ADDRESS: u8 = 4;
    pub(in crate::radius) const FRAMED_IP_ADDRESS: u8 = 8;
    pub(in crate::radius) const CLASS: u8 = 25;
    pub(in crate::radius) const CALLING_STATION_ID: u8 = 31;
    pub(in crate::radius) const NAS_IDENTIFIER: u8 = 32;
    pub(in crate::radius) const ACCT_STATUS_TYPE: u8 = 40;
    pub(in crate::radius) const ACCT_DELAY_TIME: u8 = 41;
    pub(in crate::radius) const ACCT_SESSION_ID: u8 = 44;
    pub(in crate::radius) const ACCT_SESSION_TIME: u8 = 46;
    pub(in crate::radius) const ACCT_MULTI_SESSION_ID: u8 = 50;
    pub(in crate::radius) const EVENT_TIMESTAMP: u8 = 55; // RFC 2869 §5.3
    pub(in crate::radius) const NAS_PORT_ID: u8 = 87; // RFC 2869 §5.17
    pub(in crate::radius) const NAS_IPV6_ADDRESS: u8 = 95; // RFC 3162 §2.1
    pub(in crate::radius) const FRAMED_IPV6_PREFIX: u8 = 97; // RFC 3162 §2.3
    pub(in crate::radius) const DELEGATED_IPV6_PREFIX: u8 = 123; // RFC 4818 §3
    pub(in crate::radius) const FRAMED_IPV6_ADDRESS: u8 = 168; // RFC 6911 §3.1
    /// RFC 4679 §3.3: the Broadband Forum's number, and its Agent-Circuit-Id and Agent-Remote-Id.
    pub(in crate::radius) const BROADBAND_FORUM: u32 = 3_561;
    pub(in crate::radius) const AGENT_CIRCUIT_ID: u8 = 1;
    pub(in crate::radius) const AGENT_REMOTE_ID: u8 = 2;
}

/// What an Accounting-Request tells of a session, or of a NAS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounting {
    /// What happened.
    pub status: Status,
    /// Where.
    pub nas: Nas,
    /// Which session: unique on its NAS until that starts anew (RFC 2866 §5.5).
    pub session_id: Option<Box<str>>,
    /// Which group of sessions that belong together (RFC 2866 §5.11).
    pub multi_session_id: Option<Box<str>>,
    /// When it happened, by the NAS's clock; a whole second (RFC 2869 §5.3).
    pub event_timestamp: Option<Timestamp>,
    /// How long the NAS has tried to send it (RFC 2866 §5.2).
    pub delay: Duration,
    /// How long the session has lasted (RFC 2866 §5.7).
    pub session_time: Option<Duration>,
    /// Who it is.
    pub who: Who,
    /// Which addresses are theirs.
    pub framed: Vec<Framed>,
}

/// What happened (RFC 2866 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A session began.
    Start,
    /// A session ended.
    Stop,
    /// A session goes on.
    InterimUpdate,
    /// The NAS begins to account: all its earlier sessions are over.
    AccountingOn,
    /// The NAS ends to account: all its sessions are over.
    AccountingOff,
    /// Something of tunnels, or a failure (RFC 2867 §3), or what nobody defined.
    Other(u32),
}

/// Which NAS: at least one of these is told (RFC 2866 §4.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nas {
    /// NAS-Identifier.
    pub identifier: Option<Box<str>>,
    /// NAS-IP-Address, or NAS-IPv6-Address.
    pub address: Option<IpAddr>,
}

/// Who it is, as the NAS tells it: personal data, which `Debug` does not print. Octets that are no
/// text are `0x` and hex.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Who {
    /// User-Name.
    pub user_name: Option<Box<str>>,
    /// Calling-Station-Id: often a hardware address.
    pub calling_station_id: Option<Box<str>>,
    /// Class: what the authentication server gave the session to be named by.
    pub class: Option<Box<str>>,
    /// NAS-Port-Id.
    pub nas_port_id: Option<Box<str>>,
    /// Agent-Circuit-Id (RFC 4679 §3.3.1).
    pub circuit_id: Option<Box<str>>,
    /// Agent-Remote-Id (RFC 4679 §3.3.2).
    pub remote_id: Option<Box<str>>,
}

/// An address or prefix of a session: personal data, which `Debug` does not print.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Framed {
    /// The address, or the prefix's first.
    pub address: IpAddr,
    /// How many bits of it count: 32 or 128 for one address.
    pub length: u8,
}

/// Why a request's attributes tell nothing. It does not repeat them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AttributeError {
    /// A value is not of its attribute's form.
    #[error("attribute {kind} has a value of {bytes} bytes that is none")]
    Value {
        /// The attribute's number.
        kind: u8,
        /// How long its value is.
        bytes: usize,
    },
    /// An attribute that may be there once is there twice, with two values.
    #[error("attribute {kind} is there twice, with two values: which one counts is not told")]
    Twice {
        /// The attribute's number.
        kind: u8,
    },
    /// There is no Acct-Status-Type.
    #[error("there is no Acct-Status-Type (40), which every Accounting-Request has")]
    NoStatus,
}

impl Accounting {
    /// Reads a packet.
    pub(super) fn of(packet: &Packet<'_>) -> Result<Self, AttributeError> {
        let mut builder = Builder::default();
        for attribute in packet.attributes() {
            builder.take(attribute.kind, attribute.value)?;
        }
        for (kind, value) in packet.vendor(kind::BROADBAND_FORUM) {
            builder.take_agent(kind, value)?;
        }
        builder.finish()
    }

    /// When it happened, where it was received at that time: the Event-Timestamp, or else the
    /// receipt less the delay (RFC 2866 §5.2).
    pub fn at(&self, received: Timestamp) -> Timestamp {
        self.event_timestamp
            .unwrap_or_else(|| received.before(self.delay))
    }
}

impl Status {
    const fn of(number: u32) -> Self {
        match number {
            1 => Self::Start,
            2 => Self::Stop,
            3 => Self::InterimUpdate,
            7 => Self::AccountingOn,
            8 => Self::AccountingOff,
            other => Self::Other(other),
        }
    }
}

/// Gathers attributes.
#[derive(Default)]
pub(super) struct Builder {
    status: Option<u32>,
    nas: Nas,
    session_id: Option<Box<str>>,
    multi_session_id: Option<Box<str>>,
    event_timestamp: Option<u32>,
    delay: Option<u32>,
    session_time: Option<u32>,
    who: Who,
    framed: Vec<Framed>,
}

impl Builder {
    pub(super) fn take(&mut self, number: u8, value: &[u8]) -> Result<(), AttributeError> {
        let none = AttributeError::Value {
            kind: number,
            bytes: value.len(),
        };
        let integer = || {
            let octets = value.try_into().map_err(|_| none)?;
            Ok(u32::from_be_bytes(octets))
        };
        // RFC 2865 §5: text and strings have at least an octet.
        let text = || match value {
            [] => Err(none),
            octets => Ok(readable(octets)),
        };
        match number {
            kind::USER_NAME => set(number, &mut self.who.user_name, text()?),
            kind::CALLING_STATION_ID => set(number, &mut self.who.calling_station_id, text()?),
            kind::NAS_PORT_ID => set(number, &mut self.who.nas_port_id, text()?),
            kind::NAS_IDENTIFIER => set(number, &mut self.nas.identifier, text()?),
            kind::ACCT_SESSION_ID => set(number, &mut self.session_id, text()?),
            kind::ACCT_MULTI_SESSION_ID => set(number, &mut self.multi_session_id, text()?),
            kind::ACCT_STATUS_TYPE => set(number, &mut self.status, integer()?),
            kind::ACCT_DELAY_TIME => set(number, &mut self.delay, integer()?),
            kind::ACCT_SESSION_TIME => set(number, &mut self.session_time, integer()?),
            kind::EVENT_TIMESTAMP => set(number, &mut self.event_timestamp, integer()?),
            kind::CLASS => {
                // RFC 2866 §5.13: it may be there several times; the first names the session.
                let class = text()?;
                self.who.class.get_or_insert(class);
                Ok(())
            }
            kind::NAS_IP_ADDRESS => {
                let address = ipv4(value).ok_or(none)?;
                set(number, &mut self.nas.address, address.into())
            }
            kind::NAS_IPV6_ADDRESS => {
                let address = ipv6(value).ok_or(none)?;
                // Where both are told, the IPv4 address is the name.
                self.nas.address.get_or_insert(address.into());
                Ok(())
            }
            kind::FRAMED_IP_ADDRESS => {
                let address = ipv4(value).ok_or(none)?;
                // RFC 2865 §5.8: these ask for an address and are none.
                let is_one = !address.is_unspecified() && address.to_bits() < 0xffff_fffe;
                self.frame(is_one.then_some((address.into(), 32)));
                Ok(())
            }
            kind::FRAMED_IPV6_ADDRESS => {
                let address = ipv6(value).ok_or(none)?;
                let is_one = !address.is_unspecified();
                self.frame(is_one.then_some((address.into(), 128)));
                Ok(())
            }
            kind::FRAMED_IPV6_PREFIX | kind::DELEGATED_IPV6_PREFIX => {
                let (address, length) = prefix(value).ok_or(none)?;
                // Length 0 is everybody's.
                self.frame((length > 0).then_some((address.into(), length)));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An attribute of the Broadband Forum's.
    pub(super) fn take_agent(&mut self, number: u8, value: &[u8]) -> Result<(), AttributeError> {
        let place = match number {
            kind::AGENT_CIRCUIT_ID => &mut self.who.circuit_id,
            kind::AGENT_REMOTE_ID => &mut self.who.remote_id,
            _ => return Ok(()),
        };
        if value.is_empty() {
            return Ok(());
        }
        set(26, place, readable(value))
    }

    pub(super) fn finish(self) -> Result<Accounting, AttributeError> {
        let status = self.status.ok_or(AttributeError::NoStatus)?;
        let seconds = |seconds: Option<u32>| seconds.map(|it| Duration::from_secs(it.into()));
        Ok(Accounting {
            status: Status::of(status),
            nas: self.nas,
            session_id: self.session_id,
            multi_session_id: self.multi_session_id,
            event_timestamp: self
                .event_timestamp
                .map(|seconds| Timestamp::from_secs(seconds.into())),
            delay: seconds(self.delay).unwrap_or_default(),
            session_time: seconds(self.session_time),
            who: self.who,
            framed: self.framed,
        })
    }

    fn frame(&mut self, told: Option<(IpAddr, u8)>) {
        if let Some((address, length)) = told {
            let framed = Framed { address, length };
            if !self.framed.contains(&framed) {
                self.framed.push(framed);
            }
        }
    }
}

fn set<T: PartialEq>(kind: u8, place: &mut Option<T>, told: T) -> Result<(), AttributeError> {
    match place {
        Some(known) if *known != told => Err(AttributeError::Twice { kind }),
        _ => {
            *place = Some(told);
            Ok(())
        }
    }
}

fn ipv4(value: &[u8]) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from_octets(value.try_into().ok()?))
}

fn ipv6(value: &[u8]) -> Option<Ipv6Addr> {
    Some(Ipv6Addr::from_octets(value.try_into().ok()?))
}

/// RFC 3162 §2.3, RFC 4818 §3: a reserved byte, the length in bits, as many bytes of the prefix as
/// there are; bits behind the length are zero.
fn prefix(value: &[u8]) -> Option<(Ipv6Addr, u8)> {
    let [_, length, octets @ ..] = value else {
        return None;
    };
    let mut whole = [0; 16];
    whole.get_mut(..octets.len())?.copy_from_slice(octets);
    let address = Ipv6Addr::from_octets(whole);
    let outside = u128::MAX.checked_shr((*length).into()).unwrap_or(0);
    let fits = *length <= 128
        && octets.len() * 8 >= usize::from(*length)
        && address.to_bits() & outside == 0;
    fits.then_some((address, *length))
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Who(redacted)")
    }
}

impl fmt::Debug for Framed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Framed(redacted/{})", self.length)
    }
}
