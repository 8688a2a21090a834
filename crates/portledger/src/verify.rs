//! `portledger verify`.

use std::{fs, path::Path, process::ExitCode, str::FromStr};

use portledger_ledger::{Verified, text_of_entry, verify};
use portledger_proof::{SignedNote, TlogProof, VerifierKey};
use serde_json::{Value, json};

use crate::{
    args::{LedgerArgs, VerifyArgs},
    failure::{Ended, Failure},
    output::Progress,
};

pub(crate) fn run(args: &VerifyArgs) -> Ended {
    match (&args.proof, &args.key) {
        (Some(proof), Some(key)) => check_proof(proof, key, args.ledger.json),
        _ => check_ledger(&args.ledger, &args.checkpoint),
    }
}

fn check_ledger(args: &LedgerArgs, checkpoints: &[impl AsRef<Path>]) -> Ended {
    let older = checkpoints
        .iter()
        .map(|file| read::<SignedNote>(file.as_ref()))
        .collect::<Result<Vec<_>, _>>()?;
    let progress = Progress::counting("records verified");
    let verified = verify(&args.ledger, &older, |done, _| progress.at(done))?;
    progress.done();
    if args.json {
        println!("{}", to_json(&verified));
    } else {
        print!("{}", to_text(&verified));
    }
    Ok(if verified.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn to_json(verified: &Verified) -> Value {
    let problems = verified.problems.iter();
    let problems: Vec<_> = problems
        .map(|problem| json!({ "place": problem.place, "what": problem.what }))
        .collect();
    json!({
        "records": verified.records,
        "deleted": verified.deleted,
        "days": verified.days,
        "allocations": verified.allocations,
        "files": verified.files,
        "journal_entries": verified.entries,
        "checkpoints": verified.checkpoints,
        "problems": problems,
    })
}

fn to_text(verified: &Verified) -> String {
    let mut text = String::new();
    for problem in &verified.problems {
        text.push_str(&format!("WRONG  {}: {}\n", problem.place, problem.what));
    }
    text.push_str(&format!(
        "{}: {} records and {} that were deleted have their hashes in the tree; {} checkpoints agree; \
         {} sealed days in {} files, {} allocations compared with their records; {} entries of the journal\n",
        match verified.problems.len() {
            0 => "all is as it was written".to_owned(),
            1 => "1 thing is wrong".to_owned(),
            count => format!("{count} things are wrong"),
        },
        verified.records,
        verified.deleted,
        verified.checkpoints,
        verified.days,
        verified.files,
        verified.allocations,
        verified.entries,
    ));
    text
}

/// Checks a proof by itself, as anybody can who has the ledger's key.
fn check_proof(file: &Path, keys: &Path, as_json: bool) -> Ended {
    let proof: TlogProof = read(file)?;
    let text = fs::read_to_string(keys).map_err(|error| unreadable(keys, &error))?;
    let keys = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            line.parse::<VerifierKey>()
                .map_err(|error| unreadable(keys, &error))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let verified = proof
        .verify(proof.extra(), &keys)
        .map_err(|error| unreadable(file, &error))?;
    let record = text_of_entry(proof.extra()).unwrap_or_default();
    let checkpoint = &verified.checkpoint;
    if as_json {
        println!(
            "{}",
            json!({
                "number": verified.index,
                "record": serde_json::from_str::<Value>(record).unwrap_or(Value::Null),
                "origin": checkpoint.origin(),
                "size": checkpoint.size(),
            })
        );
    } else {
        println!(
            "the proof holds: record {} of the {} records that {} signed is\n{record}",
            verified.index,
            checkpoint.size(),
            checkpoint.origin()
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn read<T: FromStr>(file: &Path) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    let text = fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
    text.parse().map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &Path, error: &impl std::fmt::Display) -> Failure {
    Failure::failed(format!("{}: {error}", file.display()))
}
