//! Taking up again what the ledger says was held and at rest.

use portledger_model::{Block, Event, Timestamp};

use super::{Ports, Restored};
use crate::{BlockIndex, EventNumber, Inside, RealmIndex};

impl Ports {
    /// Takes up what was held before a stop or a crash: each block stays with its holder, empty,
    /// and is released as any idle block. What no longer fits the configuration (another block
    /// size, an address that has gone) is released now and whatever overlaps it rests.
    ///
    /// Call it once, before the first packet.
    pub fn restore(&mut self, now: Timestamp, held: impl IntoIterator<Item = Restored>) {
        for Restored { block, since } in held {
            if !self.restore_one(now, &block, since) {
                self.rest_overlapping(now, &block);
                self.tell(now, Event::Released { block, since });
            }
        }
    }

    /// Makes every block that shares a port with `block` rest from `since` on: it was released
    /// less than the guard time before the restart. Call it after [`Ports::restore`].
    pub fn restore_resting(&mut self, since: Timestamp, block: &Block) {
        self.rest_overlapping(since, block);
    }

    /// Makes every block that nobody holds rest from `now` on: events may have been lost in a
    /// crash, so any of them may have been in use. Call it after [`Ports::restore`].
    pub fn rest_all(&mut self, now: Timestamp) {
        for index in 0..self.layout.count() {
            self.rest(now, BlockIndex(index));
        }
    }

    fn restore_one(&mut self, now: Timestamp, block: &Block, since: Timestamp) -> bool {
        let Some(inside) = self.inside_of(block) else {
            return false;
        };
        if block.transport.is_some() {
            return self.is_static(inside, block);
        }
        let Some(index) = self.layout.exact(block.external, block.ports) else {
            return false;
        };
        if !self.policy.may_hold(inside, index) || !self.policy.claim(index) {
            return false;
        }
        let subscriber = self.subscribers.find_or_add(inside);
        self.hold(index, subscriber, since, EventNumber(0));
        self.idle.push_back((now, index, 0));
        true
    }

    fn inside_of(&self, block: &Block) -> Option<Inside> {
        let realm = self
            .config
            .realms
            .iter()
            .position(|r| r == block.subscriber.realm())?;
        // Under another prefix length than today's it is nobody's.
        let internal = block.subscriber.internal();
        let address = internal.network();
        let today = self.config.subscribers.internal(address)?;
        (today == internal).then_some(Inside {
            realm: RealmIndex(u16::try_from(realm).ok()?),
            address,
        })
    }

    fn rest_overlapping(&mut self, since: Timestamp, block: &Block) {
        let blocks: Vec<BlockIndex> = self
            .layout
            .overlapping(block.external, block.ports)
            .collect();
        for index in blocks {
            self.rest(since, index);
        }
    }

    fn rest(&mut self, since: Timestamp, index: BlockIndex) {
        // Of several reasons to rest, the latest counts.
        let earlier = self.policy.resting_since(index);
        let since = earlier.map_or(since, |earlier| earlier.max(since));
        if self.place(index).is_none() && self.policy.claim(index) {
            self.policy.give_back(since, index);
        }
    }
}
