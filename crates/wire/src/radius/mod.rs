//! RADIUS accounting: who came and went, and which ports they were given.
//!
//! A codec without I/O for Accounting-Request and Accounting-Response (RFC 2866, in the format of
//! RFC 2865), and a reader of what FreeRADIUS writes of them.
//!
//! ```text
//! datagram ─▶ Packet::parse ─▶ verify(secret) ─▶ Request ─┬▶ accounting()  Accounting: who, when
//!                 lengths       authenticators            ├▶ ports()       IpPorts: RFC 8045
//! detail file ─▶ DetailReader ─▶ Accounting               └▶ response()    what to send back
//! ```
//!
//! - Nothing is read from a request before both authenticators fit: RADIUS has no other way to know
//!   that it came from a network access server (NAS) that is one of ours.
//! - A request that was taken is answered again, and not taken twice: [`Duplicates`].
//! - What it says of a port range becomes a [`NatEvent`](crate::NatEvent): [`IpPorts::event`].
//!
//! ```
//! use portledger_model::Timestamp;
//! use portledger_wire::radius::{Packet, Secret, Status};
//!
//! // An Accounting-Request of 38 bytes: user "nemo" comes (Start).
//! let datagram = [
//!     4, 7, 0, 38, // code, identifier, length
//!     0x9e, 0x0c, 0x2e, 0xe2, 0xca, 0x98, 0xf9, 0x0c, // Request Authenticator
//!     0x27, 0xef, 0x7c, 0x94, 0x6c, 0xf9, 0xa0, 0x20, //
//!     1, 6, b'n', b'e', b'm', b'o', // User-Name
//!     40, 6, 0, 0, 0, 1, // Acct-Status-Type
//!     44, 6, b'0', b'0', b'1', b'7', // Acct-Session-Id
//! ];
//! let secret = Secret::new(b"xyzzy5461")?;
//! let request = Packet::parse(&datagram)?.verify(&secret)?;
//! let told = request.accounting()?;
//! assert_eq!(told.status, Status::Start);
//! let received = Timestamp::from_secs(1_795_262_400);
//! assert_eq!(told.at(received), received);
//! // 5 is Accounting-Response, 7 the request's identifier.
//! assert_eq!(request.response(&secret)[..4], [5, 7, 0, 20]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accounting;
mod detail;
mod duplicates;
mod extended;
mod packet;
mod ports;
mod secret;
mod text;

pub use accounting::{Accounting, AttributeError, Framed, Nas, Status, Who};
pub use detail::{DetailError, DetailReader, Detailed};
pub use duplicates::Duplicates;
pub use extended::{Extended, ExtendedError};
pub use packet::{Attribute, Code, Packet, PacketError};
pub use ports::{Allocation, IpPortKind, IpPorts, IpPortsError};
pub use secret::{EmptySecret, Request, Secret, Unverified};

pub(crate) use text::readable;

#[cfg(test)]
mod tests;
