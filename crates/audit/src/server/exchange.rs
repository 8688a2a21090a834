//! Microsoft Exchange: `ProtocolLoggingLevel` of each Receive connector, which is kept in Active
//! Directory: read here from what `Get-ReceiveConnector | Format-List` printed.

use std::time::Duration;

use super::{FixError, Instance, Log, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, Facts, Finding, Machine, Records, Rule, WrittenZone,
    lines::{Continues, Line, Lines},
    syslog::known,
};

/// Microsoft Exchange.
#[derive(Debug)]
pub(super) struct Exchange;

const LOGS: &str = r"%ExchangeInstallPath%TransportRoles\Logs";

impl Server for Exchange {
    fn facts(&self) -> &'static Facts {
        facts!("exchange.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("exchange.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        // No file holds it: somebody has to name what the shell printed.
        &[]
    }

    fn claims(&self, _: &str, text: &str) -> bool {
        text.contains("ProtocolLoggingLevel") && text.contains("Identity")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let lines = Lines::read(machine, path, Continues::Never, &|_| Vec::new())?;
        let mut findings = Vec::new();
        let mut logs: Vec<Log> = Vec::new();
        for connector in connectors(&lines) {
            let role = match connector.role.as_str() {
                "HubTransport" => "Hub",
                _ => "FrontEnd",
            };
            let log = Log {
                path: format!(
                    r"{LOGS}\{role}\ProtocolLog\SmtpReceive ({})",
                    connector.name
                ),
                is_file: false,
                records: match connector.is_verbose {
                    true => Records::of_client(true)
                        .serving(true)
                        .timed(WrittenZone::Utc, Some(Duration::from_millis(1))),
                    false => Records::NOTHING,
                },
                is_covered: false,
                format: known("exchange-smtp"),
            };
            if !connector.is_verbose {
                let message = format!("the connector {} writes no protocol log", connector.name);
                findings.push(Finding::at(Rule::NoLog, &connector.line.place, message));
            }
            logs.push(log);
        }
        Ok(Instance {
            version: None,
            config: lines.files.clone(),
            logs,
            findings,
        })
    }

    /// What a person runs cannot be looked at before.
    fn promise(&self) -> Promise {
        Promise::Nothing
    }

    fn plan(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        let lines = Lines::read(machine, path, Continues::Never, &|_| Vec::new())?;
        let commands: Vec<String> = connectors(&lines)
            .into_iter()
            .filter(|connector| !connector.is_verbose)
            .map(|connector| {
                let name = connector.name.replace('\'', "''");
                format!("Set-ReceiveConnector -Identity '{name}' -ProtocolLoggingLevel Verbose")
            })
            .collect();
        if !commands.is_empty() {
            return Err(FixError::ByHand {
                why: format!(
                    "these settings are in Active Directory: in the Exchange Management Shell, {}",
                    commands.join("; ")
                ),
            });
        }
        Ok(Change {
            edits: Vec::new(),
            check: None,
            reload: String::new(),
            remarks: Vec::new(),
        })
    }
}

struct Connector<'a> {
    name: String,
    role: String,
    is_verbose: bool,
    /// Where its level stands.
    line: &'a Line,
}

/// `Identity : SERVER\Default Frontend SERVER`, and what follows up to the next of these.
fn connectors(lines: &Lines) -> Vec<Connector<'_>> {
    let mut found = Vec::new();
    let mut name = String::new();
    let mut role = String::new();
    for line in &lines.all {
        let Some(setting) = line.setting(':') else {
            continue;
        };
        match setting.name.as_str() {
            "Identity" => {
                name = setting.value;
                role.clear();
            }
            "TransportRole" => role = setting.value,
            "ProtocolLoggingLevel" => found.push(Connector {
                name: name.clone(),
                role: role.clone(),
                is_verbose: setting.value.eq_ignore_ascii_case("verbose"),
                line,
            }),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, law_of_fixes, never_panics};

    const PATH: &str = "/tmp/connectors.txt";

    fn image(level: &str) -> Image {
        Image::default().with(PATH, &format!("\r\nIdentity             : MX1\\Default Frontend MX1\r\nTransportRole        : FrontendTransport\r\nProtocolLoggingLevel : Verbose\r\n\r\nIdentity             : MX1\\Client Proxy MX1\r\nTransportRole        : HubTransport\r\nProtocolLoggingLevel : {level}\r\n"))
    }

    #[test]
    fn each_connector_has_its_level() {
        let instance = Exchange.look(&image("None"), PATH).unwrap();
        let ports: Vec<bool> = instance
            .logs
            .iter()
            .map(|log| log.records.are_enough())
            .collect();
        assert_eq!(ports, [true, false]);
        assert_eq!(instance.findings[0].place.as_ref().unwrap().line, 8);
        let error = crate::fix(&Exchange, &image("None"), PATH, Wish::InPlace).unwrap_err();
        insta::assert_snapshot!(error.to_string());
        assert_eq!(law_of_fixes(&Exchange, &image("Verbose"), PATH, true), "");
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(
            &Exchange,
            &[PATH],
            &[
                "Identity :",
                "ProtocolLoggingLevel :",
                "Verbose",
                "TransportRole :",
            ],
        );
    }
}
