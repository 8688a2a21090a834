//! Rules in the list of sealed days: what flushes add to them and deletions leave of them.

use portledger_model::{Record, RecordNumber, Timestamp};

use super::Keeper;
use crate::{
    Day, Error,
    log::keys::DayKey,
    rules::{Telling, Tellings, is_of_rule},
};

impl Keeper {
    /// Takes the records that tell of rules into the list.
    pub(super) fn add_rules<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a (RecordNumber, Record)>,
    ) -> Result<(), Error> {
        let mut new = records
            .into_iter()
            .filter(|(_, record)| is_of_rule(record))
            .peekable();
        if new.peek().is_none() {
            return Ok(());
        }
        let calendar = self.home.settings().calendar;
        let mut tellings = self.tellings()?;
        for (number, record) in new {
            let day = calendar.day_of(record.at);
            let key = self.rules_key(day)?;
            let telling = Telling::new(*number, record, day, key.as_deref())?;
            tellings.push(telling, record.clone());
        }
        tellings.thin();
        self.manifest.rules = tellings.into_list();
        Ok(())
    }

    /// From now on nothing is told by rules of the time before, as far as no case holds it. Returns
    /// how many rules were over by then: the list that is published next has them no more.
    pub(crate) fn forget_rules(&mut self, until: Timestamp) -> Result<u64, Error> {
        if self.manifest.rules.is_empty() {
            return Ok(0);
        }
        let known = self.manifest.rules_from.unwrap_or(Timestamp::MIN);
        let held = self.manifest.holds.iter().filter(|hold| known < hold.to);
        let held = held.map(|hold| hold.from).min();
        let until = until.min(held.unwrap_or(until)).max(known);
        let mut tellings = self.tellings()?;
        let gone = tellings.forget_before(until);
        self.manifest.rules = tellings.into_list();
        self.manifest.rules_from = Some(until);
        Ok(gone)
    }

    /// Seals anew, with the key of a day that stays, what of rules is sealed with that of a day
    /// that goes and is still needed.
    pub(crate) fn carry_rules_over(&mut self, goes: Day, stays: Day) -> Result<(), Error> {
        let mut tellings = self.tellings()?;
        if !tellings.are_of(goes) {
            return Ok(());
        }
        let key = self.rules_key(stays)?;
        // The key is destroyed when the day is, so there must be such a day.
        self.manifest.days.entry(stays).or_default();
        tellings.carry_over(goes, stays, key.as_deref())?;
        self.manifest.rules = tellings.into_list();
        Ok(())
    }

    fn tellings(&self) -> Result<Tellings, Error> {
        Tellings::open(&self.manifest.rules, self.shelf.keys())
    }

    fn rules_key(&self, day: Day) -> Result<Option<std::sync::Arc<DayKey>>, Error> {
        match self.home.settings().encrypted {
            true => self.shelf.keys().get_or_create(day).map(Some),
            false => Ok(None),
        }
    }
}
