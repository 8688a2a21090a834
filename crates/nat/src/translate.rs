//! Between IPv4 and IPv6: addresses (RFC 6052) and packets (RFC 7915).
//!
//! A packet is translated in three steps, so that whoever maps addresses, by arithmetic or by a
//! table, sees what he maps and decides before a byte is changed:
//!
//! ```text
//!   read_v4 / read_v6    what the packet is, its ends, and those of a packet that it quotes
//!   the caller           maps the ends: Pair for the packet, Pair for the quoted one
//!   Translator::to_v6 / to_v4
//!                        the headers, the checksums by difference, ICMP, fragments: in the slot
//! ```
//!
//! A packet that an ICMP error quotes went the other way: its source is mapped by the rule for
//! destinations, and its destination by the rule for sources.
//!
//! A packet that is refused says in [`Refused`] what its sender may be told; [`answer_v4`] and
//! [`answer_v6`] make the message. Whether it is sent, and how often, is the caller's (RFC 7915
//! §4.4, §5.4).
//!
//! ```
//! use portledger_nat::{HEADROOM, Slot};
//! use portledger_nat::translate::{Mapped, Pair, Prefix, Translator, read_v4};
//!
//! // A UDP datagram from 198.51.100.1:53 to 192.0.2.33:40000.
//! let mut buffer = [0; HEADROOM + 28];
//! buffer[HEADROOM..].copy_from_slice(&[
//!     0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0x4e, 0x7b, 198, 51, 100, 1, 192, 0, 2, 33,
//!     0, 53, 0x9c, 0x40, 0, 8, 0x77, 0x12,
//! ]);
//! let mut slot = Slot::new(&mut buffer, HEADROOM..HEADROOM + 28);
//! let incoming = read_v4(slot.bytes()).unwrap();
//! let outer = Pair {
//!     source: Prefix::WELL_KNOWN.embed(incoming.outer.source),
//!     destination: "2001:db8::1".parse().unwrap(),
//! };
//! let mapped = Mapped { outer, quoted: None };
//! Translator::default().to_v6(&mut slot, &incoming, &mapped).unwrap();
//! assert_eq!(slot.bytes().len(), 48);
//! assert_eq!(slot.bytes()[..8], [0x60, 0, 0, 0, 0, 8, 17, 64]);
//! ```

mod answer;
mod error;
mod headers;
mod kinds;
mod plain;
mod prefix;
mod read_v4;
mod read_v6;
mod to_v4;
mod to_v6;
mod transport;

use thiserror::Error;

pub use crate::header::Fragment;
use crate::{DropReason, packet::Offload};
pub use answer::{Answer, answer_v4, answer_v6};
pub(crate) use headers::{IPV4_HEADER, may_be_cut};
pub(crate) use plain::{Plain4, Plain6};
pub use prefix::{Prefix, PrefixError};
pub use read_v4::read_v4;
pub(crate) use read_v4::{
    header as header_v4, is_host as is_host_v4, quoted as quoted_v4, shown_ports,
};
pub use read_v6::read_v6;
pub(crate) use read_v6::{header as header_v6, is_host as is_host_v6};
pub(crate) use transport::{ICMP6, pseudo_header};

/// The least MTU of a link that carries IPv6 (RFC 8200 §5).
pub const LEAST_IPV6_MTU: u16 = 1_280;

/// What an operator chooses of the translation of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// The largest packet that the next link on the IPv6 side takes. Default 65,535: the system
    /// looks after that.
    pub ipv6_mtu: u16,
    /// The largest packet that the next link on the IPv4 side takes. Default 65,535.
    pub ipv4_mtu: u16,
    /// The largest IPv6 packet that is made of an IPv4 packet that may be cut; a larger one is
    /// cut (RFC 7915 §4.1: "lowest-ipv6-mtu"). At least and by default 1,280.
    pub lowest_ipv6_mtu: u16,
    /// What becomes of UDP over IPv4 without a checksum, which IPv6 does not allow (RFC 7915
    /// §4.5).
    pub udp_without_checksum: UdpWithoutChecksum,
    /// The traffic class of all IPv6 packets; `None` copies the type of service (RFC 7915 §4.1).
    pub traffic_class: Option<u8>,
    /// The type of service of all IPv4 packets; `None` copies the traffic class (RFC 7915 §5.1).
    pub type_of_service: Option<u8>,
    /// Whether the translator counts as a hop. Off by default: a system that forwards packets to
    /// the translator's device has taken its one off already.
    pub counts_as_hop: bool,
}

/// What becomes of a whole UDP datagram over IPv4 without a checksum. A fragmented one is dropped
/// in any case: nobody here has all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UdpWithoutChecksum {
    /// Its checksum is computed.
    #[default]
    Compute,
    /// It is dropped.
    Drop,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ipv6_mtu: u16::MAX,
            ipv4_mtu: u16::MAX,
            lowest_ipv6_mtu: LEAST_IPV6_MTU,
            udp_without_checksum: UdpWithoutChecksum::Compute,
            traffic_class: None,
            type_of_service: None,
            counts_as_hop: false,
        }
    }
}

/// A configuration that cannot work, with what to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// IPv6 does without any link that takes less.
    #[error("{name}: {given} bytes; a link that carries IPv6 takes at least 1280 (RFC 8200 §5)")]
    Ipv6MtuTooSmall {
        /// Which key.
        name: &'static str,
        /// What was given.
        given: u16,
    },
    /// IPv4 does without any link that takes less.
    #[error("ipv4_mtu: {given} bytes; a link that carries IPv4 takes at least 68 (RFC 791 §3.2)")]
    Ipv4MtuTooSmall {
        /// What was given.
        given: u16,
    },
}

/// Translates packets in place, under a configuration that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Translator {
    config: Config,
}

impl Translator {
    /// A translator under `config`.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub const fn new(config: Config) -> Result<Self, ConfigError> {
        if config.lowest_ipv6_mtu < LEAST_IPV6_MTU {
            return Err(ConfigError::Ipv6MtuTooSmall {
                name: "lowest_ipv6_mtu",
                given: config.lowest_ipv6_mtu,
            });
        }
        if config.ipv6_mtu < LEAST_IPV6_MTU {
            return Err(ConfigError::Ipv6MtuTooSmall {
                name: "ipv6_mtu",
                given: config.ipv6_mtu,
            });
        }
        if config.ipv4_mtu < 68 {
            return Err(ConfigError::Ipv4MtuTooSmall {
                given: config.ipv4_mtu,
            });
        }
        Ok(Self { config })
    }

    /// What it was made with.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The hops that are left after this one.
    const fn hops(&self, left: u8) -> Option<u8> {
        match (self.config.counts_as_hop, left) {
            (false, left) => Some(left),
            // RFC 7915 §4.1, §5.1: as any router, it checks for zero.
            (true, 0 | 1) => None,
            (true, left) => Some(left - 1),
        }
    }
}

/// What is known of one packet: of one that came, or of one that an ICMP error quotes. Made by
/// [`read_v4`] and [`read_v6`], which check that all they name lies inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<A> {
    /// Where it is from.
    pub source: A,
    /// Where it goes.
    pub destination: A,
    /// The number of its transport, by IPv4: ICMPv6 has ICMP's.
    pub protocol: u8,
    /// Its ports; the identifier of an ICMP echo at both ends. `None` where it has none, or where
    /// a later fragment or a short quotation does not show them.
    pub ports: Option<(u16, u16)>,
    /// Which part of a datagram it is.
    pub fragment: Fragment,
    /// What makes fragments one datagram: 16 bits in IPv4, and in IPv6 the 32 of the Fragment
    /// header, or 0 without one.
    pub identification: u32,
    /// The bytes before its transport: header, options, extension headers.
    pub(crate) header: u16,
    /// The bytes of all of it, by its header.
    pub(crate) total: u32,
    pub(crate) class: u8,
    pub(crate) hops: u8,
    /// The fragment offset, in units of eight bytes.
    pub(crate) offset: u16,
    pub(crate) more_fragments: bool,
    /// The don't fragment bit of IPv4.
    pub(crate) dont_fragment: bool,
    /// Whether there was a Fragment header, or what IPv4 has for one.
    pub(crate) is_fragmented: bool,
}

impl<A> Datagram<A> {
    /// The length of its transport's header and payload.
    pub(crate) const fn payload(&self) -> usize {
        (self.total as usize).saturating_sub(self.header as usize)
    }
}

/// A packet that came, and what it quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incoming<A> {
    /// The packet.
    pub outer: Datagram<A>,
    /// The packet that it quotes, where it is an ICMP error.
    pub quoted: Option<Datagram<A>>,
}

/// The ends of a packet after their mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<A> {
    /// The source.
    pub source: A,
    /// The destination.
    pub destination: A,
}

/// What a caller made of the ends of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapped<A> {
    /// Of the packet.
    pub outer: Pair<A>,
    /// Of the packet that it quotes; one that quotes none needs none.
    pub quoted: Option<Pair<A>>,
}

/// What became of a packet that was translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It is in its slot.
    InPlace,
    /// These stand for it: it was cut, or has no room in its slot.
    Instead(Vec<Vec<u8>>),
}

/// Why a packet is not translated, and what its sender may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{}", .reason.name())]
pub struct Refused {
    /// The reason, to be counted.
    pub reason: DropReason,
    /// What to tell the sender; `None` where nothing may be told.
    pub answer: Option<Answer>,
}

impl Refused {
    /// Without a word.
    pub(crate) const fn silently(reason: DropReason) -> Self {
        Self {
            reason,
            answer: None,
        }
    }

    pub(crate) const fn telling(reason: DropReason, answer: Answer) -> Self {
        Self {
            reason,
            answer: Some(answer),
        }
    }

    /// RFC 7915 §4.4, §5.4: nothing is told of an ICMP error.
    pub(crate) const fn unless(self, is_error: bool) -> Self {
        if is_error {
            Self::silently(self.reason)
        } else {
            self
        }
    }
}

/// The size that a packet has on the next link, where the device may have left it to be cut into
/// segments: `total` less what is not in each of them.
fn size_on_link(total: usize, headers: usize, offload: Offload) -> usize {
    match offload {
        Offload::None | Offload::Checksum => total,
        Offload::Segments(payload) => total.min(headers + usize::from(payload)),
    }
}
