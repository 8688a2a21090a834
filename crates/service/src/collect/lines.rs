//! Lines of many devices.

use std::{
    collections::{HashMap, hash_map::Entry},
    iter,
    net::IpAddr,
    time::Duration,
};

use portledger_model::Timestamp;
use portledger_wire::{
    NatEvent,
    dialect::{Dialects, Untimed},
    syslog::{Clock, Message},
};

use super::{
    desk::Heard,
    devices::DeviceIndex,
    form::{Form, FormReader, Line},
    roster::{Roster, Telling},
};

/// Devices that one listener or connection tells apart.
const SPEAKERS: usize = 4_096;
/// Forms that are tried on the lines of one device.
const FORMS: usize = 4;
/// How often a line of no known form is looked at for another form, once there is one.
const GUESSES: Duration = Duration::from_secs(1);

/// The devices whose lines come to one socket or connection.
pub(super) struct Speakers<'r> {
    roster: &'r Roster,
    dialects: &'r Dialects,
    known: HashMap<(IpAddr, Option<Box<str>>), Speaker<'r>>,
    events: Vec<NatEvent>,
}

/// One device.
struct Speaker<'r> {
    index: DeviceIndex,
    telling: &'r Telling,
    readers: Vec<FormReader<'r>>,
    names: Vec<&'r str>,
    next_guess: Timestamp,
    numbers: Numbers,
}

/// The numbers that a device gives its messages (RFC 5424 §7.3.1).
#[derive(Debug, Default)]
struct Numbers {
    last: u64,
    /// How many came one after the other.
    in_order: u32,
}

/// Numbers are believed when so many followed each other: where a relay passes on some of the
/// messages only, those between are no loss.
const BELIEVED: u32 = 8;

impl Numbers {
    /// How many are missing before this one. One that comes late, and the first of a sender that
    /// begins anew, say nothing.
    fn next(&mut self, number: u64) -> Option<u64> {
        let ahead = number.checked_sub(self.last);
        match ahead {
            Some(1) => self.in_order = self.in_order.saturating_add(1),
            Some(0) => return None,
            _ => {}
        }
        let believed = self.in_order >= BELIEVED;
        let missing = ahead.filter(|ahead| *ahead > 1).map(|ahead| ahead - 1);
        if missing.is_some() || number == 1 {
            self.in_order = 0;
        } else if ahead.is_none() {
            return None;
        }
        self.last = number;
        missing.filter(|_| believed)
    }
}

impl<'r> Speakers<'r> {
    pub(super) fn new(roster: &'r Roster, dialects: &'r Dialects) -> Self {
        Self {
            roster,
            dialects,
            known: HashMap::new(),
            events: Vec::new(),
        }
    }

    /// Takes a line, with or without its end; `false` where its device is refused.
    pub(super) fn line(
        &mut self,
        from: IpAddr,
        line: &[u8],
        now: Timestamp,
        heard: &mut Heard,
    ) -> bool {
        let line = line.trim_ascii_end();
        let message = Message::parse(line);
        let host = message.hostname.and_then(|host| str::from_utf8(host).ok());
        let room = self.known.len() < SPEAKERS;
        // The usual line is of a device that is known: nothing is allocated but its name's copy.
        let speaker = match self.known.entry((from, host.map(Box::from))) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => match self.roster.find(from, host) {
                Some((device, telling)) if room => {
                    let index = heard.enter(&device, telling);
                    unknown.insert(Speaker::new(index, telling, self.dialects, now))
                }
                _ => return false,
            },
        };
        heard.message(speaker.index, now, speaker.telling.silence);
        if let Some(missing) = message
            .sequence
            .and_then(|number| speaker.numbers.next(number))
        {
            heard.missing(speaker.index, missing, now);
        }
        match speaker.read(line, now, self.dialects, &mut self.events) {
            Line::Events => {}
            Line::Skipped(_) => heard.skipped(speaker.index),
            Line::Rejected(reason) => heard.rejected(speaker.index, now, &reason, line),
        }
        for event in self.events.drain(..) {
            heard.event(speaker.index, event, now);
        }
        heard.alive(speaker.index, now);
        true
    }

    /// Something that was to be a line and is none came from there: of each device that is heard
    /// from there, it may have been an event.
    pub(super) fn unread(
        &mut self,
        from: IpAddr,
        bytes: &[u8],
        reason: &str,
        now: Timestamp,
        heard: &mut Heard,
    ) {
        for ((address, _), speaker) in &self.known {
            if *address == from {
                heard.rejected(speaker.index, now, reason, bytes);
            }
        }
    }

    /// Lines were lost, and nobody can say whose.
    pub(super) fn lost(&mut self, now: Timestamp, heard: &mut Heard) {
        for speaker in self.known.values() {
            heard.lost(speaker.index, None, now, None);
        }
    }

    /// The connection ended.
    pub(super) fn interrupted(&mut self, heard: &mut Heard) {
        for speaker in self.known.values() {
            heard.interrupted(speaker.index);
        }
    }
}

impl<'r> Speaker<'r> {
    fn new(
        index: DeviceIndex,
        telling: &'r Telling,
        dialects: &'r Dialects,
        now: Timestamp,
    ) -> Self {
        let mut speaker = Self {
            index,
            telling,
            readers: Vec::new(),
            names: Vec::new(),
            next_guess: now,
            numbers: Numbers::default(),
        };
        let form = telling.form.as_deref();
        if let Some(form) = form.and_then(|name| Form::named(name, dialects).ok()) {
            speaker.add(form, now);
        }
        speaker
    }

    fn add(&mut self, form: Form<'r>, now: Timestamp) {
        let mut clock = Clock::new(now);
        clock.zone.clone_from(&self.telling.zone);
        self.names.push(form.name());
        let reader = form.reader(clock, &self.telling.realm, Untimed::Received);
        self.readers.push(reader);
    }

    fn read(
        &mut self,
        line: &[u8],
        now: Timestamp,
        dialects: &'r Dialects,
        events: &mut Vec<NatEvent>,
    ) -> Line {
        let mut outcome = Line::Skipped("of no form that is known".to_owned());
        for reader in &mut self.readers {
            reader.received(now);
            match reader.read(line, events) {
                Line::Events => return Line::Events,
                Line::Rejected(reason) => outcome = Line::Rejected(reason),
                Line::Skipped(_) => {}
            }
        }
        // Until there is a form, each line is looked at: the first event must not be missed.
        let may_guess = self.telling.form.is_none()
            && self.readers.len() < FORMS
            && (self.readers.is_empty() || self.next_guess <= now);
        if may_guess {
            self.next_guess = now.after(GUESSES);
            if let Some((form, _)) = Form::guess(iter::once(line), dialects)
                && !self.names.contains(&form.name())
            {
                self.add(form, now);
                return self.read(line, now, dialects, events);
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_left_out_is_a_loss_once_numbers_are_believed() {
        let mut numbers = Numbers::default();
        let mut of = |number| numbers.next(number);
        // A relay that filters: no number follows another.
        assert_eq!([7, 20, 31].map(&mut of), [None; 3]);
        assert!((32..50).map(&mut of).all(|missing| missing.is_none()));
        assert_eq!(of(53), Some(3));
        // One that comes late fills no gap, and makes none.
        assert_eq!([51, 54, 55, 55].map(&mut of), [None; 4]);
        assert!((56..70).map(&mut of).all(|missing| missing.is_none()));
        // The sender began anew.
        assert_eq!([1, 2, 3].map(&mut of), [None; 3]);
    }
}
