//! Whole days of a NAT with its ledger, in seconds: subscribers come and go on a pool that is too
//! small for them, servers' clocks are wrong, the device stops, crashes, and loses the end of its
//! log. Afterwards every sighting is asked for. Whatever happened, no answer names the wrong one.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{fs, net::Ipv4Addr, path::Path, time::Duration};

use portledger_dataplane::{capture::IpPacket, replay::Replay, start::Declared};
use portledger_ledger::{Keeper, Ledger, Options as LedgerOptions, Writer};
use portledger_model::{
    Destination, Device, Durability, Evidence as _, External, Internal, Moment, PortRange,
    Sighting, Source, Span, Timestamp, Transport, Zone,
};
use portledger_nat::{Config, Nat, Side};
use portledger_ports::{Config as PortsConfig, Limits, MIN_GUARD_TIME, Pool};
use portledger_trace::{Options, Outcome, Tally, Verdict, trace_all};

const SUBSCRIBERS: u32 = 60;
const DAY: Duration = Duration::from_secs(86_400);
/// How wrong a server's clock is at most; asked with as much.
const CLOCK_ERROR_MS: i64 = 2_000;

#[test]
fn no_day_has_a_wrong_answer() {
    for seed in 1..=2 {
        let mut day = Day::new(seed);
        day.run();
        day.judge();
    }
}

/// What was seen, and who it truly was.
struct Seen {
    endpoint: (Ipv4Addr, u16),
    /// By the server's clock.
    at: Timestamp,
    who: Ipv4Addr,
}

struct Day {
    random: Random,
    /// Asked when it is sealed.
    sealed: bool,
    folder: tempfile::TempDir,
    now: Timestamp,
    end: Timestamp,
    seen: Vec<Seen>,
    crashes: u32,
    restarts: u32,
    refused: u32,
}

/// How a life of the device ends.
enum Ending {
    Stop,
    Crash,
    /// The last write was on its way to the disk.
    CrashInWrite,
    EndOfDay,
}

impl Day {
    fn new(seed: u64) -> Self {
        let now: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        Self {
            random: Random(seed),
            sealed: seed.is_multiple_of(2),
            folder: tempfile::tempdir().unwrap(),
            now,
            end: now.after(DAY),
            seen: Vec::new(),
            crashes: 0,
            restarts: 0,
            refused: 0,
        }
    }

    fn run(&mut self) {
        loop {
            let ending = self.live();
            match ending {
                Ending::EndOfDay => return,
                Ending::Stop => self.restarts += 1,
                Ending::Crash => self.crashes += 1,
                Ending::CrashInWrite => {
                    self.crashes += 1;
                    // Less than a record: what was written before it is on the disk.
                    let bytes = self.random.below(12) + 1;
                    tear(&self.folder.path().join("log"), u64::from(bytes));
                }
            }
            // The ledger is kept now and then: what is in its log goes into segments.
            if (self.crashes + self.restarts).is_multiple_of(8) {
                let mut keeper = Keeper::open(self.folder.path()).unwrap();
                keeper.seal(self.now).unwrap();
                keeper.flush().unwrap();
            }
            // Away for up to twice the guard time.
            self.wait(240_000);
        }
    }

    /// From a start of the device to its end.
    fn live(&mut self) -> Ending {
        let (mut writer, _) = Writer::open(self.folder.path(), LedgerOptions::default()).unwrap();
        let config = config();
        let device = Device::new("cgn1").unwrap();
        let declared = Declared::new(device, &config, Durability::LogBeforeUse);
        let mut seed = [0; 32];
        seed.fill_with(|| u8::try_from(self.random.below(256)).unwrap());
        let nat = Nat::new(config, seed).unwrap();
        let mut replay = Replay::new(nat, declared, Some(&mut writer));
        loop {
            self.wait(8_000);
            if self.now >= self.end {
                replay.finish().unwrap();
                return Ending::EndOfDay;
            }
            let events = replay.events;
            let seen = self.send(&mut replay);
            let ending = match self.random.below(2_000) {
                0 => Ending::Stop,
                1 => Ending::Crash,
                2..=20 if replay.events > events => Ending::CrashInWrite,
                _ => {
                    self.seen.extend(seen);
                    continue;
                }
            };
            match ending {
                Ending::Stop => {
                    self.seen.extend(seen);
                    replay.finish().unwrap();
                }
                Ending::Crash => {
                    self.seen.extend(seen);
                    self.crash();
                }
                // The packet that needed the event has not gone out then: nobody saw it.
                Ending::CrashInWrite => self.crash(),
                Ending::EndOfDay => {}
            }
            return ending;
        }
    }

    /// What a crash leaves is what is in the files before the writer comes to its orderly end.
    fn crash(&mut self) {
        let left = tempfile::tempdir().unwrap();
        copy(self.folder.path(), left.path());
        self.folder = left;
    }

    /// A datagram of some subscriber from one of its few ports, and what a server saw of it.
    fn send(&mut self, replay: &mut Replay<'_>) -> Option<Seen> {
        let who = Ipv4Addr::from_bits(0x6440_0000 + self.random.below(SUBSCRIBERS));
        let port = 1_024 + u16::try_from(self.random.below(90)).unwrap();
        let packet = datagram(who, port);
        let (now, mut seen) = (self.now, None);
        let skew = i64::from(self.random.below(2 * 2_000 + 1)) - CLOCK_ERROR_MS;
        let packet = IpPacket {
            bytes: &packet,
            start: 0,
            missing: 0,
        };
        replay
            .packet(now, Side::Inside, packet, |sent| {
                if sent.to == Side::Outside {
                    let address: [u8; 4] = sent.data[12..16].try_into().unwrap();
                    let port = u16::from_be_bytes([sent.data[20], sent.data[21]]);
                    let at = Timestamp::from_micros(now.as_micros() + skew * 1_000);
                    seen = Some(Seen {
                        endpoint: (address.into(), port),
                        at,
                        who,
                    });
                }
            })
            .unwrap();
        self.refused += u32::from(seen.is_none());
        seen
    }

    fn wait(&mut self, most_ms: u32) {
        let wait = self.random.below(most_ms);
        self.now = self.now.after(Duration::from_millis(wait.into()));
    }

    fn judge(&self) {
        // Half of the days are asked while they are open, half of them sealed.
        if self.sealed {
            let mut keeper = Keeper::open(self.folder.path()).unwrap();
            keeper.seal(self.end.after(DAY)).unwrap();
        }
        let (writer, _) = Writer::open(self.folder.path(), LedgerOptions::default()).unwrap();
        let ledger = &writer.ledger().unwrap();
        let options = Options {
            within: Duration::from_millis(CLOCK_ERROR_MS.unsigned_abs()),
            asked_at: self.end.after(Duration::from_secs(60)),
            shifts: None,
        };
        let mut tally = Tally::default();
        let sightings = self.seen.iter().zip(1..);
        let sightings: Vec<_> = sightings.map(|(seen, line)| sighting(seen, line)).collect();
        let outcomes = trace_all(ledger, sightings, options).map(Result::unwrap);
        for ((seen, line), outcome) in self.seen.iter().zip(1..).zip(outcomes) {
            tally.add(&outcome);
            let Outcome::Answered(answer) = outcome else {
                panic!("{outcome:?}")
            };
            let names_them = answer
                .allocations
                .iter()
                .any(|held| held.block.subscriber.internal() == Internal::Address(seen.who));
            assert!(
                names_them,
                "sighting {line}: {:?} does not name who it was",
                answer.verdict
            );
            assert!(
                matches!(answer.verdict, Verdict::Unique | Verdict::Unknown),
                "sighting {line}: {:?}: the guard time keeps holders further apart than that",
                answer.verdict
            );
        }
        guard_time_is_kept(ledger);
        // A day in which nothing happened, or in which nothing is known, proves nothing.
        assert!(
            self.crashes >= 3 && self.restarts >= 1,
            "{} {}",
            self.crashes,
            self.restarts
        );
        assert!(self.refused > 100, "the pool was never exhausted");
        assert!(
            tally.sightings > 10_000 && tally.unique * 100 > tally.sightings * 99,
            "{tally:?}"
        );
    }
}

/// No block came to somebody else before it had rested, restarts or not.
fn guard_time_is_kept(ledger: &Ledger) {
    let address = External {
        address: [203, 0, 113, 7].into(),
        port: None,
        transport: None,
    };
    let all = Span::new(Timestamp::MIN, Timestamp::MAX);
    let mut held = ledger.holders(address, all).unwrap();
    held.sort_by_key(|held| (held.block.ports, held.from));
    for pair in held.windows(2) {
        let [before, after] = pair else { continue };
        if before.block.ports == after.block.ports
            && before.block.subscriber != after.block.subscriber
        {
            let rested = after.from.since(before.to.unwrap());
            assert!(
                rested >= MIN_GUARD_TIME,
                "{} rested {rested:?}",
                before.block.ports
            );
        }
    }
}

/// 40 blocks for 60 subscribers who want two each.
fn config() -> Config {
    let ports = PortsConfig {
        port_range: PortRange::new(1_024, 1_024 + 40 * 64 - 1).unwrap(),
        block_size: 64,
        block_idle: Duration::from_secs(30),
        limits: Limits {
            blocks: 2,
            ..Limits::default()
        },
        ..PortsConfig::new(Pool::parse(&["203.0.113.7"]).unwrap())
    };
    Config::new(ports, &["100.64.0.0/16".parse().unwrap()])
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            fs::create_dir(&to).unwrap();
            fs::set_permissions(&to, fs::metadata(&from).unwrap().permissions()).unwrap();
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// Takes up to `bytes` from the end of the log, as a crash in the middle of a write does.
fn tear(folder: &Path, bytes: u64) {
    let mut logs: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "plg"))
        .collect();
    logs.sort();
    let log = fs::OpenOptions::new()
        .write(true)
        .open(logs.last().unwrap())
        .unwrap();
    let length = log.metadata().unwrap().len();
    log.set_len(length.saturating_sub(bytes)).unwrap();
}

fn sighting(seen: &Seen, line: u64) -> Sighting {
    Sighting {
        source: Source {
            file: "server.log".into(),
            line,
        },
        address: seen.endpoint.0.into(),
        port: Some(seen.endpoint.1),
        transport: Some(Transport::Udp),
        destination: Destination::default(),
        at: Some(seen.at),
        or_at: None,
        resolution: Duration::from_millis(1),
        zone: Zone::Utc,
        moment: Moment::Connect,
        lasted: None,
    }
}

/// A UDP datagram without payload to 198.51.100.1:53.
fn datagram(source: Ipv4Addr, port: u16) -> [u8; 28] {
    let mut packet = [0; 28];
    packet[0] = 0x45;
    packet[3] = 28;
    packet[6] = 0x40;
    packet[8] = 64;
    packet[9] = 17;
    packet[12..16].copy_from_slice(&source.octets());
    packet[16..20].copy_from_slice(&[198, 51, 100, 1]);
    packet[20..22].copy_from_slice(&port.to_be_bytes());
    packet[23] = 53;
    packet[25] = 8;
    let words = packet[..20]
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let mut sum: u32 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    packet[10..12].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    packet
}

/// SplitMix64: a day is its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let mixed = (mixed ^ (mixed >> 31)) >> 32;
        u32::try_from((mixed * u64::from(bound)) >> 32).unwrap()
    }
}
