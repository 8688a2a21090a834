//! What a test needs of the machine, and what happens when that is not there.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::process::search_path;

/// Whether this process may make namespaces and finds these programs. What is missing is said on standard
/// error; the test then returns.
///
/// # Errors
/// [`Failure::Missing`] instead of `false` when `PORTLEDGER_E2E=1`.
pub fn met(programs: &[&str]) -> Result<bool, Failure> {
    let always = ["ip", "ss", "sysctl", "kill"];
    let missing = always
        .iter()
        .chain(programs)
        .find(|name| program(name).is_none());
    if let Some(program) = missing {
        return skip(&format!("no program {program}"));
    }
    if !may_make_namespaces() {
        return skip("no right to make network namespaces (root)");
    }
    Ok(true)
}

/// As [`met`], and the NAT can run: there is a TUN driver and a `portledger` program.
///
/// # Errors
/// [`Failure::Missing`] instead of `false` when `PORTLEDGER_E2E=1`.
pub fn met_with_nat(programs: &[&str]) -> Result<bool, Failure> {
    if !Path::new("/dev/net/tun").exists() {
        return skip("no /dev/net/tun");
    }
    if portledger().is_none() {
        return skip("no portledger program (cargo build -p portledger)");
    }
    met(programs)
}

/// As [`met`], and there is a `portledger` program.
///
/// # Errors
/// [`Failure::Missing`] instead of `false` when `PORTLEDGER_E2E=1`.
pub fn met_with_portledger(programs: &[&str]) -> Result<bool, Failure> {
    if portledger().is_none() {
        return skip("no portledger program (cargo build -p portledger)");
    }
    met(programs)
}

/// Where a program is: installed, or unpacked by `cargo xtask test` in `TARGET/peers`, as those are whose packages
/// cannot be installed side by side.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let unpacked = target().map(|target| target.join("peers/usr/sbin"));
    std::env::split_paths(&search_path())
        .chain(unpacked)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The program under test: `PORTLEDGER_BIN`, or the newer of the release and debug builds.
#[must_use]
pub fn portledger() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("PORTLEDGER_BIN") {
        return Some(PathBuf::from(path)).filter(|path| path.is_file());
    }
    let target = target()?;
    let built = ["release", "debug"].map(|profile| target.join(profile).join("portledger"));
    built
        .into_iter()
        .filter(|path| path.is_file())
        .max_by_key(|path| {
            path.metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
        })
}

/// Cargo's folder: tests run from TARGET/PROFILE/deps.
fn target() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    own.ancestors().nth(3).map(Path::to_path_buf)
}

fn may_make_namespaces() -> bool {
    crate::namespace::Namespace::create("probe").is_ok()
}

fn skip(reason: &str) -> Result<bool, Failure> {
    if std::env::var_os("PORTLEDGER_E2E").is_some_and(|value| value == "1") {
        return Err(Failure::Missing(reason.to_owned()));
    }
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    // Written past the test harness, which keeps what a passing test prints to itself.
    let line = format!("SKIPPED {test}: {reason}; run cargo xtask test\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    Ok(false)
}
