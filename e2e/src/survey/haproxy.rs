//! HAProxy with Debian's configuration in short, in front of nobody: it answers 503 by itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Place, Surveyed, client, syslog};
use crate::Failure;
use crate::process::Running;

/// HAProxy.
#[derive(Debug)]
pub(super) struct Haproxy;

impl Surveyed for Haproxy {
    fn name(&self) -> &'static str {
        "haproxy"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["haproxy", "rsyslogd", "unshare"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let port = place.port;
        place.write(
            "haproxy.cfg",
            &format!(
                "global\n\tlog /dev/log\tlocal0\n\tuser haproxy\n\tgroup haproxy\n\ndefaults\n\tlog\tglobal\n\tmode\thttp\n\toption\thttplog\n\toption\tdontlognull\n\ttimeout connect 5000\n\ttimeout client  50000\n\ttimeout server  50000\n\nfrontend web\n\tbind :{port}\n\tbind [::]:{port} v6only\n\tdefault_backend none\n\nbackend none\n"
            ),
        )?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("haproxy.cfg")
    }

    fn log(&self, place: &Place) -> PathBuf {
        syslog::log(place)
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let config = self.config(place).display().to_string();
        let mut command = syslog::beside(place, &["haproxy", "-db", "-f", &config])?;
        place.listening(&mut command)
    }

    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        client::http(from, place.port)
    }

    fn mistake(&self) -> Option<&'static str> {
        Some("no such keyword")
    }
}
