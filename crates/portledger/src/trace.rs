//! `portledger trace`.

mod clock;

use std::{
    io::{self, BufWriter, Write as _},
    mem,
    process::ExitCode,
};

use portledger_model::Sighting;
use portledger_trace::{CHUNK, Options, Outcome, SameActor, Tally, trace_all};
use serde_json::json;

use crate::{
    args::TraceArgs,
    failure::{Ended, Failure},
    input::{Inputs, Pass, Passes, Summary},
    ledger, questions,
};
use clock::Wanted;

pub(crate) fn run(args: &TraceArgs) -> Ended {
    let asked_at = questions::now();
    let asking = &args.asking;
    let wanted = Wanted::parse(args.offset.as_deref())?;
    let ledger = ledger::read(&asking.ledger)?;
    let files: Vec<String> = args
        .reading
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let question = json!({ "files": files, "offset": args.offset, "same_actor": args.same_actor });
    questions::record(&asking.ledger, asked_at, "trace", &question)?;

    let passes = if wanted.is_found() {
        Passes::Several
    } else {
        Passes::One
    };
    let mut inputs = Inputs::open(&args.reading, passes)?;
    let options = Options {
        within: asking.within,
        asked_at,
        shifts: wanted.correction(&ledger, &mut inputs, asked_at)?,
    };
    let mut tally = Tally::default();
    let mut actor = args.same_actor.then(SameActor::default);
    let mut output = BufWriter::new(io::stdout().lock());
    let summary = in_chunks(&mut inputs, Pass::LAST, |sightings| {
        for outcome in trace_all(&ledger, sightings, options) {
            let outcome = outcome?;
            tally.add(&outcome);
            match &mut actor {
                Some(actor) => actor.add(&outcome),
                None => write(&mut output, &outcome, asking.json)?,
            }
        }
        Ok(())
    })?;
    let status = match &actor {
        Some(_) if !summary.is_whole() => ExitCode::FAILURE,
        Some(actor) => {
            if asking.json {
                writeln!(output, "{}", serde_json::to_string(actor)?)?;
            } else {
                write!(output, "{}", actor.text())?;
            }
            ExitCode::from(actor.verdict().exit_status())
        }
        None if summary.is_whole() => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    };
    output.flush()?;
    summary.tell();
    eprintln!("portledger: {tally}");
    Ok(status)
}

/// Reads all files, handing over their sightings some at a time: as many as are traced together.
fn in_chunks(
    inputs: &mut Inputs<'_>,
    pass: Pass,
    mut take: impl FnMut(Vec<Sighting>) -> Result<(), Failure>,
) -> Result<Summary, Failure> {
    let mut chunk = Vec::new();
    let summary = inputs.read(pass, &mut |sighting| {
        chunk.push(sighting);
        if chunk.len() < CHUNK {
            return Ok(());
        }
        take(mem::take(&mut chunk))
    })?;
    take(chunk)?;
    Ok(summary)
}

fn write(output: &mut impl io::Write, outcome: &Outcome, json: bool) -> Result<(), Failure> {
    if json {
        serde_json::to_writer(&mut *output, outcome)?;
        output.write_all(b"\n")?;
        return Ok(());
    }
    match outcome {
        // Its text begins with the sighting's place.
        Outcome::Answered(answer) => writeln!(output, "{}", answer.text())?,
        Outcome::Refused(refusal) => writeln!(output, "{refusal}\n")?,
    }
    Ok(())
}
