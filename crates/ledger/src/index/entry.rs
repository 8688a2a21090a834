//! Allocations in 44 bytes each.

use std::net::Ipv4Addr;

use portledger_model::{Block, PortRange, RecordNumber, Span, Timestamp, Transport};

use crate::error::TooLarge;

/// Entries of one chunk: chunks are never moved or grown, so that a large index needs no room
/// for a copy of itself.
const CHUNK: usize = 1 << 14;

/// Devices have 24 bits of an entry.
pub(crate) const MAX_DEVICES: usize = 1 << 24;

/// No entry.
const NONE: u32 = u32::MAX;

/// The two lowest bits of the flags are the class of transport.
const CLASS: u32 = 3;
/// The end is that of a release, not a conclusion.
const RELEASED: u32 = 4;
/// The record is that of the allocation itself.
const HANDED: u32 = 8;

/// One allocation. `packed(4)` saves the four bytes that 8-byte alignment would add.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
pub(crate) struct Entry {
    from: i64,
    to: i64,
    record: u64,
    external: u32,
    first: u16,
    last: u16,
    holder: u32,
    previous: u32,
    device_and_flags: u32,
}

impl Entry {
    pub(crate) fn new(
        holder: u32,
        block: &Block,
        from: Timestamp,
        device: u32,
        record: RecordNumber,
    ) -> Self {
        Self {
            from: from.as_micros(),
            to: i64::MAX,
            record: record.0,
            external: block.external.to_bits(),
            first: block.ports.first(),
            last: block.ports.last(),
            holder,
            previous: NONE,
            device_and_flags: device << 8 | class_of(block.transport),
        }
    }

    /// Ends it because others have its ports from `at` on, unless its release is known.
    pub(crate) fn end(&mut self, at: Timestamp) {
        if self.device_and_flags & RELEASED == 0 {
            self.to = at.as_micros();
        }
    }

    /// Ends it with its first release. A clock may have been set back meanwhile.
    pub(crate) fn release(&mut self, at: Timestamp) {
        if self.device_and_flags & RELEASED == 0 {
            self.to = at.as_micros().max(self.from);
            self.device_and_flags |= RELEASED;
        }
    }

    /// The record that handed it out, whatever was heard of it before.
    pub(crate) fn handed(&mut self, record: RecordNumber) {
        if self.device_and_flags & HANDED == 0 {
            self.record = record.0;
            self.device_and_flags |= HANDED;
        }
    }

    /// Makes `previous` the one before it of the same subscriber.
    pub(crate) fn link(&mut self, previous: Option<u32>) {
        self.previous = previous.unwrap_or(NONE);
    }

    pub(crate) fn previous(self) -> Option<u32> {
        (self.previous != NONE).then_some(self.previous)
    }

    pub(crate) fn from(self) -> Timestamp {
        Timestamp::from_micros(self.from)
    }

    /// The end; [`Timestamp::MAX`] while it is open.
    pub(crate) fn to(self) -> Timestamp {
        Timestamp::from_micros(self.to)
    }

    pub(crate) fn is_open(self) -> bool {
        self.to == i64::MAX
    }

    pub(crate) fn is_released(self) -> bool {
        self.device_and_flags & RELEASED != 0
    }

    pub(crate) fn overlaps(self, span: Span) -> bool {
        Span::new(self.from(), self.to()).overlaps(span)
    }

    pub(crate) fn external(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.external)
    }

    pub(crate) fn ports(self) -> PortRange {
        PortRange::new(self.first, self.last).unwrap_or(PortRange::single(self.first))
    }

    /// 0 for all transports, otherwise one more than the transport's index.
    pub(crate) fn class(self) -> u32 {
        self.device_and_flags & CLASS
    }

    pub(crate) fn transport(self) -> Option<Transport> {
        let index = (self.class() as usize).checked_sub(1)?;
        Transport::ALL.get(index).copied()
    }

    pub(crate) fn holder(self) -> u32 {
        self.holder
    }

    pub(crate) fn device(self) -> u32 {
        self.device_and_flags >> 8
    }

    pub(crate) fn record(self) -> RecordNumber {
        RecordNumber(self.record)
    }

    /// Whether both are the same ports in the same hand from the same moment.
    pub(crate) fn is_same(self, other: Self) -> bool {
        (
            self.from,
            self.external,
            self.first,
            self.last,
            self.holder,
            self.class(),
        ) == (
            other.from,
            other.external,
            other.first,
            other.last,
            other.holder,
            other.class(),
        )
    }
}

/// The class of a block for `transport`; see [`Entry::class`].
pub(crate) fn class_of(transport: Option<Transport>) -> u32 {
    match transport {
        None => 0,
        Some(Transport::Tcp) => 1,
        Some(Transport::Udp) => 2,
        Some(Transport::Icmp) => 3,
    }
}

/// All entries, numbered as they come.
#[derive(Default)]
pub(crate) struct Entries {
    chunks: Vec<Vec<Entry>>,
    len: u32,
    /// One bit an entry: whether it is open.
    open: Vec<u64>,
    open_len: u64,
}

impl Entries {
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn open_len(&self) -> u64 {
        self.open_len
    }

    /// The numbers of the open entries, ascending.
    pub(crate) fn open(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.open).flat_map(|(word, bits)| {
            let bits = *bits;
            (0..64)
                .filter(move |bit| bits >> bit & 1 == 1)
                .map(move |bit| word * 64 + bit)
        })
    }

    /// The entry of a number that [`Entries::push`] gave out.
    pub(crate) fn get(&self, id: u32) -> Entry {
        let id = id as usize;
        self.chunks[id / CHUNK][id % CHUNK]
    }

    /// Adds an entry.
    pub(crate) fn push(&mut self, entry: Entry) -> Result<u32, TooLarge> {
        let id = self.len;
        if id == NONE {
            return Err(TooLarge("allocations"));
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            // The first chunk grows as it needs: most ledgers in tests are small.
            let room = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(room));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(entry);
        }
        if id.is_multiple_of(64) {
            self.open.push(0);
        }
        self.len += 1;
        self.note(id, entry.is_open());
        Ok(id)
    }

    /// Changes an entry.
    pub(crate) fn change(&mut self, id: u32, change: impl FnOnce(&mut Entry)) {
        let place = id as usize;
        let entry = &mut self.chunks[place / CHUNK][place % CHUNK];
        change(entry);
        let open = entry.is_open();
        self.note(id, open);
    }

    fn note(&mut self, id: u32, open: bool) {
        let (word, bit) = (&mut self.open[id as usize / 64], 1 << (id % 64));
        match (*word & bit != 0, open) {
            (false, true) => self.open_len += 1,
            (true, false) => self.open_len -= 1,
            _ => return,
        }
        *word ^= bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_44_bytes() {
        assert_eq!(size_of::<Entry>(), 44);
    }
}
