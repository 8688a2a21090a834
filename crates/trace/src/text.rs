//! Answers for people at a terminal.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use portledger_model::{Allocation, ByRule, Gap, PortSet, Span};

use crate::{Answer, Joined, Margin, Query, Verdict, query::TICK};

/// Allocations that people are shown. As many share an address where each has 63 ports.
const LISTED: usize = 1_024;

impl<I: fmt::Display> Joined<'_, I> {
    /// As [`Answer::text`], with a line for each identity that is known. Discloses those too.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let answer = self.answer();
        if let Some(source) = &answer.source {
            writeln!(out, "{}, line {}", source.file, source.line)?;
        }
        answer.write_claim(out)?;
        if answer.verdict == Verdict::Unknown && !answer.allocations.is_empty() {
            writeln!(out, "\nWhat is recorded, which may not be all of it:")?;
        }
        for (allocation, identity) in self.allocations().take(LISTED) {
            out.push('\n');
            write_allocation(out, allocation, identity)?;
        }
        let more = answer.allocations.len().saturating_sub(LISTED);
        if more > 0 {
            writeln!(
                out,
                "\nand {more} more, which are not listed: ask with the port, or for JSON"
            )?;
        }
        out.push('\n');
        answer.write_margin(out)?;
        answer.write_coverage(out)
    }
}

impl Answer {
    /// The answer in words, lines ended by a line feed. Discloses subscribers' addresses: record
    /// the question first.
    pub fn text(&self) -> String {
        Joined::<&str>::without(self).text()
    }

    /// The verdict and what it means; without a port, the number of holders first.
    fn write_claim(&self, out: &mut String) -> fmt::Result {
        let query = Asked(&self.query);
        if self.query.port.is_none() {
            let candidates = self.candidates();
            let plural = if candidates == 1 { "" } else { "s" };
            // Where the log is not complete there may have been more.
            let recorded = if self.verdict == Verdict::Unknown {
                " recorded"
            } else {
                ""
            };
            write!(out, "{candidates} subscriber{plural}{recorded}; ")?;
        }
        match self.verdict {
            Verdict::Unique => writeln!(out, "unique: one subscriber held {query}"),
            Verdict::Ambiguous => writeln!(
                out,
                "ambiguous: any of {} subscribers may have used {query}",
                self.candidates()
            ),
            Verdict::None => writeln!(out, "none: nobody held {query}"),
            Verdict::Unknown => writeln!(
                out,
                "unknown: the log is not known to be complete, so nothing is claimed of {query}"
            ),
        }
    }

    fn write_margin(&self, out: &mut String) -> fmt::Result {
        if matches!(self.verdict, Verdict::Ambiguous | Verdict::Unknown) {
            return writeln!(
                out,
                "margin      none: there is no one answer that could stay"
            );
        }
        let Margin { earlier, later } = self.margin;
        writeln!(
            out,
            "margin      if the sighting's clock was fast (the true time is earlier), this answer {}\n\
             \x20           if the sighting's clock was slow (the true time is later), this answer {}",
            Stays(earlier),
            Stays(later)
        )
    }

    fn write_coverage(&self, out: &mut String) -> fmt::Result {
        for window in &self.windows {
            writeln!(
                out,
                "looked at   {} to {} by the devices' clocks",
                window.from,
                window.to.before(TICK)
            )?;
        }
        if self.gaps.is_empty() {
            return writeln!(out, "coverage    the log is complete for this time");
        }
        self.gaps
            .iter()
            .try_for_each(|gap| self.write_gap(out, gap))
    }

    /// A gap that goes on to the window's end is shown up to the window's last instant.
    fn write_gap(&self, out: &mut String, gap: &Gap) -> fmt::Result {
        let Span { from, to } = gap.span;
        let cut = self.windows.iter().any(|window| window.to == to);
        let to = if cut { to.before(TICK) } else { to };
        write!(out, "gap         {from} to {to}")?;
        if let Some(device) = &gap.device {
            write!(out, ", device {device}")?;
        }
        writeln!(out, ": {}", gap.reason)
    }
}

fn write_allocation(
    out: &mut String,
    allocation: &Allocation,
    identity: Option<&impl fmt::Display>,
) -> fmt::Result {
    let block = &allocation.block;
    writeln!(
        out,
        "subscriber  {} in realm {}",
        block.subscriber.internal(),
        block.subscriber.realm()
    )?;
    if let Some(identity) = identity {
        writeln!(out, "identity    {identity}")?;
    }
    write!(
        out,
        "held        {} ports {}, ",
        block.external, block.ports
    )?;
    match block.transport {
        Some(transport) => writeln!(out, "{transport} only")?,
        None => writeln!(out, "any transport")?,
    }
    if let Some(by_rule) = &allocation.by_rule {
        let ByRule { name, ports } = &**by_rule;
        write!(out, "rule        {name}: {} ports in all", ports.count())?;
        match ports {
            PortSet::Range(_) => writeln!(out)?,
            scattered => writeln!(out, ", {scattered}")?,
        }
    }
    match allocation.to {
        None if allocation.by_rule.is_some() => writeln!(
            out,
            "time        from {}, in force as far as the ledger knows",
            allocation.from
        )?,
        Some(to) => writeln!(out, "time        from {} until {to}", allocation.from)?,
        None => writeln!(
            out,
            "time        from {}, not released as far as the ledger knows",
            allocation.from
        )?,
    }
    writeln!(
        out,
        "evidence    device {}, record {}",
        allocation.device, allocation.record
    )
}

/// The endpoint and the time asked for.
struct Asked<'a>(&'a Query);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = self.0;
        write!(f, "{}", query.address)?;
        if let Some(port) = query.port {
            write!(f, " port {port}")?;
        }
        if let Some(transport) = query.transport {
            write!(f, " {transport}")?;
        }
        write!(f, " at {}", query.at)?;
        if let Some(or_at) = query.or_at {
            write!(f, " or {or_at} (its local time comes twice)")?;
        }
        write!(f, ", give or take {} s", query.within.as_secs_f64())?;
        if !query.lasted.is_zero() {
            write!(f, ", and for {} s before", query.lasted.as_secs_f64())?;
        }
        Ok(())
    }
}

/// For how wrong a clock an answer stays the same.
struct Stays(Option<Duration>);

impl fmt::Display for Stays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("stays however much, as far as the ledger knows"),
            Some(margin) if margin.as_millis() == 0 => f.write_str("may change at once"),
            Some(margin) => write!(f, "stays for up to {}", RoundedDown(margin)),
        }
    }
}

/// A duration in its two greatest units, never more than it is.
struct RoundedDown(Duration);

impl fmt::Display for RoundedDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
        match (days, hours, minutes, seconds) {
            (0, 0, 0, 0) => write!(f, "{} ms", self.0.subsec_millis()),
            (0, 0, 0, _) => write!(f, "{seconds} s {} ms", self.0.subsec_millis()),
            (0, 0, _, _) => write!(f, "{minutes} min {} s", seconds % 60),
            (0, _, _, _) => write!(f, "{hours} h {} min", minutes % 60),
            _ => write!(f, "{days} d {} h", hours % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use portledger_model::{PortParameters, Realm, RuleName, Subscriber};

    use super::*;
    use crate::{
        ask,
        testing::{ADDRESS, Memory, at, held, sighting, subscriber},
    };

    fn answer(ledger: &Memory, port: Option<u16>, when: &str) -> Answer {
        let query = Query::new(ADDRESS.into(), port, None, at(when), Duration::from_secs(2));
        ask(ledger, &query.unwrap(), at("2026-11-02T00:00:00Z")).unwrap()
    }

    fn handed_on() -> Memory {
        Memory::default()
            .with(held(
                9,
                39_936,
                at("2026-11-01T09:12:44.120Z"),
                Some(at("2026-11-01T14:00:00Z")),
            ))
            .with(held(5, 39_936, at("2026-11-01T14:00:03Z"), None))
    }

    #[test]
    fn one_holder() {
        insta::assert_snapshot!(answer(&handed_on(), Some(40_123), "2026-11-01T12:00:00Z").text());
    }

    #[test]
    fn several_without_a_port() {
        insta::assert_snapshot!(answer(&handed_on(), None, "2026-11-01T14:00:01Z").text());
    }

    #[test]
    fn nobody() {
        insta::assert_snapshot!(answer(&handed_on(), Some(40_123), "2026-11-01T09:12:41Z").text());
    }

    /// One of two who share the address by a rule, with all the ports that are its own.
    #[test]
    fn by_a_rule() {
        let ports = PortSet::Psid(PortParameters::new(6, 8).unwrap(), 0x34);
        let ledger = Memory::default().with(Allocation {
            by_rule: Some(Box::new(ByRule {
                name: RuleName::new("west").unwrap(),
                ports,
            })),
            ..held(9, 1_232, at("2026-03-01T00:00:00Z"), None)
        });
        let answer = answer(&ledger, Some(1_233), "2026-11-01T12:00:00Z");
        insta::assert_snapshot!(answer.text());
        let json = serde_json::to_value(&answer).unwrap();
        assert_eq!(
            json["allocations"][0]["rule"],
            serde_json::json!({"name": "west", "ports": "psid 52 offset 6 length 8", "port_count": 252})
        );
    }

    /// As many as people read; the number is that of all.
    #[test]
    fn a_list_for_people_ends_and_says_so() {
        let mut ledger = Memory::default();
        for n in 0..1_030_u16 {
            let mut held = held(9, 1_024, at("2026-11-01T09:00:00Z"), None);
            let internal = std::net::Ipv4Addr::from_bits(0x6440_0000 + u32::from(n));
            held.block.subscriber = Subscriber::new(Realm::default(), internal.into());
            ledger = ledger.with(held);
        }
        let text = answer(&ledger, None, "2026-11-01T12:00:00Z").text();
        assert!(text.starts_with("1030 subscribers; ambiguous"), "{text}");
        assert_eq!(text.matches("subscriber  ").count(), 1_024);
        assert!(text.contains("and 6 more, which are not listed"), "{text}");
    }

    #[test]
    fn a_gap() {
        let ledger = handed_on().with_gap("2026-11-01T11:59:59Z", "2026-11-01T13:00:00Z");
        insta::assert_snapshot!(answer(&ledger, Some(40_123), "2026-11-01T12:00:00Z").text());
    }

    #[test]
    fn a_sighting_of_a_time_that_comes_twice() {
        let mut seen = sighting("2026-11-01T12:00:00Z");
        seen.or_at = Some(at("2026-11-01T13:00:00Z"));
        seen.lasted = Some(Duration::from_millis(1_500));
        let query = Query::from_sighting(&seen, Duration::from_secs(2)).unwrap();
        let answer = Answer {
            source: Some(seen.source),
            ..ask(&handed_on(), &query, at("2026-11-02T00:00:00Z")).unwrap()
        };
        insta::assert_snapshot!(answer.text());
    }

    #[test]
    fn a_softwire_is_called_one() {
        let mut held = held(9, 39_936, at("2026-11-01T09:12:44.120Z"), None);
        let b4 = "2001:db8::9".parse().unwrap();
        held.block.subscriber = Subscriber::softwire(Realm::default(), b4);
        let ledger = Memory::default().with(held);
        let text = answer(&ledger, Some(40_123), "2026-11-01T12:00:00Z").text();
        let named = "\nsubscriber  softwire 2001:db8::9 in realm default\n";
        assert!(text.contains(named), "{text}");
    }

    #[test]
    fn debug_names_no_subscriber() {
        let answer = answer(&handed_on(), Some(40_123), "2026-11-01T12:00:00Z");
        let address = subscriber(9).internal().to_string();
        assert!(answer.text().contains(&address));
        assert!(!format!("{answer:#?}").contains(&address));
    }

    #[test]
    fn a_margin_is_never_rounded_up() {
        for (millis, words) in [
            (999, "999 ms"),
            (59_999, "59 s 999 ms"),
            (3_599_999, "59 min 59 s"),
            (10_035_880, "2 h 47 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(
                RoundedDown(Duration::from_millis(millis)).to_string(),
                words
            );
        }
    }
}
