//! What the event log says of who holds what: the truth that every translated packet is held to.

use std::net::{IpAddr, Ipv4Addr};

use portledger_model::{Block, Event, Timestamp, Transport};
use portledger_nat::{RealmIndex, Told};
use portledger_ports::MIN_GUARD_TIME;

use crate::scene;

#[derive(Default)]
pub(crate) struct Held {
    open: Vec<Block>,
    rested: Vec<(Timestamp, Block)>,
    told: u64,
    at: Option<Timestamp>,
}

/// An endpoint inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Internal {
    pub(crate) realm: RealmIndex,
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
}

impl Held {
    /// Takes note of events, which must be in order and must not contradict each other.
    pub(crate) fn hear(&mut self, events: &[Told]) {
        for told in events {
            self.told += 1;
            assert_eq!(told.number.0, self.told, "event numbers leave none out");
            assert!(self.at <= Some(told.at), "events are in the order of time");
            self.at = Some(told.at);
            match &told.event {
                Event::Allocated(block) => self.allocated(told.at, block),
                Event::Released { block, .. } => self.released(told.at, block),
                _ => {}
            }
        }
    }

    /// The number of the last event.
    pub(crate) const fn told(&self) -> u64 {
        self.told
    }

    /// Asserts that this external endpoint was this subscriber's.
    pub(crate) fn assert_holds(
        &self,
        internal: Internal,
        external: (Ipv4Addr, u16),
        transport: Transport,
    ) {
        let holds = self.open.iter().any(|block| {
            block.subscriber.realm().as_str() == scene::realm_name(internal.realm)
                && block.subscriber.internal() == IpAddr::V4(internal.address).into()
                && block.external == external.0
                && block.covers(Some(external.1), Some(transport))
        });
        assert!(
            holds,
            "{internal:?} used {external:?} {transport:?}, which it does not hold"
        );
    }

    pub(crate) fn assert_only_static(&self) {
        assert_eq!(
            self.open.len(),
            scene::STATIC_MAPPINGS as usize,
            "{:?}",
            self.open
        );
    }

    fn allocated(&mut self, at: Timestamp, block: &Block) {
        let held_twice = self.open.iter().find(|other| overlap(other, block));
        assert!(held_twice.is_none(), "{block:?} and {held_twice:?} at once");
        let unrested = self.rested.iter().find(|(released, other)| {
            overlap(other, block) && at.since(*released) < MIN_GUARD_TIME
        });
        assert!(
            unrested.is_none(),
            "{block:?} inside the guard time of {unrested:?}"
        );
        self.open.push(block.clone());
    }

    fn released(&mut self, at: Timestamp, block: &Block) {
        let place = self.open.iter().position(|other| other == block);
        let place = place.expect("only what is held is released");
        self.open.swap_remove(place);
        self.rested.push((at, block.clone()));
    }
}

fn overlap(one: &Block, other: &Block) -> bool {
    let same_transport = match (one.transport, other.transport) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    one.external == other.external && one.ports.overlaps(other.ports) && same_transport
}
