//! The Python packages that tests start: other readers of Parquet, a server that speaks S3.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::command;

/// What the crates' tests need, each in a list of its own.
const REQUIREMENTS: [&str; 2] = [
    "crates/segments/tests/requirements.txt",
    "crates/store/tests/requirements.txt",
];

/// The environment of their own that they are installed into.
fn environment() -> PathBuf {
    command::workspace_root().join("target/python")
}

/// Makes the environment and installs what is missing in it, with `pip`.
pub(crate) fn install_missing() -> Result<(), String> {
    let environment = environment();
    if !environment.join("bin/pip").exists() {
        command::run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&environment),
        )
        .map_err(|error| format!("{error}; Debian's package is python3-venv"))?;
    }
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]);
    for list in REQUIREMENTS {
        pip.arg("-r").arg(command::workspace_root().join(list));
    }
    command::run(&mut pip)
}

/// Lets a command's tests use it; where it is there, none of them may be skipped.
pub(crate) fn lend(command: &mut Command) {
    let bin = environment().join("bin");
    if !bin.join("python3").exists() {
        return;
    }
    command
        .env("PATH", with_first(&bin))
        .env("PORTLEDGER_PYTHON", bin.join("python3"))
        .env("PORTLEDGER_REQUIRE_READERS", "1")
        .env("PORTLEDGER_REQUIRE_S3", "1");
}

/// The search path with a folder in front.
fn with_first(bin: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(bin.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(paths).unwrap_or(path)
}
