//! nginx: `access_log` and `log_format` by `nginx -T`, or by its files.

mod change;

use std::collections::BTreeMap;

use portledger_servers::{
    Format,
    config::{
        self, ConfigError, Definitions,
        nginx_syntax::{Directive, directives},
    },
};

use super::{FixError, Instance, Log, LookError, Server, Wish, facts, guide};
use crate::{
    Change, Facts, Finding, Records, Rule,
    machine::{Machine, debian_version, folder, text, under, version_in},
    overlay::is_named_by,
};

/// nginx.
#[derive(Debug)]
pub(super) struct Nginx;

/// Debian's packages of it.
const PACKAGES: &[&str] = &[
    "nginx-core",
    "nginx-light",
    "nginx-full",
    "nginx-extras",
    "nginx",
];

/// Where Debian's build writes when the configuration names no log.
const DEFAULT_LOG: &str = "/var/log/nginx/access.log";

impl Server for Nginx {
    fn facts(&self) -> &'static Facts {
        facts!("nginx.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("nginx.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/nginx/nginx.conf",
            "/usr/local/nginx/conf/nginx.conf",
            "/usr/local/etc/nginx/nginx.conf",
            "/opt/nginx/conf/nginx.conf",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("nginx.conf")
            || ["log_format ", "access_log ", "http {", "server {"]
                .iter()
                .any(|words| {
                    text.lines()
                        .map(|line| line.split('#').next().unwrap_or_default())
                        // Squid has access_log as well, and no marks at a line's end.
                        .any(|line| {
                            line.trim_start().starts_with(words) && line.contains([';', '{', '\''])
                        })
                })
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let configuration = Configuration::read(machine, path)?;
        let mut findings = Vec::new();
        let mut logs: Vec<Log> = Vec::new();
        for log in &configuration.definitions.logs {
            let is_file = !log.path.starts_with("syslog:") && !log.path.contains('$');
            let path = match is_file {
                true => configuration.log_path(&log.path),
                false => log.path.clone(),
            };
            let format = match &log.format {
                Ok(format) => Some(format),
                Err(error) => {
                    let message = format!("the format '{}' of {path}: {error}", log.named);
                    findings.push(Finding::at(Rule::Unreadable, &log.place, message));
                    None
                }
            };
            let entry = Log {
                is_file,
                is_covered: configuration.has_port_beside(log),
                records: format.and_then(Records::of).unwrap_or(Records::NOTHING),
                format: format.map(|format| format.name().to_owned()),
                path,
            };
            if !logs
                .iter()
                .any(|known| known.path == entry.path && known.format == entry.format)
            {
                logs.push(entry);
            }
        }
        configuration.proxies(&mut findings);
        configuration.off(&mut findings);
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
    let said = machine.run("nginx", &["-v"]);
    said.and_then(|output| version_in(&output.stderr))
        .or_else(|| debian_version(machine, PACKAGES))
}

/// All that one instance is told.
struct Configuration {
    files: Files,
    definitions: Definitions,
    directives: Vec<Directive>,
    /// What relative paths of files that it writes are relative to.
    prefix: String,
}

impl Configuration {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let files = Files::read(machine, path)?;
        let main = files.text(path);
        let syntax = |error: ConfigError| LookError::Syntax(error.to_string());
        let definitions =
            config::nginx(path, main, &mut |name| files.include(name)).map_err(syntax)?;
        let directives = directives(path, main, &mut |name| files.include(name)).map_err(syntax)?;
        let prefix = machine
            .run("nginx", &["-V"])
            .and_then(|output| argument(&output.stderr, "--prefix="))
            .unwrap_or_else(|| "/usr/share/nginx".to_owned());
        Ok(Self {
            files,
            definitions,
            directives,
            prefix,
        })
    }

    /// The default is compiled in and relative; Debian's is absolute.
    fn log_path(&self, path: &str) -> String {
        match path {
            "logs/access.log" => DEFAULT_LOG.to_owned(),
            path => under(&self.prefix, path),
        }
    }

    /// Whether some log with the port is written wherever this one is.
    fn has_port_beside(&self, log: &config::Log) -> bool {
        log.contexts.iter().all(|context| {
            self.definitions.logs.iter().any(|other| {
                other.contexts.contains(context)
                    && other.format.as_ref().is_ok_and(Format::has_port)
            })
        })
    }

    /// Every directive of this name, wherever it stands.
    fn every<'a>(&'a self, name: &'a str) -> Vec<&'a Directive> {
        fn walk<'a>(within: &'a [Directive], name: &str, found: &mut Vec<&'a Directive>) {
            for directive in within {
                if directive.is(name) {
                    found.push(directive);
                }
                walk(directive.block(), name, found);
            }
        }
        let mut found = Vec::new();
        walk(&self.directives, name, &mut found);
        found
    }

    /// Whether some `listen` takes the PROXY protocol, and whether the client's endpoint is put in
    /// the place of the proxy's.
    fn proxy_protocol(&self) -> Option<ProxyProtocol<'_>> {
        let listens = self.every("listen");
        let listen = listens
            .into_iter()
            .find(|listen| listen.words.iter().any(|word| word == "proxy_protocol"))?;
        let is_replaced = self
            .every("real_ip_header")
            .iter()
            .any(|header| header.word(1) == "proxy_protocol");
        Some(ProxyProtocol {
            listen,
            is_replaced,
        })
    }

    fn proxies(&self, findings: &mut Vec<Finding>) {
        if let Some(ProxyProtocol {
            listen,
            is_replaced: false,
        }) = self.proxy_protocol()
        {
            findings.push(Finding::at(
                Rule::HopPort,
                &listen.place,
                "connections come with the PROXY protocol, and $remote_port is the proxy's port: add 'real_ip_header proxy_protocol' with 'set_real_ip_from', or log $proxy_protocol_addr and $proxy_protocol_port",
            ));
        }
        for header in self.every("real_ip_header") {
            if header.word(1) != "proxy_protocol" {
                findings.push(Finding::at(
                    Rule::PortLost,
                    &header.place,
                    format!(
                        "the client's address is taken from {}, which carries no port: let the proxy send the PROXY protocol",
                        header.word(1)
                    ),
                ));
            }
        }
        for from in self.every("set_real_ip_from") {
            if matches!(from.word(1), "0.0.0.0/0" | "::/0") {
                findings.push(Finding::at(
                    Rule::UntrustedProxy,
                    &from.place,
                    format!(
                        "{} lets anybody name any client: name the proxies alone",
                        from.word(1)
                    ),
                ));
            }
        }
    }

    fn off(&self, findings: &mut Vec<Finding>) {
        for log in self.every("access_log") {
            let reason = if log.word(1) == "off" {
                "requests here are not logged at all"
            } else if log.words.iter().any(|word| word.starts_with("if=")) {
                "only requests that the condition lets through are logged"
            } else {
                continue;
            };
            findings.push(Finding::at(Rule::Incomplete, &log.place, reason));
        }
    }
}

struct ProxyProtocol<'a> {
    listen: &'a Directive,
    is_replaced: bool,
}

/// The value of a compile-time argument: `nginx -V` prints them.
fn argument(words: &str, name: &str) -> Option<String> {
    let word = words
        .split_whitespace()
        .find_map(|word| word.strip_prefix(name))?;
    Some(word.trim_end_matches('/').to_owned())
}

/// The texts of a configuration, by file.
struct Files {
    main: String,
    folder: String,
    texts: BTreeMap<String, String>,
}

impl Files {
    /// From `nginx -T`, which is what the server would read, or else from the files.
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let main = text(machine, path)?;
        let mut texts = BTreeMap::from([(path.to_owned(), main)]);
        let dump = machine.run("nginx", &["-T", "-c", path]);
        match dump.filter(|output| output.succeeded) {
            Some(output) => texts.extend(dumped(&output.stdout)),
            None => include_all(machine, path, &mut texts),
        }
        Ok(Self {
            main: path.to_owned(),
            folder: folder(path).to_owned(),
            texts,
        })
    }

    fn text(&self, path: &str) -> &str {
        self.texts.get(path).map_or("", String::as_str)
    }

    fn names(&self) -> Vec<String> {
        let others = self.texts.keys().filter(|name| **name != self.main);
        std::iter::once(&self.main).chain(others).cloned().collect()
    }

    fn include(&self, pattern: &str) -> Result<Vec<(String, String)>, String> {
        let pattern = under(&self.folder, pattern);
        let named = self
            .texts
            .iter()
            .filter(|(name, _)| is_named_by(name, &pattern));
        Ok(named
            .map(|(name, text)| (name.clone(), text.clone()))
            .collect())
    }
}

/// The files in what `nginx -T` prints, each behind a line with its name.
fn dumped(dump: &str) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut name = None;
    for line in dump.split_inclusive('\n') {
        let header = line
            .trim_end()
            .strip_prefix("# configuration file ")
            .and_then(|rest| rest.strip_suffix(':'));
        if let Some(file) = header {
            name = Some(file.to_owned());
            files.entry(file.to_owned()).or_default();
        } else if let Some(text) = name.as_ref().and_then(|name| files.get_mut(name)) {
            text.push_str(line);
        }
    }
    // The dump puts an empty line behind each file.
    for text in files.values_mut() {
        if text.ends_with("\n\n") {
            text.pop();
        }
    }
    files
}

/// Reads every file that an `include` names, and what those include.
fn include_all(machine: &dyn Machine, path: &str, texts: &mut BTreeMap<String, String>) {
    let root = folder(path).to_owned();
    let mut open = vec![path.to_owned()];
    while let Some(file) = open.pop() {
        let text = texts.get(&file).cloned().unwrap_or_default();
        let mut named = Vec::new();
        let _ = directives(&file, &text, &mut |name| {
            named.push(name.to_owned());
            Ok(Vec::new())
        });
        for pattern in named {
            for found in machine.glob(&under(&root, &pattern)) {
                if !texts.contains_key(&found)
                    && let Ok(text) = crate::machine::text(machine, &found)
                {
                    texts.insert(found.clone(), text);
                    open.push(found);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
