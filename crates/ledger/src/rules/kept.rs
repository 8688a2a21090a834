//! What the list of sealed days keeps of the records that tell of rules.
//!
//! A rule may be in force for years after the day of the record that told of it, so that record's
//! text is in the list, sealed with its day's key. When that day is deleted and its rule is still
//! needed, the text is sealed anew with the key of a day that stays; else it goes with the day.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use portledger_model::{Record, RecordNumber, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Forgotten, Rules, told};
use crate::{
    Day, Error, Flaw,
    log::keys::{DayKey, Keys},
    manifest::{DayState, Manifest},
    record::text,
};

/// A record that tells of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Telling {
    /// The record's number.
    pub(crate) record: u64,
    /// The day whose key seals its text.
    #[serde(with = "day")]
    pub(crate) day: Day,
    #[serde(flatten)]
    body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Body {
    /// Of a ledger that is not encrypted.
    Text(String),
    /// Base64 of what the day's key sealed.
    Sealed(String),
}

/// Not Unicode, not Base64, or no record: the list was changed by somebody.
const DAMAGED: Flaw = Flaw::Meaning("a rule in the list of sealed days that cannot be read");

impl Telling {
    /// Seals a record's text.
    pub(crate) fn new(
        number: RecordNumber,
        record: &Record,
        day: Day,
        key: Option<&DayKey>,
    ) -> Result<Self, Error> {
        let mut says = Vec::new();
        text::write(record, &mut says);
        let body = match key {
            None => Body::Text(String::from_utf8(says).map_err(|_| DAMAGED)?),
            Some(key) => {
                let mut sealed = Vec::new();
                key.rules().seal(&place(number, day), &says, &mut sealed)?;
                Body::Sealed(STANDARD.encode(sealed))
            }
        };
        let record = number.0;
        Ok(Self { record, day, body })
    }

    /// The record.
    pub(crate) fn open(&self, keys: &Keys) -> Result<(RecordNumber, Record), Error> {
        let number = RecordNumber(self.record);
        let record = match &self.body {
            Body::Text(says) => text::read(says),
            Body::Sealed(sealed) => {
                let key = keys.get(self.day)?.ok_or(Flaw::Sealed(self.day))?;
                let mut sealed = STANDARD.decode(sealed).map_err(|_| DAMAGED)?;
                let opened = key.rules().open(&place(number, self.day), &mut sealed);
                let says = opened.map_err(|_| Flaw::Key(self.day))?;
                std::str::from_utf8(says).ok().and_then(text::read)
            }
        };
        Ok((number, record.ok_or(DAMAGED)?))
    }
}

/// What a sealed text is bound to: it does not pass for another's.
fn place(number: RecordNumber, day: Day) -> [u8; 12] {
    let mut place = [0; 12];
    place[..8].copy_from_slice(&number.0.to_le_bytes());
    place[8..].copy_from_slice(&day.number().to_le_bytes());
    place
}

impl Rules {
    /// The rules that a list of sealed days knows of.
    pub(crate) fn of(
        manifest: &Manifest,
        calendar: crate::Calendar,
        keys: &Keys,
    ) -> Result<Self, Error> {
        let deleted = manifest
            .days
            .iter()
            .filter(|(_, entry)| matches!(entry.state, DayState::Deleted | DayState::Deleting));
        let mut rules = Self::forgetting(Forgotten {
            until: manifest.rules_from,
            days: deleted.map(|(day, _)| calendar.span(*day)).collect(),
        });
        for telling in &manifest.rules {
            let (number, record) = telling.open(keys)?;
            rules.apply(number, &record);
        }
        Ok(rules)
    }
}

/// The texts of a list, opened, to be changed together.
pub(crate) struct Tellings(Vec<(Telling, Record)>);

impl Tellings {
    pub(crate) fn open(tellings: &[Telling], keys: &Keys) -> Result<Self, Error> {
        let opened = tellings.iter().map(|telling| {
            let (_, record) = telling.open(keys)?;
            Ok((telling.clone(), record))
        });
        Ok(Self(opened.collect::<Result<_, Error>>()?))
    }

    pub(crate) fn push(&mut self, telling: Telling, record: Record) {
        self.0.push((telling, record));
    }

    /// Leaves out what was over by a time. Returns how many rules that were.
    pub(crate) fn forget_before(&mut self, until: Timestamp) -> u64 {
        let rules = self.rules();
        let mut gone = 0;
        self.0.retain(|(_, record)| {
            let stays = until < rules.over(record);
            gone += u64::from(!stays && told(record).is_some());
            stays
        });
        gone
    }

    /// Of a rule that is told of again and again, the first record and the last are kept: if the
    /// first is deleted, the last still proves it.
    pub(crate) fn thin(&mut self) {
        self.0.sort_by_key(|(telling, _)| telling.record);
        let all = std::mem::take(&mut self.0);
        let mut kept: Vec<(Telling, Record)> = Vec::with_capacity(all.len());
        let mut places: std::collections::HashMap<_, Vec<usize>> = std::collections::HashMap::new();
        for (telling, record) in all {
            if let Some((rule, from)) = told(&record) {
                let fact = (record.device.clone(), std::sync::Arc::clone(rule), from);
                let known = places.entry(fact).or_default();
                match known.as_slice() {
                    [_, last] => {
                        if let Some(place) = kept.get_mut(*last) {
                            *place = (telling, record);
                        }
                        continue;
                    }
                    _ => known.push(kept.len()),
                }
            }
            kept.push((telling, record));
        }
        self.0 = kept;
    }

    /// Leaves out what is sealed with the key of a day that goes, where another record tells the
    /// same; the rest is sealed with the key of a day that stays.
    pub(crate) fn carry_over(
        &mut self,
        goes: Day,
        stays: Day,
        key: Option<&DayKey>,
    ) -> Result<(), Error> {
        let elsewhere: Vec<Record> = self.told_but_on(goes);
        let is_told = |record: &Record| {
            told(record).is_some_and(|(rule, from)| {
                elsewhere
                    .iter()
                    .any(|other| other.device == record.device && told(other) == Some((rule, from)))
            })
        };
        self.0
            .retain(|(telling, record)| telling.day != goes || !is_told(record));
        for (telling, record) in &mut self.0 {
            if telling.day == goes {
                *telling = Telling::new(RecordNumber(telling.record), record, stays, key)?;
            }
        }
        Ok(())
    }

    fn told_but_on(&self, day: Day) -> Vec<Record> {
        let others = self.0.iter().filter(|(telling, _)| telling.day != day);
        others.map(|(_, record)| record.clone()).collect()
    }

    /// Whether something is sealed with the key of a day.
    pub(crate) fn are_of(&self, day: Day) -> bool {
        self.0.iter().any(|(telling, _)| telling.day == day)
    }

    fn rules(&self) -> Rules {
        let mut rules = Rules::default();
        for (telling, record) in &self.0 {
            rules.apply(RecordNumber(telling.record), record);
        }
        rules
    }

    pub(crate) fn into_list(self) -> Vec<Telling> {
        self.0.into_iter().map(|(telling, _)| telling).collect()
    }
}

mod day {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    use crate::Day;

    pub(super) fn serialize<S: Serializer>(day: &Day, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(day)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::record;
    use portledger_model::{Event, RuleName};

    /// Lists with these bytes are read for ever.
    #[test]
    fn what_the_list_has_is_what_it_was() {
        let ended = record(0, Event::RuleEnded(RuleName::new("west").unwrap()));
        let day: Day = "2026-03-01".parse().unwrap();
        let telling = Telling::new(RecordNumber(17), &ended, day, None).unwrap();
        let json = r#"{"record":17,"day":"2026-03-01","text":"{\"at\":\"1970-01-01T00:00:00.000000Z\",\"device\":\"cgn1\",\"event\":\"rule-ended\",\"rule\":\"west\"}"}"#;
        assert_eq!(serde_json::to_string(&telling).unwrap(), json);
        assert_eq!(serde_json::from_str::<Telling>(json).unwrap(), telling);
        let sealed = r#"{"record":17,"day":"2026-03-01","sealed":"AAAA"}"#;
        let sealed: Telling = serde_json::from_str(sealed).unwrap();
        assert!(matches!(sealed.body, Body::Sealed(_)));
    }
}
