//! What `portledger nat run` carries, beside the kernel's forwarding and its own translation, in one run.
//!
//! ```text
//! cargo run --release -p portledger-e2e --example throughput [-- ROUNDS [JSON-FILE]]
//! ```
//!
//! As root, with the Debian packages `nftables iproute2 iperf3`; some four minutes for five rounds. All traffic
//! stays in three namespaces made for it: a host, the middle, and an outside, joined by veth pairs. In each round
//! all [`paths`] take their turn on that same network, so that what else the machine does meets all of them; only
//! the ratios to forwarding, not the figures, say something about another machine.
#![forbid(unsafe_code)]

mod measure;
mod paths;
mod processor;
mod report;
mod traffic;

use std::io::{self, Write as _};
use std::process::Command;

use portledger_e2e::process::finish;
use portledger_e2e::topology::Topology;
use portledger_e2e::{Failure, prerequisite};

const ROUNDS: usize = 5;
/// A release build of everything, on a slow machine.
const BUILDING: std::time::Duration = std::time::Duration::from_secs(1_800);

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(outcome) = traffic::run(&words) {
        let said = outcome.map_err(|source| Failure::Start {
            command: words.join(" "),
            source,
        })?;
        return say(&format!("{said}\n"));
    }
    build()?;
    if !prerequisite::met_with_nat(&["nft", "iperf3"])? {
        return Ok(());
    }
    let rounds = words.first().and_then(|word| word.parse().ok());
    let rounds = measure(rounds.unwrap_or(ROUNDS))?;
    say(&format!("{}\n", report::table(&rounds)))?;
    let json = format!("{:#}\n", report::json(&rounds));
    match words.get(1) {
        None => say(&format!("\n{json}")),
        Some(path) => std::fs::write(path, json).map_err(|source| Failure::File {
            path: path.into(),
            source,
        }),
    }
}

fn measure(rounds: usize) -> Result<report::Rounds, Failure> {
    let network = Topology::direct()?;
    network.add_subscribers(traffic::SUBSCRIBERS)?;
    let mut bench = measure::Bench::new(&network)?;
    let mut measured = report::Rounds::new();
    for number in 1..=rounds {
        let mut round = Vec::new();
        for path in paths::ALL {
            let _ = writeln!(io::stderr(), "round {number} of {rounds}: {}", path.name());
            round.push((path, bench.measure(path)?));
        }
        measured.push(round);
    }
    Ok(measured)
}

/// Under `cargo run`, sees to it that the program measured is this checkout's.
fn build() -> Result<(), Failure> {
    let Some(cargo) = std::env::var_os("CARGO") else {
        return Ok(());
    };
    if std::env::var_os("PORTLEDGER_BIN").is_some() {
        return Ok(());
    }
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--package", "portledger"]);
    finish(&mut command, BUILDING)?.succeeded().map(drop)
}

fn say(text: &str) -> Result<(), Failure> {
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|source| Failure::File {
            path: "/dev/stdout".into(),
            source,
        })
}
