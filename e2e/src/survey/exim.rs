//! Exim with what Debian makes of its pieces in short: SMTP alone, a log of its own.
//!
//! Debian's package goes with no other mail server and makes a user. Here it is unpacked beside, and runs in a mount
//! namespace where that user is known.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Surveyed, client};
use crate::process::Running;
use crate::{Failure, file, prerequisite, read};

/// Exim.
#[derive(Debug)]
pub(super) struct Exim;

/// Stands where `exim` is looked for. `exec` all the way: who stops it stops Exim.
const SCRIPT: &str = r#"#!/bin/sh
exec unshare --mount sh -ec '
mount --bind "$0/passwd" /etc/passwd
mount --bind "$0/group" /etc/group
exec "$@"
' @AT@ @PROGRAM@ "$@"
"#;

/// Whose user number Debian's user gets, here.
const NOBODY: u32 = 65_534;

impl Surveyed for Exim {
    fn name(&self) -> &'static str {
        "exim"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["exim4", "unshare"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        let program = prerequisite::program("exim4")
            .ok_or_else(|| Failure::Missing("no program exim4".to_owned()))?;
        let program = program.display();
        place.write(
            "exim.conf",
            &format!(
                "exim_path = {program}\nkeep_environment =\nprimary_hostname = mail.example.org\ndomainlist local_domains = @\nspool_directory = {at}/spool\nlog_file_path = {at}/log/%slog\npid_file_path = {at}/spool/pid\ndaemon_smtp_ports = {port}\nlocal_interfaces = <; 0.0.0.0 ; ::0\ntls_advertise_hosts =\nlog_selector = +smtp_protocol_error +smtp_syntax_error +tls_certificate_verified +tls_peerdn\nacl_smtp_rcpt = acl_check_rcpt\n\nbegin acl\n\nacl_check_rcpt:\n  accept hosts = :\n  deny message = relay not permitted\n"
            ),
        )?;
        for name in ["spool", "log"] {
            let folder = place.folder.join(name);
            file(&folder, |path| {
                fs::create_dir_all(path)?;
                chown(path, Some(NOBODY), Some(NOBODY))
            })?;
        }
        // In front of one that the machine may have.
        for (name, fields) in [
            ("passwd", "x:65534:65534::/:/bin/false"),
            ("group", "x:65534:"),
        ] {
            let known = read(&PathBuf::from("/etc").join(name))?;
            place.write(name, &format!("Debian-exim:{fields}\n{known}"))?;
        }
        let script = SCRIPT
            .replace("@AT@", &at.to_string())
            .replace("@PROGRAM@", &program.to_string());
        for name in ["bin/exim", "bin/exim4"] {
            let path = place.write(name, &script)?;
            file(&path, |path| {
                fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            })?;
        }
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("exim.conf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        place.folder.join("log/mainlog")
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let mut command = Command::new(place.folder.join("bin/exim"));
        command.arg("-C").arg(self.config(place)).arg("-bdf");
        place.listening(&mut command)
    }

    /// A client that brings no mail: what is logged least.
    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        let stream = client::connect_from(from, place.port)?;
        let turns = [
            ("220 ", "EHLO client.example.org\r\n"),
            ("250 ", "QUIT\r\n"),
            ("221 ", ""),
        ];
        client::converse(stream, &turns)
    }

    fn mistake(&self) -> Option<&'static str> {
        Some("begin no_such_section")
    }
}
