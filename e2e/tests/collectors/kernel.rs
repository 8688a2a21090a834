//! A NAT of the kernel's own, by what conntrack says of it.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portledger_e2e::process::{Running, finish};
use portledger_e2e::servers::Nginx;
use portledger_e2e::topology::Topology;
use portledger_e2e::{Failure, prerequisite, read, trace, truth};
use portledger_model::Timestamp;

use crate::peers::LIMIT;
use crate::serving::portledger;

/// The log tells the second; the window is two either way, and the device's clock may be off by one.
const ASIDE: Duration = Duration::from_secs(6);

#[test]
fn what_conntrack_tells_of_the_kernels_nat_names_who_asked_a_server() -> Result<(), Failure> {
    if !prerequisite::met_with_portledger(&["conntrack", "curl", "nft", "nginx"])? {
        return Ok(());
    }
    for columns in ["timestamp", "timestamp,extended,id"] {
        let network = Topology::new(4)?;
        let nginx = Nginx::start(&network)?;
        network.translate_in_kernel(true)?;
        let events = network.folder().join("events");
        let mut command = network.cgn.command("conntrack");
        command.args(["-E", "-e", "NEW,DESTROY", "-o", columns]);
        let mut conntrack = Running::start(&mut command, &events)?;
        let server = Nginx::ADDRESS;
        let told_of = |conntrack: &Running, host: usize| {
            let source = format!("src={} ", network.hosts[host].address);
            conntrack.output().contains(&source)
        };
        // It does not say when it listens: it does when it tells of something.
        conntrack.until("the first event", LIMIT, |conntrack| {
            network.hosts[2].get(server, "first", 1)?;
            Ok(told_of(conntrack, 2))
        })?;
        let began = now();
        let early = read(&nginx.log)?.lines().count();
        std::thread::sleep(ASIDE);
        for host in &network.hosts[..2] {
            host.get(server, "a", 10)?;
        }
        // What is told is known up to the last event.
        std::thread::sleep(ASIDE);
        network.hosts[3].get(server, "last", 1)?;
        conntrack.until("the last event", LIMIT, |conntrack| {
            Ok(told_of(conntrack, 3))
        })?;
        conntrack.kill();

        let ledger = network.folder().join("ledger");
        let mut command = Command::new(portledger());
        command.args(["import", "--format", "conntrack", "--device", "gateway"]);
        // Without this nobody knows who had a port within the clock's error before its first event.
        command.args(["--complete-from", &began.to_string()]);
        command.arg("--ledger").arg(&ledger).arg(&events);
        let imported = finish(&mut command, LIMIT)?.succeeded()?;
        assert!(
            imported.stderr.contains(" 0 rejected"),
            "{}",
            imported.stderr
        );
        let format = format!("nginx:{}", Nginx::FORMAT);
        let answers = trace::trace(&nginx.log, Some(&format), &ledger)?;
        let behind = truth::of_access_log(&read(&nginx.log)?, &network.names());
        let comparison = trace::compare(&answers, &behind);
        let lines = u64::try_from(early).unwrap();
        for line in lines + 1..=lines + 20 {
            assert!(
                comparison.right.contains(&line),
                "{line}: {comparison:?}\n{answers:?}\n{}",
                imported.stderr
            );
        }
        assert!(comparison.wrong.is_empty(), "{comparison:?}");
    }
    Ok(())
}

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap())
}
