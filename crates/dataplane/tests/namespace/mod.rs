//! Tests that run alone in a network namespace of their own, as root.

use std::{env, fs, path::Path, process::Command};

const INSIDE: &str = "PORTLEDGER_TEST_IN_NAMESPACE";

/// Runs `body` in a process of its own, in fresh network and mount namespaces; they end with the
/// process, so that nothing is left behind. `test` is the calling test's name.
/// Where that cannot be done, the test is skipped, loudly.
pub(crate) fn alone(test: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    if let Some(reason) = impossible() {
        // Not through the test harness, which would keep it to itself.
        let note = format!("\nSKIPPED {test}: {reason}\n");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), note.as_bytes());
        return;
    }
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed in its namespace: {status}");
}

fn impossible() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root, to make network namespaces".into());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("needs /dev/net/tun (modprobe tun)".into());
    }
    for program in ["unshare --net true", "ip -V"] {
        let mut words = program.split(' ');
        let mut command = Command::new(words.next().unwrap_or_default());
        match command.args(words).output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                return Some(format!("`{program}` fails: {why}"));
            }
            Err(error) => return Some(format!("`{program}` cannot be run: {error}")),
        }
    }
    None
}

/// Runs a command line, words parted by single spaces; it must succeed.
pub(crate) fn run(line: &str) {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap())
        .args(words)
        .output()
        .unwrap();
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "`{line}`: {why}");
}

/// A line of the calling thread's `/proc/thread-self/status`.
pub(crate) fn status(field: &str) -> String {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}
