//! The names of devices and realms, each written once a file.

use std::collections::HashMap;

use portledger_model::{Device, Realm};

use super::last::Last;

/// The names one log file has defined, in order. Devices and realms share the table.
#[derive(Default)]
pub(crate) struct Names {
    defined: Vec<(Device, Realm)>,
    numbers: HashMap<String, u32>,
    /// The numbers of those that were used last.
    pub(crate) last_device: Last<Device, u32>,
    pub(crate) last_realm: Last<Realm, u32>,
}

impl Names {
    /// Defines the next name; `false` where it cannot be a name or is defined already.
    pub(crate) fn define(&mut self, name: &str) -> bool {
        let (Ok(device), Ok(realm), Ok(number)) = (
            Device::new(name),
            Realm::new(name),
            u32::try_from(self.defined.len()),
        ) else {
            return false;
        };
        if self.numbers.insert(name.to_owned(), number).is_some() {
            return false;
        }
        self.defined.push((device, realm));
        true
    }

    /// The number of a name.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        // A log has one or two names, nearly always: no hashing for those.
        let near = self.defined.iter().take(4);
        match near
            .zip(0..)
            .find(|((device, _), _)| device.as_str() == name)
        {
            Some((_, number)) => Some(number),
            None if self.defined.len() <= 4 => None,
            None => self.numbers.get(name).copied(),
        }
    }

    pub(crate) fn device(&self, number: u32) -> Option<&Device> {
        self.get(number).map(|(device, _)| device)
    }

    pub(crate) fn realm(&self, number: u32) -> Option<&Realm> {
        self.get(number).map(|(_, realm)| realm)
    }

    fn get(&self, number: u32) -> Option<&(Device, Realm)> {
        self.defined.get(usize::try_from(number).ok()?)
    }
}
