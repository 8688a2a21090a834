//! What the sequence numbers of one observation domain say is missing.
//!
//! IPFIX counts data records: a message's number is how many were sent before it (RFC 7011 §3.1),
//! so the next is known once its records are counted. Where a set waits for its template they
//! cannot be counted yet; the question whether something is missing behind that message stays
//! open (a *junction*) until they can. NetFlow v9 counts messages.
//!
//! A number that was skipped is a *hole*, told as a gap only when later messages had time to be
//! overtaken; a message that comes late fills its hole.

use std::{collections::VecDeque, time::Duration};

use portledger_model::Timestamp;

/// Holes are told early when there are more than this.
const MAX_HOLES: usize = 32;
/// So many messages one after the other that follow each other but not what came before say that
/// the exporter counts anew.
const STRAYS: u8 = 16;
/// A step further than this is no loss that anyone could have, but another count.
const FAR: u32 = 1 << 28;
/// Nothing comes so late that more than this has overtaken it: it counts anew.
const FAR_BEHIND: u32 = 1 << 20;
/// The times of headers are in seconds.
const SECOND: Duration = Duration::from_secs(1);

/// What is missing, and when it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) count: u32,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
}

/// How a message stands to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Behind them.
    Next,
    /// Overtaken by one of them, or a copy.
    Late,
    /// The exporter began again between these times.
    Restarted { since: Timestamp, until: Timestamp },
}

/// The header of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) number: u32,
    pub(super) sent: Timestamp,
    pub(super) uptime: Option<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Sequence {
    next: Option<u32>,
    last: Option<Mark>,
    holes: VecDeque<Hole>,
    junctions: VecDeque<Junction>,
    junction_number: u64,
    stray: Option<(u32, u8)>,
}

/// The last message in order.
#[derive(Debug, Clone, Copy)]
struct Mark {
    sent: Timestamp,
    uptime: Option<u32>,
    /// Nothing that was sent later happened before this.
    since: Timestamp,
}

#[derive(Debug)]
struct Hole {
    from: u32,
    missing: Missing,
    found: Timestamp,
    overtaken: u32,
}

/// A message whose records are not all counted.
#[derive(Debug)]
struct Junction {
    number: u64,
    from: u32,
    counted: u32,
    waiting: u32,
    since: Timestamp,
    /// The number of the message behind it and its time, once there is one.
    follow: Option<(u32, Timestamp)>,
    late: bool,
}

impl Sequence {
    /// A message came: how does it stand?
    pub(super) fn arrive(&mut self, head: Head, now: Timestamp) -> Arrival {
        let until = head.sent.after(SECOND);
        let since = self.last.map_or(head.sent, |last| last.since);
        if self.has_rebooted(head) {
            return self.restart(since, until);
        }
        let Some(next) = self.next else {
            // The first of all, or the first behind a message that is not yet counted.
            if let Some(open) = self.junctions.back_mut().filter(|j| j.follow.is_none()) {
                let ahead = head
                    .number
                    .wrapping_sub(open.from.wrapping_add(open.counted));
                if ahead.cast_signed() < 0 {
                    return Arrival::Late;
                }
                open.follow = Some((head.number, until));
            }
            return Arrival::Next;
        };
        let ahead = head.number.wrapping_sub(next);
        if ahead == 0 {
            self.stray = None;
            return Arrival::Next;
        }
        if ahead.cast_signed() > 0 {
            if ahead > FAR {
                return self.restart(since, until);
            }
            self.stray = None;
            self.holes.push_back(Hole {
                from: next,
                missing: Missing {
                    count: ahead,
                    since,
                    until,
                },
                found: now,
                overtaken: 0,
            });
            return Arrival::Next;
        }
        if self.in_hole(head.number) {
            return Arrival::Late;
        }
        // What came late was sent before what came in time, so its header cannot be later.
        if self.last.is_some_and(|last| head.sent > last.sent)
            || ahead.wrapping_neg() > FAR_BEHIND
            || self.is_stray_too_many(head.number)
        {
            return self.restart(since, until);
        }
        Arrival::Late
    }

    /// The message that arrived is read: `records` were counted, `waiting` sets could not be. The
    /// answer names the junction of these sets.
    pub(super) fn read(
        &mut self,
        arrival: Arrival,
        head: Head,
        records: u32,
        waiting: u32,
        earliest: Option<Timestamp>,
    ) -> u64 {
        let late = arrival == Arrival::Late;
        self.junction_number += 1;
        let after = head.number.wrapping_add(records);
        if late {
            self.fill(head.number, records);
            if let Some((next, _)) = self.stray.as_mut().filter(|(n, _)| *n == head.number) {
                *next = after;
            }
        } else {
            let since = earliest.map_or(head.sent, |earliest| earliest.min(head.sent));
            self.last = Some(Mark {
                sent: head.sent,
                uptime: head.uptime,
                since,
            });
            self.next = (waiting == 0).then_some(after);
            for hole in &mut self.holes {
                hole.overtaken = hole.overtaken.saturating_add(1);
            }
        }
        if waiting > 0 {
            self.junctions.push_back(Junction {
                number: self.junction_number,
                from: head.number,
                counted: records,
                waiting,
                since: self.last.map_or(head.sent, |last| last.since),
                follow: None,
                late,
            });
        }
        self.junction_number
    }

    /// A set of a junction was read at last, or dropped (`None`).
    pub(super) fn resolve(&mut self, number: u64, records: Option<u32>, now: Timestamp) {
        let Some(at) = self.junctions.iter().position(|j| j.number == number) else {
            return;
        };
        let Some(junction) = self.junctions.get_mut(at) else {
            return;
        };
        junction.waiting = junction.waiting.saturating_sub(1);
        junction.counted = junction.counted.wrapping_add(records.unwrap_or(0));
        if junction.waiting > 0 {
            return;
        }
        let Some(done) = self.junctions.remove(at) else {
            return;
        };
        let after = done.from.wrapping_add(done.counted);
        self.fill(done.from, done.counted);
        if done.late {
            return;
        }
        match done.follow {
            Some((follow, until)) => {
                let count = follow.wrapping_sub(after);
                if count.cast_signed() > 0 && count <= FAR {
                    self.holes.push_back(Hole {
                        from: after,
                        missing: Missing {
                            count,
                            since: done.since,
                            until,
                        },
                        found: now,
                        overtaken: 0,
                    });
                }
            }
            // It is still the last, and now it is known what must come next. What was dropped
            // uncounted leaves that open.
            None if records.is_some() && self.next.is_none() => self.next = Some(after),
            None => {}
        }
    }

    /// Tells the gaps that nothing can fill any more; with `time` and `messages` of 0, all of them.
    pub(super) fn settle(
        &mut self,
        now: Timestamp,
        time: Duration,
        messages: u32,
        mut told: impl FnMut(Missing),
    ) {
        let too_many = self.holes.len().saturating_sub(MAX_HOLES);
        let mut at = 0;
        self.holes.retain(|hole| {
            at += 1;
            let is_over =
                at <= too_many || hole.overtaken >= messages || now.since(hole.found) >= time;
            if is_over {
                told(hole.missing);
            }
            !is_over
        });
    }

    /// Whether there is something to settle.
    pub(super) fn has_holes(&self) -> bool {
        !self.holes.is_empty()
    }

    /// When the last message in order left, where there was one.
    pub(super) fn last_sent(&self) -> Option<Timestamp> {
        self.last.map(|last| last.sent)
    }

    /// NetFlow v9: the device has been up for less time than has passed since the last message.
    fn has_rebooted(&self, head: Head) -> bool {
        let (Some(last), Some(uptime)) = (self.last, head.uptime) else {
            return false;
        };
        // Five seconds for headers that are in seconds and messages that overtake each other.
        let passed = head.sent.since(last.sent) + 5 * SECOND;
        last.uptime.is_some_and(|before| uptime < before)
            && head.sent > last.sent
            && Duration::from_millis(uptime.into()) < passed
            // 32 bits of milliseconds turn over by themselves.
            && last.uptime.is_some_and(|before| {
                let passed = u32::try_from(passed.as_millis()).unwrap_or(u32::MAX);
                before.checked_add(passed).is_some()
            })
    }

    fn restart(&mut self, since: Timestamp, until: Timestamp) -> Arrival {
        self.stray = None;
        self.next = None;
        self.junctions.clear();
        Arrival::Restarted { since, until }
    }

    fn in_hole(&self, number: u32) -> bool {
        self.holes
            .iter()
            .any(|hole| number.wrapping_sub(hole.from) < hole.missing.count)
    }

    /// Notes a message that fits nowhere; whether it is one too many.
    fn is_stray_too_many(&mut self, number: u32) -> bool {
        match &mut self.stray {
            Some((next, seen)) if *next == number => {
                *seen += 1;
                *seen >= STRAYS
            }
            stray => {
                *stray = Some((number, 1));
                false
            }
        }
    }

    /// Numbers came that were missing.
    fn fill(&mut self, from: u32, count: u32) {
        let mut split = None;
        self.holes.retain_mut(|hole| {
            let size = i64::from(hole.missing.count);
            let begin = i64::from(from.wrapping_sub(hole.from).cast_signed());
            let end = (begin + i64::from(count)).min(size);
            let begin = begin.max(0);
            if begin >= end {
                return true;
            }
            let (before, after) = (begin, size - end);
            if before > 0 && after > 0 {
                split = Some((
                    hole.from.wrapping_add(narrow(end)),
                    narrow(after),
                    hole.missing,
                    hole.found,
                    hole.overtaken,
                ));
            } else if before == 0 {
                hole.from = hole.from.wrapping_add(narrow(end));
            }
            hole.missing.count = narrow(if before > 0 { before } else { after });
            hole.missing.count > 0
        });
        if let Some((from, count, missing, found, overtaken)) = split {
            self.holes.push_back(Hole {
                from,
                missing: Missing { count, ..missing },
                found,
                overtaken,
            });
        }
    }
}

fn narrow(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests;
