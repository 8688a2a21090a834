//! The command line.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use portledger_model::{Timestamp, Transport};

use crate::config::parse_duration;

/// Who held this shared address and port at that time?
#[derive(Debug, Parser)]
#[command(name = "portledger", version, max_term_width = 100)]
#[command(
    after_help = "Exit status: 0 a unique answer or success, 1 failure, 2 wrong usage, 3 ambiguous, 4 none, 5 unknown."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole story on a capture that ships with the program: no root, no network
    Demo(DemoArgs),
    /// Translate, on a TUN device or on captures, and log the blocks of ports
    #[command(subcommand)]
    Nat(NatCommand),
    /// Say who held an external address and port at a time
    Who(WhoArgs),
    /// Show what a server's log or a capture says: who was seen from where, and when
    Sightings(SightingsArgs),
    /// Say who it was for every sighting in a server's log or a capture
    Trace(TraceArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Print one JSON object instead of the page
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NatCommand {
    /// Translate on a TUN device, logging blocks to the ledger
    ///
    /// It says `ready` on standard error once it translates. SIGTERM or SIGINT stops it cleanly;
    /// SIGUSR1 prints its counters as one JSON object on standard output, as does its end.
    Run(NatRunArgs),
    /// Translate captures, merged by their time stamps, with the same engine
    Replay(NatReplayArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NatRunArgs {
    /// The configuration file (TOML)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct NatReplayArgs {
    /// The configuration file (TOML)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// A capture (pcap or pcapng, - for standard input) of what comes from the inside
    #[arg(long, value_name = "PCAP")]
    pub(crate) inside: PathBuf,
    /// A capture of what comes from the outside
    #[arg(long, value_name = "PCAP")]
    pub(crate) outside: Option<PathBuf>,
    /// The ledger's folder; without it, events are counted and not kept
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
    /// Write here what goes to the inside
    #[arg(long, value_name = "PCAP")]
    pub(crate) to_inside: Option<PathBuf>,
    /// Write here what goes to the outside
    #[arg(long, value_name = "PCAP")]
    pub(crate) to_outside: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WhoArgs {
    /// The external address, with the port where it is known: 203.0.113.7:40123
    #[arg(value_name = "ADDR[:PORT]", value_parser = parse_endpoint)]
    pub(crate) endpoint: (IpAddr, Option<u16>),
    /// When it was seen: RFC 3339 with a zone, such as 2026-11-01T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Timestamp,
    /// The transport: tcp, udp or icmp
    #[arg(long, value_name = "TRANSPORT")]
    pub(crate) proto: Option<Transport>,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

/// What every question needs.
#[derive(Debug, Args)]
pub(crate) struct Asking {
    /// How far the clock that gave the time may be off, either way
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
    pub(crate) within: Duration,
    /// The ledger's folder
    #[arg(
        long,
        value_name = "DIR",
        env = "PORTLEDGER_LEDGER",
        default_value = "ledger"
    )]
    pub(crate) ledger: PathBuf,
    /// Print JSON: one object an answer
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SightingsArgs {
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Print JSON: one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// What reading a log needs.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    /// Logs or captures; - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// A known format's name (nginx-combined-port, sshd, csv), or the server's own format string
    /// after nginx: or apache:; where it is not given it is guessed, and the guess is said
    #[arg(long, value_name = "FORMAT", conflicts_with = "config")]
    pub(crate) format: Option<String>,
    /// The server's configuration, to read the log's format from
    #[arg(long, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    /// The zone of times that are written without one: UTC, +01:00 or Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    /// Write here the lines that could not be read, as they are
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) asking: Asking,
    /// Put the log's clock right: how far it is ahead, such as 90s (or -90s: behind); auto to find
    /// that from the sightings; auto-drift to find it where the clock ran too fast or too slow
    #[arg(
        long,
        value_name = "DURATION|auto|auto-drift",
        allow_hyphen_values = true
    )]
    pub(crate) offset: Option<String>,
    /// Take all sightings for one subscriber's, such as those of one account: say who may have
    /// made all of them, and how weak that is; the exit status is that one answer's
    #[arg(long)]
    pub(crate) same_actor: bool,
}

/// An address, with or without a port.
fn parse_endpoint(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((address, None));
    }
    match text.parse::<std::net::SocketAddr>() {
        Ok(endpoint) if endpoint.port() == 0 => Err("port 0 is no port to send from".into()),
        Ok(endpoint) => Ok((endpoint.ip(), Some(endpoint.port()))),
        Err(_) => {
            Err("not an address or address:port; write 203.0.113.7 or 203.0.113.7:40123".into())
        }
    }
}
