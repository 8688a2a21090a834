//! One round of one path.

use std::collections::BTreeMap;
use std::time::Duration;

use portledger_e2e::Failure;
use portledger_e2e::client::Host;
use portledger_e2e::namespace::Namespace;
use portledger_e2e::process::{Running, finish};
use portledger_e2e::servers::Iperf3;
use portledger_e2e::topology::Topology;
use serde_json::Value;

use crate::paths::{Entered, Path};
use crate::processor::Processor;
use crate::traffic::{ESTABLISHED, FLOWS_PER_SUBSCRIBER, SINK_PORT};

/// What is measured: key, unit and what it is, and whether the ratio to forwarding says something.
pub(crate) const FIGURES: [(&str, &str, bool); 18] = [
    ("tcp_1", "TCP, 1 stream out, Gbit/s", true),
    ("tcp_4", "TCP, 4 streams out, Gbit/s", true),
    ("tcp_1_in", "TCP, 1 stream in, Gbit/s", true),
    ("tcp_4_in", "TCP, 4 streams in, Gbit/s", true),
    ("small_kpps", "60 B frames, overload, kpps", true),
    ("small_full_ns", "  processor ns a packet", true),
    ("small_ns", "60 B frames, paced, ns a packet", true),
    ("small_path_ns", "  without the sender's", true),
    ("small_lost", "  lost, %", false),
    ("new_kfps", "new flows, overload, k/s", true),
    ("new_full_ns", "  processor ns a flow", true),
    ("new_ns", "new flows, paced, ns a flow", true),
    ("new_path_ns", "  without the sender's", true),
    ("new_lost", "  lost, %", false),
    ("rtt_p50", "round trip, p50 us", true),
    ("rtt_p99", "round trip, p99 us", true),
    ("first_p50", "first round trip, p50 us", true),
    ("first_p99", "first round trip, p99 us", true),
];

/// Packets a second of paced floods: below what every path carries.
pub(crate) const PACED: f64 = 40_000.0;
/// New flows a second where they are paced.
pub(crate) const PACED_NEW: f64 = 20_000.0;
const SECONDS: f64 = 0.7;
const ROUND_TRIPS: u32 = 3_000;
const FIRST_PACKETS: u32 = 300;
const LIMIT: Duration = Duration::from_secs(30);

/// The figures of one round on one path, by the keys of [`FIGURES`].
pub(crate) type Figures = BTreeMap<&'static str, f64>;

/// The network and what runs in it on all paths.
pub(crate) struct Bench<'network> {
    network: &'network Topology,
    host: &'network Host,
    processor: Processor,
    next_subscriber: u32,
    _iperf3: Iperf3,
    _echo: Running,
}

impl<'network> Bench<'network> {
    /// Starts the servers, and the sink of the floods.
    pub(crate) fn new(network: &'network Topology) -> Result<Self, Failure> {
        let outside = &network.outside;
        outside.run("nft", "add table netdev sink")?;
        let chain = "{ type filter hook ingress device cgn priority 0 ; }";
        outside.run("nft", &format!("add chain netdev sink in {chain}"))?;
        let rule = format!("add rule netdev sink in udp dport {SINK_PORT} counter drop");
        outside.run("nft", &rule)?;
        let host = network
            .hosts
            .first()
            .ok_or_else(|| Failure::Missing("an inside host".to_owned()))?;
        let mut echo = outside.command(&own_program()?);
        let mut echo = Running::start(echo.arg("echo"), &network.folder().join("echo.log"))?;
        echo.until("the echo", LIMIT, |_| outside.listens("udp", 7))?;
        Ok(Self {
            network,
            host,
            processor: Processor::new(),
            next_subscriber: 1_000,
            _iperf3: Iperf3::start(network)?,
            _echo: echo,
        })
    }

    /// One round.
    pub(crate) fn measure(&mut self, path: Path) -> Result<Figures, Failure> {
        let entered = path.enter(self.network)?;
        let mut figures = Figures::new();
        if path != Path::BoundedLoss {
            self.small_packets(&entered, path, &mut figures)?;
        }
        if path != Path::SenderAlone {
            self.new_flows(&entered, path, &mut figures)?;
            self.latency(&mut figures)?;
        }
        if !matches!(path, Path::SenderAlone | Path::BoundedLoss) {
            for (key, options) in [
                ("tcp_1", &[][..]),
                ("tcp_4", &["--parallel", "4"]),
                ("tcp_1_in", &["--reverse"]),
                ("tcp_4_in", &["--reverse", "--parallel", "4"]),
            ] {
                let options = [&["--time", "1"], options].concat();
                figures.insert(key, self.host.iperf3(Iperf3::ADDRESS, &options)? / 1e9);
            }
        }
        entered.leave()?;
        Ok(figures)
    }

    fn small_packets(
        &self,
        entered: &Entered<'_>,
        path: Path,
        figures: &mut Figures,
    ) -> Result<(), Failure> {
        // Makes the mappings; nobody looks.
        self.flood(entered, path, 0, ESTABLISHED, 5_000.0, 0.3)?;
        let paced = self.flood(entered, path, 0, ESTABLISHED, PACED, SECONDS)?;
        figures.insert("small_ns", paced.nanoseconds);
        figures.insert("small_lost", paced.lost);
        let full = self.flood(entered, path, 0, ESTABLISHED, 0.0, SECONDS)?;
        figures.insert("small_kpps", full.rate / 1e3);
        figures.insert("small_full_ns", full.nanoseconds);
        Ok(())
    }

    fn new_flows(
        &mut self,
        entered: &Entered<'_>,
        path: Path,
        figures: &mut Figures,
    ) -> Result<(), Failure> {
        let subscribers = |bench: &mut Self, flows: u32| {
            let first = bench.next_subscriber;
            bench.next_subscriber += flows.div_ceil(FLOWS_PER_SUBSCRIBER);
            first * FLOWS_PER_SUBSCRIBER
        };
        let first = subscribers(self, 30_000);
        let paced = self.flood(entered, path, first, NO_END, PACED_NEW, SECONDS)?;
        figures.insert("new_ns", paced.nanoseconds);
        figures.insert("new_lost", paced.lost);
        let first = subscribers(self, 400_000);
        let full = self.flood(entered, path, first, NO_END, 0.0, SECONDS)?;
        figures.insert("new_kfps", full.rate / 1e3);
        figures.insert("new_full_ns", full.nanoseconds);
        Ok(())
    }

    fn latency(&mut self, figures: &mut Figures) -> Result<(), Failure> {
        let times = self.inside(&format!("round-trips {ROUND_TRIPS}"))?;
        figures.insert("rtt_p50", number(&times, "p50")?);
        figures.insert("rtt_p99", number(&times, "p99")?);
        let first = self.next_subscriber;
        self.next_subscriber += FIRST_PACKETS;
        let times = self.inside(&format!("first-packets {first} {FIRST_PACKETS}"))?;
        figures.insert("first_p50", number(&times, "p50")?);
        figures.insert("first_p99", number(&times, "p99")?);
        Ok(())
    }

    fn flood(
        &self,
        entered: &Entered<'_>,
        path: Path,
        first: u32,
        flows: u32,
        rate: f64,
        seconds: f64,
    ) -> Result<Flood, Failure> {
        let sink = match path {
            Path::SenderAlone => (&self.network.cgn, "early"),
            _ => (&self.network.outside, "sink"),
        };
        let used = self.processor.used(entered.process());
        let before = counted(sink)?;
        let sent = self.inside(&format!("flood {first} {flows} {rate} {seconds}"))?;
        let arrived = settled(sink)? - before;
        let used = self.processor.used(entered.process()) - used + number(&sent, "cpu_ns")?;
        Ok(Flood {
            rate: arrived / number(&sent, "seconds")?,
            nanoseconds: used / arrived.max(1.0),
            lost: 100.0 * (1.0 - arrived / number(&sent, "sent")?),
        })
    }

    /// Runs one of [`crate::traffic`]'s words on the inside host.
    fn inside(&self, words: &str) -> Result<Value, Failure> {
        let mut command = self.host.command(&own_program()?);
        let finished = finish(command.args(words.split(' ')), LIMIT)?.succeeded()?;
        serde_json::from_str(&finished.stdout).map_err(|_| Failure::Unexpected {
            what: words.to_owned(),
            text: finished.stdout,
        })
    }
}

/// More flows than any flood sends packets.
const NO_END: u32 = 1 << 30;

struct Flood {
    /// Packets a second that arrived.
    rate: f64,
    /// Processor time of the whole path for each packet that arrived, the sender's with it.
    nanoseconds: f64,
    /// Percent of what was sent.
    lost: f64,
}

fn number(object: &Value, key: &str) -> Result<f64, Failure> {
    let found = object.get(key).and_then(Value::as_f64);
    found.ok_or_else(|| Failure::Unexpected {
        what: key.to_owned(),
        text: object.to_string(),
    })
}

/// Packets that reached the sink, once no more do.
fn settled(sink: (&Namespace, &str)) -> Result<f64, Failure> {
    let mut last = counted(sink)?;
    loop {
        std::thread::sleep(Duration::from_millis(60));
        let now = counted(sink)?;
        if now == last {
            return Ok(now);
        }
        last = now;
    }
}

fn counted((namespace, table): (&Namespace, &str)) -> Result<f64, Failure> {
    let listed = namespace.run("nft", &format!("--json list table netdev {table}"))?;
    let read = || {
        let listed: Value = serde_json::from_str(&listed.stdout).ok()?;
        let rules = listed.get("nftables")?.as_array()?;
        rules
            .iter()
            .filter_map(|entry| entry.pointer("/rule/expr")?.as_array())
            .flatten()
            .find_map(|part| part.pointer("/counter/packets")?.as_f64())
    };
    read().ok_or_else(|| Failure::Unexpected {
        what: format!("the counter of table {table}"),
        text: listed.stdout.clone(),
    })
}

fn own_program() -> Result<String, Failure> {
    let path = std::env::current_exe().map_err(|source| Failure::File {
        path: "/proc/self/exe".into(),
        source,
    })?;
    Ok(path.display().to_string())
}
