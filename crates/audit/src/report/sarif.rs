//! SARIF 2.1.0 (OASIS): findings where continuous integration and editors show them.

use serde_json::{Value, json};

use crate::{Audited, Finding, Rule, Severity};

/// One run with every finding of all servers.
pub fn sarif(audited: &[Audited], version: &str) -> Value {
    let results: Vec<Value> = audited
        .iter()
        .flat_map(|server| {
            server
                .findings
                .iter()
                .map(move |finding| result(server, finding))
        })
        .collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "portledger",
                "version": version,
                "rules": Rule::ALL.iter().map(|rule| json!({
                    "id": rule.id(),
                    "shortDescription": { "text": rule.about() },
                    "defaultConfiguration": { "level": level(*rule) },
                })).collect::<Vec<_>>(),
            }},
            "results": results,
        }],
    })
}

fn result(server: &Audited, finding: &Finding) -> Value {
    let file = match &finding.place {
        Some(place) => Some(&*place.file),
        None => server.config.first().map(String::as_str),
    };
    let mut location = json!({});
    if let Some(file) = file {
        location["physicalLocation"]["artifactLocation"]["uri"] = uri(file).into();
    }
    if let Some(place) = &finding.place {
        location["physicalLocation"]["region"]["startLine"] = place.line.max(1).into();
    }
    json!({
        "ruleId": finding.rule.id(),
        "level": level(finding.rule),
        "message": { "text": format!("{}: {}", server.facts.title, finding.message) },
        "locations": [location],
    })
}

/// SARIF 2.1.0 §3.4.3: a valid URI, so what is none of a path's usual characters is escaped.
fn uri(path: &str) -> String {
    let is_plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~' | b'+')
    };
    let escaped: String = path
        .bytes()
        .map(|byte| match is_plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect();
    match path.starts_with('/') {
        true => format!("file://{escaped}"),
        false => escaped,
    }
}

const fn level(rule: Rule) -> &'static str {
    match rule.severity() {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
