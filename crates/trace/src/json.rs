//! The JSON of answers: the object of `who --json`, in its order.

use std::time::Duration;

use portledger_model::{Allocation, ByRule, Gap, Millis};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::{Answer, Joined, Margin, Outcome, Query};

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Joined::<()>::without(self).serialize(serializer)
    }
}

impl<I: Serialize> Serialize for Joined<'_, I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let answer = self.answer();
        let mut object = serializer.serialize_struct("Answer", 6)?;
        match &answer.source {
            Some(source) => object.serialize_field("source", source)?,
            None => object.skip_field("source")?,
        }
        object.serialize_field("query", &answer.query)?;
        object.serialize_field("verdict", &answer.verdict)?;
        object.serialize_field("allocations", &Held(self))?;
        object.serialize_field("margin_ms", &answer.margin)?;
        object.serialize_field("coverage", &Completeness(&answer.gaps))?;
        object.end()
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Answered(answer) => answer.serialize(serializer),
            Self::Refused(refusal) => {
                let mut object = serializer.serialize_struct("Refusal", 3)?;
                object.serialize_field("source", &refusal.place)?;
                object.serialize_field("refused", refusal.reason.name())?;
                object.serialize_field("reason", &refusal.reason.to_string())?;
                object.end()
            }
        }
    }
}

/// What a sighting adds to its window follows what a person asks, each only where there is one.
impl Serialize for Query {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Query", 8)?;
        object.serialize_field("address", &self.address)?;
        object.serialize_field("port", &self.port)?;
        object.serialize_field("transport", &self.transport)?;
        object.serialize_field("at", &self.at)?;
        object.serialize_field("within_ms", &Millis(self.within))?;
        if let Some(or_at) = self.or_at {
            object.serialize_field("or_at", &or_at)?;
        }
        if !self.resolution.is_zero() {
            object.serialize_field("resolution_ms", &Millis(self.resolution))?;
        }
        if !self.lasted.is_zero() {
            object.serialize_field("lasted_ms", &Millis(self.lasted))?;
        }
        object.end()
    }
}

/// Whole milliseconds, rounded down: never more margin than there is. `null` is without limit.
impl Serialize for Margin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = |side: Option<Duration>| {
            side.map(|side| u64::try_from(side.as_millis()).unwrap_or(u64::MAX))
        };
        let mut object = serializer.serialize_struct("Margin", 2)?;
        object.serialize_field("earlier", &millis(self.earlier))?;
        object.serialize_field("later", &millis(self.later))?;
        object.end()
    }
}

struct Held<'a, I>(&'a Joined<'a, I>);

impl<I: Serialize> Serialize for Held<'_, I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.allocations().map(|(held, who)| Holding(held, who)))
    }
}

struct Holding<'a, I>(&'a Allocation, Option<&'a I>);

impl<I: Serialize> Serialize for Holding<'_, I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Allocation {
            block,
            from,
            to,
            device,
            record,
            by_rule,
        } = self.0;
        let mut object = serializer.serialize_struct("Allocation", 10)?;
        object.serialize_field("subscriber", &block.subscriber)?;
        // Who the customer is, is kept elsewhere and known to fewer people.
        object.serialize_field("identity", &self.1)?;
        object.serialize_field("external", &block.external)?;
        object.serialize_field("ports", &block.ports)?;
        match block.transport {
            Some(transport) => object.serialize_field("transport", &transport)?,
            None => object.serialize_field("transport", "any")?,
        }
        object.serialize_field("from", from)?;
        object.serialize_field("to", to)?;
        object.serialize_field("device", device)?;
        object.serialize_field("record", record)?;
        match by_rule {
            Some(by_rule) => object.serialize_field("rule", &ByItsRule(by_rule))?,
            None => object.skip_field("rule")?,
        }
        object.end()
    }
}

/// The rule's name, all ports that it gives, and how many these are.
struct ByItsRule<'a>(&'a ByRule);

impl Serialize for ByItsRule<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ByRule { name, ports } = self.0;
        let mut object = serializer.serialize_struct("Rule", 3)?;
        object.serialize_field("name", name)?;
        object.serialize_field("ports", &ports.to_string())?;
        object.serialize_field("port_count", &ports.count())?;
        object.end()
    }
}

/// `"complete"`, or an object with the gaps.
struct Completeness<'a>(&'a [Gap]);

impl Serialize for Completeness<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() {
            return serializer.serialize_str("complete");
        }
        let mut object = serializer.serialize_struct("Coverage", 1)?;
        object.serialize_field("gaps", self.0)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Options, ask,
        testing::{ADDRESS, Memory, at, held, sighting},
        trace,
    };
    use portledger_model::{Realm, Subscriber, Transport};

    fn ledger() -> Memory {
        Memory::default().with(held(9, 39_936, at("2026-11-01T09:12:44.120Z"), None))
    }

    fn who(ledger: &Memory, when: &str) -> String {
        let query = Query::new(
            ADDRESS.into(),
            Some(40_123),
            Some(Transport::Tcp),
            at(when),
            Duration::from_secs(2),
        );
        let answer = ask(ledger, &query.unwrap(), at("2026-11-02T00:00:00Z")).unwrap();
        serde_json::to_string(&answer).unwrap()
    }

    fn traced(seen: &portledger_model::Sighting) -> String {
        let options = Options {
            within: Duration::from_secs(2),
            asked_at: at("2026-11-02T00:00:00Z"),
            shifts: None,
        };
        serde_json::to_string(&trace(&ledger(), seen, options).unwrap()).unwrap()
    }

    #[test]
    fn the_object_of_the_design() {
        assert_eq!(
            who(&ledger(), "2026-11-01T12:00:00Z"),
            concat!(
                r#"{"query":{"address":"203.0.113.7","port":40123,"transport":"tcp","at":"2026-11-01T12:00:00.000Z","within_ms":2000},"#,
                r#""verdict":"unique","#,
                r#""allocations":[{"subscriber":{"realm":"default","internal":"100.64.3.9"},"identity":null,"#,
                r#""external":"203.0.113.7","ports":{"first":39936,"last":40191},"transport":"any","#,
                r#""from":"2026-11-01T09:12:44.120Z","to":null,"device":"cgn1","record":"0"}],"#,
                r#""margin_ms":{"earlier":10035880,"later":null},"#,
                r#""coverage":"complete"}"#
            )
        );
    }

    #[test]
    fn a_subscriber_says_of_what_kind_it_is() {
        for (internal, shown) in [
            (
                "2001:db8:1:2::/64",
                r#"{"realm":"default","internal":"2001:db8:1:2::/64"}"#,
            ),
            (
                "softwire 2001:db8::9",
                r#"{"realm":"default","internal":"2001:db8::9","kind":"softwire"}"#,
            ),
        ] {
            let mut held = held(9, 39_936, at("2026-11-01T09:12:44.120Z"), None);
            held.block.subscriber = Subscriber::of(Realm::default(), internal.parse().unwrap());
            let json = who(&Memory::default().with(held), "2026-11-01T12:00:00Z");
            let shown = format!(r#""allocations":[{{"subscriber":{shown},"identity":null,"#);
            assert!(json.contains(&shown), "{json}");
        }
    }

    #[test]
    fn gaps_take_the_place_of_complete() {
        let ledger = ledger().with_gap("2026-11-01T11:00:00Z", "2026-11-01T13:00:00Z");
        let json = who(&ledger, "2026-11-01T12:00:00Z");
        assert!(json.contains(r#""verdict":"unknown""#), "{json}");
        assert!(
            json.contains(r#""margin_ms":{"earlier":0,"later":0}"#),
            "{json}"
        );
        assert!(
            json.ends_with(
                r#""coverage":{"gaps":[{"from":"2026-11-01T11:59:58.000Z","to":"2026-11-01T12:00:02.000001Z","device":"cgn1","reason":"lost-in-crash"}]}}"#
            ),
            "{json}"
        );
    }

    #[test]
    fn a_sighting_puts_its_source_in_front_and_the_rest_of_its_window_behind() {
        let mut seen = sighting("2026-11-01T12:00:00Z");
        seen.or_at = Some(at("2026-11-01T13:00:00Z"));
        seen.lasted = Some(Duration::from_micros(1_500));
        let json = traced(&seen);
        let head = concat!(
            r#"{"source":{"file":"access.log","line":7},"query":{"address":"203.0.113.7","port":40123,"transport":"tcp","#,
            r#""at":"2026-11-01T12:00:00.000Z","within_ms":2000,"or_at":"2026-11-01T13:00:00.000Z","resolution_ms":1000,"lasted_ms":1.5},"#,
            r#""verdict":"unique","#
        );
        assert!(json.starts_with(head), "{json}");
    }

    #[test]
    fn a_refusal_is_an_object_too() {
        let mut seen = sighting("2026-11-01T12:00:00Z");
        seen.at = None;
        let json = traced(&seen);
        let head = r#"{"source":{"file":"access.log","line":7},"refused":"no-time","reason":"the time has no zone"#;
        assert!(json.starts_with(head), "{json}");
    }
}
