//! The customer's end of a softwire: IPv4 in IPv6 (RFC 2473), between a device and a socket.
//!
//! Not every kernel has a tunnel of that kind. All of IPv6 is the kernel's here all the same: its headers, its
//! fragments and their reassembly.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use portledger_dataplane::tun::{Batch, Device, Queue, VirtioHeader};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, ipproto, recv,
    send, socket_with,
};

use crate::Failure;
use crate::namespace::Namespace;

/// How often it looks whether it is to end.
const TICK: Duration = Duration::from_millis(100);
/// The longest packet, and a byte by which a longer one would show.
const ROOM: usize = 65_536;

/// A softwire of a namespace; it ends when it is dropped.
#[derive(Debug)]
pub struct Softwire {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Softwire {
    /// The device into which IPv4 packets go.
    pub const DEVICE: &str = "softwire";
    /// What is left of 1,500 bytes for an IPv4 packet.
    pub const MTU: u16 = 1_460;

    /// Opens one between two addresses, the first of the namespace's own.
    ///
    /// # Errors
    /// When the kernel gives no device or no socket.
    pub fn open(namespace: &Namespace, local: Ipv6Addr, remote: Ipv6Addr) -> Result<Self, Failure> {
        let (queue, socket) = namespace.within(|| {
            let device = Device::open_without_offload(Self::DEVICE, 1, Some(Self::MTU));
            let queue = device.map_err(io::Error::other)?.queues.pop();
            let queue = queue.ok_or_else(|| io::Error::other("a device without a queue"))?;
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let kind = SocketType::RAW;
            let socket = socket_with(AddressFamily::INET6, kind, flags, Some(ipproto::IPIP))?;
            bind(&socket, &SocketAddrV6::new(local, 0, 0, 0))?;
            connect(&socket, &SocketAddrV6::new(remote, 0, 0, 0))?;
            Ok((queue, socket))
        })?;
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ended);
        // An end that fails carries nothing: the test that waits for its packets says so.
        let thread = std::thread::spawn(move || drop(carry(queue, &socket, &told)));
        Ok(Self {
            ended,
            thread: Some(thread),
        })
    }
}

impl Drop for Softwire {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn carry(mut queue: Queue, socket: &OwnedFd, ended: &AtomicBool) -> io::Result<()> {
    let mut batch = Batch::new(64);
    let mut packet = vec![0; ROOM];
    let tick = Timespec {
        tv_sec: 0,
        tv_nsec: TICK.subsec_nanos().into(),
    };
    while !ended.load(Ordering::Acquire) {
        let mut sources = [
            PollFd::new(&queue, PollFlags::IN),
            PollFd::new(socket, PollFlags::IN),
        ];
        poll(&mut sources, Some(&tick))?;
        while queue.read_batch(&mut batch).map_err(io::Error::other)? > 0 {
            for frame in batch.frames() {
                // What the kernel multicasts on any new link is IPv6. What the other end refuses is lost.
                if frame.ip().first().is_some_and(|first| first >> 4 == 4) {
                    let _ = send(socket, frame.ip(), SendFlags::empty());
                }
            }
        }
        loop {
            match recv(socket, &mut packet[..], RecvFlags::empty()) {
                Ok((length, _)) => {
                    let inner = packet.get(..length).unwrap_or_default();
                    let _ = queue.write(&VirtioHeader::default(), inner);
                }
                Err(Errno::AGAIN) => break,
                // An ICMPv6 error of a packet sent earlier: of no interest here.
                Err(_) => {}
            }
        }
    }
    Ok(())
}
