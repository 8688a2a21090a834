//! What time does: sessions, mappings, fragments and unanswered SYNs end.

use std::time::Duration;

use portledger_model::Timestamp;
use portledger_ports::RealmIndex;

use super::{Nat, sessions::Peer};
use crate::{
    DropReason, Output, Side,
    header::{Content, Fragment, Header},
    icmp,
    mapping::Kind,
    wheel::{NONE, Tick},
};

/// An unsolicited SYN that is not answered yet (RFC 5382 REQ-4).
#[derive(Debug)]
pub(super) struct HeldSyn {
    expires: Timestamp,
    source: Peer,
    destination: Peer,
    packet: Vec<u8>,
}

impl Nat {
    pub(super) fn pass_time(&mut self, now: Timestamp, output: &mut Output) {
        if now <= self.now {
            return;
        }
        let begun = *self.begun.get_or_insert(now);
        let seconds = u32::try_from(now.since(begun).as_secs()).unwrap_or(u32::MAX);
        // No table entry lasts for 136 years; the last second stands for all that follow.
        let target = Tick(seconds.min(u32::MAX - 1));
        while self.tick < target {
            self.skip_quiet_time(target);
            self.tick = self.tick.after(1);
            self.now = self.time_of(self.tick);
            self.end_due();
            self.ports.advance(self.now);
        }
        self.now = now;
        let lost = self.fragments.expire(now.as_micros(), &mut self.hosts);
        for _ in 0..lost {
            self.counters.count_drop(DropReason::FragmentTimeout);
        }
        self.answer_syns(output);
    }

    pub(super) fn time_of(&self, tick: Tick) -> Timestamp {
        let begun = self.begun.unwrap_or(self.now);
        begun.after(Duration::from_secs(tick.0.into()))
    }

    /// Where nothing can end, time is not walked through second by second.
    fn skip_quiet_time(&mut self, target: Tick) {
        if self.something_ends() {
            return;
        }
        let begun = self.begun.unwrap_or(self.now);
        let next = self.ports.next_timeout().map_or(target, |at| {
            Tick(u32::try_from(at.since(begun).as_secs()).unwrap_or(u32::MAX))
        });
        let before = Tick(next.min(target).0.saturating_sub(1));
        self.tick = self.tick.max(before);
    }

    /// Whether some session has a deadline. Static mappings have the first numbers.
    pub(super) fn something_ends(&self) -> bool {
        self.table.len() > self.statics
            || (0..self.statics).any(|number| self.table.is_waiting(number))
    }

    fn end_due(&mut self) {
        let tick = self.tick;
        let mut number = self.table.take_due(tick);
        while number != NONE {
            let following = self.table.following(number);
            self.end_or_keep(number, tick);
            number = following;
        }
    }

    fn end_or_keep(&mut self, number: u32, tick: Tick) {
        let mapping = *self.table.get(number);
        let seconds = &self.seconds;
        let next = self
            .table
            .end_sessions(number, tick, |session| seconds.deadline(&mapping, session));
        match next {
            Some(deadline) => self.table.schedule(number, deadline),
            None if mapping.kind == Kind::Static => self.table.schedule(number, Tick::NEVER),
            None => {
                let ended = self.table.remove(number);
                self.hosts.release(ended.internal);
                self.counters.mappings_ended += 1;
                self.ports
                    .close(self.now, ended.block, ended.transport, ended.external_port);
            }
        }
    }

    /// Keeps an unsolicited SYN: it is not answered for six seconds, so that an outbound SYN of a
    /// simultaneous open can still come (RFC 5382 REQ-4).
    pub(super) fn hold_syn(&mut self, packet: &[u8], header: &Header) {
        let Content::Tcp {
            source,
            destination,
            flags,
        } = header.content
        else {
            return;
        };
        let unsolicited = flags.syn() && !flags.ack() && header.fragment == Fragment::Whole;
        if !unsolicited || self.syns.len() >= self.config.limits.incoming_syns {
            return;
        }
        self.syns.push_back(HeldSyn {
            expires: self.now.after(self.config.timers.incoming_syn),
            source: Peer {
                address: header.source,
                port: source,
            },
            destination: Peer {
                address: header.destination,
                port: destination,
            },
            // What its answer quotes.
            packet: packet.iter().copied().take(header.length + 20).collect(),
        });
    }

    /// RFC 5382 REQ-4: once the outbound SYN has come, the inbound one is dropped silently.
    pub(super) fn answer_held_syn(&mut self, number: u32, peer: Peer) {
        let mapping = self.table.get(number);
        let (address, port) = (mapping.external, mapping.external_port);
        self.syns.retain(|syn| {
            (syn.source.address, syn.source.port) != (peer.address, peer.port)
                || (syn.destination.address, syn.destination.port) != (address, port)
        });
    }

    fn answer_syns(&mut self, output: &mut Output) {
        while self.syns.front().is_some_and(|syn| syn.expires <= self.now) {
            let Some(HeldSyn {
                destination,
                packet,
                ..
            }) = self.syns.pop_front()
            else {
                return;
            };
            let source = destination.address.into();
            let error = icmp::Error::PortUnreachable;
            self.tell_error(Side::Outside, RealmIndex(0), source, error, &packet, output);
        }
    }
}
