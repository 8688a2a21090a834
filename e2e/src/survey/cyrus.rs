//! Cyrus IMAP with Debian's `imapd.conf` and `cyrus.conf` in short, logging by way of syslog.
//!
//! Debian's package goes with no other IMAP server and makes a user: here it is unpacked beside, its programs named
//! by their paths, and it runs as nobody.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Place, Surveyed, below, client, syslog};
use crate::process::{Running, finish};
use crate::{Failure, file, prerequisite};

/// Cyrus IMAP.
#[derive(Debug)]
pub(super) struct Cyrus;

/// By their paths from where servers are.
const MASTER: &str = "../lib/cyrus/bin/master";
const IMAPD: &str = "../lib/cyrus/bin/imapd";

/// Whose numbers nobody and nogroup have on Debian.
const NOBODY: u32 = 65_534;

impl Cyrus {
    /// Where its programs were unpacked.
    fn programs() -> Result<PathBuf, Failure> {
        let master = prerequisite::program(MASTER)
            .ok_or_else(|| Failure::Missing("no Cyrus master".to_owned()))?;
        let unpacked = file(&master, |path| fs::canonicalize(path))?;
        Ok(unpacked.parent().unwrap_or(Path::new("/")).to_path_buf())
    }

    /// Its libraries were unpacked with it, in one folder for each kind of machine.
    fn libraries() -> Result<String, Failure> {
        let programs = Self::programs()?;
        let lib = programs.ancestors().nth(2).unwrap_or(&programs);
        let folders = file(lib, |path| {
            fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()
        })?;
        let mut paths = folders.into_iter().map(|entry| entry.path());
        let folder = paths.find(|path| path.join("libcyrus.so.0").exists());
        folder
            .map(|path| path.display().to_string())
            .ok_or_else(|| Failure::Missing("no libcyrus".to_owned()))
    }
}

impl Surveyed for Cyrus {
    fn name(&self) -> &'static str {
        "cyrus"
    }

    fn programs(&self) -> &'static [&'static str] {
        &[MASTER, IMAPD, "saslpasswd2", "rsyslogd", "unshare"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        let (programs, libraries) = (Self::programs()?, Self::libraries()?);
        let bin = programs.display();
        let config = self.config(place).display().to_string();
        place.write(
            "imapd.conf",
            &format!(
                "configdirectory: {at}/lib\nproc_path: {at}/run/proc\nmboxname_lockpath: {at}/run/lock\ndefaultpartition: default\npartition-default: {at}/spool\naltnamespace: no\nunixhierarchysep: no\nservername: mail.example.org\nallowanonymouslogin: no\numask: 077\nhashimapspool: true\nallowplaintext: yes\nsasl_pwcheck_method: auxprop\nsasl_auxprop_plugin: sasldb\nsasl_sasldb_path: {at}/lib/sasldb2\nsasl_mech_list: PLAIN\nidlesocket: {at}/run/idle\nnotifysocket: {at}/run/notify\nsyslog_prefix: cyrus\ncyrus_user: nobody\ncyrus_group: nogroup\n"
            ),
        )?;
        place.write(
            "cyrus.conf",
            &format!(
                "START {{\n  recover cmd=\"{bin}/ctl_cyrusdb -C {config} -r\"\n}}\nSERVICES {{\n  imap cmd=\"{bin}/imapd -C {config} -U 30\" listen=\"127.0.0.1:{port}\" prefork=0 maxchild=100\n  imap6 cmd=\"{bin}/imapd -C {config} -U 30\" listen=\"[::1]:{port}\" prefork=0 maxchild=100\n  notify cmd=\"{bin}/notifyd -C {config}\" listen=\"{at}/run/notify\" proto=\"udp\" prefork=1\n}}\nEVENTS {{\n}}\n"
            ),
        )?;
        for name in [
            "lib/db",
            "lib/socket",
            "lib/proc",
            "run/proc",
            "run/lock",
            "spool",
        ] {
            file(&place.folder.join(name), |path| fs::create_dir_all(path))?;
        }
        // Where our program finds what checks the configuration.
        let script =
            format!("#!/bin/sh\nexport LD_LIBRARY_PATH={libraries}\nexec {bin}/cyr_info \"$@\"\n");
        let script = place.write("bin/cyr_info", &script)?;
        file(&script, |path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        })?;
        place.write("password", "secret")?;
        let mut command = Command::new("sh");
        command.args([
            "-ec",
            "saslpasswd2 -p -c -f \"$0\" -u mail.example.org alice < \"$1\"",
            &below(place, "lib/sasldb2"),
            &below(place, "password"),
        ]);
        finish(&mut command, Duration::from_secs(20))?.succeeded()?;
        for name in [
            "lib",
            "lib/db",
            "lib/socket",
            "lib/proc",
            "lib/sasldb2",
            "run",
            "run/proc",
            "run/lock",
            "spool",
        ] {
            file(&place.folder.join(name), |path| {
                chown(path, Some(NOBODY), Some(NOBODY))
            })?;
        }
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("imapd.conf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        syslog::log(place)
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let libraries = format!("LD_LIBRARY_PATH={}", Self::libraries()?);
        let master = Self::programs()?.join("master").display().to_string();
        let config = self.config(place).display().to_string();
        let (services, pid) = (below(place, "cyrus.conf"), below(place, "pid"));
        let server = [
            "env", &libraries, &master, "-D", "-C", &config, "-M", &services, "-p", &pid,
        ];
        place.listening(&mut syslog::beside(place, &server)?)
    }

    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        let stream = client::connect_from(from, place.port)?;
        let turns = [
            ("* OK", "a LOGIN alice secret\r\n"),
            ("a OK", "b LOGOUT\r\n"),
            ("b OK", ""),
        ];
        client::converse(stream, &turns)
    }

    fn mistake(&self) -> Option<&'static str> {
        Some("event_extra_params: noSuchParameter")
    }
}
