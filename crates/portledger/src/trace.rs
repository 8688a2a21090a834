//! `portledger trace`.

mod clock;

use std::{
    io::{self, BufWriter, Write as _},
    mem,
    process::ExitCode,
};

use portledger_model::Sighting;
use portledger_trace::{CHUNK, Options, Outcome, SameActor, Tally, trace_all};
use portledger_watch::join::Joined;
use serde_json::{Value, json};

use crate::{
    args::TraceArgs,
    failure::{Ended, Failure},
    identity::join::Identities,
    input::{Inputs, Pass, Passes, Summary},
    joining::{self, Joins, With},
    ledger,
    questions::{self, Asker},
};
use clock::Wanted;

pub(crate) fn run(args: &TraceArgs) -> Ended {
    let asking = &args.asking;
    let asker = Asker::now(&asking.ledger, "trace", asking.case.as_deref());
    let asked_at = asker.at();
    let wanted = Wanted::parse(args.offset.as_deref())?;
    let ledger = ledger::read(&asking.ledger)?;
    let question = json!({
        "files": questions::files(&args.reading.files),
        "offset": args.offset,
        "connections": questions::files(&args.joining.connections),
        "same_actor": args.same_actor,
        "identities": asking.identities.is_some(),
        "within_ms": u64::try_from(asking.within.as_millis()).unwrap_or(u64::MAX),
    });
    // Answers go out while the log is read, so the question is recorded first and what the
    // answers came to afterwards.
    let number = asker.asks(&question)?;

    let passes = if wanted.is_found() {
        Passes::Several
    } else {
        Passes::for_joining(&args.joining)
    };
    let mut inputs = Inputs::open(&args.reading, passes)?;
    let mut joins = Joins::read(&args.joining, &mut inputs)?;
    let options = Options {
        within: asking.within,
        asked_at,
        shifts: wanted.correction(&ledger, &mut inputs, asked_at)?,
    };
    let mut found = Found {
        tally: Tally::default(),
        actor: args.same_actor.then(SameActor::default),
    };
    let mut identities = Identities::of_those_who_may(asking);
    let mut output = BufWriter::new(io::stdout().lock());
    let read = in_chunks(&mut inputs, Pass::LAST, |mut sightings| {
        let said: Vec<Option<Joined>> = match &mut joins {
            Some(joins) => sightings.iter_mut().map(|one| joins.fill(one)).collect(),
            None => Vec::new(),
        };
        let mut said = said.into_iter();
        for outcome in trace_all(&ledger, sightings, options) {
            let (outcome, said) = (outcome?, said.next().flatten());
            found.tally.add(&outcome);
            match &mut found.actor {
                Some(actor) => actor.add(&outcome),
                None => {
                    write(
                        &mut output,
                        &outcome,
                        said.as_ref(),
                        &mut identities,
                        asking.json,
                    )?;
                }
            }
        }
        Ok(())
    });
    // Also of a log that broke off: its answers are out.
    asker.came_to(number, found.json()?)?;
    let summary = read?;
    let status = match &found.actor {
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
    if let Some(joins) = &joins {
        joins.tell();
    }
    eprintln!("portledger: {}", found.tally);
    Ok(status)
}

/// What the sightings came to.
struct Found {
    tally: Tally,
    /// Where all of them are taken for one subscriber's.
    actor: Option<SameActor>,
}

impl Found {
    /// In numbers, for the journal.
    fn json(&self) -> Result<Value, Failure> {
        let mut json = serde_json::to_value(&self.tally)?;
        if let Some(actor) = &self.actor {
            json["same_actor"] = serde_json::to_value(actor.verdict())?;
        }
        Ok(json)
    }
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

fn write(
    output: &mut impl io::Write,
    outcome: &Outcome,
    said: Option<&Joined>,
    identities: &mut Identities,
    json: bool,
) -> Result<(), Failure> {
    match outcome {
        Outcome::Answered(answer) => {
            let joined = identities.of(answer);
            if json {
                let with = With {
                    object: &joined,
                    connection: said,
                };
                serde_json::to_writer(&mut *output, &with)?;
                output.write_all(b"\n")?;
            } else {
                // Its text begins with the sighting's place.
                writeln!(output, "{}", joined.text())?;
                if let Some(said) = said {
                    writeln!(output, "  {}\n", joining::text(said))?;
                }
            }
        }
        Outcome::Refused(_) if json => {
            let with = With {
                object: outcome,
                connection: said,
            };
            serde_json::to_writer(&mut *output, &with)?;
            output.write_all(b"\n")?;
        }
        Outcome::Refused(refusal) => writeln!(output, "{refusal}\n")?,
    }
    Ok(())
}
