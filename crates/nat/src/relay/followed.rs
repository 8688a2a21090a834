//! Fragments that have no ports: what became of the first of a datagram holds for the others.

use std::{
    collections::{BTreeMap, VecDeque},
    net::Ipv6Addr,
};

use super::FollowedLimits;
use crate::{DropReason, Side};

/// What makes fragments one datagram (RFC 791 §3.2, RFC 8200 §4.5), and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) is_outside: bool,
    /// Of a packet from the inside: the softwire's other end.
    pub(super) softwire: u128,
    /// IPv4 addresses in their low bits, or IPv6 addresses.
    pub(super) source: u128,
    pub(super) destination: u128,
    pub(super) identification: u32,
    pub(super) protocol: u8,
}

/// What became of a first fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It passed: from the outside, to this end of a softwire.
    Passed(Ipv6Addr),
    /// It was dropped, and so are the others.
    Dropped,
}

/// The datagrams of which fragments have been seen, bounded in number, bytes and time (RFC 7597
/// §10: fragments must not become an attack).
#[derive(Debug)]
pub(super) struct Followed {
    datagrams: BTreeMap<Key, Datagram>,
    /// In the order of their beginning, which is the order of their end.
    by_age: VecDeque<(i64, Key)>,
    bytes: usize,
    limits: FollowedLimits,
}

#[derive(Debug)]
enum Datagram {
    /// The first fragment has not come yet: these wait for it.
    Waiting(Vec<Vec<u8>>),
    Known(Fate),
}

/// Fragments of one datagram that may wait: 65,535 bytes in pieces of 1,000 and some to spare.
const MOST_WAITING: usize = 80;

impl Followed {
    pub(super) const fn new(limits: FollowedLimits) -> Self {
        Self {
            datagrams: BTreeMap::new(),
            by_age: VecDeque::new(),
            bytes: 0,
            limits,
        }
    }

    /// When the next one ends.
    pub(super) fn next_end(&self) -> Option<i64> {
        self.by_age.front().map(|&(expires, _)| expires)
    }

    /// Bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What became of the first fragment of this later one's datagram, if it has come.
    pub(super) fn fate(&self, key: &Key) -> Option<Fate> {
        match self.datagrams.get(key)? {
            Datagram::Known(fate) => Some(*fate),
            Datagram::Waiting(_) => None,
        }
    }

    /// Keeps a later fragment until its first comes.
    pub(super) fn keep(
        &mut self,
        expires: i64,
        key: Key,
        packet: Vec<u8>,
    ) -> Result<(), DropReason> {
        let length = packet.len();
        if self.bytes + length > self.limits.bytes {
            return Err(DropReason::FragmentLimit);
        }
        let is_full = !self.datagrams.contains_key(&key) && !self.has_room(&key);
        match self.datagrams.get_mut(&key) {
            Some(Datagram::Waiting(waiting)) if waiting.len() < MOST_WAITING => {
                waiting.push(packet);
            }
            Some(_) => return Err(DropReason::FragmentLimit),
            None if is_full => return Err(DropReason::FragmentLimit),
            None => {
                let waiting = Datagram::Waiting(vec![packet]);
                self.datagrams.insert(key, waiting);
                self.by_age.push_back((expires, key));
            }
        }
        self.bytes += length;
        Ok(())
    }

    /// Notes what became of a first fragment, and gives back those that waited for it.
    pub(super) fn settle(&mut self, expires: i64, key: Key, fate: Fate) -> Vec<Vec<u8>> {
        if !self.datagrams.contains_key(&key) {
            if !self.has_room(&key) {
                return Vec::new();
            }
            self.by_age.push_back((expires, key));
        }
        match self.datagrams.insert(key, Datagram::Known(fate)) {
            Some(Datagram::Waiting(waiting)) => {
                self.bytes -= waiting.iter().map(Vec::len).sum::<usize>();
                waiting
            }
            _ => Vec::new(),
        }
    }

    /// Whether another datagram may be followed: no customer takes all.
    fn has_room(&self, key: &Key) -> bool {
        let from = |end: u128| Key {
            source: end,
            destination: end,
            identification: end as u32,
            protocol: end as u8,
            ..*key
        };
        let of_customer = || self.datagrams.range(from(0)..=from(u128::MAX)).count();
        self.datagrams.len() < self.limits.datagrams
            && (key.is_outside || of_customer() < self.limits.of_customer)
    }

    /// Forgets datagrams whose time is over. How many fragments waited in vain.
    pub(super) fn expire(&mut self, now: i64) -> u64 {
        let mut lost = 0;
        while let Some(&(expires, key)) = self.by_age.front()
            && expires <= now
        {
            self.by_age.pop_front();
            if let Some(Datagram::Waiting(waiting)) = self.datagrams.remove(&key) {
                self.bytes -= waiting.iter().map(Vec::len).sum::<usize>();
                lost += waiting.len() as u64;
            }
        }
        lost
    }
}

impl Key {
    /// Of a fragment that came in IPv4, from the outside or out of the softwire of this end.
    pub(super) fn of_v4(
        from: Side,
        softwire: u128,
        datagram: &crate::translate::Datagram<std::net::Ipv4Addr>,
    ) -> Self {
        Self {
            is_outside: from == Side::Outside,
            softwire,
            source: datagram.source.to_bits().into(),
            destination: datagram.destination.to_bits().into(),
            identification: datagram.identification,
            protocol: datagram.protocol,
        }
    }

    /// Of a fragment that came in IPv6.
    pub(super) fn of_v6(datagram: &crate::translate::Datagram<Ipv6Addr>) -> Self {
        Self {
            is_outside: false,
            softwire: datagram.source.to_bits(),
            source: datagram.source.to_bits(),
            destination: datagram.destination.to_bits(),
            identification: datagram.identification,
            protocol: datagram.protocol,
        }
    }
}
