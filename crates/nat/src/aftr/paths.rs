//! What paths to B4s are narrower than the link (RFC 8201).

use std::{collections::BTreeMap, time::Duration};

use portledger_model::Timestamp;

use crate::hosts::Host;

/// RFC 8201 §4: a size that was learned is tried again after ten minutes.
const LASTS: Duration = Duration::from_secs(600);

/// IPv6's least (RFC 8200 §5): no path is narrower, whatever is told (RFC 8201 §4).
pub(super) const LEAST: u16 = 1_280;

/// The sizes that Packet Too Big messages told of, for a bounded number of softwires.
#[derive(Debug)]
pub(super) struct Paths {
    by_end: BTreeMap<(u16, u128), (u16, Timestamp)>,
    most: usize,
}

impl Paths {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            by_end: BTreeMap::new(),
            most,
        }
    }

    /// Whether no path is known to be narrower than usual.
    pub(super) fn is_empty(&self) -> bool {
        self.by_end.is_empty()
    }

    /// The largest packet to the end of this softwire, where that is known to be less than usual.
    #[inline]
    pub(super) fn mtu(&self, host: &Host, now: Timestamp) -> Option<u16> {
        if self.is_empty() {
            return None;
        }
        self.by_end
            .get(&key(host))
            .filter(|&&(_, until)| now < until)
            .map(|&(mtu, _)| mtu)
    }

    /// Notes what a message told. Only ever a smaller size: a larger one is found by forgetting.
    pub(super) fn learn(&mut self, host: &Host, mtu: u16, now: Timestamp) {
        let mtu = mtu.max(LEAST);
        let until = now.after(LASTS);
        let known = self.mtu(host, now);
        if known.is_some_and(|known| known < mtu) {
            return;
        }
        if self.by_end.len() >= self.most && !self.by_end.contains_key(&key(host)) {
            self.by_end.retain(|_, &mut (_, until)| now < until);
            if self.by_end.len() >= self.most {
                return;
            }
        }
        self.by_end.insert(key(host), (mtu, until));
    }
}

fn key(host: &Host) -> (u16, u128) {
    (host.realm.0, host.address.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use portledger_ports::RealmIndex;

    fn end(number: u128) -> Host {
        Host {
            realm: RealmIndex(0),
            address: number.to_be_bytes().into(),
            behind: 0,
        }
    }

    #[test]
    fn a_size_is_learned_bounded_and_forgotten() {
        let mut paths = Paths::new(2);
        let at = Timestamp::from_secs;
        paths.learn(&end(1), 1_400, at(0));
        paths.learn(&end(1), 1_450, at(1));
        paths.learn(&end(2), 60, at(1));
        paths.learn(&end(3), 1_300, at(2));
        assert_eq!(paths.mtu(&end(1), at(599)), Some(1_400));
        assert_eq!(paths.mtu(&end(2), at(3)), Some(LEAST));
        assert_eq!(paths.mtu(&end(3), at(3)), None, "no place is left");
        assert_eq!(paths.mtu(&end(1), at(600)), None);
        paths.learn(&end(3), 1_300, at(600));
        assert_eq!(paths.mtu(&end(3), at(600)), Some(1_300));
    }
}
