//! Tests across processes: real clients and servers, the NAT between them, in network namespaces.
//!
//! A [`topology::Topology`] is a small Internet made of namespaces: inside hosts, the carrier-grade NAT they
//! reach the world through, and an outside with servers. [`servers`] runs nginx, Apache, OpenSSH, a STUN server
//! and iperf3 there, [`client`] runs their real clients on the inside hosts, [`nat`] runs `portledger nat run`
//! between them, and [`trace`] compares what `portledger trace` answers for every line of a server's log with
//! [`truth`]: what each host knows it did.
//!
//! The tests in `tests/collectors` need no such Internet: there other people's collectors, exporters and relays run on
//! loopback, and talk to ours.
//!
//! All of it needs root, namespaces, `/dev/net/tun` and Debian packages that `cargo xtask test` installs. Each
//! test asks [`prerequisite`] first: what is missing skips the test with a line that says so, and fails it when
//! `PORTLEDGER_E2E=1`, as `cargo xtask test` sets it.
//!
//! ```
//! # fn main() -> Result<(), portledger_e2e::Failure> {
//! use portledger_e2e::{prerequisite, topology::Topology};
//!
//! if prerequisite::met(&["ping"])? {
//!     let network = Topology::new(2)?;
//!     network.translate_in_kernel(false)?;
//!     network.hosts[0].ping("198.51.100.10", 1)?;
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod client;
pub mod customers;
mod failure;
pub mod modes;
pub mod namespace;
pub mod nat;
pub mod prerequisite;
pub mod process;
pub mod servers;
pub mod softwire;
pub mod survey;
pub mod syslog_ng;
pub mod topology;
pub mod trace;
pub mod truth;

pub use failure::Failure;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long [`wait_for`] waits.
const LIMIT: Duration = Duration::from_secs(30);

/// The text of a file, such as a server's log.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<String, Failure> {
    file(path, |path| std::fs::read_to_string(path))
}

/// Does `work` with a file; a failure names it.
///
/// # Errors
/// When `work` fails.
pub fn file<T>(path: &Path, work: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, Failure> {
    work(path).map_err(|source| Failure::File {
        path: path.to_path_buf(),
        source,
    })
}

/// Looks again and again until `ready`, for at most 30 seconds.
///
/// # Errors
/// When that time has passed, or `ready` fails.
pub fn wait_for(
    what: &str,
    mut ready: impl FnMut() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let begun = Instant::now();
    while !ready()? {
        if begun.elapsed() > LIMIT {
            let (what, log) = (what.to_owned(), String::new());
            return Err(Failure::NotReady {
                what,
                waited: LIMIT,
                log,
            });
        }
        std::thread::sleep(process::PAUSE);
    }
    Ok(())
}
