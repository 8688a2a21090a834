//! `portledger nat`.

mod export;
pub(crate) mod replay;
pub(crate) mod run;

use std::path::Path;

use portledger_dataplane::engine::Engine;
use portledger_nat::{Counters, Size};
use serde_json::{Value, json};

use crate::{config::Translation, failure::Failure};

/// The engine that the configuration `file` describes. The engine knows what cannot work, the
/// message says where.
fn engine(config: Translation, seed: [u8; 32], file: &Path) -> Result<Engine, Failure> {
    let refused = |error| Failure::usage(format!("{}: {error}", file.display()));
    config.engine(seed).map_err(refused)
}

/// What the engine counted, as JSON.
fn counters_json(counters: &Counters) -> Value {
    let dropped: serde_json::Map<String, Value> = counters
        .drops()
        .map(|(reason, count)| (reason.name().into(), count.into()))
        .collect();
    json!({
        "from_inside": counters.from_inside,
        "from_outside": counters.from_outside,
        "to_inside": counters.to_inside,
        "to_outside": counters.to_outside,
        "hairpinned": counters.hairpinned,
        "exempt": counters.exempt,
        "fragments_kept": counters.fragments_kept,
        "icmp_sent": counters.icmp_sent,
        "icmp_withheld": counters.icmp_withheld,
        "mappings_opened": counters.mappings_opened,
        "mappings_ended": counters.mappings_ended,
        "dropped": dropped,
    })
}

fn size_json(size: &Size) -> Value {
    json!({
        "mappings": size.mappings,
        "further_sessions": size.further_sessions,
        "subscribers": size.usage.subscribers,
        "blocks_held": size.usage.held,
        "blocks_resting": size.usage.resting,
        "blocks_rested": size.usage.rested,
    })
}

/// The same for a terminal.
fn counters_text(counters: &Counters) -> String {
    let mut text = format!(
        "packets   from inside {}, from outside {}; to inside {}, to outside {} ({} hairpinned)\n\
         mappings  {} opened, {} ended\n",
        counters.from_inside,
        counters.from_outside,
        counters.to_inside,
        counters.to_outside,
        counters.hairpinned,
        counters.mappings_opened,
        counters.mappings_ended,
    );
    for (reason, count) in counters.drops() {
        text.push_str(&format!("dropped   {count} {}\n", reason.name()));
    }
    text
}
