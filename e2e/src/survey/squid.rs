//! Squid with Debian's configuration in short: a proxy for this machine alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Place, Surveyed, client};
use crate::Failure;
use crate::process::{Running, finish};

/// Squid.
#[derive(Debug)]
pub(super) struct Squid;

impl Surveyed for Squid {
    fn name(&self) -> &'static str {
        "squid"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["squid"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        place.write(
            "squid.conf",
            &format!(
                "acl SSL_ports port 443\nacl Safe_ports port 80\nhttp_access deny !Safe_ports\nhttp_access deny CONNECT !SSL_ports\nhttp_access allow localhost manager\nhttp_access deny manager\nhttp_access allow localhost\nhttp_access deny all\nhttp_port {port}\nlogfile_rotate 0\npid_filename {at}/pid\ncache_log {at}/cache.log\ncoredump_dir {at}\naccess_log daemon:{at}/access.log squid\npinger_enable off\nnetdb_filename none\nshutdown_lifetime 1 seconds\nvisible_hostname proxy.example.org\nrefresh_pattern . 0 20% 4320\n"
            ),
        )?;
        // Squid writes its logs as Debian's user.
        let mut command = Command::new("chown");
        command.arg("proxy").arg(&place.folder);
        finish(&mut command, Duration::from_secs(5))?.succeeded()?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("squid.conf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        place.folder.join("access.log")
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let mut command = Command::new("squid");
        command.arg("-N").arg("-f").arg(self.config(place));
        place.listening(&mut command)
    }

    /// A request that names no server to go to: answered and logged.
    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        client::http(from, place.port)
    }

    fn mistake(&self) -> Option<&'static str> {
        Some("http_port no-port")
    }
}
