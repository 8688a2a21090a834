//! A hash index from keys to places in a table, of a fixed size.

/// Open addressing with linear probing: 8 bytes a slot, one cache line for most look-ups. It
/// holds numbers of places, not keys: the caller compares keys where they are.
///
/// The size is fixed, so that no packet ever waits for a table to grow; the system gives memory
/// to the pages that are used.
#[derive(Debug)]
pub(crate) struct Index {
    /// The low half of the hash, and the place plus one; 0 is an empty slot.
    slots: Vec<u64>,
    mask: u32,
    key: [u64; 2],
}

impl Index {
    /// For at most `most` entries.
    pub(crate) fn new(most: u32, key: [u64; 2]) -> Self {
        // At most half full, so that runs stay short.
        let size = (most.max(32) * 2).next_power_of_two();
        // Odd multipliers keep all bits of a key.
        Self {
            slots: vec![0; size as usize],
            mask: size - 1,
            key: [key[0] | 1, key[1] | 1],
        }
    }

    /// The hash of a key: keyed, so that a subscriber who chooses ports cannot fill one run.
    pub(crate) fn hash(&self, key: u64) -> u32 {
        let mixed = (key ^ self.key[0]).wrapping_mul(self.key[1]);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(self.key[0]);
        u32::try_from(mixed >> 32).unwrap_or(0)
    }

    /// The first place under `hash`, whoever's it is: reading it early brings the run's cache line
    /// in.
    #[inline]
    pub(crate) fn candidate(&self, hash: u32) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// The place under `hash` for which `is_it` says so.
    #[inline]
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = hash & self.mask;
        loop {
            let slot = self.slots[at as usize];
            let found = place(slot)?;
            if tag(slot) == hash && is_it(found) {
                return Some(found);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Adds a place that is not there yet. The caller keeps to the number given to
    /// [`Index::new`].
    pub(crate) fn insert(&mut self, hash: u32, new: u32) {
        let mut at = hash & self.mask;
        while self.slots[at as usize] != 0 {
            at = (at + 1) & self.mask;
        }
        self.slots[at as usize] = u64::from(hash) << 32 | u64::from(new + 1);
    }

    /// Removes a place, moving later ones of its run up so that no gap hides them.
    pub(crate) fn remove(&mut self, hash: u32, old: u32) {
        let mut gap = hash & self.mask;
        loop {
            let slot = self.slots[gap as usize];
            match place(slot) {
                None => return,
                Some(found) if found == old && tag(slot) == hash => break,
                Some(_) => gap = (gap + 1) & self.mask,
            }
        }
        let mut at = gap;
        loop {
            at = (at + 1) & self.mask;
            let slot = self.slots[at as usize];
            if slot == 0 {
                break;
            }
            let home = tag(slot) & self.mask;
            // It may move up when its home is not within (gap, at].
            if (at.wrapping_sub(home) & self.mask) >= (at.wrapping_sub(gap) & self.mask) {
                self.slots[gap as usize] = slot;
                gap = at;
            }
        }
        self.slots[gap as usize] = 0;
    }

    /// Bytes set aside.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.len() * size_of::<u64>()
    }
}

fn tag(slot: u64) -> u32 {
    u32::try_from(slot >> 32).unwrap_or(0)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is wanted"
)]
const fn place(slot: u64) -> Option<u32> {
    (slot as u32).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        /// Few hashes, so that runs are long and wrap around: the index does what a map does.
        #[test]
        fn does_what_a_map_does(steps in prop::collection::vec((any::<bool>(), 0_u32..24), 1..300)) {
            let mut index = Index::new(24, [3, 5]);
            let mut model: HashMap<u32, u32> = HashMap::new();
            let hash = |key: u32| if key < 12 { key % 3 + 62 } else { key % 5 };
            for (insert, key) in steps {
                if insert && !model.contains_key(&key) {
                    index.insert(hash(key), key);
                    model.insert(key, key);
                } else if !insert && model.remove(&key).is_some() {
                    index.remove(hash(key), key);
                }
                for key in 0..24 {
                    prop_assert_eq!(index.find(hash(key), |place| place == key), model.get(&key).copied());
                }
            }
        }
    }
}
