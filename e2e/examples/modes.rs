//! What `portledger nat run` carries as a NAT64, beside tayga (Debian's) in the same topology, in one run.
//!
//! ```text
//! cargo run --release -p portledger-e2e --example modes [-- ROUNDS]
//! ```
//!
//! As root, with the Debian packages `iproute2 iperf3 tayga`. In each round both take their turn on the same network of
//! namespaces, so that what else the machine does meets both; only the ratios say something about another machine.
//! tayga is no NAPT: each host has an IPv4 address of its own there, which is less work.
#![forbid(unsafe_code)]

use std::io::{self, Write as _};

use portledger_e2e::client::Host;
use portledger_e2e::modes::{self, PREFIX, RELAY, Tayga, embedded};
use portledger_e2e::nat::{Configuration, Nat};
use portledger_e2e::process::Running;
use portledger_e2e::servers::Iperf3;
use portledger_e2e::topology::Topology;
use portledger_e2e::{Failure, prerequisite};

const ROUNDS: usize = 5;
/// Bytes of payload of a small datagram.
const SMALL: f64 = 64.0;

/// What is measured, iperf3's options for it, and what a bit a second is of the unit.
const FIGURES: [(&str, &[&str], f64); 4] = [
    ("TCP, 1 stream out, Gbit/s", &[], 1e9),
    ("TCP, 1 stream in, Gbit/s", &["--reverse"], 1e9),
    ("TCP, 4 streams out, Gbit/s", &["--parallel", "4"], 1e9),
    (
        "UDP of 64 bytes, overload, kpps",
        &["--udp", "--bitrate", "0", "--length", "64"],
        SMALL * 8.0 * 1e3,
    ),
];

type Round = Vec<f64>;

fn main() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&["iperf3", "tayga"])? {
        return Ok(());
    }
    let word = std::env::args().nth(1);
    let rounds = word.and_then(|word| word.parse().ok()).unwrap_or(ROUNDS);
    let network = Topology::without_ipv4(1)?;
    let _iperf3 = Iperf3::start(&network)?;
    let host = network
        .hosts
        .first()
        .ok_or_else(|| Failure::Missing("an inside host".to_owned()))?;
    let (mut ours, mut theirs): (Vec<Round>, Vec<Round>) = (Vec::new(), Vec::new());
    for number in 1..=rounds {
        let _ = writeln!(io::stderr(), "round {number} of {rounds}");
        ours.push(with_nat(&network, host, number)?);
        theirs.push(with_tayga(&network, host, number)?);
    }
    let mut table = "| | nat run | tayga | ratio |\n|---|---|---|---|\n".to_owned();
    for (at, (name, ..)) in FIGURES.iter().enumerate() {
        let of = |rounds: &[Round]| median(rounds.iter().map(|round| round[at]).collect());
        let ratios = ours.iter().zip(&theirs);
        let ratio = median(ratios.map(|(our, their)| our[at] / their[at]).collect());
        let (our, their) = (of(&ours), of(&theirs));
        table.push_str(&format!(
            "| {name} | {our:.2} | {their:.2} | {ratio:.2} |\n"
        ));
    }
    io::stdout()
        .write_all(table.as_bytes())
        .map_err(|source| Failure::File {
            path: "/dev/stdout".into(),
            source,
        })
}

fn with_nat(network: &Topology, host: &Host, number: usize) -> Result<Round, Failure> {
    let nat = Nat::start_with(
        network,
        &Configuration {
            mode: "mode = \"nat64\"".to_owned(),
            tables: Some(modes::nat64(modes::POOL)),
            ledger: Some(network.folder().join(format!("ledger-{number}"))),
            ..Configuration::default()
        },
    )?;
    let round = measured(host)?;
    nat.stop()?;
    Ok(round)
}

fn with_tayga(network: &Topology, host: &Host, number: usize) -> Result<Round, Failure> {
    let folder = network.folder().join(format!("tayga-{number}"));
    let text = format!(
        "tun-device tayga\nipv4-addr 203.0.113.129\nipv6-addr {RELAY}\nprefix {PREFIX}\ndynamic-pool 203.0.113.128/25\ndata-dir {at}\n",
        at = folder.display(),
    );
    let cgn = &network.cgn;
    let mut tayga: Running = Tayga { folder, text }.start(cgn)?;
    cgn.ip("link set tayga up")?;
    cgn.ip(&format!("route replace {PREFIX} dev tayga"))?;
    cgn.ip("route replace 203.0.113.128/25 dev tayga")?;
    let round = measured(host)?;
    // Its device goes with it.
    tayga.kill();
    Ok(round)
}

fn measured(host: &Host) -> Result<Round, Failure> {
    let server = embedded(Iperf3::ADDRESS);
    let figures = FIGURES.iter().map(|(_, options, unit)| {
        let bits = host.iperf3(&server, options)?;
        Ok(bits / unit)
    });
    figures.collect()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
