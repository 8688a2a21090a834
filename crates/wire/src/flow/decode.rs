//! Reading one data set by its template.

use std::time::Duration;

use portledger_model::Timestamp;

use super::{
    clock::{self, Sent},
    item::{BadRecord, Counters, Item, Reject},
    nat::{self, Context, Read},
    realm::Realms,
    sequence::Sequence,
    template::{Meaning, Template},
};
use crate::NatEvent;

/// What is kept of a domain.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) sequence: Sequence,
    /// Juniper's numbers of an earlier draft were seen.
    pub(super) draft_numbers: bool,
    /// When the device booted, where it said so.
    pub(super) booted: Option<Timestamp>,
    /// Since when restarts are counted, and how many there were.
    restarts: Option<(Timestamp, u32)>,
    /// The numbers follow no order: several processes send in one domain.
    pub(super) is_disordered: bool,
}

/// No exporter begins anew more often than this within [`DISORDER_TIME`].
const MAX_RESTARTS: u32 = 8;
const DISORDER_TIME: Duration = Duration::from_secs(3_600);

impl State {
    /// Counts a restart; whether there were so many that they cannot have been.
    pub(super) fn is_one_restart_too_many(&mut self, now: Timestamp) -> bool {
        let (since, count) = match self.restarts {
            Some((since, count)) if now.since(since) < DISORDER_TIME => (since, count + 1),
            _ => (now, 1),
        };
        self.restarts = Some((since, count));
        self.is_disordered = count > MAX_RESTARTS;
        self.is_disordered
    }
}

/// One data set with its template.
pub(super) struct Job<'a> {
    pub(super) domain: u32,
    pub(super) number: u16,
    pub(super) template: &'a Template,
    /// Where the set's contents begin.
    pub(super) offset: usize,
    pub(super) sent: Sent,
}

/// What was in a set.
pub(super) struct Done {
    pub(super) records: u32,
    /// The earliest event's time.
    pub(super) earliest: Option<Timestamp>,
}

impl Job<'_> {
    pub(super) fn read(
        &self,
        set: &[u8],
        state: &mut State,
        realms: &mut Realms,
        counters: &mut Counters,
        out: &mut impl FnMut(Item),
    ) -> Done {
        let mut earliest = Timestamp::MAX;
        let counted = match (self.template.meaning, self.template.fixed_length()) {
            // Nothing of interest: the records are counted without a look at them.
            (Meaning::Nothing, Some(length)) => Ok((set.len() / length) as u64),
            (Meaning::SystemInit, _) => self.template.rows(set, |_, row| {
                state.booted = clock::boot_time(row).or(state.booted);
            }),
            _ => {
                let mut context = Context {
                    sent: self.sent,
                    realms,
                    draft_numbers: &mut state.draft_numbers,
                };
                self.template.rows(set, |offset, row| {
                    let mut tell = |event: NatEvent| {
                        earliest = earliest.min(event.at.timestamp());
                        counters.events += 1;
                        out(Item::Event {
                            domain: self.domain,
                            event,
                        });
                    };
                    match nat::read(row, self.template, &mut context, &mut tell) {
                        Ok(Read::Events(_)) => counters.event_records += 1,
                        Ok(Read::Other) => counters.other_records += 1,
                        Err(why) => self.reject(offset, why, counters, out),
                    }
                })
            }
        };
        if matches!(
            self.template.meaning,
            Meaning::Nothing | Meaning::SystemInit
        ) {
            counters.other_records += counted.unwrap_or_else(|(count, _)| count);
        }
        let records = counted.unwrap_or_else(|(count, offset)| {
            counters.rejected += 1;
            out(Item::Rejected {
                offset: self.offset + offset,
                why: Reject::RecordLength {
                    template: self.number,
                },
            });
            count
        });
        Done {
            records: u32::try_from(records).unwrap_or(u32::MAX),
            earliest: (earliest != Timestamp::MAX).then_some(earliest),
        }
    }

    fn reject(
        &self,
        offset: usize,
        why: BadRecord,
        counters: &mut Counters,
        out: &mut impl FnMut(Item),
    ) {
        counters.rejected += 1;
        out(Item::Rejected {
            offset: self.offset + offset,
            why: Reject::Record {
                template: self.number,
                why,
            },
        });
    }
}
