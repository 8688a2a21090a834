//! The TUN device against the kernel. Root only; each test runs in namespaces of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking, as tests do.

mod namespace;

use std::{
    io::{Read, Write},
    net::{IpAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use namespace::{alone, run, status};
use portledger_dataplane::tun::{
    Batch, Checksum, Device, OpenError, Queue, ReadError, SegmentKind, Segments, VirtioHeader,
    Wake, WriteError,
};
use rustix::{
    net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket},
    process::{Gid, Uid},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

const US: &str = "10.77.0.1";
const NEIGHBOUR: &str = "10.77.0.2";
const NOBODY: u32 = 65_534;

/// A device with addresses, its link up.
fn open(queues: u16) -> Device {
    let device = Device::open("cgn0", queues, Some(1_500)).unwrap();
    run("ip address add 10.77.0.1/24 dev cgn0");
    run("ip address add 2001:db8::1/64 dev cgn0 nodad");
    device
}

/// A thread that sends back what it reads from a queue, addresses swapped.
struct Echo {
    thread: JoinHandle<Tally>,
    stop: Arc<(Wake, AtomicBool)>,
}

/// What an [`Echo`] saw of packets to the neighbour.
#[derive(Default)]
struct Tally {
    packets: usize,
    /// The longest packet and its header.
    longest: Option<(usize, VirtioHeader)>,
}

impl Echo {
    fn start(mut queue: Queue) -> Self {
        let stop = Arc::new((Wake::new().unwrap(), AtomicBool::new(false)));
        let seen = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut tally = Tally::default();
            let mut batch = Batch::new(64);
            while !seen.1.load(Ordering::Acquire) {
                queue.wait(&seen.0, None).unwrap();
                while queue.read_batch(&mut batch).unwrap() > 0 {
                    assert_eq!(batch.malformed(), 0);
                    for mut frame in batch.frames() {
                        // Not what the kernel multicasts on any new link.
                        if !destination(frame.ip()).is_multicast() {
                            tally.note(frame.header, frame.ip());
                            swap_addresses(frame.ip_mut());
                            queue.write(&frame.header, frame.ip()).unwrap();
                        }
                    }
                }
            }
            tally
        });
        Self { thread, stop }
    }

    fn stop(self) -> Tally {
        self.stop.1.store(true, Ordering::Release);
        self.stop.0.ring();
        self.thread.join().unwrap()
    }
}

impl Tally {
    fn note(&mut self, header: VirtioHeader, ip: &[u8]) {
        self.packets += 1;
        if self.longest.is_none_or(|(length, _)| length < ip.len()) {
            self.longest = Some((ip.len(), header));
        }
    }
}

/// Swaps a packet's source and destination address, which no checksum notices. What the kernel
/// sends to its neighbour's address comes back as from the neighbour, and so do its answers: one
/// namespace talks to itself through the device.
fn swap_addresses(ip: &mut [u8]) {
    let (addresses, length) = match ip[0] >> 4 {
        4 => (&mut ip[12..20], 4),
        _ => (&mut ip[8..40], 16),
    };
    let (source, destination) = addresses.split_at_mut(length);
    source.swap_with_slice(destination);
}

/// The destination address of a packet.
fn destination(ip: &[u8]) -> IpAddr {
    match ip[0] >> 4 {
        4 => <[u8; 4]>::try_from(&ip[16..20]).unwrap().into(),
        _ => <[u8; 16]>::try_from(&ip[24..40]).unwrap().into(),
    }
}

#[test]
fn a_ping_is_answered() {
    alone("a_ping_is_answered", || {
        let device = open(2);
        assert_eq!(device.queues.len(), 2);
        assert!(device.facts.up && !device.facts.existed);
        assert_eq!(device.facts.mtu, 1_500);
        let echoes: Vec<Echo> = device.queues.into_iter().map(Echo::start).collect();

        let ping = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).unwrap();
        // RFC 792: an echo request, identifier 7, sequence number 1, and its checksum.
        let request = [8, 0, !8, !8, 0, 7, 0, 1];
        let to = std::net::SocketAddr::new(NEIGHBOUR.parse().unwrap(), 0);
        sendto(&ping, &request, SendFlags::empty(), &to).unwrap();
        let socket = UdpSocket::from(ping);
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let mut packet = [0_u8; 100];
        // The socket also hears the request the kernel is asked by "the neighbour".
        let reply = loop {
            let length = socket.recv(&mut packet).unwrap();
            if packet[20] == 0 {
                break &packet[..length];
            }
        };
        assert_eq!(reply[12..16], [10, 77, 0, 2]);
        assert_eq!(reply[24..28], [0, 7, 0, 1]);
        let packets: usize = echoes.into_iter().map(|echo| echo.stop().packets).sum();
        assert_eq!(packets, 2, "a request and the kernel's answer to it");
    });
}

#[test]
fn flows_spread_over_the_queues() {
    alone("flows_spread_over_the_queues", || {
        let echoes: Vec<Echo> = open(2).queues.into_iter().map(Echo::start).collect();
        let server = UdpSocket::bind((US, 9_000)).unwrap();
        server
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        for _ in 0..64 {
            let client = UdpSocket::bind((US, 0)).unwrap();
            client.send_to(b"flow", (NEIGHBOUR, 9_000)).unwrap();
            let (_, from) = server.recv_from(&mut [0; 16]).unwrap();
            assert_eq!(from.ip(), NEIGHBOUR.parse::<IpAddr>().unwrap());
        }
        for echo in echoes {
            assert!(echo.stop().packets > 8);
        }
    });
}

#[test]
fn tcp_passes_in_whole_super_packets() {
    alone("tcp_passes_in_whole_super_packets", || {
        let (longest, header) = transfer(US, NEIGHBOUR);
        assert!(longest > 60_000, "{longest}");
        assert_eq!(
            header.checksum,
            Checksum::Partial {
                start: 20,
                offset: 16
            }
        );
        let Segments { kind, size, .. } = header.segments.unwrap();
        assert_eq!(kind, SegmentKind::TcpV4 { ecn: false });
        // The MTU less the headers of IPv4 and TCP with time stamps.
        assert_eq!(size.get(), 1_500 - 20 - 32);
    });
}

#[test]
fn tcp_over_ipv6_passes_in_whole_super_packets() {
    alone("tcp_over_ipv6_passes_in_whole_super_packets", || {
        let (longest, header) = transfer("2001:db8::1", "2001:db8::2");
        assert!(longest > 60_000, "{longest}");
        assert_eq!(
            header.checksum,
            Checksum::Partial {
                start: 40,
                offset: 16
            }
        );
        let Segments { kind, size, .. } = header.segments.unwrap();
        assert_eq!(kind, SegmentKind::TcpV6 { ecn: false });
        assert_eq!(size.get(), 1_500 - 40 - 32);
    });
}

/// Sends megabytes over one TCP connection to ourselves by way of the device; the longest packet.
fn transfer(us: &str, neighbour: &str) -> (usize, VirtioHeader) {
    const BYTES: usize = 16 << 20;
    let sent: Vec<u8> = (0..BYTES).map(|at| (at / 7) as u8).collect();
    let echo = Echo::start(open(1).queues.remove(0));
    let server = TcpListener::bind((us, 9_000)).unwrap();
    let mut client = TcpStream::connect((neighbour, 9_000)).unwrap();
    let (mut accepted, from) = server.accept().unwrap();
    assert_eq!(from.ip(), neighbour.parse::<IpAddr>().unwrap());
    let receiver = thread::spawn(move || {
        let mut received = Vec::with_capacity(BYTES);
        accepted.read_to_end(&mut received).unwrap();
        received
    });
    client.write_all(&sent).unwrap();
    drop(client);
    assert!(
        receiver.join().unwrap() == sent,
        "the bytes arrived altered"
    );
    echo.stop().longest.unwrap()
}

#[test]
fn a_vanished_device_ends_the_wait() {
    alone("a_vanished_device_ends_the_wait", || {
        let mut queue = open(1).queues.remove(0);
        let wake = Wake::new().unwrap();
        let deleting = thread::spawn(|| {
            thread::sleep(Duration::from_millis(100));
            run("ip link delete cgn0");
        });
        let start = Instant::now();
        let mut batch = Batch::new(4);
        let error = loop {
            match queue.wait(&wake, Some(Duration::from_secs(5))) {
                Ok(ready) if ready.packets => drop(queue.read_batch(&mut batch)),
                Ok(ready) => panic!("waited in vain: {ready:?}"),
                Err(error) => break error,
            }
        };
        deleting.join().unwrap();
        assert!(start.elapsed() < Duration::from_secs(4));
        assert!(matches!(error, ReadError::Gone { .. }), "{error}");
        assert!(error.to_string().contains("'cgn0' is gone"));
        let error = queue.read_batch(&mut batch).unwrap_err();
        assert!(matches!(error, ReadError::Gone { .. }), "{error}");
        let packet = [0x45; 40];
        assert_eq!(
            queue.write(&VirtioHeader::default(), &packet),
            Err(WriteError::Gone)
        );
    });
}

#[test]
fn writes_fail_by_reason() {
    alone("writes_fail_by_reason", || {
        let queue = open(1).queues.remove(0);
        let plain = VirtioHeader::default();
        assert_eq!(queue.write(&plain, &[0x45; 40]), Ok(()));
        assert_eq!(queue.write(&plain, &[0x15; 40]), Err(WriteError::Invalid));
        let outside = VirtioHeader {
            checksum: Checksum::Partial {
                start: 20,
                offset: 100,
            },
            segments: None,
        };
        assert_eq!(queue.write(&outside, &[0x45; 40]), Err(WriteError::Invalid));
        run("ip link set cgn0 down");
        assert_eq!(queue.write(&plain, &[0x45; 40]), Err(WriteError::LinkDown));
        run("ip link set cgn0 up");
        assert_eq!(queue.write(&plain, &[0x45; 40]), Ok(()));
    });
}

#[test]
fn a_bell_ends_the_wait() {
    alone("a_bell_ends_the_wait", || {
        let mut queue = Device::open("cgn0", 1, None).unwrap().queues.remove(0);
        // Then the kernel multicasts no more on the new link.
        run("ip link set cgn0 down");
        queue.read_batch(&mut Batch::new(64)).unwrap();
        let wake = Wake::new().unwrap();
        wake.ring();
        let ready = queue.wait(&wake, None).unwrap();
        assert!(ready.woken && !ready.packets);
        let ready = queue.wait(&wake, Some(Duration::from_millis(1))).unwrap();
        assert!(!ready.woken && !ready.packets);
    });
}

#[test]
fn a_device_in_use_or_of_another_kind_is_refused() {
    alone("a_device_in_use_or_of_another_kind_is_refused", || {
        let device = open(2);
        let error = Device::open("cgn0", 2, None).unwrap_err();
        assert!(
            matches!(error, OpenError::InUse { queues: 2, .. }),
            "{error}"
        );
        drop(device);
        drop(Device::open("cgn0", 2, None).unwrap());

        run("ip tuntap add dev single mode tun");
        for name in ["lo", "single"] {
            let error = Device::open(name, 1, None).unwrap_err();
            assert!(matches!(error, OpenError::OtherKind { .. }), "{error}");
        }
        let error = Device::open("cgn0", 1, Some(10)).unwrap_err();
        assert!(matches!(error, OpenError::Mtu { mtu: 10, .. }), "{error}");
    });
}

#[test]
fn an_unprivileged_user_attaches_to_a_persistent_device() {
    alone(
        "an_unprivileged_user_attaches_to_a_persistent_device",
        || {
            run("ip tuntap add dev cgn0 mode tun multi_queue vnet_hdr user 65534");
            run("ip tuntap add dev cgn1 mode tun multi_queue vnet_hdr user 1");
            run("ip address add 10.77.0.1/24 dev cgn0");
            run("ip link set cgn0 mtu 1400 up");
            let _node = bind_node("0666");
            become_nobody();

            let device = Device::open("cgn0", 2, Some(1_500)).unwrap();
            assert!(device.facts.existed && device.facts.up);
            assert_eq!(device.facts.mtu, 1_400, "only root may change it");
            let echoes: Vec<Echo> = device.queues.into_iter().map(Echo::start).collect();
            let server = UdpSocket::bind((US, 9_000)).unwrap();
            server
                .set_read_timeout(Some(Duration::from_millis(100)))
                .unwrap();
            // The kernel notices the carrier a little after the first queue is attached.
            let heard = (0..50).any(|_| {
                server.send_to(b"hello", (NEIGHBOUR, 9_000)).unwrap();
                server.recv_from(&mut [0; 16]).is_ok()
            });
            assert!(heard);
            let packets: usize = echoes.into_iter().map(|echo| echo.stop().packets).sum();
            assert!(packets > 0);

            let error = Device::open("cgn1", 1, None).unwrap_err();
            assert!(matches!(error, OpenError::MayNotAttach { .. }), "{error}");
            let error = Device::open("cgn2", 1, None).unwrap_err();
            assert!(matches!(error, OpenError::MayNotMake { .. }), "{error}");
            assert!(
                error
                    .to_string()
                    .contains("AmbientCapabilities=CAP_NET_ADMIN")
            );
        },
    );
}

#[test]
fn a_node_that_may_not_be_opened_says_so() {
    alone("a_node_that_may_not_be_opened_says_so", || {
        let _node = bind_node("0600");
        become_nobody();
        let error = Device::open("cgn0", 1, None).unwrap_err();
        assert!(matches!(error, OpenError::NodePermission), "{error}");
        assert!(error.to_string().contains("chmod 0666 /dev/net/tun"));
    });
}

/// Puts another node of the TUN driver with this mode over the machine's; only this process sees
/// it, having a mount namespace of its own.
fn bind_node(mode: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let node = folder.path().join("tun");
    run(&format!("mknod -m {mode} {} c 10 200", node.display()));
    run(&format!("mount --bind {} /dev/net/tun", node.display()));
    folder
}

fn become_nobody() {
    let (group, user) = (Gid::from_raw(NOBODY), Uid::from_raw(NOBODY));
    set_thread_groups(&[]).unwrap();
    set_thread_res_gid(group, group, group).unwrap();
    set_thread_res_uid(user, user, user).unwrap();
    assert_eq!(status("CapEff"), "0000000000000000");
}
