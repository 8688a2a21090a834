//! What a device needs of the ledger to go on where it stopped or crashed.

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
    /// later (now less the guard time). `None` where the log has no record of it.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn resume(
        &self,
        device: &Device,
        released_since: Timestamp,
    ) -> Result<Option<Resume>, Error> {
        let timeline = self.devices.iter().find(|(known, _)| known == device);
        let Some((_, timeline)) = timeline else {
            return Ok(None);
        };
        let Some(last) = timeline.last() else {
            return Ok(None);
        };
        let mut resume = Resume {
            open: Vec::new(),
            released: Vec::new(),
            stopped: last.stopped,
            durability: timeline.promised(),
            last: last.at,
        };
        for held in self.unsettled_of(device, released_since)? {
            match held.to {
                None => resume.open.push(Held {
                    block: held.block,
                    since: held.from,
                }),
                Some(at) if released_since <= at => resume.released.push(Rested {
                    block: held.block,
                    since: held.from,
                    at,
                }),
                Some(_) => {}
            }
        }
        resume.open.sort_by_key(|held| held.since);
        resume.released.sort_by_key(|rested| rested.since);
        Ok(Some(resume))
    }

    /// All that a device holds or held in days that are not sealed.
    fn unsettled_of(&self, device: &Device, since: Timestamp) -> Result<Vec<Allocation>, Error> {
        let mut by_address = self.days.all_unsettled(since)?;
        for told in self.recent.all() {
            by_address.entry(told.external).or_default().push(told);
        }
        let mut all = Vec::new();
        for mut told in by_address.into_values() {
            told::unite(&mut told);
            let mut beginnings: Vec<_> = told.iter().map(|told| told.known.beginning()).collect();
            beginnings.sort_by_key(|begun| begun.from);
            for mut told in told.into_iter().filter(|told| told.known.device == *device) {
                self.days.add_to(&mut told)?;
                let later = beginnings.partition_point(|begun| begun.from <= told.known.from);
                told.known.end_before(beginnings.iter().skip(later));
                all.push(allocation(told.external, told.known));
            }
        }
        Ok(all)
    }
}
