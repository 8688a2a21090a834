//! Caddy: the `log` directive of each site in the Caddyfile. Without one nothing is logged.

mod syntax;

use std::time::Duration;

use portledger_model::Moment;
use portledger_servers::WrittenZone;

use self::syntax::{Directive, Files, Site};
use super::{FixError, Instance, Log, LookError, Server, Wish, facts, guide};
use crate::{
    Change, CommandLine, Facts, Finding, Records, Rule,
    machine::{Machine, debian_version, folder, under, version_in},
    plan::{Plan, by_hand},
};

/// Caddy.
#[derive(Debug)]
pub(super) struct Caddy;

/// What the change's own log is called, in the folder of the other logs.
const LOG: &str = "access.log";

/// Caddy's packages make this folder.
const FOLDER: &str = "/var/log/caddy";

/// Where Caddy writes, as far as the configuration says: in the folder of another site's log, of
/// Caddy's own, or else of its packages.
fn own_log(files: &Files) -> String {
    let of_sites = files.sites.iter().flat_map(site_logs);
    let of_caddy = files.options.iter().filter(|option| option.name() == "log");
    let path = of_sites.chain(of_caddy).find_map(|log| {
        let output = log.inner("output")?;
        let path = output.word(2);
        // A placeholder is filled in by Caddy alone.
        (output.word(1) == "file" && path.starts_with('/') && !path.contains('{')).then_some(path)
    });
    under(path.map_or(FOLDER, folder), LOG)
}

impl Server for Caddy {
    fn facts(&self) -> &'static Facts {
        facts!("caddy.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("caddy.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &["/etc/caddy/Caddyfile", "/usr/local/etc/caddy/Caddyfile"]
    }

    fn claims(&self, path: &str, _: &str) -> bool {
        path.ends_with("Caddyfile") || path.ends_with(".caddyfile")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let files = Files::read(machine, path)?;
        let mut findings = files.unreadable.clone();
        let proxies = trusted_proxies(&files);
        if let Some(directive) = proxies {
            findings.push(Finding::at(
                Rule::HopPort,
                &directive.place,
                "client_ip is taken from a header, which names no port, and remote_port is the proxy's: let the proxy send the PROXY protocol, with 'listener_wrappers { proxy_protocol }' here",
            ));
        }
        let mut logs: Vec<Log> = Vec::new();
        for site in &files.sites {
            left_out(site, &mut findings);
            for directive in site_logs(site) {
                let log = log(directive, proxies.is_some(), &mut findings);
                let is_known = |known: &Log| known.path == log.path && known.format == log.format;
                if !logs.iter().any(is_known) {
                    logs.push(log);
                }
            }
        }
        Ok(Instance {
            version: version(machine),
            config: files.names(),
            logs,
            findings,
        })
    }

    fn plan(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        let files = Files::read(machine, path)?;
        change(&files, path)
    }
}

fn version(machine: &dyn Machine) -> Option<String> {
    let said = machine.run("caddy", &["version"]);
    said.and_then(|output| version_in(output.stdout.trim_start_matches('v')))
        .or_else(|| debian_version(machine, &["caddy"]))
}

/// The logs of one site that are kept.
fn site_logs(site: &Site) -> impl Iterator<Item = &Directive> {
    site.directives.iter().filter(|directive| {
        let output = directive.inner("output");
        directive.name() == "log" && output.is_none_or(|output| output.word(1) != "discard")
    })
}

fn log(directive: &Directive, is_behind: bool, findings: &mut Vec<Finding>) -> Log {
    let output = directive.inner("output");
    let path = match output.map(|output| (output.word(1), output.word(2))) {
        Some(("file", path)) => path.to_owned(),
        Some(("net", address)) => format!("net {address}"),
        Some((other, _)) => other.to_owned(),
        None => "stderr".to_owned(),
    };
    let (format, mut records) = written(directive);
    records.source_port &= !is_behind;
    if format.is_none() {
        findings.push(Finding::at(
            Rule::Unreadable,
            &directive.place,
            "lines of this format are not read here: 'format json', which is the default, is",
        ));
    }
    Log {
        is_file: path.starts_with('/'),
        path,
        records,
        is_covered: false,
        format: format.map(str::to_owned),
    }
}

/// How lines are written, and what they record.
fn written(directive: &Directive) -> (Option<&'static str>, Records) {
    let json = Records {
        source_address: true,
        source_port: true,
        time_utc: true,
        resolution: Some(Duration::from_micros(1)),
        transport: true,
        destination_port: false,
        zone: WrittenZone::Utc,
        moment: Some(Moment::RequestEnd),
    };
    let Some(format) = directive.inner("format") else {
        return (Some("caddy"), json);
    };
    // A filter writes by what it wraps.
    let (encoder, name) = match format.word(1) {
        "filter" => match format.inner("wrap") {
            Some(wrap) => (wrap, wrap.word(1)),
            None => (format, "json"),
        },
        name => (format, name),
    };
    let mut records = json;
    if format.word(1) == "filter" {
        let fields = format.inner("fields");
        // Since 2.8 the fields may stand in the filter itself.
        let inner = fields.map_or(&[][..], |fields| &fields.block);
        for field in inner.iter().chain(&format.block) {
            match field.name() {
                "request" => (records.source_address, records.source_port) = (false, false),
                "request>remote_ip" => records.source_address = false,
                "request>remote_port" => records.source_port = false,
                "ts" => (records.time_utc, records.zone) = (false, WrittenZone::Missing),
                _ => {}
            }
        }
    }
    let is_local = encoder.inner("time_format").is_some_and(|form| {
        form.word(1).starts_with("wall") && encoder.inner("time_local").is_some()
            || form.word(1).starts_with("wall") && form.word(1) != "wall_milli_utc"
    });
    if is_local {
        (records.time_utc, records.zone) = (false, WrittenZone::Local);
    }
    match name {
        "json" => (Some("caddy"), records),
        "console" => {
            let zone = WrittenZone::Local;
            let local = Records {
                time_utc: false,
                zone,
                ..records
            };
            (None, local)
        }
        _ => (None, Records::NOTHING),
    }
}

/// Where a header is believed and the PROXY protocol is not taken.
fn trusted_proxies(files: &Files) -> Option<&Directive> {
    let mut servers = files.options.iter().filter(|it| it.name() == "servers");
    servers.find_map(|servers| {
        let wrappers = servers.inner("listener_wrappers");
        let takes_protocol = wrappers.is_some_and(|it| it.inner("proxy_protocol").is_some());
        servers.inner("trusted_proxies").filter(|_| !takes_protocol)
    })
}

fn left_out(site: &Site, findings: &mut Vec<Finding>) {
    if site_logs(site).next().is_none() {
        let message = format!("requests to '{}' are not logged at all", site.name);
        findings.push(Finding::at(Rule::NoLog, &site.place, message));
    }
    let skips = |it: &&Directive| matches!(it.name(), "log_skip" | "skip_log");
    if let Some(directive) = site.directives.iter().find(skips) {
        findings.push(Finding::at(
            Rule::Incomplete,
            &directive.place,
            "requests that this matches are not logged",
        ));
    }
}

fn change(files: &Files, path: &str) -> Result<Change, FixError> {
    if let Some(directive) = trusted_proxies(files) {
        return Err(by_hand(
            &directive.place,
            "the client's address comes from a header that names no port: let the proxy send the PROXY protocol, with 'listener_wrappers { proxy_protocol }' here",
        ));
    }
    let path_of_log = own_log(files);
    let mut plan = Plan::default();
    for site in &files.sites {
        for directive in site_logs(site) {
            let (format, records) = written(directive);
            if format.is_none() || !records.are_enough() {
                return Err(by_hand(
                    &directive.place,
                    "this log's format leaves out what is needed: 'format json' without a filter of request>remote_ip and request>remote_port has it",
                ));
            }
        }
        if site_logs(site).next().is_some() {
            continue;
        }
        let file = &site.place.file;
        let log = |indentation: &str| {
            format!(
                "{indentation}log {{\n{indentation}\toutput file {path_of_log}\n{indentation}}}"
            )
        };
        match site.inside {
            Some(at) => plan.insert(file, at, format!("\n{}", log("\t"))),
            // The whole file is the site.
            None => {
                let text = files.text(file);
                let gap = if text.ends_with('\n') { "" } else { "\n" };
                plan.insert(file, text.len(), format!("{gap}{}\n", log("")));
            }
        }
    }
    let remarks = match plan.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "Caddy rotates {path_of_log} by itself (100 MiB, ten files, 90 days) unless roll_size, roll_keep and roll_keep_for say otherwise"
        )],
    };
    Ok(Change {
        edits: plan.edits(|file| files.text(file))?,
        // `validate` would make the log's file as whoever runs it.
        check: Some(CommandLine::new(
            "caddy",
            &["adapt", "--adapter", "caddyfile", "--config", path],
        )),
        reload: "systemctl reload caddy".to_owned(),
        remarks,
    })
}

#[cfg(test)]
mod tests;
