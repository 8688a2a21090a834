//! Flow messages (IPFIX, NetFlow v9) of many exporters.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::SocketAddr,
    time::Duration,
};

use portledger_model::Timestamp;
use portledger_wire::flow::{Item, Limits, Medium, Session};

use super::{desk::Heard, devices::DeviceIndex, roster::Roster};

/// Exporters that one listener tells apart.
const EXPORTERS: usize = 1_024;
/// An exporter that was silent for so long makes room for another.
const FORGOTTEN: Duration = Duration::from_secs(2 * 3_600);

/// The exporters that send datagrams to one socket, by address and port: a transport session each
/// (RFC 7011 §2).
pub(super) struct Exporters<'r> {
    roster: &'r Roster,
    known: HashMap<SocketAddr, Exporter>,
}

/// One exporter over one transport session.
pub(super) struct Exporter {
    session: Session,
    index: DeviceIndex,
    silence: Option<Duration>,
    heard: Timestamp,
    /// What a message tells, until all of it is taken.
    items: Vec<Item>,
}

impl<'r> Exporters<'r> {
    pub(super) fn new(roster: &'r Roster) -> Self {
        Self {
            roster,
            known: HashMap::new(),
        }
    }

    /// Takes a datagram; `false` where its sender is refused.
    pub(super) fn datagram(
        &mut self,
        from: SocketAddr,
        bytes: &[u8],
        now: Timestamp,
        heard: &mut Heard,
    ) -> bool {
        if self.known.len() >= EXPORTERS && !self.known.contains_key(&from) {
            self.forget(now, heard);
        }
        let room = self.known.len() < EXPORTERS;
        let exporter = match self.known.entry(from) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let medium = Medium::Datagrams;
                match Exporter::enter(self.roster, from, medium, now, heard) {
                    Some(exporter) if room => unknown.insert(exporter),
                    _ => return false,
                }
            }
        };
        exporter.datagram(bytes, now, heard);
        true
    }

    pub(super) fn tick(&mut self, now: Timestamp, heard: &mut Heard) {
        for exporter in self.known.values_mut() {
            exporter.tick(now, heard);
        }
    }

    pub(super) fn finish(&mut self, now: Timestamp, heard: &mut Heard) {
        for exporter in self.known.values_mut() {
            exporter.finish(now, heard);
        }
    }

    fn forget(&mut self, now: Timestamp, heard: &mut Heard) {
        self.known.retain(|_, exporter| {
            let stays = now.since(exporter.heard) < FORGOTTEN;
            if !stays {
                exporter.finish(now, heard);
            }
            stays
        });
    }
}

impl Exporter {
    /// A session that begins; `None` where its exporter is refused.
    pub(super) fn enter(
        roster: &Roster,
        from: SocketAddr,
        medium: Medium,
        now: Timestamp,
        heard: &mut Heard,
    ) -> Option<Self> {
        let (device, telling) = roster.find(from.ip(), None)?;
        Some(Self {
            session: Session::new(medium, Limits::default()),
            index: heard.enter(&device, telling),
            silence: telling.silence,
            heard: now,
            items: Vec::new(),
        })
    }

    fn datagram(&mut self, bytes: &[u8], now: Timestamp, heard: &mut Heard) {
        self.heard = now;
        heard.message(self.index, now, self.silence);
        let items = &mut self.items;
        self.session
            .datagram(bytes, now, &mut |item| items.push(item));
        heard.items(self.index, now, items, bytes);
        self.heard_out(now, heard);
    }

    /// Takes the next piece of a stream; `false` where the stream is of no use any more.
    pub(super) fn stream(&mut self, bytes: &[u8], now: Timestamp, heard: &mut Heard) -> bool {
        self.heard = now;
        heard.message(self.index, now, self.silence);
        let items = &mut self.items;
        let read = self
            .session
            .stream(bytes, now, &mut |item| items.push(item));
        heard.items(self.index, now, items, bytes);
        self.heard_out(now, heard);
        read.is_ok()
    }

    /// After a message: the device lives; but while data waits for its template, what it told is
    /// not known.
    fn heard_out(&self, now: Timestamp, heard: &mut Heard) {
        if self.session.is_waiting() {
            heard.lost(self.index, None, now, None);
        } else {
            heard.alive(self.index, now);
        }
    }

    pub(super) fn tick(&mut self, now: Timestamp, heard: &mut Heard) {
        let index = self.index;
        self.session
            .tick(now, &mut |item| heard.item(index, now, item, &[]));
    }

    pub(super) fn finish(&mut self, now: Timestamp, heard: &mut Heard) {
        let index = self.index;
        self.session
            .finish(now, &mut |item| heard.item(index, now, item, &[]));
    }

    /// The connection ended.
    pub(super) fn interrupted(&mut self, now: Timestamp, heard: &mut Heard) {
        self.finish(now, heard);
        heard.interrupted(self.index);
    }
}
