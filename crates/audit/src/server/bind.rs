//! BIND: `querylog`, and the channels of `logging` that queries go to.

mod syntax;

use std::time::Duration;

use syntax::{Configuration, Statement};

use super::{FixError, Instance, Log, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, CommandLine, Facts, Finding, Machine, Records, Rule, WrittenZone,
    edits::Edits,
    machine::{debian_version, under, version_in},
    syslog::{Route, Syslog, known},
};

/// ISC BIND.
#[derive(Debug)]
pub(super) struct Bind;

impl Server for Bind {
    fn facts(&self) -> &'static Facts {
        facts!("bind.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("bind.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/bind/named.conf",
            "/etc/named.conf",
            "/usr/local/etc/namedb/named.conf",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("named.conf") || text.contains("zone \"") && text.contains("type ")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let configuration = Configuration::read(machine, path)?;
        let mut findings = configuration.lines.findings.clone();
        let is_on = configuration.logs_queries();
        let ports = configuration.ports();
        let records = Records {
            source_address: is_on,
            ..Records::of_client(is_on).serving(ports <= 1)
        };
        if ports > 1 {
            findings.push(Finding::new(
                Rule::NoDestinationPort,
                "several ports are served and no line says which was meant",
            ));
        }
        if !is_on {
            findings.push(Finding::new(
                Rule::Incomplete,
                "queries are not logged; lines of refused ones have the port",
            ));
        }
        let mut logs: Vec<Log> = Vec::new();
        for channel in configuration.channels() {
            logs.push(channel.log(machine, &configuration, records, &mut findings));
        }
        if let Some(proxies) = configuration
            .options()
            .and_then(|it| it.child("allow-proxy"))
            && proxies.children().iter().any(|it| it.is("any"))
        {
            findings.push(Finding::at(
                Rule::UntrustedProxy,
                &proxies.place(),
                "allow-proxy { any; } lets anybody name any client: name the proxies alone",
            ));
        }
        let rndc = machine.run("rndc", &["status"]);
        if let Some(status) = rndc.filter(|output| output.succeeded) {
            let is_running = status.stdout.contains("query logging is ON");
            if is_running != is_on {
                let now = match is_running {
                    true => "on",
                    false => "off",
                };
                findings.push(Finding::new(Rule::LinesDiffer, format!("somebody switched query logging {now} with rndc: it lasts until the next start")));
            }
        }
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
    if !configuration.logs_queries() {
        configuration.log_queries(path, &mut edits);
    }
    let mut remarks = Vec::new();
    for channel in configuration.channels() {
        match channel {
            Channel::Own(statement) if statement.child("null").is_some() => {
                return Err(FixError::ByHand {
                    why: format!(
                        "{}: queries are thrown away here: name another channel in category queries",
                        statement.place()
                    ),
                });
            }
            Channel::Own(statement) if statement.child("file").is_some() => {
                configuration.exact_times(statement, &mut edits);
            }
            Channel::Own(_) | Channel::Syslog => {
                let facility = channel.facility();
                let syslog = Syslog::read(machine);
                let route = syslog.route(&facility, "info");
                syslog.correct(&route, &mut edits);
                remarks.extend(route.remark());
            }
            Channel::Null => {
                return Err(FixError::ByHand {
                    why: format!(
                        "{path}: category queries goes to null: name a channel with a file there"
                    ),
                });
            }
            Channel::Other(_) => {}
        }
    }
    if !edits.is_empty() {
        remarks.push("a line a query: on a busy server give queries a channel with file, versions and size of their own".to_owned());
    }
    Ok(Change {
        edits: edits.finish()?,
        check: Some(CommandLine::new("named-checkconf", &[path])),
        reload: "rndc reconfig".to_owned(),
        remarks,
    })
}

fn version(machine: &dyn Machine) -> Option<String> {
    let said = machine.run("named", &["-v"]);
    said.and_then(|output| version_in(&output.stdout))
        .or_else(|| debian_version(machine, &["bind9"]))
}

/// Where queries go.
enum Channel<'a> {
    /// One that the configuration defines.
    Own(&'a Statement),
    /// `default_syslog`, which is also where queries go without a word.
    Syslog,
    Null,
    /// `default_debug`, `default_stderr`: a debugger's.
    Other(String),
}

impl Channel<'_> {
    fn facility(&self) -> String {
        let own = match self {
            Self::Own(statement) => statement.child("syslog"),
            _ => None,
        };
        let named = own
            .map(|syslog| syslog.word(1))
            .filter(|name| !name.is_empty());
        named.unwrap_or("daemon").to_owned()
    }

    fn log(
        &self,
        machine: &dyn Machine,
        configuration: &Configuration,
        records: Records,
        findings: &mut Vec<Finding>,
    ) -> Log {
        match self {
            Self::Own(statement) => {
                let severity = statement
                    .child("severity")
                    .map(|it| it.word(1).to_ascii_lowercase());
                let hides = severity
                    .as_deref()
                    .is_some_and(|it| matches!(it, "notice" | "warning" | "error" | "critical"));
                let records = match hides || statement.child("null").is_some() {
                    true => Records::NOTHING,
                    false => records,
                };
                if hides {
                    findings.push(Finding::at(
                        Rule::NoLog,
                        &statement.place(),
                        "queries are of severity info, which this channel leaves out",
                    ));
                }
                if let Some(file) = statement.child("file") {
                    let (zone, step) = match statement.child("print-time").map(|it| it.word(1)) {
                        Some("iso8601-utc") => (WrittenZone::Utc, Some(Duration::from_millis(1))),
                        Some("iso8601-tzinfo") => {
                            (WrittenZone::Offset, Some(Duration::from_millis(1)))
                        }
                        None | Some("no" | "false" | "0") => (WrittenZone::Missing, None),
                        Some(_) => (WrittenZone::Local, Some(Duration::from_millis(1))),
                    };
                    return Log {
                        path: under(&configuration.directory(), file.word(1)),
                        is_file: true,
                        records: records.timed(zone, step),
                        is_covered: false,
                        format: known("bind"),
                    };
                }
                let route = match statement.child("stderr") {
                    Some(_) => Route::journal(),
                    None => Syslog::read(machine).route(&self.facility(), "info"),
                };
                route.log(records, Some("bind"), findings)
            }
            Self::Syslog => {
                Syslog::read(machine)
                    .route("daemon", "info")
                    .log(records, Some("bind"), findings)
            }
            Self::Null | Self::Other(_) => Log {
                path: match self {
                    Self::Other(name) => name.clone(),
                    _ => "null".to_owned(),
                },
                is_file: false,
                records: Records::NOTHING,
                is_covered: matches!(self, Self::Other(_)),
                format: None,
            },
        }
    }
}

impl Configuration {
    fn options(&self) -> Option<&Statement> {
        self.statements.iter().find(|it| it.is("options"))
    }

    fn logging(&self) -> Option<&Statement> {
        self.statements.iter().find(|it| it.is("logging"))
    }

    fn category(&self, name: &str) -> Option<&Statement> {
        let children = self.logging()?.children();
        children
            .iter()
            .find(|it| it.is("category") && it.word(1) == name)
    }

    fn directory(&self) -> String {
        let directory = self
            .options()
            .and_then(|options| options.child("directory"));
        directory
            .map_or("/var/cache/bind", |it| it.word(1))
            .to_owned()
    }

    /// `querylog`; without it, whether the category of queries is named.
    fn logs_queries(&self) -> bool {
        match self.options().and_then(|options| options.child("querylog")) {
            Some(querylog) => matches!(querylog.word(1), "yes" | "true" | "1" | ""),
            None => self.category("queries").is_some(),
        }
    }

    fn channels(&self) -> Vec<Channel<'_>> {
        let category = self
            .category("queries")
            .or_else(|| self.category("default"));
        let Some(category) = category else {
            return vec![Channel::Syslog];
        };
        let named = category.children().iter().map(|it| it.word(0));
        named
            .map(|name| {
                let mut own = self.logging().map_or(&[][..], Statement::children).iter();
                match own.find(|it| it.is("channel") && it.word(1) == name) {
                    Some(statement) => Channel::Own(statement),
                    None if name == "default_syslog" => Channel::Syslog,
                    None if name == "null" => Channel::Null,
                    None => Channel::Other(name.to_owned()),
                }
            })
            .collect()
    }

    /// How many different ports are listened on.
    fn ports(&self) -> usize {
        let options = self.options().map_or(&[][..], Statement::children).iter();
        let listens = options.filter(|it| it.is("listen-on") || it.is("listen-on-v6"));
        let mut ports: Vec<&str> = listens
            .map(|it| {
                let port = it.words.iter().position(|word| word.text == "port");
                port.map_or("53", |at| it.word(at + 1))
            })
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports.len()
    }

    fn log_queries(&self, path: &str, edits: &mut Edits) {
        match self.options() {
            None => edits.append(&self.lines, path, "options {\n\tquerylog yes;\n};"),
            Some(options) => match options.child("querylog").and_then(|it| it.words.get(1)) {
                Some(word) => edits.replace(&self.lines, &options.file, word.range.clone(), "yes"),
                None => self.put_into(options, "querylog yes;", edits),
            },
        }
    }

    /// Puts a statement first into a block: on a line of its own where the block's first is.
    fn put_into(&self, block: &Statement, statement: &str, edits: &mut Edits) {
        let text = self.lines.text(&block.file);
        let at = block.inside.start;
        let rest = text.get(at..).unwrap_or_default();
        let gap = rest.len() - rest.trim_start().len();
        let with = match rest.get(..gap).and_then(|gap| gap.rsplit_once('\n')) {
            Some((_, indentation)) => format!("\n{indentation}{statement}"),
            None => format!(" {statement}"),
        };
        edits.replace(&self.lines, &block.file, at..at, &with);
    }

    fn exact_times(&self, channel: &Statement, edits: &mut Edits) {
        match channel.child("print-time").map(|it| (it, it.words.get(1))) {
            Some((it, Some(_))) if matches!(it.word(1), "iso8601-utc" | "iso8601-tzinfo") => {}
            Some((_, Some(word))) => edits.replace(
                &self.lines,
                &channel.file,
                word.range.clone(),
                "iso8601-utc",
            ),
            Some((_, None)) => {}
            None => self.put_into(channel, "print-time iso8601-utc;", edits),
        }
    }
}

#[cfg(test)]
mod tests;
