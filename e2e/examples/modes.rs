//! What `portledger nat run` carries where the inside speaks IPv6: as a NAT64 beside tayga (Debian's), as an AFTR, and
//! beside another build of it, in the same topology and in one run.
//!
//! ```text
//! cargo run --release -p portledger-e2e --example modes [-- ROUNDS [OTHER-PROGRAM]]
//! ```
//!
//! As root, with the Debian packages `iproute2 iperf3 tayga`. In each round all take their turn on the same network of
//! namespaces, so that what else the machine does meets all; only the ratios say something about another machine.
//! tayga is no NAPT: each host has an IPv4 address of its own there, which is less work. The customer's end of a
//! softwire is a program that takes one packet a system call: it, too, bounds what an AFTR is seen to carry.
#![forbid(unsafe_code)]

use std::io::{self, Write as _};
use std::path::PathBuf;

use portledger_e2e::client::Host;
use portledger_e2e::modes::{self, Carriage, PREFIX, RELAY, Tayga, embedded};
use portledger_e2e::nat::{Configuration, Nat};
use portledger_e2e::process::Running;
use portledger_e2e::servers::Iperf3;
use portledger_e2e::topology::Topology;
use portledger_e2e::{Failure, customers, prerequisite};

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

/// Who takes a turn.
#[derive(Debug, Clone)]
enum Carrier {
    Ours,
    /// Another build of the program.
    Other(PathBuf),
    Tayga,
}

impl Carrier {
    const fn name(&self) -> &'static str {
        match self {
            Self::Ours => "nat run",
            Self::Other(_) => "other build",
            Self::Tayga => "tayga",
        }
    }

    fn program(&self) -> Option<PathBuf> {
        match self {
            Self::Other(program) => Some(program.clone()),
            Self::Ours | Self::Tayga => None,
        }
    }
}

fn main() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&["iperf3", "tayga"])? {
        return Ok(());
    }
    let mut words = std::env::args().skip(1);
    let rounds = words.next().and_then(|word| word.parse().ok());
    let rounds = rounds.unwrap_or(ROUNDS);
    let other = words.next().map(|path| Carrier::Other(path.into()));
    let ours: Vec<Carrier> = std::iter::once(Carrier::Ours).chain(other).collect();

    let carriers = [&ours[..], &[Carrier::Tayga]].concat();
    let network = Topology::without_ipv4(1)?;
    let nat64 = in_turn(
        "NAT64",
        &network,
        rounds,
        &carriers,
        |host, carrier, number| {
            let server = embedded(Iperf3::ADDRESS);
            if matches!(carrier, Carrier::Tayga) {
                return with_tayga(&network, host, &server, number);
            }
            with_nat(
                &network,
                host,
                &server,
                carrier,
                ("nat64", modes::nat64(modes::POOL)),
                number,
            )
        },
    )?;
    drop(network);
    let [customer, _] = customers::of_aftr();
    let network = Topology::behind_ipv6(&[customer], Carriage::Wrapped)?;
    let aftr = in_turn("AFTR", &network, rounds, &ours, |host, carrier, number| {
        let mode = ("aftr", modes::aftr(modes::POOL));
        with_nat(&network, host, Iperf3::ADDRESS, carrier, mode, number)
    })?;
    io::stdout()
        .write_all(format!("{nat64}\n{aftr}").as_bytes())
        .map_err(|source| Failure::File {
            path: "/dev/stdout".into(),
            source,
        })
}

/// Lets the carriers take their turns; the table of medians, and of the rounds' ratios to the first.
fn in_turn(
    mode: &str,
    network: &Topology,
    rounds: usize,
    carriers: &[Carrier],
    mut measure: impl FnMut(&Host, &Carrier, usize) -> Result<Round, Failure>,
) -> Result<String, Failure> {
    let _iperf3 = Iperf3::start(network)?;
    let host = network
        .hosts
        .first()
        .ok_or_else(|| Failure::Missing("an inside host".to_owned()))?;
    let mut measured: Vec<Vec<Round>> = vec![Vec::new(); carriers.len()];
    let mut turn = 0;
    for number in 1..=rounds {
        for (carrier, rounds_of) in carriers.iter().zip(&mut measured) {
            let name = carrier.name();
            let _ = writeln!(io::stderr(), "round {number} of {rounds}: {mode}, {name}");
            turn += 1;
            rounds_of.push(measure(host, carrier, turn)?);
        }
    }
    let mut table = format!("| {mode} |");
    for carrier in carriers {
        table.push_str(&format!(" {} |", carrier.name()));
    }
    for carrier in carriers.iter().skip(1) {
        table.push_str(&format!(" ratio to {} |", carrier.name()));
    }
    let columns = 2 * carriers.len();
    table.push_str(&format!("\n|{}\n", "---|".repeat(columns)));
    for (at, (name, ..)) in FIGURES.iter().enumerate() {
        table.push_str(&format!("| {name} |"));
        for rounds in &measured {
            let figure = median(rounds.iter().map(|round| round[at]).collect());
            table.push_str(&format!(" {figure:.2} |"));
        }
        for others in measured.iter().skip(1) {
            let both = measured.iter().take(1).flatten().zip(others);
            let ratio = median(both.map(|(our, their)| our[at] / their[at]).collect());
            table.push_str(&format!(" {ratio:.2} |"));
        }
        table.push('\n');
    }
    Ok(table)
}

fn with_nat(
    network: &Topology,
    host: &Host,
    server: &str,
    carrier: &Carrier,
    (mode, tables): (&str, String),
    number: usize,
) -> Result<Round, Failure> {
    let nat = Nat::start_with(
        network,
        &Configuration {
            mode: format!("mode = \"{mode}\""),
            tables: Some(tables),
            ledger: Some(network.folder().join(format!("ledger-{number}"))),
            program: carrier.program(),
            ..Configuration::default()
        },
    )?;
    let round = measured(host, server)?;
    nat.stop()?;
    Ok(round)
}

fn with_tayga(
    network: &Topology,
    host: &Host,
    server: &str,
    number: usize,
) -> Result<Round, Failure> {
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
    let round = measured(host, server)?;
    // Its device goes with it.
    tayga.kill();
    Ok(round)
}

fn measured(host: &Host, server: &str) -> Result<Round, Failure> {
    let figures = FIGURES.iter().map(|(_, options, unit)| {
        let bits = host.iperf3(server, options)?;
        Ok(bits / unit)
    });
    figures.collect()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
