//! `portledger sightings`.

use std::{
    io::{self, BufWriter, Write as _},
    process::ExitCode,
};

use portledger_model::Sighting;

use crate::{
    args::SightingsArgs,
    failure::Ended,
    input::{Inputs, Pass, Passes},
    joining::{self, Joins, With},
};

pub(crate) fn run(args: &SightingsArgs) -> Ended {
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let passes = Passes::for_joining(&args.joining);
    let mut inputs = Inputs::open(&args.reading, passes)?;
    let mut joins = Joins::read(&args.joining, &mut inputs)?;
    let mut count = 0_u64;
    let summary = inputs.read(Pass::LAST, &mut |mut sighting| {
        let joined = joins.as_mut().and_then(|joins| joins.fill(&mut sighting));
        if args.count {
            count += 1;
        } else if args.json {
            let with = With {
                object: &sighting,
                connection: joined.as_ref(),
            };
            serde_json::to_writer(&mut output, &with)?;
            output.write_all(b"\n")?;
        } else {
            write!(output, "{}", line(&sighting))?;
            if let Some(joined) = &joined {
                write!(output, "  {}", joining::text(joined))?;
            }
            output.write_all(b"\n")?;
        }
        Ok(())
    })?;
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

/// One line for a person: when, who, where it was read.
fn line(sighting: &Sighting) -> String {
    let at = sighting
        .at
        .map_or_else(|| "(no zone)".to_owned(), |at| at.to_string());
    let transport = sighting
        .transport
        .map_or_else(|| "-".to_owned(), |t| t.to_string());
    let port = sighting
        .port
        .map_or_else(|| "-".to_owned(), |port| port.to_string());
    format!(
        "{at:<27} {transport:<4} {:>15} {port:>5}  {}:{}",
        sighting.address, sighting.source.file, sighting.source.line
    )
}
