//! Traefik: `accessLog` of its static configuration. Only JSON lines have the port.

mod change;

use std::time::Duration;

use portledger_model::Moment;
use portledger_servers::{WrittenZone, config::Place};

use super::{
    FixError, Instance, Log, LookError, Server, Wish, facts, guide,
    tree::{self, Node},
};
use crate::{
    Change, Facts, Finding, Records, Rule,
    machine::{Machine, text, version_in},
};

/// Traefik.
#[derive(Debug)]
pub(super) struct Traefik;

impl Server for Traefik {
    fn facts(&self) -> &'static Facts {
        facts!("traefik.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("traefik.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/traefik/traefik.yml",
            "/etc/traefik/traefik.yaml",
            "/etc/traefik/traefik.toml",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.starts_with("traefik.") || text.contains("entryPoints") && text.contains("providers")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let configuration = Configuration::read(machine, path)?;
        let mut findings = Vec::new();
        configuration.proxies(&mut findings);
        let said = machine.run("traefik", &["version"]);
        Ok(Instance {
            version: said.and_then(|output| version_in(&output.stdout)),
            config: vec![path.to_owned()],
            logs: configuration.log(&mut findings).into_iter().collect(),
            findings,
        })
    }

    fn plan(&self, machine: &dyn Machine, path: &str, wish: Wish) -> Result<Change, FixError> {
        let configuration = Configuration::read(machine, path)?;
        change::change(&configuration, wish)
    }
}

/// The static configuration.
struct Configuration {
    path: String,
    text: String,
    root: Node,
}

/// The fields of a line that name the client, and when.
const NEEDED: &[&str] = &["ClientAddr", "ClientHost", "ClientPort", "StartUTC"];

impl Configuration {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let text = text(machine, path)?;
        let root = match path.ends_with(".toml") {
            true => tree::toml(path, &text)?,
            false => tree::yaml(path, &text)?,
        };
        Ok(Self {
            path: path.to_owned(),
            text,
            root,
        })
    }

    fn is_toml(&self) -> bool {
        self.path.ends_with(".toml")
    }

    fn place(&self, at: usize) -> Place {
        tree::place(&self.path, &self.text, at)
    }

    fn access_log(&self) -> Option<&(Node, Node)> {
        self.root.entry("accessLog")
    }

    /// Whether a field stands in the lines.
    fn keeps(log: &Node, field: &str) -> bool {
        let mode = log
            .text(&["fields", "names", field])
            .or_else(|| log.text(&["fields", "defaultMode"]));
        mode.is_none_or(|mode| mode == "keep")
    }

    fn log(&self, findings: &mut Vec<Finding>) -> Option<Log> {
        let (key, log) = self.access_log()?;
        let place = self.place(key.range.start);
        let is_json = log.text(&["format"]) == Some("json");
        let path = log.text(&["filePath"]).filter(|path| !path.is_empty());
        let path = path.unwrap_or("stdout");
        if log
            .get(&["filters"])
            .is_some_and(|it| !it.entries().is_empty())
        {
            findings.push(Finding::at(
                Rule::Incomplete,
                &place,
                "only requests that the filters let through are logged",
            ));
        }
        let keeps = |field| Self::keeps(log, field);
        let [endpoint, address, port, time] =
            [0, 1, 2, 3].map(|at| NEEDED.get(at).is_some_and(|field| keeps(field)));
        let records = Records {
            source_address: !is_json || endpoint || address,
            source_port: is_json && (endpoint || address && port) && self.hop().is_none(),
            time_utc: !is_json || time,
            // The common format has whole seconds.
            resolution: match is_json {
                true => time.then_some(Duration::from_micros(1)),
                false => Some(Duration::from_secs(1)),
            },
            transport: true,
            destination_port: false,
            zone: match (is_json, time) {
                (false, _) => WrittenZone::Offset,
                (true, true) => WrittenZone::Utc,
                (true, false) => WrittenZone::Missing,
            },
            moment: Some(Moment::RequestStart),
        };
        Some(Log {
            is_file: path.starts_with('/'),
            path: path.to_owned(),
            records,
            is_covered: false,
            format: Some(
                if is_json {
                    "traefik-json"
                } else {
                    "traefik-common"
                }
                .to_owned(),
            ),
        })
    }

    /// Where headers of a proxy in front are believed, and the PROXY protocol is not taken.
    fn hop(&self) -> Option<Place> {
        let points = self.root.get(&["entryPoints"])?;
        let mut points = points.entries().iter();
        points.find_map(|(_, point)| {
            let (key, headers) = point.entry("forwardedHeaders")?;
            let is_believed = headers.get(&["trustedIPs"]).is_some()
                || headers.text(&["insecure"]) == Some("true");
            let takes_protocol = point.entry("proxyProtocol").is_some();
            (is_believed && !takes_protocol).then(|| self.place(key.range.start))
        })
    }

    fn proxies(&self, findings: &mut Vec<Finding>) {
        if let Some(place) = self.hop() {
            findings.push(Finding::at(
                Rule::HopPort,
                &place,
                "a proxy in front names the client in a header, without its port, and ClientAddr is the proxy's: let it send the PROXY protocol, with proxyProtocol.trustedIPs here",
            ));
        }
        let points = self.root.get(&["entryPoints"]);
        for (_, point) in points.map_or(&[][..], Node::entries) {
            for name in ["forwardedHeaders", "proxyProtocol"] {
                if let Some((key, value)) = point.entry(name)
                    && value.text(&["insecure"]) == Some("true")
                {
                    findings.push(Finding::at(
                        Rule::UntrustedProxy,
                        &self.place(key.range.start),
                        format!("{name} are believed from anybody: name the proxies in trustedIPs"),
                    ));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
