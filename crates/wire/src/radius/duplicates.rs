//! Requests that come again.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use portledger_model::Timestamp;

use super::Packet;

/// Remembers the requests of the last while, in bounded memory and without a clock.
///
/// A NAS whose response was lost sends the same packet again (RFC 2866 §2): it is answered again,
/// and not taken twice. A NAS that counts the waiting into Acct-Delay-Time sends another packet
/// (§4.1 asks for another identifier then), which this cannot know: what reads sessions must give
/// the same for both, and does.
///
/// ```
/// use std::time::Duration;
/// use portledger_model::Timestamp;
/// use portledger_wire::radius::{Duplicates, Packet};
///
/// let datagram = [&[4, 7, 0, 20][..], &[9; 16]].concat();
/// let packet = Packet::parse(&datagram)?;
/// let source = "192.0.2.1:1646".parse()?;
/// let mut duplicates = Duplicates::new(1_000, Duration::from_secs(30));
/// let at = Timestamp::from_secs(1_795_262_400);
/// assert!(duplicates.is_new(source, &packet, at));
/// assert!(!duplicates.is_new(source, &packet, at.after(Duration::from_secs(5))));
/// assert!(duplicates.is_new(source, &packet, at.after(Duration::from_secs(60))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Duplicates {
    most: usize,
    within: Duration,
    known: HashMap<Key, Timestamp>,
    /// In the order in which they came.
    order: VecDeque<(Key, Timestamp)>,
}

/// RFC 2866 §3: source, identifier and Request Authenticator; the last covers all the rest.
type Key = (SocketAddr, u8, [u8; 16]);

impl Duplicates {
    /// Remembers at most `most` requests, each for so long.
    pub fn new(most: usize, within: Duration) -> Self {
        Self {
            most: most.max(1),
            within,
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Whether this request is to be taken: it did not come from there within the time.
    pub fn is_new(&mut self, source: SocketAddr, packet: &Packet<'_>, now: Timestamp) -> bool {
        self.expire(now);
        let key = (source, packet.identifier(), packet.authenticator());
        if self.known.contains_key(&key) {
            return false;
        }
        while self.order.len() >= self.most {
            self.drop_oldest();
        }
        self.known.insert(key, now);
        self.order.push_back((key, now));
        true
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// None is.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some((_, at)) = self.order.front()
            && now.since(*at) > self.within
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((key, _)) = self.order.pop_front() {
            self.known.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let mut duplicates = Duplicates::new(3, Duration::from_secs(30));
        let source: SocketAddr = "192.0.2.1:1646".parse().unwrap();
        let at = Timestamp::from_secs(0);
        let datagram = |identifier| [&[4, identifier, 0, 20][..], &[0; 16]].concat();
        for identifier in 0..10 {
            let datagram = datagram(identifier);
            let packet = Packet::parse(&datagram).unwrap();
            assert!(duplicates.is_new(source, &packet, at));
            assert!(duplicates.len() <= 3);
        }
        let (seventh, ninth) = (datagram(6), datagram(9));
        assert!(!duplicates.is_new(source, &Packet::parse(&ninth).unwrap(), at));
        assert!(duplicates.is_new(source, &Packet::parse(&seventh).unwrap(), at));
        let elsewhere = "192.0.2.2:1646".parse().unwrap();
        assert!(duplicates.is_new(elsewhere, &Packet::parse(&ninth).unwrap(), at));
    }
}
