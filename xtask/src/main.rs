//! The chores of the workspace.
//!
//! `cargo xtask test` installs what the tests need and runs all of them, in order, stopping at the first that
//! fails; it is what continuous integration runs, and nothing else is. `cargo xtask record-demo` records the
//! demo's capture again.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "talking to the terminal is this program's work"
)]

use std::process::ExitCode;

mod command;
mod packages;
mod python;
mod steps;
#[cfg(test)]
mod tidy;

const USAGE: &str = "\
usage: cargo xtask test [--only STEP,STEP…] [--seconds N]
       cargo xtask record-demo [OUTPUT]

test         installs what the tests need (Debian packages, as root; Python packages) and runs, in this order:
             install, fmt, clippy, test, e2e, demo, fuzz
  --only     runs only these steps, in the order above
  --seconds  how long each fuzz target runs, on new inputs (default: 20,000 inputs from one seed)
record-demo  records crates/portledger/demo/capture.pcap again (as root, five minutes)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((chore, rest)) if chore == "test" => match steps::Plan::parse(rest) {
            Ok(plan) => plan.run(),
            Err(problem) => return wrong_usage(&problem),
        },
        Some((chore, rest)) if chore == "record-demo" => record_demo(rest),
        Some((chore, _)) => return wrong_usage(&format!("unknown chore {chore:?}")),
        None => return wrong_usage("say which chore"),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn wrong_usage(problem: &str) -> ExitCode {
    eprintln!("xtask: {problem}\n\n{USAGE}");
    ExitCode::from(2)
}

fn record_demo(arguments: &[String]) -> Result<(), String> {
    let script = command::workspace_root().join("crates/portledger/demo/record.sh");
    packages::install_missing()?;
    command::run(std::process::Command::new(script).args(arguments))
}
