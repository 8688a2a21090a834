//! Datagrams off a socket, many a system call.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
    thread,
    time::{Duration, Instant},
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::{
        socket::{
            ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, setsockopt,
            sockopt::{RcvBuf, RcvBufForce, ReceiveTimeout, RxqOvfl},
        },
        time::{TimeVal, TimeValLike as _},
    },
};

/// Datagrams that are taken at once.
const BATCH: usize = 128;
/// The longest there are.
const LONGEST: usize = 65_535;
/// A socket is not asked more often than this unless it had as many as are taken at once: what comes
/// meanwhile costs one system call, one lock and one handing over, rather than one each.
const PACE: Duration = Duration::from_millis(1);
/// How long a socket waits before it is looked whether it is time to stop.
const LOOK: Duration = Duration::from_millis(200);

/// A socket and room for its datagrams.
pub(super) struct Datagrams {
    socket: UdpSocket,
    room: Vec<u8>,
    /// The kernel's count of dropped datagrams, which wraps.
    dropped: u32,
    /// When it is asked again.
    next: Instant,
}

/// One datagram.
pub(super) struct Datagram<'b> {
    pub(super) from: SocketAddr,
    pub(super) bytes: &'b [u8],
    /// There was more of it than there is room for.
    pub(super) is_cut: bool,
    /// So many were dropped between the one before it and this.
    pub(super) dropped: u32,
}

impl Datagrams {
    /// Listens, with so many bytes of the kernel's memory for what waits. Returns how many it
    /// gave as well: without the right to more (`CAP_NET_ADMIN`) it gives `net.core.rmem_max`.
    pub(super) fn bind(address: SocketAddr, buffer: usize) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        setsockopt(&socket, RxqOvfl, &1)?;
        setsockopt(&socket, RcvBufForce, &buffer)
            .or_else(|_| setsockopt(&socket, RcvBuf, &buffer))?;
        let look = TimeVal::milliseconds(i64::try_from(LOOK.as_millis()).unwrap_or(i64::MAX));
        setsockopt(&socket, ReceiveTimeout, &look)?;
        Ok(Self {
            socket,
            room: vec![0; BATCH * LONGEST],
            dropped: 0,
            next: Instant::now(),
        })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits for datagrams and hands over those that are there; none where none came for a while.
    pub(super) fn receive(&mut self, each: impl FnMut(Datagram<'_>)) -> io::Result<usize> {
        let early = self.next.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            thread::sleep(early);
        }
        let count = self.take(each)?;
        if (1..BATCH).contains(&count) {
            self.next = Instant::now() + PACE;
        }
        Ok(count)
    }

    /// How many were dropped since the last datagram that came: no other has told of them yet.
    pub(super) fn dropped_since(&mut self) -> u32 {
        let inode = rustix::fs::fstat(&self.socket).map(|facts| facts.st_ino);
        let is_v6 = self.address().is_ok_and(|address| address.is_ipv6());
        let path = if is_v6 {
            "/proc/net/udp6"
        } else {
            "/proc/net/udp"
        };
        let table = std::fs::read_to_string(path).unwrap_or_default();
        let Some(total) = inode.ok().and_then(|inode| drops(&table, inode)) else {
            return 0;
        };
        let dropped = total.wrapping_sub(self.dropped);
        self.dropped = total;
        dropped
    }

    fn take(&mut self, mut each: impl FnMut(Datagram<'_>)) -> io::Result<usize> {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = self
            .room
            .chunks_exact_mut(LONGEST)
            .map(|chunk| [IoSliceMut::new(chunk)])
            .collect();
        // Made anew each time: the kernel writes into the headers how much of the room for its
        // count it used, and would find no room the next time.
        let mut headers =
            MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(cmsg_space!(u32)));
        let received = recvmmsg(
            self.socket.as_raw_fd(),
            &mut headers,
            slices.iter_mut(),
            MsgFlags::MSG_WAITFORONE,
            None,
        );
        let received = match received {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let mut count = 0;
        for message in received {
            count += 1;
            let mut dropped = 0;
            if let Ok(told) = message.cmsgs() {
                for told in told {
                    if let ControlMessageOwned::RxqOvfl(total) = told {
                        // One that was queued before the table was read is behind it.
                        let more = total.wrapping_sub(self.dropped);
                        if more.cast_signed() > 0 {
                            dropped = more;
                            self.dropped = total;
                        }
                    }
                }
            }
            let Some(from) = message.address.as_ref().and_then(address) else {
                continue;
            };
            let bytes = message.iovs().next().unwrap_or_default();
            each(Datagram {
                from,
                bytes,
                is_cut: message.flags.contains(MsgFlags::MSG_TRUNC),
                dropped,
            });
        }
        Ok(count)
    }
}

/// What the kernel's table of sockets says to have been dropped at one of them (proc_pid_net(5)):
/// the inode is a line's tenth column, the drops are its last.
fn drops(table: &str, inode: u64) -> Option<u32> {
    let mut lines = table.lines().map(str::split_ascii_whitespace);
    lines.find_map(|mut columns| {
        let is_it = columns.nth(9)?.parse() == Ok(inode);
        is_it.then(|| columns.last()?.parse().ok())?
    })
}

/// An address as it is written: one of IPv4 that came over a socket for both is one of IPv4.
fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::new(IpAddr::V4(v4.ip()), v4.port()));
    }
    let v6 = storage.as_sockaddr_in6()?;
    Some(SocketAddr::new(v6.ip().to_canonical(), v6.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_drops_is_counted_with_the_next_datagram() {
        let loopback = "127.0.0.1:0".parse().unwrap();
        let mut datagrams = Datagrams::bind(loopback, 4_096).unwrap();
        let sender = UdpSocket::bind(loopback).unwrap();
        sender.connect(datagrams.address().unwrap()).unwrap();
        let (mut taken, mut dropped) = (0, 0);
        let mut take = |datagrams: &mut Datagrams| {
            while datagrams
                .receive(|datagram| {
                    taken += 1;
                    dropped += datagram.dropped;
                })
                .unwrap()
                > 0
            {}
        };
        sender.send(b"first").unwrap();
        take(&mut datagrams);
        for _ in 0..500 {
            sender.send(&[7; 1_000]).unwrap();
        }
        take(&mut datagrams);
        sender.send(b"last").unwrap();
        take(&mut datagrams);
        assert_eq!(taken + dropped, 502);
        assert!(dropped > 400, "{dropped} dropped");
        assert_eq!(datagrams.dropped_since(), 0);
    }

    #[test]
    fn what_is_dropped_last_is_counted_although_nothing_follows() {
        // The table of IPv4 sockets, and that of sockets for both.
        for listens in ["127.0.0.1:0", "[::]:0"] {
            let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
            let mut datagrams = Datagrams::bind(listens.parse().unwrap(), 4_096).unwrap();
            let sender = UdpSocket::bind(loopback).unwrap();
            let to = (loopback.ip(), datagrams.address().unwrap().port());
            sender.connect(to).unwrap();
            for _ in 0..500 {
                sender.send(&[7; 1_000]).unwrap();
            }
            let (mut taken, mut told) = (0, 0);
            while datagrams
                .receive(|datagram| {
                    taken += 1;
                    told += datagram.dropped;
                })
                .unwrap()
                > 0
            {}
            let since = datagrams.dropped_since();
            assert_eq!(taken + told + since, 500);
            assert!(since > 400, "{since} dropped");
            assert_eq!(datagrams.dropped_since(), 0);
        }
    }

    #[test]
    fn senders_of_both_families_are_told_by_the_address_they_have() {
        let mut datagrams = Datagrams::bind("[::]:0".parse().unwrap(), 65_536).unwrap();
        let port = datagrams.address().unwrap().port();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"one", ("127.0.0.1", port)).unwrap();
        let mut from = Vec::new();
        datagrams
            .receive(|datagram| from.push((datagram.from, datagram.bytes.to_vec())))
            .unwrap();
        assert_eq!(from, [(sender.local_addr().unwrap(), b"one".to_vec())]);
    }
}
