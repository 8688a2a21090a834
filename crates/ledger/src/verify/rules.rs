//! The rules in the list of sealed days: that records say them, and that none is missing.

use std::collections::HashSet;

use portledger_model::RecordNumber;

use super::Verified;
use crate::{
    Error,
    archive::Archive,
    rules::{Rules, told},
};

pub(super) fn verify(archive: &Archive, verified: &mut Verified) {
    match compare(archive) {
        Ok(wrong) => {
            for what in wrong {
                verified.problem("the list of sealed days", what);
            }
        }
        Err(error) => verified.problem("the rules in the list of sealed days", error),
    }
}

/// Each telling is what its record says, as long as that is there.
fn compare(archive: &Archive) -> Result<Vec<String>, Error> {
    let mut wrong = Vec::new();
    for telling in &archive.manifest().rules {
        let (number, listed) = telling.open(archive.keys())?;
        if archive
            .record(number)?
            .is_some_and(|record| record != listed)
        {
            wrong.push(format!(
                "it has a rule of record {number} that the record does not say"
            ));
        }
    }
    Ok(wrong)
}

/// What the list knows of rules, to be held against the records of a day.
pub(super) struct Listed {
    rules: Rules,
    numbers: HashSet<RecordNumber>,
}

impl Listed {
    pub(super) fn of(archive: &Archive) -> Result<Self, Error> {
        let calendar = archive.home().settings().calendar;
        let rules = Rules::of(archive.manifest(), calendar, archive.keys())?;
        let tellings = archive.manifest().rules.iter();
        let numbers = tellings.map(|telling| RecordNumber(telling.record));
        Ok(Self {
            rules,
            numbers: numbers.collect(),
        })
    }

    /// Whether the list lacks what a record tells of a rule.
    pub(super) fn lacks(
        &self,
        archive: &Archive,
        number: RecordNumber,
        record: &portledger_model::Record,
    ) -> bool {
        let over_by = archive.manifest().rules_from;
        let needed = over_by.is_none_or(|until| until < self.rules.over(record));
        match told(record) {
            _ if self.numbers.contains(&number) || !needed => false,
            Some((rule, from)) => !self.rules.knows(&record.device, rule, from),
            None => crate::rules::is_of_rule(record),
        }
    }
}
