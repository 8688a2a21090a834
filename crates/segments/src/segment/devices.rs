//! The devices of a file: texts in it, numbers outside.

use std::sync::OnceLock;

use portledger_model::Device;

use crate::{DeviceNumber, Error, Flaw, Place, table::Table};

/// The devices of a file and, for each row group, the number of each in the group's dictionary.
pub(super) struct Devices {
    /// By number.
    pub(super) all: Vec<Device>,
    groups: Vec<OnceLock<Vec<u16>>>,
    column: usize,
}

impl Devices {
    /// Of a file whose devices stand in `column`.
    pub(super) fn of(table: &Table, column: usize) -> Result<Self, Error> {
        let all: Result<Vec<_>, _> = table
            .stamp
            .devices
            .iter()
            .map(|name| Device::new(name))
            .collect();
        let nameless = Flaw::Meaning("a device of no name");
        Ok(Self {
            all: all.map_err(|_| table.damaged(Place::default(), nameless))?,
            groups: (0..table.groups()).map(|_| OnceLock::new()).collect(),
            column,
        })
    }

    /// The number of the device at a place of a row group's dictionary.
    pub(super) fn number(
        &self,
        table: &Table,
        group: u32,
        place: u32,
    ) -> Result<Option<DeviceNumber>, Error> {
        let numbers = self.group(table, group)?;
        Ok(numbers.get(place as usize).copied().map(DeviceNumber))
    }

    fn group(&self, table: &Table, group: u32) -> Result<&[u16], Error> {
        let Some(slot) = self.groups.get(group as usize) else {
            return Ok(&[]);
        };
        if let Some(numbers) = slot.get() {
            return Ok(numbers);
        }
        let texts = table.read_dictionary(group, self.column)?;
        let number = |name: Option<&str>| {
            let place = self
                .all
                .binary_search_by(|device| Some(device.as_str()).cmp(&name));
            place.ok().and_then(|place| u16::try_from(place).ok())
        };
        let numbers: Option<Vec<u16>> = (0..texts.len()).map(|at| number(texts.get(at))).collect();
        let numbers = numbers.ok_or_else(|| {
            let place = Place {
                group: Some(group),
                ..Place::default()
            };
            table.damaged(
                place,
                Flaw::Mismatch("a device that is not among the file's"),
            )
        })?;
        Ok(slot.get_or_init(|| numbers))
    }
}
