//! OpenSSH with Debian's configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Place, Surveyed, below, client, syslog};
use crate::process::{Running, finish};
use crate::{Failure, file};

/// OpenSSH.
#[derive(Debug)]
pub(super) struct Openssh;

impl Surveyed for Openssh {
    fn name(&self) -> &'static str {
        "openssh"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["sshd", "ssh-keygen", "rsyslogd", "unshare"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let key = below(place, "host_key");
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-f", &key]);
        finish(&mut command, Duration::from_secs(20))?.succeeded()?;
        let port = place.port;
        place.write(
            "sshd_config",
            &format!(
                "Port {port}\nHostKey {key}\nPidFile none\nUsePAM no\nKbdInteractiveAuthentication no\nX11Forwarding yes\nPrintMotd no\nAcceptEnv LANG LC_*\n"
            ),
        )?;
        let run = PathBuf::from("/run/sshd");
        file(&run, |path| std::fs::create_dir_all(path))
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("sshd_config")
    }

    fn log(&self, place: &Place) -> PathBuf {
        syslog::log(place)
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let config = self.config(place).display().to_string();
        let mut command = syslog::beside(place, &["/usr/sbin/sshd", "-D", "-f", &config])?;
        place.listening(&mut command)
    }

    /// A client of another mind: it says that it speaks something else, and is told so.
    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        let stream = client::connect_from(from, place.port)?;
        let answer = client::ask(stream, "HELLO\r\n")?;
        if answer.starts_with("SSH-2.0-") {
            return Ok(());
        }
        Err(Failure::Unexpected {
            what: "sshd's answer".to_owned(),
            text: answer,
        })
    }

    fn mistake(&self) -> Option<&'static str> {
        Some("NoSuchKeyword yes")
    }
}
