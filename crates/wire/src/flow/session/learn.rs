//! Learning, withdrawing and forgetting templates, and reading what waited for them.

use std::time::Duration;

use portledger_model::Timestamp;

use super::{Medium, Reading, Session, tell_gap};
use crate::flow::{
    decode::Job,
    definitions::{Definition, Definitions},
    item::{Item, Reject},
    message::{Domain, Set, Version},
    templates::Defined,
};

impl Session {
    /// Reads a template set, and then what waited for the templates in it.
    pub(super) fn define(
        &mut self,
        set: Set<'_>,
        options: bool,
        reading: &Reading,
        now: Timestamp,
        out: &mut impl FnMut(Item),
    ) {
        let domain = reading.domain;
        let definitions = Definitions {
            version: domain.version,
            options,
            contents: set.contents,
            offset: 0,
        };
        for (offset, number, read) in definitions {
            let why = match read {
                Ok(Definition::Withdrawn) => {
                    self.withdraw(domain, number, options);
                    continue;
                }
                Ok(Definition::Template(template)) => {
                    self.counters.templates += 1;
                    let defined = self.templates.define(
                        domain,
                        number,
                        *template,
                        options,
                        now,
                        &self.limits,
                    );
                    match defined {
                        Ok(what) => {
                            self.counters.redefined += u64::from(what == Defined::Other);
                            if what != Defined::Same {
                                self.read_waiting(domain, number, now, out);
                            }
                            continue;
                        }
                        Err(why) => why,
                    }
                }
                Err(why) => Reject::Template {
                    template: number,
                    why,
                },
            };
            self.reject(reading.offset + set.offset + offset, why, out);
        }
    }

    fn withdraw(&mut self, domain: Domain, number: u16, options: bool) {
        // RFC 7011 §8.4: not sent over UDP, and ignored where it is.
        if self.medium == Medium::Datagrams || domain.version == Version::NetFlow9 {
            return;
        }
        self.counters.withdrawn += if number < 256 {
            self.templates.withdraw_all(domain, Some(options))
        } else {
            u64::from(self.templates.withdraw(domain, number, options))
        };
    }

    /// A template came: reads what waited for it.
    fn read_waiting(
        &mut self,
        domain: Domain,
        number: u16,
        now: Timestamp,
        out: &mut impl FnMut(Item),
    ) {
        for set in self.waiting.take(domain, number) {
            let (Some(template), Some(state)) = (
                self.templates.get(domain, number),
                self.domains.get_mut(&domain),
            ) else {
                continue;
            };
            let job = Job {
                domain: domain.number,
                number,
                template,
                offset: 0,
                sent: set.sent,
            };
            let done = job.read(&set.bytes, state, &mut self.realms, &mut self.counters, out);
            state
                .sequence
                .resolve(set.junction, Some(done.records), now);
        }
    }

    /// After a restart numbers of templates may mean something else: data waits for new ones
    /// rather than being read by the old.
    pub(super) fn restarted(
        &mut self,
        domain: Domain,
        since: Timestamp,
        until: Timestamp,
        now: Timestamp,
        out: &mut impl FnMut(Item),
    ) {
        self.counters.restarts += 1;
        let number = domain.number;
        if let Some(state) = self.domains.get_mut(&domain) {
            if state.is_one_restart_too_many(now) {
                out(Item::Disordered {
                    domain: number,
                    since,
                });
                return;
            }
            let counters = &mut self.counters;
            let all = Duration::ZERO;
            state.sequence.settle(now, all, 0, |missing| {
                tell_gap(domain, missing, counters, out);
            });
            state.booted = None;
            state.draft_numbers = false;
        }
        out(Item::Restarted {
            domain: domain.number,
            since,
            until,
        });
        self.templates.withdraw_all(domain, None);
        for set in self.waiting.take_domain(domain) {
            self.drop_set(set, now, out);
        }
    }
}
