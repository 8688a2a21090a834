//! The timing wheel's hands and buckets. The entries are links inside the mappings themselves.

/// Seconds since the engine's beginning, for timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Tick(pub(crate) u32);

impl Tick {
    /// The deadline of what has none.
    pub(crate) const NEVER: Self = Self(u32::MAX);

    /// `seconds` later.
    pub(crate) const fn after(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// The mark of "nothing" among numbers of mappings.
pub(crate) const NONE: u32 = u32::MAX;

/// Buckets of one second. A deadline further off than the wheel goes round is looked at once a
/// round and left.
#[derive(Debug)]
pub(crate) struct Wheel {
    heads: Vec<u32>,
}

/// 2 h 16 min: the timer of established TCP fits, so that nothing usual goes round twice.
const BUCKETS: u32 = 8_192;

impl Wheel {
    pub(crate) fn new() -> Self {
        Self {
            heads: vec![NONE; BUCKETS as usize],
        }
    }

    /// The first entry of the bucket for `tick`.
    pub(crate) fn head(&self, tick: Tick) -> u32 {
        self.heads[(tick.0 % BUCKETS) as usize]
    }

    pub(crate) fn set_head(&mut self, tick: Tick, entry: u32) {
        self.heads[(tick.0 % BUCKETS) as usize] = entry;
    }
}
