//! `portledger sightings`.

use std::{
    io::{self, BufWriter, Write as _},
    process::ExitCode,
};

use portledger_model::Sighting;

use crate::{args::SightingsArgs, failure::Ended, input};

pub(crate) fn run(args: &SightingsArgs) -> Ended {
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut count = 0_u64;
    let summary = input::read(&args.reading, |sighting| {
        if args.count {
            count += 1;
        } else if args.json {
            serde_json::to_writer(&mut output, &sighting)?;
            output.write_all(b"\n")?;
        } else {
            writeln!(output, "{}", line(&sighting))?;
        }
        Ok(())
    })?;
    if args.count {
        writeln!(output, "{count}")?;
    }
    output.flush()?;
    summary.tell();
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
