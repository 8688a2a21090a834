//! syslog-ng, installed or unpacked beside rsyslog.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{Failure, file, prerequisite};

/// A command that runs it with this configuration, all its files in `folder`.
///
/// # Errors
/// When it is not there, or its configuration cannot be written.
pub fn command(configuration: &str, folder: &Path) -> Result<Command, Failure> {
    let program = prerequisite::program("syslog-ng");
    let program = program.ok_or_else(|| Failure::Missing("no program syslog-ng".to_owned()))?;
    let path = folder.join("syslog-ng.conf");
    file(&path, |path| fs::write(path, configuration))?;
    let mut command = Command::new(&program);
    command.args(["--foreground", "--no-caps", "--stderr"]);
    command.arg("--cfgfile").arg(path);
    for (option, name) in [
        ("--persist-file", "syslog-ng.persist"),
        ("--pidfile", "syslog-ng.pid"),
        ("--control", "syslog-ng.ctl"),
    ] {
        command.arg(option).arg(folder.join(name));
    }
    // Debian has rsyslog or it; unpacked beside rsyslog, its libraries are not where it looks.
    let root = program.ancestors().nth(3).unwrap_or(Path::new("/"));
    let libraries = root.join("usr/lib/syslog-ng");
    let modules = file(&libraries, |libraries| {
        fs::read_dir(libraries)?.collect::<Result<Vec<_>, _>>()
    })?;
    let mut modules = modules.into_iter().map(|entry| entry.path());
    if let Some(modules) = modules.find(|path| path.is_dir()) {
        command.env("LD_LIBRARY_PATH", &libraries);
        command.arg("--module-path").arg(modules);
    }
    Ok(command)
}
