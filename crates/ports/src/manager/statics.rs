//! Ports forwarded for good.

use portledger_model::{Block, Event, PortRange, Timestamp};

use super::Ports;
use crate::{EventNumber, Handle, Inside, StaticMapping};

impl Ports {
    /// The configured static mappings.
    pub fn static_mappings(&self) -> &[StaticMapping] {
        &self.config.static_mappings
    }

    /// Keeps `handle` on the external port of static mapping number `number`, and tells of its
    /// allocation unless the log has that open already.
    pub fn open_static(
        &mut self,
        now: Timestamp,
        number: usize,
        handle: Handle,
        open_already: bool,
    ) -> Option<EventNumber> {
        let mapping = self.config.static_mappings.get(number)?.clone();
        let key = (mapping.external, mapping.external_port, mapping.transport);
        self.statics.insert(key, handle);
        if open_already {
            return Some(EventNumber(0));
        }
        let block = self.static_block(&mapping);
        Some(self.tell(now, Event::Allocated(block)))
    }

    pub(super) fn is_static(&self, inside: Inside, block: &Block) -> bool {
        self.config.static_mappings.iter().any(|mapping| {
            self.static_holder(mapping) == inside && self.static_block(mapping) == *block
        })
    }

    fn static_holder(&self, mapping: &StaticMapping) -> Inside {
        let kind = self.config.subscribers;
        Inside {
            realm: mapping.realm,
            // `Config::check` has found it to be of the kind's family.
            address: kind
                .subscriber(mapping.internal)
                .unwrap_or(mapping.internal),
        }
    }

    /// A static mapping as the ledger knows it: a block of one port.
    pub fn static_block(&self, mapping: &StaticMapping) -> Block {
        Block {
            subscriber: self.subscriber(self.static_holder(mapping)),
            external: mapping.external,
            ports: PortRange::single(mapping.external_port),
            transport: Some(mapping.transport),
        }
    }
}
