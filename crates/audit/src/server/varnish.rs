//! Varnish: what varnishncsa is started with, by systemd's unit and what overrides it, or by
//! `/etc/default`.

mod unit;

use portledger_servers::{Format, config::Place};

use self::unit::{Service, format_for_unit};
use super::{FixError, Instance, Log, LookError, Server, Wish, facts, guide};
use crate::{
    Change, CommandLine, Edit, Facts, Finding, Records, Rule,
    machine::{Machine, debian_version, version_in},
};

/// Varnish.
#[derive(Debug)]
pub(super) struct Varnish;

/// What varnishncsa writes by default.
const DEFAULT: &str = r#"%h %l %u %t "%r" %s %b "%{Referer}i" "%{User-agent}i""#;
const PORT: &str = " %{VSL:ReqStart[2]}x";

/// One line a request: `connection` in all but the server's own end, which varnishncsa does not tell.
const CONNECTION: &str = "%{VSL:Timestamp:Start[1]}x %h %{VSL:ReqStart[2]}x - - -";

impl Server for Varnish {
    fn facts(&self) -> &'static Facts {
        facts!("varnish.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("varnish.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/systemd/system/varnishncsa.service",
            "/usr/lib/systemd/system/varnishncsa.service",
            "/lib/systemd/system/varnishncsa.service",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.contains("varnishncsa") || text.contains("varnishncsa")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let service = Service::read(machine, path)?;
        let mut findings = Vec::new();
        let log = found(machine, &service, &mut findings);
        Ok(Instance {
            version: version(machine),
            config: service.files.clone(),
            logs: log.into_iter().collect(),
            findings,
        })
    }

    fn plan(&self, machine: &dyn Machine, path: &str, wish: Wish) -> Result<Change, FixError> {
        let service = Service::read(machine, path)?;
        change(&service, path, wish)
    }
}

fn version(machine: &dyn Machine) -> Option<String> {
    let said = machine.run("varnishncsa", &["-V"]);
    said.and_then(|output| version_in(&output.stderr))
        .or_else(|| debian_version(machine, &["varnish"]))
}

/// What a command line of varnishncsa says.
struct Options {
    format: Option<String>,
    path: Option<String>,
    /// A query leaves requests out.
    query: Option<String>,
    /// Requests to backends are logged, in which the client is Varnish itself.
    is_backend: bool,
}

fn options(machine: Option<&dyn Machine>, words: &[String]) -> Options {
    let mut options = Options {
        format: None,
        path: None,
        query: None,
        is_backend: false,
    };
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        let (letter, attached) = match word.strip_prefix('-').map(|rest| rest.split_at_checked(1)) {
            Some(Some((letter, attached))) => (letter, attached),
            _ => continue,
        };
        match letter {
            "b" => options.is_backend = true,
            "F" | "f" | "w" | "q" | "P" | "n" | "N" | "t" | "i" | "I" | "x" | "X" | "k" | "L"
            | "R" | "T" => {
                let value = match attached {
                    "" => words.next().map_or("", String::as_str),
                    attached => attached,
                };
                match letter {
                    "F" => options.format = Some(value.to_owned()),
                    "f" => {
                        let text = machine.and_then(|it| crate::machine::text(it, value).ok());
                        let line = text.and_then(|text| text.lines().next().map(str::to_owned));
                        options.format = line.or(Some(String::new()));
                    }
                    "w" => options.path = Some(value.to_owned()),
                    "q" => options.query = Some(value.to_owned()),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    options
}

fn found(machine: &dyn Machine, service: &Service, findings: &mut Vec<Finding>) -> Option<Log> {
    let (place, words) = service.varnishncsa()?;
    let options = options(Some(machine), &words);
    let text = options.format.unwrap_or_else(|| DEFAULT.to_owned());
    let name = format!("varnishncsa:{text}");
    let format = Format::parse(&name);
    if let Err(error) = &format {
        findings.push(Finding::at(Rule::Unreadable, &place, error.to_string()));
    }
    if let Some(query) = &options.query {
        let message = format!("only requests that the query '{query}' finds are logged");
        findings.push(Finding::at(Rule::Incomplete, &place, message));
    }
    if options.is_backend {
        findings.push(Finding::at(
            Rule::HopPort,
            &place,
            "with -b requests to backends are logged, in which the client is Varnish itself",
        ));
    }
    proxies(&text, &place, findings);
    let mut records = format
        .as_ref()
        .ok()
        .and_then(Records::of)
        .unwrap_or(Records::NOTHING);
    records.source_port &= !options.is_backend;
    let path = options.path.unwrap_or_else(|| "stdout".to_owned());
    Some(Log {
        is_file: path.starts_with('/'),
        path,
        records,
        is_covered: false,
        format: format.ok().map(|format| format.name().to_owned()),
    })
}

fn proxies(text: &str, place: &Place, findings: &mut Vec<Finding>) {
    if text.to_ascii_lowercase().contains("{x-forwarded-for}i") {
        findings.push(Finding::at(
            Rule::Remark,
            place,
            "X-Forwarded-For names no port: a proxy in front, such as hitch, tells the client's by the PROXY protocol ('varnishd -a :6086,PROXY'), and then %h and ReqStart are the client's",
        ));
    }
}

fn change(service: &Service, path: &str, wish: Wish) -> Result<Change, FixError> {
    let Some((place, words)) = service.varnishncsa() else {
        return Err(FixError::ByHand {
            why: format!("{path}: varnishncsa is not started here"),
        });
    };
    let by_hand = |why: &str| FixError::ByHand {
        why: format!("{place}: {why}"),
    };
    let options = options(None, &words);
    if options.is_backend {
        return Err(by_hand(
            "with -b requests to backends are logged: start one without it",
        ));
    }
    let format = options.format.as_deref().unwrap_or(DEFAULT);
    let has_port =
        Format::parse(&format!("varnishncsa:{format}")).is_ok_and(|format| format.has_port());
    let edits = if has_port {
        Vec::new()
    } else if wish == Wish::Parallel {
        return Err(by_hand(&format!(
            "one varnishncsa writes one log: for a second start another, with -F '{CONNECTION}' and its own -w and -P"
        )));
    } else if words.iter().any(|word| word.starts_with("-f")) {
        return Err(by_hand(&format!(
            "the format is in a file of its own (-f): add{PORT} to its first line by hand"
        )));
    } else {
        let with_port = format_for_unit(&format!("{format}{PORT}"));
        let command = service
            .with_format(&with_port)
            .ok_or_else(|| by_hand("the command was not understood: add -F by hand"))?;
        let file = drop_in(service, path);
        vec![Edit {
            after: format!(
                "# The port of whoever connects, as the last column.\n[Service]\nExecStart=\nExecStart={command}\n"
            ),
            before: None,
            path: file,
        }]
    };
    let remarks = match edits.is_empty() {
        true => Vec::new(),
        false => vec![
            "the port is the last column, and the package's own unit stays as it is".to_owned(),
        ],
    };
    Ok(Change {
        edits,
        check: Some(CommandLine::new("systemd-analyze", &["verify", path])),
        reload: "systemctl daemon-reload && systemctl restart varnishncsa".to_owned(),
        remarks,
    })
}

/// A file that comes after all that are there.
fn drop_in(service: &Service, path: &str) -> String {
    let unit = path.rsplit('/').next().unwrap_or("varnishncsa.service");
    let mut name = "portledger.conf".to_owned();
    while service
        .files
        .iter()
        .skip(1)
        .any(|file| file.rsplit('/').next().is_some_and(|other| *other >= *name))
        && name.len() < 64
    {
        name = format!("z{name}");
    }
    format!("{}/{unit}.d/{name}", Service::folder_of_changes(path))
}

#[cfg(test)]
mod tests;
