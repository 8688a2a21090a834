//! Redis and Valkey: `loglevel verbose`.

use std::time::Duration;

use super::{FixError, Instance, Log, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, Facts, Machine, Records, WrittenZone,
    edits::Edits,
    lines::{Continues, Line, Lines, Setting, is_yes, unquoted},
    machine::{debian_version, version_in},
    syslog::{Route, Syslog, known},
};

/// Redis, and Valkey, which is its continuation.
#[derive(Debug)]
pub(super) struct Redis;

impl Server for Redis {
    fn facts(&self) -> &'static Facts {
        facts!("redis.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("redis.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/redis/redis*.conf",
            "/etc/redis.conf",
            "/etc/valkey/valkey*.conf",
            "/usr/local/etc/redis.conf",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("redis.conf")
            || path.ends_with("valkey.conf")
            || text.contains("\nappendonly ")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let options = Options::read(machine, path)?;
        let mut findings = options.lines.findings.clone();
        let tells = options.tells();
        let records = Records {
            source_address: tells,
            // `Accepted ADDRESS:PORT`: which of port and tls-port it was is not said.
            ..Records::of_client(tells).serving(options.last("tls-port").is_none())
        };
        let mut logs = Vec::new();
        let file = options.value("logfile").filter(|file| !file.is_empty());
        match file {
            Some(file) => logs.push(Log {
                is_file: file.starts_with('/'),
                path: file,
                records: records.timed(WrittenZone::Local, Some(Duration::from_millis(1))),
                is_covered: false,
                format: known("redis"),
            }),
            None if options
                .value("daemonize")
                .is_some_and(|value| is_yes(&value)) => {}
            None => logs.push(Route::journal().log(records, None, &mut findings)),
        }
        if options
            .value("syslog-enabled")
            .is_some_and(|value| is_yes(&value))
        {
            let facility = options
                .value("syslog-facility")
                .unwrap_or_else(|| "local0".to_owned());
            let route = Syslog::read(machine).route(&facility, "info");
            logs.push(route.log(records, None, &mut findings));
        }
        Ok(Instance {
            version: version(machine),
            config: options.lines.files,
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
    let options = Options::read(machine, path)?;
    let mut edits = Edits::default();
    if !options.tells() {
        match options.last("loglevel") {
            Some((line, setting)) => {
                edits.replace_in(&options.lines, line, setting.range, "verbose")
            }
            None => edits.append(&options.lines, path, "loglevel verbose"),
        }
    }
    let mut remarks = Vec::new();
    if !edits.is_empty() {
        remarks.push("verbose is one step above debug: besides each connection it logs statistics; the times stay local, which no setting changes: start the server with TZ=UTC, or give the zone when the log is read".to_owned());
    }
    Ok(Change {
        edits: edits.finish()?,
        check: None,
        reload: "redis-cli CONFIG SET loglevel verbose, or systemctl restart redis-server"
            .to_owned(),
        remarks,
    })
}

fn version(machine: &dyn Machine) -> Option<String> {
    let said = machine.run("redis-server", &["--version"]);
    said.and_then(|output| version_in(&output.stdout))
        .or_else(|| debian_version(machine, &["redis-server", "valkey-server"]))
}

struct Options {
    lines: Lines,
}

impl Options {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let include = |line: &Line| match keyword(line) {
            Some(setting) if setting.name == "include" => vec![unquoted(&setting.value).to_owned()],
            _ => Vec::new(),
        };
        let lines = Lines::read(machine, path, Continues::Never, &include)?;
        Ok(Self { lines })
    }

    fn last(&self, name: &str) -> Option<(&Line, Setting)> {
        let mut lines = self.lines.all.iter().rev();
        lines.find_map(|line| {
            let setting = keyword(line)?;
            (setting.name == name).then_some((line, setting))
        })
    }

    fn value(&self, name: &str) -> Option<String> {
        self.last(name)
            .map(|(_, setting)| unquoted(&setting.value).to_owned())
    }

    fn tells(&self) -> bool {
        let level = self
            .value("loglevel")
            .map(|level| level.to_ascii_lowercase());
        matches!(level.as_deref(), Some("verbose" | "debug"))
    }
}

fn keyword(line: &Line) -> Option<Setting> {
    let mut setting = line.setting(' ')?;
    setting.name = setting.name.to_ascii_lowercase();
    Some(setting)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, law_of_fixes, never_panics};

    const PATH: &str = "/etc/redis/redis.conf";

    #[test]
    fn the_level_becomes_verbose() {
        let image = Image::default().with(PATH, "daemonize yes\nloglevel notice\nlogfile /var/log/redis/redis-server.log\nsyslog-enabled yes\n");
        let logs = Redis.look(&image, PATH).unwrap().logs;
        assert_eq!(logs.len(), 2);
        assert!(!logs[0].records.source_port);
        insta::assert_snapshot!(law_of_fixes(&Redis, &image, PATH, false));
        let bare = Image::default().with(PATH, "port 6379\ntls-port 6380");
        insta::assert_snapshot!(law_of_fixes(&Redis, &bare, PATH, true));
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(
            &Redis,
            &[PATH],
            &[
                "loglevel",
                "verbose",
                "logfile",
                "syslog-enabled",
                "include /etc/redis/redis.conf",
            ],
        );
    }
}
