//! Real servers as their distribution sets them up, visited from known source ports: what they log of it, what
//! `portledger audit` says of them, what `portledger fix` makes of them. A file each server below `survey/`.
//!
//! ```text
//!   Surveyed::set_up ─► start ─► visits ─► audit, sightings        what is logged by default
//!                    fix --apply ─► start ─► visits ─► sightings    what is logged after it
//!                    a mistake in the configuration ─► fix --apply  refused, nothing changed
//! ```

mod apache;
mod bind;
mod caddy;
pub mod client;
mod cyrus;
mod dovecot;
mod exim;
mod exim_debian;
mod haproxy;
mod lighttpd;
mod memcached;
mod mosquitto;
mod mysql;
mod nginx;
mod openldap;
mod openssh;
mod postfix;
mod postgresql;
mod proftpd;
mod pure_ftpd;
mod redis;
mod sendmail;
mod squid;
mod syslog;
mod tomcat;
mod varnish;
mod vsftpd;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::process::{Finished, Running, finish, search_path};
use crate::{Failure, file, prerequisite, read};

/// How long one of our own commands may take.
const LIMIT: Duration = Duration::from_secs(120);

/// How many connections each run makes, half of them over IPv6.
pub const VISITS: u16 = 12;

/// A kind of server that can be set up and visited here.
pub trait Surveyed: Sync {
    /// What `portledger audit` calls it.
    fn name(&self) -> &'static str;

    /// The programs it needs.
    fn programs(&self) -> &'static [&'static str];

    /// Writes its configuration into the place as its distribution has it, but for paths, ports and users.
    ///
    /// # Errors
    /// When a file cannot be written.
    fn set_up(&self, place: &Place) -> Result<(), Failure>;

    /// Its main configuration file.
    fn config(&self, place: &Place) -> PathBuf;

    /// The log that is read.
    fn log(&self, place: &Place) -> PathBuf;

    /// How the log is read where audit names no format, since no configuration has that log.
    fn format(&self) -> Option<&'static str> {
        None
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it does not come to listen.
    fn start(&self, place: &Place) -> Result<Running, Failure>;

    /// Does from one source port what a client does.
    ///
    /// # Errors
    /// When the server does not answer.
    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure>;

    /// What to put into the main configuration so that the server's own check refuses it; `None` where it has no
    /// check.
    fn mistake(&self) -> Option<&'static str>;
}

/// Every server that can be surveyed here.
#[must_use]
pub fn all() -> Vec<&'static dyn Surveyed> {
    vec![
        &apache::Apache,
        &nginx::Nginx,
        &sendmail::Sendmail,
        &postfix::Postfix,
        &exim::Exim,
        &dovecot::Dovecot,
        &cyrus::Cyrus,
        &postgresql::Postgresql,
        &openssh::Openssh,
        &haproxy::Haproxy,
        &squid::Squid,
        &tomcat::Tomcat,
        &mysql::Mysql,
        &lighttpd::Lighttpd,
        &varnish::Varnish,
        &caddy::Caddy,
        &bind::Bind,
        &mosquitto::Mosquitto,
        &openldap::Openldap,
        &proftpd::Proftpd,
        &redis::Redis,
        &memcached::Memcached,
        &vsftpd::Vsftpd,
        &pure_ftpd::PureFtpd,
    ]
}

/// Exim as Debian's packages configure it, which is the same server and no row of its own.
#[must_use]
pub fn exim_of_debian() -> &'static dyn Surveyed {
    &exim_debian::EximOfDebian
}

/// A folder, a port to listen on, and where programs are found.
#[derive(Debug)]
pub struct Place {
    /// For all that the server reads and writes.
    pub folder: PathBuf,
    /// Where it listens, on every address.
    pub port: u16,
    _kept: tempfile::TempDir,
}

impl Place {
    /// A new one.
    ///
    /// # Errors
    /// When no folder can be made or no port is free.
    pub fn new(name: &str) -> Result<Self, Failure> {
        let at = std::env::temp_dir();
        let kept = file(&at, |_| tempfile::Builder::new().prefix(name).tempdir())?;
        let port = file(&at, |_| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            Ok(listener.local_addr()?.port())
        })?;
        // Servers give up root's rights and must still reach their files.
        let folder = kept.path().to_path_buf();
        file(&folder, |path| {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        })?;
        Ok(Self {
            folder,
            port,
            _kept: kept,
        })
    }

    /// Writes a file below the folder, with the folders above it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.folder.join(name);
        file(&path, |path| {
            fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
            fs::write(path, text)
        })?;
        Ok(path)
    }

    /// Starts a server and waits until it listens on the place's port. Nothing connects to see: it would be logged.
    ///
    /// # Errors
    /// When it ends, or does not listen in time.
    pub fn listening(&self, command: &mut Command) -> Result<Running, Failure> {
        let mut running = Running::start(command, &self.folder.join("output"))?;
        running.until("it listens", Duration::from_secs(30), |_| {
            Ok(client::is_listening(self.port))
        })?;
        // The other family's socket comes next.
        std::thread::sleep(Duration::from_millis(200));
        Ok(running)
    }
}

/// One connection that a client made, and when.
#[derive(Debug, Clone, Copy)]
pub struct Visit {
    /// Its own end.
    pub from: SocketAddr,
    /// Just before it began, since 1970.
    pub begun: Duration,
    /// Just after it ended.
    pub ended: Duration,
}

/// What a log had of the visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// How many visits there were.
    pub visits: usize,
    /// How many of them the log names by address and port, at a right time.
    pub named: usize,
    /// Lines with an endpoint that was no visit's, or at a wrong time.
    pub wrong: usize,
}

/// What a survey of one server came to.
#[derive(Debug)]
pub struct Outcome {
    /// What `audit` says of the default.
    pub before: Value,
    /// What the log of the default has.
    pub default: Counted,
    /// What `fix` did: its diff, or why it did nothing.
    pub fix: Value,
    /// What `audit` says after the change and some visits.
    pub after: Value,
    /// What the log has after the change.
    pub fixed: Counted,
}

/// The whole story of one server; see the module's picture.
///
/// # Errors
/// When the server cannot be set up, started or visited, or a command of ours fails where it should not.
pub fn survey(server: &dyn Surveyed) -> Result<Outcome, Failure> {
    let place = Place::new(server.name())?;
    server.set_up(&place)?;
    let (default, before) = visited(server, &place, 40_000)?;
    let fix = fix(server, &place)?;
    let (fixed, after) = visited(server, &place, 41_000)?;
    Ok(Outcome {
        before,
        default,
        fix,
        after,
        fixed,
    })
}

/// Starts the server, visits it from known ports, stops it, and compares its log with the truth.
fn visited(
    server: &dyn Surveyed,
    place: &Place,
    first_port: u16,
) -> Result<(Counted, Value), Failure> {
    let old = fs::read(server.log(place)).map_or(0, |bytes| bytes.len());
    let mut running = server.start(place)?;
    let mut visits = Vec::new();
    for number in 0..VISITS {
        let address = match number % 2 {
            0 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            _ => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        let from = SocketAddr::new(address, first_port + number);
        let begun = now();
        server.visit(place, from)?;
        let ended = now();
        visits.push(Visit { from, begun, ended });
    }
    // Some write their log when they stop.
    let _ = running.terminate(Duration::from_secs(20));
    drop(running);
    let audited = audit(server, place)?;
    let counted = count(server, place, &audited, &visits, old)?;
    Ok((counted, audited))
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// What `portledger audit` says of the place.
///
/// # Errors
/// When it fails, or prints no JSON.
pub fn audit(server: &dyn Surveyed, place: &Place) -> Result<Value, Failure> {
    let config = server.config(place).display().to_string();
    let arguments = ["audit", "--json", "--server", server.name(), &config];
    json(&portledger(place, &arguments)?.succeeded()?)
}

/// What `portledger fix --apply` does at the place. What it refuses is a value too.
///
/// # Errors
/// When it prints no JSON.
pub fn fix(server: &dyn Surveyed, place: &Place) -> Result<Value, Failure> {
    let config = server.config(place).display().to_string();
    let backups = place.folder.join("backups").display().to_string();
    let mut arguments = vec!["fix", "--apply", "--json", "--server", server.name()];
    arguments.extend(["--backups", &backups, &config]);
    if server.mistake().is_none() {
        arguments.push("--unchecked");
    }
    json(&portledger(place, &arguments)?)
}

/// Runs our program at a place.
///
/// # Errors
/// When it is not built, or does not end in time.
pub fn portledger(place: &Place, arguments: &[&str]) -> Result<Finished, Failure> {
    let program = prerequisite::portledger()
        .ok_or_else(|| Failure::Missing("no portledger program".to_owned()))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(&place.folder)
        .env("PATH", path(place)?);
    finish(&mut command, LIMIT)
}

/// Where our program finds servers: a place may have some of its own.
fn path(place: &Place) -> Result<OsString, Failure> {
    let own = place.folder.join("bin");
    let usual = search_path();
    std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&usual))).map_err(|_| {
        Failure::Unexpected {
            what: "PATH".to_owned(),
            text: usual.to_string_lossy().into_owned(),
        }
    })
}

fn json(finished: &Finished) -> Result<Value, Failure> {
    serde_json::from_str(finished.stdout.trim()).map_err(|_| Failure::Unexpected {
        what: "portledger's JSON".to_owned(),
        text: format!("{}\n{}", finished.stdout, finished.stderr),
    })
}

/// Reads what came into the log since `old` bytes with the format that `audit` names, and holds it against the visits.
fn count(
    server: &dyn Surveyed,
    place: &Place,
    audited: &Value,
    visits: &[Visit],
    old: usize,
) -> Result<Counted, Failure> {
    let mut counted = Counted {
        visits: visits.len(),
        named: 0,
        wrong: 0,
    };
    let log = server.log(place);
    let wanted = log.display().to_string();
    let of_log = |entry: &&Value| entry["path"] == wanted.as_str();
    let logs = audited["logs"].as_array();
    // What goes through syslog is audited by the machine's syslog daemon, and logged here by one of its own.
    let entry = logs.and_then(|logs| logs.iter().find(of_log).or_else(|| logs.first()));
    let audited = entry.and_then(|entry| entry["format"].as_str());
    let Some(format) = audited.or(server.format()) else {
        return Ok(counted);
    };
    let text = file(&log, |path| fs::read(path))?;
    let fresh = place.folder.join("fresh.log");
    file(&fresh, |path| {
        fs::write(path, text.get(old..).unwrap_or_default())
    })?;
    let path = fresh.display().to_string();
    let arguments = [
        "sightings",
        "--json",
        "--zone",
        "UTC",
        "--format",
        format,
        &path,
    ];
    let finished = portledger(place, &arguments)?;
    let mut named = BTreeMap::new();
    for line in finished.stdout.lines() {
        let sighting: Value = serde_json::from_str(line).map_err(|_| Failure::Unexpected {
            what: "a sighting".to_owned(),
            text: line.to_owned(),
        })?;
        match visits.iter().find(|visit| is_of(&sighting, visit)) {
            Some(visit) => drop(named.insert(visit.from, ())),
            None if sighting["port"].is_null() => {}
            None => counted.wrong += 1,
        }
    }
    counted.named = named.len();
    Ok(counted)
}

/// Whether a sighting is of a visit: its endpoint, and an instant in it, give or take the log's step and a second in
/// which the server was still busy.
fn is_of(sighting: &Value, visit: &Visit) -> bool {
    let is_endpoint = sighting["address"] == visit.from.ip().to_string().as_str()
        && sighting["port"] == visit.from.port();
    let step = Duration::from_millis(sighting["resolution_ms"].as_u64().unwrap_or(0));
    let at = sighting["at"]
        .as_str()
        .and_then(seconds)
        .unwrap_or_default();
    is_endpoint
        && at + step + Duration::from_millis(2) >= visit.begun
        && at <= visit.ended + Duration::from_secs(2)
}

/// The instant of an RFC 3339 text in UTC, since 1970.
fn seconds(text: &str) -> Option<Duration> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // Days since 1970 in the proleptic Gregorian calendar, years beginning in March.
    let years = if month > 2 { year } else { year - 1 };
    let days = years * 365 + years / 4 - years / 100
        + years / 400
        + (153 * ((month + 9) % 12) + 2) / 5
        + day
        - 719_469;
    let whole = ((days * 24 + number(11, 13)?) * 60 + number(14, 16)?) * 60;
    let second: f64 = text.get(17..text.len() - 1)?.parse().ok()?;
    Some(Duration::from_secs(u64::try_from(whole).ok()?) + Duration::from_secs_f64(second))
}

/// Puts a mistake into the configuration and lets `fix --apply` find it: nothing may change. Gives what it said.
///
/// # Errors
/// When something did change, or it succeeded.
pub fn refuses_a_mistake(server: &dyn Surveyed) -> Result<Option<String>, Failure> {
    let Some(mistake) = server.mistake() else {
        return Ok(None);
    };
    let place = Place::new(server.name())?;
    server.set_up(&place)?;
    let config = server.config(&place);
    let broken = format!("{}\n{mistake}\n", read(&config)?);
    file(&config, |path| fs::write(path, &broken))?;
    let said = fix(server, &place)?;
    let unexpected = |what: &str, text: String| {
        Err(Failure::Unexpected {
            what: what.to_owned(),
            text,
        })
    };
    if read(&config)? != broken {
        return unexpected("a broken configuration after fix", read(&config)?);
    }
    match said["problem"].as_str() {
        Some(problem) => Ok(Some(problem.to_owned())),
        None => unexpected("fix of a broken configuration", said.to_string()),
    }
}

/// A user that servers may give up root's rights to, on every Debian.
pub const NOBODY: &str = "nobody";

/// Where a path is below a place, as text for a configuration.
#[must_use]
pub fn below(place: &Place, name: &str) -> String {
    Path::new(&place.folder).join(name).display().to_string()
}
