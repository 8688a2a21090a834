//! `portledger serve` beside a test, and what its ledger answers.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use portledger_e2e::process::{Running, finish};
use portledger_e2e::{Failure, prerequisite};
use portledger_model::Timestamp;
use serde_json::Value;

use crate::peers::LIMIT;

const CONFIGURATION: &str = r#"
ledger = "ledger"
rejects = "rejects.jsonl"

[[listen]]
protocol = "flows"
transport = "udp"
address = "127.0.0.1:0"

[[listen]]
protocol = "lines"
transport = "udp"
address = "127.0.0.1:0"

[[listen]]
protocol = "lines"
transport = "tcp"
address = "127.0.0.1:0"
"#;

/// A collector that hears everybody; its folder goes with it.
pub(crate) struct Serving {
    running: Running,
    folder: tempfile::TempDir,
    /// Where it takes flows over UDP, lines over UDP, and lines over TCP.
    pub(crate) ports: [u16; 3],
}

impl Serving {
    pub(crate) fn start() -> Result<Self, Failure> {
        let folder = tempfile::TempDir::with_prefix("portledger-e2e-").unwrap();
        fs::write(folder.path().join("serve.toml"), CONFIGURATION).unwrap();
        let mut command = Command::new(portledger());
        command.args(["serve", "-c", "serve.toml"]);
        command.current_dir(folder.path());
        let mut running = Running::start(&mut command, &folder.path().join("log"))?;
        running.until("ready", LIMIT, |running| {
            Ok(running
                .output()
                .lines()
                .any(|line| line.starts_with("ready")))
        })?;
        let said = running.output();
        let addresses = said.lines().filter_map(|line| {
            let address = line.rsplit(' ').next()?;
            address.strip_prefix("127.0.0.1:")?.parse().ok()
        });
        let addresses: Vec<u16> = addresses.collect();
        let ports = addresses.try_into().unwrap();
        Ok(Self {
            running,
            folder,
            ports,
        })
    }

    /// What it counted of its one device, as soon as that has `count` of this.
    pub(crate) fn until(&mut self, figure: &str, count: u64) -> Result<Value, Failure> {
        let id = self.running.id().to_string();
        let mut device = Value::Null;
        self.running.until(figure, LIMIT, |running| {
            finish(Command::new("kill").args(["-USR1", &id]), LIMIT)?.succeeded()?;
            device = figures(&running.output());
            Ok(device[figure].as_u64() >= Some(count))
        })?;
        Ok(device)
    }

    /// Ends it; its folder, and what it counted of its one device.
    pub(crate) fn stop(mut self) -> Result<(Asked, Value), Failure> {
        self.running.terminate(LIMIT)?;
        let device = figures(&self.running.output());
        Ok((Asked(self.folder), device))
    }
}

/// The ledger of a collector that has ended.
pub(crate) struct Asked(tempfile::TempDir);

impl Asked {
    /// The verdict on a port of an address around a time, and whom it names.
    pub(crate) fn who(
        &self,
        external: Ipv4Addr,
        port: u16,
        at: Timestamp,
    ) -> Result<(String, Vec<Ipv4Addr>), Failure> {
        who(&self.0.path().join("ledger"), external, port, at)
    }

    /// What was not understood.
    pub(crate) fn rejects(&self) -> String {
        fs::read_to_string(self.0.path().join("rejects.jsonl")).unwrap_or_default()
    }
}

/// Asks a ledger who had a port.
pub(crate) fn who(
    ledger: &Path,
    external: Ipv4Addr,
    port: u16,
    at: Timestamp,
) -> Result<(String, Vec<Ipv4Addr>), Failure> {
    let mut command = Command::new(portledger());
    let (sighted, at) = (format!("{external}:{port}"), at.to_string());
    command.args(["who", &sighted, "--at", &at, "--within", "1s", "--json"]);
    // Its exit status is the verdict.
    let answer = finish(command.arg("--ledger").arg(ledger), LIMIT)?;
    let Ok(said) = serde_json::from_str::<Value>(&answer.stdout) else {
        return Err(answer.into_failure());
    };
    let named = said["allocations"].as_array().unwrap();
    let named = named.iter().map(|held| &held["subscriber"]["internal"]);
    let named = named.map(|address| address.as_str().unwrap().parse().unwrap());
    let verdict = said["verdict"].as_str().unwrap().to_owned();
    Ok((verdict, named.collect()))
}

pub(crate) fn portledger() -> PathBuf {
    prerequisite::portledger().unwrap()
}

/// Of the last object that it printed.
fn figures(output: &str) -> Value {
    let objects = output.lines().rev();
    let mut objects = objects.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    objects
        .next()
        .map_or(Value::Null, |last| last["devices"][0].clone())
}
