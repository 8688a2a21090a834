//! `portledger`: the command line. Thin: it reads arguments and files, hands them to the rooms
//! that know what they mean, and prints what comes back.
#![forbid(unsafe_code)]
// This is the program's one place to print from.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod checkpoint;
mod config;
mod demo;
mod failure;
mod identity;
mod import;
mod init;
mod input;
mod keeping;
mod ledger;
mod nat;
mod output;
mod proof;
mod questions;
mod report;
mod retain;
mod seal;
mod serve;
mod sightings;
mod stats;
mod trace;
mod verify;
mod who;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command, IdentityCommand, NatCommand};

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Nat(NatCommand::Run(args)) => nat::run::run(&args),
        Command::Nat(NatCommand::Replay(args)) => nat::replay::run(&args),
        Command::Who(args) => who::run(&args),
        Command::Sightings(args) => sightings::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Questions(args) => questions::show::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Seal(args) => seal::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Checkpoint(args) => checkpoint::run(&args),
        Command::Retain(args) => retain::run(&args),
        Command::Identity(IdentityCommand::Import(args)) => identity::import(&args),
        Command::Identity(IdentityCommand::Forget(args)) => identity::forget(&args),
    };
    ended.unwrap_or_else(|failure| {
        eprintln!("portledger: {failure}");
        ExitCode::from(failure.status())
    })
}
