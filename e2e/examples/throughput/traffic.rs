//! What runs inside the namespaces: packets as many as can be, round trips, and the echo.
//!
//! The measuring process starts itself again there, with one of these words: `flood`, `echo`, `round-trips`,
//! `first-packets`. Each but `echo` ends by itself and prints one JSON object.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, MMsgHdr, SendAncillaryBuffer, SendFlags, SocketType, connect, ipproto, sendmmsg,
    socket,
};
use serde_json::{Value, json};

use crate::processor;

/// The echo; the same address's port [`SINK_PORT`] is where floods are counted and dropped.
pub(crate) const ECHO: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 40), 7);
/// The discard port (RFC 863).
pub(crate) const SINK_PORT: u16 = 9;
/// The subscribers of floods and of first packets: 100.64.128.0/17, all of them this one host.
pub(crate) const SUBSCRIBERS: &str = "100.64.128.0/17";
/// Flows of one subscriber, within one block of 256 ports.
pub(crate) const FLOWS_PER_SUBSCRIBER: u32 = 100;
/// Flows that a flood without new ones has.
pub(crate) const ESTABLISHED: u32 = 1_000;

/// Packets in one system call.
const BURST: u32 = 32;
/// An IPv4 and a UDP header and 18 bytes: the shortest Ethernet frame, 60 bytes without its checksum.
const LENGTH: u8 = 46;
const PAYLOAD: usize = 18;
/// Longer than any answer takes; one that takes longer counts as lost.
const PATIENCE: Duration = Duration::from_millis(500);

/// Runs one of the words; `None` when `words` does not begin with one of them.
pub(crate) fn run(words: &[String]) -> Option<io::Result<Value>> {
    let (word, arguments) = words.split_first()?;
    let numbers: Vec<f64> = arguments.iter().flat_map(|word| word.parse()).collect();
    let whole = |number: f64| number as u32;
    match (word.as_str(), numbers.as_slice()) {
        ("flood", &[first, flows, rate, seconds]) => {
            Some(flood(whole(first), whole(flows), rate, seconds))
        }
        ("echo", []) => Some(echo()),
        ("round-trips", &[count]) => Some(round_trips(whole(count))),
        ("first-packets", &[first, count]) => Some(first_packets(whole(first), whole(count))),
        _ => None,
    }
}

/// Sends for `seconds` through the flows from number `first` on, around again after `flows` of them, `rate` packets
/// a second, or as many as go where that is 0.
fn flood(first: u32, flows: u32, rate: f64, seconds: f64) -> io::Result<Value> {
    let to = SocketAddrV4::new(*ECHO.ip(), SINK_PORT);
    let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW))?;
    connect(&raw, &to)?;
    let used_before = processor::used_by_this_thread();
    let begun = Instant::now();
    let (mut sent, mut refused, mut flow) = (0_u32, 0_u32, 0_u32);
    while begun.elapsed().as_secs_f64() < seconds {
        if rate > 0.0 {
            let due = Duration::from_secs_f64(f64::from(sent + refused) / rate);
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        let packets: Vec<_> = (0..BURST)
            .map(|number| packet(first + (flow + number) % flows, to))
            .collect();
        flow = (flow + BURST) % flows;
        let went = send(&raw, &packets);
        sent += went;
        refused += BURST - went;
    }
    Ok(json!({
        "sent": sent,
        "seconds": begun.elapsed().as_secs_f64(),
        "cpu_ns": processor::used_by_this_thread() - used_before,
    }))
}

/// Gives how many of the packets went.
fn send(raw: &impl std::os::fd::AsFd, packets: &[[u8; LENGTH as usize]]) -> u32 {
    let slices: Vec<[IoSlice<'_>; 1]> = packets.iter().map(|one| [IoSlice::new(one)]).collect();
    let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> = packets
        .iter()
        .map(|_| SendAncillaryBuffer::default())
        .collect();
    let mut messages: Vec<MMsgHdr<'_>> = slices
        .iter()
        .zip(&mut controls)
        .map(|(slice, control)| MMsgHdr::new(slice, control))
        .collect();
    sendmmsg(raw, &mut messages, SendFlags::empty())
        .ok()
        .and_then(|went| u32::try_from(went).ok())
        .unwrap_or_default()
}

/// The first packet of a flow. Its source port is drawn so that subscribers do not share theirs: a NAT that keeps
/// ports would have to look for others.
fn packet(flow: u32, to: SocketAddrV4) -> [u8; LENGTH as usize] {
    let from = subscriber(flow / FLOWS_PER_SUBSCRIBER);
    let port = u16::try_from(1_024 + flow.wrapping_mul(40_507) % 64_512).unwrap_or(1_024);
    let length = u16::from(LENGTH);
    let udp_length = length - 20;
    let mut packet = [0_u8; LENGTH as usize];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        for byte in bytes {
            if let Some(place) = packet.get_mut(at) {
                *place = *byte;
            }
            at += 1;
        }
    };
    // The kernel fills in the length, the identification and the header's checksum.
    put(&[0x45, 0, 0, LENGTH, 0, 0, 0x40, 0, 64, 17, 0, 0]);
    put(&from.octets());
    put(&to.ip().octets());
    put(&port.to_be_bytes());
    put(&to.port().to_be_bytes());
    put(&udp_length.to_be_bytes());
    // The payload is zeros, so the headers are all there is to sum.
    let halves = |address: &Ipv4Addr| {
        let bits = address.to_bits();
        (bits >> 16) + (bits & 0xffff)
    };
    let mut sum = halves(&from) + halves(to.ip()) + 17 + 2 * u32::from(udp_length);
    sum += u32::from(port) + u32::from(to.port());
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    put(&(!(sum as u16)).to_be_bytes());
    packet
}

fn subscriber(number: u32) -> Ipv4Addr {
    let first = Ipv4Addr::new(100, 64, 128, 0).to_bits();
    Ipv4Addr::from_bits(first + number % (1 << 15))
}

/// Sends back what comes, until killed.
fn echo() -> io::Result<Value> {
    let socket = UdpSocket::bind(ECHO)?;
    let mut bytes = [0; 2_048];
    loop {
        let (length, from) = socket.recv_from(&mut bytes)?;
        // One that cannot be answered is the sender's loss, and seen there.
        let _ = socket.send_to(bytes.get(..length).unwrap_or_default(), from);
    }
}

/// One datagram there and back, again and again, over one mapping.
fn round_trips(count: u32) -> io::Result<Value> {
    let socket = towards_echo(Ipv4Addr::UNSPECIFIED)?;
    // The first makes the mapping.
    round_trip(&socket)?;
    let mut times = Vec::new();
    for _ in 0..count {
        times.push(round_trip(&socket)?);
    }
    Ok(distribution(times))
}

/// The first datagram of each of `count` subscribers, there and back: a block, its record, a mapping.
fn first_packets(first: u32, count: u32) -> io::Result<Value> {
    let mut times = Vec::new();
    for number in first..first + count {
        let socket = towards_echo(subscriber(number))?;
        times.push(round_trip(&socket)?);
    }
    Ok(distribution(times))
}

fn towards_echo(from: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((from, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(ECHO)?;
    Ok(socket)
}

/// `None` when the answer did not come.
fn round_trip(socket: &UdpSocket) -> io::Result<Option<Duration>> {
    let begun = Instant::now();
    socket.send(&[0; PAYLOAD])?;
    match socket.recv(&mut [0; PAYLOAD]) {
        Ok(_) => Ok(Some(begun.elapsed())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn distribution(times: Vec<Option<Duration>>) -> Value {
    let all = times.len();
    let mut times: Vec<f64> = times
        .into_iter()
        .flatten()
        .map(|time| time.as_secs_f64() * 1e6)
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied();
    json!({ "lost": all - times.len(), "p50": at(0.5), "p99": at(0.99) })
}
