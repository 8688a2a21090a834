//! Running programs to their end within a time limit, or beside the test until dropped.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// How often a wait looks again.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);

/// A program that ran to its end.
#[derive(Debug)]
pub struct Finished {
    command: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Finished {
    /// Itself when the exit status is 0.
    ///
    /// # Errors
    /// [`Failure::Ended`] otherwise.
    pub fn succeeded(self) -> Result<Self, Failure> {
        if self.status.success() {
            Ok(self)
        } else {
            Err(self.into_failure())
        }
    }

    /// A failure that shows all the program said.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        Failure::Ended {
            command: self.command,
            outcome: self.status.to_string(),
            stdout: self.stdout,
            stderr: self.stderr,
        }
    }
}

/// Runs `command` to its end, killing it after `limit`.
///
/// # Errors
/// When it cannot be started or its time is up. The exit status is the caller's to judge.
pub fn finish(command: &mut Command, limit: Duration) -> Result<Finished, Failure> {
    let io = |source| Failure::File {
        path: std::env::temp_dir(),
        source,
    };
    // Files rather than pipes: nobody has to read them while the program runs.
    let mut stdout = tempfile::tempfile().map_err(io)?;
    let mut stderr = tempfile::tempfile().map_err(io)?;
    command
        .stdout(stdout.try_clone().map_err(io)?)
        .stderr(stderr.try_clone().map_err(io)?);
    let mut child = start(command)?;
    let status = wait(&mut child, limit);
    let (stdout, stderr) = (read(&mut stdout), read(&mut stderr));
    let command = shown(command);
    match status {
        Some(status) => Ok(Finished {
            command,
            status,
            stdout,
            stderr,
        }),
        None => {
            let outcome = format!("did not end within {limit:?}");
            Err(Failure::Ended {
                command,
                outcome,
                stdout,
                stderr,
            })
        }
    }
}

/// A program that runs beside the test; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    command: String,
    output: PathBuf,
}

impl Running {
    /// Starts `command`; all it writes goes to the file `output`.
    ///
    /// # Errors
    /// When the file cannot be made or the program not be started.
    pub fn start(command: &mut Command, output: &Path) -> Result<Self, Failure> {
        let io = |source| Failure::File {
            path: output.to_path_buf(),
            source,
        };
        let file = File::create(output).map_err(io)?;
        command.stdout(file.try_clone().map_err(io)?).stderr(file);
        Ok(Self {
            child: start(command)?,
            command: shown(command),
            output: output.to_path_buf(),
        })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read(&self.output).map_or_else(
            |error| format!("({}: {error})", self.output.display()),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// When the program ends first, or `limit` passes; with what the program wrote.
    pub fn until(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut(&Self) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        while !ready(self)? {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.ended(&format!("ended with {status} before {what}")));
            }
            if begun.elapsed() > limit {
                let log = self.output();
                return Err(Failure::NotReady {
                    what: what.to_owned(),
                    waited: limit,
                    log,
                });
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Kills it at once (SIGKILL), as a power cut would.
    pub fn kill(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    /// When it does not end within `limit`, or not with exit status 0.
    pub fn terminate(&mut self, limit: Duration) -> Result<(), Failure> {
        signal("TERM", &[self.id().to_string()]);
        match wait(&mut self.child, limit) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.ended(&format!("ended with {status} when asked to stop"))),
            None => Err(self.ended(&format!("did not stop within {limit:?}"))),
        }
    }

    /// Waits for it to end by itself; gives its exit status.
    ///
    /// # Errors
    /// When it does not end within `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, Failure> {
        wait(&mut self.child, limit)
            .ok_or_else(|| self.ended(&format!("did not end within {limit:?}")))
    }

    fn ended(&self, outcome: &str) -> Failure {
        Failure::Ended {
            command: self.command.clone(),
            outcome: outcome.to_owned(),
            stdout: String::new(),
            stderr: self.output(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to processes; those already gone do not matter.
pub(crate) fn signal(name: &str, processes: &[String]) {
    let mut command = Command::new("kill");
    command
        .arg(format!("-{name}"))
        .args(processes)
        .stderr(Stdio::null());
    let _ = command.status();
}

/// Where programs are looked for: servers live in `sbin`, which a user's path may lack.
pub(crate) fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

fn start(command: &mut Command) -> Result<Child, Failure> {
    if !command.get_envs().any(|(name, _)| name == "PATH") {
        command.env("PATH", search_path());
    }
    command
        .stdin(Stdio::null())
        .spawn()
        .map_err(|source| Failure::Start {
            command: shown(command),
            source,
        })
}

/// The exit status, or nothing when the time was up and the program had to be killed.
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if begun.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}

fn read(file: &mut File) -> String {
    let mut bytes = Vec::new();
    match file.rewind().and_then(|()| file.read_to_end(&mut bytes)) {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("(unreadable: {error})"),
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_outputs_and_the_status_are_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let finished = finish(&mut command, Duration::from_secs(5)).unwrap();
        assert_eq!(
            (finished.stdout.as_str(), finished.stderr.as_str()),
            ("out\n", "err\n")
        );
        let problem = finished.succeeded().unwrap_err().to_string();
        assert!(
            problem.contains("exit status: 3") && problem.contains("err"),
            "{problem}"
        );
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let begun = Instant::now();
        let problem = finish(Command::new("sleep").arg("60"), Duration::from_millis(100));
        assert!(
            problem
                .unwrap_err()
                .to_string()
                .contains("did not end within")
        );
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn waiting_ends_when_the_program_does() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such device; exit 1"]);
        let mut running = Running::start(&mut command, &folder.path().join("log")).unwrap();
        let outcome = running.until("ready", Duration::from_secs(60), |_| Ok(false));
        let problem = outcome.unwrap_err().to_string();
        assert!(
            problem.contains("before ready") && problem.contains("no such device"),
            "{problem}"
        );
    }
}
