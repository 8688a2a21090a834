//! Who asked what: no answer leaves the program before its question is on the disk.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use portledger_model::Timestamp;
use serde_json::{Value, json};
use thiserror::Error;

/// A question that could not be recorded, and so is not answered.
#[derive(Debug, Error)]
#[error("{}: the question could not be recorded, so it is not answered: {error}", path.display())]
pub(crate) struct QuestionError {
    path: PathBuf,
    error: io::Error,
}

/// Appends a question to the ledger's list of questions, durably. The list is beside the log and
/// not part of it: one JSON object a line.
pub(crate) fn record(
    ledger: &Path,
    asked_at: Timestamp,
    command: &str,
    question: &Value,
) -> Result<(), QuestionError> {
    let path = ledger.join("questions.jsonl");
    let line = json!({
        "asked_at": asked_at,
        "user": user(),
        "command": command,
        "question": question,
    });
    let append = || {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).mode(0o640).open(&path)?;
        // One write, so that two who ask at once do not mix their lines.
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_data()
    };
    append().map_err(|error| QuestionError {
        path: path.clone(),
        error,
    })
}

/// When a question is put. Taken before the ledger is read, which knows nothing of later times.
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
    json!({ "uid": number, "name": name })
}
