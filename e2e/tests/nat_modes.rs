//! Real clients and servers with `portledger nat run` between them where the inside speaks IPv6.
#![forbid(unsafe_code)]

use std::time::Duration;

use portledger_e2e::client::Host;
use portledger_e2e::modes::{self, Carriage, Customer, Dns64, embedded};
use portledger_e2e::nat::{Configuration, DEVICE, Nat};
use portledger_e2e::process::finish;
use portledger_e2e::servers::{Iperf3, Nginx, SshServer};
use portledger_e2e::topology::Topology;
use portledger_e2e::{Failure, customers, prerequisite, read, trace, truth};

/// Longer than the window of a line of nginx's log, in whole seconds and 2 s to either side.
const SETTLED: Duration = Duration::from_secs(5);
/// More than a window, and than what fits without a packet of full size.
const BIG: usize = 3_000_000;

#[test]
fn hosts_without_ipv4_reach_servers_without_ipv6() -> Result<(), Failure> {
    let programs = [
        "nginx", "sshd", "rsyslogd", "ssh", "curl", "ping", "iperf3", "named",
    ];
    if !prerequisite::met_with_nat(&programs)? {
        return Ok(());
    }
    let network = Topology::without_ipv4(2)?;
    let (nginx, ssh) = (Nginx::start(&network)?, SshServer::start(&network)?);
    let _iperf3 = Iperf3::start(&network)?;
    let _dns64 = Dns64::start(&network)?;
    let nat = Nat::start_with(
        &network,
        &Configuration {
            mode: "mode = \"nat64\"".to_owned(),
            tables: Some(modes::nat64(modes::POOL)),
            ..Configuration::default()
        },
    )?;

    for host in &network.hosts {
        // More connections than a block has ports.
        let requests = host.get("www.example.org", "a", 300)?;
        assert_eq!(requests.len(), 300);
        for request in &requests {
            assert_eq!(
                (request.status, request.local.0),
                (200, host.address),
                "{request:?}"
            );
        }
        host.ssh_to(&ssh, "ssh.example.org")?;
        host.ping(&embedded(Nginx::ADDRESS), 3)?;
        for options in [
            &[][..],
            &["--reverse"],
            &["--udp", "--bitrate", "20M", "--length", "1200"],
        ] {
            let bits = host.iperf3("iperf.example.org", options)?;
            assert!(bits > 1e6, "{options:?}: {bits} bit/s");
        }
        fetch_big(host, &nginx, "www.example.org")?;
    }
    // What the kernel left to be cut came whole: otherwise no packet is longer than 1,500 bytes.
    let [bytes, packets] = ["tx_bytes", "tx_packets"].map(|what| {
        let path = format!("/sys/class/net/{DEVICE}/statistics/{what}");
        let said = network.cgn.run("cat", &path)?.stdout;
        said.trim().parse::<u64>().map_err(|_| Failure::Unexpected {
            what: "a number".to_owned(),
            text: said,
        })
    });
    let (bytes, packets) = (bytes?, packets?);
    assert!(
        bytes / packets > 1_500,
        "{bytes} bytes in {packets} packets"
    );
    every_line_is_traced(&network, &nginx, &ssh, &nat)?;
    nat.stop()
}

#[test]
fn hosts_of_one_address_behind_two_softwires_are_told_apart() -> Result<(), Failure> {
    let programs = ["nginx", "sshd", "rsyslogd", "ssh", "curl", "ping", "iperf3"];
    if !prerequisite::met_with_nat(&programs)? {
        return Ok(());
    }
    let network = Topology::behind_ipv6(&customers::of_aftr(), Carriage::Wrapped)?;
    assert_eq!(network.hosts[0].address, network.hosts[1].address);
    let (nginx, ssh) = (Nginx::start(&network)?, SshServer::start(&network)?);
    let _iperf3 = Iperf3::start(&network)?;
    let nat = Nat::start_with(
        &network,
        &Configuration {
            mode: "mode = \"aftr\"".to_owned(),
            tables: Some(modes::aftr(modes::POOL)),
            ..Configuration::default()
        },
    )?;
    for host in &network.hosts {
        reaches_all(host, &nginx, &ssh, 300)?;
    }
    every_line_is_traced(&network, &nginx, &ssh, &nat)?;
    nat.stop()
}

#[test]
fn map_e_carries_what_is_the_customers_own() -> Result<(), Failure> {
    let customers = customers::of_map();
    relayed("map-e", &customers::map_e(), Carriage::Wrapped, &customers)
}

/// With somebody else's translator at the customers' end.
#[test]
fn map_t_carries_what_is_the_customers_own() -> Result<(), Failure> {
    let customers = customers::of_map();
    relayed(
        "map-t",
        &customers::map_t(),
        Carriage::Translated,
        &customers,
    )
}

#[test]
fn lightweight_4over6_carries_what_is_the_customers_own() -> Result<(), Failure> {
    let customers = customers::of_lwaftr();
    relayed("lw4o6", &customers::lw4o6(), Carriage::Wrapped, &customers)
}

fn relayed(
    mode: &str,
    table: &str,
    carriage: Carriage,
    customers: &[Customer],
) -> Result<(), Failure> {
    let mut programs = vec![
        "nginx", "sshd", "rsyslogd", "ssh", "curl", "ping", "iperf3", "nft",
    ];
    if carriage == Carriage::Translated {
        programs.push("tayga");
    }
    if !prerequisite::met_with_nat(&programs)? {
        return Ok(());
    }
    let network = Topology::behind_ipv6(customers, carriage)?;
    let (nginx, ssh) = (Nginx::start(&network)?, SshServer::start(&network)?);
    let _iperf3 = Iperf3::start(&network)?;
    let mut nat = Nat::start_with(
        &network,
        &Configuration {
            mode: format!("mode = \"{mode}\""),
            tables: Some(table.to_owned()),
            ..Configuration::default()
        },
    )?;
    // A ledger claims nothing of the time before its first record, and a line's window reaches back.
    std::thread::sleep(SETTLED);
    for host in &network.hosts {
        reaches_all(host, &nginx, &ssh, 40)?;
    }
    // Each line's port is its host's own.
    let log = read(&nginx.log)?;
    let behind = truth::of_access_log(&log, &network.names());
    assert_eq!(behind.len(), network.hosts.len() * 40);
    for (number, line) in (1..)
        .zip(log.lines())
        .filter(|(_, line)| line.contains("/host"))
    {
        let port = line.rsplit(' ').next().and_then(|word| word.parse().ok());
        let own = customers
            .iter()
            .find(|customer| customer.subscriber == behind[&number])
            .and_then(|customer| customer.external);
        let (Some(port), Some((address, first, last))) = (port, own) else {
            return Err(Failure::Unexpected {
                what: "a customer's port".to_owned(),
                text: line.to_owned(),
            });
        };
        assert!(line.starts_with(&address.to_string()), "{line}");
        assert!((first..=last).contains(&port), "{line}");
    }
    let report = nat.report()?;
    assert!(report["held"].is_null(), "{report}");
    every_line_is_traced(&network, &nginx, &ssh, &nat)?;
    nat.stop()
}

fn reaches_all(host: &Host, nginx: &Nginx, ssh: &SshServer, count: u32) -> Result<(), Failure> {
    let requests = host.get(Nginx::ADDRESS, "a", count)?;
    assert_eq!(requests.len(), count as usize);
    assert!(
        requests.iter().all(|request| request.status == 200),
        "{requests:?}"
    );
    host.ssh(ssh)?;
    host.ping(Nginx::ADDRESS, 3)?;
    for options in [
        &[][..],
        &["--reverse"],
        &["--udp", "--bitrate", "20M", "--length", "1400"],
    ] {
        let bits = host.iperf3(Iperf3::ADDRESS, options)?;
        assert!(bits > 1e6, "{options:?}: {bits} bit/s");
    }
    fetch_big(host, nginx, Nginx::ADDRESS)
}

/// A file whose packets are as long as they can be, both ways over the path MTU.
fn fetch_big(host: &Host, nginx: &Nginx, server: &str) -> Result<(), Failure> {
    let content: Vec<u8> = (0..BIG).map(|at| (at * 31 % 251) as u8).collect();
    portledger_e2e::file(&nginx.files.join("big"), |path| {
        std::fs::create_dir_all(&nginx.files)?;
        std::fs::write(path, &content)
    })?;
    let name = format!("fetched-{}", host.name);
    let to = nginx.files.join(name);
    let mut command = host.command("curl");
    command.args(["--silent", "--fail", "--max-time", "20", "--output"]);
    command.arg(&to).arg(format!("http://{server}/files/big"));
    finish(&mut command, Duration::from_secs(30))?.succeeded()?;
    let fetched = portledger_e2e::file(&to, |path| std::fs::read(path))?;
    assert!(fetched == content, "{} bytes of {BIG}", fetched.len());
    Ok(())
}

/// Every line of nginx's and sshd's logs that a host caused is answered with that host's prefix.
fn every_line_is_traced(
    network: &Topology,
    nginx: &Nginx,
    ssh: &SshServer,
    nat: &Nat<'_>,
) -> Result<(), Failure> {
    let names = network.names();
    let format = format!("nginx:{}", Nginx::FORMAT);
    let behind = truth::of_access_log(&read(&nginx.log)?, &names);
    let answers = trace::settled(&nginx.log, Some(&format), nat.ledger())?;
    let comparison = trace::compare(&of_hosts(answers, &behind), &behind);
    assert_eq!(comparison.right.len(), behind.len(), "{comparison:?}");
    let behind = truth::of_ssh_log(&read(&ssh.log)?, &names);
    assert!(behind.len() >= network.hosts.len(), "{behind:?}");
    let answers = trace::settled(&ssh.log, None, nat.ledger())?;
    let comparison = trace::compare(&of_hosts(answers, &behind), &behind);
    assert!(
        comparison.wrong.is_empty() && comparison.open.is_empty(),
        "{comparison:?}"
    );
    assert!(
        comparison.right.len() >= network.hosts.len(),
        "{comparison:?}"
    );
    Ok(())
}

/// The answers to lines that tell who it was: the big file's do not.
fn of_hosts(mut answers: Vec<trace::Answer>, behind: &truth::Truth) -> Vec<trace::Answer> {
    answers.retain(|answer| behind.contains_key(&answer.line));
    answers
}
