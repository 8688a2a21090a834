//! Blocks of remote files that were read lately.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use object_store::path::Path as Key;

/// The size of a block in bytes. On the way to a store an answer of this size takes hardly longer
/// than one of a byte, and an index page or a few data pages fit in it.
pub(super) const BLOCK: u64 = 64 << 10;

/// How much is kept for all files of a store, in bytes.
pub(super) const CAPACITY: u64 = 16 << 20;

/// One version of one file: the same name with other bytes is another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) key: Arc<Key>,
    pub(super) tag: Arc<str>,
}

/// The blocks used last, up to a number of bytes.
pub(super) struct Blocks {
    capacity: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    blocks: HashMap<(Version, u64), Block>,
    /// By when they were used, the longest ago first.
    by_use: BTreeMap<u64, (Version, u64)>,
    uses: u64,
    bytes: u64,
}

struct Block {
    bytes: Arc<[u8]>,
    used: u64,
}

impl Blocks {
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            kept: Mutex::default(),
        }
    }

    /// Block `number` of a file, when it is here.
    pub(super) fn get(&self, version: &Version, number: u64) -> Option<Arc<[u8]>> {
        let mut kept = self.lock();
        let kept = &mut *kept;
        let id = (version.clone(), number);
        let block = kept.blocks.get_mut(&id)?;
        kept.uses += 1;
        kept.by_use.remove(&block.used);
        block.used = kept.uses;
        let bytes = Arc::clone(&block.bytes);
        kept.by_use.insert(kept.uses, id);
        Some(bytes)
    }

    /// Keeps a block, and lets go of those not used for longest.
    pub(super) fn keep(&self, version: &Version, number: u64, bytes: Arc<[u8]>) {
        let mut kept = self.lock();
        let id = (version.clone(), number);
        kept.remove(&id);
        kept.uses += 1;
        let used = kept.uses;
        kept.bytes += bytes.len() as u64;
        kept.by_use.insert(used, id.clone());
        kept.blocks.insert(id, Block { bytes, used });
        while kept.bytes > self.capacity {
            let Some((_, oldest)) = kept.by_use.pop_first() else {
                break;
            };
            kept.remove(&oldest);
        }
    }

    /// Lets go of all of a file: it is deleted, and with it what was in it.
    pub(super) fn forget(&self, key: &Key) {
        let mut kept = self.lock();
        let gone: Vec<_> = kept
            .blocks
            .keys()
            .filter(|(version, _)| *version.key == *key)
            .cloned()
            .collect();
        for id in gone {
            kept.remove(&id);
        }
    }

    /// What a thread that panicked left is whole: each change is one that cannot.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, id: &(Version, u64)) {
        if let Some(block) = self.blocks.remove(id) {
            self.by_use.remove(&block.used);
            self.bytes -= block.bytes.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(name: &str) -> Version {
        Version {
            key: Arc::new(Key::from(name)),
            tag: "\"1\"".into(),
        }
    }

    fn block(bytes: usize) -> Arc<[u8]> {
        vec![7; bytes].into()
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let (blocks, file) = (Blocks::new(30), version("a"));
        for number in 0..3 {
            blocks.keep(&file, number, block(10));
        }
        assert!(blocks.get(&file, 0).is_some());
        blocks.keep(&file, 3, block(10));
        let here: Vec<_> = (0..4).map(|n| blocks.get(&file, n).is_some()).collect();
        assert_eq!(here, [true, false, true, true]);
    }

    #[test]
    fn another_version_of_a_file_is_another_file() {
        let (blocks, file) = (Blocks::new(30), version("a"));
        blocks.keep(&file, 0, block(10));
        let other = Version {
            tag: "\"2\"".into(),
            ..file.clone()
        };
        assert!(blocks.get(&other, 0).is_none());
        blocks.forget(&file.key);
        assert!(blocks.get(&file, 0).is_none());
    }

    proptest! {
        #[test]
        fn it_never_keeps_more_than_it_may(
            steps in prop::collection::vec((0..4_u64, 0..20_usize, any::<bool>()), 0..60),
        ) {
            let (blocks, file) = (Blocks::new(50), version("a"));
            for (number, bytes, get) in steps {
                if get {
                    blocks.get(&file, number);
                } else {
                    blocks.keep(&file, number, block(bytes));
                }
                let kept = blocks.lock();
                let sum: usize = kept.blocks.values().map(|block| block.bytes.len()).sum();
                prop_assert_eq!(kept.bytes, sum as u64);
                prop_assert!(kept.bytes <= 50);
                prop_assert_eq!(kept.blocks.len(), kept.by_use.len());
            }
        }
    }
}
