//! `portledger questions`.

use std::{
    collections::HashMap,
    io::{self, BufWriter, Write as _},
    process::ExitCode,
};

use portledger_ledger::{Entry, Journal};
use portledger_model::RecordNumber;
use serde_json::Value;

use crate::{
    args::QuestionsArgs,
    failure::{Ended, Failure},
};

pub(crate) fn run(args: &QuestionsArgs) -> Ended {
    let mut found = Vec::new();
    let gone = Journal::read(&args.ledger, |number, entry| {
        if wanted(args, &entry) {
            found.push((number, entry));
        }
    })
    .map_err(|error| match error {
        portledger_ledger::Error::NoLedger { dir } => Failure::failed(format!(
            "{}: the folder holds no ledger with a journal; give the ledger's folder with --ledger or PORTLEDGER_LEDGER",
            dir.display()
        )),
        error => error.into(),
    })?;
    let mut output = BufWriter::new(io::stdout().lock());
    if args.json {
        for (number, entry) in found {
            let mut says = entry.says;
            says.insert("number".into(), number.0.into());
            writeln!(output, "{}", Value::Object(says))?;
        }
    } else {
        write!(output, "{}", table(&found))?;
    }
    output.flush()?;
    if gone > 0 {
        eprintln!("portledger: {gone} more entries are gone for good: their time was past");
    }
    Ok(ExitCode::SUCCESS)
}

fn wanted(args: &QuestionsArgs, entry: &Entry) -> bool {
    let kind = text(entry, "kind");
    let is_question = matches!(kind, "question" | "answered");
    let of_case = |case: &String| entry.says.get("case").and_then(Value::as_str) == Some(case);
    (args.all || is_question)
        && args.since.is_none_or(|since| since <= entry.at)
        && args.case.as_ref().is_none_or(of_case)
}

/// One line a question; what the answers to a log came to stands on the log's line.
fn table(found: &[(RecordNumber, Entry)]) -> String {
    let tallies: HashMap<u64, &Value> = found
        .iter()
        .filter_map(|(_, entry)| Some((entry.says.get("of")?.as_u64()?, entry.says.get("tally")?)))
        .collect();
    let mut text_of = format!(
        "{:<27} {:<12} {:<16} {:<9} asked\n",
        "time", "user", "case", "verdict"
    );
    for (number, entry) in found {
        if text(entry, "kind") == "answered" {
            continue;
        }
        let case = entry
            .says
            .get("case")
            .and_then(Value::as_str)
            .unwrap_or("-");
        let (verdict, more) = match (entry.says.get("verdict"), tallies.get(&number.0)) {
            (Some(verdict), _) => (verdict.as_str().unwrap_or("-"), String::new()),
            (None, Some(tally)) => ("(log)", format!(": {}", counts(tally))),
            (None, None) => ("-", String::new()),
        };
        let line = format!(
            "{:<27} {:<12} {:<16} {verdict:<9} {}{more}",
            entry.at.to_string(),
            user(entry),
            case,
            asked(entry)
        );
        // Names of files and users are others' to choose: no control character reaches a terminal.
        text_of.extend(
            line.trim_end()
                .chars()
                .map(|c| if c.is_control() { '\u{FFFD}' } else { c }),
        );
        text_of.push('\n');
    }
    text_of
}

/// What was asked, in a few words.
fn asked(entry: &Entry) -> String {
    let Some(question) = entry.says.get("question") else {
        let kind = text(entry, "kind");
        let day = entry
            .says
            .get("day")
            .and_then(Value::as_str)
            .unwrap_or_default();
        return format!("{kind} {day}");
    };
    let word = |name: &str| match question.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let mut asked = text(entry, "command").to_owned();
    if let Some(files) = question.get("files").and_then(Value::as_array) {
        for file in files.iter().filter_map(Value::as_str) {
            asked.push(' ');
            asked.push_str(file);
        }
        if let Some(offset) = word("offset") {
            asked.push_str(&format!(" --offset {offset}"));
        }
        if question.get("same_actor") == Some(&Value::Bool(true)) {
            asked.push_str(" --same-actor");
        }
    } else {
        asked.push_str(&format!(" {}", word("address").unwrap_or_default()));
        if let Some(port) = word("port") {
            asked.push_str(&format!(":{port}"));
        }
        if let Some(transport) = word("transport") {
            asked.push_str(&format!(" {transport}"));
        }
        asked.push_str(&format!(" at {}", word("at").unwrap_or_default()));
    }
    if question.get("identities") == Some(&Value::Bool(true)) {
        asked.push_str(", with identities");
    }
    asked
}

fn user(entry: &Entry) -> String {
    let user = entry.says.get("user");
    let name = user
        .and_then(|user| user["name"].as_str())
        .map(str::to_owned);
    let number = || {
        user.and_then(|user| user["uid"].as_u64())
            .map(|uid| format!("uid {uid}"))
    };
    name.or_else(number).unwrap_or_else(|| "-".into())
}

/// The numbers of a tally that are not zero.
fn counts(tally: &Value) -> String {
    let kinds = ["unique", "ambiguous", "none", "unknown", "refused"];
    let said: Vec<String> = kinds
        .iter()
        .filter_map(|kind| {
            let count = tally.get(kind)?.as_u64().filter(|count| *count > 0)?;
            Some(format!("{count} {kind}"))
        })
        .collect();
    if said.is_empty() {
        "no sightings".into()
    } else {
        said.join(", ")
    }
}

fn text<'a>(entry: &'a Entry, name: &str) -> &'a str {
    entry
        .says
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
