//! Makes block events as a NAT tells them and sends them at a steady rate.
//!
//! `generate` writes messages to a file, each after its length, so that sending costs no more than
//! sending. `send` sends them in datagrams, evenly, and says how long it took.

use std::{
    collections::VecDeque,
    error::Error,
    fs::File,
    io::{self, BufReader, BufWriter, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand, ValueEnum};
use portledger_model::{Device, PortRange, Realm, Subscriber, Timestamp};
use portledger_wire::{
    EventTime, Holding, Kind, NatEvent, Phase, Told,
    flow::{ExportSettings, Exporter, Version},
    syslog::{Export, Sequence, TimeQuality},
};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a day's block events to a file
    Generate {
        file: PathBuf,
        #[arg(long, default_value_t = 10_000_000)]
        events: u64,
        #[arg(long, value_enum, default_value = "ipfix")]
        form: Form,
        /// When the day begins, in seconds since 1970
        #[arg(long)]
        from: i64,
    },
    /// Say whom a look-up is to find: a block, and when it was held
    Ask {
        #[arg(long, default_value_t = 10_000_000)]
        events: u64,
        #[arg(long)]
        from: i64,
    },
    /// Send a file's messages
    Send {
        file: PathBuf,
        #[arg(long)]
        to: SocketAddr,
        /// Events a second
        #[arg(long)]
        rate: f64,
        /// Events in the file
        #[arg(long, default_value_t = 10_000_000)]
        events: u64,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Ipfix,
    Netflow9,
    Syslog,
}

/// Subscribers of the NAT.
const SUBSCRIBERS: u64 = 1_000_000;
/// Ports of a block, of 64,512 from 1,024 on.
const BLOCK: u16 = 512;
const BLOCKS_OF_AN_ADDRESS: u64 = 126;
/// Addresses of the pool: two blocks a subscriber.
const ADDRESSES: u64 = 2 * SUBSCRIBERS / BLOCKS_OF_AN_ADDRESS;
/// Blocks held at once, when the day is under way.
const HELD: usize = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().command {
        Command::Generate {
            file,
            events,
            form,
            from,
        } => generate(&file, events, form, Timestamp::from_secs(from)),
        Command::Ask { events, from } => ask(events, Timestamp::from_secs(from)),
        Command::Send {
            file,
            to,
            rate,
            events,
        } => send(&file, to, rate, events),
    }
}

/// A generator that needs no library: the constants of Knuth's MMIX.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Blocks that are handed out in no order, each to no one in particular, and given back after
/// about as many others were handed out as are held.
struct Day {
    draw: Draw,
    free: Vec<u32>,
    held: VecDeque<(u32, u32)>,
    from: Timestamp,
    events: u64,
    told: u64,
}

impl Day {
    fn new(from: Timestamp, events: u64) -> Self {
        let mut draw = Draw(8_158);
        let mut free: Vec<u32> = (0..(ADDRESSES * BLOCKS_OF_AN_ADDRESS) as u32).collect();
        for at in (1..free.len()).rev() {
            free.swap(at, draw.below(at as u64 + 1) as usize);
        }
        Self {
            draw,
            free,
            held: VecDeque::new(),
            from,
            events,
            told: 0,
        }
    }
}

impl Iterator for Day {
    type Item = NatEvent;

    fn next(&mut self) -> Option<NatEvent> {
        if self.told == self.events {
            return None;
        }
        let full = self.held.len() >= HELD.min((self.events / 4) as usize);
        let (phase, block, subscriber) = if full && self.draw.below(2) == 0 {
            let (block, subscriber) = self.held.pop_front()?;
            self.free.push(block);
            (Phase::Ended, block, subscriber)
        } else {
            let place = self.draw.below(self.free.len() as u64) as usize;
            let block = self.free.swap_remove(place);
            let subscriber = self.draw.below(SUBSCRIBERS) as u32;
            self.held.push_back((block, subscriber));
            (Phase::Begun, block, subscriber)
        };
        let micros = 86_400_000_000 * self.told / self.events;
        self.told += 1;
        let address = u64::from(block) / BLOCKS_OF_AN_ADDRESS;
        let first = 1_024 + BLOCK * (u64::from(block) % BLOCKS_OF_AN_ADDRESS) as u16;
        let subscriber = Ipv4Addr::from_bits(Ipv4Addr::new(100, 64, 0, 0).to_bits() + subscriber);
        Some(NatEvent {
            at: EventTime::Told(self.from.after(Duration::from_micros(micros))),
            told: Told::Ports(Holding {
                phase,
                kind: Kind::Block,
                subscriber: Some(Subscriber::new(Realm::default(), subscriber.into())),
                external: Ipv4Addr::from_bits(
                    Ipv4Addr::new(198, 18, 0, 0).to_bits() + address as u32,
                ),
                ports: PortRange::new(first, first + BLOCK - 1).ok()?,
                transport: None,
                since: None,
            }),
        })
    }
}

fn generate(
    file: &PathBuf,
    events: u64,
    form: Form,
    from: Timestamp,
) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(file)?);
    let day = Day::new(from, events);
    let put = |out: &mut BufWriter<File>, message: &[u8]| -> io::Result<()> {
        out.write_all(&(message.len() as u16).to_be_bytes())?;
        out.write_all(message)
    };
    if matches!(form, Form::Syslog) {
        let export = Export::new(Device::new("cgn1")?, TimeQuality::UNSAID);
        let mut sequence = Sequence::FIRST;
        let mut line = Vec::new();
        for event in day {
            line.clear();
            export.write(&event, event.at.timestamp(), sequence, &mut line);
            sequence = sequence.next();
            put(&mut out, &line)?;
        }
        out.flush()?;
        return Ok(());
    }
    let mut exporter = Exporter::new(ExportSettings {
        version: match form {
            Form::Netflow9 => Version::NetFlow9,
            _ => Version::Ipfix,
        },
        booted: from,
        ..ExportSettings::default()
    });
    let mut waiting = Vec::new();
    let mut message = Vec::new();
    let mut day = day.fuse();
    loop {
        while waiting.len() < 256 {
            let Some(event) = day.next() else { break };
            waiting.push(event);
        }
        let Some(first) = waiting.first() else { break };
        let now = first.at.timestamp();
        let taken = exporter.message(now, &waiting, &mut message)?;
        waiting.drain(..taken);
        put(&mut out, &message)?;
    }
    out.flush()?;
    Ok(())
}

/// Asks for the block that is handed out in the middle of the day.
fn ask(events: u64, from: Timestamp) -> Result<(), Box<dyn Error>> {
    let middle = Day::new(from, events).skip(events as usize / 2);
    for event in middle {
        let (at, Told::Ports(holding)) = (event.at.timestamp(), event.told) else {
            continue;
        };
        if let (Phase::Begun, Some(subscriber)) = (holding.phase, holding.subscriber) {
            println!(
                "{{\"address\":\"{}\",\"port\":{},\"first\":{},\"at\":\"{}\",\"inside\":\"{}\"}}",
                holding.external,
                holding.ports.first() + 7,
                holding.ports.first(),
                at.after(Duration::from_millis(2)),
                subscriber.internal(),
            );
            break;
        }
    }
    Ok(())
}

/// So many datagrams go out together, so that the clock is not asked for each.
const TOGETHER: u64 = 8;

fn send(file: &PathBuf, to: SocketAddr, rate: f64, events: u64) -> Result<(), Box<dyn Error>> {
    let mut input = BufReader::new(File::open(file)?);
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let mut messages = Vec::new();
    let mut rest = &bytes[..];
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (message, after) = after.split_at(u16::from_be_bytes(*length).into());
        messages.push(message);
        rest = after;
    }
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(to)?;
    let a_message = events as f64 / rate / messages.len() as f64;
    let began = Instant::now();
    for (number, message) in (0_u64..).zip(&messages) {
        if number % TOGETHER == 0 {
            let due = Duration::from_secs_f64(a_message * number as f64);
            let ahead = due.saturating_sub(began.elapsed());
            if ahead > Duration::from_micros(100) {
                thread::sleep(ahead);
            }
        }
        socket.send(message)?;
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "{{\"messages\":{},\"events\":{events},\"seconds\":{took:.3},\"rate\":{:.0}}}",
        messages.len(),
        events as f64 / took
    );
    Ok(())
}
