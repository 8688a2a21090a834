//! What the program's tests share: the program itself, run from outside; packets and captures to
//! feed it; and a second reading of what it writes.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "each test binary uses its part; a test fails by panicking"
)]

pub mod capture;
pub mod conversation;
pub mod packet;
pub mod pairing;

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A folder of a test's own, in which the program runs, so that names in messages are short.
pub struct Place {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// How a run of the program ended.
pub struct Ended {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            environment: Vec::new(),
        }
    }

    /// The same, in which the program runs with these variables, too.
    pub fn with_environment(self, environment: Vec<(String, String)>) -> Self {
        Self {
            environment,
            ..self
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Runs the program here.
    pub fn run(&self, args: &[impl AsRef<OsStr>]) -> Ended {
        self.run_with_input(args, b"")
    }

    /// Runs the program here with `input` on its standard input.
    pub fn run_with_input(&self, args: &[impl AsRef<OsStr>], input: &[u8]) -> Ended {
        let mut child = program(self.folder.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that reads nothing may be gone before it is all written.
        let _ = child.stdin.take().unwrap().write_all(input);
        Ended::of(child.wait_with_output().unwrap())
    }
}

impl Ended {
    fn of(output: Output) -> Self {
        let ended = Self {
            status: output.status.code().expect("ended by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        ended
    }

    /// This, provided that it ended so.
    #[track_caller]
    pub fn with_status(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{}{}", self.stdout, self.stderr);
        self
    }

    /// The one JSON object on standard output.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect(&self.stdout)
    }

    /// The JSON objects on standard output, one a line.
    pub fn json_lines(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }
}

/// The program, in a test's folder; what the test puts into `bin` there comes before what is
/// installed.
fn program(folder: &Path) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portledger"));
    command
        .current_dir(folder)
        .env_remove("PORTLEDGER_LEDGER")
        .env_remove("PORTLEDGER_CASE")
        .env_remove("PORTLEDGER_IDENTITIES")
        .env("PATH", format!("{}:{path}", folder.join("bin").display()))
        .env("TZ", "UTC");
    command
}
