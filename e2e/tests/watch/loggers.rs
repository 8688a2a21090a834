//! The watcher's lines through each of the loggers that Linux systems have, in each form that they write.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use portledger_e2e::process::{Running, finish};
use portledger_e2e::{Failure, file, prerequisite, read, syslog_ng, wait_for};
use portledger_model::Timestamp;
use serde_json::Value;

use crate::{LIMIT, Network, SERVER, portledger, seconds};

/// A logger of one test.
struct Logger {
    command: Command,
    /// Where programs write to it.
    socket: PathBuf,
    written: Written,
}

/// What it wrote so far, by form.
type Written = Box<dyn Fn() -> Result<Vec<(&'static str, String)>, Failure>>;

#[test]
fn what_rsyslog_writes_of_the_log_is_read() -> Result<(), Failure> {
    if !prerequisite::met_with_portledger(&["setpriv", "rsyslogd"])? {
        return Ok(());
    }
    is_read(|folder| {
        let (socket, action) = (folder.join("socket"), |form: &&str| {
            let file = folder.join(form);
            format!(
                "*.* action(type=\"omfile\" file=\"{}\" template=\"{form}\")\n",
                file.display()
            )
        });
        let actions: String = RSYSLOG.iter().map(action).collect();
        let configuration = format!(
            "module(load=\"imuxsock\" sysSock.use=\"off\")\ninput(type=\"imuxsock\" socket=\"{}\")\n{actions}",
            socket.display()
        );
        let path = folder.join("rsyslog.conf");
        file(&path, |path| fs::write(path, configuration))?;
        let mut command = Command::new("rsyslogd");
        command.args(["-n", "-i", "NONE", "-f"]).arg(path);
        Ok(Logger {
            command,
            socket,
            written: files(folder, RSYSLOG),
        })
    })
}

const RSYSLOG: &[&str] = &[
    "RSYSLOG_FileFormat",
    "RSYSLOG_TraditionalFileFormat",
    "RSYSLOG_SyslogProtocol23Format",
];

#[test]
fn what_syslog_ng_writes_of_the_log_is_read() -> Result<(), Failure> {
    if !prerequisite::met_with_portledger(&["setpriv", "syslog-ng"])? {
        return Ok(());
    }
    is_read(|folder| {
        let (socket, folder_text) = (folder.join("socket"), folder.display());
        let configuration = format!(
            r#"@version: 3.38
source s {{ unix-dgram("{socket}"); }};
destination d {{
  file("{folder_text}/traditional");
  file("{folder_text}/iso" ts-format(iso) frac-digits(6));
  file("{folder_text}/fractions" frac-digits(3) template("$DATE $HOST $MSGHDR$MSG\n"));
  file("{folder_text}/seconds" template("$UNIXTIME.$MSEC $HOST $MSGHDR$MSG\n"));
  file("{folder_text}/protocol" flags(syslog-protocol));
}};
log {{ source(s); destination(d); }};
"#,
            socket = socket.display(),
        );
        Ok(Logger {
            command: syslog_ng::command(&configuration, folder)?,
            socket,
            written: files(
                folder,
                &["traditional", "iso", "fractions", "seconds", "protocol"],
            ),
        })
    })
}

/// journald alone, without the rest of systemd and what the kernel says: in a mount namespace whose `/run` is the
/// folder's. `$0` is the folder.
const JOURNALD: &str = r#"
mkdir -p "$0/run/systemd/journal" "$0/run/systemd/journald.conf.d" "$0/run/log/journal"
printf '[Journal]\nStorage=volatile\nReadKMsg=no\n' > "$0/run/systemd/journald.conf.d/test.conf"
mount --bind "$0/run" /run
echo 0123456789abcdef0123456789abcdef > "$0/machine-id"
[ -f /etc/machine-id ] && mount --bind "$0/machine-id" /etc/machine-id
exec /lib/systemd/systemd-journald
"#;

#[test]
fn what_journalctl_prints_of_the_log_is_read() -> Result<(), Failure> {
    let programs = [
        "setpriv",
        "unshare",
        "journalctl",
        "/lib/systemd/systemd-journald",
    ];
    if !prerequisite::met_with_portledger(&programs)? {
        return Ok(());
    }
    is_read(|folder| {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "bash", "-ec", JOURNALD])
            .arg(folder);
        let journal = folder.join("run/log/journal");
        let written: Written = Box::new(move || {
            let print = |form: &'static str| {
                let mut command = Command::new("journalctl");
                command
                    .arg("-D")
                    .arg(&journal)
                    .args(["--quiet", "-o", form]);
                // Which has no names of programs.
                if form == "cat" {
                    command.args(["-t", "portledger-watch"]);
                }
                let printed = finish(&mut command, LIMIT)?.succeeded()?;
                Ok((form, printed.stdout))
            };
            JOURNALCTL.iter().copied().map(print).collect()
        });
        Ok(Logger {
            command,
            socket: folder.join("run/systemd/journal/dev-log"),
            written,
        })
    })
}

const JOURNALCTL: &[&str] = &[
    "short",
    "short-iso",
    "short-iso-precise",
    "short-precise",
    "short-unix",
    "cat",
];

/// The files of these names.
fn files(folder: &Path, names: &'static [&'static str]) -> Written {
    let folder = folder.to_owned();
    Box::new(move || {
        let read = |name: &&'static str| (*name, read(&folder.join(name)).unwrap_or_default());
        Ok(names.iter().map(read).collect())
    })
}

/// Connections are watched, their lines are told to the logger, and what it wrote of them tells of each.
fn is_read(logger: impl Fn(&Path) -> Result<Logger, Failure>) -> Result<(), Failure> {
    let network = Network::new()?;
    let folder = network.path("logger");
    file(&folder, |folder| fs::create_dir_all(folder))?;
    let mut logger = logger(&folder)?;
    let mut running = Running::start(&mut logger.command, &network.path("logger.out"))?;
    running.until("it listens", LIMIT, |_| Ok(logger.socket.exists()))?;

    network.listen(&format!("{SERVER}:9000"))?;
    let mut watch = network.watch_to("--syslog", &logger.socket, &["--port", "9000"])?;
    let mut made = Vec::new();
    for from in ["192.0.2.7", "192.0.2.8", "192.0.2.7"] {
        let (stream, before, after) = network.connect(from, &format!("{SERVER}:9000"))?;
        let own = stream.local_addr().unwrap();
        made.push((own, seconds(before), seconds(after)));
    }
    // Another program's line of the same words is not the watcher's.
    let other = UnixDatagram::unbound().unwrap();
    let forged = format!("<134>cron: 1795258402.123456 192.0.2.66 4242 {SERVER} 9000 tcp");
    other.send_to(forged.as_bytes(), &logger.socket).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    watch.terminate(LIMIT)?;

    wait_for("all lines", || {
        let written = (logger.written)()?;
        Ok(written
            .iter()
            .all(|(_, text)| text.lines().any(|line| line.ends_with(" stop"))))
    })?;
    for (form, text) in (logger.written)()? {
        let path = network.path(form);
        file(&path, |path| fs::write(path, &text))?;
        assert_read("connection", &path, &made)?;
        // Without a header it is no file of syslog's.
        if form != "cat" {
            assert_read("syslog", &path, &made)?;
        }
    }
    Ok(())
}

/// A connection: the client's own end, and between which seconds it began.
type Made = (SocketAddr, f64, f64);

/// The file tells of these connections and of nothing else.
fn assert_read(format: &str, path: &Path, made: &[Made]) -> Result<(), Failure> {
    let text = read(path)?;
    let mut command = Command::new(portledger());
    command.args(["sightings", "--json", "--format", format]);
    let printed = finish(command.arg(path), LIMIT)?.succeeded()?;
    let shown = format!("{} as {format}\n{text}\n{}", path.display(), printed.stderr);
    assert!(printed.stderr.contains(", 0 rejected"), "{shown}");
    let lines = printed.stdout.lines();
    let seen: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(seen.len(), made.len(), "{shown}");
    for (sighting, (own, before, after)) in seen.iter().zip(made) {
        assert_eq!(sighting["address"], own.ip().to_string(), "{shown}");
        assert_eq!(sighting["port"], own.port(), "{shown}");
        assert_eq!(sighting["destination"]["port"], 9000, "{shown}");
        assert_eq!(sighting["moment"], "connect", "{shown}");
        let at: Timestamp = sighting["at"].as_str().unwrap().parse().unwrap();
        let at = at.as_micros() as f64 / 1e6;
        // Both clocks are the machine's; the log has whole microseconds.
        assert!((before - 2e-6..=*after).contains(&at), "{at} {shown}");
    }
    Ok(())
}
