//! The machine as it would be once a change was made.

use portledger_model::Timestamp;

use crate::{
    Change,
    machine::{Machine, Output, ReadError},
};

/// A machine as it would be.
pub(crate) struct Overlay<'a> {
    pub(crate) machine: &'a dyn Machine,
    pub(crate) change: &'a Change,
}

impl Machine for Overlay<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let mut edits = self.change.edits.iter();
        match edits.find(|edit| edit.path == path) {
            Some(edit) => Ok(edit.after.as_bytes().to_vec()),
            None => self.machine.read(path),
        }
    }

    fn newest(&self, path: &str, most: usize) -> Result<Vec<u8>, ReadError> {
        self.machine.newest(path, most)
    }

    fn beginning(&self, path: &str, most: usize) -> Result<Vec<u8>, ReadError> {
        self.machine.beginning(path, most)
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        let mut found = self.machine.glob(pattern);
        let new = self.change.edits.iter().map(|edit| &edit.path);
        found.extend(
            new.filter(|path| is_named_by(path, pattern) && !found.contains(path))
                .cloned()
                .collect::<Vec<_>>(),
        );
        found.sort();
        found
    }

    fn modified(&self, path: &str) -> Option<Timestamp> {
        self.machine.modified(path)
    }

    /// Programs would tell of the files as they are; a change leaves the version as it is.
    fn run(&self, program: &str, arguments: &[&str]) -> Option<Output> {
        let is_version = arguments == ["--version"];
        is_version.then(|| self.machine.run(program, arguments))?
    }

    fn feed(&self, _: &str, _: &[&str], _: &str) -> Option<Output> {
        None
    }

    fn now(&self) -> Timestamp {
        self.machine.now()
    }
}

/// Whether a pattern with `*` names a path: `*` stands for anything within one part of it.
pub(crate) fn is_named_by(path: &str, pattern: &str) -> bool {
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
            let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.any(|at| rest.get(at..).is_some_and(|rest| matches(rest, after)))
        }),
    }
}
