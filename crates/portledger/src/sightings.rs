//! `portledger sightings`.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use portledger_model::{Sighting, Source, Transport};

use crate::{
    args::SightingsArgs,
    failure::Ended,
    input::{Inputs, Pass, Passes},
    joining::{self, Joins, With},
};

pub(crate) fn run(args: &SightingsArgs) -> Ended {
    let mut output = io::stdout().lock();
    // Put together in memory: a `BufWriter` would look at each of a line's twenty pieces.
    let mut text = Vec::with_capacity(2 * BLOCK);
    let passes = Passes::for_joining(&args.joining);
    let mut inputs = Inputs::open(&args.reading, passes)?;
    let mut joins = Joins::read(&args.joining, &mut inputs)?;
    let mut count = 0_u64;
    let read = inputs.read(Pass::LAST, &mut |mut sighting| {
        let joined = joins.as_mut().and_then(|joins| joins.fill(&mut sighting));
        if args.count {
            count += 1;
            return Ok(());
        }
        if args.json {
            match joined {
                // Without another's fields among its own it is written in less time.
                None => serde_json::to_writer(&mut text, &sighting)?,
                connection => {
                    let (object, connection) = (&sighting, connection.as_ref());
                    serde_json::to_writer(&mut text, &With { object, connection })?;
                }
            }
        } else {
            write_line(&sighting, &mut text)?;
            if let Some(joined) = &joined {
                write!(text, "  {}", joining::text(joined))?;
            }
        }
        text.push(b'\n');
        if text.len() >= BLOCK {
            output.write_all(&text)?;
            text.clear();
        }
        Ok(())
    });
    // Also where reading broke off: what was read before that is known.
    output.write_all(&text)?;
    let summary = read?;
    if args.count {
        writeln!(output, "{count}")?;
    }
    output.flush()?;
    summary.tell();
    if let Some(joins) = &joins {
        joins.tell();
    }
    Ok(if summary.is_whole() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How much is written at once.
const BLOCK: usize = 1 << 16;

/// One line for a person, without its end: when, who, where it was read.
fn write_line(sighting: &Sighting, output: &mut Vec<u8>) -> io::Result<()> {
    match sighting.at {
        Some(at) => write!(output, "{at:<27}")?,
        None => write!(output, "{:<27}", "(no zone)")?,
    }
    let transport = sighting.transport.map_or("-", Transport::name);
    write!(output, " {transport:<4} {:>15} ", sighting.address)?;
    match sighting.port {
        Some(port) => write!(output, "{port:>5}")?,
        None => write!(output, "{:>5}", "-")?,
    }
    let Source { file, line } = &sighting.source;
    write!(output, "  {file}:{line}")
}
