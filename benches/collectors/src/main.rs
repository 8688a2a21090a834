//! Makes block events as a NAT tells them and sends them at a steady rate.
//!
//! `generate` writes messages to a file, each after its length, so that sending costs no more than
//! sending. `send` sends them in datagrams, evenly, and says how long it took.

mod day;

use std::{
    error::Error,
    fs::File,
    io::{self, BufReader, BufWriter, Read as _, Write as _},
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand, ValueEnum};
use day::Day;
use portledger_model::{Device, Timestamp};
use portledger_wire::{
    Phase, Told,
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
