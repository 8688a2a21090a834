//! What an operator chooses of an AFTR.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use ipnet::{Ipv4Net, Ipv6Net};
use portledger_ports::{RealmIndex, SubscriberKind};
use thiserror::Error;

use super::paths::LEAST;
use crate::{Config, ConfigError};

/// What an operator chooses of an AFTR. [`AftrConfig::new`] has the defaults;
/// [`Aftr::new`](crate::Aftr::new) checks the whole.
#[derive(Debug, Clone)]
pub struct AftrConfig {
    /// The translation. Its `inside` are the addresses behind the softwires, by default those of
    /// RFC 1918, of RFC 6598 and 192.0.0.0/29 (RFC 6333 §5.7); its `mtu.inside` is not used; its
    /// `own_address` is by default 192.0.0.1 (RFC 6333 §6.5).
    pub nat: Config,
    /// Where the softwires end on this side.
    pub address: Ipv6Addr,
    /// Where they end on the other: no packet from elsewhere is taken.
    pub softwires: Vec<(RealmIndex, Ipv6Net)>,
    /// The largest packet that goes into the IPv6 network; a larger one is cut there. At least
    /// 1,280, default 1,500.
    pub mtu: u16,
    /// Whether a Packet Too Big lowers that for one softwire (RFC 8201). Default: yes.
    pub learn_mtu: bool,
    /// Softwires of which such a size is remembered. Default 4,096.
    pub paths: usize,
    /// The largest segment size that a TCP connection may begin with. Default: as it likes.
    pub mss: Option<u16>,
    /// The hop limit of packets to the B4s (RFC 2473 §6.3). Default 64.
    pub hop_limit: u8,
    /// What may wait to be put together.
    pub reassembly: ReassemblyLimits,
}

/// How much of packets that were cut on their way may wait for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReassemblyLimits {
    /// Packets at once. Default 4,096.
    pub datagrams: usize,
    /// Of these, from one softwire. Default 16.
    pub of_softwire: usize,
    /// Bytes of all of them; at least 65,535, default 4 MiB.
    pub bytes: usize,
    /// For how long; default 2 s, at most 60 s (RFC 8200 §4.5).
    pub time: Duration,
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        Self {
            datagrams: 4_096,
            of_softwire: 16,
            bytes: 4 << 20,
            time: Duration::from_secs(2),
        }
    }
}

/// A configuration of an AFTR that cannot work, with what to change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AftrConfigError {
    /// The translation.
    #[error(transparent)]
    Nat(#[from] ConfigError),
    /// Nobody to translate for.
    #[error("softwires: no prefix; name the prefixes in which the B4s are")]
    NoSoftwires,
    /// A prefix of a realm that does not exist.
    #[error("softwires: {prefix} belongs to realm number {realm}, which is not configured")]
    UnknownRealm {
        /// The prefix.
        prefix: Ipv6Net,
        /// The realm's number.
        realm: u16,
    },
    /// Subscribers that are no softwires.
    #[error("subscribers: those of an AFTR are softwires, known by a prefix of IPv6")]
    NotSoftwires,
    /// What is exempt would not find its way back.
    #[error("exempt: what leaves a softwire untranslated has no way back into it")]
    Exempt,
    /// Smaller than any link of IPv6 is.
    #[error("mtu: {0}; IPv6 has links of at least 1280 bytes (RFC 8200 section 5)")]
    Mtu(u16),
    /// A hop limit that leads nowhere.
    #[error("hop_limit: 0 leads nowhere; use 64")]
    HopLimit,
    /// A segment size with hardly a byte in it.
    #[error("mss: {0}; a TCP connection needs at least 64")]
    Mss(u16),
    /// Less than one packet.
    #[error("reassembly.{0}: too little for a single packet; use the default")]
    Reassembly(&'static str),
    /// Longer than any fragment may wait.
    #[error("reassembly.time: {} s; RFC 8200 section 4.5 allows at most 60 s", .0.as_secs_f64())]
    ReassemblyTime(Duration),
}

/// What a subscriber is by default (RFC 7785 §3).
const SUBSCRIBER_MASK: u8 = 56;

/// The addresses of hosts behind B4s: RFC 1918, RFC 6598, RFC 6333 §5.7.
const BEHIND: [(Ipv4Addr, u8); 5] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(192, 0, 0, 0), 29),
];

impl AftrConfig {
    /// The defaults, for these ports, an AFTR at `address` and B4s in these prefixes of the first
    /// realm.
    pub fn new(ports: portledger_ports::Config, address: Ipv6Addr, softwires: &[Ipv6Net]) -> Self {
        let behind = BEHIND.map(|(address, length)| Ipv4Net::new_assert(address, length));
        let mut nat = Config::new(ports, &behind);
        nat.own_address = Ipv4Addr::new(192, 0, 0, 1);
        nat.ports.subscribers = SubscriberKind::Softwire(SUBSCRIBER_MASK);
        Self {
            nat,
            address,
            softwires: softwires
                .iter()
                .map(|&prefix| (RealmIndex(0), prefix))
                .collect(),
            mtu: 1_500,
            learn_mtu: true,
            paths: 4_096,
            mss: None,
            hop_limit: 64,
            reassembly: ReassemblyLimits::default(),
        }
    }

    /// Serves one realm more, with the same addresses behind its softwires.
    pub fn add_realm(&mut self, realm: RealmIndex, softwires: &[Ipv6Net]) {
        let behind: Vec<Ipv4Net> = BEHIND
            .map(|(address, length)| Ipv4Net::new_assert(address, length))
            .to_vec();
        self.nat
            .inside
            .extend(behind.into_iter().map(|prefix| (realm, prefix)));
        self.softwires
            .extend(softwires.iter().map(|&prefix| (realm, prefix)));
    }

    pub(super) fn check(&self) -> Result<(), AftrConfigError> {
        if self.softwires.is_empty() {
            return Err(AftrConfigError::NoSoftwires);
        }
        let realms = self.nat.ports.realms.len();
        for &(realm, prefix) in &self.softwires {
            if usize::from(realm.0) >= realms {
                return Err(AftrConfigError::UnknownRealm {
                    prefix,
                    realm: realm.0,
                });
            }
        }
        if !matches!(self.nat.ports.subscribers, SubscriberKind::Softwire(_)) {
            return Err(AftrConfigError::NotSoftwires);
        }
        if !self.nat.exempt.is_empty() {
            return Err(AftrConfigError::Exempt);
        }
        if self.mtu < LEAST {
            return Err(AftrConfigError::Mtu(self.mtu));
        }
        if self.hop_limit == 0 {
            return Err(AftrConfigError::HopLimit);
        }
        if let Some(mss @ 0..64) = self.mss {
            return Err(AftrConfigError::Mss(mss));
        }
        let ReassemblyLimits {
            datagrams,
            of_softwire,
            bytes,
            time,
        } = self.reassembly;
        for (name, given, least) in [
            ("datagrams", datagrams, 1),
            ("of_softwire", of_softwire, 1),
            ("bytes", bytes, 65_535),
        ] {
            if given < least {
                return Err(AftrConfigError::Reassembly(name));
            }
        }
        if time > Duration::from_secs(60) {
            return Err(AftrConfigError::ReassemblyTime(time));
        }
        Ok(())
    }
}
