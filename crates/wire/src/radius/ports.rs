//! Ports in RADIUS: the attributes of RFC 8045.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use portledger_model::{Internal, Ipv6Prefix, PortRange, Realm, Subscriber, Timestamp, Transport};
use thiserror::Error;

use super::{Accounting, Extended, Packet, packet::tlvs};
use crate::{EventTime, Holding, Kind, NatEvent, Phase, Told};

/// The extended type of which all three are (RFC 8045 §3.1).
const EXTENDED_TYPE: u8 = 241;

/// What an attribute of RFC 8045 tells. `Debug` shows no address.
#[derive(Clone, PartialEq, Eq)]
pub struct IpPorts {
    /// Which of the three it is.
    pub kind: IpPortKind,
    /// The transport's protocol number; without it, every transport (IP-Port-Type).
    pub protocol: Option<u8>,
    /// How many ports the subscriber may have (IP-Port-Limit).
    pub limit: Option<u16>,
    /// The shared address (IP-Port-Ext-IPv4-Addr).
    pub external: Option<Ipv4Addr>,
    /// The subscriber's address (IP-Port-Int-IPv4-Addr, IP-Port-Int-IPv6-Addr).
    pub internal: Option<IpAddr>,
    /// IP-Port-Int-Port.
    pub internal_port: Option<u16>,
    /// IP-Port-Ext-Port.
    pub external_port: Option<u16>,
    /// Whether a range is handed out or given back (IP-Port-Alloc).
    pub allocation: Option<Allocation>,
    /// The range's first port (IP-Port-Range-Start).
    pub first: Option<u16>,
    /// The range's last port (IP-Port-Range-End).
    pub last: Option<u16>,
    /// Which host at the subscriber's it is for (IP-Port-Local-Id).
    pub local_id: Option<Box<[u8]>>,
}

/// Which attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpPortKind {
    /// IP-Port-Limit-Info, 241.5 (RFC 8045 §3.1.1).
    Limit,
    /// IP-Port-Range, 241.6 (RFC 8045 §3.1.2).
    Range,
    /// IP-Port-Forwarding-Map, 241.7 (RFC 8045 §3.1.3).
    Forwarding,
}

/// What happens to a range (RFC 8045 §3.2.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// It is handed out.
    Allocated,
    /// It is given back.
    Deallocated,
}

/// Why an attribute of RFC 8045 tells nothing that a ledger could keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IpPortsError {
    /// A length in it does not fit.
    #[error("byte {at}: attribute 241.{extended}: a length inside does not fit")]
    Length {
        /// Where the attribute begins, from 1.
        at: usize,
        /// Its extended type.
        extended: u8,
    },
    /// A part is not of its form, or there twice with two values.
    #[error("byte {at}: attribute 241.{extended}: its part {part} has a value that is none")]
    Part {
        /// Where the attribute begins, from 1.
        at: usize,
        /// Its extended type.
        extended: u8,
        /// The part's TLV-Type.
        part: u8,
    },
    /// It is no IP-Port-Range.
    #[error("a limit or a forwarding is no allocation of ports")]
    NoRange,
    /// It does not say whether the range is handed out or given back.
    #[error("the IP-Port-Range has no IP-Port-Alloc")]
    NoAllocation,
    /// A deallocation without a range is of all ranges, which are not named.
    #[error(
        "the IP-Port-Range gives back all ports without naming them; they end where the next ones begin, or by another record"
    )]
    AllPorts,
    /// The range is none.
    #[error("the IP-Port-Range has no range of ports, or one that ends before it begins")]
    Ports,
    /// The shared address is missing.
    #[error("the IP-Port-Range has no IP-Port-Ext-IPv4-Addr: whose ports they are is not told")]
    NoExternal,
    /// Nobody is named to whom the range is handed out.
    #[error(
        "the IP-Port-Range is handed out to nobody: the request has no single Framed-IP-Address"
    )]
    NoSubscriber,
    /// A transport without ports.
    #[error("IP-Port-Type {0} is a transport that the ledger does not know")]
    Protocol(u8),
}

impl IpPorts {
    /// Those of a packet.
    pub(super) fn of(packet: &Packet<'_>) -> Vec<Result<Self, IpPortsError>> {
        let extended = packet.extended().into_iter().flatten();
        extended
            .filter(|it| it.kind == EXTENDED_TYPE)
            .filter_map(|it| {
                let kind = match it.extended {
                    5 => IpPortKind::Limit,
                    6 => IpPortKind::Range,
                    7 => IpPortKind::Forwarding,
                    _ => return None,
                };
                Some(Self::read(kind, &it))
            })
            .collect()
    }

    fn read(kind: IpPortKind, attribute: &Extended<'_>) -> Result<Self, IpPortsError> {
        let (at, extended) = (attribute.at, attribute.extended);
        let mut ports = Self {
            kind,
            protocol: None,
            limit: None,
            external: None,
            internal: None,
            internal_port: None,
            external_port: None,
            allocation: None,
            first: None,
            last: None,
            local_id: None,
        };
        for tlv in tlvs(&attribute.value) {
            let (part, value) = tlv.map_err(|()| IpPortsError::Length { at, extended })?;
            let taken = ports.take(part, value);
            taken.ok_or(IpPortsError::Part { at, extended, part })?;
        }
        Ok(ports)
    }

    /// RFC 8045 §3.2: integers are four octets, their data right-justified.
    fn take(&mut self, part: u8, value: &[u8]) -> Option<()> {
        let integer = || Some(u32::from_be_bytes(value.try_into().ok()?));
        let short = || u16::try_from(integer()?).ok();
        match part {
            1 => set(&mut self.protocol, u8::try_from(integer()?).ok()?),
            2 => set(&mut self.limit, short()?),
            3 => set(&mut self.external, ipv4(value)?),
            4 => set(&mut self.internal, ipv4(value)?.into()),
            5 => set(
                &mut self.internal,
                Ipv6Addr::from_octets(value.try_into().ok()?).into(),
            ),
            6 => set(&mut self.internal_port, short()?),
            7 => set(&mut self.external_port, short()?),
            8 => {
                let allocation = match integer()? {
                    1 => Allocation::Allocated,
                    2 => Allocation::Deallocated,
                    _ => return None,
                };
                set(&mut self.allocation, allocation)
            }
            9 => set(&mut self.first, short()?),
            10 => set(&mut self.last, short()?),
            11 => set(&mut self.local_id, value.into()),
            // What a later document adds.
            _ => Some(()),
        }
    }

    /// The event that an IP-Port-Range is: in `accounting`, received at `received`, of a
    /// subscriber in `realm`.
    ///
    /// # Errors
    /// When it is no range, or does not say all that an event needs.
    pub fn event(
        &self,
        accounting: &Accounting,
        received: Timestamp,
        realm: &Realm,
    ) -> Result<NatEvent, IpPortsError> {
        if self.kind != IpPortKind::Range {
            return Err(IpPortsError::NoRange);
        }
        let phase = match self.allocation.ok_or(IpPortsError::NoAllocation)? {
            Allocation::Allocated => Phase::Begun,
            Allocation::Deallocated => Phase::Ended,
        };
        let ports = match (self.first, self.last) {
            (Some(first), Some(last)) => {
                PortRange::new(first, last).map_err(|_| IpPortsError::Ports)?
            }
            // RFC 8045 §3.1.2: in a deallocation they may be left out.
            (None, None) if phase == Phase::Ended => return Err(IpPortsError::AllPorts),
            _ => return Err(IpPortsError::Ports),
        };
        let transport = match self.protocol {
            None => None,
            Some(6) => Some(Transport::Tcp),
            Some(17) => Some(Transport::Udp),
            Some(1) => Some(Transport::Icmp),
            Some(other) => return Err(IpPortsError::Protocol(other)),
        };
        let subscriber = self
            .internal
            .map(Internal::from)
            .or_else(|| only_one(accounting))
            .map(|internal| Subscriber::of(realm.clone(), internal));
        if subscriber.is_none() && phase == Phase::Begun {
            return Err(IpPortsError::NoSubscriber);
        }
        Ok(NatEvent {
            at: match accounting.event_timestamp {
                Some(at) => EventTime::Told(at),
                None => EventTime::Message(accounting.at(received)),
            },
            told: Told::Ports(Holding {
                phase,
                kind: Kind::Block,
                subscriber,
                external: self.external.ok_or(IpPortsError::NoExternal)?,
                ports,
                transport,
                since: None,
            }),
        })
    }
}

/// What the session is known by where it has one of a kind: its IPv4 address, or else its IPv6
/// address, or else its prefix (RFC 3162 §2.3, RFC 4818 §3). Of several nobody knows which it is.
fn only_one(accounting: &Accounting) -> Option<Internal> {
    let of = |is: fn(IpAddr, u8) -> bool| {
        let framed = accounting.framed.iter();
        let mut all = framed.filter(|framed| is(framed.address, framed.length));
        let first = all.next()?;
        all.next().is_none().then_some(first)
    };
    let one = of(|address, _| address.is_ipv4())
        .or_else(|| of(|_, length| length == 128))
        .or_else(|| of(|_, length| length < 128))?;
    match one.address {
        IpAddr::V4(address) => (one.length == 32).then_some(Internal::Address(address)),
        IpAddr::V6(address) => {
            let prefix = Ipv6Prefix::new(address, one.length);
            prefix.ok().map(Internal::Prefix)
        }
    }
}

fn set<T: PartialEq>(place: &mut Option<T>, told: T) -> Option<()> {
    if place.as_ref().is_some_and(|known| *known != told) {
        return None;
    }
    *place = Some(told);
    Some(())
}

fn ipv4(value: &[u8]) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from_octets(value.try_into().ok()?))
}

impl fmt::Debug for IpPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IpPorts")
            .field("kind", &self.kind)
            .field("allocation", &self.allocation)
            .finish_non_exhaustive()
    }
}
