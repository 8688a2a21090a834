//! What a device needs of the ledger to go on where it stopped or crashed.

use std::collections::HashMap;

use portledger_model::{Allocation, Block, Device, Durability, Timestamp};

use super::{
    Ledger,
    told::{self, allocation},
};
use crate::Error;

/// What a device needs to go on where it stopped or crashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// What is held, by start.
    pub open: Vec<Held>,
    /// What was given back lately and may still have to rest, by start.
    pub released: Vec<Rested>,
    /// The last record says that the device stopped of its own will.
    pub stopped: bool,
    /// What its last start promised of the log; `None` where it never said that it started.
    pub durability: Option<Durability>,
    /// The last record's time.
    pub last: Timestamp,
}

/// A block in somebody's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What is held, and by whom.
    pub block: Block,
    /// When it was handed out.
    pub since: Timestamp,
}

/// A block that was given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rested {
    /// What was held, and by whom.
    pub block: Block,
    /// When it was handed out.
    pub since: Timestamp,
    /// When it was given back.
    pub at: Timestamp,
}

impl Ledger {
    /// What `device` needs to go on: what it held, and what it took back at `released_since` or
    /// later (now less the guard time). `None` where the log has no record of it, or of its rules
    /// alone: those say nothing of what it did.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn resume(
        &self,
        device: &Device,
        released_since: Timestamp,
    ) -> Result<Option<Resume>, Error> {
        let mut found = self.resumes_of(|known| known == device, released_since)?;
        Ok(found.pop().map(|(_, resume)| resume))
    }

    /// What every device needs to go on, as [`Ledger::resume`] says it of one.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn resumes(&self, released_since: Timestamp) -> Result<Vec<(Device, Resume)>, Error> {
        self.resumes_of(|_| true, released_since)
    }

    fn resumes_of(
        &self,
        wanted: impl Fn(&Device) -> bool,
        released_since: Timestamp,
    ) -> Result<Vec<(Device, Resume)>, Error> {
        let wanted = self.devices.iter().filter(|(device, _)| wanted(device));
        let mut resumes: HashMap<&Device, Resume> = wanted
            .filter_map(|(device, timeline)| {
                let last = timeline.last()?;
                let resume = Resume {
                    open: Vec::new(),
                    released: Vec::new(),
                    stopped: last.stopped,
                    durability: timeline.promised(),
                    last: last.at,
                };
                Some((device, resume))
            })
            .collect();
        if !resumes.is_empty() {
            self.add_unsettled(&mut resumes, released_since)?;
        }
        let resumes = resumes.into_iter().map(|(device, mut resume)| {
            resume.open.sort_by_key(|held| held.since);
            resume.released.sort_by_key(|rested| rested.since);
            (device.clone(), resume)
        });
        Ok(resumes.collect())
    }

    /// Adds what the devices hold or held in days that are not sealed.
    fn add_unsettled(
        &self,
        resumes: &mut HashMap<&Device, Resume>,
        since: Timestamp,
    ) -> Result<(), Error> {
        let mut by_address = self.days.all_unsettled(since)?;
        for told in self.recent.all() {
            by_address.entry(told.external).or_default().push(told);
        }
        for mut told in by_address.into_values() {
            told::unite(&mut told);
            let mut beginnings: Vec<_> = told.iter().map(|told| told.known.beginning()).collect();
            beginnings.sort_by_key(|begun| begun.from);
            for mut told in told {
                let Some(resume) = resumes.get_mut(&told.known.device) else {
                    continue;
                };
                self.days.add_to(&mut told)?;
                let later = beginnings.partition_point(|begun| begun.from <= told.known.from);
                told.known.end_before(beginnings.iter().skip(later));
                resume.add(allocation(told.external, told.known), since);
            }
        }
        Ok(())
    }
}

impl Resume {
    fn add(&mut self, held: Allocation, released_since: Timestamp) {
        match held.to {
            None => self.open.push(Held {
                block: held.block,
                since: held.from,
            }),
            Some(at) if released_since <= at => self.released.push(Rested {
                block: held.block,
                since: held.from,
                at,
            }),
            Some(_) => {}
        }
    }
}
