//! A network namespace that goes away with everything in it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Failure;
use crate::process::{Finished, PAUSE, finish, signal};

/// How long `ip` and its like may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A network namespace made by this test; dropping it kills what runs in it and deletes it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes an empty namespace; the name tells its role, this process and a running number.
    ///
    /// # Errors
    /// When `ip netns` fails, as it does without root.
    pub fn create(role: &str) -> Result<Self, Failure> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ple2e-{}-{number}-{role}", std::process::id());
        finish(Command::new("ip").args(["netns", "add", &name]), LIMIT)?.succeeded()?;
        let namespace = Self { name };
        namespace.run("sysctl", "-qw net.ipv6.conf.all.disable_ipv6=1")?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// The namespace's name, for `ip link … netns NAME`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside. `ip netns exec` becomes the program, so its process id is the program's.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs a program inside to its end, its arguments separated by blanks.
    ///
    /// # Errors
    /// When it fails or takes longer than 20 seconds.
    pub fn run(&self, program: &str, arguments: &str) -> Result<Finished, Failure> {
        finish(
            self.command(program).args(arguments.split_whitespace()),
            LIMIT,
        )?
        .succeeded()
    }

    /// `ip` inside, its arguments separated by blanks.
    ///
    /// # Errors
    /// When it fails.
    pub fn ip(&self, arguments: &str) -> Result<(), Failure> {
        let mut command = Command::new("ip");
        command
            .args(["-n", &self.name])
            .args(arguments.split_whitespace());
        finish(&mut command, LIMIT)?.succeeded().map(drop)
    }

    /// Whether a socket inside listens at this port (`tcp` or `udp`). Asks the kernel: a probing connection
    /// would leave a line in the server's log.
    ///
    /// # Errors
    /// When `ss` fails.
    pub fn listens(&self, transport: &str, port: u16) -> Result<bool, Failure> {
        let sockets = self.run(
            "ss",
            &format!("--no-header --listening --numeric --{transport}"),
        )?;
        let end = format!(":{port}");
        let mut words = sockets.stdout.split_whitespace();
        Ok(words.any(|word| word.ends_with(&end)))
    }

    /// Runs `work` inside, on a thread of its own; sockets it makes stay inside wherever they are used.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or `work` fails.
    pub fn within<T: Send>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> Result<T, Failure> {
        let path = Path::new("/run/netns").join(&self.name);
        let enter = || {
            let namespace = File::open(&path)?;
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), network)?;
            work()
        };
        let outcome = std::thread::scope(|scope| scope.spawn(enter).join());
        let outcome = outcome.unwrap_or_else(|cause| resume_unwind(cause));
        outcome.map_err(|source| Failure::File {
            path: path.clone(),
            source,
        })
    }

    fn processes(&self) -> Vec<String> {
        let inside = finish(
            Command::new("ip").args(["netns", "pids", &self.name]),
            LIMIT,
        );
        let listed = inside.map(|inside| inside.stdout).unwrap_or_default();
        listed.split_whitespace().map(str::to_owned).collect()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let begun = Instant::now();
        loop {
            let processes = self.processes();
            if processes.is_empty() || begun.elapsed() > LIMIT {
                break;
            }
            signal("KILL", &processes);
            // They must be gone before the folder they write to is.
            std::thread::sleep(PAUSE);
        }
        // A failed clean-up must not hide why the test failed.
        let _ = finish(Command::new("ip").args(["netns", "del", &self.name]), LIMIT);
    }
}
