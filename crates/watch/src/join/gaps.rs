//! The times of which the log is known to lack something.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use ipnet::IpNet;
use portledger_model::Span;

/// Gaps that concern everybody, and gaps that concern one network.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    everywhere: Vec<Span>,
    of: HashMap<IpNet, Vec<Span>>,
    /// The lengths of the networks' prefixes.
    lengths: BTreeSet<u8>,
}

impl Gaps {
    pub(super) fn add(&mut self, span: Span, source: Option<IpNet>) {
        match source {
            None => self.everywhere.push(span),
            Some(net) => {
                self.lengths.insert(net.prefix_len());
                self.of.entry(net.trunc()).or_default().push(span);
            }
        }
    }

    /// All are there: from here on they can be asked for.
    pub(super) fn settle(&mut self) {
        settle(&mut self.everywhere);
        self.of.values_mut().for_each(settle);
    }

    /// Whether something of this address may be missing within the window.
    pub(super) fn concern(&self, window: Span, address: IpAddr) -> bool {
        let of_its_networks = || {
            self.lengths.iter().any(|length| {
                IpNet::new(address, *length)
                    .ok()
                    .and_then(|net| self.of.get(&net.trunc()))
                    .is_some_and(|spans| any(spans, window))
            })
        };
        any(&self.everywhere, window) || of_its_networks()
    }
}

/// In order, and none overlaps another.
fn settle(spans: &mut Vec<Span>) {
    spans.sort_unstable_by_key(|span| span.from);
    spans.dedup_by(|later, earlier| {
        let meet = later.from <= earlier.to;
        if meet {
            earlier.to = earlier.to.max(later.to);
        }
        meet
    });
}

fn any(spans: &[Span], window: Span) -> bool {
    let first = spans.partition_point(|span| span.to <= window.from);
    spans.get(first).is_some_and(|span| span.overlaps(window))
}

#[cfg(test)]
mod tests {
    use portledger_model::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn span((from, length): (i64, i64)) -> Span {
        let micros = Timestamp::from_micros;
        Span::new(micros(from), micros(from + length))
    }

    proptest! {
        #[test]
        fn as_if_each_were_looked_at(
            gaps in prop::collection::vec(((0_i64..50, 1_i64..9), 0_u8..4), 0..20),
            window in (0_i64..60, 1_i64..20),
        ) {
            let nets = [None, Some("203.0.113.0/24"), Some("203.0.113.0/28"), Some("2001:db8::/48")];
            let nets = nets.map(|net| net.map(|net| net.parse::<IpNet>().unwrap()));
            let address: IpAddr = "203.0.113.99".parse().unwrap();
            let mut all = Gaps::default();
            let mut expected = false;
            for (gap, which) in gaps {
                let net = nets[usize::from(which)];
                all.add(span(gap), net);
                expected |= span(gap).overlaps(span(window))
                    && net.is_none_or(|net| net.contains(&address));
            }
            all.settle();
            prop_assert_eq!(all.concern(span(window), address), expected);
        }
    }
}
