//! Real clients and servers with `portledger nat run` between them.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use portledger_e2e::client::{Mapping, at_once};
use portledger_e2e::nat::Nat;
use portledger_e2e::servers::{Apache, Iperf3, Nginx, SshServer, StunServer};
use portledger_e2e::topology::Topology;
use portledger_e2e::truth::{Names, Truth};
use portledger_e2e::{Failure, prerequisite, read, trace, truth, wait_for};

#[test]
fn real_clients_reach_real_servers() -> Result<(), Failure> {
    let programs = ["nginx", "sshd", "rsyslogd", "ssh", "curl", "ping", "iperf3"];
    if !prerequisite::met_with_nat(&programs)? {
        return Ok(());
    }
    let network = Topology::new(2)?;
    let (nginx, iperf3) = (Nginx::start(&network)?, Iperf3::start(&network)?);
    let ssh = SshServer::start(&network)?;
    let nat = Nat::start(&network)?;

    for host in &network.hosts {
        let requests = host.get(Nginx::ADDRESS, "a", 5)?;
        assert_eq!(requests.len(), 5);
        assert!(
            requests.iter().all(|request| request.status == 200),
            "{requests:?}"
        );
        host.ssh(&ssh)?;
        host.ping(Nginx::ADDRESS, 3)?;
        for options in [
            &[][..],
            &["--reverse"],
            &["--udp", "--bitrate", "20M", "--length", "1200"],
        ] {
            let bits = host.iperf3(Iperf3::ADDRESS, options)?;
            assert!(bits > 1e6, "{options:?}: {bits} bit/s");
        }
    }

    let addresses = external_addresses(&read(&nginx.log)?, &network.names());
    assert_eq!(addresses.len(), network.hosts.len());
    for external in addresses.values() {
        // RFC 4787 REQ-2, RFC 6888 REQ-2: address pooling "paired".
        assert_eq!(external.len(), 1, "{addresses:?}");
        assert!(
            external
                .iter()
                .all(|address| address.starts_with("203.0.113.")),
            "{addresses:?}"
        );
    }
    assert!(iperf3.log().contains("203.0.113."), "{}", iperf3.log());
    nat.stop()
}

#[test]
fn the_mapping_is_endpoint_independent() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&["turnserver", "turnutils_natdiscovery"])? {
        return Ok(());
    }
    let network = Topology::new(1)?;
    let _stun = StunServer::start(&network)?;
    let nat = Nat::start(&network)?;
    // RFC 4787 REQ-1. Ports are drawn at random: one lucky run proves nothing.
    for _ in 0..3 {
        let mapping = network.hosts[0].stun_mapping(StunServer::ADDRESS)?;
        assert_eq!(mapping, Mapping::EndpointIndependent);
    }
    nat.stop()
}

#[test]
fn every_line_of_every_log_is_traced_to_the_host_behind_it() -> Result<(), Failure> {
    let programs = ["nginx", "apache2", "sshd", "rsyslogd", "ssh", "curl"];
    if !prerequisite::met_with_nat(&programs)? {
        return Ok(());
    }
    let network = Topology::new(4)?;
    let (nginx, apache) = (Nginx::start(&network)?, Apache::start(&network)?);
    let ssh = SshServer::start(&network)?;
    let nat = Nat::start(&network)?;

    let names = network.names();

    // More connections than a block has ports, and all hosts at once.
    let requests = at_once(&network.hosts, |host| {
        let mut requests = host.get(Nginx::ADDRESS, "a", 300)?;
        for _ in 0..3 {
            host.ssh(&ssh)?;
        }
        requests.extend(host.get(Apache::AUTHORITY, "b", 60)?);
        Ok(requests)
    })?;
    assert!(requests.iter().all(|request| request.status == 200));

    let format = format!("nginx:{}", Nginx::FORMAT);
    let behind = truth::of_recorded_access_log(&read(&nginx.log)?, &network, &requests)?;
    assert_eq!(behind.len(), 4 * 300);
    all_right(
        &trace::settled(&nginx.log, Some(&format), nat.ledger())?,
        &behind,
    );

    let format = format!("apache:{}", Apache::FORMAT);
    let behind = truth::of_recorded_access_log(&read(&apache.log)?, &network, &requests)?;
    assert_eq!(behind.len(), 4 * 60);
    all_right(
        &trace::settled(&apache.log, Some(&format), nat.ledger())?,
        &behind,
    );

    let log = read(&ssh.log)?;
    let behind = truth::of_ssh_log(&log, &names);
    let answers = trace::settled(&ssh.log, None, nat.ledger())?;
    let comparison = trace::compare(&answers, &behind);
    assert!(
        comparison.wrong.is_empty() && comparison.open.is_empty(),
        "{comparison:?}"
    );
    // A reader may take only some kinds of line; that of the login is one nobody may leave out.
    let logins: BTreeSet<u64> = (1..)
        .zip(log.lines())
        .filter_map(|(number, line)| line.contains("Accepted publickey").then_some(number))
        .collect();
    assert_eq!(logins.len(), 4 * 3);
    assert!(
        logins.is_subset(&comparison.right),
        "{logins:?}\n{comparison:?}"
    );
    nat.stop()
}

#[test]
fn killed_under_load_and_started_again_no_answer_is_wrong() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&["nginx", "curl"])? {
        return Ok(());
    }
    let network = Topology::new(4)?;
    let nginx = Nginx::start(&network)?;
    let mut nat = Nat::start(&network)?;

    let mut marks = Vec::new();
    let requests = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            at_once(&network.hosts, |host| {
                host.get_at_rate(Nginx::ADDRESS, "load", 600, 40)
            })
        });
        let kills = [500_usize, 1300].iter().try_for_each(|lines| {
            wait_for(&format!("{lines} lines in nginx's log"), || {
                Ok(read(&nginx.log)?.lines().count() >= *lines)
            })?;
            nat.kill();
            marks.push(read(&nginx.log)?.lines().count() as u64);
            nat.restart()
        });
        let requests = load.join().unwrap();
        kills.and(requests)
    })?;
    let answered = requests
        .iter()
        .filter(|request| request.status == 200)
        .count();
    assert!(answered > 1300, "only {answered} requests were answered");

    let log = read(&nginx.log)?;
    let behind = truth::of_recorded_access_log(&log, &network, &requests)?;
    let format = format!("nginx:{}", Nginx::FORMAT);
    let answers = trace::trace(&nginx.log, Some(&format), nat.ledger())?;
    let comparison = trace::compare(&answers, &behind);
    assert!(comparison.wrong.is_empty(), "{comparison:?}");
    assert!(comparison.unanswered.is_empty(), "{comparison:?}");
    // "Unknown" is an honest answer near a crash, not for everything.
    let (first, last) = (marks[0], marks[1]);
    assert!(
        comparison.right.iter().any(|line| *line <= first),
        "{marks:?} {comparison:?}"
    );
    assert!(
        comparison.right.iter().any(|line| *line > last),
        "{marks:?} {comparison:?}"
    );
    nat.stop()
}

fn all_right(answers: &[trace::Answer], behind: &Truth) {
    let comparison = trace::compare(answers, behind);
    let expected = trace::Comparison {
        right: behind.keys().copied().collect(),
        ..trace::Comparison::default()
    };
    assert_eq!(comparison, expected);
}

fn external_addresses(log: &str, names: &Names) -> BTreeMap<IpAddr, BTreeSet<String>> {
    let behind = truth::of_access_log(log, names);
    let mut addresses: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for (number, line) in (1..).zip(log.lines()) {
        let external = line.split(' ').next().unwrap_or_default().to_owned();
        addresses
            .entry(behind[&number])
            .or_default()
            .insert(external);
    }
    addresses
}
