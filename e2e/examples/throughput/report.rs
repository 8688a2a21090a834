//! Medians and ratios, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::measure::{FIGURES, Figures, PACED, PACED_NEW};
use crate::paths::{ALL, Path};

/// The figures of every round: each round has one entry for each path.
pub(crate) type Rounds = Vec<Vec<(Path, Figures)>>;

/// The median over the rounds.
fn median_of(rounds: &Rounds, path: Path, key: &str) -> Option<f64> {
    median(rounds.iter().filter_map(|round| figure(round, path, key)))
}

/// The median of the ratios to forwarding in the same round.
fn ratio_of(rounds: &Rounds, path: Path, key: &str) -> Option<f64> {
    median(rounds.iter().filter_map(|round| {
        Some(figure(round, path, key)? / figure(round, Path::Forwarding, key)?)
    }))
}

fn figure(round: &[(Path, Figures)], path: Path, key: &str) -> Option<f64> {
    let measured = |path, key| {
        let (_, figures) = round.iter().find(|(other, _)| *other == path)?;
        figures.get(key).copied()
    };
    let whole = match key {
        "small_path_ns" if path != Path::SenderAlone => measured(path, "small_ns")?,
        "new_path_ns" => measured(path, "new_ns")?,
        _ => return measured(path, key),
    };
    // To its sender, one packet is like another.
    Some(whole - measured(Path::SenderAlone, "small_ns")?)
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// For a person.
pub(crate) fn table(rounds: &Rounds) -> String {
    let mut text = format!("{:32}", format!("medians of {} rounds", rounds.len()));
    for path in ALL {
        let _ = write!(text, "{:>20}", path.name());
    }
    for (key, name, with_ratio) in FIGURES {
        let _ = write!(text, "\n{name:32}");
        for path in ALL {
            let shown = median_of(rounds, path, key).map(|value| {
                let ratio = ratio_of(rounds, path, key)
                    .filter(|_| with_ratio && path != Path::Forwarding)
                    .map(|ratio| format!(" ({ratio:.2})"));
                format!("{}{}", rounded(value), ratio.unwrap_or_default())
            });
            let _ = write!(text, "{:>20}", shown.unwrap_or_else(|| "-".to_owned()));
        }
    }
    let _ = write!(
        text,
        "\n\nIn brackets: the median ratio to forwarding in the same round. Processor time is of the whole path, the\n\
         sender's with it where it is not said otherwise; the sender's own is the first column. Paced floods send\n\
         {PACED} packets or {PACED_NEW} flows a second. In and out are the host's. The first round trip is of a\n\
         subscriber who had no block."
    );
    text
}

fn rounded(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// For a program: medians, ratios and every sample.
pub(crate) fn json(rounds: &Rounds) -> Value {
    let of_all = |of: &dyn Fn(Path, &str) -> Option<f64>| -> BTreeMap<_, BTreeMap<_, f64>> {
        ALL.into_iter()
            .map(|path| {
                let figures = FIGURES
                    .iter()
                    .filter_map(|(key, ..)| Some((*key, of(path, key)?)));
                (path.name(), figures.collect())
            })
            .collect()
    };
    let samples: Vec<BTreeMap<_, &Figures>> = rounds
        .iter()
        .map(|round| {
            round
                .iter()
                .map(|(path, figures)| (path.name(), figures))
                .collect()
        })
        .collect();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({
        "kernel": kernel.trim(),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "figures": FIGURES.map(|(key, name, _)| (key, name.trim())).into_iter().collect::<BTreeMap<_, _>>(),
        "medians": of_all(&|path, key| median_of(rounds, path, key)),
        "ratios": of_all(&|path, key| ratio_of(rounds, path, key)),
        "rounds": samples,
    })
}
