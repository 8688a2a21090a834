//! PostgreSQL with Debian's configuration in short: a cluster of its own, logging to a file of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Place, Surveyed, client};
use crate::process::{Running, finish};
use crate::{Failure, file};

/// PostgreSQL.
#[derive(Debug)]
pub(super) struct Postgresql;

/// Debian's, of Debian 12.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

impl Surveyed for Postgresql {
    fn name(&self) -> &'static str {
        "postgresql"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["/usr/lib/postgresql/15/bin/postgres", "setpriv"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        let main = format!(
            "data_directory = '{at}/data'\nhba_file = '{at}/pg_hba.conf'\nident_file = '{at}/pg_ident.conf'\nlisten_addresses = '*'\nport = {port}\nmax_connections = 100\nunix_socket_directories = '{at}'\nlogging_collector = on\nlog_directory = '{at}'\nlog_filename = 'postgresql.log'\nlog_line_prefix = '%m [%p] %q%u@%d '\nlog_timezone = 'Etc/UTC'\ntimezone = 'Etc/UTC'\n#log_connections = off\n"
        );
        place.write("postgresql.conf", &main)?;
        place.write("pg_hba.conf", "host all all all reject\n")?;
        place.write("pg_ident.conf", "")?;
        let data = place.folder.join("data");
        file(&data, |path| fs::create_dir_all(path))?;
        own(place)?;
        let mut command = as_postgres(&format!("{PROGRAMS}/initdb"));
        command
            .args(["--no-sync", "--auth=reject", "-D"])
            .arg(&data);
        finish(&mut command, Duration::from_secs(120))?.succeeded()?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("postgresql.conf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        place.folder.join("postgresql.log")
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        own(place)?;
        let mut command = as_postgres(&format!("{PROGRAMS}/postgres"));
        command
            .arg("-D")
            .arg(place.folder.join("data"))
            .arg(format!("--config-file={}", self.config(place).display()));
        place.listening(&mut command)
    }

    /// A start-up packet (protocol 3.0) for a user who is refused: the server logs that it was asked.
    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        let mut stream = client::connect_from(from, place.port)?;
        let mut packet = vec![0, 0, 0, 0, 0, 3, 0, 0];
        packet.extend(b"user\0alice\0database\0postgres\0\0");
        let length = u32::try_from(packet.len())
            .unwrap_or_default()
            .to_be_bytes();
        packet.splice(0..4, length);
        let mut answer = Vec::new();
        let asked = stream
            .write_all(&packet)
            .and_then(|()| stream.read_to_end(&mut answer));
        match asked {
            Ok(_) if answer.first() == Some(&b'E') => Ok(()),
            _ => Err(Failure::Unexpected {
                what: "PostgreSQL's refusal".to_owned(),
                text: String::from_utf8_lossy(&answer).into_owned(),
            }),
        }
    }

    fn mistake(&self) -> Option<&'static str> {
        Some("no_such_setting = on")
    }
}

/// PostgreSQL refuses to run as root.
fn as_postgres(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid",
        "postgres",
        "--regid",
        "postgres",
        "--clear-groups",
        program,
    ]);
    command
}

/// Gives the place's files to PostgreSQL's user.
fn own(place: &Place) -> Result<(), Failure> {
    let mut command = Command::new("id");
    let id = finish(command.args(["-u", "postgres"]), Duration::from_secs(5))?.succeeded()?;
    let user: u32 = id.stdout.trim().parse().map_err(|_| Failure::Unexpected {
        what: "postgres' user number".to_owned(),
        text: id.stdout,
    })?;
    for name in [
        "",
        "data",
        "postgresql.conf",
        "pg_hba.conf",
        "pg_ident.conf",
    ] {
        file(&place.folder.join(name), |path| {
            chown(path, Some(user), None)
        })?;
    }
    Ok(())
}
