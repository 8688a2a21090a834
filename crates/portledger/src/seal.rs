//! `portledger seal`, and what other commands that write do at their end.

use std::{path::Path, process::ExitCode};

use portledger_ledger::{Error, Keeper, Kept, Options, Writer};
use serde_json::json;

use crate::{
    args::LedgerArgs,
    failure::{Ended, Failure},
    ledger, questions,
};

pub(crate) fn run(args: &LedgerArgs) -> Ended {
    let dir = &args.ledger;
    if !ledger::is_current(dir) {
        // Refuses a folder that holds none: one that was misspelt is not made a ledger.
        ledger::read(dir)?;
        drop(ledger::open_to_write(dir, Options::default())?);
    }
    let kept = days_that_are_over(dir)?;
    if args.json {
        println!(
            "{}",
            json!({ "records": kept.flushed, "days": kept.sealed })
        );
    } else {
        println!(
            "{} records went from the log into files; {} days were sealed",
            kept.flushed, kept.sealed
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Seals the days of the ledger in `dir` that are over by the system's clock.
pub(crate) fn days_that_are_over(dir: &Path) -> Result<Kept, Failure> {
    let sealed = Keeper::open(dir).and_then(|mut keeper| keeper.seal(questions::now()));
    sealed.map_err(|error| match error {
        Error::Locked { dir } => Failure::failed(format!(
            "{}: another process keeps this ledger, such as 'nat run', which seals its days by itself",
            dir.display()
        )),
        error => error.into(),
    })
}

/// The same at the end of a command that wrote the ledger. What it wrote is there whether its days
/// are sealed or not, so a failure is only said.
pub(crate) fn after_writing(writer: Writer) {
    let dir = writer.dir().to_owned();
    drop(writer);
    if let Err(failure) = days_that_are_over(&dir) {
        eprintln!("portledger: its days are not sealed yet: {failure}");
    }
}
