//! What an operator chooses of a NAT64.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use portledger_ports::{RealmIndex, SubscriberKind};
use thiserror::Error;

use crate::{
    Config, ConfigError,
    translate::{self, Prefix},
};

/// What an operator chooses of a NAT64. [`Nat64Config::new`] has the defaults;
/// [`Nat64::new`](crate::Nat64::new) checks the whole.
#[derive(Debug, Clone)]
pub struct Nat64Config {
    /// The translation of addresses and ports. Its `inside` is empty and its `mtu.inside` is not
    /// used: those of the inside are here.
    pub nat: Config,
    /// Behind which the inside sees the IPv4 Internet (RFC 6052).
    pub prefix: Prefix,
    /// Where subscribers are: no packet from elsewhere is translated.
    pub inside: Vec<(RealmIndex, Ipv6Net)>,
    /// The source of ICMPv6 errors of the NAT64's own.
    pub own_address: Ipv6Addr,
    /// The translation of packets (RFC 7915). Its `ipv6_mtu` is by default 1,500; its `ipv4_mtu`
    /// is not used: that is `nat.mtu.outside`.
    pub translation: translate::Config,
    /// Fragmented UDP datagrams without a checksum that are put together at once, to compute one
    /// (RFC 6146 §3.4). Default 256.
    pub unsummed: usize,
    /// Bytes of all of them; at least 65,535, default 1 MiB.
    pub unsummed_bytes: usize,
}

/// A configuration of a NAT64 that cannot work, with what to change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Nat64ConfigError {
    /// The translation of addresses and ports.
    #[error(transparent)]
    Nat(#[from] ConfigError),
    /// The translation of packets.
    #[error(transparent)]
    Translation(#[from] translate::ConfigError),
    /// Nobody to translate for.
    #[error("inside: no prefix; name the IPv6 prefixes in which subscribers are")]
    NoInside,
    /// A prefix of a realm that does not exist.
    #[error("inside: {prefix} belongs to realm number {realm}, which is not configured")]
    UnknownRealm {
        /// The prefix.
        prefix: Ipv6Net,
        /// The realm's number.
        realm: u16,
    },
    /// A packet could not be told inside from outside.
    #[error(
        "inside: {0} meets the prefix behind which the IPv4 Internet is (RFC 6146 section 5.4)"
    )]
    InsidePrefix(Ipv6Net),
    /// Subscribers that are no prefixes.
    #[error("subscribers: those of a NAT64 are IPv6 prefixes")]
    NotPrefixes,
    /// IPv4 addresses of the inside.
    #[error("nat.inside, nat.exempt: the inside of a NAT64 has no IPv4 addresses")]
    Ipv4Inside,
    /// Less than one packet.
    #[error("unsummed_bytes: {0}; a single datagram may have 65,535")]
    Unsummed(usize),
}

/// What a subscriber is by default: what one link has (RFC 7934 §6, RFC 8981).
const SUBSCRIBER: u8 = 64;

impl Nat64Config {
    /// The defaults, for these ports, subscribers in these prefixes of the first realm, and an
    /// address for ICMPv6 errors.
    pub fn new(
        ports: portledger_ports::Config,
        prefix: Prefix,
        inside: &[Ipv6Net],
        own_address: Ipv6Addr,
    ) -> Self {
        let mut nat = Config::new(ports, &[]);
        nat.ports.subscribers = SubscriberKind::Prefix(SUBSCRIBER);
        Self {
            nat,
            prefix,
            inside: inside
                .iter()
                .map(|&prefix| (RealmIndex(0), prefix))
                .collect(),
            own_address,
            translation: translate::Config {
                ipv6_mtu: 1_500,
                ..translate::Config::default()
            },
            unsummed: 256,
            unsummed_bytes: 1 << 20,
        }
    }

    pub(super) fn check(&self) -> Result<(), Nat64ConfigError> {
        if self.inside.is_empty() {
            return Err(Nat64ConfigError::NoInside);
        }
        let realms = self.nat.ports.realms.len();
        for &(realm, prefix) in &self.inside {
            if usize::from(realm.0) >= realms {
                return Err(Nat64ConfigError::UnknownRealm {
                    prefix,
                    realm: realm.0,
                });
            }
            let within = self.prefix.contains(prefix.network());
            let around = prefix.contains(&self.prefix.embed([0; 4].into()));
            // A prefix inside the operator's own is usual: then no host may have an address of it.
            if within || (around && prefix.prefix_len() >= self.prefix.length()) {
                return Err(Nat64ConfigError::InsidePrefix(prefix));
            }
        }
        if !matches!(self.nat.ports.subscribers, SubscriberKind::Prefix(_)) {
            return Err(Nat64ConfigError::NotPrefixes);
        }
        if !self.nat.inside.is_empty() || !self.nat.exempt.is_empty() {
            return Err(Nat64ConfigError::Ipv4Inside);
        }
        if self.unsummed_bytes < 65_535 {
            return Err(Nat64ConfigError::Unsummed(self.unsummed_bytes));
        }
        Ok(())
    }
}
