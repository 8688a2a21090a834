//! The keys of the days: what seals a day's records and what salts their hashes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use portledger_keys::{DataKey, KeyName, KeyRing, Sealing};
use portledger_model::RecordNumber;
use portledger_proof::{Entries, Hash, leaf_hash};

use super::salts::{SALT, Salts};
use crate::{Error, calendar::Day};

/// What a day's key is used for.
pub(crate) struct DayKey {
    data: DataKey,
    sealing: Sealing,
    rules: Sealing,
    salts: Salts,
}

impl DayKey {
    fn new(data: DataKey) -> Self {
        Self {
            sealing: data.sealing("log chunk"),
            rules: data.sealing("rule"),
            salts: Salts::new(data.stream("leaf salt")),
            data,
        }
    }

    /// Seals and opens the day's chunks.
    pub(crate) const fn sealing(&self) -> &Sealing {
        &self.sealing
    }

    /// Seals and opens the texts of the day's records that tell of rules.
    pub(crate) const fn rules(&self) -> &Sealing {
        &self.rules
    }

    /// The key of the Parquet files of one of the day's segments.
    pub(crate) fn parquet(&self, segment: u64) -> [u8; 32] {
        self.data.derive(&format!("parquet {segment}"))
    }

    /// What is hashed of a record into the tree: its salt and its text.
    ///
    /// Without the day's key the salt cannot be told, so that a deleted record cannot be guessed
    /// from its hash; one record's salt tells nothing of another's.
    pub(crate) fn leaf_entry(&self, number: RecordNumber, text: &[u8], entry: &mut Vec<u8>) {
        entry.clear();
        entry.extend_from_slice(self.salts.around(number).of(number));
        entry.extend_from_slice(text);
    }

    /// The hash of a record in the tree (RFC 6962 §2.1). `entry` is scratch room.
    pub(crate) fn leaf(&self, number: RecordNumber, text: &[u8], entry: &mut Vec<u8>) -> Hash {
        self.leaf_entry(number, text, entry);
        leaf_hash(entry)
    }

    /// Appends the hashes of consecutive records from `first` on, whose texts `text` appends: what
    /// [`DayKey::leaf`] makes of each.
    pub(crate) fn leaves<I>(
        &self,
        first: RecordNumber,
        items: &[I],
        mut text: impl FnMut(&I, &mut Vec<u8>),
        room: &mut LeafRoom,
    ) {
        let (mut number, mut rest) = (first, items);
        while !rest.is_empty() {
            // As many as share their group of salts: with their texts 16 kB, which stay near.
            let salts = self.salts.around(number);
            let salts = salts.from(number);
            let (now, later) = rest.split_at(salts.len().min(rest.len()));
            room.entries.clear();
            for (item, salt) in now.iter().zip(salts) {
                room.entries.push(|entry| {
                    entry.extend_from_slice(salt);
                    text(item, entry);
                });
            }
            room.entries.hashes(&mut room.leaves);
            number.0 = number.0.saturating_add(now.len() as u64);
            rest = later;
        }
    }
}

/// Room in which leaves are made, and the leaves.
#[derive(Default)]
pub(crate) struct LeafRoom {
    entries: Entries,
    pub(crate) leaves: Vec<Hash>,
}

/// The text inside a leaf's entry.
pub(crate) fn text_of(entry: &[u8]) -> Option<&[u8]> {
    entry.get(SALT..)
}

/// The keys of one log's days.
pub(crate) struct Keys {
    ring: Arc<KeyRing>,
    /// What the names of this log's keys begin with.
    log: &'static str,
    known: Mutex<HashMap<Day, Arc<DayKey>>>,
}

impl Keys {
    pub(crate) fn new(ring: Arc<KeyRing>, log: &'static str) -> Self {
        Self {
            ring,
            log,
            known: Mutex::default(),
        }
    }

    /// The name of a day's key in the ring.
    pub(crate) fn name(&self, day: Day) -> Result<KeyName, Error> {
        Ok(KeyName::new(&format!("{}-{day}", self.log))?)
    }

    /// A day's key; `None` where there is none, or no longer.
    pub(crate) fn get(&self, day: Day) -> Result<Option<Arc<DayKey>>, Error> {
        self.cached(day, |ring, name| Ok(ring.get(name)?))
    }

    /// A day's key, made where there is none.
    pub(crate) fn get_or_create(&self, day: Day) -> Result<Arc<DayKey>, Error> {
        let key = self.cached(day, |ring, name| Ok(Some(ring.get_or_create(name)?)))?;
        key.ok_or(Error::Flawed(crate::Flaw::Sealed(day)))
    }

    /// Looks for each key in the ring when it is asked for again: another process may have
    /// destroyed it.
    pub(crate) fn look_again(&self) {
        self.known().clear();
    }

    /// The days that have a key.
    pub(crate) fn days(&self) -> Result<Vec<Day>, Error> {
        let names = self.ring.names()?;
        let days = names.iter().filter_map(|name| {
            let day = name.as_str().strip_prefix(self.log)?.strip_prefix('-')?;
            day.parse().ok()
        });
        Ok(days.collect())
    }

    /// Destroys a day's key. `false` where there was none.
    pub(crate) fn destroy(&self, day: Day) -> Result<bool, Error> {
        self.known().remove(&day);
        Ok(self.ring.destroy(&self.name(day)?)? == portledger_keys::Destroyed::Destroyed)
    }

    fn cached(
        &self,
        day: Day,
        find: impl FnOnce(&KeyRing, &KeyName) -> Result<Option<DataKey>, Error>,
    ) -> Result<Option<Arc<DayKey>>, Error> {
        if let Some(key) = self.known().get(&day) {
            return Ok(Some(Arc::clone(key)));
        }
        let Some(data) = find(&self.ring, &self.name(day)?)? else {
            return Ok(None);
        };
        let key = Arc::new(DayKey::new(data));
        self.known().insert(day, Arc::clone(&key));
        Ok(Some(key))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Day, Arc<DayKey>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
