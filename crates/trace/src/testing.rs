//! What the tests of this crate share: evidence in memory, and short ways to tell a story.

use std::{collections::BTreeSet, convert::Infallible, net::Ipv4Addr, time::Duration};

use portledger_model::{
    Allocation, Block, Coverage, Destination, Device, Evidence, External, Gap, GapReason, Moment,
    Nearest, PortRange, Realm, RecordNumber, Sighting, Source, Span, Subscriber, Timestamp,
    Transport, Zone,
};
use proptest::prelude::*;

use crate::Query;

/// The address that is shared in every test.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// Allocations and gaps in a list, asked by looking at all of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    pub(crate) allocations: Vec<Allocation>,
    pub(crate) gaps: Vec<Span>,
    pub(crate) clock_error: Duration,
}

impl Memory {
    fn of(&self, external: External) -> impl Iterator<Item = &Allocation> {
        self.allocations.iter().filter(move |a| {
            a.block.external == external.address
                && a.block.covers(external.port, external.transport)
        })
    }

    /// Who holds the endpoint at one instant by the devices' clocks.
    pub(crate) fn holders_at(&self, external: External, at: Timestamp) -> BTreeSet<Subscriber> {
        self.of(external)
            .filter(|a| a.span().contains(at))
            .map(|a| a.block.subscriber.clone())
            .collect()
    }

    /// Whether the log is incomplete at one instant.
    pub(crate) fn is_gap(&self, at: Timestamp) -> bool {
        self.gaps.iter().any(|gap| gap.contains(at))
    }

    pub(crate) fn with(mut self, allocation: Allocation) -> Self {
        self.allocations.push(Allocation {
            record: RecordNumber(self.allocations.len() as u64),
            ..allocation
        });
        self
    }

    pub(crate) fn with_gap(mut self, from: &str, to: &str) -> Self {
        self.gaps.push(Span::new(at(from), at(to)));
        self
    }
}

impl Evidence for Memory {
    type Error = Infallible;

    fn holders(&self, external: External, span: Span) -> Result<Vec<Allocation>, Infallible> {
        let mut held: Vec<_> = self
            .of(external)
            .filter(|a| a.span().overlaps(span))
            .cloned()
            .collect();
        held.sort_by_key(|a| a.from);
        Ok(held)
    }

    fn nearest(&self, external: External, at: Timestamp) -> Result<Nearest, Infallible> {
        Ok(Nearest {
            before: self
                .of(external)
                .filter(|a| a.to.is_some_and(|to| to <= at))
                .max_by_key(|a| a.to)
                .cloned(),
            after: self
                .of(external)
                .filter(|a| at < a.from)
                .min_by_key(|a| a.from)
                .cloned(),
        })
    }

    fn coverage(&self, _: External, span: Span, _: Timestamp) -> Result<Coverage, Infallible> {
        Ok(Coverage {
            gaps: self
                .gaps
                .iter()
                .filter(|gap| gap.overlaps(span))
                .map(|gap| Gap {
                    span: *gap,
                    device: Some(Device::new("cgn1").unwrap()),
                    reason: GapReason::LostInCrash,
                })
                .collect(),
            clock_error: self.clock_error,
        })
    }
}

/// A time.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A subscriber by the last byte of the internal address.
pub(crate) fn subscriber(number: u8) -> Subscriber {
    Subscriber::new(Realm::default(), Ipv4Addr::new(100, 64, 3, number).into())
}

/// A block of 256 ports from `first` on, held by `holder`.
pub(crate) fn held(holder: u8, first: u16, from: Timestamp, to: Option<Timestamp>) -> Allocation {
    Allocation {
        block: Block {
            subscriber: subscriber(holder),
            external: ADDRESS,
            ports: PortRange::new(first, first + 255).unwrap(),
            transport: None,
        },
        from,
        to,
        device: Device::new("cgn1").unwrap(),
        record: RecordNumber(0),
        by_rule: None,
    }
}

/// A line of a web server's log: port 40123 over TCP, whole seconds.
pub(crate) fn sighting(when: &str) -> Sighting {
    Sighting {
        source: Source {
            file: "access.log".into(),
            line: 7,
        },
        address: ADDRESS.into(),
        port: Some(40_123),
        transport: Some(Transport::Tcp),
        destination: Destination::default(),
        at: Some(at(when)),
        or_at: None,
        resolution: Duration::from_secs(1),
        zone: Zone::Offset,
        moment: Moment::RequestEnd,
        lasted: None,
    }
}

/// Evidence of a few dozen microseconds, so that a test can look at every instant: up to three
/// subscribers on two blocks, who may even hold the same ports at once, and gaps.
pub(crate) fn small_memory() -> impl Strategy<Value = Memory> {
    let allocation = (1..=3_u8, 0..=1_u16, 0..60_i64, 1..25_i64, 0..8_u8);
    let gap = (-10..80_i64, 1..12_i64);
    (
        prop::collection::vec(allocation, 0..7),
        prop::collection::vec(gap, 0..3),
        0..4_u64,
    )
        .prop_map(|(allocations, gaps, error)| Memory {
            allocations: allocations
                .into_iter()
                .zip(0..)
                .map(|((holder, block, from, length, open), record)| Allocation {
                    record: RecordNumber(record),
                    ..held(
                        holder,
                        block * 256,
                        micros(from),
                        (open > 0).then(|| micros(from + length)),
                    )
                })
                .collect(),
            gaps: gaps
                .into_iter()
                .map(|(from, length)| Span::new(micros(from), micros(from + length)))
                .collect(),
            clock_error: Duration::from_micros(error),
        })
}

/// A question of [`small_memory`].
pub(crate) fn small_query() -> impl Strategy<Value = Query> {
    (
        prop::option::weighted(0.8, 0..512_u16),
        -5..75_i64,
        prop::option::weighted(0.2, -5..75_i64),
        (0..3_u64, 0..4_u64, 0..4_u64),
    )
        .prop_map(|(port, at, or_at, (resolution, lasted, within))| Query {
            address: ADDRESS,
            port,
            transport: None,
            at: micros(at),
            or_at: or_at.map(micros),
            resolution: Duration::from_micros(resolution),
            lasted: Duration::from_micros(lasted),
            within: Duration::from_micros(within),
        })
}

/// A time by its microseconds.
pub(crate) const fn micros(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}
