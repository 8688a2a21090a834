//! A machine in memory, for tests.

mod laws;

use std::collections::BTreeMap;

use portledger_model::Timestamp;
use portledger_servers::Format;
use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use similar::{ChangeTag, TextDiff};

pub(crate) use laws::{law_of_fixes, never_panics};

use crate::{
    Server, Wish,
    machine::{Machine, Output, ReadError, Unreadable},
    overlay::is_named_by,
};

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

    fn beginning(&self, path: &str, most: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = self.read(path)?;
        bytes.truncate(most);
        Ok(bytes)
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

    /// What was said to be printed for this input: its first line, or its last, is a part of the
    /// command.
    fn feed(&self, program: &str, arguments: &[&str], input: &str) -> Option<Output> {
        let first = input.lines().next().unwrap_or_default();
        let last = input.lines().last().unwrap_or_default();
        self.run(program, &[arguments, &["<", first]].concat())
            .or_else(|| self.run(program, &[arguments, &["<-", last]].concat()))
            .or_else(|| self.run(program, arguments))
    }

    fn now(&self) -> Timestamp {
        "2026-11-29T12:00:00Z".parse().unwrap()
    }
}

/// What a fix comes to, for snapshots: its diff, and whether each log tells enough after it. Holds
/// what every fix promises.
pub(crate) fn fixed(server: &dyn Server, image: &Image, path: &str, wish: Wish) -> String {
    match crate::fix(server, image, path, wish) {
        Err(error) => error.to_string(),
        Ok(change) => {
            holds(server, image, path, wish, &change);
            let after = server.look(&image.after(&change), path).unwrap();
            let logs = after.logs.iter().map(|log| {
                let how = match (log.records.are_enough(), log.is_covered) {
                    (true, _) => "address, port and time",
                    (false, true) => "covered",
                    (false, false) => "lacking",
                };
                format!("{}: {how}\n", log.path)
            });
            format!("{}\n{}", change.diff(), logs.collect::<String>())
        }
    }
}

/// A second fix changes nothing, a look says that the port is recorded, and every format parses.
fn holds(server: &dyn Server, image: &Image, path: &str, wish: Wish, change: &crate::Change) {
    for edit in &change.edits {
        let before = image.read(&edit.path).ok();
        assert_eq!(before.as_deref(), edit.before.as_deref().map(str::as_bytes));
        leaves_the_rest(edit.before.as_deref().unwrap_or_default(), &edit.after);
    }
    let fixed = image.after(change);
    let again = crate::fix(server, &fixed, path, wish).unwrap();
    assert_eq!(again.edits, [], "a second fix changes nothing");
    let instance = server.look(&fixed, path).unwrap();
    assert_ne!(instance.logs.len(), 0);
    for log in &instance.logs {
        let is_told = log.records.are_enough() || log.is_covered;
        assert!(is_told, "{}: {:?}", log.path, log.records);
    }
    formats_parse(&instance);
}

/// Nothing is taken away, but for a word in a line: the name of a format, or an option.
fn leaves_the_rest(before: &str, after: &str) {
    if is_within(before, after) {
        return;
    }
    let diff = TextDiff::from_lines(before, after);
    let lines = |tag| {
        let changes = diff.iter_all_changes();
        let of_tag = changes.filter(move |change| change.tag() == tag);
        of_tag.map(|change| change.value()).collect::<Vec<_>>()
    };
    let new = lines(ChangeTag::Insert);
    for old in lines(ChangeTag::Delete) {
        let is_kept = |new: &&str| {
            let start = old
                .bytes()
                .zip(new.bytes())
                .take_while(|(one, two)| one == two);
            let end = old.bytes().rev().zip(new.bytes().rev());
            let end = end.take_while(|(one, two)| one == two);
            is_within(old, new)
                || start.count() + end.count() + "option httplog clf".len() >= old.len()
        };
        assert!(new.iter().any(is_kept), "{old} is not in:\n{after}");
    }
}

/// Whether all of a text stands in another, in this order.
fn is_within(text: &str, other: &str) -> bool {
    let mut rest = other.bytes();
    text.bytes().all(|byte| rest.any(|other| other == byte))
}

/// A configuration is taken for this server's and for no other's.
fn is_claimed(server: &dyn Server, image: &Image, path: &str) {
    let text = String::from_utf8(image.read(path).unwrap()).unwrap();
    if text.trim().is_empty() {
        return;
    }
    let claimants: Vec<&str> = crate::server::all()
        .iter()
        .filter(|other| other.claims(path, &text))
        .map(|other| other.facts().name.as_str())
        .collect();
    assert_eq!(claimants, [server.facts().name.as_str()]);
}

pub(crate) fn formats_parse(instance: &crate::Instance) {
    for format in instance.logs.iter().filter_map(|log| log.format.as_ref()) {
        assert!(Format::parse(format).is_ok(), "{format}");
    }
}

/// What an audit says in short: each log with what it records, then the findings.
pub(crate) fn told(server: &'static dyn Server, image: &Image, path: &str) -> String {
    is_claimed(server, image, path);
    let audited = match crate::audit(image, server, path) {
        Ok(audited) => audited,
        Err(error) => return error.to_string(),
    };
    formats_parse(&server.look(image, path).unwrap());
    let logs = audited.logs.iter().map(|log| {
        let records = &log.records;
        let marks = [
            (records.source_address, "address"),
            (records.source_port, "port"),
            (records.time_utc, "utc"),
            (records.transport, "transport"),
            (records.destination_port, "destination"),
            (log.is_covered, "(covered)"),
        ];
        let marks: Vec<&str> = marks
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, what)| *what)
            .collect();
        let format = log.format.as_deref().unwrap_or("-");
        format!("log {}: {}\n    {format}\n", log.path, marks.join(" "))
    });
    let findings = audited
        .findings
        .iter()
        .map(|finding| format!("{}: {finding}\n", finding.rule.id()));
    logs.chain(findings).collect()
}

/// Changes a text at random: lines are lost, doubled and swapped, and bits are put in anywhere.
#[derive(Debug, Clone)]
enum Mutation {
    Lose(usize),
    Double(usize),
    Swap(usize, usize),
    Put(usize, String),
    End(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let bits = "[a-z{}()\\[\\]\"'<>=:;#%$\\\\/|&, \n\t\u{e9}-]{0,8}";
    prop_oneof![
        any::<usize>().prop_map(Mutation::Lose),
        any::<usize>().prop_map(Mutation::Double),
        any::<(usize, usize)>().prop_map(|(one, two)| Mutation::Swap(one, two)),
        (any::<usize>(), bits).prop_map(|(at, bits)| Mutation::Put(at, bits)),
        any::<usize>().prop_map(Mutation::End),
    ]
}

fn mutated(text: &str, mutation: &Mutation) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let count = lines.len().max(1);
    let boundary = |at: usize| {
        let mut at = at % (text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    match mutation {
        _ if lines.is_empty() => return text.to_owned(),
        Mutation::Lose(at) => drop(lines.remove(at % count)),
        Mutation::Double(at) => lines.insert(at % count, lines[at % count]),
        Mutation::Swap(one, two) => lines.swap(one % count, two % count),
        Mutation::Put(at, bits) => {
            let at = boundary(*at);
            return format!("{}{bits}{}", &text[..at], &text[at..]);
        }
        Mutation::End(at) => return text[..boundary(*at)].to_owned(),
    }
    lines.concat()
}

/// Whatever happened to these files, looking and fixing do not panic, and what a fix promises holds
/// where it offers one.
pub(crate) fn survives(server: &dyn Server, image: &Image, path: &str) {
    let config = ProptestConfig {
        cases: std::env::var("SURVIVES_CASES").map_or(256, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // The same on every run: what a run finds must not depend on the day.
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, random);
    let changes = proptest::collection::vec((any::<usize>(), mutation()), 0..4);
    runner
        .run(&changes, |changes| {
            let mut image = image.clone();
            let names: Vec<String> = image.files.keys().cloned().collect();
            for (which, mutation) in &changes {
                let name = &names[which % names.len()];
                let text = String::from_utf8(image.files[name].clone()).unwrap();
                image
                    .files
                    .insert(name.clone(), mutated(&text, mutation).into_bytes());
            }
            if let Ok(instance) = server.look(&image, path) {
                formats_parse(&instance);
            }
            for wish in [Wish::InPlace, Wish::Parallel] {
                if let Ok(change) = crate::fix(server, &image, path, wish) {
                    holds(server, &image, path, wish, &change);
                }
            }
            Ok(())
        })
        .unwrap();
}
