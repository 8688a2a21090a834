//! Realms out of what exporters send: a number, mostly, and the same few again and again.

use std::{collections::HashMap, fmt::Write};

use portledger_model::Realm;

use super::{
    item::BadRecord,
    slots::{Row, Slot},
};

/// So many are kept; a realm beyond costs an allocation each time.
const MAX_KEPT: usize = 4_096;

/// A realm's number, by which it is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Number {
    Vrf(u64),
    Instance(u64),
    Service(u64),
}

/// The realms a session has seen.
///
/// A record's realm is its internalAddressRealm (464), else its ingressVRFID (234) as `vrf7`, else
/// its natInstanceID (463) as `instance7`, Nokia's inside service as `service7`. Without any of
/// them, or where the number is 0, it is `default`: some templates of an exporter have the field
/// and some do not, and both mean the same inside.
#[derive(Debug, Default)]
pub(super) struct Realms {
    default: Realm,
    last: Option<(Number, Realm)>,
    numbers: HashMap<Number, Realm>,
    names: HashMap<Box<[u8]>, Realm>,
}

impl Realms {
    #[inline]
    pub(super) fn of(&mut self, row: Row<'_>) -> Result<Realm, BadRecord> {
        if let Some(name) = row.bytes(Slot::InternalRealm) {
            // NetFlow v9 has no variable length: names are filled up with zeros.
            let end = name
                .iter()
                .rposition(|b| *b != 0)
                .map_or(0, |last| last + 1);
            if let Some(name) = name.get(..end).filter(|name| !name.is_empty()) {
                return self.named(name);
            }
        }
        let number = |slot| row.unsigned(slot).filter(|number| *number != 0);
        let number = if let Some(vrf) = number(Slot::VrfId) {
            Number::Vrf(vrf)
        } else if let Some(instance) = number(Slot::NatInstance) {
            Number::Instance(instance)
        } else if let Some(service) = number(Slot::NokiaService) {
            Number::Service(service)
        } else {
            return Ok(self.default.clone());
        };
        Ok(self.numbered(number))
    }

    fn numbered(&mut self, number: Number) -> Realm {
        if let Some((last, realm)) = &self.last
            && *last == number
        {
            return realm.clone();
        }
        let realm = match self.numbers.get(&number) {
            Some(realm) => realm.clone(),
            None => {
                let name = match number {
                    Number::Vrf(n) => format!("vrf{n}"),
                    Number::Instance(n) => format!("instance{n}"),
                    Number::Service(n) => format!("service{n}"),
                };
                let realm = Realm::new(&name).unwrap_or_else(|_| self.default.clone());
                if self.numbers.len() < MAX_KEPT {
                    self.numbers.insert(number, realm.clone());
                }
                realm
            }
        };
        self.last = Some((number, realm.clone()));
        realm
    }

    /// internalAddressRealm is octets: a name where it can be one, else its hexadecimal digits.
    fn named(&mut self, name: &[u8]) -> Result<Realm, BadRecord> {
        if let Some(realm) = self.names.get(name) {
            return Ok(realm.clone());
        }
        let as_text = std::str::from_utf8(name).ok();
        let realm = match as_text.and_then(|text| Realm::new(text).ok()) {
            Some(realm) => realm,
            None => {
                let mut digits = String::from("realm-");
                for byte in name.iter().take(32) {
                    let _ = write!(digits, "{byte:02x}");
                }
                Realm::new(&digits).map_err(|_| BadRecord::RealmName(name.len()))?
            }
        };
        if self.names.len() < MAX_KEPT {
            self.names.insert(name.into(), realm.clone());
        }
        Ok(realm)
    }
}
