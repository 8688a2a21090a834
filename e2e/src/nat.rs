//! `portledger nat run` in the topology's middle.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::process::{Running, signal};
use crate::topology::{INSIDE_PREFIX, Topology};
use crate::{Failure, prerequisite};

/// The NAT's TUN device.
pub const DEVICE: &str = "pl0";
/// How long it may take to come up, a recovery of its ledger included, or to stop.
const LIMIT: Duration = Duration::from_secs(30);

/// What differs from test to test in the NAT's configuration.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// The device's queues.
    pub queues: u16,
    /// The external addresses it may use; part of [`crate::topology::POOL_PREFIX`].
    pub pool: &'static str,
    /// The ledger's folder; one in the topology's folder where there is none.
    pub ledger: Option<PathBuf>,
    /// Lines before the first table, such as the mode.
    pub mode: String,
    /// The tables that say who is translated and to what, where NAT44's defaults are not meant.
    pub tables: Option<String>,
    /// More lines for `[ledger]`, and whole tables after it.
    pub more: String,
    /// Words before the program's name, such as `setpriv` and its options.
    pub wrapper: Vec<String>,
    /// The program; [`prerequisite::portledger`]'s where there is none.
    pub program: Option<PathBuf>,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            queues: 2,
            pool: "203.0.113.0/29",
            ledger: None,
            mode: String::new(),
            tables: None,
            more: String::new(),
            wrapper: Vec::new(),
            program: None,
        }
    }
}

/// The NAT under test and its ledger, which outlives the process.
#[derive(Debug)]
pub struct Nat<'topology> {
    topology: &'topology Topology,
    running: Running,
    command: Vec<String>,
    ledger: PathBuf,
    starts: u32,
}

impl<'topology> Nat<'topology> {
    /// Starts it on a new ledger and waits until it forwards.
    ///
    /// # Errors
    /// When it does not come up; with what it wrote.
    pub fn start(topology: &'topology Topology) -> Result<Self, Failure> {
        Self::start_with(topology, &Configuration::default())
    }

    /// As [`Nat::start`], otherwise configured.
    ///
    /// # Errors
    /// The same.
    pub fn start_with(
        topology: &'topology Topology,
        configuration: &Configuration,
    ) -> Result<Self, Failure> {
        let program = configuration.program.clone();
        let program = program
            .or_else(prerequisite::portledger)
            .ok_or_else(|| Failure::Missing("the portledger program".to_owned()))?;
        let default = || topology.folder().join("ledger");
        let ledger = configuration.ledger.clone().unwrap_or_else(default);
        let path = topology.folder().join("nat.toml");
        fs::write(&path, configuration.text(&ledger)).map_err(|source| Failure::File {
            path: path.clone(),
            source,
        })?;
        let mut command = configuration.wrapper.clone();
        command.push(program.display().to_string());
        command.extend(["nat", "run", "-c"].map(str::to_owned));
        command.push(path.display().to_string());
        let running = run(topology, &command, 1)?;
        Ok(Self {
            topology,
            running,
            command,
            ledger,
            starts: 1,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// What it has written since it was last started.
    #[must_use]
    pub fn output(&self) -> String {
        self.running.output()
    }

    /// The folder of its ledger.
    #[must_use]
    pub fn ledger(&self) -> &Path {
        &self.ledger
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.running.kill();
    }

    /// Starts it again on the ledger it left, and waits until it forwards.
    ///
    /// # Errors
    /// When it does not come up; with what it wrote.
    pub fn restart(&mut self) -> Result<(), Failure> {
        self.starts += 1;
        self.running = run(self.topology, &self.command, self.starts)?;
        Ok(())
    }

    /// Asks it for a report; gives it.
    ///
    /// # Errors
    /// When none comes.
    pub fn report(&mut self) -> Result<Value, Failure> {
        let reports = |text: &str| -> Vec<Value> {
            let objects = text.lines().map(serde_json::from_str);
            objects.flatten().collect()
        };
        let before = reports(&self.output()).len();
        signal("USR1", &[self.id().to_string()]);
        let mut report = None;
        self.running.until("a report", LIMIT, |nat| {
            report = reports(&nat.output()).into_iter().nth(before);
            Ok(report.is_some())
        })?;
        Ok(report.unwrap_or_default())
    }

    /// Waits until its output has `text`.
    ///
    /// # Errors
    /// When it does not come to.
    pub fn says(&mut self, text: &str) -> Result<(), Failure> {
        self.running
            .until(text, LIMIT, |nat| Ok(nat.output().contains(text)))
    }

    /// Waits for it to end by itself, which it must not do well; gives what it wrote.
    ///
    /// # Errors
    /// When it does not end, or ends with exit status 0.
    pub fn fails(mut self) -> Result<String, Failure> {
        let status = self.running.wait(LIMIT)?;
        let output = self.output();
        if status.success() {
            let what = "a failure of nat run".to_owned();
            return Err(Failure::Unexpected { what, text: output });
        }
        Ok(output)
    }

    /// Asks it to end.
    ///
    /// # Errors
    /// When it does not, or not with exit status 0.
    pub fn stop(mut self) -> Result<(), Failure> {
        self.running.terminate(LIMIT)
    }
}

impl Configuration {
    /// The file's text.
    fn text(&self, ledger: &Path) -> String {
        let Self {
            queues,
            pool,
            mode,
            more,
            ..
        } = self;
        let tables = self
            .tables
            .clone()
            .unwrap_or_else(|| with_pool(INSIDE_PREFIX, pool));
        format!(
            r#"device = "cgn1"
{mode}

[tun]
name = "{DEVICE}"
queues = {queues}

{tables}

[ledger]
path = "{ledger}"
{more}"#,
            ledger = ledger.display(),
        )
    }
}

/// The tables of a translator with a pool. Small blocks, so that a few hundred connections need several.
#[must_use]
pub fn with_pool(inside: &str, pool: &str) -> String {
    format!(
        r#"[[realm]]
name = "default"
inside = ["{inside}"]

[pool]
addresses = ["{pool}"]

[blocks]
size = 256
"#
    )
}

fn run(topology: &Topology, words: &[String], start: u32) -> Result<Running, Failure> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| Failure::Missing("a command".to_owned()))?;
    let mut command = topology.cgn.command(program);
    command.args(arguments);
    let output = topology.folder().join(format!("nat-{start}.log"));
    let mut running = Running::start(&mut command, &output)?;
    running.until("the word \"ready\"", LIMIT, |nat| {
        Ok(nat
            .output()
            .lines()
            .any(|line| line.split_whitespace().next() == Some("ready")))
    })?;
    topology.route_through(DEVICE)?;
    Ok(running)
}
