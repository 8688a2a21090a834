//! sendmail with what Debian's sendmail.mc has of policy: `delay_checks`, which the rule of RFC 7768 has to live with.
//! Half of the clients name no recipient.
//!
//! Debian's package goes with no other mail server: here it is unpacked beside.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Place, Surveyed, below, client, syslog};
use crate::process::{Running, finish};
use crate::{Failure, file, prerequisite};

/// sendmail.
#[derive(Debug)]
pub(super) struct Sendmail;

/// By their paths from where servers are.
const DAEMON: &str = "../libexec/sendmail/sendmail";
const MAKEMAP: &str = "../libexec/sendmail/makemap";
const MACROS: &str = "../share/sendmail/cf/m4/cf.m4";

/// sendmail sleeps until it knows the machine's full name. `$0` is the place's folder, the rest the server.
const SCRIPT: &str = r#"
printf "127.0.0.1 mail.example.org %s localhost\\n::1 localhost\\n" "$(uname -n)" > "$0/hosts"
mount --bind "$0/hosts" /etc/hosts
exec "$@"
"#;

impl Sendmail {
    /// Where an unpacked file is.
    fn unpacked(name: &str) -> Result<String, Failure> {
        prerequisite::program(name)
            .map(|path| path.display().to_string())
            .ok_or_else(|| Failure::Missing(format!("no {name}")))
    }

    /// As `make -C /etc/mail` does it.
    fn make(&self, place: &Place) -> Result<(), Failure> {
        let macros = Self::unpacked(MACROS)?;
        let folder = macros.trim_end_matches("m4/cf.m4");
        let mut command = Command::new("m4");
        command
            .arg(format!("-D_CF_DIR_={folder}"))
            .arg(below(place, "sendmail.mc"));
        let made = finish(&mut command, Duration::from_secs(20))?.succeeded()?;
        place.write("sendmail.cf", &made.stdout)?;
        Ok(())
    }
}

impl Surveyed for Sendmail {
    fn name(&self) -> &'static str {
        "sendmail"
    }

    fn programs(&self) -> &'static [&'static str] {
        &[DAEMON, MAKEMAP, MACROS, "m4", "rsyslogd", "unshare"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        let macros = Self::unpacked(MACROS)?;
        place.write(
            "sendmail.mc",
            &format!(
                "divert(0)dnl\ninclude(`{macros}')dnl\nVERSIONID(`survey')dnl\nOSTYPE(`linux')dnl\nundefine(`confHOST_STATUS_DIRECTORY')dnl\ndefine(`confDOMAIN_NAME', `mail.example.org')dnl\ndefine(`confPID_FILE', `{at}/pid')dnl\ndefine(`QUEUE_DIR', `{at}/queue')dnl\ndefine(`STATUS_FILE', `{at}/statistics')dnl\ndefine(`ALIAS_FILE', `{at}/aliases')dnl\ndefine(`confTRUSTED_USER', `root')dnl\ndefine(`confDONT_BLAME_SENDMAIL', `GroupWritableDirPathSafe,MapInUnsafeDirPath')dnl\ndefine(`confTO_IDENT', `0')dnl\ndefine(`confSERVICE_SWITCH_FILE', `{at}/service.switch')dnl\nFEATURE(`nocanonify')dnl\nFEATURE(`no_default_msa')dnl\nDAEMON_OPTIONS(`Family=inet,  Name=MTA-v4, Port={port}, Addr=127.0.0.1')dnl\nDAEMON_OPTIONS(`Family=inet6, Name=MTA-v6, Port={port}, Addr=::1')dnl\nFEATURE(`access_db', `hash -T<TMPF> {at}/access', `skip')dnl\nFEATURE(`delay_checks', `friend', `n')dnl\nMAILER(`local')dnl\nMAILER(`smtp')dnl\n"
            ),
        )?;
        place.write("aliases", "")?;
        // Where our program finds it.
        let daemon = Self::unpacked(DAEMON)?;
        let script =
            format!("#!/bin/sh\nexec unshare --mount bash -ec '{SCRIPT}' {at} {daemon} \"$@\"\n");
        let script = place.write("bin/sendmail", &script)?;
        file(&script, |path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        })?;
        // No DNS.
        place.write("service.switch", "hosts files\n")?;
        file(&place.folder.join("queue"), |path| fs::create_dir_all(path))?;
        self.make(place)?;
        let mut command = Command::new(Self::unpacked(MAKEMAP)?);
        command
            .args(["-C", &below(place, "sendmail.cf")])
            .args(["hash", &below(place, "access")]);
        finish(&mut command, Duration::from_secs(20))?.succeeded()?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("sendmail.cf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        syslog::log(place)
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let config = self.config(place).display().to_string();
        let folder = place.folder.display().to_string();
        let daemon = Self::unpacked(DAEMON)?;
        let server = [
            "bash", "-ec", SCRIPT, &folder, &daemon, "-bD", "-C", &config,
        ];
        place.listening(&mut syslog::beside(place, &server)?)
    }

    /// Every second client of each family names a recipient, which is when `delay_checks` lets rules run.
    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        let stream = client::connect_from(from, place.port)?;
        let mut turns = vec![("220 ", "EHLO client.example.org\r\n")];
        if (from.port() / 2).is_multiple_of(2) {
            turns.push(("250 ", "MAIL FROM:<>\r\n"));
            turns.push(("250 ", "RCPT TO:<bob@example.net>\r\n"));
            turns.push(("250 ", "QUIT\r\n"));
        } else {
            turns.push(("250 ", "QUIT\r\n"));
        }
        turns.push(("221 ", ""));
        client::converse(stream, &turns)
    }

    fn mistake(&self) -> Option<&'static str> {
        Some("Rno tab and no right side")
    }
}
