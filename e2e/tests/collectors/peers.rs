//! Starting other people's programs as children, on loopback.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use portledger_e2e::Failure;
use portledger_e2e::process::{Running, finish};

use crate::blocks::Told;

/// How long a program may take to start or stop.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A port of this machine that nobody listens at, for UDP and TCP.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until somebody listens at a port (`udp` or `tcp`). The kernel is asked: a connection would be in the peer's
/// file.
pub(crate) fn until_listening(
    running: &mut Running,
    transport: &str,
    port: u16,
) -> Result<(), Failure> {
    let end = format!(":{port}");
    running.until(&format!("{transport} port {port}"), LIMIT, |_| {
        let mut command = Command::new("ss");
        command.args(["--no-header", "--listening", "--numeric"]);
        let sockets = finish(command.arg(format!("--{transport}")), LIMIT)?.succeeded()?;
        let mut words = sockets.stdout.split_whitespace();
        Ok(words.any(|word| word.ends_with(&end)))
    })
}

/// Ends a program of pmacct's: its core process heeds no SIGTERM, and its plugins outlive it when it is killed.
pub(crate) fn interrupt(running: &mut Running) -> Result<(), Failure> {
    let id = running.id().to_string();
    finish(Command::new("kill").args(["-INT", &id]), LIMIT)?.succeeded()?;
    running.wait(LIMIT).map(drop)
}

/// nfdump's collector, in the folder of what it is told.
pub(crate) struct Nfcapd {
    running: Running,
    /// Where it listens, over UDP.
    pub(crate) port: u16,
    /// Its files; complete when it has stopped.
    pub(crate) folder: PathBuf,
}

impl Nfcapd {
    pub(crate) fn start(told: &Told) -> Result<Self, Failure> {
        let (port, folder) = (free_port(), told.path("flows"));
        fs::create_dir(&folder).unwrap();
        let mut command = Command::new("nfcapd");
        command.args(["-b", "127.0.0.1", "-p", &port.to_string(), "-t", "3600"]);
        command.arg("-w").arg(&folder);
        let mut running = Running::start(&mut command, &told.path("nfcapd.log"))?;
        until_listening(&mut running, "udp", port)?;
        Ok(Self {
            running,
            port,
            folder,
        })
    }

    pub(crate) fn stop(&mut self) -> Result<(), Failure> {
        self.running.terminate(LIMIT)
    }
}
