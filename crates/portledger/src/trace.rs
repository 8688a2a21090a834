//! `portledger trace`.

use std::{
    io::{self, BufWriter, Write as _},
    process::ExitCode,
    time::Duration,
};

use portledger_ledger::Ledger;
use portledger_model::{Sighting, Timestamp};
use portledger_trace::{Offset, Options, Outcome, Shifts, Tally, trace};
use serde_json::json;

use crate::{
    args::TraceArgs,
    config::parse_duration,
    failure::{Ended, Failure},
    input, ledger, questions,
};

pub(crate) fn run(args: &TraceArgs) -> Ended {
    let asked_at = questions::now();
    let asking = &args.asking;
    let correction = args.offset.as_deref().map(Correction::parse).transpose()?;
    let ledger = ledger::read(&asking.ledger)?;
    let files: Vec<String> = args
        .reading
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let question = json!({ "files": files, "offset": args.offset });
    questions::record(&asking.ledger, asked_at, "trace", &question)?;

    let mut tracing = Tracing {
        ledger: &ledger,
        options: Options {
            within: asking.within,
            asked_at,
            shifts: None,
        },
        json: asking.json,
        tally: Tally::default(),
        output: BufWriter::new(io::stdout().lock()),
    };
    let summary = if let Some(Correction::Auto) = correction {
        // The offset is in all sightings together, so all are read first.
        let mut sightings = Vec::new();
        let summary = input::read(&args.reading, |sighting| {
            sightings.push(sighting);
            Ok(())
        })?;
        tracing.options.shifts = Some(find_offset(&ledger, &sightings, asked_at)?);
        for sighting in &sightings {
            tracing.one(sighting)?;
        }
        summary
    } else {
        if let Some(Correction::By(shifts)) = correction {
            tracing.options.shifts = Some(shifts);
        }
        input::read(&args.reading, |sighting| tracing.one(&sighting))?
    };
    tracing.output.flush()?;
    summary.tell();
    eprintln!("portledger: {}", tracing.tally);
    Ok(if summary.is_whole() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Tracing<'a, W> {
    ledger: &'a Ledger,
    options: Options,
    json: bool,
    tally: Tally,
    output: W,
}

impl<W: io::Write> Tracing<'_, W> {
    fn one(&mut self, sighting: &Sighting) -> Result<(), Failure> {
        let outcome = trace(self.ledger, sighting, self.options)?;
        self.tally.add(&outcome);
        if self.json {
            serde_json::to_writer(&mut self.output, &outcome)?;
            self.output.write_all(b"\n")?;
            return Ok(());
        }
        match &outcome {
            // Its text begins with the sighting's place.
            Outcome::Answered(answer) => writeln!(self.output, "{}", answer.text())?,
            Outcome::Refused(refusal) => writeln!(self.output, "{refusal}\n")?,
        }
        Ok(())
    }
}

/// How the log's clock is put right.
#[derive(Debug, Clone, Copy)]
enum Correction {
    /// By what the sightings themselves say.
    Auto,
    /// By a known shift of its times.
    By(Shifts),
}

impl Correction {
    /// `auto`, or how far the log's clock is ahead: its times are moved back by as much.
    fn parse(text: &str) -> Result<Self, Failure> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let (sign, rest) = match text.strip_prefix('-') {
            Some(rest) => (1, rest),
            None => (-1, text.strip_prefix('+').unwrap_or(text)),
        };
        let ahead = parse_duration(rest)
            .map_err(|error| Failure::usage(format!("--offset: {error}, or auto")))?;
        let micros = i64::try_from(ahead.as_micros())
            .map_err(|_| Failure::usage("--offset: longer than any clock is wrong"))?;
        Ok(Self::By(Shifts::exactly(sign * micros)))
    }
}

/// The one offset that the sightings agree on, said on standard error.
fn find_offset(
    ledger: &Ledger,
    sightings: &[Sighting],
    asked_at: Timestamp,
) -> Result<Shifts, Failure> {
    let offset = Offset::find(ledger, sightings, Offset::RANGE, asked_at)?;
    let seconds = |micros: i64| Duration::from_micros(micros.unsigned_abs()).as_secs_f64();
    let signed = |micros: i64| {
        if micros < 0 {
            -seconds(micros)
        } else {
            seconds(micros)
        }
    };
    for shifts in &offset.shifts {
        eprintln!(
            "portledger: the clock is right when {:+.3} to {:+.3} s is added to it: {} of {} sightings ({} not ours, {} without port or time)",
            signed(shifts.first()),
            signed(shifts.last()),
            offset.satisfied,
            offset.sightings,
            offset.not_ours,
            offset.left_out,
        );
    }
    if offset.reaches_the_edge() {
        return Err(Failure::usage(
            "--offset auto: the sightings leave the offset open on one side, so none is applied; trace more of them together, or give an offset that is known",
        ));
    }
    offset.agreed().ok_or_else(|| {
        Failure::usage(
            "--offset auto: the sightings do not agree on one offset, so none is applied; give one that is known, or none",
        )
    })
}
