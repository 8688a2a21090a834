//! Putting fragments together again, where what they carry must be seen whole.

use std::collections::{BTreeMap, VecDeque};

use crate::{DropReason, HEADROOM};

/// How much may wait to be put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Datagrams at once.
    pub(crate) datagrams: usize,
    /// Of these, from one source, so that no source takes all.
    pub(crate) of_source: usize,
    /// Bytes of all fragments.
    pub(crate) bytes: usize,
}

/// What makes fragments one datagram (RFC 8200 §4.5, RFC 791 §3.2). The source is compared first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) realm: u16,
    pub(crate) source: u128,
    pub(crate) destination: u128,
    pub(crate) identification: u32,
}

/// One fragment: where its payload belongs, and whether more follow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    /// In bytes.
    pub(crate) offset: usize,
    pub(crate) more: bool,
    pub(crate) payload: &'a [u8],
}

/// Datagrams of which some fragments have come: bounded in number, bytes and time.
#[derive(Debug)]
pub(crate) struct Reassembly {
    datagrams: BTreeMap<Key, Datagram>,
    /// When which datagram's time is over; of those that were completed the entries stay a while.
    by_age: VecDeque<(i64, Key, u64)>,
    begun: u64,
    bytes: usize,
    bounds: Bounds,
}

#[derive(Debug, Default)]
struct Datagram {
    number: u64,
    /// By offset.
    pieces: BTreeMap<usize, Vec<u8>>,
    bytes: usize,
    /// The length of the whole, once the last fragment has come.
    total: Option<usize>,
    /// RFC 5722 §4: a datagram with overlapping fragments is dropped, those to come included.
    is_refused: bool,
}

/// Fragments of one datagram: 65,535 bytes in pieces of 1,232 and some to spare.
const MOST_PIECES: usize = 64;

impl Reassembly {
    pub(crate) const fn new(bounds: Bounds) -> Self {
        Self {
            datagrams: BTreeMap::new(),
            by_age: VecDeque::new(),
            begun: 0,
            bytes: 0,
            bounds,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Whether fragments of this datagram wait.
    pub(crate) fn knows(&self, key: &Key) -> bool {
        self.datagrams.contains_key(key)
    }

    /// Bytes that wait.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a fragment. The whole payload, behind [`HEADROOM`] free bytes, when that was the last
    /// one missing.
    pub(crate) fn add(
        &mut self,
        expires: i64,
        key: Key,
        piece: Piece<'_>,
    ) -> Result<Option<Vec<u8>>, DropReason> {
        let Piece {
            offset,
            more,
            payload,
        } = piece;
        let end = offset + payload.len();
        // RFC 8200 §4.5: all but the last are multiples of eight bytes, and no whole is longer
        // than its length field can say.
        if payload.is_empty() || end > 65_535 || (more && payload.len() % 8 != 0) {
            return Err(DropReason::Malformed);
        }
        if self.bytes + payload.len() > self.bounds.bytes {
            return Err(DropReason::FragmentLimit);
        }
        if !self.datagrams.contains_key(&key) {
            self.begin(expires, key)?;
        }
        let Some(datagram) = self.datagrams.get_mut(&key) else {
            return Err(DropReason::FragmentLimit);
        };
        if datagram.is_refused {
            return Err(DropReason::FragmentOverlap);
        }
        if datagram
            .pieces
            .get(&offset)
            .is_some_and(|other| other == payload)
        {
            // An exact duplicate, made by the network (RFC 8200 §4.5).
            return Ok(None);
        }
        if datagram.collides(offset, end, more) {
            self.bytes -= datagram.bytes;
            datagram.refuse();
            return Err(DropReason::FragmentOverlap);
        }
        if datagram.pieces.len() >= MOST_PIECES {
            return Err(DropReason::FragmentLimit);
        }
        datagram.pieces.insert(offset, payload.to_vec());
        datagram.bytes += payload.len();
        self.bytes += payload.len();
        if !more {
            datagram.total = Some(end);
        }
        if datagram.total != Some(datagram.bytes) {
            return Ok(None);
        }
        // No two overlap, none ends behind the end, and the bytes are as many as the whole has.
        Ok(self.datagrams.remove(&key).map(|datagram| {
            self.bytes -= datagram.bytes;
            datagram.whole()
        }))
    }

    /// Forgets what was not completed in time. How many fragments came in vain.
    pub(crate) fn expire(&mut self, now: i64) -> u64 {
        let mut lost = 0;
        while let Some(&(expires, key, number)) = self.by_age.front()
            && expires <= now
        {
            self.by_age.pop_front();
            let is_it = |datagram: &Datagram| datagram.number == number;
            if self.datagrams.get(&key).is_some_and(is_it)
                && let Some(datagram) = self.datagrams.remove(&key)
            {
                self.bytes -= datagram.bytes;
                lost += datagram.pieces.len() as u64;
            }
        }
        lost
    }

    fn begin(&mut self, expires: i64, key: Key) -> Result<(), DropReason> {
        let of_source = Key {
            destination: 0,
            identification: 0,
            ..key
        }..=Key {
            destination: u128::MAX,
            identification: u32::MAX,
            ..key
        };
        let is_full = self.datagrams.len() >= self.bounds.datagrams
            || self.datagrams.range(of_source).count() >= self.bounds.of_source;
        if is_full {
            return Err(DropReason::FragmentLimit);
        }
        self.begun += 1;
        let number = self.begun;
        let datagram = Datagram {
            number,
            ..Datagram::default()
        };
        self.datagrams.insert(key, datagram);
        self.by_age.push_back((expires, key, number));
        if self.by_age.len() > 2 * self.bounds.datagrams + 64 {
            let datagrams = &self.datagrams;
            self.by_age.retain(|(_, key, number)| {
                datagrams
                    .get(key)
                    .is_some_and(|datagram| datagram.number == *number)
            });
        }
        Ok(())
    }
}

impl Datagram {
    /// Whether a fragment contradicts those that are there.
    fn collides(&self, offset: usize, end: usize, more: bool) -> bool {
        let before = self.pieces.range(..=offset).next_back();
        let after = self.pieces.range(offset..).next();
        let last_end = self
            .pieces
            .last_key_value()
            .map_or(0, |(&at, piece)| at + piece.len());
        before.is_some_and(|(&at, piece)| at + piece.len() > offset)
            || after.is_some_and(|(&at, _)| at < end)
            || self.total.is_some_and(|total| !more || end > total)
            || (!more && last_end > end)
    }

    fn refuse(&mut self) {
        self.pieces = BTreeMap::new();
        self.bytes = 0;
        self.is_refused = true;
    }

    fn whole(self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(HEADROOM + self.bytes);
        whole.resize(HEADROOM, 0);
        for piece in self.pieces.into_values() {
            whole.extend(piece);
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds {
        datagrams: 8,
        of_source: 3,
        bytes: 10_000,
    };

    fn key(source: u128, identification: u32) -> Key {
        Key {
            realm: 0,
            source,
            destination: 1,
            identification,
        }
    }

    fn piece(offset: usize, more: bool, payload: &[u8]) -> Piece<'_> {
        Piece {
            offset,
            more,
            payload,
        }
    }

    /// RFC 5722 §4: and nothing that comes later helps.
    #[test]
    fn overlapping_fragments_end_their_datagram() {
        let mut pieces = Reassembly::new(BOUNDS);
        let bytes = [7; 24];
        assert_eq!(pieces.add(9, key(1, 1), piece(0, true, &bytes)), Ok(None));
        for (offset, more) in [(16, true), (24, false), (0, true)] {
            assert_eq!(
                pieces.add(9, key(1, 1), piece(offset, more, &bytes)),
                Err(DropReason::FragmentOverlap)
            );
        }
        assert_eq!(pieces.bytes(), 0);
        // When its time is over, the identification may be used again.
        pieces.expire(9);
        let whole = pieces.add(19, key(1, 1), piece(0, false, &bytes)).unwrap();
        assert_eq!(whole.unwrap()[HEADROOM..], bytes);
    }

    #[test]
    fn fragments_that_contradict_the_end_are_refused() {
        let add = |fragments: [(usize, bool, usize); 2]| {
            let mut pieces = Reassembly::new(BOUNDS);
            fragments.map(|(offset, more, length)| {
                pieces.add(9, key(1, 1), piece(offset, more, &vec![1; length]))
            })[1]
                .clone()
        };
        let refused = Err(DropReason::FragmentOverlap);
        assert_eq!(add([(16, false, 8), (24, true, 8)]), refused);
        assert_eq!(add([(16, false, 8), (40, false, 8)]), refused);
        assert_eq!(add([(16, true, 8), (8, false, 8)]), refused);
        assert_eq!(
            add([(8, true, 8), (0, true, 9)]),
            Err(DropReason::Malformed)
        );
        assert_eq!(
            add([(8, true, 8), (65_528, false, 8)]),
            Err(DropReason::Malformed)
        );
    }

    #[test]
    fn no_source_takes_all_and_all_is_bounded() {
        let mut pieces = Reassembly::new(BOUNDS);
        let bytes = [0; 1_000];
        let mut kept = 0;
        for number in 0..100_u32 {
            let source = u128::from(number % 10);
            let added = pieces.add(9, key(source, number), piece(0, true, &bytes));
            kept += usize::from(added.is_ok());
            assert!(pieces.bytes() <= BOUNDS.bytes);
        }
        assert_eq!(kept, BOUNDS.datagrams);
        let mut of_one = Reassembly::new(BOUNDS);
        let added = (0..9).filter(|&id| of_one.add(9, key(1, id), piece(8, true, &bytes)).is_ok());
        assert_eq!(added.count(), BOUNDS.of_source);
        assert_eq!(of_one.expire(9), 3);
        assert!(of_one.is_empty() && of_one.bytes() == 0);
    }

    #[test]
    fn what_was_completed_is_forgotten() {
        let mut pieces = Reassembly::new(BOUNDS);
        for number in 0..10_000 {
            let whole = pieces.add(number, key(1, 7), piece(0, false, &[1; 8]));
            assert!(whole.unwrap().is_some());
        }
        assert!(pieces.by_age.len() <= 2 * BOUNDS.datagrams + 64);
    }

    proptest! {
        /// In whatever order and however often each comes, the whole comes out once.
        #[test]
        fn fragments_in_any_order_make_the_whole(
            length in 1_usize..2_000,
            size in 1_usize..20,
            order in prop::collection::vec(any::<prop::sample::Index>(), 200),
        ) {
            let bytes: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let size = (size * 8).max(length.div_ceil(MOST_PIECES).next_multiple_of(8));
            let count = length.div_ceil(size);
            let mut pieces = Reassembly::new(BOUNDS);
            let mut seen = vec![false; count];
            for number in order.iter().map(|index| index.index(count)).chain(0..count) {
                let at = number * size;
                let part = &bytes[at..length.min(at + size)];
                let added = pieces.add(1, key(1, 1), piece(at, number + 1 < count, part)).unwrap();
                seen[number] = true;
                let complete = seen.iter().all(|&seen| seen);
                prop_assert_eq!(added.is_some(), complete);
                if let Some(whole) = added {
                    prop_assert_eq!(&whole[HEADROOM..], &bytes[..]);
                    return Ok(());
                }
            }
        }
    }
}
