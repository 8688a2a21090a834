//! A connection.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use rustix::net::sockopt;
use rustls::ClientConnection;

use super::{addresses, is_not_now, no_address, poll_one};
use crate::export::{
    acknowledged::unacknowledged,
    target::{Peer, Tls},
};

/// How long a connection may take to come about, and then its TLS.
const CONNECT: Duration = Duration::from_secs(5);
/// After so long without an acknowledgement, or with a peer that takes nothing, the system ends a
/// connection (tcp(7), TCP_USER_TIMEOUT; RFC 5482).
pub(super) const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// An idle connection is tried after so long, and as often again.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A TCP connection, perhaps under TLS.
#[derive(Debug)]
pub(in crate::export) struct Stream {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// What the socket had no room for; under TLS the library keeps that.
    rest: Vec<u8>,
    pub(super) given: u64,
    /// The system tells what was not acknowledged.
    is_told: bool,
}

impl Stream {
    pub(super) fn open(peer: &Peer, tls: Option<&Tls>) -> io::Result<Self> {
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
            is_told: false,
        };
        stream.is_told = unacknowledged(&stream.socket).is_ok();
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

    pub(super) fn send(&mut self, parcel: &[u8]) -> io::Result<bool> {
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

    pub(super) fn flush(&mut self) -> io::Result<bool> {
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

    pub(super) fn acknowledged(&self) -> io::Result<Option<u64>> {
        if !self.is_told {
            return Ok(None);
        }
        match unacknowledged(&self.socket) {
            Ok(waiting) => Ok(Some(self.given.saturating_sub(waiting))),
            // Who is no longer in the table is connected no longer.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(closed()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn has_arrived(&self) -> io::Result<bool> {
        match self.acknowledged() {
            Ok(arrived) => Ok(arrived == Some(self.given)),
            // The connection is over: in order, or by a reset, which stays as an error.
            Err(error) if is_end(&error) => {
                sockopt::socket_error(&self.socket)??;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn wait(&mut self, time: Duration, room_wanted: bool) -> io::Result<()> {
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

    pub(super) fn end(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            self.flush()?;
        }
        self.socket.shutdown(std::net::Shutdown::Write)
    }
}

/// Whether an error is the peer's orderly end of a connection. A peer that ends one while something
/// is unread, or still comes, resets it (RFC 1122 §4.2.2.13; RFC 2525 §2.17).
pub(in crate::export) fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

fn closed() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the other end closed the connection",
    )
}
