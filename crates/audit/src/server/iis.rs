//! Microsoft IIS: custom fields of each site's log in applicationHost.config.

mod change;

use std::time::Duration;

use portledger_model::Moment;
use portledger_servers::{WrittenZone, config::Place};
use roxmltree::{Document, Node};

use super::{FixError, Instance, Log, LookError, Server, Wish, facts, guide};
use crate::{
    Change, Facts, Finding, Records, Rule,
    machine::{Machine, text},
};

/// Microsoft IIS.
#[derive(Debug)]
pub(super) struct Iis;

/// The fields that a log has when nothing names them.
const FIELDS: &str = "Date, Time, ClientIP, UserName, ServerIP, Method, UriStem, UriQuery, HttpStatus, Win32Status, TimeTaken, ServerPort, UserAgent, Referer, HttpSubStatus";

impl Server for Iis {
    fn facts(&self) -> &'static Facts {
        facts!("iis.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("iis.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        // On an image of a Windows machine.
        &["/Windows/System32/inetsrv/config/applicationHost.config"]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
        name.eq_ignore_ascii_case("applicationHost.config")
            || text.contains("<system.applicationHost")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let text = text(machine, path)?;
        let document = parsed(path, &text)?;
        let mut findings = Vec::new();
        let mut logs: Vec<Log> = sites(&document, path)
            .iter()
            .filter_map(|site| site.log(&mut findings))
            .collect();
        if !logs.is_empty() {
            logs.push(errors());
        }
        Ok(Instance {
            version: None,
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
    Document::parse(text)
        .map_err(|error| LookError::Syntax(format!("{path}: this is no XML: {error}")))
}

/// HTTP.sys's own log, which has the port of every request that did not reach a site.
fn errors() -> Log {
    Log {
        path: r"%SystemRoot%\System32\LogFiles\HTTPERR".to_owned(),
        is_file: false,
        records: Records {
            source_address: true,
            source_port: true,
            ..records()
        },
        is_covered: false,
        format: Some("httperr".to_owned()),
    }
}

/// Of lines in W3C's form, which are in UTC: without who connected.
const fn records() -> Records {
    Records {
        source_address: false,
        source_port: false,
        time_utc: true,
        resolution: Some(Duration::from_secs(1)),
        transport: true,
        destination_port: true,
        zone: WrittenZone::Utc,
        moment: Some(Moment::Logged),
    }
}

/// A site, and what it has in common with all.
struct Site<'a, 'd> {
    node: Node<'a, 'd>,
    defaults: Option<Node<'a, 'd>>,
    path: &'a str,
}

fn child<'a, 'd>(node: Node<'a, 'd>, name: &str) -> Option<Node<'a, 'd>> {
    node.children().find(|child| child.has_tag_name(name))
}

/// Where all sites are listed.
fn list<'a, 'd>(document: &'a Document<'d>) -> Option<Node<'a, 'd>> {
    let mut nodes = document.descendants();
    nodes.find(|node| {
        node.has_tag_name("sites")
            && node
                .parent()
                .is_some_and(|parent| parent.has_tag_name("system.applicationHost"))
    })
}

fn sites<'a, 'd>(document: &'a Document<'d>, path: &'a str) -> Vec<Site<'a, 'd>> {
    let Some(list) = list(document) else {
        return Vec::new();
    };
    let defaults = child(list, "siteDefaults").and_then(|defaults| child(defaults, "logFile"));
    let sites = list.children().filter(|node| node.has_tag_name("site"));
    sites
        .map(|node| Site {
            node,
            defaults,
            path,
        })
        .collect()
}

impl<'a, 'd> Site<'a, 'd> {
    fn own(&self) -> Option<Node<'a, 'd>> {
        child(self.node, "logFile")
    }

    /// An attribute of the log: the site's, or that of all.
    fn attribute(&self, name: &str) -> Option<&'a str> {
        let of = |node: Option<Node<'a, 'd>>| node?.attribute(name);
        of(self.own()).or_else(|| of(self.defaults))
    }

    fn is_enabled(&self) -> bool {
        self.attribute("enabled") != Some("false")
    }

    fn is_w3c(&self) -> bool {
        self.attribute("logFormat")
            .is_none_or(|format| format == "W3C")
    }

    /// The custom fields: those of all, unless the site clears them, and its own.
    fn fields(&self) -> Vec<Node<'a, 'd>> {
        let mut fields = Vec::new();
        for log in [self.defaults, self.own()].into_iter().flatten() {
            for field in child(log, "customFields")
                .into_iter()
                .flat_map(|it| it.children())
            {
                if field.has_tag_name("clear") {
                    fields.clear();
                } else if field.has_tag_name("remove") {
                    let name = field.attribute("logFieldName");
                    fields.retain(|known: &Node<'a, 'd>| known.attribute("logFieldName") != name);
                } else if field.has_tag_name("add") {
                    fields.push(field);
                }
            }
        }
        fields
    }

    /// The name under which the client's port is logged.
    fn port_field(&self) -> Option<&'a str> {
        let fields = self.fields();
        let port = fields.iter().find(|field| {
            let is = |name, value: &str| {
                let written: Option<&str> = field.attribute(name);
                written.is_some_and(|it| it.eq_ignore_ascii_case(value))
            };
            is("sourceName", "REMOTE_PORT") && is("sourceType", "ServerVariable")
        });
        port.and_then(|field| field.attribute("logFieldName"))
    }

    fn has(&self, field: &str) -> bool {
        let fields = self.attribute("logExtFileFlags").unwrap_or(FIELDS);
        fields.split(',').any(|known| known.trim() == field)
    }

    fn records(&self) -> Records {
        if !self.is_w3c() {
            return Records {
                source_address: true,
                zone: WrittenZone::Local,
                time_utc: false,
                ..records()
            };
        }
        let has_time = self.has("Date") && self.has("Time");
        Records {
            source_address: self.has("ClientIP"),
            source_port: self.port_field().is_some(),
            destination_port: self.has("ServerPort"),
            time_utc: has_time,
            zone: match has_time {
                true => WrittenZone::Utc,
                false => WrittenZone::Missing,
            },
            ..records()
        }
    }

    fn log(&self, findings: &mut Vec<Finding>) -> Option<Log> {
        let place = place(self.path, self.node);
        let name = self.node.attribute("name").unwrap_or_default();
        if !self.is_enabled() {
            let message = format!("requests to '{name}' are not logged at all");
            findings.push(Finding::at(Rule::NoLog, &place, message));
            return None;
        }
        let is_w3c = self.is_w3c();
        if !is_w3c {
            findings.push(Finding::at(
                Rule::Unreadable,
                &place,
                format!(
                    "the log of '{name}' is not in W3C's form, and only that has room for a port"
                ),
            ));
        }
        if let Some(field) = self.port_field().filter(|field| !is_known(field)) {
            let message =
                format!("the port's column is called '{field}': read it with --port-field {field}");
            findings.push(Finding::at(Rule::Remark, &place, message));
        }
        let names_header = self.fields().into_iter().any(|field| {
            field
                .attribute("sourceName")
                .is_some_and(|name| name.eq_ignore_ascii_case("X-Forwarded-For"))
        });
        if names_header {
            findings.push(Finding::at(
                Rule::HopPort,
                &place,
                "X-Forwarded-For is logged, so a proxy may be in front: then c-ip and the port are the proxy's, and the header names no port unless the proxy puts it there",
            ));
        }
        let folder = self.attribute("directory");
        let folder = folder.unwrap_or(r"%SystemDrive%\inetpub\logs\LogFiles");
        let id = self.node.attribute("id").unwrap_or("?");
        Some(Log {
            path: format!(r"{folder}\W3SVC{id}"),
            is_file: false,
            records: self.records(),
            is_covered: false,
            format: is_w3c.then(|| "iis".to_owned()),
        })
    }
}

/// Names of the port's column that are read without being told.
fn is_known(field: &str) -> bool {
    [
        "c-port",
        "remote_port",
        "remote-port",
        "remoteport",
        "client-port",
        "clientport",
    ]
    .iter()
    .any(|known| field.eq_ignore_ascii_case(known))
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
