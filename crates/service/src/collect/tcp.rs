//! Connections to one TCP socket, each in a thread of its own.

use std::{
    io::{self, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread::{self, Scope},
    time::{Duration, Instant},
};

use portledger_wire::{
    flow::Medium,
    syslog::{Frame, Frames, Framing},
};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{
    Collector, DRAIN, Note, Protocol,
    desk::{Heard, now},
    flows::Exporter,
    lines::Speakers,
};

/// Connections that one socket has at once.
const CONNECTIONS: u64 = 1_024;
/// How long to wait before it is looked whether it is time to stop.
const LOOK: Duration = Duration::from_millis(200);
/// The longest message of syslog; RFC 5424 §6.1 asks for 2,048 at least.
const LONGEST: usize = 65_536;
/// Bytes that are read at once.
const PIECE: usize = 65_536;

/// Takes connections until it is time to stop.
pub(super) fn hear<'s>(
    scope: &'s Scope<'s, '_>,
    collector: &'s Collector<'_>,
    listener: &TcpListener,
    protocol: Protocol,
    tls: Option<&Arc<ServerConfig>>,
    note: Note<'s>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    while !collector.stops() {
        let (stream, from) = match listener.accept() {
            Ok(accepted) => accepted,
            // One connection that failed before it was taken is no reason to take no more, and
            // with too many open files it is tried again.
            Err(_) => {
                thread::sleep(LOOK);
                continue;
            }
        };
        if note.connections() >= CONNECTIONS {
            note.note(|figures| figures.refused_connections += 1);
            continue;
        }
        note.note(|figures| figures.connections += 1);
        let tls = tls.cloned();
        let spawned = thread::Builder::new()
            .name("connection".into())
            .spawn_scoped(scope, move || {
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                if connection(collector, stream, from, protocol, tls, note).is_err() {
                    note.note(|figures| figures.refused_connections += 1);
                }
                note.note(|figures| figures.connections -= 1);
            });
        if spawned.is_err() {
            note.note(|figures| {
                figures.connections -= 1;
                figures.refused_connections += 1;
            });
        }
    }
    Ok(())
}

/// Hears one connection to its end. Fails where it comes to no connection: the socket refuses its
/// settings, or TLS is not agreed on.
fn connection(
    collector: &Collector<'_>,
    stream: TcpStream,
    from: SocketAddr,
    protocol: Protocol,
    tls: Option<Arc<ServerConfig>>,
    note: Note<'_>,
) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(LOOK))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let Some(tls) = tls else {
        read(collector, stream, from, protocol, note);
        return Ok(());
    };
    let session = ServerConnection::new(tls).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, stream);
    while stream.conn.is_handshaking() {
        match stream.conn.complete_io(&mut stream.sock) {
            Ok(_) => {}
            Err(error) if is_pause(&error) && !collector.stops() => {}
            Err(error) => return Err(error),
        }
    }
    read(collector, stream, from, protocol, note);
    Ok(())
}

/// What comes over one connection.
enum Sender<'c> {
    Flow(Box<Exporter>),
    Lines(Box<(Speakers<'c>, Frames)>),
}

fn read(
    collector: &Collector<'_>,
    mut stream: impl Read,
    from: SocketAddr,
    protocol: Protocol,
    note: Note<'_>,
) {
    let settings = &collector.settings;
    let roster = &settings.roster;
    let sender = match protocol {
        Protocol::Flows => {
            let mut heard = collector.desk.lock();
            let entered = Exporter::enter(roster, from, Medium::Stream, now(), &mut heard);
            entered.map(|exporter| Sender::Flow(Box::new(exporter)))
        }
        Protocol::Lines => {
            let frames = Frames::new(Framing::Told, LONGEST);
            let speakers = Speakers::new(roster, settings.dialects);
            Some(Sender::Lines(Box::new((speakers, frames))))
        }
    };
    let Some(mut sender) = sender else {
        note.note(|figures| figures.refused += 1);
        return;
    };
    let mut piece = vec![0; PIECE];
    let mut is_usable = true;
    let mut stopped = None;
    while is_usable {
        if collector.stops() && stopped.get_or_insert_with(Instant::now).elapsed() >= DRAIN {
            break;
        }
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                let bytes = piece.get(..length).unwrap_or_default();
                let mut heard = collector.desk.lock();
                let (usable, refused) = sender.take(bytes, from, &mut heard);
                drop(heard);
                is_usable = usable;
                note.note(|figures| {
                    figures.received += 1;
                    figures.bytes += length as u64;
                    figures.refused += refused;
                });
            }
            // What came before it is time to stop was read.
            Err(error) if is_pause(&error) && !collector.stops() => {
                sender.tick(&mut collector.desk.lock());
            }
            Err(_) => break,
        }
        collector.submit();
    }
    sender.end(from, &mut collector.desk.lock());
    collector.submit();
}

impl Sender<'_> {
    /// Takes the next piece. Says whether the connection is of use, and how many messages were
    /// refused.
    fn take(&mut self, bytes: &[u8], from: SocketAddr, heard: &mut Heard) -> (bool, u64) {
        let now = now();
        match self {
            Self::Flow(exporter) => (exporter.stream(bytes, now, heard), 0),
            Self::Lines(lines) => {
                let (speakers, frames) = lines.as_mut();
                let mut refused = 0;
                frames.push(bytes, |frame| {
                    refused += u64::from(!line(speakers, frame, from, heard));
                });
                (true, refused)
            }
        }
    }

    fn tick(&mut self, heard: &mut Heard) {
        if let Self::Flow(exporter) = self {
            exporter.tick(now(), heard);
        }
    }

    /// The connection ended: what its devices tell until the next one may be lost.
    fn end(&mut self, from: SocketAddr, heard: &mut Heard) {
        match self {
            Self::Flow(exporter) => exporter.interrupted(now(), heard),
            Self::Lines(lines) => {
                let (speakers, frames) = lines.as_mut();
                frames.finish(|frame| {
                    line(speakers, frame, from, heard);
                });
                speakers.interrupted(heard);
            }
        }
    }
}

/// Takes a frame of lines; `false` where its device is refused.
fn line(
    speakers: &mut Speakers<'_>,
    frame: Frame<'_>,
    from: SocketAddr,
    heard: &mut Heard,
) -> bool {
    let now = now();
    let (bytes, why) = match frame {
        Frame::Message(line) => return speakers.line(from.ip(), line, now, heard),
        Frame::Overlong { .. } => (&[][..], "a message longer than 65,536 bytes"),
        Frame::Unframed { .. } => (&[][..], "bytes that are no frame (RFC 6587)"),
        // It may have been cut short anywhere.
        Frame::Unfinished(rest) => (rest, "the connection ended inside a message"),
    };
    speakers.unread(from.ip(), bytes, why, now, heard);
    true
}

/// Whether nothing came for a while, rather than never again.
fn is_pause(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}
