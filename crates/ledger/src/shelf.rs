//! The segments of a ledger, opened when they are first asked.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use portledger_model::{Allocation, External, Span};
use portledger_segments::{Cache, Key, ReadAt, Row, Segment};
use portledger_store::{Store, StorePath};

use crate::{
    Error,
    calendar::Day,
    log::keys::{DayKey, Keys},
    manifest::{SegmentEntry, segment_path},
};

/// Bytes of decoded pages that are kept, so that questions about the same addresses are cheap.
const CACHE: usize = 64 << 20;

/// What a sealed day knows of an allocation.
pub(crate) struct Found {
    pub(crate) day: Day,
    pub(crate) segment: Arc<Segment>,
    pub(crate) row: Row,
}

/// Opens segments and keeps them open.
pub(crate) struct Shelf {
    store: Arc<Store>,
    keys: Arc<Keys>,
    cache: Arc<Cache>,
    open: Mutex<HashMap<u64, Arc<Segment>>>,
}

impl Shelf {
    pub(crate) fn new(store: Arc<Store>, keys: Arc<Keys>) -> Self {
        Self {
            store,
            keys,
            cache: Arc::new(Cache::new(CACHE)),
            open: Mutex::default(),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) const fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// A segment of a day.
    pub(crate) fn segment(&self, day: Day, entry: &SegmentEntry) -> Result<Arc<Segment>, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(segment) = open.get(&entry.id) {
            return Ok(Arc::clone(segment));
        }
        let key = match entry.encrypted {
            false => None,
            true => Some(self.key(day, entry.id)?),
        };
        let folder = segment_path(day, entry.id)?;
        let store = Arc::clone(&self.store);
        let file = move |name: &str| open_file(&store, &folder, name);
        let segment = Segment::open(file, key, Arc::clone(&self.cache))?;
        let segment = Arc::new(segment);
        open.insert(entry.id, Arc::clone(&segment));
        Ok(segment)
    }

    /// What a segment knows of an allocation.
    pub(crate) fn find(
        &self,
        day: Day,
        entry: &SegmentEntry,
        held: &Allocation,
    ) -> Result<Option<(Arc<Segment>, Row)>, Error> {
        let block = &held.block;
        let endpoint = External {
            address: block.external,
            port: Some(block.ports.first()),
            transport: block.transport,
        };
        let segment = self.segment(day, entry)?;
        for row in segment.rows_of(endpoint, Span::ALWAYS)? {
            if row.from == held.from
                && row.ports == block.ports
                && row.transport == block.transport
                && segment.allocation(&row)?.block.subscriber == block.subscriber
            {
                return Ok(Some((segment, row)));
            }
        }
        Ok(None)
    }

    /// What the last of the sealed days knows of an allocation that has it. `days` begin with the
    /// one on which it began.
    ///
    /// It is in each of the following days until it ends, so that the last one is found by
    /// halves, however many there are.
    pub(crate) fn find_last(
        &self,
        days: &[(Day, &SegmentEntry)],
        held: &Allocation,
    ) -> Result<Option<Found>, Error> {
        let (mut low, mut high) = (0, days.len());
        let mut last = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let Some((day, entry)) = days.get(middle) else {
                break;
            };
            match self.find(*day, entry, held)? {
                Some((segment, row)) => {
                    let day = *day;
                    last = Some(Found { day, segment, row });
                    low = middle + 1;
                }
                None => high = middle,
            }
        }
        Ok(last)
    }

    /// The key of a segment's files.
    pub(crate) fn key(&self, day: Day, id: u64) -> Result<Key, Error> {
        let key = self.keys.get(day)?;
        let key = key.ok_or(Error::Flawed(crate::Flaw::Sealed(day)))?;
        segment_key(&key, day, id)
    }
}

/// The key of a segment's files: made from its day's, and no other segment's.
pub(crate) fn segment_key(key: &DayKey, day: Day, id: u64) -> Result<Key, Error> {
    Ok(Key::new(&key.parquet(id), &format!("{day}/{id:08}"))?)
}

fn open_file(store: &Store, folder: &StorePath, name: &str) -> io::Result<Box<dyn ReadAt>> {
    let path = folder.join(name).map_err(io::Error::other)?;
    let file = store.open_file(&path).map_err(io::Error::other)?;
    Ok(Box::new(Stored(file)))
}

/// A stored file, as segments read files.
struct Stored(Box<dyn portledger_store::ReadAt>);

impl ReadAt for Stored {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }

    fn len(&self) -> u64 {
        self.0.len()
    }
}
