//! One server looked at: what it logs, what stands out, how mature that is.

use portledger_servers::Format;
use serde::Serialize;

use crate::{
    Clock, Facts, Finding, Instance, Log, LookError, Machine, Maturity, Records, Rule, Server,
    WrittenZone,
    clock::clock,
    measure::{self, Measured},
};

/// What an audit says of one server.
#[derive(Debug, Clone, Serialize)]
pub struct Audited {
    /// What the command line calls it.
    pub server: &'static str,
    /// Its version, where it can be told.
    pub version: Option<String>,
    /// The configuration files that were read, the main one first.
    pub config: Vec<String>,
    /// What it logs.
    pub logs: Vec<AuditedLog>,
    /// How far it is.
    pub maturity: Maturity,
    /// What keeps the machine's clock, and how well.
    pub clock: Clock,
    /// What stands out, gravest first.
    pub findings: Vec<Finding>,
    /// What is known of the server anywhere.
    #[serde(skip)]
    pub facts: &'static Facts,
}

/// One log.
#[derive(Debug, Clone, Serialize)]
pub struct AuditedLog {
    /// The file, or what it is instead.
    pub path: String,
    /// What a line records, by the configuration.
    pub records: Records,
    /// Whether another log of the same connections has what this one lacks.
    pub is_covered: bool,
    /// How to read it, as `--format` takes it.
    pub format: Option<String>,
    /// What its recent lines, its readers and its rotation came to.
    pub measured: Measured,
}

/// Audits the instance whose main configuration is at `path`.
///
/// # Errors
/// When the configuration cannot be read or understood.
pub fn audit(
    machine: &dyn Machine,
    server: &'static dyn Server,
    path: &str,
) -> Result<Audited, LookError> {
    let Instance {
        version,
        config,
        logs,
        mut findings,
    } = server.look(machine, path)?;
    let facts = server.facts();
    let is_hidden = findings
        .iter()
        .any(|finding| matches!(finding.rule, Rule::HopPort | Rule::PortLost));
    if logs.is_empty() {
        findings.push(Finding::new(
            Rule::NoLog,
            format!("{} writes no log of who connects here", facts.title),
        ));
    }
    for log in &logs {
        judge(log, facts, is_hidden, &mut findings);
    }
    let measured: Vec<Measured> = logs
        .iter()
        .map(|log| measure::log(machine, log, &logs, &mut findings))
        .collect();
    let logs: Vec<AuditedLog> = logs
        .into_iter()
        .zip(measured)
        .map(|(log, measured)| AuditedLog {
            path: log.path,
            records: log.records,
            is_covered: log.is_covered,
            format: log.format,
            measured,
        })
        .collect();
    let clock = clock(machine);
    findings.extend(clock.finding());
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.rule.severity()));
    // Several parts of a configuration may write one file.
    findings.dedup();
    Ok(Audited {
        server: &facts.name,
        version,
        config,
        maturity: maturity(facts, &logs),
        logs,
        clock,
        findings,
        facts,
    })
}

/// What a log's records lack.
fn judge(log: &Log, facts: &Facts, is_hidden: bool, findings: &mut Vec<Finding>) {
    let Records {
        source_address,
        source_port,
        time_utc,
        ..
    } = log.records;
    let mut say =
        |rule, what: &str| findings.push(Finding::new(rule, format!("{}: {what}", log.path)));
    if !source_address {
        let how = format!("its lines do not say who connected; {}", facts.how);
        say(Rule::NoSourceAddress, &how);
    } else if !source_port && !log.is_covered {
        let how = match is_hidden && has_a_port(log) {
            true => "the port in its lines is not the client's".to_owned(),
            false => format!("its lines have no source port; {}", facts.how),
        };
        say(Rule::NoSourcePort, &how);
    }
    if !time_utc {
        say(
            match log.records.zone {
                WrittenZone::Missing => Rule::NoYear,
                _ => Rule::LocalTime,
            },
            match log.records.zone {
                WrittenZone::Missing => "its lines have no time",
                _ => "its times are local and have no offset: an hour each year names two instants",
            },
        );
    }
}

/// Whether the format has a port, if not the client's.
fn has_a_port(log: &Log) -> bool {
    let format = log.format.as_deref().map(Format::parse);
    format.is_some_and(|format| format.is_ok_and(|format| format.has_port()))
}

/// The rung of the ladder: what the product can, until the log that is here has the port; then what
/// was measured of it.
fn maturity(facts: &Facts, logs: &[AuditedLog]) -> Maturity {
    let product = facts.today.maturity();
    let is_enough = |log: &&AuditedLog| log.records.are_enough();
    let is_recorded = logs.iter().any(|log| is_enough(&log))
        && logs.iter().all(|log| is_enough(&log) || log.is_covered);
    let mut telling = logs.iter().filter(is_enough);
    if !is_recorded || !telling.clone().all(|log| log.measured.is_manageable()) {
        return product;
    }
    if telling.all(|log| log.measured.is_accessible()) {
        Maturity::Accessible
    } else {
        Maturity::Manageable
    }
}
