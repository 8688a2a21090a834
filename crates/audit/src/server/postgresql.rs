//! PostgreSQL: `log_connections`, `log_line_prefix`, `log_destination`, `log_timezone`; what
//! `ALTER SYSTEM` wrote wins.

mod settings;

use std::time::Duration;

use settings::Settings;

use super::{FixError, Instance, Log, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, CommandLine, Facts, Finding, Machine, Records, Rule, WrittenZone,
    edits::Edits,
    machine::{folder, under},
    syslog::{Route, Syslog, known},
};

/// PostgreSQL.
#[derive(Debug)]
pub(super) struct Postgresql;

const DEFAULT_PREFIX: &str = "%m [%p] ";

impl Server for Postgresql {
    fn facts(&self) -> &'static Facts {
        facts!("postgresql.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("postgresql.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            // A cluster each.
            "/etc/postgresql/*/*/postgresql.conf",
            "/var/lib/pgsql/data/postgresql.conf",
            "/var/lib/pgsql/*/data/postgresql.conf",
            "/var/lib/postgres/data/postgresql.conf",
            "/usr/local/pgsql/data/postgresql.conf",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("postgresql.conf")
            || ["shared_buffers", "max_wal_size", "log_line_prefix"]
                .iter()
                .any(|word| text.lines().any(|line| line.trim_start().starts_with(word)))
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let settings = Settings::read(machine, path)?;
        let mut findings = settings.findings();
        let cluster = Cluster {
            settings: &settings,
            path,
        };
        let logs = cluster.logs(machine, &mut findings);
        if !settings.logs_connections() {
            findings.push(settings.finding(
                Rule::Incomplete,
                "log_connections",
                "log_connections is off: connections without an error leave no line",
            ));
        }
        if settings.is_on("log_hostname") {
            findings.push(settings.finding(
                Rule::NoSourceAddress,
                "log_hostname",
                "log_hostname writes the client's name in the place of its address",
            ));
        }
        if machine.read("/etc/pgbouncer/pgbouncer.ini").is_ok() {
            findings.push(Finding::new(
                Rule::PortLost,
                "PgBouncer is here: of connections through it this server sees PgBouncer's port; pgbouncer.log has the client's where log_connections = 1",
            ));
        }
        Ok(Instance {
            version: cluster.version(machine),
            config: settings.files(),
            logs,
            findings,
        })
    }

    fn promise(&self) -> Promise {
        Promise::Port
    }

    fn plan(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        planned(machine, path)
    }
}

/// The change, before it is held against what comes of it.
fn planned(machine: &dyn Machine, path: &str) -> Result<Change, FixError> {
    let settings = Settings::read(machine, path)?;
    let cluster = Cluster {
        settings: &settings,
        path,
    };
    let mut edits = Edits::default();
    let mut remarks = Vec::new();
    if !settings.logs_connections() {
        settings.set("log_connections", "on", &mut edits)?;
    }
    if settings.is_on("log_hostname") {
        settings.set("log_hostname", "off", &mut edits)?;
    }
    if settings.hides_log_lines() {
        settings.set("log_min_messages", "warning", &mut edits)?;
    }
    let prefix = settings.prefix();
    let writes_itself = cluster.destinations().iter().any(|it| it != "syslog");
    if writes_itself && zone_of_prefix(&prefix, true) == WrittenZone::Missing {
        let prefix = prefix.replace('\'', "''");
        settings.set("log_line_prefix", &format!("'%m {prefix}'"), &mut edits)?;
    }
    let needs_utc = |destination: &String| match destination.as_str() {
        "syslog" => false,
        "stderr" => !prefix.contains("%n"),
        _ => true,
    };
    if !settings.is_utc() && cluster.destinations().iter().any(needs_utc) {
        settings.set("log_timezone", "'UTC'", &mut edits)?;
        remarks.push("the log's times are UTC from then on".to_owned());
    }
    if cluster.destinations().iter().any(|it| it == "syslog") {
        let syslog = Syslog::read(machine);
        let route = syslog.route(&settings.facility(), "info");
        syslog.correct(&route, &mut edits);
        remarks.extend(route.remark());
    }
    let directory = folder(path);
    Ok(Change {
        edits: edits.finish()?,
        check: Some(CommandLine::new(
            &cluster.program(),
            // Reads all of the configuration, prints one value, starts nothing.
            &["-C", "log_connections", "-D", directory],
        )),
        reload: match cluster.debian() {
            Some((version, name)) => format!("pg_ctlcluster {version} {name} reload"),
            None => format!("pg_ctl reload -D {directory}"),
        },
        remarks,
    })
}

struct Cluster<'a> {
    settings: &'a Settings,
    path: &'a str,
}

impl Cluster<'_> {
    /// Version and name of a cluster that Debian's pg_createcluster made.
    fn debian(&self) -> Option<(&str, &str)> {
        let rest = self.path.strip_prefix("/etc/postgresql/")?;
        let (version, rest) = rest.split_once('/')?;
        let (name, _) = rest.split_once('/')?;
        Some((version, name))
    }

    fn program(&self) -> String {
        match self.debian() {
            Some((version, _)) => format!("/usr/lib/postgresql/{version}/bin/postgres"),
            None => "postgres".to_owned(),
        }
    }

    fn version(&self, machine: &dyn Machine) -> Option<String> {
        let version = crate::machine::text(machine, &format!("{}/PG_VERSION", self.settings.data));
        let version = version.ok().map(|text| text.trim().to_owned());
        version.or_else(|| self.debian().map(|(version, _)| version.to_owned()))
    }

    fn destinations(&self) -> Vec<String> {
        let named = self.settings.value("log_destination");
        let named = named.unwrap_or_else(|| "stderr".to_owned());
        let words = named
            .split(',')
            .map(|word| word.trim().to_ascii_lowercase());
        words.filter(|word| !word.is_empty()).collect()
    }

    fn logs(&self, machine: &dyn Machine, findings: &mut Vec<Finding>) -> Vec<Log> {
        let settings = self.settings;
        let prefix = settings.prefix();
        let tells = settings.logs_connections() && !settings.hides_log_lines();
        let has_port = tells || prefix.contains("%r");
        let has_address = (has_port || prefix.contains("%h")) && !settings.is_on("log_hostname");
        let of_text = Records {
            source_address: has_address,
            // One port: the cluster's.
            ..Records::of_client(has_port).serving(true)
        };
        let of_table = Records {
            source_address: !settings.is_on("log_hostname"),
            ..Records::of_client(true).serving(true)
        };
        let zone = match settings.is_utc() {
            true => WrittenZone::Utc,
            // `CET` names no offset that a program could know.
            false => WrittenZone::Local,
        };
        let mut logs = Vec::new();
        for destination in self.destinations() {
            match destination.as_str() {
                "csvlog" | "jsonlog" => {
                    let (ending, format) = match destination.as_str() {
                        "csvlog" => (".csv", "postgresql-csv"),
                        _ => (".json", "postgresql-json"),
                    };
                    let (path, is_file) = self.collected(ending);
                    logs.push(Log {
                        path,
                        is_file,
                        records: of_table.timed(zone, Some(Duration::from_millis(1))),
                        is_covered: false,
                        format: known(format),
                    });
                }
                "syslog" => {
                    let route = Syslog::read(machine).route(&settings.facility(), "info");
                    logs.push(route.log(of_text, Some("postgresql"), findings));
                }
                _ => {
                    let (path, is_file) = self.text_log();
                    let zone = zone_of_prefix(&prefix, settings.is_utc());
                    let step = match (zone, prefix.contains("%m") || prefix.contains("%n")) {
                        (WrittenZone::Missing, _) => None,
                        (_, true) => Some(Duration::from_millis(1)),
                        (_, false) => Some(Duration::from_secs(1)),
                    };
                    let own = format!("postgresql:{prefix}");
                    logs.push(Log {
                        path,
                        is_file,
                        records: of_text.timed(zone, step),
                        is_covered: false,
                        format: known(&own).or_else(|| known("postgresql")),
                    });
                }
            }
        }
        logs
    }

    /// Where standard error goes: the collector's file, Debian's, or systemd's journal.
    fn text_log(&self) -> (String, bool) {
        if self.settings.is_on("logging_collector") {
            return self.collected("");
        }
        match self.debian() {
            Some((version, name)) => (
                format!("/var/log/postgresql/postgresql-{version}-{name}.log"),
                true,
            ),
            None => (Route::journal().path, false),
        }
    }

    /// The collector's file, whose name has the time in it by default.
    fn collected(&self, ending: &str) -> (String, bool) {
        let folder = self.settings.value("log_directory");
        let folder = under(&self.settings.data, folder.as_deref().unwrap_or("log"));
        let name = self.settings.value("log_filename");
        let name = name.unwrap_or_else(|| "postgresql-%Y-%m-%d_%H%M%S.log".to_owned());
        let name = match ending {
            "" => name,
            ending => format!("{}{ending}", name.strip_suffix(".log").unwrap_or(&name)),
        };
        let path = under(&folder, &name);
        let is_file = !path.contains('%');
        (path, is_file)
    }
}

/// How the prefix writes the zone.
fn zone_of_prefix(prefix: &str, is_utc: bool) -> WrittenZone {
    if prefix.contains("%n") {
        WrittenZone::Utc
    } else if prefix.contains("%m") || prefix.contains("%t") {
        match is_utc {
            true => WrittenZone::Utc,
            false => WrittenZone::Local,
        }
    } else {
        WrittenZone::Missing
    }
}

#[cfg(test)]
mod tests;
