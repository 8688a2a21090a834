//! From rows to allocations.

use portledger_model::{Allocation, Block};

use super::Segment;
use crate::{DeviceNumber, Error, Flaw, Place, Row, layout::allocation as at};

impl Segment {
    /// The allocation of a row: its subscriber and device by name.
    ///
    /// # Errors
    /// When the segment cannot be read, or the row is not of this segment.
    pub fn allocation(&self, row: &Row) -> Result<Allocation, Error> {
        let DeviceNumber(device) = row.device;
        let device = self.devices.get(usize::from(device)).cloned();
        let unknown = || Flaw::Mismatch("a device that the dictionary does not have");
        let device = device.ok_or_else(|| self.allocations.damaged(Place::default(), unknown()))?;
        Ok(Allocation {
            block: Block {
                subscriber: self.subscriber(row.subscriber)?,
                external: row.external,
                ports: row.ports,
                transport: row.transport,
            },
            from: row.from,
            to: row.to,
            device,
            record: row.opened,
        })
    }

    /// The number of each device in the dictionary of a row group.
    pub(super) fn group_devices(&self, group: u32) -> Result<&[u16], Error> {
        let Some(slot) = self.group_devices.get(group as usize) else {
            return Ok(&[]);
        };
        if let Some(devices) = slot.get() {
            return Ok(devices);
        }
        let texts = self.allocations.read_dictionary(group, at::DEVICE)?;
        let number = |name: Option<&str>| {
            let place = self
                .devices
                .binary_search_by(|device| Some(device.as_str()).cmp(&name));
            place.ok().and_then(|place| u16::try_from(place).ok())
        };
        let devices: Option<Vec<u16>> = (0..texts.len()).map(|at| number(texts.get(at))).collect();
        let devices = devices.ok_or_else(|| {
            let place = Place {
                group: Some(group),
                ..Place::default()
            };
            self.allocations.damaged(
                place,
                Flaw::Mismatch("a device that is not among the file's"),
            )
        })?;
        Ok(slot.get_or_init(|| devices))
    }
}
