//! Postfix with Debian's configuration in short: smtpd alone, syslog.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Place, Surveyed, client, syslog};
use crate::process::{Running, finish};
use crate::{Failure, file};

/// Its master leaves whoever started it, and only its own command stops it.
const SCRIPT: &str = r#"
trap 'postfix -c "$0" stop; exit' TERM
postfix -c "$0" start
while :; do sleep 0.2; done
"#;

/// Postfix.
#[derive(Debug)]
pub(super) struct Postfix;

impl Surveyed for Postfix {
    fn name(&self) -> &'static str {
        "postfix"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["postfix", "rsyslogd", "unshare"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        place.write(
            "etc/main.cf",
            &format!(
                "compatibility_level = 3.6\nqueue_directory = {at}/spool\ndata_directory = {at}/lib\nmyhostname = mail.example.org\nmydestination = mail.example.org, localhost\nmynetworks = 127.0.0.0/8 [::1]/128\ninet_interfaces = all\ninet_protocols = all\nalias_maps =\nlocal_recipient_maps =\nsmtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n"
            ),
        )?;
        let services = [
            ("pickup", "unix n - n 60 1 pickup"),
            ("cleanup", "unix n - n - 0 cleanup"),
            ("qmgr", "unix n - n 300 1 qmgr"),
            ("rewrite", "unix - - n - - trivial-rewrite"),
            ("bounce", "unix - - n - 0 bounce"),
            ("anvil", "unix - - n - 1 anvil"),
            ("proxymap", "unix - - n - - proxymap"),
            ("postlog", "unix-dgram n - n - 1 postlogd"),
        ]
        .map(|(name, rest)| format!("{name} {rest}\n"))
        .concat();
        place.write(
            "etc/master.cf",
            &format!("{port} inet n - n - - smtpd\n{services}"),
        )?;
        for name in ["spool", "lib"] {
            file(&place.folder.join(name), |path| fs::create_dir_all(path))?;
        }
        let mut command = Command::new("chown");
        command.arg("postfix").arg(place.folder.join("lib"));
        finish(&mut command, Duration::from_secs(5))?.succeeded()?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("etc/main.cf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        syslog::log(place)
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let folder = place.folder.join("etc").display().to_string();
        let mut command = syslog::beside(place, &["bash", "-c", SCRIPT, &folder])?;
        place.listening(&mut command)
    }

    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        let stream = client::connect_from(from, place.port)?;
        client::converse(
            stream,
            &[
                ("220 ", "EHLO client.example.org\r\n"),
                ("250 ", "QUIT\r\n"),
                ("221 ", ""),
            ],
        )
    }

    fn mistake(&self) -> Option<&'static str> {
        // `postfix check` ends with a failure where the queue cannot be.
        Some("queue_directory = /nowhere/at/all")
    }
}
