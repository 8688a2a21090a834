//! MariaDB with Debian's configuration in short: it can, and only a person can make it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Place, Surveyed, client};
use crate::Failure;
use crate::process::{Running, finish};

/// MariaDB.
#[derive(Debug)]
pub(super) struct Mysql;

impl Surveyed for Mysql {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["mariadbd", "mariadb-install-db"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        // The most it says of connections without a plugin.
        place.write(
            "my.cnf",
            &format!(
                "[mysqld]\nuser = root\npid-file = {at}/pid\nsocket = {at}/socket\nbasedir = /usr\ndatadir = {at}/data\nport = {port}\nbind-address = *\nlog_error = {at}/error.log\nlog_warnings = 9\n"
            ),
        )?;
        let mut command = Command::new("mariadb-install-db");
        command
            .arg(format!("--defaults-file={}", self.config(place).display()))
            .args(["--user=root", "--skip-test-db"]);
        finish(&mut command, Duration::from_secs(120))?.succeeded()?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("my.cnf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        place.folder.join("error.log")
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let mut command = Command::new("mariadbd");
        command.arg(format!("--defaults-file={}", self.config(place).display()));
        place.listening(&mut command)
    }

    /// Hears the greeting and says what is no answer to it: refused, and a warning in the log.
    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        let stream = client::connect_from(from, place.port)?;
        client::converse(stream, &[("mysql_native_password", "\x01\0\0\x01\0")])
    }

    fn mistake(&self) -> Option<&'static str> {
        None
    }
}
