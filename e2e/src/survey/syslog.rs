//! Servers that log through syslog get a syslog daemon of their own: rsyslog, as Debian sets it up, in a mount
//! namespace with a `/dev` of its own.

use std::path::PathBuf;
use std::process::Command;

use super::Place;
use crate::Failure;

/// In a mount namespace: a `/dev` where rsyslog makes `/dev/log`. `$0` is the folder, the rest the server.
/// Neither outlives a test that fails and kills all it started.
const SCRIPT: &str = r#"
mkdir -p "$0/dev"
mount -t tmpfs -o mode=755 none "$0/dev"
for node in null zero full random urandom tty; do cp -a "/dev/$node" "$0/dev/"; done
mkdir -p "$0/dev/shm"
mount --bind "$0/dev" /dev
setpriv --pdeathsig KILL rsyslogd -n -i NONE -f "$0/rsyslog.conf" &
logger=$!
while [ ! -S /dev/log ]; do sleep 0.05; done
setpriv --pdeathsig KILL "$@" &
server=$!
trap 'kill $server' TERM
wait $server || wait $server || true
sleep 0.3
kill $logger
wait $logger || true
"#;

/// The log of all that a server says.
pub(super) fn log(place: &Place) -> PathBuf {
    place.folder.join("syslog.log")
}

/// A command that runs `server` with a syslog daemon that writes to [`log`].
pub(super) fn beside(place: &Place, server: &[&str]) -> Result<Command, Failure> {
    let file = log(place).display().to_string();
    place.write(
        "rsyslog.conf",
        &format!(
            "module(load=\"imuxsock\")\n*.* action(type=\"omfile\" file=\"{file}\" template=\"RSYSLOG_FileFormat\")\n"
        ),
    )?;
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "bash", "-ec", SCRIPT])
        .arg(&place.folder)
        .args(server);
    Ok(command)
}
