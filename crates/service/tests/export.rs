//! What a ledger says arrives at collectors: all of it, in order, whatever happens in between.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests fail by panicking, as tests do.

#[path = "export/certificates.rs"]
mod certificates;
#[path = "export/collector.rs"]
mod collector;
#[path = "export/ledger.rs"]
mod ledger;

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener, UdpSocket},
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use certificates::Certificates;
use collector::{Collector, Form};
use ledger::{Ledger, record};
use portledger_model::{Device, Event, Timestamp};
use portledger_service::{
    export::{
        Exporting, Figures, IpfixOver, Keep, LinesOver, Peer, Sends, StreamFraming, SyslogOver,
        Target, TargetName, Tls,
    },
    tls::{self, Identity, Trust},
};
use portledger_wire::{
    NatEvent, Told, json_lines,
    syslog::{Framing, TimeQuality},
};

const REFRESH: Duration = Duration::from_secs(60);

fn peer(address: SocketAddr) -> Peer {
    address.to_string().parse().unwrap()
}

fn ipfix_tcp(address: SocketAddr) -> Sends {
    Sends::Ipfix {
        domain: 7,
        over: IpfixOver::Tcp(peer(address)),
    }
}

fn ipfix_udp(address: SocketAddr) -> Sends {
    Sends::Ipfix {
        domain: 7,
        over: IpfixOver::Udp {
            to: peer(address),
            refresh: REFRESH,
        },
    }
}

fn syslog(over: SyslogOver) -> Sends {
    Sends::Syslog {
        quality: TimeQuality::UNSAID,
        over,
    }
}

/// One target, and what the operator heard of it.
struct Running {
    exporting: Exporting,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Running {
    fn start(ledger: &Path, sends: Sends, keep: Keep) -> Self {
        let target = Target {
            name: TargetName::new("noc").unwrap(),
            device: Device::new("cgn1").unwrap(),
            sends,
            keep,
        };
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let listening = Arc::clone(&heard);
        let tell = move |name: &TargetName, notice| {
            assert_eq!(name.as_str(), "noc");
            listening.lock().unwrap().push(format!("{notice}"));
        };
        let exporting = Exporting::start(ledger, vec![target], 7, Arc::new(tell)).unwrap();
        Self { exporting, heard }
    }

    fn figures(&self) -> Figures {
        self.exporting.figures().next().unwrap().1
    }

    fn stop(self) -> Vec<String> {
        self.exporting.stop();
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !done() {
        assert!(Instant::now() < deadline, "{what} does not come");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Each event where it came first.
fn without_repeats(events: Vec<NatEvent>) -> Vec<NatEvent> {
    let mut seen = std::collections::HashSet::new();
    let mut events = events;
    events.retain(|event| seen.insert(json_lines::write(event)));
    events
}

/// Everything comes once and in order, also what is written while it runs; after a restart nothing
/// comes again.
fn goes_on_after_a_restart(sends: &Sends, collector: &Collector) {
    let mut ledger = Ledger::new();
    ledger.write(10);
    let running = Running::start(ledger.path(), sends.clone(), Keep::default());
    // Few at once: a receiver that has no processor for a while drops datagrams.
    for count in [60, 120, 180, 240, 300] {
        ledger.write(60);
        wait_until("the first", || collector.count() == count);
    }
    ledger.write(5);
    assert_eq!(running.stop(), [""; 0]);
    let first = collector.take();
    assert_eq!(first, ledger.events(10));
    ledger.write(60);
    let running = Running::start(ledger.path(), sends.clone(), Keep::default());
    wait_until("the rest", || collector.count() == 60);
    ledger.write(1);
    assert_eq!(running.stop(), [""; 0]);
    assert_eq!(collector.take(), ledger.events(315));
}

#[test]
fn ipfix_over_tcp_brings_everything_once_and_in_order() {
    let collector = Collector::tcp(None, Form::Flow, None, Vec::new());
    goes_on_after_a_restart(&ipfix_tcp(collector.address), &collector);
    assert_eq!(collector.connections.load(Ordering::Relaxed), 2);
}

#[test]
fn ipfix_over_udp_goes_on_with_its_numbers_over_a_restart() {
    // Its one decoder would tell of numbers that begin anew.
    let collector = Collector::udp(None, Form::Flow);
    goes_on_after_a_restart(&ipfix_udp(collector.address), &collector);
}

#[test]
fn netflow_9_over_udp_brings_everything_once_and_in_order() {
    let collector = Collector::udp(None, Form::Flow);
    let sends = Sends::NetFlow9 {
        source: 7,
        to: peer(collector.address),
        refresh: REFRESH,
    };
    goes_on_after_a_restart(&sends, &collector);
}

#[test]
fn syslog_comes_over_udp_and_in_both_framings_of_tcp() {
    let collector = Collector::udp(None, Form::Syslog(Framing::Told));
    let over = SyslogOver::Udp(peer(collector.address));
    goes_on_after_a_restart(&syslog(over), &collector);
    for (framing, read) in [
        (StreamFraming::OctetCounting, Framing::OctetCounting),
        (StreamFraming::LineFeed, Framing::Delimited),
    ] {
        let collector = Collector::tcp(None, Form::Syslog(read), None, Vec::new());
        let over = SyslogOver::Tcp(peer(collector.address), framing);
        goes_on_after_a_restart(&syslog(over), &collector);
    }
}

#[test]
fn json_lines_come_over_tcp() {
    let collector = Collector::tcp(None, Form::Lines, None, Vec::new());
    let sends = Sends::JsonLines(LinesOver::Tcp(peer(collector.address)));
    goes_on_after_a_restart(&sends, &collector);
}

#[test]
fn a_file_has_every_line_also_after_one_was_torn_and_after_it_was_moved_away() {
    let mut ledger = Ledger::new();
    let dir = tempfile::tempdir().unwrap();
    let (path, moved) = (dir.path().join("events.jsonl"), dir.path().join("moved"));
    fs::write(&path, "{\"torn\":").unwrap();
    let sends = Sends::JsonLines(LinesOver::File(path.clone()));
    let running = Running::start(ledger.path(), sends, Keep::default());
    let read = |path: &Path| -> Vec<NatEvent> {
        let text = fs::read(path).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n');
        lines
            .filter_map(|line| json_lines::read(line).ok())
            .collect()
    };
    ledger.write(1_000);
    wait_until("the lines", || read(&path).len() == 1_000);
    assert!(fs::read(&path).unwrap().starts_with(b"{\"torn\":\n{"));
    fs::rename(&path, &moved).unwrap();
    wait_until("a new file", || path.exists());
    ledger.write(3);
    running.stop();
    assert_eq!([read(&moved), read(&path)].concat(), ledger.events(0));
}

/// TLS with both ends' certificates, for the collector at the address.
fn tls_to(certificates: &Certificates, address: SocketAddr, trust: &Trust) -> (Peer, Tls) {
    let identity = Identity {
        certificate: certificates.path("nat.pem"),
        key: certificates.path("nat.key"),
    };
    let tls = Tls {
        config: tls::client_config(trust, Some(&identity)).unwrap(),
        name: tls::server_name("localhost").unwrap(),
    };
    (peer(address), tls)
}

fn tls_collector(certificates: &Certificates, form: Form, drops: Vec<usize>) -> Collector {
    let config = tls::server_config(
        &certificates.path("collector.pem"),
        &certificates.path("collector.key"),
        Some(&certificates.path("ca.pem")),
    );
    Collector::tcp(None, form, Some(config.unwrap()), drops)
}

#[test]
fn everything_comes_over_tls_with_certificates_of_both_ends() {
    let certificates = Certificates::new();
    let authorities = Trust::Authorities(certificates.path("ca.pem"));
    let collector = tls_collector(&certificates, Form::Flow, Vec::new());
    let (to, tls) = tls_to(&certificates, collector.address, &authorities);
    let sends = Sends::Ipfix {
        domain: 7,
        over: IpfixOver::Tls(to, tls),
    };
    goes_on_after_a_restart(&sends, &collector);

    let pinned = Trust::Pinned(certificates.path("collector.pem"));
    let counted = Form::Syslog(Framing::OctetCounting);
    let collector = tls_collector(&certificates, counted, Vec::new());
    let (to, tls) = tls_to(&certificates, collector.address, &pinned);
    goes_on_after_a_restart(&syslog(SyslogOver::Tls(to, tls)), &collector);
}

#[test]
fn who_is_not_who_they_should_be_gets_nothing() {
    let certificates = Certificates::new();
    let others = Certificates::new();
    let collector = tls_collector(&certificates, Form::Lines, Vec::new());
    let strangers = [
        // The collector is not issued by whom the NAT believes, or is not the one it knows.
        tls_to(
            &certificates,
            collector.address,
            &Trust::Authorities(others.path("ca.pem")),
        ),
        tls_to(
            &certificates,
            collector.address,
            &Trust::Pinned(others.path("collector.pem")),
        ),
        // The NAT is not issued by whom the collector believes.
        tls_to(
            &others,
            collector.address,
            &Trust::Authorities(certificates.path("ca.pem")),
        ),
        // The certificate is for another name.
        {
            let trust = Trust::Authorities(certificates.path("ca.pem"));
            let (to, mut tls) = tls_to(&certificates, collector.address, &trust);
            tls.name = tls::server_name("elsewhere.example.org").unwrap();
            (to, tls)
        },
    ];
    for (to, tls) in strangers {
        let mut ledger = Ledger::new();
        let sends = Sends::JsonLines(LinesOver::Tls(to, tls));
        let running = Running::start(ledger.path(), sends, Keep::default());
        ledger.write(3);
        wait_until("a refusal", || running.figures().errors > 0);
        assert_eq!(running.figures().acknowledged, 0);
        let heard = running.stop();
        assert!(heard[0].contains("cannot send to it"), "{heard:?}");
        assert_eq!(collector.count(), 0);
    }
}

#[test]
fn nothing_is_missing_where_the_collector_drops_connections() {
    let certificates = Certificates::new();
    let authorities = Trust::Authorities(certificates.path("ca.pem"));
    let drops = vec![1, 1_000, 70_000, 13];
    for with_tls in [false, true] {
        let (collector, sends) = if with_tls {
            let collector = tls_collector(&certificates, Form::Flow, drops.clone());
            let (to, tls) = tls_to(&certificates, collector.address, &authorities);
            let over = IpfixOver::Tls(to, tls);
            (collector, Sends::Ipfix { domain: 7, over })
        } else {
            let collector = Collector::tcp(None, Form::Flow, None, drops.clone());
            let sends = ipfix_tcp(collector.address);
            (collector, sends)
        };
        let mut ledger = Ledger::new();
        let running = Running::start(ledger.path(), sends, Keep::default());
        ledger.write(4_000);
        let mut events = Vec::new();
        wait_until("the last", || {
            events.extend(collector.take());
            events.last() == ledger.events(3_999).last()
        });
        let figures = running.figures();
        assert!(figures.repeated > 0 && figures.errors >= 4, "{figures:?}");
        running.stop();
        assert_eq!(without_repeats(events), ledger.events(0));
    }
}

#[test]
fn what_was_written_while_the_target_was_down_comes_when_it_is_up() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let address = address.unwrap();
    let mut ledger = Ledger::new();
    let running = Running::start(ledger.path(), ipfix_tcp(address), Keep::default());
    ledger.write(10_000);
    wait_until("an error", || running.figures().errors > 1);
    wait_until("the lag", || running.figures().lag == 10_000);
    let collector = Collector::tcp(Some(address), Form::Flow, None, Vec::new());
    wait_until("all", || collector.count() == 10_000);
    wait_until("the cursor", || running.figures().lag == 0);
    assert_eq!(running.figures().acknowledged, ledger.len());
    let heard = running.stop();
    assert_eq!(collector.take(), ledger.events(0));
    assert!(heard[0].contains("cannot send to it"), "{heard:?}");
    assert_eq!(heard[1..], ["it takes what is sent again"]);
}

#[test]
fn what_a_port_refuses_is_not_lost_over_udp() {
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr();
    let address = address.unwrap();
    let mut ledger = Ledger::new();
    let running = Running::start(ledger.path(), ipfix_udp(address), Keep::default());
    ledger.write(500);
    wait_until("a refusal", || running.figures().errors > 1);
    assert_eq!(running.figures().acknowledged, 0);
    let collector = Collector::udp(Some(address), Form::Flow);
    wait_until("all", || collector.count() >= 500);
    running.stop();
    // Numbers that were given to what was refused are given again: no gap.
    assert_eq!(without_repeats(collector.take()), ledger.events(0));
}

#[test]
fn a_target_that_lags_by_too_many_records_is_told_what_it_lost() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let address = address.unwrap();
    let keep = Keep {
        time: None,
        records: Some(100),
    };
    let mut ledger = Ledger::new();
    let collector = Collector::tcp(Some(address), Form::Flow, None, Vec::new());
    let running = Running::start(ledger.path(), ipfix_tcp(address), keep);
    ledger.write(50);
    wait_until("the first", || collector.count() == 50);
    running.stop();
    assert_eq!(collector.take(), ledger.events(0));
    drop(collector);
    let running = Running::start(ledger.path(), ipfix_tcp(address), keep);
    wait_until("an error", || running.figures().errors > 0);
    ledger.write(1_000);
    let collector = Collector::tcp(Some(address), Form::Flow, None, Vec::new());
    wait_until("the rest", || collector.count() == 101);
    assert_eq!(running.figures().lost, 900);
    let heard = running.stop();
    let told = collector.take();
    assert_eq!(told[1..], ledger.events(950));
    let lost = Told::Lost {
        since: ledger.events(49)[0].at.timestamp(),
        events: Some(900),
    };
    assert_eq!((&told[0].told, told[0].at), (&lost, told[1].at));
    assert!(
        heard
            .iter()
            .any(|heard| heard.starts_with("900 records are lost")),
        "{heard:?}"
    );
}

#[test]
fn a_target_that_lags_for_too_long_is_told_what_it_lost() {
    let collector = Collector::tcp(None, Form::Flow, None, Vec::new());
    let sends = ipfix_tcp(collector.address);
    let mut ledger = Ledger::new();
    let running = Running::start(ledger.path(), sends.clone(), Keep::default());
    ledger.write(1);
    wait_until("the first", || collector.count() == 1);
    running.stop();
    ledger.go_back(3);
    ledger.write(200);
    let now = ledger.events(0)[0].at.timestamp();
    let (first, second) = (now.after(Duration::from_secs(9)), now.after(REFRESH));
    ledger.append(&[record("cgn1", first, Event::Heartbeat)]);
    let running = Running::start(ledger.path(), sends, Keep::default());
    wait_until("what is left", || collector.count() == 3);
    // What comes late into the ledger does not lag.
    ledger.write(20);
    ledger.append(&[record("cgn1", second, Event::Stopped)]);
    wait_until("the last", || collector.count() == 24);
    assert_eq!(running.figures().lost, 200);
    running.stop();
    let told = collector.take();
    let lost = Told::Lost {
        since: now,
        events: Some(200),
    };
    assert_eq!((&told[1].told, told[1].at.timestamp()), (&lost, first));
    assert_eq!(told[2..], ledger.events(201));
}

#[test]
fn what_is_another_devices_is_not_sent_and_not_waited_for() {
    let collector = Collector::tcp(None, Form::Lines, None, Vec::new());
    let sends = Sends::JsonLines(LinesOver::Tcp(peer(collector.address)));
    let mut ledger = Ledger::new();
    let running = Running::start(ledger.path(), sends, Keep::default());
    ledger.write(5);
    let other: Vec<_> = (0..20)
        .map(|n| {
            record(
                "bras2",
                Timestamp::from_secs(1_790_000_000 + n),
                Event::Heartbeat,
            )
        })
        .collect();
    ledger.append(&other);
    wait_until("the cursor", || {
        let figures = running.figures();
        (figures.acknowledged, figures.lag) == (25, 0)
    });
    running.stop();
    assert_eq!(collector.take(), ledger.events(0)[..5]);
}

#[test]
fn after_a_crash_what_the_cursor_does_not_know_comes_again_and_a_damaged_cursor_loses_nothing() {
    let collector = Collector::tcp(None, Form::Lines, None, Vec::new());
    let sends = Sends::JsonLines(LinesOver::Tcp(peer(collector.address)));
    let mut ledger = Ledger::new();
    let cursor = ledger.path().join("export/noc.cursor");
    let running = Running::start(ledger.path(), sends.clone(), Keep::default());
    ledger.write(40);
    running.stop();
    let before = fs::read(&cursor).unwrap();
    let running = Running::start(ledger.path(), sends.clone(), Keep::default());
    ledger.write(30);
    running.stop();
    assert_eq!(collector.take(), ledger.events(0));
    // As if it had been killed before the cursor was written.
    fs::write(&cursor, before).unwrap();
    let running = Running::start(ledger.path(), sends.clone(), Keep::default());
    ledger.write(1);
    assert_eq!(running.stop(), [""; 0]);
    assert_eq!(collector.take(), ledger.events(40));
    fs::write(&cursor, "{").unwrap();
    let heard = Running::start(ledger.path(), sends, Keep::default()).stop();
    assert!(heard[0].contains("noc.cursor: how far"), "{heard:?}");
    assert_eq!(collector.take(), ledger.events(0));
}

#[test]
fn a_ledger_put_back_from_a_copy_is_gone_on_with_and_told() {
    let collector = Collector::tcp(None, Form::Lines, None, Vec::new());
    let sends = Sends::JsonLines(LinesOver::Tcp(peer(collector.address)));
    let mut ledger = Ledger::new();
    ledger.write(4);
    let running = Running::start(ledger.path(), sends.clone(), Keep::default());
    running.stop();
    let cursor = ledger.path().join("export/noc.cursor");
    let ahead = fs::read_to_string(&cursor).unwrap();
    let ahead = ahead.replace("\"next\":4", "\"next\":900");
    fs::File::create(&cursor)
        .unwrap()
        .write_all(ahead.as_bytes())
        .unwrap();
    let running = Running::start(ledger.path(), sends, Keep::default());
    ledger.write(2);
    wait_until("what is new", || collector.count() == 2);
    let heard = running.stop();
    assert!(heard[0].contains("put back from a copy"), "{heard:?}");
    assert_eq!(collector.take(), ledger.events(4));
}
