//! `portledger who`.

use std::process::ExitCode;

use portledger_trace::{AskError, Query, ask};
use serde::Serialize;
use serde_json::json;

use crate::{
    args::WhoArgs,
    failure::{Ended, Failure},
    identity::join::Identities,
    ledger, proof,
    questions::Asker,
};

pub(crate) fn run(args: &WhoArgs) -> Ended {
    let (address, port) = args.endpoint;
    let asking = &args.asking;
    let asker = Asker::now(&asking.ledger, "who", asking.case.as_deref());
    let query =
        Query::new(address, port, args.proto, args.at, asking.within).map_err(Failure::usage)?;
    let ledger = ledger::read(&asking.ledger)?;
    let answer = ask(&ledger, &query, asker.at()).map_err(|error| match error {
        AskError::Refused(refusal) => Failure::usage(refusal),
        AskError::Evidence(error) => error.into(),
    })?;
    let mut identities = Identities::of_those_who_may(asking);
    let question = json!({
        "address": address,
        "port": port,
        "transport": args.proto,
        "at": args.at,
        "identities": asking.identities.is_some(),
        "within_ms": u64::try_from(asking.within.as_millis()).unwrap_or(u64::MAX),
    });
    asker.answered(&question, serde_json::to_value(answer.verdict)?)?;
    let proofs = match args.proof {
        true => Some(proof::of(&asking.ledger, &answer)?),
        false => None,
    };
    let joined = identities.of(&answer);
    if asking.json {
        let proven = Proven {
            answer: &joined,
            proofs,
        };
        println!("{}", serde_json::to_string(&proven)?);
    } else {
        print!("{}", joined.text());
        for proof in proofs.into_iter().flatten() {
            print!("\n{proof}");
        }
    }
    Ok(ExitCode::from(answer.verdict.exit_status()))
}

/// An answer, with its proofs where they are asked for.
#[derive(Serialize)]
struct Proven<'a, A> {
    #[serde(flatten)]
    answer: &'a A,
    #[serde(skip_serializing_if = "Option::is_none")]
    proofs: Option<Vec<String>>,
}
