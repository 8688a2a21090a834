//! Translators of every mode, killed while their hosts ask and started again on the ledger they left.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use portledger_e2e::client::at_once;
use portledger_e2e::modes::{self, Carriage, Customer, Dns64};
use portledger_e2e::nat::{Configuration, Nat};
use portledger_e2e::servers::Nginx;
use portledger_e2e::topology::Topology;
use portledger_e2e::{Failure, customers, prerequisite, read, trace, truth, wait_for};

/// Six blocks of 256 ports on the one address, so that who forgot whose they were would soon give one away again.
const PORTS: &str = "[ports]\nrange = \"1024-2559\"\n";
const POOL: &str = "203.0.113.1";
const BLOCK: u16 = 256;
/// What is the shortest run of ports of one customer where they are given by arithmetic.
const RANGE: u16 = 64;
/// Longer than the window of a line of nginx's log, in whole seconds and 2 s to either side.
const SETTLED: Duration = Duration::from_secs(5);

/// What each host asks for, and when the translator is killed.
struct Load {
    requests: u32,
    /// A second.
    rate: u32,
    /// Lines of nginx's log.
    killed_after: usize,
}

/// Each host needs a second block before the crash, and so would it after it.
const OF_BLOCKS: Load = Load {
    requests: 700,
    rate: 60,
    killed_after: 640,
};
/// As many connections as a customer has ports.
const OF_RANGES: Load = Load {
    requests: 60,
    rate: 6,
    killed_after: 40,
};

#[test]
fn a_nat64_gives_nobody_what_another_held_before_it_was_killed() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&["nginx", "curl", "named"])? {
        return Ok(());
    }
    let network = Topology::without_ipv4(2)?;
    let _dns64 = Dns64::start(&network)?;
    let configuration = stateful("nat64", modes::nat64(POOL));
    killed_and_started_again(
        &network,
        &configuration,
        "www.example.org",
        &OF_BLOCKS,
        BLOCK,
    )
}

#[test]
fn an_aftr_gives_nobody_what_another_held_before_it_was_killed() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&["nginx", "curl"])? {
        return Ok(());
    }
    let network = Topology::behind_ipv6(&customers::of_aftr(), Carriage::Wrapped)?;
    let configuration = stateful("aftr", modes::aftr(POOL));
    killed_and_started_again(&network, &configuration, Nginx::ADDRESS, &OF_BLOCKS, BLOCK)
}

#[test]
fn a_lwaftr_that_was_killed_is_answered_for_before_and_after() -> Result<(), Failure> {
    let customers = customers::of_lwaftr();
    relay("lw4o6", customers::lw4o6(), Carriage::Wrapped, &customers)
}

#[test]
fn a_map_e_relay_that_was_killed_is_answered_for_before_and_after() -> Result<(), Failure> {
    let customers = customers::of_map();
    relay("map-e", customers::map_e(), Carriage::Wrapped, &customers)
}

#[test]
fn a_map_t_relay_that_was_killed_is_answered_for_before_and_after() -> Result<(), Failure> {
    let customers = customers::of_map();
    relay(
        "map-t",
        customers::map_t(),
        Carriage::Translated,
        &customers,
    )
}

fn relay(
    mode: &str,
    tables: String,
    carriage: Carriage,
    customers: &[Customer],
) -> Result<(), Failure> {
    let mut programs = vec!["nginx", "curl", "nft"];
    if carriage == Carriage::Translated {
        programs.push("tayga");
    }
    if !prerequisite::met_with_nat(&programs)? {
        return Ok(());
    }
    let network = Topology::behind_ipv6(customers, carriage)?;
    let configuration = Configuration {
        mode: format!("mode = \"{mode}\""),
        tables: Some(tables),
        ..Configuration::default()
    };
    killed_and_started_again(&network, &configuration, Nginx::ADDRESS, &OF_RANGES, RANGE)
}

fn stateful(mode: &str, tables: String) -> Configuration {
    Configuration {
        mode: format!("mode = \"{mode}\""),
        tables: Some(tables),
        more: PORTS.to_owned(),
        ..Configuration::default()
    }
}

/// The hosts ask all the while. Whatever the server saw is answered rightly or not at all, some of it before and some
/// after; and of the external ports no run of so many has two holders.
fn killed_and_started_again(
    network: &Topology,
    configuration: &Configuration,
    server: &str,
    load: &Load,
    run: u16,
) -> Result<(), Failure> {
    let nginx = Nginx::start(network)?;
    let mut nat = Nat::start_with(network, configuration)?;
    // A ledger claims nothing of the time before its first record, and a line's window reaches back.
    std::thread::sleep(SETTLED);
    let mut killed_at = 0;
    let requests = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            at_once(&network.hosts, |host| {
                host.get_at_rate(server, "load", load.requests, load.rate)
            })
        });
        let restarted = wait_for("lines in nginx's log", || {
            Ok(read(&nginx.log)?.lines().count() >= load.killed_after)
        })
        .and_then(|()| {
            nat.kill();
            killed_at = read(&nginx.log)?.lines().count();
            nat.restart()
        });
        let requests = asking.join().unwrap_or_else(|_| Ok(Vec::new()));
        restarted.and(requests)
    })?;

    let log = read(&nginx.log)?;
    let behind = truth::of_recorded_access_log(&log, network, &requests)?;
    let mut holders: BTreeMap<(String, u16), BTreeSet<IpAddr>> = BTreeMap::new();
    let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
    for (number, line) in (1..).zip(log.lines()) {
        let host = behind[&number];
        let (address, port) = endpoint(line)?;
        holders
            .entry((address, port / run))
            .or_default()
            .insert(host);
        let seen = if number <= killed_at as u64 {
            &mut before
        } else {
            &mut after
        };
        seen.insert(host);
    }
    // Every host was there on both sides of the crash.
    assert_eq!(
        (before.len(), after.len()),
        (network.hosts.len(), network.hosts.len())
    );
    assert!(holders.len() >= network.hosts.len(), "{holders:?}");
    assert!(
        holders.values().all(|hosts| hosts.len() == 1),
        "{holders:?}"
    );

    std::thread::sleep(SETTLED);
    let format = format!("nginx:{}", Nginx::FORMAT);
    let answers = trace::trace(&nginx.log, Some(&format), nat.ledger())?;
    let comparison = trace::compare(&answers, &behind);
    assert!(comparison.wrong.is_empty(), "{comparison:?}");
    assert!(comparison.unanswered.is_empty(), "{comparison:?}");
    // "Unknown" is an honest answer near a crash, not for everything.
    let mark = killed_at as u64;
    assert!(
        comparison.right.iter().any(|line| *line <= mark),
        "{comparison:?}"
    );
    assert!(
        comparison.right.iter().any(|line| *line > mark),
        "{comparison:?}"
    );
    nat.stop()
}

/// The external endpoint in a line of nginx's log.
fn endpoint(line: &str) -> Result<(String, u16), Failure> {
    let address = line.split(' ').next();
    let port = line.rsplit(' ').next().and_then(|word| word.parse().ok());
    address
        .map(str::to_owned)
        .zip(port)
        .ok_or_else(|| Failure::Unexpected {
            what: "an external endpoint".to_owned(),
            text: line.to_owned(),
        })
}
