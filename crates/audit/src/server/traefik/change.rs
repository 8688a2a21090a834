//! What to change in Traefik's static configuration.

use super::{Configuration, FixError, NEEDED, Wish};
use crate::{
    Change,
    plan::{Plan, by_hand},
    text::indentation,
};

const YAML: &str = "accessLog:\n  filePath: /var/log/traefik/access.log\n  format: json\n";
const TOML: &str =
    "[accessLog]\n  filePath = \"/var/log/traefik/access.log\"\n  format = \"json\"\n";

pub(super) fn change(configuration: &Configuration, wish: Wish) -> Result<Change, FixError> {
    if let Some(place) = configuration.hop() {
        return Err(by_hand(
            &place,
            "the client's address comes from a header that names no port: let the proxy send the PROXY protocol, with proxyProtocol.trustedIPs here",
        ));
    }
    let text = configuration.text.as_str();
    let mut plan = Plan::default();
    let mut remarks = Vec::new();
    match configuration.access_log() {
        None if configuration.root.is_in_braces() => {
            return Err(FixError::ByHand {
                why: format!(
                    "{}: add accessLog with format json by hand",
                    configuration.path
                ),
            });
        }
        None => {
            let gap = if text.is_empty() || text.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            let log = if configuration.is_toml() { TOML } else { YAML };
            plan.insert(&configuration.path, text.len(), format!("{gap}{log}"));
        }
        Some((key, log)) if log.text(&["format"]) == Some("json") => {
            let dropped = NEEDED
                .iter()
                .find(|field| !Configuration::keeps(log, field));
            if let (Some(field), false) = (dropped, is_enough(log)) {
                return Err(by_hand(
                    &configuration.place(key.range.start),
                    &format!(
                        "{field} is not kept: say 'keep' for ClientAddr and StartUTC in fields.names"
                    ),
                ));
            }
        }
        Some((key, _)) if wish == Wish::Parallel => {
            return Err(by_hand(
                &configuration.place(key.range.start),
                "Traefik writes one access log, and its common format has no room for a port: only JSON has it",
            ));
        }
        Some(_) => {
            json(configuration, &mut plan)?;
            remarks.push(
                "lines become JSON: programs that read the common format have to be told; Traefik writes no second log".to_owned(),
            );
        }
    }
    Ok(Change {
        edits: plan.edits(|_| text)?,
        check: None,
        reload: "restart Traefik: its static configuration is read at the start".to_owned(),
        remarks,
    })
}

fn is_enough(log: &super::Node) -> bool {
    Configuration::keeps(log, "StartUTC")
        && (Configuration::keeps(log, "ClientAddr")
            || Configuration::keeps(log, "ClientHost") && Configuration::keeps(log, "ClientPort"))
}

/// Makes a log that is there one of JSON.
fn json(configuration: &Configuration, plan: &mut Plan) -> Result<(), FixError> {
    let (path, text) = (configuration.path.as_str(), configuration.text.as_str());
    let Some((key, log)) = configuration.access_log() else {
        return Ok(());
    };
    let place = configuration.place(key.range.start);
    if let Some(format) = log.get(&["format"]) {
        let with = if configuration.is_toml() {
            "\"json\""
        } else {
            "json"
        };
        plan.add(path, format.range.clone(), with);
        return Ok(());
    }
    if configuration.is_toml() {
        // Behind the table's header.
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if line
                .split('#')
                .next()
                .is_some_and(|line| line.trim() == "[accessLog]")
            {
                let end = at + line.trim_end().len();
                plan.insert(path, end, "\n  format = \"json\"");
                return Ok(());
            }
            at += line.len();
        }
        return Err(by_hand(&place, "say format = \"json\" here by hand"));
    }
    match log.entries().first() {
        Some(_) if log.is_in_braces() => {
            plan.insert(path, log.range.start + 1, "format: json, ");
        }
        Some((first, _)) => {
            let at = first.range.start;
            let indentation = indentation(text, at);
            plan.insert(path, at, format!("format: json\n{indentation}"));
        }
        None if log.is_in_braces() => plan.insert(path, log.range.start + 1, "format: json"),
        None => return Err(by_hand(&place, "say format: json here by hand")),
    }
    Ok(())
}
