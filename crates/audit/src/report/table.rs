//! An audit for a person to read on a terminal.

use std::fmt::Write as _;

use crate::{Audited, AuditedLog, Records, Severity};

/// What one server came to, with its logs and findings below.
pub fn table(audited: &Audited) -> String {
    let mut text = String::new();
    let version = audited.version.as_deref().unwrap_or("version unknown");
    let config = audited.config.first().map_or("", String::as_str);
    let _ = writeln!(
        text,
        "{} {version}  {config}\n  {}: {}",
        audited.facts.title,
        audited.maturity,
        verdict(audited)
    );
    if !audited.logs.is_empty() {
        let _ = writeln!(
            text,
            "\n  {:<44} {:<8} {:<6} {:<8} {:<9} {:<9} own port",
            "log", "address", "port", "zone", "step", "transport"
        );
    }
    for log in &audited.logs {
        row(&mut text, log);
    }
    if !audited.findings.is_empty() {
        text.push('\n');
    }
    for finding in &audited.findings {
        let mark = match finding.rule.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let _ = writeln!(text, "  {mark:<8} {finding}");
    }
    text
}

/// The maturity in words, for this instance.
pub fn verdict(audited: &Audited) -> &'static str {
    use crate::Maturity::{Accessible, Default, Feasible, Manageable, None, Possible};
    let is_logged = audited.logs.iter().any(|log| log.records.are_enough());
    match (audited.maturity, is_logged) {
        (Accessible, _) => {
            "the port is logged, the log's readers read it, and a record was found again"
        }
        (Manageable, _) => "the port is logged and the log's readers read it",
        (_, true) => {
            "the port is logged by the configuration; recent lines do not show it yet, or a reader does not read them"
        }
        (Default, false) => "the port is not logged here, and a supplied format has it",
        (Feasible, false) => "the port is not logged, and a setting is all it takes: see 'fix'",
        (Possible, false) => "the port is not logged, and only a detour gets it: see 'guide'",
        (None, false) => "this server cannot log the port: let 'watch' do it beside it",
    }
}

fn row(text: &mut String, log: &AuditedLog) {
    let Records {
        source_address,
        source_port,
        zone,
        resolution,
        transport,
        destination_port,
        ..
    } = log.records;
    let mark = |is_there: bool| if is_there { "yes" } else { "no" };
    let port = match (source_port, log.is_covered) {
        (false, true) => "beside",
        (is_there, _) => mark(is_there),
    };
    let step = match resolution {
        None => "-".to_owned(),
        Some(step) if step.as_secs() > 0 => format!("{} s", step.as_secs()),
        Some(step) if step.as_millis() > 0 => format!("{} ms", step.as_millis()),
        Some(step) => format!("{} µs", step.as_micros()),
    };
    let _ = writeln!(
        text,
        "  {:<44} {:<8} {port:<6} {:<8} {step:<9} {:<9} {}",
        log.path,
        mark(source_address),
        zone.name(),
        mark(transport),
        mark(destination_port)
    );
}
