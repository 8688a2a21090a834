//! What the tests of this crate share: evidence in memory, and short ways to tell a story.

use std::{convert::Infallible, net::Ipv4Addr, time::Duration};

use portledger_model::{
    Allocation, Block, Coverage, Destination, Device, Evidence, External, Gap, GapReason, Moment,
    Nearest, PortRange, Realm, RecordNumber, Sighting, Source, Span, Subscriber, Timestamp,
    Transport, Zone,
};

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

    fn coverage(&self, _: Ipv4Addr, span: Span, _: Timestamp) -> Result<Coverage, Infallible> {
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
