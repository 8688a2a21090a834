//! lighttpd: `accesslog.filename` and `accesslog.format`, each where a condition may give its own.

mod change;
mod syntax;

use portledger_servers::{Format, config::Place};

use self::syntax::{Assignment, Files};
use super::{FixError, Instance, Log, LookError, Server, Wish, facts, guide};
use crate::{
    Change, Facts, Finding, Records, Rule,
    machine::{Machine, debian_version, version_in},
};

/// lighttpd.
#[derive(Debug)]
pub(super) struct Lighttpd;

/// What is written where no format is named.
const DEFAULT: &str = r#"%h %V %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#;

impl Server for Lighttpd {
    fn facts(&self) -> &'static Facts {
        facts!("lighttpd.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("lighttpd.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/lighttpd/lighttpd.conf",
            "/usr/local/etc/lighttpd/lighttpd.conf",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("lighttpd.conf")
            || ["server.document-root", "server.modules", "accesslog."]
                .iter()
                .any(|words| {
                    text.lines()
                        .any(|line| line.trim_start().starts_with(words))
                })
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let files = Files::read(machine, path)?;
        let mut findings = files.unreadable.clone();
        let logs = logs(&files)
            .iter()
            .map(|log| log.found(&files, &mut findings))
            .collect();
        proxies(&files, &mut findings);
        Ok(Instance {
            version: version(machine),
            config: files.names(),
            logs,
            findings,
        })
    }

    fn plan(&self, machine: &dyn Machine, path: &str, wish: Wish) -> Result<Change, FixError> {
        let files = Files::read(machine, path)?;
        change::change(&files, path, wish)
    }
}

fn version(machine: &dyn Machine) -> Option<String> {
    let said = machine.run("lighttpd", &["-v"]);
    said.and_then(|output| version_in(&output.stdout))
        .or_else(|| debian_version(machine, &["lighttpd"]))
}

/// A log as one scope has it: everything outside conditions, or one condition.
struct AccessLog<'a> {
    filename: &'a Assignment,
    /// Its own or inherited; the default where there is none.
    format: Option<&'a Assignment>,
}

impl AccessLog<'_> {
    fn format(&self) -> Option<String> {
        match self.format {
            None => Some(DEFAULT.to_owned()),
            Some(assignment) => assignment.text.clone(),
        }
    }

    fn records(&self, files: &Files) -> Records {
        let format = self.format();
        let format = format.and_then(|text| Format::parse(&format!("lighttpd:{text}")).ok());
        let mut records = format
            .and_then(|format| Records::of(&format))
            .unwrap_or(Records::NOTHING);
        // The address is then what a header says, without a port.
        records.source_port &= header_believed(files).is_none();
        records
    }

    fn found(&self, files: &Files, findings: &mut Vec<Finding>) -> Log {
        let format = self.format().map(|text| format!("lighttpd:{text}"));
        let parsed = format.as_deref().map(Format::parse);
        let place = self.format.unwrap_or(self.filename).place.clone();
        match &parsed {
            Some(Err(error)) => {
                findings.push(Finding::at(Rule::Unreadable, &place, error.to_string()));
            }
            None => findings.push(Finding::at(
                Rule::Unreadable,
                &place,
                "the format is put together from variables, which are not followed here",
            )),
            Some(Ok(_)) => {}
        }
        let path = self.filename.text.clone();
        let path = path.unwrap_or_else(|| "a file named by variables".to_owned());
        Log {
            is_file: path.starts_with('/'),
            path,
            records: self.records(files),
            is_covered: false,
            format: format.filter(|_| parsed.is_some_and(|parsed| parsed.is_ok())),
        }
    }
}

/// What is logged: nothing unless mod_accesslog is loaded.
fn logs(files: &Files) -> Vec<AccessLog<'_>> {
    let is_loaded = files
        .assignments
        .iter()
        .any(|it| it.key == "server.modules" && it.names("mod_accesslog"));
    let filenames = files
        .assignments
        .iter()
        .filter(|it| is_loaded && it.key == "accesslog.filename");
    // Of several in one scope the last is in effect.
    let mut logs: Vec<AccessLog<'_>> = Vec::new();
    for filename in filenames {
        logs.retain(|log| log.filename.scope != filename.scope);
        logs.push(AccessLog {
            filename,
            format: format_of(files, &filename.scope),
        });
    }
    logs
}

/// The format that is in effect in a scope: the innermost one.
fn format_of<'a>(files: &'a Files, scope: &[usize]) -> Option<&'a Assignment> {
    let formats = files
        .assignments
        .iter()
        .filter(|it| it.key == "accesslog.format" && scope.starts_with(&it.scope));
    formats.max_by_key(|it| it.scope.len())
}

/// Where mod_extforward takes the client from a header.
fn header_believed(files: &Files) -> Option<&Assignment> {
    let is_proxy_protocol = files
        .assignments
        .iter()
        .any(|it| it.key == "extforward.hap-PROXY" && it.names("enable"));
    let mut all = files.assignments.iter();
    all.find(|it| it.key == "extforward.forwarder" && !is_proxy_protocol)
}

fn proxies(files: &Files, findings: &mut Vec<Finding>) {
    let Some(forwarder) = header_believed(files) else {
        return;
    };
    let place: &Place = &forwarder.place;
    findings.push(Finding::at(
        Rule::PortLost,
        place,
        "mod_extforward takes the client's address from a header, and the port that is logged is not the client's: let the proxy send the PROXY protocol, with 'extforward.hap-PROXY = \"enable\"'",
    ));
    if forwarder.names("all") {
        findings.push(Finding::at(
            Rule::UntrustedProxy,
            place,
            "the header is believed from anybody: name the proxies in place of \"all\"",
        ));
    }
}

#[cfg(test)]
mod tests;
