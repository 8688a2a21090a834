//! One queue's thread.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use portledger_ledger::{Committer, State};
use portledger_model::Timestamp;
use portledger_nat::{Emitted, EventNumber, HEADROOM, Offload, Segments, Side, Slot, Verdict};

use super::{
    Control, DeviceCounters, Hub, LedgerFull, Notice, RunError, Settings, lock, wait::Waiting,
};
use crate::{
    clock::Step,
    engine::{Engine, Whole},
    tun::{Batch, Checksum, Frame, Queue, VirtioHeader, Wake, WriteError},
};

pub(super) struct Worker<'a> {
    pub(super) queue: Queue,
    pub(super) wake: &'a Wake,
    pub(super) hub: &'a Mutex<Hub>,
    pub(super) committer: &'a Committer,
    pub(super) control: &'a Control,
    pub(super) settings: &'a Settings,
    /// What the engine takes whole.
    pub(super) whole: Whole,
    pub(super) notice: &'a (dyn Fn(Notice) + Sync),
    /// One of the threads does what is done once.
    pub(super) leads: bool,
}

/// What a thread reads into, made once.
struct Room {
    batch: Batch,
    cut: Cut,
}

/// The segments of one packet, each behind [`HEADROOM`].
#[derive(Default)]
struct Cut {
    bytes: Vec<u8>,
    lengths: Vec<usize>,
}

impl Cut {
    /// Cuts a packet. `false` where it is none that can be cut: the engine says why.
    fn fill(&mut self, frame: &Frame<'_>) -> bool {
        self.bytes.clear();
        self.lengths.clear();
        let VirtioHeader { checksum, segments } = frame.header;
        let (Checksum::Partial { .. }, Some(segments)) = (checksum, segments) else {
            return false;
        };
        let Ok(mut segments) = Segments::of(frame.ip(), segments.size.get()) else {
            return false;
        };
        loop {
            self.bytes.resize(self.bytes.len() + HEADROOM, 0);
            match segments.append_next(&mut self.bytes) {
                Some(length) => self.lengths.push(HEADROOM + length),
                None => return true,
            }
        }
    }

    fn segments(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let mut rest = &mut self.bytes[..];
        self.lengths.iter().map(move |&length| {
            let (segment, others) = std::mem::take(&mut rest).split_at_mut(length);
            rest = others;
            segment
        })
    }
}

/// Packets that go through the engine together.
#[derive(Default)]
struct Run<'a> {
    headers: Vec<VirtioHeader>,
    slots: Vec<Slot<'a>>,
}

impl<'a> Run<'a> {
    fn with_room(packets: usize) -> Self {
        Self {
            headers: Vec::with_capacity(packets),
            slots: Vec::with_capacity(packets),
        }
    }

    /// A packet behind [`HEADROOM`].
    fn push(&mut self, header: VirtioHeader, buffer: &'a mut [u8]) {
        let packet = HEADROOM..buffer.len();
        self.headers.push(header);
        self.slots.push(Slot {
            offload: offload(&header),
            ..Slot::new(buffer, packet)
        });
    }
}

/// Packets read at once.
const BATCH: usize = 64;
/// Timers tick in seconds: looking this often is often enough.
const TICK: Duration = Duration::from_millis(250);

impl Worker<'_> {
    pub(super) fn run(mut self) -> Result<(), RunError> {
        let mut room = Room {
            batch: Batch::new(BATCH),
            cut: Cut::default(),
        };
        let mut waiting = Waiting::default();
        let mut counters = DeviceCounters::default();
        let result = self.serve(&mut room, &mut waiting, &mut counters);
        if result.is_err() {
            // The others must not run on without this one.
            self.control.stop();
        }
        lock(self.hub).device.add(counters);
        result
    }

    fn serve(
        &mut self,
        room: &mut Room,
        waiting: &mut Waiting,
        counters: &mut DeviceCounters,
    ) -> Result<(), RunError> {
        while !self.control.stopped() {
            let ready = self.queue.wait(self.wake, Some(TICK))?;
            if ready.packets {
                self.drain(room, waiting, counters)?;
            } else {
                self.tick(waiting, counters);
            }
            let durable = EventNumber(self.committer.durable());
            self.send_waiting(durable, waiting, counters);
        }
        Ok(())
    }

    /// Translates what the queue holds. A batch that is not full was the last: asking for one more
    /// would be a system call for nothing.
    fn drain(
        &mut self,
        room: &mut Room,
        waiting: &mut Waiting,
        counters: &mut DeviceCounters,
    ) -> Result<(), RunError> {
        loop {
            let read = self.queue.read_batch(&mut room.batch)?;
            counters.dropped_malformed += count(room.batch.malformed());
            if read > 0 {
                self.translate(room, waiting, counters);
            }
            if read < BATCH || self.control.stopped() {
                return Ok(());
            }
        }
    }

    /// Brings a batch through the engine, and sends what may go.
    fn translate(&self, room: &mut Room, waiting: &mut Waiting, counters: &mut DeviceCounters) {
        let Room { batch, cut } = room;
        let mut run = Run::with_room(batch.frames().len());
        for frame in batch.frames() {
            if self.takes(&frame) || !cut.fill(&frame) {
                run.push(frame.header, frame.buffer);
                continue;
            }
            counters.cut += 1;
            // What came before it goes before it.
            self.pass(std::mem::take(&mut run), waiting, counters);
            let mut of_frame = Run::with_room(cut.lengths.len());
            let header = VirtioHeader {
                segments: None,
                ..frame.header
            };
            for segment in cut.segments() {
                of_frame.push(header, segment);
            }
            self.pass(of_frame, waiting, counters);
        }
        self.pass(run, waiting, counters);
    }

    fn takes(&self, frame: &Frame<'_>) -> bool {
        let segments = frame.header.segments;
        segments.is_none_or(|segments| self.whole.takes(frame.ip(), segments.size.get()))
    }

    /// Brings a run of packets through the engine, and sends what may go.
    fn pass(&self, run: Run<'_>, waiting: &mut Waiting, counters: &mut DeviceCounters) {
        let Run { headers, mut slots } = run;
        if slots.is_empty() {
            return;
        }
        let mut hub = lock(self.hub);
        hub.device.add(std::mem::take(counters));
        let durable = EventNumber(self.committer.durable());
        hub.nat.durable(durable);
        let (now, step) = hub.now();
        let Hub { nat, output, .. } = &mut *hub;
        // Both sides share the device: runs of one side go through together.
        let mut rest = &mut slots[..];
        while let Some((first, others)) = rest.split_first_mut() {
            let from = origin(nat, first);
            let sides = others.iter_mut().map(|slot| origin(nat, slot));
            let these = 1 + sides.take_while(|&side| side == from).count();
            let (these, others) = rest.split_at_mut(these);
            nat.batch(now, from, these, output);
            rest = others;
        }
        let (emitted, notices) = self.leave(hub, now, step);
        for notice in notices {
            (self.notice)(notice);
        }
        // Under load nothing else comes to it, and a flow's first packets go before its next.
        self.send_waiting(durable, waiting, counters);
        for (header, slot) in headers.iter().zip(&slots) {
            if let Verdict::Forward { after, .. } = slot.verdict {
                match left_undone(*header, slot) {
                    Some(header) => {
                        self.send(after, durable, &header, slot.bytes(), waiting, counters);
                    }
                    None => counters.dropped_malformed += 1,
                }
            }
        }
        self.send_emitted(emitted, durable, waiting, counters);
    }

    /// Lets time pass.
    fn tick(&self, waiting: &mut Waiting, counters: &mut DeviceCounters) {
        let mut hub = lock(self.hub);
        hub.device.add(std::mem::take(counters));
        let durable = EventNumber(self.committer.durable());
        hub.nat.durable(durable);
        let (now, step) = hub.now();
        let Hub { nat, output, .. } = &mut *hub;
        nat.advance(now, output);
        let (emitted, notices) = self.leave(hub, now, step);
        for notice in notices {
            (self.notice)(notice);
        }
        self.send_emitted(emitted, durable, waiting, counters);
    }

    /// Does what is to be done at intervals, hands over the events, and leaves the hub with what
    /// is to be sent and said.
    fn leave(
        &self,
        mut hub: MutexGuard<'_, Hub>,
        now: Timestamp,
        step: Option<Step>,
    ) -> (Vec<Emitted>, Vec<Notice>) {
        let mut notices: Vec<Notice> = step.map(Notice::ClockStep).into_iter().collect();
        if self.leads {
            hub.keep_house(now, self.settings);
            notices.extend(hub.ledger_change(self.committer).map(Notice::Ledger));
        }
        hub.submit(self.committer);
        if self.leads && self.control.take_report() {
            notices.push(Notice::Report(Box::new(hub.report(self.committer))));
        }
        (std::mem::take(&mut hub.output.packets), notices)
    }

    fn send_emitted(
        &self,
        emitted: Vec<Emitted>,
        durable: EventNumber,
        waiting: &mut Waiting,
        counters: &mut DeviceCounters,
    ) {
        let whole = VirtioHeader::default();
        for Emitted { data, after, .. } in emitted {
            self.send(after, durable, &whole, &data, waiting, counters);
        }
    }

    /// Sends a packet, or lets it wait until its event is durable.
    fn send(
        &self,
        after: EventNumber,
        durable: EventNumber,
        header: &VirtioHeader,
        packet: &[u8],
        waiting: &mut Waiting,
        counters: &mut DeviceCounters,
    ) {
        if after <= durable || !self.settings.log_before_use {
            self.write(header, packet, counters);
        } else if self.settings.ledger_full == LedgerFull::Forward
            && self.committer.state() != State::Running
        {
            counters.sent_before_durable += 1;
            self.write(header, packet, counters);
        } else if waiting.push(after, *header, packet) {
            counters.waited += 1;
        } else {
            counters.dropped_waiting += 1;
        }
    }

    fn send_waiting(
        &self,
        durable: EventNumber,
        waiting: &mut Waiting,
        counters: &mut DeviceCounters,
    ) {
        while let Some((header, packet)) = waiting.pop(durable) {
            self.write(&header, &packet, counters);
        }
    }

    fn write(&self, header: &VirtioHeader, packet: &[u8], counters: &mut DeviceCounters) {
        match self.queue.write(header, packet) {
            Ok(()) => {}
            // The next wait says so.
            Err(WriteError::Gone) => {}
            Err(_) => counters.dropped_write += 1,
        }
    }
}

/// The side that a packet comes from, its realm noted in it. One that is neither side's goes to
/// the engine as the outside's, which counts and drops it.
fn origin(nat: &Engine, slot: &mut Slot<'_>) -> Side {
    let Some((side, realm)) = nat.origin(slot.bytes()) else {
        return Side::Outside;
    };
    slot.realm = realm;
    side
}

/// What is left to do to a packet that the engine let through; `None` where it contradicts it.
fn left_undone(header: VirtioHeader, slot: &Slot<'_>) -> Option<VirtioHeader> {
    if slot.offload == Offload::None && offload(&header) != Offload::None {
        // The engine has done it.
        return Some(VirtioHeader::default());
    }
    let version = slot.bytes().first()? >> 4;
    header.moved(HEADROOM, slot.packet.start, version)
}

fn offload(header: &VirtioHeader) -> Offload {
    match (header.segments, header.checksum) {
        (Some(segments), _) => Offload::Segments(segments.size.get()),
        (None, Checksum::Partial { .. }) => Offload::Checksum,
        (None, Checksum::Unchecked | Checksum::Verified) => Offload::None,
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
