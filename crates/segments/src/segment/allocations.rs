//! From rows to allocations.

use portledger_model::{Allocation, Block};

use super::Segment;
use crate::{DeviceNumber, Error, Flaw, Place, Row};

impl Segment {
    /// The allocation of a row: its subscriber and device by name.
    ///
    /// # Errors
    /// When the segment cannot be read, or the row is not of this segment.
    pub fn allocation(&self, row: &Row) -> Result<Allocation, Error> {
        let DeviceNumber(device) = row.device;
        let device = self.devices.all.get(usize::from(device)).cloned();
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
            by_rule: None,
        })
    }
}
