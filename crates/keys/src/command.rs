//! A secret from a program's standard output.

use std::{
    io::Read,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use crate::Error;

/// How long an ended program may take to be seen as ended.
const PAUSE: Duration = Duration::from_millis(5);

/// What the program prints, up to `longest` bytes, within `limit`. No shell takes part:
/// `arguments` reach the program as they are. What it says on standard error reaches ours.
pub(crate) fn output(
    program: &str,
    arguments: &[String],
    longest: u64,
    limit: Duration,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let until = Instant::now() + limit;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| Error::io(program, "start", source))?;
    let (send, receive) = mpsc::channel();
    if let Some(pipe) = child.stdout.take() {
        // On a thread of its own, which may be left behind: a grandchild can keep the pipe open.
        thread::spawn(move || {
            let capacity = usize::try_from(longest).unwrap_or(0);
            let mut printed = Zeroizing::new(Vec::with_capacity(capacity));
            let read = pipe.take(longest).read_to_end(&mut printed);
            // Nobody listens any more once the time is over.
            let _ = send.send(read.map(|_| printed));
        });
    }
    let printed = receive.recv_timeout(limit);
    let status = ended(&mut child, until);
    let slow = || Error::CommandSlow {
        program: program.to_owned(),
        limit,
    };
    let failed = |source| Error::io(program, "read what is printed by", source);
    let printed = printed.map_err(|_| slow())?.map_err(failed)?;
    let status = status.map_err(failed)?.ok_or_else(slow)?;
    if status.success() {
        Ok(printed)
    } else {
        Err(Error::CommandFailed {
            program: program.to_owned(),
            status: status.to_string(),
        })
    }
}

/// How the program ended; `None` when its time was over and it was killed.
fn ended(child: &mut Child, until: Instant) -> std::io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, limit: Duration) -> Result<Zeroizing<Vec<u8>>, Error> {
        let arguments = ["-c".to_owned(), script.to_owned()];
        output("/bin/sh", &arguments, 1_000, limit)
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn what_is_printed_comes_back() {
        assert_eq!(**run("printf 'a b'", LONG).unwrap(), *b"a b");
    }

    #[test]
    fn a_failure_is_told_even_when_something_was_printed() {
        let error = run("echo secret; exit 3", LONG).unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn a_program_that_does_not_end_is_stopped() {
        for script in ["exec sleep 600", "echo x; exec >&-; exec sleep 600"] {
            let error = run(script, Duration::from_millis(100)).unwrap_err();
            assert!(matches!(error, Error::CommandSlow { .. }), "{error}");
        }
    }

    #[test]
    fn a_program_that_prints_for_ever_is_not_listened_to_for_ever() {
        // It is ended by the closed pipe once enough was read.
        assert!(run("exec cat /dev/zero", LONG).is_err());
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = output("/nowhere/vault", &[], 10, LONG).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot start /nowhere/vault: ")
        );
    }
}
