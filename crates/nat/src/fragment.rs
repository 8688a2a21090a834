//! Fragments: what the first of a datagram was translated to holds for the others.

use std::collections::{BTreeMap, VecDeque};

use portledger_ports::RealmIndex;

use crate::{DropReason, Side, Verdict, header::Header, hosts::Hosts};

/// The datagrams of which fragments have been seen, bounded in number, bytes and time
/// (RFC 4787 REQ-14a: out-of-order fragments must not become an attack).
#[derive(Debug)]
pub(crate) struct Fragments {
    datagrams: BTreeMap<DatagramKey, Datagram>,
    /// In the order of their beginning, which is the order of their end.
    by_age: VecDeque<(i64, DatagramKey)>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
}

/// What makes fragments one datagram (RFC 791 §3.2), and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DatagramKey {
    from_inside: bool,
    realm: RealmIndex,
    source: u32,
    destination: u32,
    identification: u16,
    protocol: u8,
}

#[derive(Debug)]
enum Datagram {
    /// The first fragment has not come yet: these wait for it.
    Waiting(Vec<Vec<u8>>),
    /// The first fragment has come.
    Known(Fate),
}

/// What became of a first fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) source: u32,
    pub(crate) destination: u32,
    pub(crate) identification: u16,
    pub(crate) verdict: Verdict,
}

impl DatagramKey {
    pub(crate) fn new(from: Side, realm: RealmIndex, header: &Header) -> Self {
        Self {
            from_inside: from == Side::Inside,
            realm,
            source: header.source,
            destination: header.destination,
            identification: header.identification,
            protocol: header.protocol,
        }
    }
}

/// The inside hosts that a datagram's entry names.
fn named(key: &DatagramKey, datagram: &Datagram) -> impl Iterator<Item = u32> + use<> {
    let to = match datagram {
        Datagram::Known(Fate {
            destination,
            verdict: Verdict::Forward {
                to: Side::Inside, ..
            },
            ..
        }) => Some(*destination),
        _ => None,
    };
    key.from_inside.then_some(key.source).into_iter().chain(to)
}

/// Fragments of one datagram that may wait: 65,535 bytes in pieces of 1,000 and some to spare.
const MOST_WAITING: usize = 80;

impl Fragments {
    pub(crate) const fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            datagrams: BTreeMap::new(),
            by_age: VecDeque::new(),
            bytes: 0,
            most,
            most_bytes,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_age.is_empty()
    }

    /// Bytes that wait.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What became of the first fragment of this later one's datagram, if it has come.
    pub(crate) fn fate(&self, key: DatagramKey) -> Option<Fate> {
        match self.datagrams.get(&key)? {
            Datagram::Known(fate) => Some(*fate),
            Datagram::Waiting(_) => None,
        }
    }

    /// Keeps a later fragment until its first comes.
    pub(crate) fn keep(
        &mut self,
        expires: i64,
        key: DatagramKey,
        packet: &[u8],
        hosts: &mut Hosts,
    ) -> Result<(), DropReason> {
        if self.bytes + packet.len() > self.most_bytes {
            return Err(DropReason::FragmentLimit);
        }
        let is_full = self.datagrams.len() >= self.most;
        match self.datagrams.get_mut(&key) {
            Some(Datagram::Waiting(waiting)) if waiting.len() < MOST_WAITING => {
                waiting.push(packet.to_vec());
            }
            Some(_) => return Err(DropReason::FragmentLimit),
            None if is_full => return Err(DropReason::FragmentLimit),
            None => {
                let waiting = Datagram::Waiting(vec![packet.to_vec()]);
                named(&key, &waiting).for_each(|host| hosts.hold(host));
                self.datagrams.insert(key, waiting);
                self.by_age.push_back((expires, key));
            }
        }
        self.bytes += packet.len();
        Ok(())
    }

    /// Notes what became of a first fragment, and gives back those that waited for it.
    pub(crate) fn settle(
        &mut self,
        expires: i64,
        key: DatagramKey,
        fate: Fate,
        hosts: &mut Hosts,
    ) -> Vec<Vec<u8>> {
        if !self.datagrams.contains_key(&key) {
            if self.datagrams.len() >= self.most {
                return Vec::new();
            }
            self.by_age.push_back((expires, key));
        }
        let known = Datagram::Known(fate);
        named(&key, &known).for_each(|host| hosts.hold(host));
        let before = self.datagrams.insert(key, known);
        if let Some(before) = &before {
            named(&key, before).for_each(|host| hosts.release(host));
        }
        match before {
            Some(Datagram::Waiting(waiting)) => {
                self.bytes -= waiting.iter().map(Vec::len).sum::<usize>();
                waiting
            }
            _ => Vec::new(),
        }
    }

    /// Forgets datagrams whose time is over. How many fragments waited in vain.
    pub(crate) fn expire(&mut self, now: i64, hosts: &mut Hosts) -> u64 {
        let mut lost = 0;
        while let Some(&(expires, key)) = self.by_age.front()
            && expires <= now
        {
            self.by_age.pop_front();
            let datagram = self.datagrams.remove(&key);
            if let Some(datagram) = &datagram {
                named(&key, datagram).for_each(|host| hosts.release(host));
            }
            if let Some(Datagram::Waiting(waiting)) = datagram {
                self.bytes -= waiting.iter().map(Vec::len).sum::<usize>();
                lost += waiting.len() as u64;
            }
        }
        lost
    }
}

/// Cuts a packet that is too large for the next link (RFC 791 §3.2; RFC 4787 REQ-13a). `None`
/// where not even eight bytes of payload fit beside the header.
pub(crate) fn cut(packet: &[u8], header_length: usize, mtu: u16) -> Option<Vec<Vec<u8>>> {
    use crate::{
        checksum::checksum,
        header::{set_word, word},
    };
    let room = (usize::from(mtu).checked_sub(header_length)?) & !7;
    if room == 0 {
        return None;
    }
    let (header, payload) = packet.split_at_checked(header_length)?;
    let fragmentation = word(header, 6);
    let first_offset = fragmentation & 0x1FFF;
    let more_follow = fragmentation & 0x2000;
    let pieces = payload.chunks(room);
    let count = pieces.len();
    let cut = pieces.enumerate().map(|(number, piece)| {
        let mut fragment = [header, piece].concat();
        let offset = first_offset + u16::try_from(number * room / 8).unwrap_or(0);
        let more = if number + 1 < count {
            0x2000
        } else {
            more_follow
        };
        set_word(
            &mut fragment,
            2,
            u16::try_from(header_length + piece.len()).unwrap_or(0),
        );
        set_word(&mut fragment, 6, offset | more);
        set_word(&mut fragment, 10, 0);
        let sum = checksum(&fragment[..header_length]);
        set_word(&mut fragment, 10, sum);
        fragment
    });
    Some(cut.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::word;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cut_pieces_fit_and_add_up(payload in 1_usize..4_000, mtu in 68_u16..1_500) {
            let mut packet = vec![0x45, 0, 0, 0, 0, 7, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
            packet.extend((0..payload).map(|n| u8::try_from(n % 251).unwrap()));
            let pieces = cut(&packet, 20, mtu).unwrap();
            let mut whole = vec![0; payload];
            for (number, piece) in pieces.iter().enumerate() {
                prop_assert!(piece.len() <= usize::from(mtu));
                prop_assert_eq!(usize::from(word(piece, 2)), piece.len());
                prop_assert_eq!(crate::checksum::checksum(&piece[..20]), 0);
                prop_assert_eq!(word(piece, 6) & 0x2000 != 0, number + 1 < pieces.len());
                let offset = usize::from(word(piece, 6) & 0x1FFF) * 8;
                whole[offset..offset + piece.len() - 20].copy_from_slice(&piece[20..]);
            }
            prop_assert_eq!(&whole, &packet[20..]);
        }
    }
}
