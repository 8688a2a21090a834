//! A writer that is killed in the middle of its work loses nothing it has acknowledged.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Write},
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use portledger_ledger::{CommitOptions, Committer, Ledger, Options, Writer};
use portledger_model::{
    Block, Device, Event, Evidence, External, PortRange, Realm, Record, Span, Subscriber, Timestamp,
};

const DIR: &str = "PORTLEDGER_KILL_TEST_DIR";

fn subscriber(n: u64) -> Subscriber {
    let internal = Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(n).unwrap());
    Subscriber::new(Realm::default(), internal.into())
}

fn block(n: u64) -> Block {
    let first = 1_024 + u16::try_from(n % 1_000).unwrap() * 64;
    Block {
        subscriber: subscriber(n),
        external: Ipv4Addr::new(203, 0, 113, 7),
        ports: PortRange::new(first, first + 63).unwrap(),
        transport: None,
    }
}

fn at(n: u64) -> Timestamp {
    Timestamp::from_millis(n.cast_signed())
}

/// Not a test of its own: the process that is killed. It says how many records are durable.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let options = Options {
        file_bytes: 20_000,
        ..Options::default()
    };
    let (writer, _) = Writer::open(Path::new(&dir), options).unwrap();
    let before = writer.next_record().0;
    let committer = Committer::start(writer, CommitOptions::default()).unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "\nbefore {before}").unwrap();
    for batch in 0.. {
        let size = 1 + batch % 7;
        let first = before + (0..batch).map(|batch| 1 + batch % 7).sum::<u64>();
        let records = (first..first + size).map(|n| Record {
            at: at(n),
            device: Device::new("cgn1").unwrap(),
            event: Event::Allocated(block(n)),
        });
        let ticket = committer.submit(records.collect()).unwrap();
        if batch % 3 == 0 {
            assert!(committer.wait(ticket, Duration::from_secs(10)));
        }
        writeln!(out, "durable {}", before + committer.durable()).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn no_acknowledged_record_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = 0;
    for round in 0..25 {
        let acknowledged = run_and_kill(dir.path(), Duration::from_millis(5 + round * 5), kept);
        let ledger = Ledger::read(dir.path()).unwrap();
        kept = ledger.stats().records;
        assert!(
            acknowledged <= kept,
            "{acknowledged} acknowledged, {kept} kept"
        );
        let (writer, _) = Writer::open(dir.path(), Options::default()).unwrap();
        assert_eq!(writer.next_record().0, kept);
    }
    assert!(kept > 100, "{kept} records are too few to say anything");
    let ledger = Ledger::read(dir.path()).unwrap();
    // All are on one address, and each question looks at all of it.
    for n in (0..kept).step_by(1 + kept as usize / 50) {
        let ports = block(n).ports;
        let asked = External {
            address: Ipv4Addr::new(203, 0, 113, 7),
            port: Some(ports.first()),
            transport: None,
        };
        let span = Span::new(at(n), at(n).after(Duration::from_micros(1)));
        let holders = ledger.holders(asked, span).unwrap();
        assert_eq!(holders.len(), 1);
        assert_eq!(
            (holders[0].record.0, holders[0].block.clone()),
            (n, block(n))
        );
    }
}

/// The last number of durable records that the child said before it was killed.
fn run_and_kill(dir: &Path, after: Duration, kept: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let before = lines.find_map(|line| line.strip_prefix("before ").map(str::to_owned));
    assert_eq!(before, Some(kept.to_string()));
    let reading = thread::spawn(move || {
        let said = lines.filter_map(|line| line.strip_prefix("durable ")?.parse::<u64>().ok());
        said.last()
    });
    thread::sleep(after);
    // On Unix this is SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    reading.join().unwrap().unwrap_or(kept)
}
