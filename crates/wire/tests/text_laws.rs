//! What holds of every line and every dialect file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::Path, sync::LazyLock};

use jiff::tz::TimeZone;
use portledger_wire::{
    dialect::{Dialect, Dialects, Outcome, Reader, Untimed},
    syslog::Clock,
};
use proptest::prelude::*;

fn clock() -> Clock {
    Clock::new("2026-11-21T12:00:00Z".parse().unwrap()).in_zone(TimeZone::UTC)
}

static BUILT_IN: LazyLock<Dialects> = LazyLock::new(Dialects::built_in);
static LINES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(lines);

/// Every line of every sample.
fn lines() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let text = fs::read(path).unwrap();
            lines.extend(text.split(|&b| b == b'\n').map(<[u8]>::to_vec));
        }
    }
    assert!(lines.len() > 100);
    lines
}

fn read_by_all(dialects: &Dialects, line: &[u8]) {
    for dialect in dialects.iter() {
        let mut events = Vec::new();
        let mut reader = Reader::new(dialect, clock()).untimed(Untimed::Received);
        match reader.read(line, &mut events) {
            Outcome::Events(count) => assert_eq!((count, count > 0), (events.len(), true)),
            Outcome::Nothing(_) => assert!(events.is_empty()),
            Outcome::Rejected(rejection) => {
                assert!(
                    (1..=line.len() + 1).contains(&rejection.column),
                    "{rejection}"
                );
                // Whoever reads the log of a collector learns nothing of a subscriber.
                assert!(!rejection.to_string().contains("100.64"), "{rejection}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_by_all(&BUILT_IN, &line);
    }

    #[test]
    fn no_changed_line_panics(
        pick in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut line = pick.get(&LINES).clone();
        for (at, byte) in changes {
            if !line.is_empty() {
                let at = at.index(line.len());
                line[at] = byte;
            }
        }
        line.truncate(cut.index(line.len() + 1));
        read_by_all(&BUILT_IN, &line);
    }

    #[test]
    fn no_dialect_file_panics(text in "(name|about|pattern|keys|\\[\\[message\\]\\]|[ =\"{}a-z:*#\\n-]){0,30}") {
        let _ = Dialect::parse("x.toml", &text);
    }

    #[test]
    fn no_pattern_panics(pattern in "[ a{}*_^$:-]{0,12}|(a?\\{(first|last|external|internal|time:date|realm|\\*|_)\\}[ a-c]?){0,8}", line in "[ abc0-9.:-]{0,40}") {
        let file = format!(
            "name = \"x\"\nabout = \"x\"\n[[message]]\nis = \"x\"\nevent = \"nothing\"\nwhy = \"x\"\npattern = '{pattern}'"
        );
        if let Ok(dialect) = Dialect::parse("x.toml", &file) {
            let _ = Reader::new(&dialect, clock()).read(line.as_bytes(), &mut Vec::new());
        }
    }
}

#[test]
fn errors_in_a_dialect_file_name_the_file_the_line_and_what_to_do() {
    let message = "[[message]]\nis = \"m\"\nevent = \"block\"\nphase = \"begun\"\n";
    let files = [
        String::new(),
        "name = \"a b\"\nabout = \"x\"\n".to_owned() + message,
        "name = \"x\"\nabout = \"x\"\n".to_owned(),
        "name = \"x\"\nabout = \"x\"\ncolour = 1\n".to_owned(),
        format!("name = \"x\"\nabout = \"x\"\nzone = \"CEST\"\n{message}has = [\"x\"]"),
        format!("name = \"x\"\nabout = \"x\"\n[realms]\na = \"b/c\"\n{message}has = [\"x\"]"),
        format!("name = \"x\"\nabout = \"x\"\n{message}"),
        format!("name = \"x\"\nabout = \"x\"\n{message}has = [\"\"]"),
        format!("name = \"x\"\nabout = \"x\"\nseveral = true\n{message}pattern = \"^x\""),
        format!("name = \"x\"\nabout = \"x\"\n{message}has = [\"x\"]"),
        format!("name = \"x\"\nabout = \"x\"\n{message}pattern = \"x {{external}} {{first}}\""),
        format!("name = \"x\"\nabout = \"x\"\n{message}pattern = \"{{external}} {{first}}\""),
        format!("name = \"x\"\nabout = \"x\"\n{message}pattern = \"x {{outside}}\""),
        format!("name = \"x\"\nabout = \"x\"\n{message}pattern = \"x {{first}}{{last}}\""),
        format!("name = \"x\"\nabout = \"x\"\n{message}pattern = \"x {{first}} {{first}}\""),
        format!("name = \"x\"\nabout = \"x\"\n{message}pattern = \"x {{*}}\""),
        format!("name = \"x\"\nabout = \"x\"\n{message}pattern = \"x {{first\""),
        format!("name = \"x\"\nabout = \"x\"\n{message}has = [\"x\"]\nkeys = {{ time = \"t\" }}"),
        format!(
            "name = \"x\"\nabout = \"x\"\n{message}has = [\"x\"]\nkeys = {{ first = \"t#x\" }}"
        ),
        format!(
            "name = \"x\"\nabout = \"x\"\n{}has = [\"x\"]",
            message.replace("block", "blocks")
        ),
        format!(
            "name = \"x\"\nabout = \"x\"\n{}has = [\"x\"]",
            message.replace("begun", "on")
        ),
        format!(
            "name = \"x\"\nabout = \"x\"\n{}has = [\"x\"]",
            message.replace("block", "refused")
        ),
    ];
    let errors: Vec<String> = files
        .iter()
        .map(|file| Dialect::parse("nat.toml", file).unwrap_err().to_string())
        .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn lines_of_nothing_are_in_no_dialect() {
    let dialects = Dialects::built_in();
    let lines = [
        &b"Nov 21 08:00:00 host sshd[1]: Accepted publickey"[..],
        b"",
        b"\xff\xfe",
    ];
    let guesses = dialects.guess(lines);
    assert!(guesses.is_empty(), "{}", guesses[0].dialect.name());
}

#[test]
fn a_guess_counts_what_speaks_for_and_against() {
    let dialects = Dialects::built_in();
    let lines = [
        &b"A VRF 0 INT 100.64.0.1 EXT 203.0.113.1:1024-1535"[..],
        b"A VRF 0 6 INT 100.64.0.1:57938 EXT 203.0.113.1:28475",
        b"A VRF 0 INT 100.64.0.1 EXT 203.0.113.1:1535-1024",
        b"something else",
    ];
    let guesses = dialects.guess(lines);
    let first = guesses.first().unwrap();
    assert_eq!(first.dialect.name(), "nfware");
    assert_eq!(
        (first.with_events, first.read, first.rejected, first.foreign),
        (2, 2, 1, 1)
    );
}

#[test]
fn an_operators_dialect_takes_the_place_of_ours() {
    let mut dialects = Dialects::built_in();
    let file = "name = \"juniper\"\nabout = \"mine\"\n[[message]]\nis = \"x\"\nhas = [\"x\"]\nevent = \"nothing\"\nwhy = \"x\"";
    dialects.add(Dialect::parse("juniper.toml", file).unwrap());
    assert_eq!(dialects.get("juniper").unwrap().about(), "mine");
    assert_eq!(dialects.iter().filter(|d| d.name() == "juniper").count(), 1);
}
