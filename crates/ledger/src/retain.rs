//! Deleting what is past its time: a day's key and files go, its hashes stay.
//!
//! Without its key nothing of a day can be read any more, in no copy or backup either
//! (crypto-shredding). The tree's hashes stay, so that every other record is still proven; they
//! are salted with the key, so that nothing can be guessed from them.

use portledger_model::{Span, Timestamp};
use serde_json::{Map, Value, json};
use std::time::Duration;

use crate::{
    Day, Error, Keeper,
    archive::Archive,
    home::Home,
    journal::{Entries, Entry, Journal},
    log::{
        key_use::Destroying,
        tree::{GROUP, keep_leaves},
    },
    manifest::{DayEntry, DayState, Hold, Run, day_path},
    writer::PATIENCE,
};

/// What [`Keeper::retain`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retained {
    /// The days whose time is past, those that cases hold too.
    pub days: Vec<Due>,
    /// The days of the journal whose time is past: the questions of those days are gone.
    pub questions: Vec<Day>,
}

/// A day whose time is past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The day.
    pub day: Day,
    /// Records that were made on it.
    pub records: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// The case that holds it, which keeps it from being deleted.
    pub held_by: Option<String>,
}

const A_DAY: Duration = Duration::from_secs(86_400);

/// How often a day is sealed again before it is deleted, because something came late for it.
const ATTEMPTS: u32 = 3;

impl Keeper {
    /// The days whose time is past at `now`, as the ledger's settings say; none where they say
    /// nothing.
    pub fn due(&self, now: Timestamp) -> Vec<Due> {
        let Some(keep) = self.home().settings().keep_days else {
            return Vec::new();
        };
        let calendar = self.home().settings().calendar;
        let limit = now.before(A_DAY * keep.get());
        let days = self.manifest().days.iter();
        // Records that came late for a deleted day go, too.
        days.filter(|(_, entry)| entry.state != DayState::Deleted || !entry.segments.is_empty())
            .map(|(day, entry)| (*day, calendar.span(*day), entry))
            .filter(|(_, span, _)| span.to <= limit)
            .map(|(day, span, entry)| self.due_day(day, span, entry))
            .collect()
    }

    fn due_day(&self, day: Day, span: Span, entry: &DayEntry) -> Due {
        let files = entry.segments.iter().flat_map(|segment| &segment.files);
        let holds = self.manifest().holds.iter();
        let holding = |hold: &&Hold| Span::new(hold.from, hold.to).overlaps(span);
        Due {
            day,
            records: entry.runs.iter().map(|run| run.records).sum(),
            bytes: files.map(|file| file.bytes).sum(),
            held_by: holds
                .into_iter()
                .find(holding)
                .map(|hold| hold.case.clone()),
        }
    }

    /// The days of the journal whose time is past at `now`, as the ledger's settings say; none
    /// where they say nothing.
    ///
    /// # Errors
    /// When the key ring cannot be read.
    pub fn questions_due(&self, now: Timestamp) -> Result<Vec<Day>, Error> {
        let Some(keep) = self.home().settings().keep_questions_days else {
            return Ok(Vec::new());
        };
        let calendar = self.home().settings().calendar;
        let limit = now.before(A_DAY * keep.get());
        let mut days = self.home().keys::<Entries>().days()?;
        days.retain(|day| calendar.span(*day).to <= limit);
        Ok(days)
    }

    /// Deletes the days whose time is past and which no case holds, and the journal's; a deletion
    /// is in the journal before it is begun.
    ///
    /// Everything written is sealed first, so that nothing of such a day is in the log alone.
    ///
    /// # Errors
    /// When something cannot be read, written or deleted. What was begun is finished the next
    /// time.
    pub fn retain(&mut self, now: Timestamp, by: &Map<String, Value>) -> Result<Retained, Error> {
        self.seal(now)?;
        self.forget_rules_past(now, by)?;
        self.finish_deletions(now, by)?;
        let days = self.due(now);
        let questions = self.questions_due(now)?;
        for day in &questions {
            let what = json!({ "questions_of": day.to_string() });
            self.step()?;
            Journal::append_to(self.home(), &[deletion(now, by, what)])?;
            self.step()?;
            Journal::forget(self.home(), *day)?;
        }
        for due in days.iter().filter(|due| due.held_by.is_none()) {
            self.delete(due.day, now, by)?;
        }
        Ok(Retained { days, questions })
    }

    /// Forgets the rules that were over before the time that is kept.
    fn forget_rules_past(&mut self, now: Timestamp, by: &Map<String, Value>) -> Result<(), Error> {
        let Some(keep) = self.home().settings().keep_days else {
            return Ok(());
        };
        let calendar = self.home().settings().calendar;
        let limit = calendar.day_of(now.before(A_DAY * keep.get()));
        let before = self.manifest().rules_from;
        let until = calendar.span(limit).from;
        let gone = self.forget_rules(until)?;
        if gone > 0 {
            let what = json!({ "rules": gone, "over_by": until });
            self.step()?;
            Journal::append_to(self.home(), &[deletion(now, by, what)])?;
        }
        if self.manifest().rules_from != before {
            self.publish([])?;
        }
        Ok(())
    }

    /// The newest day that stays when `goes` is deleted: it has the rules that are still needed.
    fn staying(&self, goes: Day, now: Timestamp) -> Day {
        let due: Vec<Day> = self.due(now).iter().map(|due| due.day).collect();
        let days = self.manifest().days.iter().rev();
        let mut staying =
            days.filter(|(day, entry)| entry.is_there() && **day != goes && !due.contains(day));
        let newest = staying.next().map(|(day, _)| *day);
        newest.unwrap_or_else(|| self.home().settings().calendar.day_of(now))
    }

    /// Keeps the days that a case needs, until it is lifted.
    ///
    /// # Errors
    /// When the change cannot be written.
    pub fn hold(&mut self, hold: Hold) -> Result<(), Error> {
        self.manifest_mut().holds.push(hold);
        self.publish([])
    }

    /// Lifts what a case holds. Returns how many holds that were.
    ///
    /// # Errors
    /// When the change cannot be written.
    pub fn lift(&mut self, case: &str) -> Result<usize, Error> {
        let before = self.manifest().holds.len();
        self.manifest_mut().holds.retain(|hold| hold.case != case);
        self.publish([])?;
        Ok(before - self.manifest().holds.len())
    }

    /// What cases hold.
    pub fn holds(&self) -> &[Hold] {
        &self.manifest().holds
    }

    /// Deletes the days whose deletion was begun and not finished.
    fn finish_deletions(&mut self, now: Timestamp, by: &Map<String, Value>) -> Result<(), Error> {
        let days = self.manifest().days.iter();
        let deleting: Vec<Day> = days
            .filter(|(_, entry)| entry.state == DayState::Deleting)
            .map(|(day, _)| *day)
            .collect();
        for day in deleting {
            if self.shelf().keys().get(day)?.is_none()
                && let Some(entry) = self.manifest_mut().days.get_mut(&day)
            {
                // Former releases cleared the list only at the end.
                entry.segments.clear();
            }
            self.delete(day, now, by)?;
        }
        Ok(())
    }

    /// Destroys the key and the files of a day.
    ///
    /// What comes late for it is written with that key until the last moment. All of it is in
    /// segments before the key goes: in the log it could neither be read nor be passed over.
    fn delete(&mut self, day: Day, now: Timestamp, by: &Map<String, Value>) -> Result<(), Error> {
        let mut attempts = 0;
        let (known, destroying) = loop {
            // What it tells of later days goes to those.
            self.seal(now)?;
            let known = self.runs(day);
            self.keep_what_proves_others(&known)?;
            let destroying = Destroying::begin(&self.home().log_dir(), PATIENCE)?;
            self.flush_all()?;
            attempts += 1;
            // Where there is no end of it, the day goes all the same: its time is past.
            if attempts == ATTEMPTS || known == self.runs(day) {
                break (known, destroying);
            }
        };
        let mut late = self.runs(day);
        late.retain(|run| !known.contains(run));
        self.keep_what_proves_others(&late)?;
        let records: u64 = self.runs(day).iter().map(|run| run.records).sum();
        let what = json!({ "day": day.to_string(), "records": records });
        self.step()?;
        Journal::append_to(self.home(), &[deletion(now, by, what)])?;
        let stays = self.staying(day, now);
        self.carry_rules_over(day, stays)?;
        if let Some(entry) = self.manifest_mut().days.get_mut(&day) {
            entry.state = DayState::Deleting;
            entry.segments.clear();
        }
        self.publish([])?;
        self.step()?;
        destroying.count()?;
        self.shelf().keys().destroy(day)?;
        drop(destroying);
        self.step()?;
        self.shelf().store().delete_all(&day_path(day)?)?;
        if let Some(entry) = self.manifest_mut().days.get_mut(&day) {
            entry.state = DayState::Deleted;
        }
        self.publish([])
    }

    /// The runs of the records that were made on a day.
    fn runs(&self, day: Day) -> Vec<Run> {
        let entry = self.manifest().days.get(&day);
        entry.map(|entry| entry.runs.clone()).unwrap_or_default()
    }

    /// Keeps the leaves of the groups that a day's runs share with others: from the records alone
    /// the hashes of such a group could not be made any more.
    fn keep_what_proves_others(&self, runs: &[Run]) -> Result<(), Error> {
        if runs.is_empty() {
            return Ok(());
        }
        let home = Home::open(self.home().dir())?;
        let home = home.ok_or_else(|| Error::NoLedger {
            dir: self.home().dir().into(),
        })?;
        let log = home.log_dir();
        let archive = Archive::open(home)?;
        let mut groups: Vec<u64> = runs.iter().flat_map(shared_groups).collect();
        groups.dedup();
        for group in groups {
            self.step()?;
            keep_leaves(&log, group, &archive.leaves(group)?)?;
        }
        Ok(())
    }
}

/// The journal's entry of a deletion, and by whom it is.
fn deletion(at: Timestamp, by: &Map<String, Value>, what: Value) -> Entry {
    let mut says = by.clone();
    says.insert("kind".into(), json!("deletion"));
    says.extend(what.as_object().cloned().unwrap_or_default());
    Entry { at, says }
}

/// The groups at either end of a run that it does not fill.
fn shared_groups(run: &Run) -> impl Iterator<Item = u64> + use<> {
    let end = run.first + run.records;
    let first = (!run.first.is_multiple_of(GROUP)).then_some(run.first / GROUP);
    let last = (!end.is_multiple_of(GROUP)).then_some(end / GROUP);
    first.into_iter().chain(last)
}

#[cfg(test)]
mod tests;
