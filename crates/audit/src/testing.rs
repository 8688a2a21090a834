//! A machine in memory, for tests.

mod laws;

use std::collections::BTreeMap;

use portledger_model::Timestamp;

pub(crate) use laws::{law_of_fixes, never_panics};

use crate::machine::{Machine, Output, ReadError, Unreadable};

/// Files and what programs print.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    files: BTreeMap<String, Vec<u8>>,
    programs: BTreeMap<String, Output>,
}

impl Image {
    pub(crate) fn with(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.as_bytes().to_vec());
        self
    }

    /// `command` is the program and its arguments, as on a terminal.
    pub(crate) fn printing(mut self, command: &str, stdout: &str, stderr: &str) -> Self {
        let output = Output {
            succeeded: true,
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        };
        self.programs.insert(command.to_owned(), output);
        self
    }

    /// What the files are once the change was made.
    pub(crate) fn after(&self, change: &crate::Change) -> Self {
        let mut image = self.clone();
        for edit in &change.edits {
            image
                .files
                .insert(edit.path.clone(), edit.after.as_bytes().to_vec());
        }
        image
    }
}

impl Machine for Image {
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        self.files.get(path).cloned().ok_or_else(|| ReadError {
            path: path.to_owned(),
            why: Unreadable::Missing,
        })
    }

    fn newest(&self, path: &str, most: usize) -> Result<Vec<u8>, ReadError> {
        let bytes = self.read(path)?;
        let from = bytes.len().saturating_sub(most);
        Ok(bytes.get(from..).unwrap_or_default().to_vec())
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        let paths = self.files.keys();
        paths
            .filter(|path| is_named_by(path, pattern))
            .cloned()
            .collect()
    }

    fn modified(&self, path: &str) -> Option<Timestamp> {
        self.files.get(path).map(|_| self.now())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Option<Output> {
        let command = [&[program], arguments].concat().join(" ");
        self.programs.get(&command).cloned()
    }

    fn now(&self) -> Timestamp {
        "2026-11-29T12:00:00Z".parse().unwrap()
    }
}

/// `*` only, and not over a `/`, which is all that tests need.
fn is_named_by(path: &str, pattern: &str) -> bool {
    let (mut paths, mut patterns) = (path.split('/'), pattern.split('/'));
    loop {
        match (paths.next(), patterns.next()) {
            (None, None) => return true,
            (Some(name), Some(pattern)) if matches(name, pattern) => {}
            _ => return false,
        }
    }
}

fn matches(name: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| matches(rest, after)))
        }),
    }
}
