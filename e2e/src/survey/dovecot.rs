//! Dovecot with Debian's configuration in short: IMAP, a user in the configuration, syslog.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Place, Surveyed, client, syslog};
use crate::Failure;
use crate::process::Running;

/// Dovecot.
#[derive(Debug)]
pub(super) struct Dovecot;

impl Surveyed for Dovecot {
    fn name(&self) -> &'static str {
        "dovecot"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["dovecot", "rsyslogd", "unshare"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        place.write(
            "dovecot.conf",
            &format!(
                "base_dir = {at}/run\nprotocols = imap\nlisten = *, ::\nssl = no\ndisable_plaintext_auth = no\nmail_location = maildir:{at}/mail\nfirst_valid_uid = 1\npassdb {{\n  driver = static\n  args = password=secret\n}}\nuserdb {{\n  driver = static\n  args = uid=nobody gid=nogroup home={at}\n}}\nservice imap-login {{\n  inet_listener imap {{\n    port = {port}\n  }}\n}}\n"
            ),
        )?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("dovecot.conf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        syslog::log(place)
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let config = self.config(place).display().to_string();
        let mut command = syslog::beside(place, &["dovecot", "-F", "-c", &config])?;
        place.listening(&mut command)
    }

    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        let stream = client::connect_from(from, place.port)?;
        client::converse(stream, &[("* OK", "a LOGOUT\r\n"), ("a OK", "")])
    }

    fn mistake(&self) -> Option<&'static str> {
        Some("no_such_setting = yes")
    }
}
