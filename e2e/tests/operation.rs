//! `portledger nat run` as an operator meets it: rights, signals, a device that goes, a disk that fills.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking, as tests do.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portledger_e2e::nat::{Configuration, DEVICE, Nat};
use portledger_e2e::servers::Nginx;
use portledger_e2e::topology::Topology;
use portledger_e2e::{Failure, file, prerequisite, read, trace, truth};

const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 40);
/// Nobody's number, on every Debian.
const NOBODY: u32 = 65_534;

/// In the mount namespace that `ip netns exec` makes: a node of its own for the driver, which anybody may open, as
/// on most systems; the machine's stays as it is. Then without any right but `$0`.
const UNPRIVILEGED: &str = r#"
mount -t tmpfs -o mode=755 none /dev/net
mknod -m 666 /dev/net/tun c 10 200
exec setpriv --reuid 65534 --regid 65534 --clear-groups \
    --inh-caps="-all$0" --ambient-caps="-all$0" --bounding-set="-all$0" "$@"
"#;

#[test]
fn net_admin_is_enough_and_is_given_up() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&["setpriv", "ping"])? {
        return Ok(());
    }
    let network = Topology::new(1)?;
    let nat = Nat::start_with(&network, &unprivileged(&network, ",+net_admin")?)?;
    network.hosts[0].ping(&SERVER.to_string(), 3)?;
    let threads = holds_nothing(&nat);
    assert!(
        threads >= 3,
        "two queues and the committer, not {threads} threads"
    );
    nat.stop()
}

#[test]
fn a_persistent_device_takes_no_right_at_all() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&["setpriv", "ping"])? {
        return Ok(());
    }
    let network = Topology::new(1)?;
    let make = format!("tuntap add dev {DEVICE} mode tun multi_queue vnet_hdr user {NOBODY}");
    network.cgn.ip(&make)?;
    network.cgn.ip(&format!("link set {DEVICE} up"))?;
    let nat = Nat::start_with(&network, &unprivileged(&network, "")?)?;
    network.hosts[0].ping(&SERVER.to_string(), 3)?;
    holds_nothing(&nat);
    nat.stop()
}

#[test]
fn a_stop_is_clean_and_known_at_once() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&["nginx", "curl"])? {
        return Ok(());
    }
    let network = Topology::new(2)?;
    let nginx = Nginx::start(&network)?;
    let nat = Nat::start(&network)?;
    for host in &network.hosts {
        host.get(Nginx::ADDRESS, "a", 20)?;
    }
    let ledger = nat.ledger().to_path_buf();
    // It exits with 0 only when all it knew is durable, that it stopped included: nothing need settle.
    nat.stop()?;
    let format = format!("nginx:{}", Nginx::FORMAT);
    let answers = trace::trace(&nginx.log, Some(&format), &ledger)?;
    let behind = truth::of_access_log(&read(&nginx.log)?, &network.names());
    let comparison = trace::compare(&answers, &behind);
    assert_eq!(comparison.right.len(), 40, "{comparison:?}");
    Ok(())
}

#[test]
fn a_report_counts_what_was_done() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&["ping"])? {
        return Ok(());
    }
    let network = Topology::new(1)?;
    let mut nat = Nat::start(&network)?;
    let durable = |report: &serde_json::Value| report.get("durable").and_then(|n| n.as_u64());
    let before = durable(&nat.report()?);
    network.hosts[0].ping(&SERVER.to_string(), 3)?;
    let after = durable(&nat.report()?);
    assert!(before.is_some() && after > before, "{before:?} {after:?}");
    nat.stop()
}

#[test]
fn a_device_that_goes_ends_it_with_a_reason() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&["ping"])? {
        return Ok(());
    }
    let network = Topology::new(1)?;
    let mut nat = Nat::start(&network)?;
    network.hosts[0].ping(&SERVER.to_string(), 1)?;
    network.cgn.ip(&format!("link del {DEVICE}"))?;
    let begun = Instant::now();
    nat.says("is gone")?;
    let said = nat.fails()?;
    assert!(said.contains(DEVICE), "{said}");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    Ok(())
}

#[test]
fn a_full_disk_holds_new_blocks_and_nothing_else() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&[])? {
        return Ok(());
    }
    let network = Topology::new(1)?;
    network.add_subscribers("100.64.9.0/24")?;
    let ledger = network.folder().join("small");
    file(&ledger, |path| fs::create_dir(path))?;
    // Only the NAT's mount namespace has the small disk; /proc/ID/root leads there.
    let script = format!(
        "mount -t tmpfs -o size=4m none {} && exec \"$@\"",
        ledger.display()
    );
    let configuration = Configuration {
        ledger: Some(ledger.join("ledger")),
        wrapper: ["sh", "-ec", &script, "sh"].map(str::to_owned).to_vec(),
        ..Configuration::default()
    };
    let mut nat = Nat::start_with(&network, &configuration)?;
    let server = network.outside.within(|| UdpSocket::bind((SERVER, 9000)))?;
    server
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    let subscriber = |number: u8| {
        let from = Ipv4Addr::new(100, 64, 9, number);
        network.hosts[0]
            .namespace()
            .within(|| UdpSocket::bind((from, 0)))
    };
    let passes = |client: &UdpSocket| {
        client.send_to(b"?", (SERVER, 9000)).unwrap();
        server.recv_from(&mut [0; 16]).is_ok()
    };
    let old = subscriber(0)?;
    assert!(passes(&old));

    let disk = PathBuf::from(format!("/proc/{}/root{}", nat.id(), ledger.display()));
    let filler = disk.join("filler");
    fill(&filler);
    // Some records still fit the last page of the log's file.
    let held = (1..=255)
        .map(|number| subscriber(number).unwrap())
        .find(|new| !passes(new));
    let new = held.expect("the first subscriber without a record");
    nat.says("full")?;
    assert!(passes(&old), "{}", nat.output());

    file(&filler, |path| fs::remove_file(path))?;
    nat.says("written again")?;
    // What was held goes first.
    assert!(server.recv_from(&mut [0; 16]).is_ok(), "{}", nat.output());
    assert!(passes(&new), "{}", nat.output());
    nat.stop()
}

/// As nobody, with `rights` (`,+name` each); the program where nobody may read it.
fn unprivileged(network: &Topology, rights: &str) -> Result<Configuration, Failure> {
    let program = network.folder().join("portledger");
    let own = prerequisite::portledger().unwrap_or_default();
    file(&program, |path| fs::copy(&own, path))?;
    file(network.folder(), |path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
    })?;
    let ledger = network.folder().join("nobody");
    file(&ledger, |path| fs::create_dir(path))?;
    file(&ledger, |path| chown(path, Some(NOBODY), Some(NOBODY)))?;
    Ok(Configuration {
        ledger: Some(ledger.join("ledger")),
        wrapper: ["sh", "-ec", UNPRIVILEGED, rights]
            .map(str::to_owned)
            .to_vec(),
        program: Some(program),
        ..Configuration::default()
    })
}

/// Asserts that no thread of it has or can get a right; gives how many threads there are.
fn holds_nothing(nat: &Nat<'_>) -> usize {
    let threads = fs::read_dir(format!("/proc/{}/task", nat.id())).unwrap();
    let threads: Vec<PathBuf> = threads.map(|thread| thread.unwrap().path()).collect();
    for thread in &threads {
        let status = fs::read_to_string(thread.join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().split_whitespace().next().unwrap().to_owned()
        };
        assert_eq!(field("Uid:"), NOBODY.to_string());
        assert_eq!(field("NoNewPrivs:"), "1");
        for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
            assert_eq!(field(set), "0000000000000000", "{set}\n{status}");
        }
    }
    threads.len()
}

/// Writes until there is no room.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
}
