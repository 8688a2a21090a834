//! One UDP socket.

use std::{io, time::Duration};

use portledger_model::Timestamp;

use super::{
    Collector, DRAIN, Note, Protocol,
    datagrams::{Datagram, Datagrams},
    desk::{Heard, now},
    figures::ListenerFigures,
    flows::Exporters,
    lines::Speakers,
};

/// Whoever sends to one socket.
enum Senders<'c> {
    Flows(Exporters<'c>),
    Lines(Speakers<'c>),
}

/// How often what has a time is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Hears a socket until it is time to stop.
pub(super) fn hear(
    collector: &Collector<'_>,
    mut datagrams: Datagrams,
    protocol: Protocol,
    note: Note<'_>,
) -> io::Result<()> {
    let settings = &collector.settings;
    let mut senders = match protocol {
        Protocol::Flows => Senders::Flows(Exporters::new(&settings.roster)),
        Protocol::Lines => Senders::Lines(Speakers::new(&settings.roster, settings.dialects)),
    };
    let mut tick = now();
    let mut stopped = None;
    loop {
        let mut counted = ListenerFigures::default();
        let mut heard = None;
        let mut at = now();
        let received = datagrams.receive(|datagram| {
            // Taken with the first datagram: before it came, others were not kept waiting.
            let heard = heard.get_or_insert_with(|| {
                at = now();
                collector.desk.lock()
            });
            senders.take(&datagram, at, heard, &mut counted);
        })?;
        if received == 0 {
            at = now();
            if at.since(tick) >= TICK || collector.stops() {
                counted.dropped = datagrams.dropped_since().into();
            }
            if counted.dropped > 0 {
                senders.lost(at, heard.get_or_insert_with(|| collector.desk.lock()));
            }
        }
        if at.since(tick) >= TICK {
            tick = at;
            let heard = heard.get_or_insert_with(|| collector.desk.lock());
            senders.tick(at, heard);
        }
        drop(heard);
        if received > 0 || counted.dropped > 0 {
            note.note(|figures| figures.add(&counted));
        }
        collector.submit();
        // What the kernel has is taken before the end: nobody else would.
        if collector.stops() && (received == 0 || at.since(*stopped.get_or_insert(at)) >= DRAIN) {
            senders.finish(at, &mut collector.desk.lock());
            collector.submit();
            return Ok(());
        }
    }
}

impl Senders<'_> {
    fn take(
        &mut self,
        datagram: &Datagram<'_>,
        now: Timestamp,
        heard: &mut Heard,
        counted: &mut ListenerFigures,
    ) {
        let Datagram { from, bytes, .. } = *datagram;
        counted.received += 1;
        counted.bytes += bytes.len() as u64;
        if datagram.dropped > 0 {
            counted.dropped += u64::from(datagram.dropped);
            self.lost(now, heard);
        }
        let is_known = match self {
            Self::Flows(exporters) => exporters.datagram(from, bytes, now, heard),
            Self::Lines(speakers) => {
                let mut all_known = true;
                for line in lines(bytes) {
                    all_known &= speakers.line(from.ip(), line, now, heard);
                }
                if datagram.is_cut {
                    let reason = "the datagram is longer than any";
                    speakers.unread(from.ip(), &[], reason, now, heard);
                }
                all_known
            }
        };
        counted.refused += u64::from(!is_known);
    }

    /// Datagrams were dropped. Whose flow messages these were, their numbers tell.
    fn lost(&mut self, now: Timestamp, heard: &mut Heard) {
        if let Self::Lines(speakers) = self {
            speakers.lost(now, heard);
        }
    }

    fn tick(&mut self, now: Timestamp, heard: &mut Heard) {
        if let Self::Flows(exporters) = self {
            exporters.tick(now, heard);
        }
    }

    fn finish(&mut self, now: Timestamp, heard: &mut Heard) {
        if let Self::Flows(exporters) = self {
            exporters.finish(now, heard);
        }
    }
}

/// The lines of a datagram: by RFC 5426 §3.1 there is one, but some NATs send several.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.filter(|line| !line.trim_ascii().is_empty())
}
