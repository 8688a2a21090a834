//! Where all that is heard comes together: devices, figures, the way into the ledger.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use portledger_ledger::{Committer, State as Disk, SubmitError, Ticket};
use portledger_model::{Device, Timestamp};
use portledger_wire::{NatEvent, Unkept, flow::Item};

use super::{
    devices::{Came, DeviceIndex, Devices, Loss},
    figures::{DeviceFigures, Figures},
    rejects::Rejects,
    roster::Telling,
};

/// How long to wait for the disk before looking again whether it is time to stop.
const LOOK: Duration = Duration::from_millis(100);

/// What messages usually tell of at most.
const ITEMS: usize = 4_096;

pub(super) struct Desk {
    heard: Mutex<Heard>,
    committer: Committer,
    submitted: AtomicU64,
}

/// What was heard, under the desk's lock.
pub(super) struct Heard {
    devices: Devices,
    figures: Vec<(Device, DeviceFigures)>,
    rejects: Option<Rejects>,
    kept_aside: u64,
    not_kept_aside: u64,
}

/// Nothing becomes durable any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DiskFailed(pub(super) String);

impl Desk {
    pub(super) fn new(devices: Devices, committer: Committer, rejects: Option<Rejects>) -> Self {
        Self {
            heard: Mutex::new(Heard {
                devices,
                figures: Vec::new(),
                rejects,
                kept_aside: 0,
                not_kept_aside: 0,
            }),
            committer,
            submitted: AtomicU64::new(0),
        }
    }

    /// A thread that panicked left at worst one message half taken; its records are in order.
    pub(super) fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands what was heard to the ledger. While too much waits for the disk this waits too, so
    /// that nothing more is read: a sender over TCP waits then, and what the kernel has no room
    /// for over UDP it counts. Gives up when `stops` says so, and says `false`.
    pub(super) fn submit(&self, stops: impl Fn() -> bool) -> Result<bool, DiskFailed> {
        loop {
            let mut heard = self.lock();
            let batch = heard.devices.batch();
            if batch.is_empty() {
                return Ok(true);
            }
            let room = Vec::with_capacity(batch.len());
            let records = mem::replace(batch, room);
            let count = records.len() as u64;
            // Under the lock, so that a device's records stay in order.
            match self.committer.submit(records) {
                Ok(_) => {
                    self.submitted.fetch_add(count, Ordering::Relaxed);
                    return Ok(true);
                }
                Err(SubmitError::Failed { cause, .. }) => return Err(DiskFailed(cause)),
                Err(SubmitError::QueueFull { records, .. }) => *heard.devices.batch() = records,
            }
            drop(heard);
            if stops() {
                return Ok(false);
            }
            let next = self.committer.durable() + 1;
            self.committer.wait(Ticket(next), LOOK);
        }
    }

    /// Whether all that was heard is on the disk; waits so long at most until it is.
    pub(super) fn are_durable(&self, patience: Duration) -> bool {
        let mut heard = self.lock();
        let all_submitted = heard.devices.batch().is_empty();
        let submitted = self.submitted.load(Ordering::Relaxed);
        drop(heard);
        all_submitted && self.committer.wait(Ticket(submitted), patience)
    }

    /// Nothing more will be heard: hands over what is left, and ends the ledger's thread.
    pub(super) fn close(self) -> Result<Figures, DiskFailed> {
        self.lock().devices.finish();
        self.submit(|| self.disk() == Disk::Full)?;
        let mut figures = self.figures();
        let failed = |error: portledger_ledger::Error| DiskFailed(error.to_string());
        self.committer.close().map_err(failed)?;
        figures.durable = figures.submitted;
        Ok(figures)
    }

    pub(super) fn disk(&self) -> Disk {
        self.committer.state()
    }

    pub(super) fn figures(&self) -> Figures {
        let heard = self.lock();
        Figures {
            devices: heard.figures.clone(),
            listeners: Vec::new(),
            submitted: self.submitted.load(Ordering::Relaxed),
            durable: self.committer.durable(),
            kept_aside: heard.kept_aside,
            not_kept_aside: heard.not_kept_aside,
        }
    }
}

impl Heard {
    /// A device's place.
    pub(super) fn enter(&mut self, device: &Device, telling: &Telling) -> DeviceIndex {
        let index = self.devices.enter(device, telling.promise);
        if self.figures.len() < self.devices.len() {
            self.figures
                .push((device.clone(), DeviceFigures::default()));
        }
        index
    }

    /// Whether a device was heard, or the ledger knows of it.
    pub(super) fn knows(&self, device: &Device) -> bool {
        self.devices.knows(device)
    }

    /// A message of a device came in. One that is silent for longer than it may be was not heard.
    pub(super) fn message(
        &mut self,
        index: DeviceIndex,
        now: Timestamp,
        silence: Option<Duration>,
    ) {
        let Some(figures) = self.figures_of(index) else {
            return;
        };
        figures.messages += 1;
        let before = figures.heard.replace(now);
        if let (Some(before), Some(silence)) = (before, silence)
            && now.since(before) > silence
        {
            self.lost(index, None, now, None);
        }
    }

    /// After a device's message was read: it lives.
    pub(super) fn alive(&mut self, index: DeviceIndex, now: Timestamp) {
        self.devices.alive(index, now);
    }

    pub(super) fn event(&mut self, index: DeviceIndex, event: NatEvent, now: Timestamp) {
        let at = event.at.timestamp();
        let unkept = self.devices.take(index, event, Some(now));
        self.count_event(index, at, unkept);
    }

    /// A device holds nothing from a time on.
    pub(super) fn over(&mut self, index: DeviceIndex, at: Timestamp, now: Timestamp) {
        self.devices.over(index, at, now);
        self.count_event(index, at, None);
    }

    fn count_event(&mut self, index: DeviceIndex, at: Timestamp, unkept: Option<Unkept>) {
        if let Some(figures) = self.figures_of(index) {
            figures.events += 1;
            figures.unkept += u64::from(unkept.is_some());
            figures.last_event = figures.last_event.max(Some(at));
        }
    }

    /// So many of a device's messages are missing before the one that came now.
    pub(super) fn missing(&mut self, index: DeviceIndex, messages: u64, now: Timestamp) {
        if let Some(figures) = self.figures_of(index) {
            figures.missing += messages;
        }
        self.lost(index, None, now, None);
    }

    pub(super) fn skipped(&mut self, index: DeviceIndex) {
        if let Some(figures) = self.figures_of(index) {
            figures.skipped += 1;
        }
    }

    /// Something of a device was not understood. It may have been an event, so there is a gap.
    pub(super) fn rejected(
        &mut self,
        index: DeviceIndex,
        now: Timestamp,
        reason: &str,
        bytes: &[u8],
    ) {
        if let Some(figures) = self.figures_of(index) {
            figures.rejected += 1;
        }
        self.lost(index, None, now, None);
        let (Some(rejects), Some((device, _))) =
            (&mut self.rejects, self.figures.get(index.place()))
        else {
            return;
        };
        if rejects.keep(device, now, reason, bytes) {
            self.kept_aside += 1;
        } else {
            self.not_kept_aside += 1;
        }
    }

    /// What a session says of a message, which is left empty.
    pub(super) fn items(
        &mut self,
        index: DeviceIndex,
        now: Timestamp,
        items: &mut Vec<Item>,
        message: &[u8],
    ) {
        self.devices.expect(index, items);
        for item in items.drain(..) {
            self.item(index, now, item, message);
        }
        // A message may tell of very many, and is no reason to keep room for as many.
        items.shrink_to(ITEMS);
    }

    /// What a session says of what it read.
    pub(super) fn item(&mut self, index: DeviceIndex, now: Timestamp, item: Item, message: &[u8]) {
        match self.devices.item(index, item, Some(now)) {
            Came::Event { at, unkept } => self.count_event(index, at, unkept),
            Came::Lost(missing) => {
                if let Some(figures) = self.figures_of(index) {
                    figures.missing += u64::from(missing);
                    figures.losses += 1;
                }
            }
            Came::Rejected { reason, set } => {
                let bytes = set.as_ref().map_or(message, |set| &set.0);
                self.rejected(index, now, &reason, bytes);
            }
            Came::Disordered => {}
        }
    }

    pub(super) fn lost(
        &mut self,
        index: DeviceIndex,
        since: Option<Timestamp>,
        until: Timestamp,
        events: Option<u64>,
    ) {
        self.devices.lost(
            index,
            Loss {
                since,
                until,
                events,
            },
        );
        if let Some(figures) = self.figures_of(index) {
            figures.losses += 1;
        }
    }

    pub(super) fn interrupted(&mut self, index: DeviceIndex) {
        self.devices.interrupted(index);
    }

    fn figures_of(&mut self, index: DeviceIndex) -> Option<&mut DeviceFigures> {
        let figures = self.figures.get_mut(index.place());
        figures.map(|(_, figures)| figures)
    }
}

/// The time by our clock.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::EPOCH.after(since.unwrap_or_default())
}
