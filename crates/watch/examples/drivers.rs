//! What watching costs, by way of getting at connection starts: the ring of the driver, a packet
//! socket read with `recvmmsg`, conntrack's events, and the whole watcher, one at a time under the
//! same load of SYNs.
//!
//! ```text
//! cargo run --release -p portledger-watch --example drivers [RATE] [SECONDS]
//! ```
//!
//! Needs root, for a network namespace with a pair of interfaces. Says for each way how many of the
//! connections it saw, how many the kernel said it dropped, and how much processor time it took.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program for developers, which ends where its surroundings are not as it needs them"
)]

use std::{
    hash::RandomState,
    io::IoSliceMut,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use portledger_watch::{
    Settings, Watcher,
    driver::{Control, Sockets},
    output::{Files, Rotation},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with},
    thread::{LinkNameSpaceType, move_into_link_name_space},
    time::{ClockId, clock_gettime},
};

const SERVER: &str = "watch-server";
const CLIENT: &str = "watch-client";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rate: u32 = arguments
        .next()
        .map_or(10_000, |text| text.parse().unwrap());
    let seconds: u32 = arguments.next().map_or(10, |text| text.parse().unwrap());
    let _network = Network::new();
    println!("{rate} connections/s for {seconds} s");
    for (name, way) in [
        ("watcher to files", watcher as Way),
        ("recvmmsg", recvmmsg),
        ("conntrack", conntrack),
    ] {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let worker = thread::spawn(move || {
            enter(SERVER);
            way(&stopped)
        });
        thread::sleep(Duration::from_millis(500));
        let sent = thread::spawn(move || send(rate, seconds)).join().unwrap();
        thread::sleep(Duration::from_millis(1_500));
        stop.store(true, Ordering::Relaxed);
        let seen = worker.join().unwrap();
        let share = seen.processor.as_secs_f64() / f64::from(seconds) * 100.0;
        println!(
            "{name:<17} sent {sent}, seen {}, said to be dropped {}, {:.3} s of processor time: {share:.2} % of a core, {:.2} us a connection",
            seen.connections,
            seen.dropped,
            seen.processor.as_secs_f64(),
            seen.processor.as_secs_f64() * 1e6 / seen.connections.max(1) as f64,
        );
    }
}

type Way = fn(&Arc<AtomicBool>) -> Seen;

struct Seen {
    connections: u64,
    dropped: u64,
    processor: Duration,
}

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        now.tv_sec.try_into().unwrap(),
        now.tv_nsec.try_into().unwrap(),
    )
}

fn watcher(stop: &Arc<AtomicBool>) -> Seen {
    let begun = processor_time();
    let folder = tempfile::tempdir().unwrap();
    let rotation = Rotation {
        bytes: u64::MAX,
        age: Duration::MAX,
        keep: None,
    };
    let mut files = Files::open(folder.path(), rotation).unwrap();
    let settings = Settings::default();
    let sockets = Sockets::open(&settings, None).unwrap();
    let control = Control {
        stop: Arc::clone(stop),
        ..Control::default()
    };
    let watcher = Watcher::new(settings, RandomState::new());
    let report = sockets
        .run(watcher, &mut files, &control, &mut |_| {})
        .unwrap();
    Seen {
        connections: report.seen.connections,
        dropped: report.seen.lost,
        processor: processor_time() - begun,
    }
}

/// The same filter, as good as: everything of IPv4, since only SYNs come here.
fn recvmmsg(stop: &Arc<AtomicBool>) -> Seen {
    let protocol =
        rustix::net::Protocol::from_raw(u32::from(0x0800_u16.to_be()).try_into().unwrap());
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(
        AddressFamily::PACKET,
        SocketType::DGRAM,
        flags,
        Some(protocol),
    );
    let socket = socket.unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 16 << 20).unwrap();
    nix::sys::socket::setsockopt(
        &socket,
        nix::sys::socket::sockopt::ReceiveTimestampns,
        &true,
    )
    .unwrap();
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RxqOvfl, &1).unwrap();
    drain(&socket, stop, |message, _| message.len() >= 40)
}

fn conntrack(stop: &Arc<AtomicBool>) -> Seen {
    // The kernel tracks connections only where a rule wants their state.
    run("nft", "add table inet watch");
    run(
        "nft",
        "add chain inet watch input { type filter hook input priority 0 ; }",
    );
    run("nft", "add rule inet watch input ct state invalid drop");
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        flags,
        Some(netlink::NETFILTER),
    );
    let socket = socket.unwrap();
    // NFNLGRP_CONNTRACK_NEW is group 1.
    rustix::net::bind(&socket, &netlink::SocketAddrNetlink::new(0, 1)).unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 16 << 20).unwrap();
    // NFNL_SUBSYS_CTNETLINK 1, IPCTNL_MSG_CT_NEW 0.
    drain(&socket, stop, |message, _| {
        message.get(4..6) == Some(&[0, 1])
    })
}

/// Reads messages in batches, as often as the ring gives blocks.
fn drain(socket: &OwnedFd, stop: &AtomicBool, is_one: fn(&[u8], usize) -> bool) -> Seen {
    use nix::sys::socket::{MsgFlags, MultiHeaders};

    let begun = processor_time();
    let mut seen = Seen {
        connections: 0,
        dropped: 0,
        processor: Duration::ZERO,
    };
    let mut buffers = vec![[0_u8; 512]; 256];
    let space = nix::cmsg_space!(nix::sys::time::TimeSpec, u32);
    let mut headers = MultiHeaders::<()>::preallocate(buffers.len(), Some(space));
    let nap = Timespec {
        tv_sec: 0,
        tv_nsec: 200_000_000,
    };
    while !stop.load(Ordering::Relaxed) {
        let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)];
        poll(&mut fds, Some(&nap)).unwrap();
        loop {
            let mut slices: Vec<_> = buffers
                .iter_mut()
                .map(|one| [IoSliceMut::new(one)])
                .collect();
            let read = nix::sys::socket::recvmmsg(
                socket.as_raw_fd(),
                &mut headers,
                slices.iter_mut(),
                MsgFlags::empty(),
                None,
            );
            match read {
                Ok(messages) => {
                    for message in messages {
                        let bytes: &[u8] = message.iovs().next().unwrap_or_default();
                        seen.connections += u64::from(is_one(bytes, message.bytes));
                    }
                }
                Err(nix::Error::EAGAIN) => break,
                Err(nix::Error::ENOBUFS) => seen.dropped += 1,
                Err(error) => panic!("{error}"),
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
    seen.processor = processor_time() - begun;
    seen
}

/// Sends SYNs from many addresses and ports at this rate.
fn send(rate: u32, seconds: u32) -> u64 {
    enter(CLIENT);
    let flags = SocketFlags::CLOEXEC;
    let raw = rustix::net::Protocol::from_raw(255.try_into().unwrap());
    let socket = socket_with(AddressFamily::INET, SocketType::RAW, flags, Some(raw)).unwrap();
    let to: std::net::SocketAddr = "10.9.0.1:0".parse().unwrap();
    let begun = Instant::now();
    let total = u64::from(rate) * u64::from(seconds);
    let mut sent = 0;
    while sent < total {
        let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        while sent < due.min(total) {
            let packet = syn(sent);
            rustix::net::sendto(&socket, &packet, rustix::net::SendFlags::empty(), &to).unwrap();
            sent += 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
    sent
}

/// Each from another endpoint.
fn syn(number: u64) -> Vec<u8> {
    let [high, low] = u16::try_from(number / 60_000).unwrap().to_be_bytes();
    let port = u16::try_from(1_024 + number % 60_000).unwrap();
    let mut packet = Vec::new();
    etherparse::PacketBuilder::ipv4([10, 8, high, low], [10, 9, 0, 1], 64)
        .tcp(port, 443, 7, 64_000)
        .syn()
        .write(&mut packet, &[])
        .unwrap();
    packet
}

fn enter(name: &str) {
    let file = std::fs::File::open(format!("/run/netns/{name}")).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

fn run(program: &str, arguments: &str) {
    let mut command = Command::new(program);
    command.args(arguments.split(' ')).stdin(Stdio::null());
    let status = command.status().unwrap();
    assert!(status.success(), "{program} {arguments}: {status}");
}

/// Two namespaces and a cable.
struct Network;

impl Network {
    fn new() -> Self {
        drop(Self);
        for name in [SERVER, CLIENT] {
            run("ip", &format!("netns add {name}"));
        }
        run(
            "ip",
            &format!("link add watch0 netns {CLIENT} type veth peer name watch1 netns {SERVER}"),
        );
        for (name, interface, address) in [
            (CLIENT, "watch0", "10.9.0.2/24"),
            (SERVER, "watch1", "10.9.0.1/24"),
        ] {
            run(
                "ip",
                &format!("-n {name} address add {address} dev {interface}"),
            );
            run("ip", &format!("-n {name} link set {interface} up"));
        }
        // What answers must not come back to a stack that knows of nothing.
        run(
            "ip",
            &format!("-n {SERVER} route add blackhole 10.8.0.0/16"),
        );
        run(
            "ip",
            &format!(
                "netns exec {SERVER} sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.watch1.rp_filter=0"
            ),
        );
        Self
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in [SERVER, CLIENT] {
            let mut command = Command::new("ip");
            let _ = command
                .args(["netns", "del", name])
                .stderr(Stdio::null())
                .status();
        }
    }
}
