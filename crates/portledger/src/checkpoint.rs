//! `portledger checkpoint`.

use std::process::ExitCode;

use portledger_ledger::Prover;
use serde_json::json;

use crate::{args::LedgerArgs, failure::Ended};

pub(crate) fn run(args: &LedgerArgs) -> Ended {
    let prover = Prover::open(&args.ledger)?;
    let note = prover.checkpoint().to_string();
    if args.json {
        let key = prover.key().to_string();
        println!(
            "{}",
            json!({ "records": prover.size(), "checkpoint": note, "key": key })
        );
    } else {
        print!("{note}");
    }
    Ok(ExitCode::SUCCESS)
}
