//! `portledger trace`.

mod candidates;
mod clock;

use std::{
    collections::VecDeque,
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
    joining::{Joins, With},
    ledger,
    questions::{self, Asker},
};
use candidates::Asked;
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
        of_connections: joins.as_ref().map(|_| 0),
    };
    let mut identities = Identities::of_those_who_may(asking);
    let mut output = BufWriter::new(io::stdout().lock());
    let read = in_chunks(&mut inputs, Pass::LAST, |mut sightings| {
        let said: Vec<Option<Joined>> = match &mut joins {
            Some(joins) => sightings.iter_mut().map(|one| joins.fill(one)).collect(),
            None => Vec::new(),
        };
        // Those of which only a list is known are asked for once more, one by one.
        let mut listed: VecDeque<Sighting> = said
            .iter()
            .zip(&sightings)
            .filter_map(|(said, sighting)| said.as_ref().map(|_| sighting.clone()))
            .collect();
        let mut said = said.into_iter();
        for outcome in trace_all(&ledger, sightings, options) {
            let (outcome, said) = (outcome?, said.next().flatten());
            found.tally.add(&outcome);
            let listed = said.and_then(|said| Some((listed.pop_front()?, said)));
            if let Some(actor) = &mut found.actor {
                actor.add(&outcome);
                continue;
            }
            let asked = match listed {
                Some((sighting, said)) => Some(candidates::ask(&ledger, &sighting, said, options)?),
                None => None,
            };
            if let (Some(count), Some(asked)) = (&mut found.of_connections, &asked) {
                *count += asked.questions();
            }
            write(
                &mut output,
                &outcome,
                asked.as_ref(),
                &mut identities,
                asking.json,
            )?;
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
    /// How many connections of lists were asked for, where there is a connection log.
    of_connections: Option<u64>,
}

impl Found {
    /// In numbers, for the journal.
    fn json(&self) -> Result<Value, Failure> {
        let mut json = serde_json::to_value(&self.tally)?;
        if let Some(actor) = &self.actor {
            json["same_actor"] = serde_json::to_value(actor.verdict())?;
        }
        if let Some(count) = self.of_connections {
            json["connections_asked"] = count.into();
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
    asked: Option<&Asked>,
    identities: &mut Identities,
    json: bool,
) -> Result<(), Failure> {
    if json {
        let connection = asked.map(|asked| asked.told(identities));
        let connection = connection.as_ref();
        match outcome {
            Outcome::Answered(answer) => {
                let object = &identities.of(answer);
                serde_json::to_writer(&mut *output, &With { object, connection })?;
            }
            Outcome::Refused(_) => {
                let object = outcome;
                serde_json::to_writer(&mut *output, &With { object, connection })?;
            }
        }
        output.write_all(b"\n")?;
        return Ok(());
    }
    match outcome {
        // Its text begins with the sighting's place.
        Outcome::Answered(answer) => writeln!(output, "{}", identities.of(answer).text())?,
        Outcome::Refused(refusal) => writeln!(output, "{refusal}\n")?,
    }
    if let Some(asked) = asked {
        writeln!(output, "{}", asked.text(identities))?;
    }
    Ok(())
}
