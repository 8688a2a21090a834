//! The way to a target: a socket, a connection, TLS on one, or a file.

mod datagrams;
mod lines;
mod stream;

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    os::fd::AsFd,
    path::PathBuf,
    thread,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::{datagrams::Datagrams, lines::Lines, stream::Stream};
use super::target::{IpfixOver, LinesOver, Peer, Sends, SyslogOver, Tls};

pub(super) use self::stream::is_end;

/// Where parcels go.
#[derive(Debug, Clone)]
pub(super) enum Route {
    Udp(Peer),
    Tcp(Peer),
    Tls(Peer, Tls),
    File(PathBuf),
}

impl Route {
    pub(super) fn of(sends: &Sends) -> Self {
        match sends {
            Sends::Ipfix {
                over: IpfixOver::Udp { to, .. },
                ..
            }
            | Sends::NetFlow9 { to, .. }
            | Sends::Syslog {
                over: SyslogOver::Udp(to),
                ..
            } => Self::Udp(to.clone()),
            Sends::Ipfix {
                over: IpfixOver::Tcp(to),
                ..
            }
            | Sends::Syslog {
                over: SyslogOver::Tcp(to, _),
                ..
            }
            | Sends::JsonLines(LinesOver::Tcp(to)) => Self::Tcp(to.clone()),
            Sends::Ipfix {
                over: IpfixOver::Tls(to, tls),
                ..
            }
            | Sends::Syslog {
                over: SyslogOver::Tls(to, tls),
                ..
            }
            | Sends::JsonLines(LinesOver::Tls(to, tls)) => Self::Tls(to.clone(), tls.clone()),
            Sends::JsonLines(LinesOver::File(path)) => Self::File(path.clone()),
        }
    }

    /// Opens the way. `attempt` counts how often that was tried.
    pub(super) fn open(&self, attempt: usize) -> io::Result<Link> {
        Ok(match self {
            Self::Udp(peer) => Link::Datagrams(Datagrams::open(peer, attempt)?),
            Self::Tcp(peer) => Link::Stream(Stream::open(peer, None)?),
            Self::Tls(peer, tls) => Link::Stream(Stream::open(peer, Some(tls))?),
            Self::File(path) => Link::File(Lines::open(path)?),
        })
    }

    /// How long what was acknowledged must have been so before it counts as received. A peer's
    /// system acknowledges what its program has not read yet; when the program ends, the
    /// connection breaks, and what was acknowledged just before is sent again. Over UDP a refusal
    /// comes back within this time.
    pub(super) const fn settles(&self) -> Duration {
        match self {
            Self::Udp(_) => Duration::from_secs(1),
            Self::Tcp(_) | Self::Tls(..) => Duration::from_secs(3),
            Self::File(_) => Duration::ZERO,
        }
    }
}

/// An open way.
#[derive(Debug)]
pub(super) enum Link {
    Datagrams(Datagrams),
    Stream(Stream),
    File(Lines),
}

impl Link {
    /// Takes a whole parcel, or says that there is room for none now (`false`). A parcel that was
    /// taken leaves by this and the following [`Link::flush`].
    pub(super) fn send(&mut self, parcel: &[u8]) -> io::Result<bool> {
        match self {
            Self::Datagrams(datagrams) => datagrams.send(parcel),
            Self::Stream(stream) => stream.send(parcel),
            Self::File(lines) => lines.send(parcel).map(|()| true),
        }
    }

    /// Gives the system what it was not given yet; whether all is.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Stream(stream) => stream.flush(),
            Self::Datagrams(_) | Self::File(_) => Ok(true),
        }
    }

    /// Bytes given to the system so far.
    pub(super) const fn given(&self) -> u64 {
        match self {
            Self::Datagrams(datagrams) => datagrams.given,
            Self::Stream(stream) => stream.given,
            Self::File(lines) => lines.given,
        }
    }

    /// How many of these have arrived; `None` where the system does not tell.
    pub(super) fn acknowledged(&mut self) -> io::Result<Option<u64>> {
        match self {
            Self::Datagrams(datagrams) => Ok(Some(datagrams.given)),
            Self::Stream(stream) => stream.acknowledged(),
            Self::File(lines) => lines.sync().map(Some),
        }
    }

    /// After so long a connection that still is has had everything acknowledged, also where the
    /// system does not tell: otherwise it would have ended it. Older kernels look seldom.
    pub(super) const CERTAIN_AFTER: Duration =
        Duration::from_secs(2 * stream::USER_TIMEOUT.as_secs() + 5);

    /// Waits until the peer says something, there is room again (where that is `wanted`), or time
    /// is up. An error, also the peer's end of the connection, ends it.
    pub(super) fn wait(&mut self, time: Duration, room_wanted: bool) -> io::Result<()> {
        match self {
            Self::Datagrams(datagrams) => datagrams.wait(time, room_wanted),
            Self::Stream(stream) => stream.wait(time, room_wanted),
            Self::File(lines) => {
                thread::sleep(time);
                lines.reopen()
            }
        }
    }

    /// After both ends have ended: whether all that was given has arrived, and nothing of it was
    /// refused.
    pub(super) fn has_arrived(&mut self) -> io::Result<bool> {
        match self {
            Self::Stream(stream) => stream.has_arrived(),
            Self::Datagrams(_) | Self::File(_) => Ok(true),
        }
    }

    /// Says that nothing more comes.
    pub(super) fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.end(),
            Self::Datagrams(_) | Self::File(_) => Ok(()),
        }
    }
}

fn addresses(peer: &Peer) -> io::Result<impl Iterator<Item = SocketAddr> + use<>> {
    (peer.host.as_str(), peer.port).to_socket_addrs()
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

fn is_not_now(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn poll_one(socket: &impl AsFd, time: Duration, room_wanted: bool) -> io::Result<()> {
    let mut flags = PollFlags::IN;
    if room_wanted {
        flags |= PollFlags::OUT;
    }
    let timeout = Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    match poll(&mut [PollFd::new(socket, flags)], Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
