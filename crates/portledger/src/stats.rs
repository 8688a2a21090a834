//! `portledger stats`.

use std::process::ExitCode;

use portledger_ledger::Stats;
use serde_json::{Value, json};

use crate::{args::LedgerArgs, failure::Ended, ledger};

pub(crate) fn run(args: &LedgerArgs) -> Ended {
    let ledger = ledger::read(&args.ledger)?;
    let stats = ledger.stats();
    let devices: Vec<&str> = ledger.devices().map(|device| device.as_str()).collect();
    if args.json {
        println!("{}", stats_json(&stats, &devices));
    } else {
        print!("{}", stats_text(&stats, &devices));
    }
    Ok(ExitCode::SUCCESS)
}

fn stats_json(stats: &Stats, devices: &[&str]) -> Value {
    json!({
        "devices": devices,
        "records": stats.records,
        "records_not_in_segments": stats.unsealed,
        "sealed_days": stats.days,
        "deleted_days": stats.deleted_days,
        "allocations_in_segments": stats.sealed_allocations,
        "log_bytes": stats.log_bytes,
        "segment_bytes": stats.segment_bytes,
        "bytes_an_allocation": bytes_each(stats),
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
    if let Some(each) = bytes_each(stats) {
        text.push_str(&format!(": {each} bytes an allocation, all files counted"));
    }
    text.push_str(&format!("\nlog         {} bytes\n", stats.log_bytes));
    text
}

/// To tenths of a byte.
#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio to show, of counts far below 2^52"
)]
fn bytes_each(stats: &Stats) -> Option<f64> {
    (stats.sealed_allocations > 0).then(|| {
        let each = stats.segment_bytes as f64 / stats.sealed_allocations as f64;
        (each * 10.0).round() / 10.0
    })
}
