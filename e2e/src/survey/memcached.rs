//! memcached, and beside it the client of the guide that asks for connections and keeps what it is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{NOBODY, Place, Surveyed, client};
use crate::Failure;
use crate::process::Running;

/// memcached.
#[derive(Debug)]
pub(super) struct Memcached;

/// Starts the server and the client that watches, which is told up to a second later. `$0` is the folder, `$1` the
/// port, `$2` who it runs as: were it to change that itself, it would outlive the script.
const SCRIPT: &str = r#"
setpriv --reuid "$2" --clear-groups --pdeathsig KILL memcached -p "$1" -l 127.0.0.1,::1 -m 16 &
until { exec 3<> "/dev/tcp/127.0.0.1/$1"; } 2>/dev/null; do sleep 0.05; done
echo watch connevents >&3
setpriv --pdeathsig KILL cat <&3 >> "$0/connections.log" &
trap 'sleep 2; exit 0' TERM
wait
"#;

impl Surveyed for Memcached {
    fn name(&self) -> &'static str {
        "memcached"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["memcached", "setpriv"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        place.write(
            "memcached.conf",
            &format!("-d\nlogfile {at}/memcached.log\n-m 16\n-p {port}\n-l 127.0.0.1\n-l ::1\n"),
        )?;
        place.write("connections.log", "")?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("memcached.conf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        place.folder.join("connections.log")
    }

    /// It is no log of the server's configuration, which audit reads.
    fn format(&self) -> Option<&'static str> {
        Some("memcached")
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let mut command = Command::new("bash");
        command
            .args(["-ec", SCRIPT])
            .arg(&place.folder)
            .args([&place.port.to_string(), NOBODY]);
        let running = place.listening(&mut command)?;
        std::thread::sleep(Duration::from_millis(300));
        Ok(running)
    }

    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        let stream = client::connect_from(from, place.port)?;
        let said = client::ask(stream, "version\r\nquit\r\n")?;
        match said.starts_with("VERSION ") {
            true => Ok(()),
            false => Err(Failure::Unexpected {
                what: "memcached's version".to_owned(),
                text: said,
            }),
        }
    }

    fn mistake(&self) -> Option<&'static str> {
        None
    }
}
