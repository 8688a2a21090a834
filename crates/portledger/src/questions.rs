//! Who asked what: no answer leaves the program before its question is in the ledger's journal.

pub(crate) mod show;

use std::{os::unix::fs::MetadataExt as _, path::Path};

use portledger_ledger::{Entry, Error, Journal};
use portledger_model::{RecordNumber, Timestamp};
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// Who asks, when, for which case, with which command.
pub(crate) struct Asker<'a> {
    ledger: &'a Path,
    command: &'static str,
    case: Option<&'a str>,
    asked_at: Timestamp,
}

impl<'a> Asker<'a> {
    /// Whoever runs this program, at this moment. Make it before the ledger is read, which knows
    /// nothing of later times.
    pub(crate) fn now(ledger: &'a Path, command: &'static str, case: Option<&'a str>) -> Self {
        Self {
            ledger,
            command,
            case,
            asked_at: now(),
        }
    }

    /// When the question was put.
    pub(crate) const fn at(&self) -> Timestamp {
        self.asked_at
    }

    /// Notes a question with its verdict, which is not who is named; durable when it returns.
    pub(crate) fn answered(&self, question: &Value, verdict: Value) -> Result<(), Failure> {
        let said = [("question", question.clone()), ("verdict", verdict)];
        self.note("question", self.asked_at, said).map(drop)
    }

    /// Notes a question whose answers come one after the other; durable when it returns. Its
    /// number is for [`Asker::came_to`].
    pub(crate) fn asks(&self, question: &Value) -> Result<RecordNumber, Failure> {
        self.note("question", self.asked_at, [("question", question.clone())])
    }

    /// Notes what the answers came to, in numbers.
    pub(crate) fn came_to(&self, question: RecordNumber, tally: Value) -> Result<(), Failure> {
        let said = [("of", question.0.into()), ("tally", tally)];
        self.note("answered", now(), said).map(drop)
    }

    /// Notes that something is done to what the ledger keeps; durable when it returns.
    pub(crate) fn does(&self, kind: &str, what: Value) -> Result<(), Failure> {
        self.note(kind, self.asked_at, [("what", what)]).map(drop)
    }

    /// Who it is, for an entry that the ledger writes itself.
    pub(crate) fn by(&self) -> Map<String, Value> {
        let mut says = Map::new();
        says.insert("user".into(), user());
        says.insert("command".into(), self.command.into());
        says.insert("case".into(), self.case.into());
        says
    }

    fn note<const N: usize>(
        &self,
        kind: &str,
        at: Timestamp,
        said: [(&str, Value); N],
    ) -> Result<RecordNumber, Failure> {
        let mut says = self.by();
        says.insert("kind".into(), kind.into());
        says.extend(said.map(|(name, value)| (name.to_owned(), value)));
        Journal::append(self.ledger, &Entry { at, says }).map_err(|error| match error {
            Error::NoLedger { dir } => Failure::failed(format!(
                "{}: the ledger is of an earlier release, in which a question cannot be recorded, so it is not answered; 'portledger seal --ledger {0}' takes it over, as 'nat run' does when it starts",
                dir.display()
            )),
            error => Failure::failed(format!(
                "{}: the question could not be recorded, so it is not answered: {}",
                self.ledger.display(),
                Failure::from(error)
            )),
        })
    }
}

/// The files of a question, as many as an entry of the journal has room for.
pub(crate) fn files(names: &[std::path::PathBuf]) -> Value {
    const ROOM: usize = 32 << 10;
    let mut left = ROOM;
    let mut named: Vec<Value> = Vec::new();
    for name in names {
        let name = name.display().to_string();
        // A character takes at most so many bytes in JSON.
        let Some(rest) = left.checked_sub(6 * name.len() + 3) else {
            named.push(format!("and {} more", names.len() - named.len()).into());
            break;
        };
        left = rest;
        named.push(name.into());
    }
    named.into()
}

/// A case's reference as it is given on the command line.
pub(crate) fn parse_case(text: &str) -> Result<String, String> {
    const LONGEST: usize = 200;
    if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
        return Err(format!(
            "a case's reference has 1 to {LONGEST} bytes and no control characters"
        ));
    }
    Ok(text.to_owned())
}

/// What time it is.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}

/// Who runs this program, as far as the system tells: the number always, the name where a login
/// set it.
fn user() -> Value {
    let number = std::fs::metadata("/proc/self").map(|own| own.uid()).ok();
    let name = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    // Longer than any system's names: the environment is whoever's calls this.
    let name: Option<String> = name.map(|name| name.chars().take(256).collect());
    json!({ "uid": number, "name": name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_files_than_an_entry_has_room_for_are_counted() {
        let few = files(&["a.log".into(), "b.log".into()]);
        assert_eq!(few, json!(["a.log", "b.log"]));
        let many = vec![std::path::PathBuf::from("\u{1}".repeat(1_000)); 5_000];
        let named = files(&many);
        assert!(named.to_string().len() < 60_000);
        let named = named.as_array().unwrap();
        let more = format!("and {} more", 5_000 - (named.len() - 1));
        assert_eq!(named.last().unwrap(), &Value::from(more));
    }

    #[test]
    fn a_reference_that_would_spoil_a_table_is_refused() {
        assert_eq!(parse_case("Js 7/26"), Ok("Js 7/26".to_owned()));
        assert!(parse_case("").is_err() && parse_case("a\nb").is_err());
        assert!(parse_case(&"x".repeat(201)).is_err());
    }
}
