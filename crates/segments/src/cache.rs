//! Pages that were used lately, so that the next question to the same page reads nothing.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    format::{packed::Packed, page::Values},
    shortcuts::PageShortcuts,
};

/// A page of an open file: the file's own number, then row group, column and page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PageId {
    pub(crate) file: u64,
    pub(crate) group: u32,
    pub(crate) column: u16,
    pub(crate) page: u32,
}

/// What is kept of a page.
#[derive(Clone)]
pub(crate) enum Kept {
    Values(Arc<Values>),
    Packed(Arc<Packed>),
    Shortcuts(Arc<PageShortcuts>),
}

impl Kept {
    /// The bytes of memory it takes.
    fn memory(&self) -> usize {
        match self {
            Self::Values(values) => values.memory(),
            Self::Packed(packed) => packed.memory(),
            Self::Shortcuts(shortcuts) => shortcuts.memory(),
        }
    }
}

/// Pages within a bound of memory, shared by all segments that were opened with it.
///
/// Two generations: what is used goes to the young; when those fill half the room, the old are
/// dropped and the young become the old. That keeps what is used often, in constant time.
pub struct Cache {
    half: usize,
    pages: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<PageId, Kept>,
    old: HashMap<PageId, Kept>,
    /// Bytes of the young.
    bytes: usize,
}

impl Cache {
    /// What a cache takes unless the caller says otherwise, in bytes.
    pub const DEFAULT_BYTES: usize = 64 << 20;

    /// A cache of at most `bytes` bytes of pages; 0 keeps nothing.
    pub fn new(bytes: usize) -> Self {
        Self {
            half: bytes / 2,
            pages: Mutex::default(),
        }
    }

    pub(crate) fn get(&self, id: PageId) -> Option<Kept> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = pages.young.get(&id) {
            return Some(found.clone());
        }
        let found = pages.old.remove(&id)?;
        pages.keep(id, found.clone(), self.half);
        Some(found)
    }

    pub(crate) fn put(&self, id: PageId, page: Kept) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.keep(id, page, self.half);
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new(Self::DEFAULT_BYTES)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("bytes", &(self.half * 2))
            .finish_non_exhaustive()
    }
}

impl Generations {
    fn keep(&mut self, id: PageId, page: Kept, half: usize) {
        let bytes = page.memory();
        if bytes > half {
            return;
        }
        if self.bytes + bytes > half {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        if self.young.insert(id, page).is_none() {
            self.bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(page: u32) -> PageId {
        PageId {
            file: 1,
            group: 0,
            column: 0,
            page,
        }
    }

    fn page() -> Kept {
        Kept::Values(Arc::new(Values::Narrow(vec![7; 1_000].into())))
    }

    #[test]
    fn memory_stays_within_its_bound() {
        let cache = Cache::new(100_000);
        for n in 0..1_000 {
            cache.put(id(n), page());
        }
        let pages = cache.pages.lock().unwrap();
        let kept: usize = pages
            .young
            .values()
            .chain(pages.old.values())
            .map(Kept::memory)
            .sum();
        assert!((40_000..=100_000).contains(&kept), "{kept}");
    }

    #[test]
    fn what_is_used_stays() {
        let cache = Cache::new(100_000);
        cache.put(id(0), page());
        for n in 1..1_000 {
            cache.put(id(n), page());
            assert!(cache.get(id(0)).is_some());
        }
        assert!(cache.get(id(1)).is_none());
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing() {
        let cache = Cache::new(0);
        cache.put(id(0), page());
        assert!(cache.get(id(0)).is_none());
    }
}
