//! Other people's readers find in the files what was written: DuckDB and Arrow through
//! `readers.py`, where they are installed (`tests/requirements.txt`).
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod support;

use std::{collections::BTreeMap, env, path::Path, process::Command};

use portledger_segments::{Key, Row, SubscriberNumber};
use support::{dictionary, rows, write};

/// Set to fail where the readers are not installed, instead of passing over them.
const REQUIRE: &str = "PORTLEDGER_REQUIRE_READERS";
/// Which Python to run.
const PYTHON: &str = "PORTLEDGER_PYTHON";

fn python() -> Option<String> {
    let python = env::var(PYTHON).unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python)
        .args(["-c", "import duckdb, pyarrow.parquet.encryption"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        assert!(
            env::var_os(REQUIRE).is_none(),
            "{REQUIRE} is set and {python} has no duckdb and pyarrow"
        );
        eprintln!("SKIPPED: {python} has no duckdb and pyarrow; see tests/requirements.txt");
    }
    found.then_some(python)
}

/// What the script prints of these rows.
fn expected(rows: &[Row]) -> String {
    let dictionary = dictionary();
    let mut devices = BTreeMap::new();
    for row in rows {
        *devices
            .entry(dictionary.device(row.device).unwrap().as_str())
            .or_insert(0) += 1;
    }
    let devices: Vec<String> = devices
        .iter()
        .map(|(name, n)| format!("{name}={n}"))
        .collect();
    let zero = SubscriberNumber(0);
    let own: Vec<_> = rows.iter().filter(|row| row.subscriber == zero).collect();
    format!(
        "{} {} {} {} {} {} {} {}",
        rows.len(),
        rows.iter()
            .map(|row| u64::from(row.subscriber.0))
            .sum::<u64>(),
        rows.iter().map(|row| row.opened.0).sum::<u64>(),
        devices.join(","),
        dictionary.subscriber(zero).unwrap().internal(),
        own.len(),
        own.iter().map(|row| row.from.as_micros()).min().unwrap(),
        own.len(),
    )
}

/// Runs the script over `rows`; its lines.
fn run(rows: &[Row], key: Option<(&Key, &str)>, option: Option<&str>) -> Option<String> {
    let python = python()?;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), rows, key.map(|(key, _)| key));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers.py");
    let mut command = Command::new(python);
    command.arg(script).arg(dir.path());
    command.args(key.map(|(_, hex)| hex)).args(option);
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn key(length: u8) -> (Key, String) {
    let bytes: Vec<u8> = (1..=length).map(|byte| byte * 7).collect();
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    (Key::new(&bytes, "2026-11-01").unwrap(), hex)
}

fn expected_lines(rows: &[Row]) -> String {
    let expected = expected(rows);
    format!("duckdb {expected}\narrow {expected}\n")
}

#[test]
fn duckdb_and_arrow_read_plain_files() {
    let rows = rows(30_000, 200, 8);
    if let Some(lines) = run(&rows, None, None) {
        assert_eq!(lines, expected_lines(&rows));
    }
}

#[test]
fn arrow_reads_encrypted_files_with_the_key() {
    let rows = rows(30_000, 200, 8);
    for length in [16, 32] {
        let (key, hex) = key(length);
        if let Some(lines) = run(&rows, Some((&key, &hex)), None) {
            assert_eq!(lines, expected_lines(&rows));
        }
    }
}

/// DuckDB takes a key of 16, 24 or 32 bytes as it stands or any as base64, and so mistakes the 24
/// letters of a base64 of 16 bytes for a key of AES-192: only AES-256 takes any bytes. And it
/// decrypts only the first page of a column in a row group.
#[test]
fn duckdb_decrypts_a_small_encrypted_file_with_the_key() {
    let rows = rows(4_000, 200, 8);
    let (key, hex) = key(32);
    if let Some(lines) = run(&rows, Some((&key, &hex)), Some("--duckdb-decrypts")) {
        let subscribers: u64 = rows.iter().map(|row| u64::from(row.subscriber.0)).sum();
        let decrypted = format!("decrypted {} {subscribers}\n", rows.len());
        assert_eq!(lines, expected_lines(&rows) + &decrypted);
    }
}
