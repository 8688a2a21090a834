//! HAProxy: what each frontend logs, by its own section and the defaults it inherits.

mod change;
mod sections;

use std::time::Duration;

use portledger_model::Moment;
use portledger_servers::{Format, WrittenZone};

use self::sections::{Frontend, LogFormat, Sections};
use super::{FixError, Instance, Log, LookError, Server, Wish, facts, guide};
use crate::{
    Change, Facts, Finding, Records, Rule,
    machine::{Machine, debian_version, text, version_in},
};

/// HAProxy.
#[derive(Debug)]
pub(super) struct HaProxy;

impl Server for HaProxy {
    fn facts(&self) -> &'static Facts {
        facts!("haproxy.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("haproxy.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/haproxy/haproxy.cfg",
            "/usr/local/etc/haproxy/haproxy.cfg",
            "/usr/local/etc/haproxy.conf",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("haproxy.cfg")
            || ["frontend ", "backend ", "listen "]
                .iter()
                .any(|words| text.lines().any(|line| line.starts_with(words)))
                && text
                    .lines()
                    .any(|line| line.trim_start().starts_with("bind "))
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let sections = Sections::read(machine, path)?;
        let mut findings = sections.texts.unreadable.clone();
        let logs = logs(machine, &sections, &mut findings);
        left_out(&sections, &mut findings);
        behind(&sections, &mut findings);
        Ok(Instance {
            version: version(machine),
            config: sections.texts.names(),
            logs,
            findings,
        })
    }

    fn plan(&self, machine: &dyn Machine, path: &str, wish: Wish) -> Result<Change, FixError> {
        let sections = Sections::read(machine, path)?;
        change::change(machine, &sections, path, wish)
    }
}

fn version(machine: &dyn Machine) -> Option<String> {
    let said = machine.run("haproxy", &["-v"]);
    said.and_then(|output| version_in(&output.stdout))
        .or_else(|| debian_version(machine, &["haproxy"]))
}

/// How the syslog daemon writes the time in front of lines, which is all there is of `Connect from`.
fn syslog_zone(machine: &dyn Machine) -> WrittenZone {
    let Ok(text) = text(machine, "/etc/rsyslog.conf") else {
        return WrittenZone::Local;
    };
    let is_traditional = text.lines().any(|line| {
        !line.trim_start().starts_with('#') && line.contains("RSYSLOG_TraditionalFileFormat")
    });
    match is_traditional {
        true => WrittenZone::Local,
        // rsyslog's own default is RFC 3339.
        false => WrittenZone::Offset,
    }
}

/// The name of a log's format, as `--format` takes it.
fn format_of(format: &LogFormat) -> String {
    match format {
        LogFormat::Own(text) => format!("haproxy:{text}"),
        _ => "haproxy".to_owned(),
    }
}

fn records(machine: &dyn Machine, frontend: &Frontend<'_>) -> Records {
    let of_http = frontend.is_http;
    let own = |zone, moment, step| Records {
        source_address: true,
        source_port: true,
        time_utc: matches!(zone, WrittenZone::Utc | WrittenZone::Offset),
        resolution: Some(step),
        transport: true,
        destination_port: false,
        zone,
        moment: Some(moment),
    };
    let millisecond = Duration::from_millis(1);
    let mut records = match &frontend.format {
        LogFormat::Own(_) => Format::parse(&format_of(&frontend.format))
            .ok()
            .and_then(|format| Records::of(&format))
            .unwrap_or(Records::NOTHING),
        LogFormat::Bare => Records {
            destination_port: true,
            ..own(syslog_zone(machine), Moment::Logged, Duration::from_secs(1))
        },
        LogFormat::HttpClf if of_http => own(
            WrittenZone::Offset,
            Moment::RequestStart,
            Duration::from_secs(1),
        ),
        LogFormat::Http | LogFormat::Https | LogFormat::HttpClf if of_http => {
            own(WrittenZone::Local, Moment::RequestStart, millisecond)
        }
        // In TCP mode the formats of HTTP are that of TCP.
        _ => own(WrittenZone::Local, Moment::Connect, millisecond),
    };
    records.source_port &= frontend.replaces_source.is_none();
    records.destination_port |= frontend.is_one_port;
    records
}

/// Where HAProxy's lines end up: the file that rsyslog's own piece of configuration names, or else
/// what they are sent to.
fn path(machine: &dyn Machine, frontend: &Frontend<'_>) -> String {
    let of_rsyslog = || {
        let files = machine.glob("/etc/rsyslog.d/*haproxy*.conf");
        files.iter().find_map(|file| {
            let text = text(machine, file).ok()?;
            let mut words = text.split([' ', '\t', '\n', ';', '"', '-']);
            let path = words.find(|word| word.starts_with("/var/log/"))?;
            Some(path.to_owned())
        })
    };
    let target = frontend.target.as_str();
    match target.starts_with('/') || target.starts_with("127.") || target == "localhost" {
        true => of_rsyslog().unwrap_or_else(|| "syslog".to_owned()),
        false => target.to_owned(),
    }
}

fn logs(machine: &dyn Machine, sections: &Sections, findings: &mut Vec<Finding>) -> Vec<Log> {
    let mut logs: Vec<Log> = Vec::new();
    for frontend in sections.frontends() {
        if !frontend.is_logged {
            continue;
        }
        let path = path(machine, &frontend);
        let format = format_of(&frontend.format);
        let parsed = Format::parse(&format);
        if let Err(error) = &parsed {
            let message = format!("the log-format of '{}': {error}", frontend.name());
            findings.push(Finding::at(
                Rule::Unreadable,
                frontend.format_place(),
                message,
            ));
        }
        let log = Log {
            is_file: path.starts_with("/var/"),
            path,
            records: records(machine, &frontend),
            is_covered: false,
            format: parsed.is_ok().then_some(format),
        };
        let is_known = |known: &Log| {
            known.path == log.path && known.format == log.format && known.records == log.records
        };
        if !logs.iter().any(is_known) {
            logs.push(log);
        }
    }
    logs
}

fn left_out(sections: &Sections, findings: &mut Vec<Finding>) {
    for frontend in sections.frontends() {
        if !frontend.is_logged {
            let message = format!("connections to '{}' are not logged at all", frontend.name());
            findings.push(Finding::at(Rule::NoLog, frontend.place(), message));
        }
        if let Some(place) = frontend.replaces_source {
            findings.push(Finding::at(
                Rule::HopPort,
                place,
                "set-src takes the client's address from a header, and the port stays that of whoever sent it: let that proxy send the PROXY protocol, with 'accept-proxy' behind bind",
            ));
        }
    }
    let options: &[(&[&str], &str)] = &[
        (
            &["option", "dontlognull"],
            "connections that send nothing are not logged, as those of a port scan",
        ),
        (
            &["option", "dontlog-normal"],
            "only what went wrong is logged",
        ),
    ];
    for statement in &sections.texts.statements {
        let named = options.iter().find(|(words, _)| statement.is(words));
        if let Some((_, what)) = named {
            findings.push(Finding::at(Rule::Incomplete, &statement.place, *what));
        }
    }
}

/// Servers behind HAProxy see HAProxy's port unless they are told the client's.
fn behind(sections: &Sections, findings: &mut Vec<Finding>) {
    let mut servers = sections.texts.statements.iter();
    let untold = servers.find(|statement| {
        let tells = |word: &String| word.starts_with("send-proxy");
        statement.is(&["server"]) && !statement.words.iter().any(tells)
    });
    if let Some(statement) = untold {
        findings.push(Finding::at(
            Rule::Remark,
            &statement.place,
            "this server sees HAProxy's port: 'send-proxy-v2' tells it the client's, where it takes the PROXY protocol; X-Forwarded-For names no port",
        ));
    }
}

#[cfg(test)]
mod tests;
