//! `portledger stats`.

use std::process::ExitCode;

use portledger_ledger::{DayStats, Stats};
use serde_json::{Value, json};

use crate::{args::LedgerArgs, failure::Ended, ledger};

pub(crate) fn run(args: &LedgerArgs) -> Ended {
    let ledger = ledger::read(&args.ledger)?;
    let stats = ledger.stats();
    let devices: Vec<&str> = ledger.devices().map(|device| device.as_str()).collect();
    let days: Vec<_> = ledger.days().collect();
    if args.json {
        println!("{}", stats_json(&stats, &days, &devices));
    } else {
        print!("{}{}", stats_text(&stats, &devices), days_text(&days));
    }
    Ok(ExitCode::SUCCESS)
}

fn stats_json(stats: &Stats, days: &[DayStats], devices: &[&str]) -> Value {
    let days = days.iter().map(|day| {
        json!({
            "day": day.day.to_string(),
            "state": state(day),
            "records": day.records,
            "allocations": day.allocations,
            "bytes": day.bytes,
            "bytes_an_allocation": bytes_each(day.bytes, day.allocations),
        })
    });
    json!({
        "days": days.collect::<Vec<_>>(),
        "devices": devices,
        "records": stats.records,
        "records_not_in_segments": stats.unsealed,
        "sealed_days": stats.days,
        "deleted_days": stats.deleted_days,
        "allocations_in_segments": stats.sealed_allocations,
        "log_bytes": stats.log_bytes,
        "segment_bytes": stats.segment_bytes,
        "bytes_an_allocation": bytes_each(stats.segment_bytes, stats.sealed_allocations),
    })
}

fn stats_text(stats: &Stats, devices: &[&str]) -> String {
    let mut text = format!(
        "devices     {}\n\
         records     {} ever written, {} of them in no segment yet\n\
         days        {} sealed, {} deleted\n\
         segments    {} allocations in {} bytes",
        if devices.is_empty() {
            "none yet".to_owned()
        } else {
            devices.join(", ")
        },
        stats.records,
        stats.unsealed,
        stats.days,
        stats.deleted_days,
        stats.sealed_allocations,
        stats.segment_bytes,
    );
    if let Some(each) = bytes_each(stats.segment_bytes, stats.sealed_allocations) {
        text.push_str(&format!(": {each} bytes an allocation, all files counted"));
    }
    text.push_str(&format!("\nlog         {} bytes\n", stats.log_bytes));
    text
}

fn days_text(days: &[DayStats]) -> String {
    if days.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n{:<10}  {:<8} {:>14} {:>14} {:>14} {:>10}\n",
        "day", "state", "records", "allocations", "bytes", "bytes each"
    );
    for day in days {
        let each = bytes_each(day.bytes, day.allocations).map_or("-".into(), |e| format!("{e:.1}"));
        text.push_str(&format!(
            "{:<10}  {:<8} {:>14} {:>14} {:>14} {each:>10}\n",
            day.day.to_string(),
            state(day),
            day.records,
            day.allocations,
            day.bytes
        ));
    }
    text
}

const fn state(day: &DayStats) -> &'static str {
    match day.sealed {
        Some(true) => "sealed",
        Some(false) => "open",
        None => "deleted",
    }
}

/// To tenths of a byte.
#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio to show, of counts far below 2^52"
)]
fn bytes_each(bytes: u64, allocations: u64) -> Option<f64> {
    (allocations > 0).then(|| (bytes as f64 / allocations as f64 * 10.0).round() / 10.0)
}
