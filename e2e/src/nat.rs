//! `portledger nat run` in the topology's middle.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::Running;
use crate::topology::{INSIDE_PREFIX, Topology};
use crate::{Failure, prerequisite};

/// The NAT's TUN device.
const DEVICE: &str = "pl0";
/// The external addresses it may use; part of [`crate::topology::POOL_PREFIX`].
const POOL: &str = "203.0.113.0/29";
/// How long it may take to come up, a recovery of its ledger included, or to stop.
const LIMIT: Duration = Duration::from_secs(30);

/// The NAT under test and its ledger, which outlives the process.
#[derive(Debug)]
pub struct Nat<'topology> {
    topology: &'topology Topology,
    running: Running,
    configuration: PathBuf,
    ledger: PathBuf,
    starts: u32,
}

impl<'topology> Nat<'topology> {
    /// Starts it on a new ledger and waits until it forwards.
    ///
    /// # Errors
    /// When it does not come up; with what it wrote.
    pub fn start(topology: &'topology Topology) -> Result<Self, Failure> {
        let ledger = topology.folder().join("ledger");
        let configuration = topology.folder().join("nat.toml");
        fs::write(&configuration, nat_config(&ledger)).map_err(|source| Failure::File {
            path: configuration.clone(),
            source,
        })?;
        let running = run(topology, &configuration, 1)?;
        Ok(Self {
            topology,
            running,
            configuration,
            ledger,
            starts: 1,
        })
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
        self.running = run(self.topology, &self.configuration, self.starts)?;
        Ok(())
    }

    /// Asks it to end.
    ///
    /// # Errors
    /// When it does not, or not with exit status 0.
    pub fn stop(mut self) -> Result<(), Failure> {
        self.running.terminate(LIMIT)
    }
}

/// Small blocks, so that a few hundred connections need several.
fn nat_config(ledger: &Path) -> String {
    format!(
        r#"device = "cgn1"

[tun]
name = "{DEVICE}"
queues = 2

[[realm]]
name = "default"
inside = ["{INSIDE_PREFIX}"]

[pool]
addresses = ["{POOL}"]

[blocks]
size = 256

[ledger]
path = "{ledger}"
"#,
        ledger = ledger.display(),
    )
}

fn run(topology: &Topology, configuration: &Path, start: u32) -> Result<Running, Failure> {
    let program = prerequisite::portledger()
        .ok_or_else(|| Failure::Missing("the portledger program".to_owned()))?;
    let mut command = topology.cgn.command(&program.to_string_lossy());
    command.args(["nat", "run", "-c"]).arg(configuration);
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
