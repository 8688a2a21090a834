//! Exim: `log_selector` and `log_timezone`, through Debian's layer of macros where it is there.

mod macros;

use super::{FixError, Instance, Log, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, CommandLine, Facts, Finding, Machine, Records, Rule, WrittenZone,
    edits::Edits,
    lines::{Continues, Line, Lines, is_yes},
    machine::{debian_version, folder, under, version_in},
    syslog::{Syslog, known},
};

/// Exim.
#[derive(Debug)]
pub(super) struct Exim;

/// What makes every connection leave a line with its port.
const SELECTORS: [&str; 3] = ["incoming_port", "smtp_connection", "smtp_no_mail"];

/// Debian's packages make the configuration from these.
const DEBIAN: &str = "update-exim4.conf.conf";
const LOCAL_MACROS: &str = "exim4.conf.localmacros";
const SPLIT_MACROS: &str = "conf.d/main/000_localmacros";

/// Where Debian's build writes when the configuration names no log.
const DEFAULT_LOG: &str = "/var/log/exim4/mainlog";

impl Server for Exim {
    fn facts(&self) -> &'static Facts {
        facts!("exim.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("exim.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/exim4/exim4.conf",
            "/etc/exim4/update-exim4.conf.conf",
            "/etc/exim/exim.conf",
            "/etc/exim.conf",
            "/usr/exim/configure",
            "/usr/local/etc/exim/configure",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with(DEBIAN)
            || path.contains("exim")
                && text
                    .lines()
                    .any(|line| line.trim_start().starts_with("begin "))
            || text.contains("dc_eximconfig_configtype=")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let configuration = Configuration::read(machine, path)?;
        let mut findings = configuration.lines.findings.clone();
        if let Some(file) = configuration.overruled(machine) {
            let message = format!("{path} is not in use: where {file} is, Exim reads that alone");
            findings.push(Finding::new(Rule::Remark, message));
        }
        let effective = Effective::of(machine, &configuration);
        if effective.has("incoming_port") {
            let missing: Vec<&str> = SELECTORS
                .into_iter()
                .filter(|name| !effective.has(name))
                .collect();
            if !missing.is_empty() {
                let message = format!(
                    "connections that bring no mail leave no line: add +{}",
                    missing.join(" +")
                );
                findings.push(configuration.finding(Rule::Incomplete, "log_selector", message));
            }
        }
        if let Some((line, setting)) = configuration.lines.last("hosts_proxy", '=')
            && setting.value.trim() == "*"
        {
            findings.push(Finding::at(
                Rule::UntrustedProxy,
                &line.place,
                "hosts_proxy = * lets anybody name any client: name the proxies alone",
            ));
        }
        let logs = effective.logs(machine, &mut findings);
        Ok(Instance {
            version: version(machine),
            config: configuration.names(path),
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
    let configuration = Configuration::read(machine, path)?;
    if let Some(file) = configuration.overruled(machine) {
        return Err(FixError::ByHand {
            why: format!("{path} is not in use: name {file}, which Exim reads alone"),
        });
    }
    // What the files say, not the running server: they are what is changed.
    let effective = Effective::of_files(&configuration);
    let mut edits = Edits::default();
    let missing: Vec<String> = SELECTORS
        .into_iter()
        .filter(|name| !effective.has(name))
        .map(|name| format!("+{name}"))
        .collect();
    if !missing.is_empty() {
        configuration.select(&missing.join(" "), &mut edits);
    }
    if !effective.has_zone {
        match configuration.active("log_timezone") {
            Some((line, setting)) if !setting.value.is_empty() => {
                edits.replace_in(&configuration.lines, line, setting.range, "true");
            }
            _ => configuration.add("log_timezone = true", &mut edits),
        }
    }
    let mut remarks = Vec::new();
    if edits.is_empty() {
        let running = Effective::of(machine, &configuration);
        if SELECTORS.iter().any(|name| !running.has(name)) {
            remarks.push("the files say it already, and the server does not yet: run update-exim4.conf and reload".to_owned());
        }
    }
    let (check, reload) = match configuration.debian {
        true => (
            CommandLine::new("update-exim4.conf", &["--confdir", folder(path), "--check"]),
            "update-exim4.conf && systemctl reload exim4",
        ),
        false => (
            CommandLine::new("exim", &["-C", path, "-bV"]),
            "kill -HUP the daemon, or systemctl reload exim",
        ),
    };
    Ok(Change {
        edits: edits.finish()?,
        check: Some(check),
        reload: reload.to_owned(),
        remarks,
    })
}

fn version(machine: &dyn Machine) -> Option<String> {
    let said = ["exim4", "exim"]
        .into_iter()
        .find_map(|name| machine.run(name, &["-bV"]));
    said.and_then(|output| version_in(&output.stdout))
        .or_else(|| debian_version(machine, &["exim4-base"]))
}

struct Configuration {
    path: String,
    /// The main section, and what is defined in it.
    lines: Lines,
    settings: macros::Main,
    debian: bool,
    is_split: bool,
}

impl Configuration {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let include = |line: &Line| {
            let words = [".include_if_exists ", ".include "];
            let named = words.iter().find_map(|word| line.text.strip_prefix(word));
            named
                .filter(|name| !name.contains("MACRO"))
                .map(|name| under(folder(path), name.trim().trim_matches('"')))
                .into_iter()
                .collect()
        };
        let read = |file: &str| Lines::read(machine, file, Continues::Backslash, &include);
        let debian = path.ends_with(DEBIAN);
        let mut is_split = false;
        let lines = if debian {
            let settings = read(path)?;
            is_split = settings
                .value("dc_use_split_config", '=')
                .is_some_and(|value| is_yes(&value));
            let folder = folder(path);
            let files = match is_split {
                true => machine.glob(&format!("{folder}/conf.d/main/*")),
                false => vec![
                    format!("{folder}/{LOCAL_MACROS}"),
                    format!("{folder}/exim4.conf.template"),
                ],
            };
            let mut lines = Lines::default();
            for file in files {
                // Local macros need not be there.
                let _ = lines.add(machine, &file, Continues::Backslash, &include);
            }
            lines
        } else {
            read(path)?
        };
        Ok(Self {
            path: path.to_owned(),
            settings: macros::Main::of(&lines),
            lines,
            debian,
            is_split,
        })
    }

    /// The file that Debian's Exim reads in the place of what it would make.
    fn overruled(&self, machine: &dyn Machine) -> Option<String> {
        let file = format!("{}/exim4.conf", folder(&self.path));
        (self.debian && !machine.glob(&file).is_empty()).then_some(file)
    }

    fn names(&self, path: &str) -> Vec<String> {
        let others = self.lines.files.iter().filter(|file| *file != path);
        std::iter::once(path.to_owned())
            .chain(others.cloned())
            .collect()
    }

    /// The setting that counts.
    fn active(&self, name: &str) -> Option<(&Line, crate::lines::Setting)> {
        let at = self
            .settings
            .options
            .iter()
            .rev()
            .find(|option| option.name == name)?
            .at;
        let line = self.lines.all.get(at)?;
        Some((line, line.setting('=')?))
    }

    fn finding(&self, rule: Rule, name: &str, message: String) -> Finding {
        match self.active(name) {
            Some((line, _)) => Finding::at(rule, &line.place, message),
            None => Finding::new(rule, message),
        }
    }

    /// Adds selectors where they are set, or, where Debian's macro sets them, in the local macros.
    fn select(&self, missing: &str, edits: &mut Edits) {
        let Some((line, setting)) = self.active("log_selector") else {
            return self.add(&format!("log_selector = {missing}"), edits);
        };
        let named = self
            .settings
            .macros
            .iter()
            .rev()
            .find(|it| it.name == setting.value.trim());
        match named {
            None => edits.replace_in(
                &self.lines,
                line,
                setting.range.end..setting.range.end,
                &format!(" {missing}"),
            ),
            Some(definition) => match self.lines.all.get(definition.at) {
                Some(line) if !self.debian || *line.place.file == *self.local() => {
                    let end = line.range.end;
                    edits.replace_in(&self.lines, line, end..end, &format!(" {missing}"));
                }
                // What is defined before the distribution's default replaces all of it.
                _ => self.add(
                    &format!("{} = {} {missing}", definition.name, definition.value),
                    edits,
                ),
            },
        }
    }

    fn local(&self) -> String {
        let name = match self.is_split {
            true => SPLIT_MACROS,
            false => LOCAL_MACROS,
        };
        format!("{}/{name}", folder(&self.path))
    }

    /// Adds a line to the main section: at its end, or to Debian's local macros.
    fn add(&self, text: &str, edits: &mut Edits) {
        if self.debian {
            let local = self.local();
            if self.lines.files.contains(&local) {
                edits.append(&self.lines, &local, text);
            } else {
                edits.create(&local, &format!("{text}\n"));
            }
            return;
        }
        let is_here = |line: &&Line| *line.place.file == *self.path;
        let begin = self
            .lines
            .all
            .iter()
            .filter(is_here)
            .position(|line| line.text.split_whitespace().next() == Some("begin"));
        let main: Vec<&Line> = self.lines.all.iter().filter(is_here).collect();
        match (begin, begin.and_then(|at| main.get(at.checked_sub(1)?))) {
            (None, _) => edits.append(&self.lines, &self.path, text),
            (Some(_), Some(last)) => edits.replace_in(
                &self.lines,
                last,
                last.range.end..last.range.end,
                &format!("\n{text}"),
            ),
            (Some(_), None) => edits.replace(&self.lines, &self.path, 0..0, &format!("{text}\n")),
        }
    }
}

/// What is in force.
struct Effective {
    selectors: Vec<(bool, String)>,
    has_zone: bool,
    log_path: Option<String>,
    ports: usize,
}

impl Effective {
    fn of_files(configuration: &Configuration) -> Self {
        let settings = &configuration.settings;
        let value = |name: &str| settings.value(name);
        let ports = value("daemon_smtp_ports").map_or(1, |ports| {
            ports.split([':', ' ']).filter(|it| !it.is_empty()).count()
        });
        Self {
            selectors: selectors(&value("log_selector").unwrap_or_default()),
            has_zone: settings.is_on("log_timezone"),
            log_path: value("log_file_path"),
            ports,
        }
    }

    /// By `exim4 -bP` where it can be asked, else by the files.
    fn of(machine: &dyn Machine, configuration: &Configuration) -> Self {
        let mut effective = Self::of_files(configuration);
        let asked: &[&str] = &["-bP", "log_selector", "log_timezone", "log_file_path"];
        let dump = match configuration.debian {
            true => machine.run("exim4", asked),
            false => {
                let with_path = [&["-C", configuration.path.as_str()], asked].concat();
                ["exim", "exim4"]
                    .into_iter()
                    .find_map(|name| machine.run(name, &with_path))
            }
        };
        let Some(dump) = dump.filter(|output| output.succeeded) else {
            return effective;
        };
        for line in dump.stdout.lines() {
            match line
                .split_once('=')
                .map(|(name, value)| (name.trim(), value.trim()))
            {
                Some(("log_selector", value)) => effective.selectors = selectors(value),
                Some(("log_file_path", value)) => effective.log_path = Some(value.to_owned()),
                _ if line.trim() == "log_timezone" => effective.has_zone = true,
                _ if line.trim() == "no_log_timezone" => effective.has_zone = false,
                _ => {}
            }
        }
        effective
    }

    fn has(&self, name: &str) -> bool {
        let mut told = self.selectors.iter().rev();
        told.find(|(_, known)| known == name || known == "all")
            .is_some_and(|(is_on, _)| *is_on)
    }

    fn logs(&self, machine: &dyn Machine, findings: &mut Vec<Finding>) -> Vec<Log> {
        let is_server_told = self.ports == 1 || self.has("incoming_interface");
        let records = Records::of_client(self.has("incoming_port")).serving(is_server_told);
        if !is_server_told {
            findings.push(Finding::new(
                Rule::NoDestinationPort,
                "several ports are served: +incoming_interface says which was meant",
            ));
        }
        let zone = match self.has_zone {
            true => WrittenZone::Offset,
            false => WrittenZone::Local,
        };
        let step = match self.has("millisec") {
            true => std::time::Duration::from_millis(1),
            false => std::time::Duration::from_secs(1),
        };
        let paths = self.log_path.as_deref().filter(|path| !path.is_empty());
        let mut logs: Vec<Log> = Vec::new();
        for path in paths.unwrap_or(DEFAULT_LOG).split(':').map(str::trim) {
            if path == "syslog" {
                let route = Syslog::read(machine).route("mail", "info");
                logs.push(route.log(records, Some("exim"), findings));
                continue;
            }
            let path = match path {
                "" => DEFAULT_LOG.to_owned(),
                path => path.replace("%s", "main"),
            };
            logs.push(Log {
                is_file: path.starts_with('/') && !path.contains('%'),
                path,
                records: records.timed(zone, Some(step)),
                is_covered: false,
                format: known("exim"),
            });
        }
        logs
    }
}

/// `+incoming_port -queue_run`, and `+ name`, in order.
fn selectors(value: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some(at) = rest.find(['+', '-']) {
        let is_on = rest.get(at..).is_some_and(|rest| rest.starts_with('+'));
        let behind = rest.get(at + 1..).unwrap_or_default().trim_start();
        let end = behind
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(behind.len());
        found.push((is_on, behind.get(..end).unwrap_or_default().to_owned()));
        rest = behind.get(end..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests;
