//! MariaDB and MySQL: the audit plugin, which writes the port since MariaDB 12.0.

use std::{collections::HashMap, time::Duration};

use super::{FixError, Instance, Log, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, CommandLine, Facts, Finding, Machine, Records, Rule, WrittenZone,
    edits::Edits,
    lines::{Continues, Line, Lines, Setting, is_yes, unquoted},
    machine::{debian_version, folder, under, version_in},
    syslog::{Route, Syslog, known},
};

/// MariaDB, and MySQL.
#[derive(Debug)]
pub(super) struct Mysql;

impl Server for Mysql {
    fn facts(&self) -> &'static Facts {
        facts!("mysql.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("mysql.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &["/etc/mysql/my.cnf", "/etc/my.cnf", "/usr/local/etc/my.cnf"]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("/my.cnf")
            || path.ends_with("/mariadb.cnf")
            || ["[mysqld]", "[mariadb]", "[mariadbd]"]
                .iter()
                .any(|group| text.contains(group))
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let options = Options::read(machine, path)?;
        let mut findings = options.lines.findings.clone();
        let audit = options.audit(machine, &mut findings);
        let has_port = audit.as_ref().is_some_and(|log| log.records.source_port);
        if options.value("init_connect").is_some() && options.is_on("performance_schema") {
            findings.push(Finding::new(
                Rule::Remark,
                "init_connect runs a statement for each connection and performance_schema knows the port: if the guide's procedure is what it calls, its table has successful logins of all but administrators",
            ));
        }
        if let Some((line, setting)) = options.last("proxy_protocol_networks")
            && unquoted(&setting.value) == "*"
        {
            findings.push(Finding::at(
                Rule::UntrustedProxy,
                &line.place,
                "proxy_protocol_networks = * lets anybody name any client: name the proxies alone",
            ));
        }
        let mut log = options.error_log(&mut findings);
        log.is_covered = has_port;
        let mut logs = vec![log];
        logs.extend(audit);
        Ok(Instance {
            version: options.version.clone(),
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
    if !options.writes_port() {
        return Err(FixError::ByHand {
                why: "no setting of this version writes the source port: MariaDB's audit plugin does since 12.0; before, and with MySQL, the guide's procedure notes it in a table for successful logins, and `portledger watch` beside the server notes every connection".to_owned(),
            });
    }
    let mut edits = Edits::default();
    let mut missing = Vec::new();
    if !options.has_plugin() {
        missing.push("plugin_load_add = server_audit");
    }
    match options.last("server_audit_logging") {
        Some((_, setting)) if is_yes(&setting.value) => {}
        Some((line, setting)) => edits.replace_in(&options.lines, line, setting.range, "ON"),
        None => missing.push("server_audit_logging = ON"),
    }
    if options.value("server_audit_events").is_none() && !missing.is_empty() {
        missing.push("server_audit_events = CONNECT");
    }
    if let Some((line, setting)) = options.last("server_audit_events")
        && !has_connections(&setting.value)
    {
        let with = format!("CONNECT,{}", unquoted(&setting.value));
        edits.replace_in(&options.lines, line, setting.range, &with);
    }
    if !missing.is_empty() {
        edits.append(
            &options.lines,
            path,
            &format!("[mariadb]\n{}", missing.join("\n")),
        );
    }
    let mut remarks = Vec::new();
    if !edits.is_empty() {
        remarks.push("the plugin's times are local and no setting changes that: start the server with TZ=UTC, or give the zone when the log is read".to_owned());
    }
    Ok(Change {
        edits: edits.finish()?,
        check: Some(CommandLine::new(
            "mariadbd",
            &[&format!("--defaults-file={path}"), "--help", "--verbose"],
        )),
        reload: "systemctl restart mariadb".to_owned(),
        remarks,
    })
}

/// Groups that the server reads; those with a version behind them too.
const GROUPS: [&str; 4] = ["mysqld", "mariadbd", "mariadb", "server"];

struct Options {
    lines: Lines,
    /// Those of the server's groups, in order.
    server: Vec<usize>,
    version: Option<String>,
    is_mariadb: bool,
}

impl Options {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let include = |line: &Line| {
            let of = folder(&line.place.file);
            if let Some(file) = line.text.strip_prefix("!include ") {
                vec![under(of, file.trim())]
            } else if let Some(folder) = line.text.strip_prefix("!includedir ") {
                vec![format!(
                    "{}/*.cnf",
                    under(of, folder.trim()).trim_end_matches('/')
                )]
            } else {
                Vec::new()
            }
        };
        let lines = Lines::read(machine, path, Continues::Never, &include)?;
        let (version, is_mariadb) = version(machine);
        let mut groups: HashMap<String, bool> = HashMap::new();
        let mut server = Vec::new();
        for (at, line) in lines.all.iter().enumerate() {
            let is_server = groups.entry(line.place.file.to_string()).or_default();
            let group = line
                .text
                .strip_prefix('[')
                .and_then(|rest| rest.split(']').next());
            if let Some(group) = group {
                *is_server = GROUPS.iter().any(|name| {
                    let version = group.strip_prefix(name);
                    version.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
                });
            } else if *is_server && !line.text.starts_with([';', '!']) {
                server.push(at);
            }
        }
        Ok(Self {
            lines,
            server,
            version,
            is_mariadb,
        })
    }

    /// The server's own settings, names with underscores.
    fn all(&self) -> impl DoubleEndedIterator<Item = (&Line, Setting)> {
        self.server.iter().filter_map(|&at| {
            let line = self.lines.all.get(at)?;
            let mut setting = line.setting('=')?;
            setting.name = setting.name.replace('-', "_").to_ascii_lowercase();
            if let Some(name) = setting.name.strip_prefix("loose_") {
                setting.name = name.to_owned();
            }
            Some((line, setting))
        })
    }

    fn last(&self, name: &str) -> Option<(&Line, Setting)> {
        self.all().rev().find(|(_, setting)| setting.name == name)
    }

    fn value(&self, name: &str) -> Option<String> {
        let (_, setting) = self.last(name)?;
        Some(unquoted(&setting.value).to_owned())
    }

    /// A name alone is on.
    fn is_on(&self, name: &str) -> bool {
        self.value(name)
            .is_some_and(|value| value.is_empty() || is_yes(&value))
    }

    fn has_plugin(&self) -> bool {
        self.all().any(|(_, setting)| {
            matches!(setting.name.as_str(), "plugin_load" | "plugin_load_add")
                && setting.value.contains("server_audit")
        })
    }

    /// MariaDB's documentation: `host:port` in the plugin's lines from 12.0 on.
    fn writes_port(&self) -> bool {
        let major = self
            .version
            .as_deref()
            .and_then(|version| version.split('.').next());
        self.is_mariadb
            && major
                .and_then(|major| major.parse::<u32>().ok())
                .is_some_and(|major| major >= 12)
    }

    fn data(&self) -> String {
        self.value("datadir")
            .unwrap_or_else(|| "/var/lib/mysql".to_owned())
    }

    /// Errors, and of clients those that failed: by name or address, never with the port.
    fn error_log(&self, findings: &mut Vec<Finding>) -> Log {
        match self.value("log_error").filter(|path| !path.is_empty()) {
            Some(path) => Log {
                path: under(&self.data(), &path),
                is_file: true,
                records: Records::NOTHING.timed(WrittenZone::Local, Some(Duration::from_secs(1))),
                is_covered: false,
                format: known("mysql-error"),
            },
            None => Route::journal().log(Records::NOTHING, None, findings),
        }
    }

    fn audit(&self, machine: &dyn Machine, findings: &mut Vec<Finding>) -> Option<Log> {
        if !self.has_plugin() || !self.is_on("server_audit_logging") {
            return None;
        }
        let (line, _) = self.last("server_audit_logging")?;
        let mut has_connections_ = true;
        if let Some((line, setting)) = self.last("server_audit_events") {
            has_connections_ = has_connections(&setting.value);
            if !has_connections_ {
                findings.push(Finding::at(
                    Rule::NoLog,
                    &line.place,
                    "the events that are audited leave CONNECT out",
                ));
            }
        }
        if self
            .value("server_audit_excl_users")
            .is_some_and(|users| !users.is_empty())
        {
            findings.push(Finding::at(
                Rule::Incomplete,
                &line.place,
                "server_audit_excl_users leaves users out",
            ));
        }
        let records = Records {
            source_address: has_connections_,
            ..Records::of_client(has_connections_ && self.writes_port()).serving(true)
        };
        if self
            .value("server_audit_output_type")
            .is_some_and(|kind| kind.eq_ignore_ascii_case("syslog"))
        {
            let facility = self.value("server_audit_syslog_facility");
            let facility = facility.map(|name| name.to_ascii_lowercase().replace("log_", ""));
            let route = Syslog::read(machine).route(facility.as_deref().unwrap_or("user"), "info");
            return Some(route.log(records, None, findings));
        }
        let file = self.value("server_audit_file_path");
        let file = file.filter(|path| !path.is_empty());
        Some(Log {
            path: under(&self.data(), file.as_deref().unwrap_or("server_audit.log")),
            is_file: true,
            records: records.timed(WrittenZone::Local, Some(Duration::from_secs(1))),
            is_covered: false,
            format: known("mariadb-audit"),
        })
    }
}

/// Without a list, all events are audited.
fn has_connections(events: &str) -> bool {
    let events = unquoted(events);
    events.is_empty()
        || events
            .split(',')
            .any(|event| event.trim().eq_ignore_ascii_case("connect"))
}

fn version(machine: &dyn Machine) -> (Option<String>, bool) {
    for program in ["mariadbd", "mysqld"] {
        if let Some(output) = machine.run(program, &["--version"]) {
            // `Ver 10.11.19-MariaDB-…` behind the program's path, which may have a version too.
            let words = output.stdout.split("Ver ").last().unwrap_or_default();
            return (version_in(words), words.contains("MariaDB"));
        }
    }
    match debian_version(machine, &["mariadb-server-core", "mariadb-server"]) {
        Some(version) => (Some(version), true),
        None => (
            debian_version(machine, &["mysql-server-core-8.0", "mysql-server"]),
            false,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, law_of_fixes, never_panics};

    const PATH: &str = "/etc/mysql/my.cnf";

    fn image(version: &str, server: &str) -> Image {
        Image::default()
            .with(PATH, "[client-server]\nsocket = /s\n!includedir /etc/mysql/mariadb.conf.d/\n")
            .with("/etc/mysql/mariadb.conf.d/50-server.cnf", server)
            .with("/var/lib/dpkg/status", &format!("Package: mariadb-server\nStatus: install ok installed\nVersion: 1:{version}-0+deb12u1\n\n"))
    }

    #[test]
    fn before_version_12_a_person_has_to_do_it() {
        let image = image(
            "10.11.19",
            "[mysqld]\nbind-address = 127.0.0.1\nlog_error = err.log\n",
        );
        let instance = Mysql.look(&image, PATH).unwrap();
        assert_eq!(instance.version.as_deref(), Some("10.11.19"));
        assert_eq!(instance.logs[0].path, "/var/lib/mysql/err.log");
        assert!(!instance.logs[0].records.source_address);
        let error = crate::fix(&Mysql, &image, PATH, Wish::InPlace).unwrap_err();
        assert!(error.to_string().contains("portledger watch"));
    }

    #[test]
    fn since_version_12_the_audit_plugin_has_it() {
        let plain = image(
            "12.0.2",
            "[client]\nserver_audit_logging = ON\n[mysqld]\nbind-address = 127.0.0.1\n",
        );
        insta::assert_snapshot!(law_of_fixes(&Mysql, &plain, PATH, false));
        let some = image(
            "12.0.2",
            "[mariadb-12.0]\nplugin-load-add=server_audit\nloose-server-audit-logging=OFF\nserver_audit_events='QUERY'\n",
        );
        insta::assert_snapshot!(law_of_fixes(&Mysql, &some, PATH, false));
    }

    #[test]
    fn proxies_are_named() {
        let image = image("10.11.19", "[mysqld]\nproxy-protocol-networks = *\n");
        let findings = Mysql.look(&image, PATH).unwrap().findings;
        assert_eq!(findings[0].rule, Rule::UntrustedProxy);
    }

    #[test]
    fn the_version_is_told_by_the_server() {
        let image = image("12.0.2", "").printing(
            "mariadbd --version",
            "/usr/sbin/mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64\n",
            "",
        );
        assert_eq!(version(&image), (Some("10.11.19".to_owned()), true));
        let newer = Image::default().with(PATH, "[mysqld]\n").printing(
            "mariadbd --version",
            "mariadbd  Ver 12.0.2-MariaDB\n",
            "",
        );
        assert!(crate::fix(&Mysql, &newer, PATH, Wish::InPlace).is_ok());
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(
            &Mysql,
            &[PATH, "/var/lib/dpkg/status"],
            &[
                "[mysqld]",
                "[mariadb",
                "!includedir ",
                "server_audit_logging",
                "plugin_load_add=server_audit",
                "server_audit_events",
                "Package: mariadb-server",
                "Status: install ok installed",
                "Version: 12.0",
            ],
        );
    }
}
