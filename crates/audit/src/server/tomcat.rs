//! Apache Tomcat: `AccessLogValve` in server.xml.

mod change;

use portledger_servers::{Format, config::Place};
use roxmltree::{Document, Node, ParsingOptions};

use super::{FixError, Instance, Log, LookError, Server, Wish, facts, guide};
use crate::{
    Change, Facts, Finding, Records, Rule,
    machine::{Machine, debian_version, folder, text, under, version_in},
};

/// Apache Tomcat.
#[derive(Debug)]
pub(super) struct Tomcat;

const PACKAGES: &[&str] = &["tomcat10", "tomcat9", "tomcat11", "tomcat8", "tomcat"];

impl Server for Tomcat {
    fn facts(&self) -> &'static Facts {
        facts!("tomcat.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("tomcat.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/tomcat*/server.xml",
            "/opt/tomcat*/conf/server.xml",
            "/opt/apache-tomcat-*/conf/server.xml",
            "/usr/local/tomcat*/conf/server.xml",
            "/usr/local/apache-tomcat-*/conf/server.xml",
            "/usr/share/tomcat*/conf/server.xml",
            "/var/lib/tomcat*/conf/server.xml",
            "/opt/bitnami/tomcat/conf/server.xml",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("server.xml") && text.contains("<Server")
            || text.contains("org.apache.catalina")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let text = text(machine, path)?;
        let document = parsed(path, &text)?;
        let mut findings = Vec::new();
        let valves = valves(&document, path);
        let is_one_port = is_one_port(&document);
        let logs = valves
            .iter()
            .map(|valve| valve.found(machine, is_one_port, &mut findings))
            .collect();
        proxies(&document, path, &mut findings);
        Ok(Instance {
            version: version(machine, path),
            config: vec![path.to_owned()],
            logs,
            findings,
        })
    }

    fn plan(&self, machine: &dyn Machine, path: &str, wish: Wish) -> Result<Change, FixError> {
        let text = text(machine, path).map_err(LookError::from)?;
        let document = parsed(path, &text)?;
        change::change(&document, path, &text, wish)
    }
}

fn parsed<'t>(path: &str, text: &'t str) -> Result<Document<'t>, LookError> {
    let options = ParsingOptions {
        allow_dtd: true,
        nodes_limit: 1_000_000,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(text, options)
        .map_err(|error| LookError::Syntax(format!("{path}: this is no XML: {error}")))
}

/// The package's, or what the notes beside an unpacked archive say.
fn version(machine: &dyn Machine, path: &str) -> Option<String> {
    let notes = format!("{}/RELEASE-NOTES", folder(folder(path)));
    let of_notes = || {
        let notes = text(machine, &notes).ok()?;
        let line = notes.lines().find(|line| line.contains("Tomcat Version"))?;
        version_in(line)
    };
    of_notes().or_else(|| debian_version(machine, PACKAGES))
}

/// A valve that writes a log.
struct Valve<'a, 'd> {
    node: Node<'a, 'd>,
    path: &'a str,
}

/// Every log valve that is in effect.
fn valves<'a, 'd>(document: &'a Document<'d>, path: &'a str) -> Vec<Valve<'a, 'd>> {
    let nodes = document.descendants().filter(|node| {
        node.has_tag_name("Valve")
            && node
                .attribute("className")
                .is_some_and(|class| class.ends_with("AccessLogValve"))
            && node.attribute("enabled") != Some("false")
    });
    nodes.map(|node| Valve { node, path }).collect()
}

impl<'a> Valve<'a, '_> {
    fn attribute(&self, name: &str, default: &'a str) -> &'a str {
        self.node.attribute(name).unwrap_or(default)
    }

    /// Whether its lines are of the pattern, and not a table or JSON made of it.
    fn is_plain(&self) -> bool {
        let class = self.attribute("className", "");
        class.rsplit('.').next() == Some("AccessLogValve")
    }

    fn format(&self) -> Option<String> {
        let pattern = self.attribute("pattern", "common");
        self.is_plain().then(|| format!("tomcat:{pattern}"))
    }

    fn records(&self, is_one_port: bool) -> Records {
        let format = self.format();
        let format = format.and_then(|format| Format::parse(&format).ok());
        let mut records = format
            .and_then(|format| Records::of(&format))
            .unwrap_or(Records::NOTHING);
        // With RemoteIpValve both columns are of different machines, or of the proxy.
        records.source_port &= remote_ip(self.node.document()).is_none();
        records.destination_port |= is_one_port;
        records
    }

    /// A condition keeps requests out.
    fn is_conditional(&self) -> bool {
        ["condition", "conditionUnless", "conditionIf"]
            .iter()
            .any(|name| self.node.attribute(*name).is_some())
    }

    /// What logs requests to the same hosts: those of the same parent, and those around it.
    fn is_covered(&self, is_one_port: bool) -> bool {
        let mut around = self.node.ancestors();
        !self.records(is_one_port).are_enough()
            && around.any(|container| {
                let valves = container.children().filter(|node| *node != self.node);
                let mut valves = valves
                    .filter(|node| {
                        node.has_tag_name("Valve") && node.attribute("enabled") != Some("false")
                    })
                    .map(|node| Valve {
                        node,
                        path: self.path,
                    });
                valves.any(|valve| {
                    valve.attribute("className", "").ends_with("AccessLogValve")
                        && !valve.is_conditional()
                        && valve.records(is_one_port).are_enough()
                })
            })
    }

    /// Where the files are: below the instance's folder, of which Debian keeps only `conf` in `/etc`.
    fn folder(&self) -> String {
        let conf = folder(self.path);
        let base = match conf.strip_prefix("/etc/") {
            Some(name) => format!("/var/lib/{name}"),
            None => folder(conf).to_owned(),
        };
        under(&base, self.attribute("directory", "logs"))
    }

    fn found(&self, machine: &dyn Machine, is_one_port: bool, findings: &mut Vec<Finding>) -> Log {
        let place = place(self.path, self.node);
        let format = self.format();
        let is_covered = self.is_covered(is_one_port);
        let parsed = format.as_deref().map(Format::parse);
        match &parsed {
            Some(Err(error)) if !is_covered => {
                findings.push(Finding::at(Rule::Unreadable, &place, error.to_string()));
            }
            None if !is_covered => findings.push(Finding::at(
                Rule::Unreadable,
                &place,
                "lines of this valve are not read here: an AccessLogValve beside it can be",
            )),
            _ => {}
        }
        if self.is_conditional() {
            findings.push(Finding::at(
                Rule::Incomplete,
                &place,
                "only requests that the condition lets through are logged",
            ));
        }
        let prefix = self.attribute("prefix", "access_log");
        let suffix = self.attribute("suffix", "");
        let start = format!("{}/{prefix}", self.folder());
        let files = machine.glob(&format!("{start}*{suffix}"));
        let newest = files
            .into_iter()
            .max_by_key(|file| (machine.modified(file), file.clone()));
        Log {
            is_file: newest.is_some(),
            path: newest.unwrap_or_else(|| format!("{start}.DATE{suffix}")),
            records: self.records(is_one_port),
            is_covered,
            format: format.filter(|_| parsed.is_some_and(|parsed| parsed.is_ok())),
        }
    }
}

/// Where the client's address is taken from a header.
fn remote_ip<'a, 'd>(document: &'a Document<'d>) -> Option<Node<'a, 'd>> {
    let mut nodes = document.descendants();
    nodes.find(|node| {
        node.attribute("className")
            .is_some_and(|class| class.ends_with("RemoteIpValve"))
    })
}

fn is_one_port(document: &Document<'_>) -> bool {
    let connectors = document
        .descendants()
        .filter(|node| node.has_tag_name("Connector"));
    connectors.count() == 1
}

fn proxies(document: &Document<'_>, path: &str, findings: &mut Vec<Finding>) {
    if let Some(node) = remote_ip(document) {
        findings.push(Finding::at(
            Rule::PortLost,
            &place(path, node),
            "RemoteIpValve takes the client's address from a header, which names no port, and %{remote}p stays the proxy's: log the port in the proxy, or let it send AJP with AJP_REMOTE_PORT",
        ));
    }
}

fn place(path: &str, node: Node<'_, '_>) -> Place {
    let position = node.document().text_pos_at(node.range().start);
    Place {
        file: path.into(),
        line: u64::from(position.row),
    }
}

#[cfg(test)]
mod tests;
