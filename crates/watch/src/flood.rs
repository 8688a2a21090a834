//! What is written while more connections come than the operator wants in the log.

use std::{
    collections::BTreeMap,
    fmt,
    hash::BuildHasher,
    net::IpAddr,
    num::{NonZeroU32, NonZeroU64},
    str::FromStr,
};

use ipnet::IpNet;
use portledger_model::{Span, Timestamp};
use portledger_servers::connection_log::{LeftOut, Why};
use thiserror::Error;

/// From how many connections a second on a flood is one, and what is then done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// So many connections of a second are written whatever comes.
    pub limit: NonZeroU64,
    /// What becomes of the rest.
    pub rest: Rest,
}

/// What becomes of the connections beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// One of so many sources is kept, with all its connections. A keyed hash chooses them, so
    /// that nobody can choose to be left out, nor to be kept.
    Sample(NonZeroU32),
    /// They are counted by source prefix (/24, IPv6 /48) and second.
    Aggregate,
}

/// A text that is no [`Rest`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is no rule for floods; write sample:16 to keep one source of 16, or aggregate")]
pub struct NotRest(String);

impl FromStr for Rest {
    type Err = NotRest;

    fn from_str(text: &str) -> Result<Self, NotRest> {
        if text == "aggregate" {
            return Ok(Self::Aggregate);
        }
        let one_of = text
            .strip_prefix("sample:")
            .and_then(|one| one.parse().ok());
        one_of
            .map(Self::Sample)
            .ok_or_else(|| NotRest(text.to_owned()))
    }
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sample(one_of) => write!(f, "sample:{one_of}"),
            Self::Aggregate => f.write_str("aggregate"),
        }
    }
}

/// How many prefixes are counted apart in a second; the rest are counted together.
const PREFIXES: usize = 4_096;

/// The connections of the current second.
pub(crate) struct Flood {
    rule: Option<Rule>,
    second: i64,
    written: u64,
    /// Beyond the prefixes that have a count of their own, or all of them.
    others: Option<Left>,
    prefixes: BTreeMap<IpNet, Left>,
}

/// How many were left out, from the first to the last.
#[derive(Clone, Copy)]
struct Left {
    from: Timestamp,
    to: Timestamp,
    connections: u64,
}

impl Flood {
    pub(crate) fn new(rule: Option<Rule>) -> Self {
        Self {
            rule,
            second: 0,
            written: 0,
            others: None,
            prefixes: BTreeMap::new(),
        }
    }

    /// Whether a connection from `source` is to be written. What an earlier second left out goes
    /// to `told`.
    pub(crate) fn takes(
        &mut self,
        at: Timestamp,
        source: IpAddr,
        hasher: &impl BuildHasher,
        told: &mut impl FnMut(LeftOut),
    ) -> bool {
        let Some(rule) = self.rule else {
            return true;
        };
        let second = at.as_micros().div_euclid(1_000_000);
        // Records of balancers come late: they count as of now. Much later is a clock set back.
        if second > self.second || self.second - second > 60 {
            self.tell(told);
            (self.second, self.written) = (second, 0);
        }
        let is_kept = self.written < rule.limit.get()
            || match rule.rest {
                Rest::Aggregate => false,
                Rest::Sample(one_of) => hasher
                    .hash_one(source)
                    .is_multiple_of(u64::from(one_of.get())),
            };
        if is_kept {
            self.written += 1;
        } else {
            self.leave_out(at, source, rule.rest);
        }
        is_kept
    }

    fn leave_out(&mut self, at: Timestamp, source: IpAddr, rest: Rest) {
        let own = prefix(source).filter(|prefix| {
            rest == Rest::Aggregate
                && (self.prefixes.len() < PREFIXES || self.prefixes.contains_key(prefix))
        });
        match own {
            Some(prefix) => self
                .prefixes
                .entry(prefix)
                .or_insert(Left::none(at))
                .add(at),
            None => self.others.get_or_insert(Left::none(at)).add(at),
        }
    }

    /// Tells what was left out before `at`, where its second is over.
    pub(crate) fn tick(&mut self, at: Timestamp, told: &mut impl FnMut(LeftOut)) {
        if at.as_micros().div_euclid(1_000_000) != self.second {
            self.tell(told);
        }
    }

    /// Tells all that was left out and not told.
    pub(crate) fn tell(&mut self, told: &mut impl FnMut(LeftOut)) {
        let sampled = matches!(
            self.rule,
            Some(Rule {
                rest: Rest::Sample(_),
                ..
            })
        );
        let why = if sampled {
            Why::Sampled
        } else {
            Why::Aggregated
        };
        let prefixes = std::mem::take(&mut self.prefixes).into_iter();
        let prefixes = prefixes.map(|(prefix, left)| (Some(prefix), left));
        for (source, left) in prefixes.chain(self.others.take().map(|left| (None, left))) {
            told(LeftOut {
                from: left.from,
                to: left.to,
                connections: left.connections,
                source,
                why,
            });
        }
    }
}

impl Left {
    const fn none(at: Timestamp) -> Self {
        Self {
            from: at,
            to: at,
            connections: 0,
        }
    }

    fn add(&mut self, at: Timestamp) {
        self.from = self.from.min(at);
        self.to = self.to.max(at);
        self.connections += 1;
    }
}

/// The network that a flood's source is counted under.
fn prefix(source: IpAddr) -> Option<IpNet> {
    let length = if source.is_ipv4() { 24 } else { 48 };
    IpNet::new(source, length).ok().map(|net| net.trunc())
}

/// The instants of what was left out, the last one included.
pub(crate) fn span(left_out: &LeftOut) -> Span {
    let (from, to) = (
        left_out.from.min(left_out.to),
        left_out.from.max(left_out.to),
    );
    Span::new(from, to.after(Span::TICK))
}

#[cfg(test)]
mod tests {
    use std::{
        hash::{BuildHasherDefault, DefaultHasher},
        net::Ipv4Addr,
        time::Duration,
    };

    use super::*;

    fn rule(limit: u64, rest: &str) -> Option<Rule> {
        Some(Rule {
            limit: limit.try_into().unwrap(),
            rest: rest.parse().unwrap(),
        })
    }

    /// So many a second for some seconds, each from another address; kept sources and marks.
    fn run(rule: Option<Rule>, rate: u32, seconds: u32) -> (Vec<IpAddr>, Vec<LeftOut>) {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let mut flood = Flood::new(rule);
        let (mut kept, mut left) = (Vec::new(), Vec::new());
        for number in 0..rate * seconds {
            let at = Timestamp::from_secs(1_000)
                .after(Duration::from_secs(1) / rate * (number % rate))
                .after(Duration::from_secs((number / rate).into()));
            let source = IpAddr::V4(Ipv4Addr::from(0x0A00_0000 + number % rate));
            if flood.takes(at, source, &hasher, &mut |one| left.push(one)) {
                kept.push(source);
            }
        }
        flood.tell(&mut |one| left.push(one));
        (kept, left)
    }

    #[test]
    fn nothing_is_left_out_without_a_rule_or_below_its_limit() {
        for rule in [None, rule(500, "aggregate"), rule(500, "sample:4")] {
            let (kept, left) = run(rule, 500, 2);
            assert_eq!((kept.len(), left.len()), (1_000, 0), "{rule:?}");
        }
    }

    #[test]
    fn a_sample_keeps_whole_sources_and_says_how_many_connections_it_left_out() {
        let (kept, left) = run(rule(1, "sample:16"), 4_096, 2);
        assert_eq!(left.len(), 2);
        let missing: u64 = left.iter().map(|left| left.connections).sum();
        assert_eq!(kept.len() as u64 + missing, 8_192);
        // The first of each second is below the limit.
        let kept: Vec<IpAddr> = kept.into_iter().collect();
        let (first, second) = kept.split_at(kept.len() / 2);
        assert_eq!(first, second, "the same sources are kept in each second");
        assert!((150..400).contains(&first.len()), "{}", first.len());
        assert!(
            left.iter()
                .all(|left| left.why == Why::Sampled && left.source.is_none())
        );
    }

    #[test]
    fn aggregates_are_by_prefix_and_second_with_nothing_missing() {
        let (kept, left) = run(rule(100, "aggregate"), 1_000, 2);
        assert_eq!(kept.len(), 200);
        let missing: u64 = left.iter().map(|left| left.connections).sum();
        assert_eq!(missing, 1_800);
        assert_eq!(left.len(), 8, "four /24 in each of two seconds");
        assert!(
            left.iter()
                .all(|left| left.source.is_some_and(|net| net.prefix_len() == 24))
        );
    }

    #[test]
    fn too_many_prefixes_are_counted_together() {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let mut flood = Flood::new(rule(1, "aggregate"));
        let mut left = Vec::new();
        for number in 0..10_001_u32 {
            let source = IpAddr::V4(Ipv4Addr::from(number << 8));
            flood.takes(Timestamp::EPOCH, source, &hasher, &mut |one| left.push(one));
        }
        flood.tell(&mut |one| left.push(one));
        assert_eq!(left.len(), PREFIXES + 1);
        assert_eq!(
            left.iter().map(|left| left.connections).sum::<u64>(),
            10_000
        );
        assert_eq!(left.iter().filter(|left| left.source.is_none()).count(), 1);
    }

    #[test]
    fn rules_are_read_and_written() {
        for text in ["sample:16", "aggregate"] {
            assert_eq!(text.parse::<Rest>().unwrap().to_string(), text);
        }
        for text in ["sample:0", "sample", "drop", "sample:-1"] {
            assert!(text.parse::<Rest>().is_err(), "{text}");
        }
    }
}
