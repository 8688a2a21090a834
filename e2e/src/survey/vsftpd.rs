//! vsftpd with Debian's configuration, which has no way to log a port.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Surveyed, client};
use crate::process::Running;
use crate::{Failure, file, prerequisite};

/// vsftpd.
#[derive(Debug)]
pub(super) struct Vsftpd;

impl Surveyed for Vsftpd {
    fn name(&self) -> &'static str {
        "vsftpd"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["vsftpd"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        place.write(
            "vsftpd.conf",
            &format!(
                "listen=NO\nlisten_ipv6=YES\nlisten_port={port}\nanonymous_enable=NO\nlocal_enable=YES\ndirmessage_enable=YES\nuse_localtime=YES\nxferlog_enable=YES\nvsftpd_log_file={at}/vsftpd.log\nconnect_from_port_20=YES\nsecure_chroot_dir={at}/empty\npam_service_name=vsftpd\nssl_enable=NO\n"
            ),
        )?;
        let empty = place.folder.join("empty");
        file(&empty, |path| fs::create_dir_all(path))
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("vsftpd.conf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        place.folder.join("vsftpd.log")
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let program = prerequisite::program("vsftpd")
            .ok_or_else(|| Failure::Missing("no program vsftpd".to_owned()))?;
        let mut command = Command::new(program);
        place.listening(command.arg(self.config(place)))
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
        None
    }
}
