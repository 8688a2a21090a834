//! What decides which block a subscriber gets next.

use portledger_model::Timestamp;

use crate::{BlockIndex, Inside, Layout, Refusal};

/// Decides which block a subscriber gets next, and keeps those that nobody may have.
///
/// Two policies exist: [`RestedBlocks`](crate::RestedBlocks) draws at random (RFC 7768) and
/// [`Deterministic`](crate::Deterministic) computes (RFC 7422). Opening ports inside blocks,
/// limits and events are the same for both and live in [`Ports`](crate::Ports).
pub trait BlockPolicy: std::fmt::Debug + Send {
    /// Where this policy's blocks lie.
    fn layout(&self) -> &Layout;

    /// Takes the block that `asker` gets next. Never one that was given back less than the guard
    /// time before `now`, whatever the pressure.
    ///
    /// # Errors
    /// When there is none for this asker.
    fn draw(&mut self, now: Timestamp, asker: Asker<'_>) -> Result<BlockIndex, Refusal>;

    /// Takes `block` back; it begins its rest at `since`, which may be before now (after a
    /// restart) but not after it.
    fn give_back(&mut self, since: Timestamp, block: BlockIndex);

    /// Since when `block` has been at rest, where it still is.
    fn resting_since(&self, block: BlockIndex) -> Option<Timestamp>;

    /// Takes this very block, for whoever held it before a restart. `false` where somebody has it
    /// already.
    fn claim(&mut self, block: BlockIndex) -> bool;

    /// Whether `inside` may have this block at all: not where a rule gives it to another.
    fn may_hold(&self, _inside: Inside, _block: BlockIndex) -> bool {
        true
    }

    /// Takes `block` out of the pool for good: its ports are forwarded statically.
    fn reserve(&mut self, block: BlockIndex);

    /// Whether `block` stays with its holder for good, however long it is idle.
    fn keeps(&self, _block: BlockIndex) -> bool {
        false
    }

    /// Blocks that can be drawn at all, and of these how many can be drawn at `now` and how many
    /// are at rest.
    fn supply(&mut self, now: Timestamp) -> Supply;
}

/// Who asks for a block.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The subscriber.
    pub inside: Inside,
    /// The blocks it holds.
    pub held: &'a [BlockIndex],
}

/// How much a policy has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Supply {
    /// Blocks that are ever drawn.
    pub total: u32,
    /// Blocks that can be drawn now.
    pub rested: u32,
    /// Blocks given back less than the guard time ago.
    pub resting: u32,
}
