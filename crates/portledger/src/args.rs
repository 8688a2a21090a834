//! The command line.

mod servers;
mod watch;

use std::{net::IpAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;
use portledger_identity::sessions::Field;
use portledger_ledger::Calendar;
use portledger_model::{Timestamp, Transport};
use portledger_servers::{Header, report::Reporter};

pub(crate) use self::servers::{AuditArgs, FixArgs, GuideArgs, Servers};
use crate::{config::parse_duration, identity::form::Format, questions::parse_case};
pub(crate) use watch::{Joining, WatchArgs};

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
    /// Write an abuse report for every sighting, with its source port and exact time
    ///
    /// To whoever gives out the address: ARF messages, as in a mailbox, or X-ARF objects, one a
    /// line. A sighting without a port, a time or what else the form needs makes none, which is said
    /// on standard error, and the exit status is 1.
    Report(ReportArgs),
    /// Take the client's port out of a log's lines, for programs that read only the format without
    ///
    /// A pipe: `tail -F access.log | portledger strip --format nginx-combined-port | …`. Each line
    /// is written as the server would have written it in the format without the port. A line that
    /// is not of the format passes as it is, and is counted on standard error.
    Strip(StripArgs),
    /// Say who it was for every sighting in a server's log or a capture
    Trace(TraceArgs),
    /// Say what the servers on this machine record of who connects, by the maturity model
    ///
    /// Source address and port, the time's zone and step, transport and destination port; what
    /// hides the client; which programs read the logs. Reads the server's own dump of its
    /// configuration where it has one, else its files, and changes nothing.
    Audit(AuditArgs),
    /// Show the change that gets the source port logged, and with --apply make it
    Fix(FixArgs),
    /// Print the why and the how for one server
    Guide(GuideArgs),
    /// Record who connects, from which port and when, beside a server that cannot
    ///
    /// Each inbound connection's endpoints, transport and exact time, from the kernel, without
    /// touching the server. What was lost or left out is said in the log itself. It says `ready` on
    /// standard error once it watches. SIGTERM or SIGINT stops it cleanly; SIGHUP opens the file
    /// anew; SIGUSR1 prints its figures as one JSON object on standard output, as does its end.
    /// 'sightings' and 'trace' read the log, and with --connections give other logs' lines the port
    /// that they lack.
    Watch(WatchArgs),
    /// Take another device's log files into the ledger
    ///
    /// Lines of many makers' NATs, our own JSON lines and syslog, and captures of IPFIX, NetFlow v9
    /// or syslog. A missing sequence number is a gap in what is known. What cannot be read is counted,
    /// shown by example, and kept aside with --rejects; the rest goes on.
    Import(ImportArgs),
    /// Hear what NATs tell on the network, and write it to a ledger
    ///
    /// IPFIX, NetFlow v9 and syslog over UDP, TCP and TLS, as the configuration file says. What was
    /// lost on the way, was not understood or was told while nobody listened is a gap in what is
    /// known. It says `ready` on standard error once it listens. SIGTERM or SIGINT stops it cleanly;
    /// SIGUSR1 prints its figures as one JSON object on standard output, as does its end.
    Serve(ServeArgs),
    /// Show who asked the ledger what, for which case, and what the verdict was
    Questions(QuestionsArgs),
    /// Make a ledger and say what it is to be, before anything is written to it
    ///
    /// `nat run` and `nat replay` make a ledger with the defaults where there is none.
    Init(InitArgs),
    /// Seal the days that are over: one set of sorted Parquet files a day
    ///
    /// `nat run` does this by itself for the ledger it writes. A ledger of an earlier release is
    /// taken over first.
    Seal(LedgerArgs),
    /// Show a ledger's figures
    Stats(LedgerArgs),
    /// Check that a ledger is what was written to it, or that a proof holds
    ///
    /// Every file, every record's hash, every allocation against the records it was made from. What
    /// is wrong is named with its place, and the exit status is 1.
    Verify(VerifyArgs),
    /// Print the newest checkpoint, for others to keep or to witness (C2SP tlog-checkpoint)
    Checkpoint(LedgerArgs),
    /// Delete the days whose time is past, as 'keep_days' in ledger.toml says
    Retain(RetainArgs),
    /// Keep who the customers are: apart from the ledger, encrypted
    #[command(subcommand)]
    Identity(IdentityCommand),
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
pub(crate) struct ServeArgs {
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
    /// Prove each allocation's record: what 'verify --proof' and other programs check (C2SP
    /// tlog-proof)
    #[arg(long)]
    pub(crate) proof: bool,
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
    /// The case the question is asked for; it is recorded with the question
    #[arg(long, value_name = "REF", env = "PORTLEDGER_CASE", value_parser = parse_case)]
    pub(crate) case: Option<String>,
    /// Name the customers too, where their identities are kept in this folder and may be read;
    /// that they were is recorded with the question
    #[arg(long, value_name = "DIR", env = "PORTLEDGER_IDENTITIES")]
    pub(crate) identities: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) identity_keys: IdentityKeys,
    /// Print JSON: one object an answer
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the keys of the identities are: apart from the ledger's.
#[derive(Debug, Args)]
pub(crate) struct IdentityKeys {
    /// The key ring of the identities; without it, `keys` in their folder
    #[arg(long, value_name = "DIR", env = "PORTLEDGER_IDENTITY_KEYS")]
    pub(crate) identity_keys: Option<PathBuf>,
    /// The master key of the identities; without it, `master.key` in their folder
    #[arg(long, value_name = "FILE", env = "PORTLEDGER_IDENTITY_MASTER_KEY")]
    pub(crate) identity_master_key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Take in who had which address: tables of customers, DHCP leases, RADIUS accounting
    ///
    /// Tables are CSV with internal, from, to, customer and more columns. Leases of Kea, ISC dhcpd
    /// and dnsmasq, Kea's forensic log and FreeRADIUS's detail files are read together, in any
    /// order: give a server's current and its rotated files at once. A customer is named only for
    /// the time that was told: a session without its end lasts until it was last heard of.
    ///
    /// A line that cannot be taken in stops no other. A table is taken in as a whole or, where it
    /// cannot be read to its end, not at all; importing it again changes nothing.
    Import(IdentityImportArgs),
    /// Forget for good all whose time ended before another time
    Forget(ForgetArgs),
}

/// Where identities are kept.
#[derive(Debug, Args)]
pub(crate) struct IdentityStore {
    /// The folder of the identities, made where it is missing
    #[arg(
        long,
        value_name = "DIR",
        env = "PORTLEDGER_IDENTITIES",
        default_value = "identities"
    )]
    pub(crate) identities: PathBuf,
    #[command(flatten)]
    pub(crate) keys: IdentityKeys,
}

#[derive(Debug, Args)]
pub(crate) struct IdentityImportArgs {
    /// Tables of customers, lease files, logs of accounting; - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) store: IdentityStore,
    /// What all the files are written in
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Auto)]
    pub(crate) format: Format,
    /// What is the customer's id in leases and accounting: user-name, calling-station-id, class,
    /// nas-port-id, circuit-id, remote-id, subscriber-id, hardware-address, client-id, duid or
    /// hostname; without it, user-name in accounting, hardware-address in DHCPv4 and duid in DHCPv6
    #[arg(long, value_name = "FIELD")]
    pub(crate) customer: Option<Field>,
    /// The realm of the addresses in leases and accounting; without it, 'default'
    #[arg(long, value_name = "NAME")]
    pub(crate) realm: Option<String>,
    /// Write here the lines that could not be taken in, as they are
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Print one JSON object a file, and one of what became of leases and accounting
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// Forget what ended at this time or earlier: RFC 3339 with a zone
    #[arg(long, value_name = "TIME")]
    pub(crate) before: Timestamp,
    #[command(flatten)]
    pub(crate) store: IdentityStore,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SightingsArgs {
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) joining: Joining,
    /// Print JSON: one object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Print only how many there are
    #[arg(long, conflicts_with = "json")]
    pub(crate) count: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StripArgs {
    /// Logs, packed or not; standard input where none is given
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The format that the lines have: a known format's name (nginx-combined-port), or the server's
    /// own format string after nginx: or apache:
    #[arg(long, value_name = "FORMAT", required_unless_present = "config")]
    pub(crate) format: Option<String>,
    /// The server's configuration, to read the log's format from
    #[arg(long, value_name = "PATH", conflicts_with = "format")]
    pub(crate) config: Option<PathBuf>,
    /// The log's path as the configuration has it, where the lines come on standard input
    #[arg(long, value_name = "PATH", requires = "config")]
    pub(crate) log: Option<PathBuf>,
}

/// What reading a log needs.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    /// Logs or captures; - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// A known format's name (nginx-combined-port, syslog, csv), or the server's own format string
    /// after nginx:, apache:, tomcat:, lighttpd:, squid:, varnishncsa:, envoy:, haproxy:,
    /// postgresql: or proftpd:; where it is not given it is guessed, and the guess is said
    #[arg(long, value_name = "FORMAT", conflicts_with = "config")]
    pub(crate) format: Option<String>,
    /// The server's configuration, to read the log's format from
    #[arg(long, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    /// The zone of times that are written without one: UTC, +01:00 or Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    /// A network of proxies in front of the server, whose headers name the client (repeatable)
    #[arg(long = "trusted-proxy", value_name = "CIDR", value_parser = parse_network)]
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// A header that these proxies set, or remove where a client sent it (repeatable): Forwarded,
    /// X-Forwarded-For, X-Real-IP, Client-IP, or X-Forwarded-Port where that is the client's own
    /// port; by default all but the last, which then must agree
    #[arg(
        long = "trusted-header",
        value_name = "NAME",
        requires = "trusted_proxies"
    )]
    pub(crate) trusted_headers: Vec<Header>,
    /// What the operator called IIS's field of REMOTE_PORT
    #[arg(long, value_name = "NAME")]
    pub(crate) port_field: Option<String>,
    /// Write here the lines that could not be read, as they are
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
}

/// A network, or one address.
fn parse_network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().ok();
    network
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
        .ok_or_else(|| "not a network such as 192.0.2.0/24 or 2001:db8::/32".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// What the reports are written in: arf (of mail, RFC 5965 and 6692) or xarf (X-ARF, version 4)
    #[arg(long, value_name = "FORM", value_parser = ["arf", "xarf"])]
    pub(crate) form: String,
    /// What was done: abuse, fraud, virus or other in ARF; login_attack or port_scan in X-ARF
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: String,
    /// Who reports, and where answers go: 'Example Org <abuse@example.org>'
    #[arg(long, value_name = "NAME <ADDRESS>")]
    pub(crate) reporter: Reporter,
    /// Report sightings without a port too: only where an address is one customer's
    #[arg(long)]
    pub(crate) without_port: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) asking: Asking,
    #[command(flatten)]
    pub(crate) joining: Joining,
    /// Put the log's clock right: how far it is ahead, such as 90s (or -90s: behind); auto to find
    /// that from the sightings; auto-drift to find it where the clock ran too fast or too slow
    #[arg(
        long,
        value_name = "DURATION|auto|auto-drift",
        conflicts_with = "connections",
        allow_hyphen_values = true
    )]
    pub(crate) offset: Option<String>,
    /// Take all sightings for one subscriber's, such as those of one account: say who may have
    /// made all of them, and how weak that is; the exit status is that one answer's
    #[arg(long)]
    pub(crate) same_actor: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QuestionsArgs {
    /// The ledger's folder
    #[arg(
        long,
        value_name = "DIR",
        env = "PORTLEDGER_LEDGER",
        default_value = "ledger"
    )]
    pub(crate) ledger: PathBuf,
    /// Only what was asked at this time or later: RFC 3339 with a zone
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Only what was asked for this case
    #[arg(long, value_name = "REF")]
    pub(crate) case: Option<String>,
    /// All that the journal says: deletions and holds too
    #[arg(long)]
    pub(crate) all: bool,
    /// Print JSON: one object an entry
    #[arg(long)]
    pub(crate) json: bool,
}

/// A ledger, for commands that ask nothing else.
#[derive(Debug, Args)]
pub(crate) struct LedgerArgs {
    /// The ledger's folder
    #[arg(
        long,
        value_name = "DIR",
        env = "PORTLEDGER_LEDGER",
        default_value = "ledger"
    )]
    pub(crate) ledger: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Log files or captures, the oldest first; - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// What the ledger is to call the device, where all is of one; else the host in each line's
    /// header, or the exporter's address
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// The lines' form: a dialect's name such as juniper, json-lines, syslog, or auto to guess it;
    /// or rules, for TOML files of who has which ports by arithmetic, and since when
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// A dialect of your own, described in a file; it comes before one of ours of its name
    #[arg(long = "dialect", value_name = "FILE")]
    pub(crate) dialects: Vec<PathBuf>,
    /// From this time on, everything that was held is told: also what was handed out before the
    /// files begin. Without it, nobody knows who had a port before it is first told of
    #[arg(long, value_name = "TIME")]
    pub(crate) complete_from: Option<Timestamp>,
    /// How far the device's clock may be off, either way
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse_duration)]
    pub(crate) clock_error: Duration,
    /// The zone of times that are written without one: UTC, +01:00 or Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    /// The realm of subscribers of whom the lines tell none
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) realm: String,
    /// Write here the lines that could not be read, as they are
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// What could not be read told of no port: without this it may have been an event, and nothing
    /// is claimed of its device until the next one
    #[arg(long)]
    pub(crate) rejects_are_no_events: bool,
    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,
    /// A checkpoint that was kept elsewhere: the log must go on from it
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// Check this proof, as 'who --proof' writes it, instead of a ledger
    #[arg(
        long,
        value_name = "FILE",
        requires = "key",
        conflicts_with = "checkpoint"
    )]
    pub(crate) proof: Option<PathBuf>,
    /// The file of keys to check the proof with: the ledger's ledger.vkey, witnesses' keys
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RetainArgs {
    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,
    /// Only say what would go
    #[arg(long, conflicts_with_all = ["hold", "lift"])]
    pub(crate) dry_run: bool,
    /// Keep the days from --from to --to for this case until it is lifted; deletes nothing
    #[arg(long, value_name = "CASE", requires_all = ["from", "to"], value_parser = parse_case)]
    pub(crate) hold: Option<String>,
    /// The first instant the case needs: RFC 3339 with a zone
    #[arg(long, value_name = "TIME", requires = "hold")]
    pub(crate) from: Option<Timestamp>,
    /// The first instant after it
    #[arg(long, value_name = "TIME", requires = "hold")]
    pub(crate) to: Option<Timestamp>,
    /// Lift what this case holds; deletes nothing
    #[arg(long, value_name = "CASE", conflicts_with = "hold")]
    pub(crate) lift: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The folder to make the ledger in
    #[arg(value_name = "DIR")]
    pub(crate) ledger: PathBuf,
    /// When its days begin, in UTC: best at the hour when the fewest subscribers are active
    #[arg(long, value_name = "HH:MM")]
    pub(crate) day_starts: Option<Calendar>,
    /// Do not encrypt what is written: deletion is then only as good as the disk's and the backups'
    #[arg(long)]
    pub(crate) plain: bool,
    /// The folder of its key ring; without it, `keys` in the ledger's folder
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: Option<PathBuf>,
    /// The file of the master key that wraps the others, made where it is missing; without it,
    /// `master.key` in the ledger's folder
    #[arg(long, value_name = "FILE", conflicts_with = "master_key_command")]
    pub(crate) master_key: Option<PathBuf>,
    /// A program that prints the master key, with its arguments: for a vault or a token; the last
    /// option
    #[arg(long, value_name = "CMD", num_args = 1.., allow_hyphen_values = true)]
    pub(crate) master_key_command: Option<Vec<String>>,
    /// Where sealed days go: a folder or s3://bucket/prefix; without it, `sealed` in the ledger's
    /// folder
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// Delete a day's records so many days after its end, with 'portledger retain'; without it,
    /// never
    #[arg(long, value_name = "N")]
    pub(crate) keep_days: Option<NonZeroU32>,
    /// The same for the questions that were asked
    #[arg(long, value_name = "N")]
    pub(crate) keep_questions_days: Option<NonZeroU32>,
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
