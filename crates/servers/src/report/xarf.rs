//! X-ARF, version 4: the core's fields and those that its connection types need.

use portledger_model::Sighting;
use serde_json::{Map, Value, json};

use super::{Attack, Facts, Refusal, Reporter, rfc3339};

pub(super) fn write(
    reporter: &Reporter,
    attack: Attack,
    sighting: &Sighting,
    facts: &Facts,
    id: &str,
) -> Result<String, Refusal> {
    let transport = sighting.transport.ok_or(Refusal::NoTransport)?;
    let contact = json!({
        "org": reporter.organisation,
        "contact": reporter.contact,
        "domain": reporter.domain,
    });
    let at = rfc3339(facts.at, facts.places);
    let mut report = Map::new();
    let mut tell = |name: &str, value: Value| report.insert(name.to_owned(), value);
    tell("xarf_version", json!("4.0.0"));
    tell("report_id", json!(id));
    tell("timestamp", json!(at));
    tell("reporter", contact.clone());
    tell("sender", contact);
    tell("source_identifier", json!(facts.address));
    tell("category", json!("connection"));
    tell(
        "type",
        json!(match attack {
            Attack::LoginAttack => "login_attack",
            Attack::PortScan => "port_scan",
        }),
    );
    tell("protocol", json!(transport.to_string()));
    tell("first_seen", json!(at));
    if let Some(port) = facts.port {
        tell("source_port", json!(port));
    }
    if let Some(address) = sighting.destination.address {
        tell("destination_ip", json!(address));
    }
    if let Some(port) = sighting.destination.port.filter(|port| *port != 0) {
        tell("destination_port", json!(port));
    }
    Ok(format!("{}\n", Value::Object(report)))
}
