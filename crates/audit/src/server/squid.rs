//! Squid: `access_log` and `logformat` in squid.conf and what it includes.

mod change;

use portledger_servers::{Format, FormatError};

use super::{
    FixError, Instance, Log, LookError, Server, Wish, facts, guide,
    words::{Statement, Syntax, Texts},
};
use crate::{
    Change, Facts, Finding, Records, Rule,
    machine::{Machine, debian_version, version_in},
};

/// Squid.
#[derive(Debug)]
pub(super) struct Squid;

/// The formats that are built in.
const BUILT_IN: &[(&str, &str)] = &[
    (
        "squid",
        "%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt",
    ),
    (
        "common",
        r#"%>a %[ui %[un [%tl] "%rm %ru HTTP/%rv" %>Hs %<st %Ss:%Sh"#,
    ),
    (
        "combined",
        r#"%>a %[ui %[un [%tl] "%rm %ru HTTP/%rv" %>Hs %<st "%{Referer}>h" "%{User-Agent}>h" %Ss:%Sh"#,
    ),
    ("referrer", "%ts.%03tu %>a %{Referer}>h %ru"),
    ("useragent", r#"%>a [%tl] "%{User-Agent}>h""#),
];

const SYNTAX: Syntax = Syntax {
    is_quoted: false,
    include: |words| (words.first()? == "include").then(|| words.get(1).cloned())?,
};

impl Server for Squid {
    fn facts(&self) -> &'static Facts {
        facts!("squid.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("squid.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/squid/squid.conf",
            "/etc/squid3/squid.conf",
            "/usr/local/etc/squid/squid.conf",
            "/usr/local/squid/etc/squid.conf",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("squid.conf")
            || ["http_port ", "http_access ", "logformat "]
                .iter()
                .any(|words| text.lines().any(|line| line.starts_with(words)))
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let configuration = Configuration::read(machine, path)?;
        let mut findings = configuration.texts.unreadable.clone();
        let logs = configuration.found(&mut findings);
        configuration.proxies(&mut findings);
        Ok(Instance {
            version: version(machine),
            config: configuration.texts.names(),
            logs,
            findings,
        })
    }

    fn plan(&self, machine: &dyn Machine, path: &str, wish: Wish) -> Result<Change, FixError> {
        let configuration = Configuration::read(machine, path)?;
        change::change(&configuration, path, wish)
    }
}

fn version(machine: &dyn Machine) -> Option<String> {
    let said = machine.run("squid", &["-v"]);
    said.and_then(|output| version_in(&output.stdout))
        .or_else(|| debian_version(machine, &["squid", "squid-openssl", "squid3"]))
}

/// All that one instance is told.
struct Configuration {
    path: String,
    texts: Texts,
}

/// One `access_log`, or the one that is written without any.
struct AccessLog<'a> {
    /// The module and what it is given: `daemon:/var/log/squid/access.log`.
    to: String,
    format: String,
    is_conditional: bool,
    statement: Option<&'a Statement>,
}

impl AccessLog<'_> {
    fn path(&self) -> &str {
        let path = self
            .to
            .split_once(':')
            .map_or(self.to.as_str(), |(_, path)| path);
        match path.starts_with("//") {
            true => &self.to,
            false => path,
        }
    }
}

impl Configuration {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        Ok(Self {
            path: path.to_owned(),
            texts: Texts::read(machine, path, SYNTAX)?,
        })
    }

    fn every<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a Statement> {
        let all = self.texts.statements.iter();
        all.filter(move |statement| statement.is(&[name]))
    }

    /// The last definition of a name.
    fn definition(&self, name: &str) -> Option<&Statement> {
        self.every("logformat").rfind(|it| it.word(1) == name)
    }

    fn logs(&self) -> Vec<AccessLog<'_>> {
        let mut logs = Vec::new();
        let mut is_default = true;
        for statement in self.every("access_log") {
            is_default = false;
            if statement.word(1) != "none" && statement.words.len() > 1 {
                logs.push(self.log(statement));
            }
        }
        if is_default {
            let folder = match self.path.starts_with("/usr/local/squid/") {
                true => "/usr/local/squid/var/logs",
                false => "/var/log/squid",
            };
            logs.push(AccessLog {
                to: format!("daemon:{folder}/access.log"),
                format: "squid".to_owned(),
                is_conditional: false,
                statement: None,
            });
        }
        logs
    }

    fn log<'a>(&self, statement: &'a Statement) -> AccessLog<'a> {
        let mut format = None;
        let mut conditions = 0;
        for word in statement.words.iter().skip(2) {
            match word.split_once('=') {
                Some(("logformat", name)) => format = Some(name),
                Some(_) => {}
                None if format.is_none() && conditions == 0 && self.is_format(word) => {
                    format = Some(word);
                }
                None => conditions += usize::from(word != "all"),
            }
        }
        AccessLog {
            to: statement.word(1).to_owned(),
            format: format.unwrap_or("squid").to_owned(),
            is_conditional: conditions > 0,
            statement: Some(statement),
        }
    }

    fn is_format(&self, name: &str) -> bool {
        self.definition(name).is_some() || BUILT_IN.iter().any(|(known, _)| *known == name)
    }

    /// The text of a format; built-in names cannot be redefined.
    fn format_text(&self, name: &str) -> Option<String> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Some((*text).to_owned());
        }
        let statement = self.definition(name)?;
        let text = self.texts.text(&statement.place.file);
        let from = statement.ranges.get(2)?.start;
        Some(text.get(from..statement.end())?.replace("\\\n", " "))
    }

    fn format(&self, log: &AccessLog<'_>) -> Result<Format, FormatError> {
        let text = self.format_text(&log.format);
        let text = text.ok_or_else(|| FormatError::Undefined {
            name: log.format.clone(),
        })?;
        Format::parse(&format!("squid:{text}"))
    }

    fn records(&self, log: &AccessLog<'_>) -> Records {
        let mut records = self
            .format(log)
            .ok()
            .and_then(|format| Records::of(&format))
            .unwrap_or(Records::NOTHING);
        // %>a is then what a header says, and %>p whoever sent it.
        records.source_port &= self.follows_header().is_none();
        records.destination_port |= self.is_one_port();
        records
    }

    fn is_covered(&self, log: &AccessLog<'_>) -> bool {
        !self.records(log).are_enough()
            && self.logs().iter().any(|other| {
                !other.is_conditional && self.records(other).are_enough() && other.to != log.to
            })
    }

    fn found(&self, findings: &mut Vec<Finding>) -> Vec<Log> {
        let logs = self.logs();
        let mut found = Vec::new();
        for log in &logs {
            let format = self.format(log);
            let is_covered = self.is_covered(log);
            let path = log.path().to_owned();
            if let (Err(error), Some(statement), false) = (&format, log.statement, is_covered) {
                let message = format!("the format '{}' of {path}: {error}", log.format);
                findings.push(Finding::at(Rule::Unreadable, &statement.place, message));
            }
            if let (true, Some(statement)) = (log.is_conditional, log.statement) {
                findings.push(Finding::at(
                    Rule::Incomplete,
                    &statement.place,
                    "only requests that its access lists let through are logged",
                ));
            }
            found.push(Log {
                is_file: path.starts_with('/'),
                records: self.records(log),
                is_covered,
                format: format.ok().map(|format| format.name().to_owned()),
                path,
            });
        }
        found
    }

    /// Where `X-Forwarded-For` is followed.
    fn follows_header(&self) -> Option<&Statement> {
        self.every("follow_x_forwarded_for")
            .find(|statement| statement.word(1) == "allow")
    }

    fn is_one_port(&self) -> bool {
        let ports = ["http_port", "https_port"].map(|name| self.every(name).count());
        ports.iter().sum::<usize>() == 1
    }

    fn proxies(&self, findings: &mut Vec<Finding>) {
        let Some(statement) = self.follows_header() else {
            return;
        };
        findings.push(Finding::at(
            Rule::HopPort,
            &statement.place,
            "%>a is taken from X-Forwarded-For, which names no port, and %>p is the port of the proxy that sent it: let that send the PROXY protocol, with 'require-proxy-header' behind http_port and proxy_protocol_access",
        ));
        if statement.word(2) == "all" {
            findings.push(Finding::at(
                Rule::UntrustedProxy,
                &statement.place,
                "the header is believed from anybody: name the proxies in an access list",
            ));
        }
    }
}

#[cfg(test)]
mod tests;
