//! The engine on captures: their packets, in the order of their times, go through it as if they
//! came in now.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
};

use portledger_ledger::Writer as LedgerWriter;
use portledger_model::{Event, Timestamp};
use portledger_nat::{EventNumber, HEADROOM, Output, Side, Slot, Told, Verdict};
use thiserror::Error;

use crate::{
    capture::{CaptureError, IpPacket, Merge, NotIp, WriteError, Writer, packet_of_either},
    engine::Engine,
    start::{Declared, StartError},
};

/// One run of captures through an engine. Time is theirs.
///
/// Events reach the ledger before the packets that need them are given out, and are made durable
/// at the end of the run: nothing here is ever answered before it is.
pub struct Replay<'a> {
    nat: Engine,
    declared: Declared,
    ledger: Option<&'a mut LedgerWriter>,
    output: Output,
    buffer: Vec<u8>,
    last: Option<Timestamp>,
    /// Events told in all, by the engine and for it.
    pub events: u64,
}

/// A packet that left the engine.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// When.
    pub at: Timestamp,
    /// To which side.
    pub to: Side,
    /// What there is of it.
    pub data: &'a [u8],
    /// How many bytes its capture lacked.
    pub missing: u32,
}

/// Why a run stopped.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The captures begin before the ledger ends.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] portledger_ledger::Error),
    /// A capture that is written.
    #[error("cannot write to {file}: {error}")]
    Write {
        /// Which.
        file: String,
        /// Why.
        error: WriteError,
    },
}

impl<'a> Replay<'a> {
    /// Brings `nat`, in which nothing has happened yet, to a ledger or to none.
    pub fn new(
        nat: impl Into<Engine>,
        declared: Declared,
        ledger: Option<&'a mut LedgerWriter>,
    ) -> Self {
        Self {
            nat: nat.into(),
            declared,
            ledger,
            output: Output::default(),
            buffer: Vec::new(),
            last: None,
            events: 0,
        }
    }

    /// The engine.
    pub const fn nat(&mut self) -> &mut Engine {
        &mut self.nat
    }

    /// Sends one packet through, and hands what comes out to `sent`: the packet itself, and what
    /// the engine has to send besides. What became of it, for whoever wants to know.
    ///
    /// # Errors
    /// When the ledger refuses.
    pub fn packet(
        &mut self,
        at: Timestamp,
        from: Side,
        packet: IpPacket<'_>,
        mut sent: impl FnMut(Sent<'_>),
    ) -> Result<Verdict, ReplayError> {
        self.begin(at)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.resize(HEADROOM, 0);
        buffer.extend_from_slice(packet.bytes);
        // What the snap length cut off is not needed to translate: the checksums are updated by
        // difference.
        let missing = usize::from(packet.missing);
        buffer.resize(buffer.len() + missing, 0);
        let range = HEADROOM..buffer.len();
        let mut slot = Slot::new(&mut buffer, range);
        if let Some((Side::Inside, realm)) = self.nat.origin(slot.bytes()) {
            slot.realm = realm;
        }
        self.nat
            .batch(at, from, std::slice::from_mut(&mut slot), &mut self.output);
        let verdict = slot.verdict;
        self.write_events()?;
        if let Verdict::Forward { to, .. } = verdict {
            let data = slot.bytes();
            sent(Sent {
                at,
                to,
                data: &data[..data.len().saturating_sub(missing)],
                missing: packet.missing.into(),
            });
        }
        self.buffer = buffer;
        self.hand_out(at, &mut sent);
        Ok(verdict)
    }

    /// Lets time pass without a packet.
    ///
    /// # Errors
    /// When the ledger refuses.
    pub fn advance(
        &mut self,
        at: Timestamp,
        mut sent: impl FnMut(Sent<'_>),
    ) -> Result<(), ReplayError> {
        self.begin(at)?;
        self.nat.advance(at, &mut self.output);
        self.write_events()?;
        self.hand_out(at, &mut sent);
        Ok(())
    }

    /// Ends the run: the device stops, and its ledger is made durable. The engine, and how many
    /// events there were in all.
    ///
    /// # Errors
    /// When the ledger refuses.
    pub fn finish(mut self) -> Result<(Engine, u64), ReplayError> {
        if let Some(last) = self.last {
            self.nat.tell(last, Event::Stopped, &mut self.output);
            self.write_events()?;
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.sync()?;
        }
        Ok((self.nat, self.events))
    }

    fn begin(&mut self, at: Timestamp) -> Result<(), ReplayError> {
        if self.last.is_none() {
            let device = &self.declared.device;
            let since = self.declared.resting_since(at);
            let (resume, in_force) = match &self.ledger {
                Some(ledger) => {
                    let ledger = ledger.ledger()?;
                    (ledger.resume(device, since)?, ledger.rules_in_force(device))
                }
                None => (None, Vec::new()),
            };
            let past = self.declared.past(resume, at)?;
            self.nat.tell(at, self.declared.started(), &mut self.output);
            for rule in self.declared.rules(&in_force, at).0 {
                self.nat.tell(at, rule, &mut self.output);
            }
            self.nat.start(at, past, &mut self.output);
        }
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        Ok(())
    }

    fn write_events(&mut self) -> Result<(), ReplayError> {
        let Some(Told { number, .. }) = self.output.events.last() else {
            return Ok(());
        };
        let EventNumber(number) = *number;
        self.events = number;
        let records: Vec<_> = self
            .output
            .events
            .drain(..)
            .map(|told| self.declared.record(told))
            .collect();
        if let Some(ledger) = &mut self.ledger {
            ledger.append(&records)?;
        }
        self.nat.durable(EventNumber(number));
        Ok(())
    }

    fn hand_out(&mut self, at: Timestamp, sent: &mut impl FnMut(Sent<'_>)) {
        for emitted in self.output.packets.drain(..) {
            sent(Sent {
                at,
                to: emitted.to,
                data: &emitted.data,
                missing: 0,
            });
        }
    }
}

/// What a run of captures met, besides what the engine counts.
#[derive(Debug, Default)]
pub struct Report {
    /// Frames read.
    pub frames: u64,
    /// Frames without an IP packet, by reason.
    pub not_ip: BTreeMap<NotIp, u64>,
    /// Packets that the snap length had cut, translated all the same.
    pub cut: u64,
    /// Frames whose time was earlier than that of one before.
    pub went_back: u64,
    /// Captures that broke off: what was before the break went through.
    pub broken: Vec<CaptureError>,
    /// Packets written towards the inside.
    pub to_inside: u64,
    /// Packets written towards the outside.
    pub to_outside: u64,
    /// Of all packets sent, those not written because their time does not fit the file.
    pub unwritable: u64,
}

/// A capture that is being written, by its name.
pub struct Written<W> {
    /// Its name in messages.
    pub file: String,
    /// The file.
    pub writer: Writer<W>,
}

/// Sends captures through: the first is the inside's, the second the outside's. What comes out
/// is written where there is a file for it. `progress` is called now and then with the frames so
/// far.
///
/// # Errors
/// When the ledger or a file refuses; a capture that breaks off is reported instead.
pub fn captures<R: Read, W: Write>(
    replay: &mut Replay<'_>,
    mut merge: Merge<R>,
    sides: &[Side],
    to_inside: &mut Option<Written<W>>,
    to_outside: &mut Option<Written<W>>,
    mut progress: impl FnMut(u64),
) -> Result<Report, ReplayError> {
    let mut report = Report::default();
    let mut failed = None;
    loop {
        let merged = match merge.next_frame() {
            Ok(Some(merged)) => merged,
            Ok(None) => break,
            Err(error) => {
                report.broken.push(error);
                continue;
            }
        };
        report.frames += 1;
        if report.frames.is_multiple_of(65_536) {
            progress(report.frames);
        }
        let packet = match packet_of_either(merged.frame.link, merged.frame.data) {
            Ok(packet) => packet,
            Err(reason) => {
                *report.not_ip.entry(reason).or_default() += 1;
                continue;
            }
        };
        report.cut += u64::from(packet.missing > 0);
        let from = sides.get(merged.source).copied().unwrap_or(Side::Inside);
        replay.packet(merged.at, from, packet, |sent| {
            let (file, count) = match sent.to {
                Side::Inside => (&mut *to_inside, &mut report.to_inside),
                Side::Outside => (&mut *to_outside, &mut report.to_outside),
            };
            let Some(Written { file, writer }) = file else {
                return;
            };
            match writer.write_cut(sent.at, sent.data, sent.missing) {
                Ok(()) => *count += 1,
                Err(WriteError::Io(error)) => {
                    failed = Some(ReplayError::Write {
                        file: file.clone(),
                        error: WriteError::Io(error),
                    });
                }
                Err(WriteError::Time(_) | WriteError::TooLong(_)) => report.unwritable += 1,
            }
        })?;
        if let Some(error) = failed.take() {
            return Err(error);
        }
    }
    report.went_back = merge.went_back();
    Ok(report)
}
