//! `portledger serve`: what is sent to it, what it says of itself, and then who had the ports.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use portledger_model::{PortRange, Realm, Subscriber, Timestamp};
use portledger_wire::{
    EventTime, Holding, Kind, NatEvent, Phase, Told,
    flow::{ExportSettings, Exporter},
    json_lines,
};
use serde_json::Value;
use support::Place;

/// A running collector.
struct Serving {
    child: Child,
    /// Its sockets, in the order of its configuration, and that of its metrics.
    addresses: Vec<SocketAddr>,
}

impl Serving {
    fn start(place: &Place, configuration: &str) -> Self {
        place.write("serve.toml", configuration);
        let mut child = Command::new(env!("CARGO_BIN_EXE_portledger"))
            .args(["serve", "-c", "serve.toml"])
            .current_dir(place.path("."))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let (mut addresses, mut all, mut line) = (Vec::new(), String::new(), String::new());
        while !line.starts_with("ready") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "{all}");
            all += &line;
            let address = line.trim().rsplit(' ').next().unwrap_or_default();
            let address = address.trim_start_matches("http://");
            addresses.extend(address.trim_end_matches("/metrics").parse::<SocketAddr>());
        }
        // What it says later must not fill the pipe.
        thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self { child, addresses }
    }

    /// Its metrics, as soon as they have this line.
    fn metrics_with(&self, wanted: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let mut stream = TcpStream::connect(self.addresses.last().unwrap()).unwrap();
            let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).unwrap();
            let mut page = String::new();
            stream.read_to_string(&mut page).unwrap();
            if page.lines().any(|line| line == wanted) {
                return page;
            }
            assert!(Instant::now() < deadline, "no '{wanted}' in\n{page}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it cleanly; what it says then.
    fn stop(mut self) -> Value {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(killed.unwrap().success());
        let mut said = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success());
        serde_json::from_str(said.lines().last().unwrap()).unwrap()
    }
}

const CONFIGURATION: &str = r#"
ledger = "ledger"
metrics = "127.0.0.1:0"
rejects = "rejects.jsonl"

[[listen]]
protocol = "flows"
transport = "udp"
address = "127.0.0.1:0"

[[listen]]
protocol = "lines"
transport = "tcp"
address = "127.0.0.1:0"

[[device]]
name = "cgn1"
from = ["127.0.0.1"]
clock_error = "2s"
"#;

/// So many seconds ago.
fn ago(secs: u64) -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_secs(now.as_secs() as i64).before(Duration::from_secs(secs))
}

fn block(at: Timestamp, phase: Phase, host: u8, first: u16) -> NatEvent {
    NatEvent {
        at: EventTime::Told(at),
        told: Told::Ports(Holding {
            phase,
            kind: Kind::Block,
            subscriber: Some(Subscriber::new(
                Realm::default(),
                Ipv4Addr::new(100, 64, 0, host).into(),
            )),
            external: Ipv4Addr::new(203, 0, 113, 7),
            ports: PortRange::new(first, first + 255).unwrap(),
            transport: None,
            since: None,
        }),
    }
}

/// The verdict on a port at a time, and whom it names.
fn who(place: &Place, port: u16, at: Timestamp, status: i32) -> (String, Vec<String>) {
    let question = format!("who 203.0.113.7:{port} --at {at} --within 1s --ledger ledger --json");
    let answer = place
        .run(&question.split(' ').collect::<Vec<_>>())
        .with_status(status)
        .json();
    let named = answer["allocations"].as_array().unwrap();
    let named = named.iter().map(|held| &held["subscriber"]["internal"]);
    let named = named.map(|address| address.as_str().unwrap().to_owned());
    (
        answer["verdict"].as_str().unwrap().to_owned(),
        named.collect(),
    )
}

#[test]
fn what_is_heard_over_udp_and_tcp_is_answered_for() {
    let place = Place::new();
    let serving = Serving::start(&place, CONFIGURATION);
    let &[flows, lines, _] = &serving.addresses[..] else {
        panic!("{:?}", serving.addresses);
    };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut exporter = Exporter::new(ExportSettings::default());
    let mut message = Vec::new();
    let told = [
        block(ago(600), Phase::Begun, 5, 1_024),
        block(ago(500), Phase::Ended, 5, 1_024),
        block(ago(400), Phase::Begun, 6, 1_024),
    ];
    exporter.message(ago(0), &told, &mut message).unwrap();
    socket.send_to(&message, flows).unwrap();
    serving.metrics_with("portledger_collector_device_events_total{device=\"cgn1\"} 3");
    let mut stream = TcpStream::connect(lines).unwrap();
    let line = json_lines::write(&block(ago(300), Phase::Begun, 7, 2_048));
    stream.write_all(line.trim_end().as_bytes()).unwrap();
    stream.write_all(b"\n{\"event\":\"block\"}\n").unwrap();
    let page =
        serving.metrics_with("portledger_collector_device_rejected_total{device=\"cgn1\"} 1");
    assert!(
        page.contains("portledger_collector_disk_takes_records 1\n"),
        "{page}"
    );
    // Asked while it listens.
    assert_eq!(
        who(&place, 1_030, ago(550), 0),
        ("unique".to_owned(), vec!["100.64.0.5".to_owned()])
    );
    let said = serving.stop();
    assert_eq!(said["devices"][0]["events"], 4);
    assert_eq!(said["records"], said["durable"]);
    assert_eq!(said["kept_aside"], 1);
    assert_eq!(
        who(&place, 1_030, ago(350), 0),
        ("unique".to_owned(), vec!["100.64.0.6".to_owned()])
    );
    // Something came after the last event that nobody understood: it may have ended this.
    let (verdict, _) = who(&place, 2_050, ago(200), 5);
    assert_eq!(verdict, "unknown");
    assert!(place.read("rejects.jsonl").contains("\"device\":\"cgn1\""));
}

#[test]
fn a_wrong_configuration_says_what_is_wrong_and_where() {
    let place = Place::new();
    for (wrong, says) in [
        (
            CONFIGURATION.replace("\"udp\"", "\"sctp\""),
            "unknown variant `sctp`",
        ),
        (
            CONFIGURATION.replace("\"2s\"", "\"2 parsecs\""),
            "not a duration",
        ),
        (
            CONFIGURATION.replace("clock_error", "clock_eror"),
            "unknown field `clock_eror`",
        ),
        (
            CONFIGURATION.replace("from =", "format = \"nowhere\"\nfrom ="),
            "'nowhere' is not known",
        ),
        (
            CONFIGURATION.replace("from = [\"127.0.0.1\"]", ""),
            "neither 'from' nor 'hosts'",
        ),
        (
            CONFIGURATION.replace("\"tcp\"", "\"tls\""),
            "needs a certificate and its key",
        ),
    ] {
        place.write("serve.toml", wrong);
        let ended = place.run(&["serve", "-c", "serve.toml"]).with_status(2);
        assert!(ended.stderr.contains("serve.toml"), "{}", ended.stderr);
        assert!(ended.stderr.contains(says), "{says}: {}", ended.stderr);
        assert!(!place.exists("ledger"));
    }
}
