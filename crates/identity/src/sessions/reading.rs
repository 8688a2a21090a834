//! What accounting and leases tell, as facts.

use std::{fmt, str::FromStr, time::Duration};

use portledger_model::{Realm, Timestamp};
use portledger_wire::{
    leases::{self, Client},
    radius::{Accounting, Framed, Nas, Status, Who},
};
use thiserror::Error;

use super::fact::{Fact, Lease, Packet, Phase, SessionId, Told};
use crate::{Customer, CustomerError, Prefix};

/// How far in the future a NAS's clock may be.
const AHEAD: Duration = Duration::from_secs(300);

/// How accounting and leases are read: in which realm, and what of them is the customer's id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The realm of the addresses.
    pub realm: Realm,
    /// What is the customer's id; without it, the User-Name of accounting, the hardware address of
    /// a DHCPv4 lease and the DUID of a DHCPv6 lease.
    pub customer: Option<Field>,
}

/// What may be a customer's id. All the others that are told become fields of the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// RADIUS User-Name.
    UserName,
    /// RADIUS Calling-Station-Id.
    CallingStationId,
    /// RADIUS Class.
    Class,
    /// RADIUS NAS-Port-Id.
    NasPortId,
    /// The access node's or relay's circuit id.
    CircuitId,
    /// The access node's or relay's remote id.
    RemoteId,
    /// The relay's subscriber id.
    SubscriberId,
    /// A DHCP client's hardware address.
    HardwareAddress,
    /// A DHCPv4 client's identifier.
    ClientId,
    /// A DHCPv6 client's identifier.
    Duid,
    /// A DHCP client's name.
    Hostname,
}

/// A text that names no [`Field`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "write user-name, calling-station-id, class, nas-port-id, circuit-id, remote-id, subscriber-id, hardware-address, client-id, duid or hostname"
)]
pub struct FieldError;

/// Why accounting or a lease is no fact. It does not repeat what was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// There is no Acct-Session-Id.
    #[error("there is no Acct-Session-Id: which session it is of is not told")]
    NoSession,
    /// Neither NAS-Identifier nor an address of it.
    #[error("no NAS is named: there is neither NAS-Identifier nor NAS-IP-Address")]
    NoNas,
    /// The time is later than when it was received.
    #[error(
        "the Event-Timestamp is more than 5 minutes later than the receipt: the NAS's clock is wrong"
    )]
    Ahead,
    /// What is to be the customer's id is not there.
    #[error("there is no {0}, which is to be the customer's id; choose another with --customer")]
    NoCustomer(Field),
    /// It is no id.
    #[error("the {0} cannot be a customer's id: {1}")]
    Customer(Field, CustomerError),
    /// Bits behind a prefix's length.
    #[error("a prefix has bits set behind its length")]
    Prefix,
    /// A status that tells of no session.
    #[error("a status of tunnels or failures tells of no address")]
    Status,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::UserName,
        Self::CallingStationId,
        Self::Class,
        Self::NasPortId,
        Self::CircuitId,
        Self::RemoteId,
        Self::SubscriberId,
        Self::HardwareAddress,
        Self::ClientId,
        Self::Duid,
        Self::Hostname,
    ];

    /// What it is called, here and as a field of a customer.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserName => "user-name",
            Self::CallingStationId => "calling-station-id",
            Self::Class => "class",
            Self::NasPortId => "nas-port-id",
            Self::CircuitId => "circuit-id",
            Self::RemoteId => "remote-id",
            Self::SubscriberId => "subscriber-id",
            Self::HardwareAddress => "hardware-address",
            Self::ClientId => "client-id",
            Self::Duid => "duid",
            Self::Hostname => "hostname",
        }
    }

    fn of_who(self, who: &Who) -> Option<&str> {
        match self {
            Self::UserName => who.user_name.as_deref(),
            Self::CallingStationId => who.calling_station_id.as_deref(),
            Self::Class => who.class.as_deref(),
            Self::NasPortId => who.nas_port_id.as_deref(),
            Self::CircuitId => who.circuit_id.as_deref(),
            Self::RemoteId => who.remote_id.as_deref(),
            Self::SubscriberId
            | Self::HardwareAddress
            | Self::ClientId
            | Self::Duid
            | Self::Hostname => None,
        }
    }

    fn of_client(self, client: &Client) -> Option<&str> {
        match self {
            Self::CircuitId => client.circuit_id.as_deref(),
            Self::RemoteId => client.remote_id.as_deref(),
            Self::SubscriberId => client.subscriber_id.as_deref(),
            Self::HardwareAddress => client.hardware_address.as_deref(),
            Self::ClientId => client.client_id.as_deref(),
            Self::Duid => client.duid.as_deref(),
            Self::Hostname => client.hostname.as_deref(),
            Self::UserName | Self::CallingStationId | Self::Class | Self::NasPortId => None,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Field {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let named = Self::ALL.into_iter().find(|field| field.name() == text);
        named.ok_or(FieldError)
    }
}

impl Reading {
    /// What an Accounting-Request tells that was received then; `None` where it tells of no
    /// address: its answer is the same.
    ///
    /// # Errors
    /// [`Refusal`] where it should tell of one, and cannot be relied on.
    pub fn accounting(
        &self,
        accounting: &Accounting,
        received: Timestamp,
    ) -> Result<Option<Fact>, Refusal> {
        let at = accounting.at(received);
        if at > received.after(AHEAD) {
            return Err(Refusal::Ahead);
        }
        if accounting.nas == Nas::default() {
            return Err(Refusal::NoNas);
        }
        let nas = accounting.nas.clone();
        let phase = match accounting.status {
            Status::Start => Phase::Start,
            Status::InterimUpdate => Phase::Interim,
            Status::Stop => Phase::Stop,
            Status::AccountingOn | Status::AccountingOff => {
                return Ok(Some(self.fact(Told::Reset { nas, at })));
            }
            Status::Other(_) => return Err(Refusal::Status),
        };
        let id = accounting.session_id.clone().ok_or(Refusal::NoSession)?;
        let prefixes = accounting.framed.iter().map(prefix);
        let prefixes: Vec<Prefix> = prefixes.collect::<Result<_, _>>()?;
        let wanted = self.customer.unwrap_or(Field::UserName);
        let customer = customer(wanted, |field| field.of_who(&accounting.who));
        let customer = match customer {
            // RFC 2866 §5.13: what follows a start need not name its user again.
            Err(Refusal::NoCustomer(_)) if phase != Phase::Start || prefixes.is_empty() => None,
            customer => Some(customer?),
        };
        Ok(Some(
            self.fact(Told::Packet(Packet {
                session: SessionId { nas, id },
                phase,
                at,
                begun: accounting
                    .session_time
                    .filter(|_| phase != Phase::Start)
                    .map(|lasted| at.before(lasted)),
                prefixes,
                customer,
            })),
        ))
    }

    /// What a DHCP server tells of a lease.
    ///
    /// # Errors
    /// [`Refusal`] where it does not say who the customer is, or of which address.
    pub fn lease(&self, lease: &leases::Lease) -> Result<Fact, Refusal> {
        let framed = Framed {
            address: lease.address,
            length: lease.length,
        };
        let prefix = prefix(&framed)?;
        let customer = || {
            let wanted = self.customer.unwrap_or(if lease.address.is_ipv6() {
                Field::Duid
            } else {
                Field::HardwareAddress
            });
            customer(wanted, |field| field.of_client(&lease.client))
        };
        Ok(self.fact(match lease.told {
            leases::Told::Held { from, heard, until } => Told::Lease(Lease {
                prefix,
                customer: customer()?,
                from,
                heard,
                until: until.unwrap_or(Timestamp::MAX),
                ended: None,
            }),
            leases::Told::Ended { from, to } => Told::Lease(Lease {
                prefix,
                customer: customer()?,
                from,
                heard: from,
                until: to,
                ended: Some(to),
            }),
            leases::Told::Free { at } => Told::Free { prefix, at },
        }))
    }

    fn fact(&self, told: Told) -> Fact {
        Fact {
            realm: self.realm.clone(),
            told,
        }
    }
}

fn prefix(framed: &Framed) -> Result<Prefix, Refusal> {
    let prefix = Prefix::around(framed.address, framed.length);
    prefix
        .filter(|prefix| prefix.address() == framed.address)
        .ok_or(Refusal::Prefix)
}

/// The customer whose id is in that field; the others are what else is known of them.
fn customer<'a>(
    wanted: Field,
    told: impl Fn(Field) -> Option<&'a str>,
) -> Result<Customer, Refusal> {
    let id = told(wanted).ok_or(Refusal::NoCustomer(wanted))?;
    let mut customer = Customer::new(id).map_err(|why| Refusal::Customer(wanted, why))?;
    for field in Field::ALL {
        if field != wanted
            && let Some(value) = told(field)
        {
            // What is too long to keep is left out: it is not who the customer is.
            let _ = customer.insert(field.name(), value);
        }
    }
    Ok(customer)
}
