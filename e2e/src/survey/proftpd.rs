//! ProFTPD with Debian's configuration in short.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Surveyed, client};
use crate::process::Running;
use crate::{Failure, read};

/// ProFTPD.
#[derive(Debug)]
pub(super) struct Proftpd;

impl Surveyed for Proftpd {
    fn name(&self) -> &'static str {
        "proftpd"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["proftpd"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        place.write(
            "proftpd.conf",
            &format!(
                "UseIPv6 on\n<IfModule mod_ident.c>\n  IdentLookups off\n</IfModule>\nServerName \"Debian\"\nServerType standalone\nDeferWelcome off\nDefaultServer on\nPort {port}\nMaxInstances 30\nUser proftpd\nGroup nogroup\nUmask 022 022\nPidFile {at}/pid\nScoreboardFile {at}/scoreboard\nDelayTable {at}/delay\nTransferLog {at}/xferlog\nSystemLog {at}/proftpd.log\nInclude {at}/conf.d/\n"
            ),
        )?;
        place.write("conf.d/none.conf", "")?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("proftpd.conf")
    }

    /// The log of its own, once there is one.
    fn log(&self, place: &Place) -> PathBuf {
        let name = match read(&self.config(place)) {
            Ok(text) if text.contains("ExtendedLog") => "connections.log",
            _ => "proftpd.log",
        };
        place.folder.join(name)
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let mut command = Command::new("proftpd");
        command.arg("--nodaemon").arg("-c").arg(self.config(place));
        place.listening(&mut command)
    }

    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        let stream = client::connect_from(from, place.port)?;
        let turns = [
            ("220 ", "USER alice\r\n"),
            ("331 ", "QUIT\r\n"),
            ("221 ", ""),
        ];
        client::converse(stream, &turns)
    }

    fn mistake(&self) -> Option<&'static str> {
        Some("NoSuchDirective on")
    }
}
