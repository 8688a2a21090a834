//! What a run tells: a table for people, or JSON for programs.

use std::fs;

use serde::Serialize;

use crate::{data::Data, measure::Measure, run::Outcome};

/// A run's report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Allocations generated.
    pub allocations: u64,
    /// Rows stored: an allocation open at a cut is in both days.
    pub rows: u64,
    /// Ledger days.
    pub days: usize,
    /// The processor's name and the number of those this process may use.
    pub machine: String,
    /// How many processes waited for a processor on average, at the end (proc(5), loadavg).
    pub load: String,
    /// The engines, in the order in which they ran.
    pub engines: Vec<Ran>,
    /// The figures.
    pub lines: Vec<Line>,
}

/// An engine that ran.
#[derive(Debug, Serialize)]
pub struct Ran {
    /// As given on the command line.
    pub engine: String,
    /// With version.
    pub version: String,
    /// Allocations it was given, when it was not given all.
    pub part: Option<u64>,
}

/// A figure beside the others'.
#[derive(Debug, Serialize)]
pub struct Line {
    /// What.
    pub measure: Measure,
    /// Whose.
    pub engine: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// How many times worse than the best.
    pub to_best: f64,
    /// How many times worse than ours; below 1 when better.
    pub to_ours: Option<f64>,
}

impl Report {
    /// Puts the outcomes side by side. `ours` is the name of the engine that is ours.
    pub fn new(data: &Data, outcomes: &[(String, Outcome)], ours: &str) -> Self {
        let engines = outcomes.iter().map(|(engine, outcome)| Ran {
            engine: engine.clone(),
            version: outcome.version.clone(),
            part: outcome.part,
        });
        let lines = Measure::ALL.iter();
        let lines = lines.flat_map(|&measure| compare(measure, outcomes, ours));
        Self {
            allocations: data.allocations,
            rows: data.rows_stored(),
            days: data.days.len(),
            machine: machine(),
            load: load(),
            engines: engines.collect(),
            lines: lines.collect(),
        }
    }

    /// For people.
    pub fn print(&self) {
        println!(
            "{} allocations in {} days ({} rows), on {}, load at the end {}",
            grouped(self.allocations as f64),
            self.days,
            grouped(self.rows as f64),
            self.machine,
            self.load
        );
        for ran in &self.engines {
            let part = ran.part.map_or(String::new(), |part| {
                format!(", of {} allocations", grouped(part as f64))
            });
            println!("  {:<14} {}{part}", ran.engine, ran.version);
        }
        let mut told = None;
        for line in &self.lines {
            if told != Some(line.measure) {
                told = Some(line.measure);
                println!("\n{}, {}", line.measure.title(), line.unit);
                println!(
                    "  {:<14} {:>14} {:>12} {:>12}",
                    "", "", "to best", "to ours"
                );
            }
            let to_ours = line.to_ours.map_or(String::new(), ratio);
            println!(
                "  {:<14} {:>14} {:>12} {to_ours:>12}",
                line.engine,
                figure(line.value),
                ratio(line.to_best)
            );
        }
    }
}

fn compare(measure: Measure, outcomes: &[(String, Outcome)], ours: &str) -> Vec<Line> {
    let values: Vec<(&String, f64)> = outcomes
        .iter()
        .filter_map(|(engine, outcome)| {
            let found = outcome.values.iter().find(|it| it.measure == measure)?;
            Some((engine, found.value))
        })
        .collect();
    let better = |a: f64, b: f64| {
        if measure.more_is_better() {
            a.max(b)
        } else {
            a.min(b)
        }
    };
    let Some(best) = values.iter().map(|&(_, value)| value).reduce(better) else {
        return Vec::new();
    };
    let mine = values.iter().find(|(engine, _)| *engine == ours);
    values
        .iter()
        .map(|&(engine, value)| Line {
            measure,
            engine: engine.clone(),
            value,
            unit: measure.unit(),
            to_best: measure.times_worse(value, best),
            to_ours: mine.map(|&(_, mine)| measure.times_worse(value, mine)),
        })
        .collect()
}

fn ratio(ratio: f64) -> String {
    match ratio {
        ratio if !ratio.is_finite() => "-".to_owned(),
        ratio if ratio >= 10_000.0 => ">9,999".to_owned(),
        ratio if ratio < 0.1 => format!("{ratio:.3}"),
        ratio if ratio < 10.0 => format!("{ratio:.2}"),
        ratio => grouped(ratio),
    }
}

fn figure(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => grouped(value),
    }
}

/// A whole number with commas.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split(':').nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} x {}", cores, name.unwrap_or(" unknown").trim())
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Value;

    fn outcome(value: f64) -> Outcome {
        Outcome {
            version: String::new(),
            part: None,
            values: vec![Value {
                measure: Measure::BytesMain,
                value,
            }],
        }
    }

    #[test]
    fn a_line_stands_beside_the_best_and_ours() {
        let outcomes = [
            ("ours".to_owned(), outcome(10.0)),
            ("other".to_owned(), outcome(5.0)),
        ];
        let lines = compare(Measure::BytesMain, &outcomes, "ours");
        let ratios: Vec<_> = lines.iter().map(|it| (it.to_best, it.to_ours)).collect();
        assert_eq!(ratios, [(2.0, Some(1.0)), (1.0, Some(0.5))]);
        assert!(compare(Measure::Ingest, &outcomes, "ours").is_empty());
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!(grouped(-1_000.0), "-1,000");
        assert_eq!(grouped(12.0), "12");
    }
}
