//! `portledger demo`: the whole story, on a capture that ships with the program.

mod cost;
mod mirror;
mod page;

use std::{collections::HashSet, net::IpAddr, process::ExitCode, time::Duration};

use portledger_dataplane::{
    capture::{IpPacket, Reader, ip_packet},
    replay::{Replay, Sent},
    start::Declared,
};
use portledger_ledger::{Keeper, Ledger, Options as LedgerOptions, Writer};
use portledger_model::{Device, Durability, Evidence as _, External, Sighting, Span, Timestamp};
use portledger_nat::{Config, Nat, Side};
use portledger_ports::{Config as PortsConfig, Pool};
use portledger_servers::{ConnectionOptions, Connections, Reading};
use portledger_trace::{Options, Outcome, Tally, Verdict, trace};
use serde::Serialize;

use crate::{
    args::DemoArgs,
    failure::{Ended, Failure},
};
use cost::Cost;
use mirror::Mirror;

/// Recorded from real programs: see demo/README.md.
const CAPTURE: &[u8] = include_bytes!("../demo/capture.pcap");
const CLIENTS: [&str; 2] = ["100.64.0.0/16", "100.72.0.0/16"];
const POOL: [&str; 1] = ["203.0.113.1-203.0.113.2"];
/// After the last packet, time goes on until every session has ended and every block is back.
const AFTERWARDS: Duration = Duration::from_secs(3 * 3_600);

/// What the demo found.
#[derive(Debug, Serialize)]
struct Story {
    subscribers: usize,
    sessions: u64,
    block_events: u64,
    block_log_bytes: u64,
    session_log_bytes: u64,
    log_ratio: f64,
    sightings: u64,
    unique: u64,
    right: u64,
    wrong: u64,
    candidates_without_port_median: Option<usize>,
    #[serde(skip)]
    aside: Aside,
}

/// What only the page shows.
#[derive(Debug)]
struct Aside {
    packets: u64,
    addresses: u32,
    first: Timestamp,
    last: Timestamp,
    /// In the ledger's log, before the day was sealed.
    log_bytes: u64,
    /// In the files of the sealed day.
    segment_bytes: u64,
    /// One sighting with its answer.
    example: Option<(Sighting, String)>,
}

pub(crate) fn run(args: &DemoArgs) -> Ended {
    let folder = tempfile::tempdir()?;
    let (mut writer, _) = Writer::open(folder.path(), LedgerOptions::default())?;
    let seen = translate(&mut writer)?;
    let log_bytes = writer.ledger()?.stats().log_bytes;
    drop(writer);
    // The capture's day is long over.
    Keeper::open(folder.path())?.seal(Timestamp::MAX)?;
    let ledger = Ledger::read(folder.path())?;
    let story = trace_back(&ledger, seen, log_bytes)?;
    if args.json {
        println!("{}", serde_json::to_string(&story)?);
    } else {
        print!("{}", page::page(&story));
    }
    Ok(if story.wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What was seen on both sides of the NAT.
struct Seen {
    /// The connection log of the servers, and who truly made each connection.
    sightings: Vec<(Sighting, IpAddr)>,
    subscribers: usize,
    block_events: u64,
    packets: u64,
    addresses: u32,
    first: Timestamp,
    last: Timestamp,
}

/// Sends the capture through the NAT. Its clients are the inside; what the servers answered comes
/// back to the endpoints that the NAT gave.
fn translate(writer: &mut Writer) -> Result<Seen, Failure> {
    let config = config()?;
    let pool = config.ports.pool.clone();
    let clients = config.inside.clone();
    let is_client = |address| clients.iter().any(|(_, prefix)| prefix.contains(&address));
    let declared = Declared::new(Device::new("demo")?, &config, Durability::LogBeforeUse);
    let nat = Nat::new(config, *b"portledger: the seed of the demo")?;
    let mut replay = Replay::new(nat, declared, Some(writer));
    let mut mirror = Mirror::default();
    let mut wire = Wire::new();
    let (mut packets, mut first, mut last) = (0, Timestamp::MAX, Timestamp::MIN);

    let mut capture = Reader::new("the demo's capture", CAPTURE)?;
    while let Some(frame) = capture.next_frame()? {
        let Ok(packet) = ip_packet(frame.link, frame.data) else {
            continue;
        };
        let (at, from) = (frame.at, mirror::source(packet.bytes));
        packets += 1;
        (first, last) = (first.min(at), last.max(at));
        if is_client(from) {
            replay.packet(at, Side::Inside, packet, |sent: Sent<'_>| {
                if sent.to == Side::Outside {
                    mirror.learn(packet.bytes, sent.data);
                    wire.carry(at, sent.data, Some(from.into()));
                }
            })?;
        } else if let Some(answer) = mirror.answer(packet.bytes) {
            wire.carry(at, &answer, None);
            let packet = IpPacket {
                bytes: &answer,
                start: 0,
                missing: 0,
            };
            replay.packet(at, Side::Outside, packet, |_| {})?;
        }
    }
    replay.advance(last.after(AFTERWARDS), |_| {})?;
    replay.finish()?;
    let ledger = writer.ledger()?;
    let clients: HashSet<IpAddr> = wire.seen.iter().map(|(_, client)| *client).collect();
    Ok(Seen {
        subscribers: clients.len(),
        sightings: wire.seen,
        block_events: block_events(&ledger, &pool)?,
        packets,
        addresses: pool.count(),
        first,
        last,
    })
}

/// How many events the blocks of the pool made: each allocation is one, and each release one more.
fn block_events(ledger: &Ledger, pool: &Pool) -> Result<u64, Failure> {
    let always = Span::new(Timestamp::MIN, Timestamp::MAX);
    let mut events = 0;
    for address in (0..pool.count()).filter_map(|number| pool.address(number)) {
        let external = External {
            address,
            port: None,
            transport: None,
        };
        for held in ledger.holders(external, always)? {
            events += 1 + u64::from(held.to.is_some());
        }
    }
    Ok(events)
}

/// The link between the NAT and the servers, where they see who comes.
struct Wire {
    servers: Connections,
    packets: u64,
    /// The connections that clients began, and who truly began each.
    seen: Vec<(Sighting, IpAddr)>,
}

impl Wire {
    fn new() -> Self {
        Self {
            servers: Connections::new(ConnectionOptions::new("servers")),
            packets: 0,
            seen: Vec::new(),
        }
    }

    /// Carries a packet of `client`, or of a server.
    fn carry(&mut self, at: Timestamp, packet: &[u8], client: Option<IpAddr>) {
        self.packets += 1;
        let reading = self.servers.packet(self.packets, at, packet);
        if let (Reading::Sighting(sighting), Some(client)) = (reading, client) {
            self.seen.push((sighting, client));
        }
    }
}

fn config() -> Result<Config, Failure> {
    let ports = PortsConfig::new(Pool::parse(&POOL)?);
    let clients: Result<Vec<_>, _> = CLIENTS.iter().map(|prefix| prefix.parse()).collect();
    Ok(Config::new(ports, &clients?))
}

/// Asks the ledger for each connection that the servers saw, with and without its port.
fn trace_back(ledger: &Ledger, seen: Seen, log_bytes: u64) -> Result<Story, Failure> {
    let options = Options {
        within: Duration::from_secs(2),
        asked_at: seen.last.after(AFTERWARDS),
        shifts: None,
    };
    let (mut with_port, mut without_port) = (Tally::default(), Tally::default());
    let (mut right, mut wrong) = (0, 0);
    let mut example = None;
    for (sighting, client) in &seen.sightings {
        let outcome = trace(ledger, sighting, options)?;
        with_port.add(&outcome);
        if let Outcome::Answered(answer) = &outcome
            && answer.verdict == Verdict::Unique
        {
            let is_right = answer
                .subscriber()
                .is_some_and(|who| who.internal() == (*client).into());
            if is_right {
                right += 1
            } else {
                wrong += 1
            }
            if example.is_none() {
                example = Some((sighting.clone(), answer.text()));
            }
        }
        let portless = Sighting {
            port: None,
            ..sighting.clone()
        };
        without_port.add(&trace(ledger, &portless, options)?);
    }
    let cost = Cost {
        block_events: seen.block_events,
        sessions: with_port.sightings,
    };
    Ok(Story {
        subscribers: seen.subscribers,
        sessions: with_port.sightings,
        block_events: cost.block_events,
        block_log_bytes: cost.block_log_bytes(),
        session_log_bytes: cost.session_log_bytes(),
        log_ratio: cost.ratio(),
        sightings: with_port.sightings,
        unique: with_port.unique,
        right,
        wrong,
        candidates_without_port_median: without_port.median_candidates_without_port(),
        aside: Aside {
            packets: seen.packets,
            addresses: seen.addresses,
            first: seen.first,
            last: seen.last,
            log_bytes,
            segment_bytes: ledger.stats().segment_bytes,
            example,
        },
    })
}
