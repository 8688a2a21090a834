//! The AFTR of DS-Lite (RFC 6333): IPv4 comes and goes in IPv6, and is translated by the engine.

mod config;
mod errors;
mod established;
mod paths;

pub use config::{AftrConfig, AftrConfigError, ReassemblyLimits};

use std::net::Ipv6Addr;

use portledger_model::Timestamp;
use portledger_ports::RealmIndex;

use crate::{
    DropReason, HEADROOM, Nat, Offload, Output, Slot, Stateful,
    header::{Ends, Header, long, word},
    hosts::{Host, Numbers},
    inner, mss,
    prefixes::Prefixes,
    reassembly::{Bounds, Key, Piece, Reassembly},
    rewrite::{self, End},
    stateful::{Entered, Left, Sender, StagedSender, sealed},
    tunnel::{self as outer, HEADER, Outer},
};
use paths::Paths;

/// An AFTR: one shard.
///
/// A subscriber is whoever's softwires end in one IPv6 prefix
/// ([`SubscriberKind::Softwire`](portledger_ports::SubscriberKind)); two hosts behind two
/// softwires may have one IPv4 address (RFC 6333 §6.6).
pub type Aftr = Stateful<Softwires>;

/// IPv4 in IPv6, between the B4s and an AFTR.
#[derive(Debug)]
pub struct Softwires {
    config: AftrConfig,
    ends: Prefixes,
    reassembly: Reassembly,
    paths: Paths,
    identification: outer::Identifications,
}

impl Aftr {
    /// An empty shard under `config`. `seed` keys every draw and hash: keep it secret, and new at
    /// each start.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(config: AftrConfig, seed: [u8; 32]) -> Result<Self, AftrConfigError> {
        config.check()?;
        let mut nat = config.nat.clone();
        // RFC 6333 §6.3: whatever comes is put into IPv6, and cut outside.
        nat.mtu.inside = u16::MAX;
        let nat = Nat::with_hosts(nat, seed)?;
        let bounds = Bounds {
            datagrams: config.reassembly.datagrams,
            of_source: config.reassembly.of_softwire,
            bytes: config.reassembly.bytes,
        };
        let form = Softwires {
            ends: Prefixes::new(&config.softwires),
            reassembly: Reassembly::new(bounds),
            paths: Paths::new(config.paths),
            identification: outer::Identifications::new(seed),
            config,
        };
        Ok(Self::around(nat, form))
    }
}

impl sealed::Form for Softwires {
    #[inline]
    fn peek(&self, slot: &Slot<'_>) -> Option<Sender> {
        let (address, behind) = outer::plain(slot.bytes(), self.config.address)?;
        let ends = slot.bytes().get(HEADER..).and_then(Ends::peek);
        Some(Sender {
            host: Host {
                realm: slot.realm,
                address,
                behind,
            },
            endpoint: ends.map(|ends| (ends.transport, ends.source_port)),
        })
    }

    fn realm_of(&self, source: Ipv6Addr) -> Option<RealmIndex> {
        self.ends.realm_of(source)
    }

    #[inline]
    fn enter(
        &mut self,
        nat: &mut Nat,
        slot: &mut Slot<'_>,
        staged: Option<&StagedSender>,
        _output: &mut Output,
    ) -> Result<Entered, DropReason> {
        if let Some(&StagedSender { host, hash, .. }) = staged {
            let packet = slot.packet.clone();
            let class = outer::class(slot.bytes());
            slot.packet = outer::inner(slot);
            return self
                .admit(nat, slot, class, host, hash)
                .inspect_err(|_| slot.packet = packet)
                .map(Entered::Packet);
        }
        self.enter_unusual(nat, slot)
    }

    fn leave(
        &mut self,
        numbers: &Numbers,
        now: Timestamp,
        slot: &mut Slot<'_>,
    ) -> Result<Left, DropReason> {
        let packet = slot.packet.clone();
        let Some(data) = slot.buffer.get_mut(packet.clone()) else {
            return Err(DropReason::NoRoom);
        };
        let number = long(data, 16);
        let host = numbers.get(number).ok_or(DropReason::NoMapping)?;
        let total = usize::from(word(data, 2));
        complete(data, &mut slot.offload)?;
        inner::set_end(data, End::Destination, host.behind);
        if inner::is_error(data) {
            inner::set_quoted_end(data, End::Source, host.behind);
        }
        if let Some(most) = self.config.mss {
            mss::clamp(data, most, slot.offload);
        }
        let class = data[1];
        // A narrower path is looked for only where it matters.
        let known = if HEADER + total > usize::from(paths::LEAST) {
            self.paths.mtu(&host, now)
        } else {
            None
        };
        let mtu = known.map_or(self.config.mtu, |known| known.min(self.config.mtu));
        if HEADER + total > usize::from(mtu) {
            return Ok(Left::Instead(outer::cut(
                &data[..total],
                self.header(host.address, class),
                mtu,
                self.identification.next(),
            )));
        }
        let start = packet.start.checked_sub(HEADER).ok_or(DropReason::NoRoom)?;
        let header = self.header(host.address, class);
        let Some(place) = slot.buffer.get_mut(start..packet.start) else {
            return Err(DropReason::NoRoom);
        };
        place.copy_from_slice(&header.with_payload(total));
        slot.packet = start..packet.start + total;
        Ok(Left::InPlace)
    }

    fn expire(&mut self, now: Timestamp) -> u64 {
        self.reassembly.expire(now.as_micros())
    }

    fn is_waiting(&self) -> bool {
        !self.reassembly.is_empty()
    }

    fn bytes(&self) -> usize {
        self.reassembly.bytes()
    }
}

impl Softwires {
    /// Takes an IPv4 packet that came out of a softwire: its host's number is in the place of its
    /// source when this is done.
    fn admit(
        &mut self,
        nat: &mut Nat,
        slot: &mut Slot<'_>,
        class: u8,
        host: Host,
        hash: u32,
    ) -> Result<u32, DropReason> {
        let offload = slot.offload;
        let Some(data) = slot.buffer.get_mut(slot.packet.clone()) else {
            return Err(DropReason::Truncated);
        };
        self.admit_bytes(nat, data, offload, class, host, hash)
    }

    fn admit_bytes(
        &mut self,
        nat: &mut Nat,
        data: &mut [u8],
        offload: Offload,
        class: u8,
        host: Host,
        hash: u32,
    ) -> Result<u32, DropReason> {
        let known = nat.known(hash, &host);
        // Who has a number has been looked at.
        if known.is_none()
            && (!self.ends.contains(host.realm, host.address)
                || !nat.is_subscriber(host.realm, host.behind))
        {
            return Err(DropReason::NotASubscriber);
        }
        // IPv4 or IPv6 in IPv4 in IPv6.
        if matches!(data.get(9), Some(4 | 41)) {
            return Err(DropReason::NestedTunnel);
        }
        outer::carry_class(data, class)?;
        if inner::is_error(data) {
            return errors::admit(nat, data, host);
        }
        if let Some(most) = self.config.mss {
            mss::clamp(data, most, offload);
        }
        let number = known
            .or_else(|| nat.number(hash, host))
            .ok_or(DropReason::MappingLimit)?;
        inner::set_end_offloaded(data, End::Source, number, offload);
        Ok(number)
    }

    /// A packet with extension headers, a fragment, or one for the AFTR itself.
    #[cold]
    fn enter_unusual(&mut self, nat: &mut Nat, slot: &mut Slot<'_>) -> Result<Entered, DropReason> {
        let outer = Outer::parse(slot.bytes(), self.config.address)?;
        let Outer {
            source,
            class,
            content,
        } = outer;
        let realm = slot.realm;
        if !self.ends.contains(realm, source) && !matches!(content, outer::Content::Error(_)) {
            return Err(DropReason::NotASubscriber);
        }
        match content {
            outer::Content::Inner(range) => {
                let packet = slot.packet.clone();
                slot.packet = packet.start + range.start..packet.start + range.end;
                let behind = long(slot.bytes(), 12);
                let host = Host {
                    realm,
                    address: source,
                    behind,
                };
                let hash = nat.hash_host(&host);
                self.admit(nat, slot, class, host, hash)
                    .inspect_err(|_| slot.packet = packet)
                    .map(Entered::Packet)
            }
            outer::Content::Fragment {
                offset,
                more,
                identification,
                payload,
            } => {
                if slot.offload != Offload::None {
                    return Err(DropReason::Malformed);
                }
                let payload = slot.bytes().get(payload).unwrap_or_default();
                let piece = Piece {
                    offset,
                    more,
                    payload,
                };
                self.fragment(nat, realm, source, class, identification, piece)
            }
            outer::Content::Error(range) => {
                let message = slot.bytes().get(range).unwrap_or_default();
                self.about_softwire(nat, realm, source, message)
            }
        }
    }

    /// RFC 6333 §6.3: what a B4 has cut outside is put together here.
    fn fragment(
        &mut self,
        nat: &mut Nat,
        realm: RealmIndex,
        source: Ipv6Addr,
        class: u8,
        identification: u32,
        piece: Piece<'_>,
    ) -> Result<Entered, DropReason> {
        let key = Key {
            realm: realm.0,
            source: source.to_bits(),
            destination: 0,
            identification,
        };
        let expires = nat.now().after(self.config.reassembly.time).as_micros();
        let Some(mut whole) = self.reassembly.add(expires, key, piece)? else {
            nat.count_fragment_kept();
            return Ok(Entered::Taken);
        };
        let data = &mut whole[HEADROOM..];
        if data.len() < 20 || data[0] >> 4 != 4 {
            return Err(DropReason::Malformed);
        }
        let host = Host {
            realm,
            address: source,
            behind: long(data, 12),
        };
        let hash = nat.hash_host(&host);
        let number = self.admit_bytes(nat, data, Offload::None, class, host, hash)?;
        Ok(Entered::Whole(whole, number))
    }

    const fn header(&self, destination: Ipv6Addr, class: u8) -> outer::Template {
        outer::Template {
            source: self.config.address,
            destination,
            class,
            hop_limit: self.config.hop_limit,
        }
    }
}

/// Does what a device has left undone: behind an IPv6 header it would not find it.
fn complete(data: &mut [u8], offload: &mut Offload) -> Result<(), DropReason> {
    match offload {
        Offload::None => Ok(()),
        Offload::Segments(_) => Err(DropReason::TooBig),
        Offload::Checksum => {
            let header = Header::parse(data)?;
            rewrite::complete_checksum(data, &header);
            *offload = Offload::None;
            Ok(())
        }
    }
}
