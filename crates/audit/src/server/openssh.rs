//! OpenSSH: `LogLevel`, by `sshd -T` or by its files, where the first value wins.

use super::{FixError, Instance, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, CommandLine, Facts, Finding, Machine, Records, Rule,
    edits::Edits,
    lines::{Continues, Line, Lines, Setting, unquoted},
    machine::{debian_version, under, version_in},
    syslog::Syslog,
};

/// OpenSSH's sshd.
#[derive(Debug)]
pub(super) struct OpenSsh;

impl Server for OpenSsh {
    fn facts(&self) -> &'static Facts {
        facts!("openssh.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("openssh.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &["/etc/ssh/sshd_config", "/usr/local/etc/sshd_config"]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("sshd_config")
            || ["AuthorizedKeysFile ", "PermitRootLogin ", "Subsystem sftp"]
                .iter()
                .any(|words| text.contains(words))
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let configuration = Configuration::read(machine, path)?;
        let mut findings = configuration.lines.findings.clone();
        for (line, setting) in configuration.too_quiet() {
            if line.place.line > configuration.first_match(&line.place.file) {
                let message = format!(
                    "connections that this Match takes are logged at LogLevel {} alone, without address and port",
                    setting.value
                );
                findings.push(Finding::at(Rule::Incomplete, &line.place, message));
            }
        }
        let ports = configuration.ports.max(1);
        let is_server_told = configuration.level >= VERBOSE || ports == 1;
        if !is_server_told {
            findings.push(Finding::new(
                Rule::NoDestinationPort,
                format!("sshd listens on {ports} ports; LogLevel VERBOSE says which was meant"),
            ));
        }
        let records = match configuration.level >= INFO {
            true => Records::of_client(true).serving(is_server_told),
            false => Records::NOTHING,
        };
        let route = Syslog::read(machine).route(&configuration.facility, "info");
        let log = route.log(records, Some("sshd"), &mut findings);
        Ok(Instance {
            version: version(machine),
            config: configuration.lines.files,
            logs: vec![log],
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
    let syslog = Syslog::read(machine);
    let route = syslog.route(&configuration.facility, "info");
    let mut edits = Edits::default();
    for (line, setting) in configuration.too_quiet() {
        edits.replace_in(&configuration.lines, line, setting.range, "INFO");
    }
    syslog.correct(&route, &mut edits);
    Ok(Change {
        edits: edits.finish()?,
        check: Some(CommandLine::new("sshd", &["-t", "-f", path])),
        reload: "systemctl reload ssh".to_owned(),
        remarks: route.remark().into_iter().collect(),
    })
}

fn version(machine: &dyn Machine) -> Option<String> {
    let said = machine.run("sshd", &["-V"]);
    said.and_then(|output| version_in(&output.stderr))
        .or_else(|| debian_version(machine, &["openssh-server"]))
}

/// Quietest first, as sshd_config(5) has them.
const LEVELS: [&str; 6] = ["QUIET", "FATAL", "ERROR", "INFO", "VERBOSE", "DEBUG"];
const INFO: usize = 3;
const VERBOSE: usize = 4;

/// `DEBUG1` to `DEBUG3` are finer yet.
fn level(name: &str) -> usize {
    let name = unquoted(name).to_ascii_uppercase();
    let known = LEVELS.iter().position(|level| *level == name);
    known.unwrap_or(LEVELS.len())
}

struct Configuration {
    lines: Lines,
    level: usize,
    facility: String,
    ports: usize,
}

impl Configuration {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let include = |line: &Line| match keyword(line) {
            // sshd_config(5): relative to /etc/ssh, whatever the file.
            Some(setting) if setting.name.eq_ignore_ascii_case("include") => setting
                .value
                .split_whitespace()
                .map(|name| under("/etc/ssh", unquoted(name)))
                .collect(),
            _ => Vec::new(),
        };
        let lines = Lines::read(machine, path, Continues::Never, &include)?;
        let mut read = Self {
            lines,
            level: INFO,
            facility: "AUTH".to_owned(),
            ports: 0,
        };
        let dump = machine.run("sshd", &["-T", "-f", path]);
        match dump.filter(|output| output.succeeded) {
            Some(output) => read.take_dump(&output.stdout),
            None => read.take_lines(),
        }
        Ok(read)
    }

    fn take_dump(&mut self, dump: &str) {
        for line in dump.lines() {
            match line.split_once(' ') {
                Some(("loglevel", value)) => self.level = level(value.trim()),
                Some(("syslogfacility", value)) => value.trim().clone_into(&mut self.facility),
                Some(("port", _)) => self.ports += 1,
                _ => {}
            }
        }
    }

    fn take_lines(&mut self) {
        let first = |name: &'static str| self.global(name).map(|(_, setting)| setting.value);
        let level_name = first("loglevel");
        let facility = first("syslogfacility");
        let ports = self.lines.all.iter().filter_map(keyword);
        self.ports = ports
            .filter(|setting| setting.name.eq_ignore_ascii_case("port"))
            .count();
        if let Some(name) = level_name {
            self.level = level(&name);
        }
        if let Some(facility) = facility {
            self.facility = facility;
        }
    }

    /// The line of a file with its first `Match`: what follows there holds for some alone.
    fn first_match(&self, file: &str) -> u64 {
        let mut lines = self.lines.all.iter();
        lines
            .find(|line| {
                &*line.place.file == file
                    && keyword(line).is_some_and(|it| it.name.eq_ignore_ascii_case("match"))
            })
            .map_or(u64::MAX, |line| line.place.line)
    }

    /// The first value outside of any `Match`: sshd_config(5).
    fn global(&self, name: &'static str) -> Option<(&Line, Setting)> {
        let mut all = self.every(name);
        all.find(|(line, _)| line.place.line < self.first_match(&line.place.file))
    }

    fn every(&self, name: &'static str) -> impl Iterator<Item = (&Line, Setting)> {
        self.lines.all.iter().filter_map(move |line| {
            let setting = keyword(line)?;
            setting
                .name
                .eq_ignore_ascii_case(name)
                .then_some((line, setting))
        })
    }

    /// Each LogLevel that hides the port: the one that holds for all, and those of every `Match`.
    fn too_quiet(&self) -> Vec<(&Line, Setting)> {
        let global = self.global("loglevel").map(|(line, _)| line.place.clone());
        self.every("loglevel")
            .filter(|(line, setting)| {
                let is_read = line.place.line > self.first_match(&line.place.file)
                    || Some(&line.place) == global.as_ref();
                is_read && level(&setting.value) < INFO
            })
            .collect()
    }
}

/// `Keyword value`, or with `=`; a comment may follow.
fn keyword(line: &Line) -> Option<Setting> {
    let mut setting = line.setting('=')?;
    if let Some(comment) = setting.value.find(" #") {
        let value = setting.value.get(..comment)?.trim_end().to_owned();
        setting.range.end = setting.range.start + value.len();
        setting.value = value;
    }
    Some(setting)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, law_of_fixes, never_panics};

    const PATH: &str = "/etc/ssh/sshd_config";

    fn image(conf: &str) -> Image {
        Image::default()
            .with(PATH, conf)
            .with(
                "/etc/ssh/sshd_config.d/a.conf",
                "PasswordAuthentication no\n",
            )
            .with("/etc/rsyslog.conf", "auth,authpriv.* /var/log/auth.log\n")
    }

    fn ports(image: &Image) -> Vec<(String, bool)> {
        let instance = OpenSsh.look(image, PATH).unwrap();
        let logs = instance.logs.iter();
        logs.map(|log| (log.path.clone(), log.records.are_enough()))
            .collect()
    }

    #[test]
    fn the_port_is_there_unasked() {
        let debian = image("Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n");
        assert_eq!(ports(&debian), [("/var/log/auth.log".to_owned(), true)]);
        assert_eq!(law_of_fixes(&OpenSsh, &debian, PATH, true), "");
    }

    #[test]
    fn the_first_level_counts_and_each_of_a_match() {
        let quiet = image(
            "LogLevel=error # quiet\nLogLevel QUIET\nPort 22\nPort 2222\nMatch User sftp\n  LogLevel \"QUIET\"\n",
        );
        assert!(!ports(&quiet)[0].1);
        let instance = OpenSsh.look(&quiet, PATH).unwrap();
        insta::assert_debug_snapshot!(instance.findings);
        insta::assert_snapshot!(law_of_fixes(&OpenSsh, &quiet, PATH, true));
    }

    #[test]
    fn an_included_level_comes_first() {
        let quiet = image("Include sshd_config.d/*.conf\nLogLevel VERBOSE\n")
            .with("/etc/ssh/sshd_config.d/a.conf", "LogLevel FATAL\n")
            .with(
                "/etc/rsyslog.conf",
                "auth.* /a;RSYSLOG_TraditionalFileFormat\n",
            );
        insta::assert_snapshot!(law_of_fixes(&OpenSsh, &quiet, PATH, true));
    }

    #[test]
    fn what_sshd_says_of_itself_counts() {
        let dumped = image("").printing(
            "sshd -T -f /etc/ssh/sshd_config",
            "port 22\nsyslogfacility LOCAL0\nloglevel QUIET\n",
            "",
        );
        assert_eq!(ports(&dumped), [("journal".to_owned(), false)]);
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(
            &OpenSsh,
            &[PATH],
            &["LogLevel", "QUIET", "Match", "Include", "Port", " #"],
        );
    }
}
