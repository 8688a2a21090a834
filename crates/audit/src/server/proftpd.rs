//! ProFTPD: an `ExtendedLog` whose `LogFormat` has `%{remote-port}`.

use std::time::Duration;

use super::{FixError, Instance, Log, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, CommandLine, Facts, Finding, Machine, Records, Rule, WrittenZone,
    edits::Edits,
    lines::{Continues, Line, Lines, unquoted},
    machine::{debian_version, folder, under, version_in},
    syslog::{Syslog, known},
};

/// ProFTPD.
#[derive(Debug)]
pub(super) struct Proftpd;

/// One line a command, which the format `connection` reads.
const CONNECTION: &str = "%{epoch}%{millisecs} %a %{remote-port} %L %p %P";

/// What the change calls it.
const NAME: &str = "connection";

/// What the change's own log is called, in the folder of the other logs.
const LOG: &str = "connections.log";

/// Debian's folder of them.
const FOLDER: &str = "/var/log/proftpd";

impl Server for Proftpd {
    fn facts(&self) -> &'static Facts {
        facts!("proftpd.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("proftpd.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/proftpd/proftpd.conf",
            "/etc/proftpd.conf",
            "/usr/local/etc/proftpd.conf",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("proftpd.conf") || text.contains("<Limit ") && text.contains("ServerType")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let configuration = Configuration::read(machine, path)?;
        let mut findings = configuration.lines.findings.clone();
        let mut logs = configuration.extended();
        let has_port = logs.iter().any(|log| log.records.are_enough());
        if has_port {
            findings.push(Finding::new(
                Rule::Incomplete,
                "an ExtendedLog has a line a command: connections that send none leave no trace (16 of 66 where it was measured)",
            ));
            for log in &mut logs {
                log.is_covered = !log.records.are_enough();
            }
        }
        let mut own = configuration.system_log(machine, &mut findings);
        own.is_covered = has_port;
        if has_port {
            findings.retain(|finding| finding.rule != Rule::NoYear);
        }
        logs.insert(0, own);
        Ok(Instance {
            version: version(machine),
            config: configuration.lines.files,
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
    let mut edits = Edits::default();
    let logs = configuration.extended();
    if !logs.iter().any(|log| log.records.are_enough()) {
        match configuration.format(NAME) {
            Some((_, text)) if text == CONNECTION => {}
            Some((line, _)) => {
                return Err(FixError::ByHand {
                    why: format!(
                        "{}: a LogFormat '{NAME}' without the port is defined here: give it another name",
                        line.place
                    ),
                });
            }
            None => edits.append(
                &configuration.lines,
                path,
                &format!("LogFormat {NAME} \"{CONNECTION}\""),
            ),
        }
        edits.append(
            &configuration.lines,
            path,
            &format!(
                "<Global>\n  ExtendedLog {} ALL {NAME}\n</Global>",
                under(&configuration.folder_of_logs(), LOG)
            ),
        );
    }
    let mut remarks = Vec::new();
    if !edits.is_empty() {
        remarks.push("a log of its own, so that nothing that reads the others notices; connections that send no command leave no line in it".to_owned());
    }
    Ok(Change {
        edits: edits.finish()?,
        check: Some(CommandLine::new("proftpd", &["-t", "-c", path])),
        reload: "systemctl reload proftpd".to_owned(),
        remarks,
    })
}

fn version(machine: &dyn Machine) -> Option<String> {
    let said = machine.run("proftpd", &["-v"]);
    said.and_then(|output| version_in(&format!("{}{}", output.stdout, output.stderr)))
        .or_else(|| debian_version(machine, &["proftpd-core", "proftpd-basic"]))
}

struct Configuration {
    lines: Lines,
}

impl Configuration {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let include = |line: &Line| {
            let Some(setting) = line.setting(' ') else {
                return Vec::new();
            };
            let named = under(folder(path), unquoted(&setting.value));
            match setting.name.eq_ignore_ascii_case("include") {
                true if named.ends_with('/') => vec![format!("{named}*")],
                // A folder, or files.
                true => vec![format!("{named}/*"), named],
                false => Vec::new(),
            }
        };
        let mut lines = Lines::read(machine, path, Continues::Backslash, &include)?;
        // What names a folder without its slash is no file.
        lines.findings.clear();
        Ok(Self { lines })
    }

    fn every<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = (&'a Line, String)> {
        self.lines.all.iter().filter_map(move |line| {
            let setting = line.setting(' ')?;
            setting
                .name
                .eq_ignore_ascii_case(name)
                .then_some((line, setting.value))
        })
    }

    /// The text of a LogFormat: the last of the name.
    fn format(&self, name: &str) -> Option<(&Line, String)> {
        self.every("logformat").rev().find_map(|(line, value)| {
            let (known, text) = value.split_once(char::is_whitespace)?;
            (unquoted(known) == name).then(|| (line, unescaped(unquoted(text.trim()))))
        })
    }

    /// Where its other logs are, which is where it can write: nothing is known of other folders.
    fn folder_of_logs(&self) -> String {
        let named = ["systemlog", "extendedlog", "transferlog"].into_iter();
        let path = named
            .flat_map(|name| self.every(name))
            .find_map(|(_, value)| {
                let path = unquoted(value.split_whitespace().next()?);
                (path.starts_with('/') && !path.contains('%')).then(|| path.to_owned())
            });
        path.map_or_else(|| FOLDER.to_owned(), |path| folder(&path).to_owned())
    }

    /// `ExtendedLog PATH [CLASSES [FORMAT]]`.
    fn extended(&self) -> Vec<Log> {
        let mut logs: Vec<Log> = Vec::new();
        for (_, value) in self.every("extendedlog") {
            let mut words = value.split_whitespace().map(unquoted);
            let path = words.next().unwrap_or_default();
            if path.eq_ignore_ascii_case("none") || path.is_empty() {
                continue;
            }
            let named = words.nth(1).unwrap_or_default();
            let text = self.format(named).map(|(_, text)| text);
            // Without a format it is the Common Log Format.
            let text = text.unwrap_or_else(|| "%h %l %u %t \"%r\" %s %b".to_owned());
            let format = match text == CONNECTION {
                true => known("connection"),
                false => known(&format!("proftpd:{text}")),
            };
            let log = Log {
                path: path.to_owned(),
                is_file: path.starts_with('/') && !path.contains('%'),
                records: records(&text),
                is_covered: false,
                format,
            };
            if !logs.iter().any(|known| known.path == log.path) {
                logs.push(log);
            }
        }
        logs
    }

    /// What the daemon says of sessions: the address, never the port.
    fn system_log(&self, machine: &dyn Machine, findings: &mut Vec<Finding>) -> Log {
        let records = Records::of_client(false);
        let path = self
            .every("systemlog")
            .next_back()
            .map(|(_, value)| unquoted(&value).to_owned());
        match path.filter(|path| path.starts_with('/')) {
            Some(path) => Log {
                is_file: true,
                path,
                records: records.timed(WrittenZone::Local, Some(Duration::from_millis(1))),
                is_covered: false,
                format: known("proftpd"),
            },
            None => {
                let facility = self.every("syslogfacility").next_back();
                let facility = facility.map_or_else(|| "daemon".to_owned(), |(_, value)| value);
                Syslog::read(machine).route(&facility, "info").log(
                    records,
                    Some("proftpd"),
                    findings,
                )
            }
        }
    }
}

/// Quotes inside of quotes stand behind a backslash.
fn unescaped(text: &str) -> String {
    text.replace("\\\"", "\"")
}

/// What a LogFormat says.
fn records(text: &str) -> Records {
    let has = |word: &str| text.contains(word);
    let (zone, step) = if has("%{epoch}") {
        let step = match has("%{millisecs}") {
            true => Duration::from_millis(1),
            false => Duration::from_secs(1),
        };
        (WrittenZone::Utc, Some(step))
    } else if has("%t") || has("%z}t") {
        (WrittenZone::Offset, Some(Duration::from_secs(1)))
    } else if has("%{iso8601}") || has("}t") {
        (WrittenZone::Local, Some(Duration::from_secs(1)))
    } else {
        (WrittenZone::Missing, None)
    };
    Records {
        // %h is a name where one was found.
        source_address: has("%a") || has("%h") || has("%{remote-ip}"),
        ..Records::of_client(has("%{remote-port}"))
            .timed(zone, step)
            .serving(has("%p") || has("%{protocol}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, law_of_fixes, never_panics};

    const PATH: &str = "/etc/proftpd/proftpd.conf";

    fn image(conf: &str) -> Image {
        Image::default()
            .with(PATH, conf)
            .with("/etc/proftpd/conf.d/x.conf", "ServerIdent off\n")
    }

    #[test]
    fn a_log_of_its_own_has_the_port() {
        let image = image(
            "# Debian\nTransferLog /var/log/proftpd/xferlog\nSystemLog /var/log/proftpd/proftpd.log\nInclude /etc/proftpd/conf.d/",
        );
        let instance = Proftpd.look(&image, PATH).unwrap();
        assert_eq!(instance.config.len(), 2);
        let records = instance.logs[0].records;
        assert!(records.source_address && !records.source_port && !records.time_utc);
        insta::assert_snapshot!(law_of_fixes(&Proftpd, &image, PATH, true));
    }

    #[test]
    fn the_log_is_where_the_others_are() {
        let own = |conf: &str| {
            let change = crate::fix(&Proftpd, &image(conf), PATH, Wish::InPlace).unwrap();
            let after = Proftpd.look(&image(conf).after(&change), PATH).unwrap();
            after.logs.last().unwrap().path.clone()
        };
        let system = "TransferLog /x/xferlog\nSystemLog \"/srv/ftp/log/daemon.log\"\n";
        assert_eq!(own(system), "/srv/ftp/log/connections.log");
        assert_eq!(own("TransferLog /x/xferlog\n"), "/x/connections.log");
        assert_eq!(own("SystemLog none\n"), "/var/log/proftpd/connections.log");
    }

    #[test]
    fn a_log_that_has_it_stays() {
        let image = image(
            "LogFormat own \"%t %a %{remote-port} \\\"%r\\\"\"\n<VirtualHost 192.0.2.1>\nExtendedLog /var/log/x.log ALL own\nExtendedLog /var/log/y.log AUTH\n</VirtualHost>\n",
        );
        assert_eq!(law_of_fixes(&Proftpd, &image, PATH, true), "");
    }

    #[test]
    fn a_format_of_that_name_is_left_to_its_owner() {
        let image = image("LogFormat connection \"%h\"\n");
        assert!(matches!(
            crate::fix(&Proftpd, &image, PATH, Wish::InPlace),
            Err(FixError::ByHand { .. })
        ));
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(
            &Proftpd,
            &[PATH],
            &[
                "LogFormat",
                "connection",
                "ExtendedLog",
                "/x",
                "ALL",
                "SystemLog",
                "Include",
                "%{remote-port}",
                "%a",
                "%t",
            ],
        );
    }
}
