//! Datagrams to one receiver.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use super::{addresses, is_not_now, no_address, poll_one};
use crate::export::target::Peer;

/// Datagrams that are sent without a pause, and the pause: a receiver's buffer holds about a
/// hundred of them, and a backlog must not overrun it.
const BURST: u32 = 32;
const PAUSE: Duration = Duration::from_millis(2);

/// A connected UDP socket, so that a refusal (ICMP) is told.
#[derive(Debug)]
pub(in crate::export) struct Datagrams {
    socket: UdpSocket,
    pub(super) given: u64,
    burst: u32,
}

impl Datagrams {
    /// Opens a socket to one of the peer's addresses, to another at each `attempt`: that a name
    /// has one does not say that somebody listens there.
    pub(super) fn open(peer: &Peer, attempt: usize) -> io::Result<Self> {
        let addresses: Vec<_> = addresses(peer)?.collect();
        let turn = attempt
            .checked_rem(addresses.len())
            .ok_or_else(no_address)?;
        let address = *addresses.get(turn).ok_or_else(no_address)?;
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            given: 0,
            burst: 0,
        })
    }

    pub(super) fn send(&mut self, datagram: &[u8]) -> io::Result<bool> {
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

    pub(super) fn wait(&mut self, time: Duration, room_wanted: bool) -> io::Result<()> {
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
