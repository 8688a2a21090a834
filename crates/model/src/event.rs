//! What a NAT device says happened.

use std::{sync::Arc, time::Duration};

use crate::{Block, Device, Rule, RuleName, Subscriber, Timestamp, Transport};

/// An [`Event`] with its time and its device: what the ledger keeps, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it happened, by the device's clock.
    pub at: Timestamp,
    /// The device it happened on.
    pub device: Device,
    /// What happened.
    pub event: Event,
}

/// What a NAT device says happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The device began (again) to translate.
    Started(Start),
    /// The log of a device begins here that ran already: what it held by then is not known.
    Joined {
        /// How far the device's clock may be off, either way.
        clock_error: Duration,
    },
    /// The device stopped of its own will; nothing is translated until it has started again.
    /// Blocks that are held stay held.
    Stopped,
    /// The device is alive and everything before this was written down.
    Heartbeat,
    /// Events of the device were lost between `since` and this record's time: whoever received
    /// them noticed, by a sequence number or by a socket that overflowed.
    Lost {
        /// When the last event before the loss happened.
        since: Timestamp,
        /// How many were lost, where that is known.
        events: Option<u64>,
    },
    /// A block was handed out (RFC 8158 natEvent 16).
    Allocated(Block),
    /// A block is still held: an interim record, so that a lost event or a deleted day costs
    /// nothing.
    Held {
        /// What is held, and by whom.
        block: Block,
        /// When it was handed out.
        since: Timestamp,
    },
    /// A block was given back and begins its rest (RFC 8158 natEvent 17).
    Released {
        /// What was held, and by whom.
        block: Block,
        /// When it was handed out.
        since: Timestamp,
    },
    /// A subscriber reached a limit (RFC 8158 natEvent 13); said once until it has eased again.
    LimitReached {
        /// Whose limit.
        subscriber: Subscriber,
        /// Which limit.
        limit: Limit,
    },
    /// No rested block is left for whoever asks (RFC 8158 natEvent 12); said once until it has
    /// eased again. Refused subscribers are counted, never served from a block at rest.
    PoolExhausted {
        /// Blocks in the pool.
        blocks: u32,
        /// Of these, blocks released too short a time ago.
        resting: u32,
    },
    /// The pool's use crossed a threshold (RFC 8158 natEvent 18).
    PoolThreshold {
        /// Which threshold was crossed.
        level: Level,
        /// Blocks held or at rest.
        in_use: u32,
        /// Blocks in the pool.
        blocks: u32,
    },
    /// A rule is in force from now on, and what was in force under its name no longer is.
    RuleBegan(Arc<Rule>),
    /// A rule is still in force: an interim record, so that a deleted day costs nothing.
    RuleHeld {
        /// The rule.
        rule: Arc<Rule>,
        /// Since when it is in force.
        since: Timestamp,
    },
    /// Nothing is in force under this name any more.
    RuleEnded(RuleName),
}

/// What holds from a device's start on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// How far the device's clock may be off, either way.
    pub clock_error: Duration,
    /// How long a released block rests before somebody else may have it.
    pub guard_time: Duration,
    /// What a crash may have cost the log, since the record before this one.
    pub durability: Durability,
    /// The ports' past is known: there was none, or the state before the last stop or crash was
    /// read back. Otherwise the time before this start is a gap.
    pub continues: bool,
    /// The device promises a record at least so often; a longer silence is a gap. `None` where it
    /// promises nothing of the kind.
    pub heartbeat: Option<Duration>,
}

/// What the device promises of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// No port goes out before its block's event is on the disk: a crash loses nothing.
    LogBeforeUse,
    /// Events reach the disk within this time: a crash loses at most so much of them.
    BoundedLoss(Duration),
}

/// A limit of one subscriber (RFC 6888 REQ-4, REQ-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Blocks held at once.
    Blocks,
    /// Ports in use at once for one transport (RFC 6888 REQ-4B).
    Ports(Transport),
    /// New mappings a second (RFC 6888 REQ-4C).
    Rate,
    /// State entries held at once (RFC 6888 REQ-5).
    State,
}

/// A threshold of the pool's use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Use rose to the high-water mark.
    High,
    /// Use fell back to the low-water mark.
    Low,
}
