//! The way to a target: a socket, a connection, TLS on one, or a file.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket},
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::sockopt,
};
use rustls::ClientConnection;

use super::{
    acknowledged::unacknowledged,
    target::{IpfixOver, LinesOver, Peer, Sends, SyslogOver, Tls},
};

/// How long a connection may take to come about, and then its TLS.
const CONNECT: Duration = Duration::from_secs(5);
/// After so long without an acknowledgement, or with a peer that takes nothing, the system ends a
/// connection (tcp(7), TCP_USER_TIMEOUT; RFC 5482).
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// An idle connection is tried after so long, and as often again.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Datagrams that are sent without a pause, and the pause: a receiver's buffer holds about a
/// hundred of them, and a backlog must not overrun it.
const BURST: u32 = 32;
const PAUSE: Duration = Duration::from_millis(2);

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

    /// Opens the way.
    pub(super) fn open(&self) -> io::Result<Link> {
        Ok(match self {
            Self::Udp(peer) => Link::Datagrams(Datagrams::open(peer)?),
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
    pub(super) const CERTAIN_AFTER: Duration = Duration::from_secs(2 * USER_TIMEOUT.as_secs() + 5);

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

/// A connected UDP socket, so that a refusal (ICMP) is told.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
    given: u64,
    burst: u32,
}

impl Datagrams {
    fn open(peer: &Peer) -> io::Result<Self> {
        let mut last = None;
        for address in addresses(peer)? {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            match UdpSocket::bind(any).and_then(|socket| {
                socket.connect(address)?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            }) {
                Ok(socket) => {
                    return Ok(Self {
                        socket,
                        given: 0,
                        burst: 0,
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(no_address))
    }

    fn send(&mut self, datagram: &[u8]) -> io::Result<bool> {
        if self.burst == BURST {
            self.burst = 0;
            thread::sleep(PAUSE);
        }
        match self.socket.send(datagram) {
            Ok(sent) => {
                self.given += sent as u64;
                self.burst += 1;
                Ok(true)
            }
            Err(error) if is_not_now(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn wait(&mut self, time: Duration, room_wanted: bool) -> io::Result<()> {
        self.burst = 0;
        poll_one(&self.socket, time, room_wanted)?;
        // A refusal waits as an error; whatever else comes back is none of ours.
        let mut scratch = [0; 64];
        loop {
            match self.socket.recv(&mut scratch) {
                Ok(_) => {}
                Err(error) if is_not_now(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// A TCP connection, perhaps under TLS.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// What the socket had no room for; under TLS the library keeps that.
    rest: Vec<u8>,
    given: u64,
}

impl Stream {
    fn open(peer: &Peer, tls: Option<&Tls>) -> io::Result<Self> {
        let mut last = None;
        for address in addresses(peer)? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(socket) => return Self::on(socket, tls),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(no_address))
    }

    fn on(socket: TcpStream, tls: Option<&Tls>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        sockopt::set_socket_keepalive(&socket, true)?;
        sockopt::set_tcp_keepidle(&socket, KEEPALIVE)?;
        sockopt::set_tcp_keepintvl(&socket, KEEPALIVE)?;
        let millis = u32::try_from(USER_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(&socket, millis)?;
        let mut stream = Self {
            socket,
            tls: None,
            rest: Vec::new(),
            given: 0,
        };
        if let Some(tls) = tls {
            let client = ClientConnection::new(tls.config.clone(), tls.name.clone());
            stream.tls = Some(Box::new(client.map_err(io::Error::other)?));
            stream.shake_hands()?;
        }
        Ok(stream)
    }

    fn shake_hands(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + CONNECT;
        loop {
            let flushed = self.flush()?;
            if self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking()) && flushed {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "no TLS within 5 s; is it a TLS port?",
                ));
            }
            self.wait(left, !flushed)?;
        }
    }

    fn send(&mut self, parcel: &[u8]) -> io::Result<bool> {
        if !self.flush()? {
            return Ok(false);
        }
        match &mut self.tls {
            // All before is flushed, so that its buffer has room.
            Some(tls) => tls.writer().write_all(parcel)?,
            None => self.rest.extend_from_slice(parcel),
        }
        self.flush()?;
        Ok(true)
    }

    fn flush(&mut self) -> io::Result<bool> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                match tls.write_tls(&mut self.socket) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => self.given += written as u64,
                    Err(error) if is_not_now(&error) => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            return Ok(true);
        }
        let mut done = 0;
        let all = loop {
            let Some(rest) = self.rest.get(done..).filter(|rest| !rest.is_empty()) else {
                break Ok(true);
            };
            match self.socket.write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => done += written,
                Err(error) if is_not_now(&error) => break Ok(false),
                Err(error) => break Err(error),
            }
        };
        self.rest.drain(..done);
        self.given += done as u64;
        all
    }

    fn acknowledged(&self) -> io::Result<Option<u64>> {
        match unacknowledged(&self.socket) {
            Ok(waiting) => Ok(Some(self.given.saturating_sub(waiting))),
            // A system without that table, or a connection that ended: reading it tells.
            Err(_) => Ok(None),
        }
    }

    fn has_arrived(&self) -> io::Result<bool> {
        match unacknowledged(&self.socket) {
            Ok(waiting) => Ok(waiting == 0),
            // The connection is over: in order, or by a reset, which stays as an error.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                sockopt::socket_error(&self.socket)??;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    fn wait(&mut self, time: Duration, room_wanted: bool) -> io::Result<()> {
        poll_one(&self.socket, time, room_wanted)?;
        let mut scratch = [0; 4_096];
        loop {
            let read = match &mut self.tls {
                Some(tls) => {
                    let read = tls.read_tls(&mut self.socket);
                    if read.as_ref().is_ok_and(|read| *read > 0) {
                        let state = tls.process_new_packets().map_err(io::Error::other)?;
                        // Nobody who receives has anything to say: it is taken and dropped.
                        let mut plain = state.plaintext_bytes_to_read();
                        while plain > 0 {
                            let some = tls.reader().read(&mut scratch)?;
                            plain = plain.saturating_sub(some.max(1));
                        }
                        if state.peer_has_closed() {
                            return Err(closed());
                        }
                    }
                    read
                }
                None => self.socket.read(&mut scratch),
            };
            match read {
                Ok(0) => return Err(closed()),
                Ok(_) => {}
                Err(error) if is_not_now(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            self.flush()?;
        }
        self.socket.shutdown(std::net::Shutdown::Write)
    }
}

/// Whether an error is the peer's orderly end of a connection. A peer that ends one while something
/// is unread, or still comes, resets it (RFC 1122 §4.2.2.13; RFC 2525 §2.17).
pub(super) fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

fn closed() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the other end closed the connection",
    )
}

/// A file that lines are appended to.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    file: File,
    given: u64,
    synced: u64,
}

impl Lines {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = append_to(path)?;
        end_torn_line(path, &mut file)?;
        Ok(Self {
            path: path.into(),
            file,
            given: 0,
            synced: 0,
        })
    }

    fn send(&mut self, parcel: &[u8]) -> io::Result<()> {
        self.file.write_all(parcel)?;
        self.given += parcel.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<u64> {
        if self.synced < self.given {
            match self.file.sync_data() {
                Ok(()) => {}
                // A pipe or a terminal has nothing to sync.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                Err(error) => return Err(error),
            }
            self.synced = self.given;
        }
        Ok(self.synced)
    }

    /// Begins anew where the file was moved away, as those do who rotate logs.
    fn reopen(&mut self) -> io::Result<()> {
        let ours = self.file.metadata()?;
        let there = std::fs::metadata(&self.path);
        if !ours.is_file()
            || there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()))
        {
            return Ok(());
        }
        self.sync()?;
        self.file = append_to(&self.path)?;
        Ok(())
    }
}

/// Who held what is personal data: the owner's and the group's, whatever the umask lets.
fn append_to(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.append(true).create(true).mode(0o640).open(path)
}

/// A crash may have torn the last line; what was torn is sent again, on a line of its own.
fn end_torn_line(path: &Path, file: &mut File) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let metadata = file.metadata()?;
    let Some(last) = metadata.len().checked_sub(1).filter(|_| metadata.is_file()) else {
        return Ok(());
    };
    let mut byte = [0];
    File::open(path)?.read_exact_at(&mut byte, last)?;
    if byte != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(())
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
