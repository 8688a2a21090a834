//! Devices, realms and subscribers, each kept once.

use std::{
    hash::BuildHasher,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use portledger_model::{Device, Realm, Subscriber};

use super::entry::MAX_DEVICES;
use crate::error::TooLarge;

/// Devices by dense numbers.
#[derive(Default)]
pub(crate) struct Devices {
    list: Vec<Device>,
    numbers: HashMap<Device, u32>,
    last: u32,
}

impl Devices {
    pub(crate) fn intern(&mut self, device: &Device) -> Result<u32, TooLarge> {
        // Records of one device come in runs.
        if self.list.get(self.last as usize) == Some(device) {
            return Ok(self.last);
        }
        self.last = match self.numbers.get(device) {
            Some(number) => *number,
            None => {
                let number = number(self.list.len(), MAX_DEVICES, "devices")?;
                self.list.push(device.clone());
                self.numbers.insert(device.clone(), number);
                number
            }
        };
        Ok(self.last)
    }

    pub(crate) fn find(&self, device: &Device) -> Option<u32> {
        self.numbers.get(device).copied()
    }

    /// The device of a number that [`Devices::intern`] gave out.
    pub(crate) fn get(&self, number: u32) -> Device {
        self.list[number as usize].clone()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Device> {
        self.list.iter()
    }
}

/// Subscribers by dense numbers, each with its newest entry.
#[derive(Default)]
pub(crate) struct Holders {
    realms: Vec<Realm>,
    realm_numbers: HashMap<Realm, u32>,
    last_realm: u32,
    slots: Vec<Slot>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

#[derive(Clone, Copy)]
struct Slot {
    key: Key,
    newest: u32,
}

/// A subscriber in 20 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    internal: [u8; 16],
    /// Above the lowest bit, which says IPv6.
    realm: u32,
}

/// No entry.
const NONE: u32 = u32::MAX;

impl Holders {
    pub(crate) fn intern(&mut self, subscriber: &Subscriber) -> Result<u32, TooLarge> {
        let realm = self.intern_realm(subscriber.realm())?;
        let key = Key::new(realm, subscriber.internal());
        if let Some(number) = self.lookup(key) {
            return Ok(number);
        }
        let number = number(self.slots.len(), NONE as usize, "subscribers")?;
        self.slots.push(Slot { key, newest: NONE });
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.numbers
            .insert_unique(hasher.hash_one(key), number, |number| {
                hasher.hash_one(slots[*number as usize].key)
            });
        Ok(number)
    }

    pub(crate) fn find(&self, subscriber: &Subscriber) -> Option<u32> {
        let realm = *self.realm_numbers.get(subscriber.realm())?;
        self.lookup(Key::new(realm, subscriber.internal()))
    }

    /// The subscriber of a number that [`Holders::intern`] gave out.
    pub(crate) fn get(&self, number: u32) -> Subscriber {
        let key = self.slots[number as usize].key;
        let realm = self.realms[(key.realm >> 1) as usize].clone();
        let v6 = Ipv6Addr::from(key.internal);
        let internal = if key.realm & 1 == 1 {
            IpAddr::V6(v6)
        } else {
            let [.., a, b, c, d] = key.internal;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        };
        Subscriber::new(realm, internal)
    }

    pub(crate) fn newest(&self, number: u32) -> Option<u32> {
        let newest = self.slots.get(number as usize)?.newest;
        (newest != NONE).then_some(newest)
    }

    pub(crate) fn set_newest(&mut self, number: u32, entry: u32) {
        if let Some(slot) = self.slots.get_mut(number as usize) {
            slot.newest = entry;
        }
    }

    fn lookup(&self, key: Key) -> Option<u32> {
        let same = |number: &u32| self.slots[*number as usize].key == key;
        self.numbers.find(self.hasher.hash_one(key), same).copied()
    }

    fn intern_realm(&mut self, realm: &Realm) -> Result<u32, TooLarge> {
        if self.realms.get(self.last_realm as usize) == Some(realm) {
            return Ok(self.last_realm);
        }
        self.last_realm = match self.realm_numbers.get(realm) {
            Some(number) => *number,
            None => {
                let number = number(self.realms.len(), 1 << 31, "realms")?;
                self.realms.push(realm.clone());
                self.realm_numbers.insert(realm.clone(), number);
                number
            }
        };
        Ok(self.last_realm)
    }
}

impl Key {
    fn new(realm: u32, internal: IpAddr) -> Self {
        match internal {
            IpAddr::V4(address) => {
                let mut internal = [0; 16];
                internal[12..].copy_from_slice(&address.octets());
                Self {
                    internal,
                    realm: realm << 1,
                }
            }
            IpAddr::V6(address) => Self {
                internal: address.octets(),
                realm: realm << 1 | 1,
            },
        }
    }
}

fn number(len: usize, limit: usize, what: &'static str) -> Result<u32, TooLarge> {
    match u32::try_from(len) {
        Ok(number) if len < limit => Ok(number),
        _ => Err(TooLarge(what)),
    }
}
