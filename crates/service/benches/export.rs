//! How many records a second one target can be sent, out of a ledger that has them, to a receiver
//! that reads and throws away.
//!
//! `cargo bench -p portledger-service --bench export [-- RECORDS]`
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // A bench fails by panicking, and prints.

use std::{
    io::Read as _,
    net::{TcpListener, UdpSocket},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use portledger_ledger::{Followed, Follower, Options, Writer};
use portledger_model::{
    Block, Device, Event, PortRange, Realm, Record, RecordNumber, Subscriber, Timestamp,
};
use portledger_service::export::{
    Exporting, IpfixOver, Keep, LinesOver, Notice, Peer, Sends, StreamFraming, SyslogOver, Target,
    TargetName,
};
use portledger_wire::syslog::TimeQuality;

fn main() {
    let given = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let records: u64 = given.unwrap_or(1_000_000);
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), records);

    let began = Instant::now();
    let mut follower = Follower::open(dir.path(), RecordNumber(0)).unwrap();
    let mut followed = Vec::new();
    while follower.next().0 < records {
        followed.clear();
        follower.read(2_048, &mut followed).unwrap();
        assert!(matches!(followed.last(), Some(Followed::Record(..))));
    }
    say("follow alone", records, began.elapsed());

    let tcp = sink_tcp();
    let (udp, refresh) = (sink_udp(), Duration::from_secs(60));
    let ipfix = |over| Sends::Ipfix { domain: 1, over };
    let syslog = |over| Sends::Syslog {
        quality: TimeQuality::UNSAID,
        over,
    };
    let file = dir.path().join("events.jsonl");
    for (name, sends) in [
        ("ipfix over tcp", ipfix(IpfixOver::Tcp(tcp.clone()))),
        (
            "ipfix over udp",
            ipfix(IpfixOver::Udp {
                to: udp.clone(),
                refresh,
            }),
        ),
        (
            "netflow 9 over udp",
            Sends::NetFlow9 {
                source: 1,
                to: udp,
                refresh,
            },
        ),
        (
            "syslog over tcp",
            syslog(SyslogOver::Tcp(tcp.clone(), StreamFraming::OctetCounting)),
        ),
        ("json over tcp", Sends::JsonLines(LinesOver::Tcp(tcp))),
        ("json to a file", Sends::JsonLines(LinesOver::File(file))),
    ] {
        send(dir.path(), name, sends, records);
    }
}

fn say(what: &str, records: u64, took: Duration) {
    let a_second = records as f64 / took.as_secs_f64();
    println!("{what:20} {a_second:>12.0} records/s");
}

fn write(dir: &Path, records: u64) {
    let (mut writer, _) = Writer::open(dir, Options::default()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap());
    let device = Device::new("cgn1").unwrap();
    let mut batch = Vec::new();
    for n in 0..records {
        let bits = u32::try_from(n % 1_000_000).unwrap();
        let internal = std::net::Ipv4Addr::from_bits(0x6440_0000 + bits);
        let first = 1_024 + u16::try_from(n % 250).unwrap() * 256;
        let block = Block {
            subscriber: Subscriber::new(Realm::default(), internal.into()),
            external: [203, 0, 113, (n % 251) as u8].into(),
            ports: PortRange::new(first, first + 255).unwrap(),
            transport: None,
        };
        let since = now.before(Duration::from_secs(n % 10_000));
        let event = match n % 2 {
            0 => Event::Allocated(block),
            _ => Event::Released { block, since },
        };
        batch.push(Record {
            at: now,
            device: device.clone(),
            event,
        });
        if batch.len() == 4_096 {
            writer.append(&batch).unwrap();
            batch.clear();
        }
    }
    writer.append(&batch).unwrap();
    writer.sync().unwrap();
}

/// Until the last record was given to the system.
fn send(ledger: &Path, name: &str, sends: Sends, records: u64) {
    // A cursor that cannot be read makes a target begin with the first record.
    let target = name.replace(' ', "-");
    let folder = ledger.join("export");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{target}.cursor")), "").unwrap();
    let target = Target {
        name: TargetName::new(&target).unwrap(),
        device: Device::new("cgn1").unwrap(),
        sends,
        keep: Keep::default(),
    };
    let began = Instant::now();
    let tell = Arc::new(|_: &TargetName, _: Notice| {});
    let exporting = Exporting::start(ledger, vec![target], 7, tell).unwrap();
    while exporting
        .figures()
        .any(|(_, figures)| figures.sent < records)
    {
        thread::sleep(Duration::from_millis(1));
    }
    let took = began.elapsed();
    let stopped = exporting.stop();
    assert!(stopped.iter().all(|(_, figures)| figures.errors == 0));
    say(name, records, took);
}

fn sink_tcp() -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            while socket.read(&mut buffer).is_ok_and(|length| length > 0) {}
        }
    });
    address.to_string().parse().unwrap()
}

fn sink_udp() -> Peer {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while socket.recv(&mut buffer).is_ok() {}
    });
    address.to_string().parse().unwrap()
}
