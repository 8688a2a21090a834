//! `portledger import --format rules`: a file of rules, each with the time from which on it was in
//! force on its device.
//!
//! ```toml
//! [[rule]]
//! device = "br1"
//! rule = "west"
//! from = 2026-03-01T00:00:00Z
//! kind = "map"
//! ipv6 = "2001:db8::/40"
//! ipv4 = "192.0.2.0/24"
//! ea_length = 16
//! ```
//!
//! A rule ends with the next one of its device and name, or at `to`. What is imported again changes
//! nothing, so the file can grow with each change and be imported as a whole.

use std::{collections::BTreeSet, fs, path::Path, process::ExitCode, sync::Arc};

use portledger_ledger::{Options, Writer};
use portledger_model::{Device, Event, Record, Rule, Timestamp};
use serde_json::json;
use toml::{Table, Value};

use crate::{
    args::ImportArgs,
    failure::{Ended, Failure},
    input::unusable,
    ledger, seal,
};

/// What the form is called.
pub(super) const FORMAT: &str = "rules";

pub(super) fn run(args: &ImportArgs, named: Option<&Device>) -> Ended {
    // All files are read before the first record is written.
    let mut records = Vec::new();
    for path in &args.files {
        let text = fs::read_to_string(path).map_err(|error| unusable(path, "read", &error))?;
        records.extend(read(path, &text, named)?);
    }
    let mut writer = ledger::open_to_write(
        &args.ledger.ledger,
        Options {
            collects: true,
            ..Options::default()
        },
    )?;
    let new = unknown(&writer, records)?;
    writer.append(&new)?;
    writer.sync()?;
    seal::after_writing(writer);
    let devices: BTreeSet<_> = new.iter().map(|record| &record.device).collect();
    let (records, devices) = (new.len(), devices.len());
    if args.ledger.json {
        println!(
            "{}",
            json!({
                "format": FORMAT,
                "devices": devices,
                "events": records,
                "records": records,
                "rejected": 0,
            })
        );
    } else {
        println!(
            "{records} records of rules of {devices} devices are new in {}",
            args.ledger.ledger.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The records of a file, in its order.
fn read(path: &Path, text: &str, named: Option<&Device>) -> Result<Vec<Record>, Failure> {
    let place = path.display();
    let file: Table =
        toml::from_str(text).map_err(|error| Failure::usage(format!("{place}: {error}")))?;
    if let Some(other) = file.keys().find(|key| *key != "rule") {
        return Err(Failure::usage(format!(
            "{place}: '{other}' is not known here; a file of rules has [[rule]] tables"
        )));
    }
    let rules = match file.get("rule") {
        Some(Value::Array(rules)) => rules.as_slice(),
        _ => &[],
    };
    if rules.is_empty() {
        return Err(Failure::usage(format!("{place}: it has no [[rule]]")));
    }
    let mut records = Vec::new();
    for (number, rule) in (1..).zip(rules) {
        let fields = rule.as_table().cloned().unwrap_or_default();
        let told = rule_of(fields, named)
            .map_err(|what| Failure::usage(format!("{place}: the {}: {what}", Nth(number))))?;
        records.extend(told);
    }
    Ok(records)
}

/// What a table tells: that a rule began, and that it ended, where it did.
fn rule_of(mut fields: Table, named: Option<&Device>) -> Result<Vec<Record>, String> {
    let device = match fields.remove("device") {
        Some(Value::String(name)) => Device::new(&name).map_err(|error| error.to_string())?,
        Some(_) => return Err("'device' is not a text".into()),
        None => named
            .cloned()
            .ok_or("'device' is missing; give it here or with --device")?,
    };
    let from = time(&mut fields, "from")?.ok_or("'from' is missing: since when is it in force?")?;
    let to = time(&mut fields, "to")?;
    if to.is_some_and(|to| to <= from) {
        return Err("it ends before it begins".into());
    }
    let rule = Rule::from_fields(|name| match fields.remove(name)? {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        other => Some(other.to_string()),
    });
    let rule = rule.map_err(|error| error.to_string())?;
    if let Some((other, _)) = fields.iter().next() {
        return Err(format!(
            "'{other}' is not known in a rule of kind {}",
            rule.sharing.kind()
        ));
    }
    let end = to.map(|at| Record {
        at,
        device: device.clone(),
        event: Event::RuleEnded(rule.name.clone()),
    });
    let began = Record {
        at: from,
        device,
        event: Event::RuleBegan(Arc::new(rule)),
    };
    Ok(std::iter::once(began).chain(end).collect())
}

/// A time with its offset, as a text or as TOML writes it.
fn time(fields: &mut Table, name: &str) -> Result<Option<Timestamp>, String> {
    let text = match fields.remove(name) {
        None => return Ok(None),
        Some(Value::String(text)) => text,
        Some(Value::Datetime(time)) => time.to_string(),
        Some(_) => return Err(format!("'{name}' is not a time")),
    };
    let time = text.parse::<Timestamp>();
    time.map(Some).map_err(|error| format!("'{name}': {error}"))
}

/// Those that the ledger has not been told.
fn unknown(writer: &Writer, records: Vec<Record>) -> Result<Vec<Record>, Failure> {
    let ledger = writer.ledger()?;
    Ok(records
        .into_iter()
        .filter(|record| !ledger.knows_of_rule(record))
        .collect())
}

/// `2nd [[rule]]`.
struct Nth(usize);

impl std::fmt::Display for Nth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = match (self.0 % 10, self.0 % 100) {
            (_, 11..=13) => "th",
            (1, _) => "st",
            (2, _) => "nd",
            (3, _) => "rd",
            _ => "th",
        };
        write!(f, "{}{end} [[rule]]", self.0)
    }
}
