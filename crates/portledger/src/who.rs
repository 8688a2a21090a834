//! `portledger who`.

use std::process::ExitCode;

use portledger_trace::{AskError, Query, ask};
use serde_json::json;

use crate::{
    args::WhoArgs,
    failure::{Ended, Failure},
    ledger, questions,
};

pub(crate) fn run(args: &WhoArgs) -> Ended {
    let asked_at = questions::now();
    let (address, port) = args.endpoint;
    let asking = &args.asking;
    let query =
        Query::new(address, port, args.proto, args.at, asking.within).map_err(Failure::usage)?;
    let ledger = ledger::read(&asking.ledger)?;
    let question = json!({
        "address": address,
        "port": port,
        "transport": args.proto,
        "at": args.at,
        "within_ms": u64::try_from(asking.within.as_millis()).unwrap_or(u64::MAX),
    });
    questions::record(&asking.ledger, asked_at, "who", &question)?;
    let answer = ask(&ledger, &query, asked_at).map_err(|error| match error {
        AskError::Refused(refusal) => Failure::usage(refusal),
        AskError::Evidence(error) => error.into(),
    })?;
    if asking.json {
        println!("{}", serde_json::to_string(&answer)?);
    } else {
        print!("{}", answer.text());
    }
    Ok(ExitCode::from(answer.verdict.exit_status()))
}
