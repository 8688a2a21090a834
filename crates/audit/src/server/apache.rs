//! Apache httpd: `CustomLog`, `LogFormat` and `ErrorLog`, and what mod_remoteip makes of the client.

mod change;
mod files;

use portledger_model::Moment;
use portledger_servers::{
    Format, WrittenZone,
    config::{self, Definitions, Place},
};

use self::files::Files;
use super::{FixError, Instance, Log, LookError, Server, Wish, facts, guide};
use crate::{
    Change, Facts, Finding, Records, Rule,
    machine::{Machine, debian_version, version_in},
};

/// Apache httpd.
#[derive(Debug)]
pub(super) struct Apache;

/// What `config::apache` calls the format of an `ErrorLog`.
const ERROR_LOG: &str = "the error log's";

impl Server for Apache {
    fn facts(&self) -> &'static Facts {
        facts!("apache.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("apache.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/apache2/apache2.conf",
            "/etc/apache2-*/apache2.conf",
            "/etc/httpd/conf/httpd.conf",
            "/etc/apache2/httpd.conf",
            "/usr/local/apache2/conf/httpd.conf",
            "/usr/local/etc/apache24/httpd.conf",
            "/opt/bitnami/apache/conf/httpd.conf",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("/apache2.conf")
            || path.ends_with("/httpd.conf")
            || ["CustomLog ", "LogFormat ", "<VirtualHost ", "ServerRoot "]
                .iter()
                .any(|words| {
                    text.lines()
                        .any(|line| line.trim_start().starts_with(words))
                })
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let configuration = Configuration::read(machine, path)?;
        let mut findings = configuration.files.unreadable.clone();
        let logs = configuration.logs(&mut findings);
        configuration.proxies(&mut findings);
        configuration.left_out(&mut findings);
        Ok(Instance {
            version: version(machine),
            config: configuration.files.names(),
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
    ["apachectl", "httpd", "apache2"]
        .iter()
        .find_map(|program| version_in(&machine.run(program, &["-v"])?.stdout))
        .or_else(|| debian_version(machine, &["apache2", "apache2-bin"]))
}

/// All that one instance is told.
struct Configuration {
    files: Files,
    definitions: Definitions,
}

impl Configuration {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let mut files = Files::of(machine, path)?;
        let main = files.text(path).to_owned();
        let definitions = config::apache(path, &main, &mut |name| Ok(files.include(machine, name)))
            .map_err(|error| LookError::Syntax(error.to_string()))?;
        Ok(Self { files, definitions })
    }

    fn access_logs(&self) -> impl Iterator<Item = &config::Log> {
        let logs = self.definitions.logs.iter();
        logs.filter(|log| log.named != ERROR_LOG)
    }

    /// What a line of an access log records; nothing where its format cannot be read.
    fn records(&self, log: &config::Log) -> Records {
        let Some(format) = log.format.as_ref().ok() else {
            return Records::NOTHING;
        };
        let mut records = Records::of(format).unwrap_or(Records::NOTHING);
        // Behind mod_remoteip %{remote}p is 0: the header names no port.
        records.source_port &= self.remote_ip().is_none();
        records.source_address &= !(self.looks_names_up() && format.name().contains("%h"));
        records.destination_port |= self.is_one_port();
        records
    }

    /// Whether another log of the same hosts has what this one lacks, for every request.
    fn is_covered(&self, log: &config::Log) -> bool {
        !self.records(log).are_enough()
            && log.contexts.iter().all(|context| {
                self.access_logs().any(|other| {
                    other.contexts.contains(context)
                        && self.records(other).are_enough()
                        && !self.is_conditional(other)
                })
            })
    }

    fn logs(&self, findings: &mut Vec<Finding>) -> Vec<Log> {
        let mut logs: Vec<Log> = Vec::new();
        for log in self.access_logs() {
            let is_covered = self.is_covered(log);
            let path = self.files.log_path(&log.path);
            if let Err(error) = &log.format
                && !is_covered
            {
                let message = format!("the format '{}' of {path}: {error}", log.named);
                findings.push(Finding::at(Rule::Unreadable, &log.place, message));
            }
            logs.push(Log {
                is_file: path.starts_with('/'),
                path,
                records: self.records(log),
                is_covered,
                format: log.format.as_ref().ok().map(|it| it.name().to_owned()),
            });
        }
        if logs.is_empty() {
            let message = "no CustomLog: requests are not logged at all";
            findings.push(Finding::new(Rule::NoLog, message));
        }
        // Errors belong to requests that the access logs have.
        let is_covered = !logs.is_empty()
            && logs
                .iter()
                .all(|log| log.records.are_enough() || log.is_covered);
        logs.extend(self.error_logs(is_covered));
        let mut known: Vec<Log> = Vec::new();
        for log in logs {
            let is_known = known
                .iter()
                .any(|other| other.path == log.path && other.format == log.format);
            if !is_known {
                known.push(log);
            }
        }
        known
    }

    fn error_logs(&self, is_covered: bool) -> impl Iterator<Item = Log> {
        let logs = self.definitions.logs.iter();
        logs.filter(|log| log.named == ERROR_LOG).map(move |log| {
            let path = self.files.log_path(&log.path);
            let is_file = path.starts_with('/');
            let is_stock = log.format.is_ok();
            Log {
                is_file,
                // `[client ip:port]` since 2.4, local time in microseconds without an offset.
                records: match is_stock {
                    true => Records {
                        source_address: true,
                        source_port: self.remote_ip().is_none(),
                        resolution: Some(std::time::Duration::from_micros(1)),
                        transport: true,
                        destination_port: self.is_one_port(),
                        zone: WrittenZone::Local,
                        moment: Some(Moment::Logged),
                        ..Records::NOTHING
                    },
                    false => Records::NOTHING,
                },
                is_covered,
                format: (is_stock && is_file).then(|| "apache-error".to_owned()),
                path,
            }
        })
    }

    /// Whether the condition behind a `CustomLog` keeps requests out of it.
    fn is_conditional(&self, log: &config::Log) -> bool {
        self.files.words(&log.place).len() > 3
    }

    /// Where mod_remoteip takes the client's address from a header.
    fn remote_ip(&self) -> Option<Place> {
        let mut all = self.files.directives();
        all.find_map(|directive| (directive.name == "remoteipheader").then_some(directive.place))
    }

    fn looks_names_up(&self) -> bool {
        self.files.directives().any(|directive| {
            directive.name == "hostnamelookups"
                && !directive.words.first().is_some_and(|word| is(word, "off"))
        })
    }

    /// Whether there is but one port that clients can have meant.
    fn is_one_port(&self) -> bool {
        let listens = self
            .files
            .directives()
            .filter(|directive| directive.name == "listen");
        let mut ports: Vec<String> = listens
            .filter_map(|listen| {
                let word = listen.words.first()?;
                word.rsplit(':').next().map(str::to_owned)
            })
            .collect();
        ports.sort();
        ports.dedup();
        ports.len() == 1
    }

    fn proxies(&self, findings: &mut Vec<Finding>) {
        let Some(place) = self.remote_ip() else {
            return;
        };
        findings.push(Finding::at(
            Rule::PortLost,
            &place,
            "mod_remoteip takes the client's address from a header, which names no port, and %{remote}p becomes 0: let the proxy send the PROXY protocol, with 'RemoteIPProxyProtocol On' here",
        ));
        let is_limited = self.files.directives().any(|directive| {
            directive.name.starts_with("remoteiptrustedproxy")
                || directive.name.starts_with("remoteipinternalproxy")
        });
        if !is_limited {
            findings.push(Finding::at(
                Rule::UntrustedProxy,
                &place,
                "the header is believed from anybody: name the proxies with RemoteIPInternalProxy or RemoteIPTrustedProxy",
            ));
        }
    }

    /// Requests that no log has, and ports that no log tells.
    fn left_out(&self, findings: &mut Vec<Finding>) {
        for log in self.access_logs().filter(|log| self.is_conditional(log)) {
            findings.push(Finding::at(
                Rule::Incomplete,
                &log.place,
                "only requests that the condition lets through are logged",
            ));
        }
        for directive in self.files.directives() {
            let host = format!("VirtualHost {} ({})", directive.rest, directive.place);
            if directive.name == "<virtualhost"
                && !self.access_logs().any(|log| log.contexts.contains(&host))
            {
                findings.push(Finding::at(
                    Rule::Incomplete,
                    &directive.place,
                    "requests to this virtual host are not logged at all",
                ));
            }
            if directive.name == "hostnamelookups" && self.looks_names_up() {
                findings.push(Finding::at(
                    Rule::NoSourceAddress,
                    &directive.place,
                    "%h writes host names, which clients' networks choose: turn it off, or log %a",
                ));
            }
        }
        let tells = |log: &config::Log| self.records(log).destination_port;
        if let Some(log) = self.access_logs().find(|log| !tells(log)) {
            findings.push(Finding::at(
                Rule::NoDestinationPort,
                &log.place,
                "several ports are served and the lines do not say which: %{local}p does",
            ));
        }
    }

    /// The format string that a log's name stands for, where one is defined.
    fn definition(&self, log: &config::Log) -> Option<&config::Definition> {
        let text = log.format.as_ref().map(Format::name).ok()?;
        let text = text.strip_prefix("apache:")?;
        let wanted = match log.named.as_str() {
            "TransferLog" => "",
            named => named,
        };
        let mut all = self.definitions.formats.iter().rev();
        all.find(|definition| definition.name == wanted && definition.text == text)
    }
}

fn is(word: &str, other: &str) -> bool {
    word.eq_ignore_ascii_case(other)
}

#[cfg(test)]
mod tests;
