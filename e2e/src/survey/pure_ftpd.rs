//! Pure-FTPd as Debian's wrapper starts it with `DontResolve`; it has no way to log a port.
//!
//! Debian's package goes with no other FTP server: here it is unpacked beside.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Place, Surveyed, client, syslog};
use crate::process::Running;
use crate::{Failure, prerequisite};

/// Pure-FTPd.
#[derive(Debug)]
pub(super) struct PureFtpd;

impl Surveyed for PureFtpd {
    fn name(&self) -> &'static str {
        "pure-ftpd"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["pure-ftpd", "rsyslogd", "unshare"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        for (name, value) in [
            ("DontResolve", "yes"),
            ("MinUID", "1000"),
            ("NoAnonymous", "yes"),
            ("PureDB", "/etc/pure-ftpd/pureftpd.pdb"),
        ] {
            place.write(&format!("conf/{name}"), &format!("{value}\n"))?;
        }
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("conf/PureDB")
    }

    fn log(&self, place: &Place) -> PathBuf {
        syslog::log(place)
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let program = prerequisite::program("pure-ftpd")
            .ok_or_else(|| Failure::Missing("no program pure-ftpd".to_owned()))?;
        let (program, port) = (program.display().to_string(), format!(",{}", place.port));
        let pid = super::below(place, "pid");
        // What the wrapper makes of the files above.
        let server = [&*program, "-H", "-u", "1000", "-E", "-S", &port, "-g", &pid];
        place.listening(&mut syslog::beside(place, &server)?)
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
