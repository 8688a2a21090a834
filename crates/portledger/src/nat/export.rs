//! The targets of `nat run`, and what the operator hears of them.

use std::{path::Path, sync::Arc};

use portledger_model::Device;
use portledger_service::export::{Exporting, Figures, Notice, Target, TargetName};
use portledger_wire::syslog::TimeQuality;
use serde_json::{Map, Value, json};

use crate::{
    config::{Export, NatConfig},
    failure::Failure,
};

/// The targets that the configuration `file` describes. Reads certificates and keys, so it comes
/// before rights are given up.
pub(super) fn targets(config: &NatConfig, file: &Path) -> Result<Vec<Target>, Failure> {
    // Who declares how far the clock may be off says that it is kept (RFC 5424 §7.1.2, §7.1.3).
    let quality = TimeQuality {
        zone_known: Some(true),
        synced: Some(true),
        accuracy: Some(config.translation.clock_error()),
    };
    let made = config.exports.iter().map(|export| {
        target(export, &config.device, quality).map_err(|error| {
            Failure::usage(format!(
                "{}: export '{}': {error}",
                file.display(),
                export.name
            ))
        })
    });
    made.collect()
}

fn target(
    export: &Export,
    device: &Device,
    quality: TimeQuality,
) -> Result<Target, portledger_service::tls::TlsError> {
    Ok(Target {
        name: export.name.clone(),
        device: device.clone(),
        sends: export.sends(quality)?,
        keep: export.keep,
    })
}

/// Begins to send what is written to the ledger from now on, and what targets had not yet.
pub(super) fn start(ledger: &Path, targets: Vec<Target>) -> Result<Exporting, Failure> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed)
        .map_err(|error| Failure::usage(format!("no randomness: {error}")))?;
    let tell = |name: &TargetName, notice: Notice| {
        eprintln!("portledger: export '{name}': {notice}");
    };
    Exporting::start(ledger, targets, u64::from_le_bytes(seed), Arc::new(tell))
        .map_err(|error| Failure::usage(error.to_string()))
}

/// How the targets fare, by name.
pub(super) fn figures_json<'a>(
    figures: impl Iterator<Item = (&'a TargetName, Figures)>,
) -> Map<String, Value> {
    let of_target = |(name, figures): (&TargetName, Figures)| {
        let value = json!({
            "connected": figures.connected,
            "sent": figures.sent,
            "bytes": figures.bytes,
            "repeated": figures.repeated,
            "connections": figures.connections,
            "errors": figures.errors,
            "lost": figures.lost,
            "unsendable": figures.unsendable,
            "acknowledged": figures.acknowledged,
            "lag": figures.lag,
        });
        (name.as_str().to_owned(), value)
    };
    figures.map(of_target).collect()
}
