//! `cargo xtask test`: the steps, in order, each with its time; the first failure ends the run.

use std::time::{Duration, Instant};

use crate::{command, packages, python};

/// What to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    steps: Vec<Step>,
    fuzz: Fuzzing,
}

/// How far each fuzz target goes, and on what.
#[derive(Debug, PartialEq, Eq)]
enum Fuzzing {
    /// So many inputs drawn from the same seed on every run, so that a failure is the change's.
    Again,
    /// For this long, on inputs that nobody drew before.
    Explore(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Install,
    Fmt,
    Clippy,
    Test,
    E2e,
    Demo,
    Fuzz,
}

impl Plan {
    /// Reads the arguments after `test`.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut plan = Self {
            steps: Step::ALL.to_vec(),
            fuzz: Fuzzing::Again,
        };
        let mut rest = arguments.iter();
        while let Some(option) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{option} needs a value"));
            match option.as_str() {
                "--only" => plan.steps = Step::parse_list(value()?)?,
                "--seconds" => plan.fuzz = Fuzzing::Explore(parse_seconds(value()?)?),
                _ => return Err(format!("unknown option {option:?}")),
            }
        }
        Ok(plan)
    }

    /// Runs the steps up to the first that fails, then prints one line for each.
    pub(crate) fn run(&self) -> Result<(), String> {
        let mut report = Vec::new();
        let mut failure = None;
        for step in &self.steps {
            if failure.is_some() {
                report.push(format!("{:<8} not run", step.name()));
                continue;
            }
            println!("\n=== {}: {}", step.name(), step.purpose());
            let begun = Instant::now();
            let outcome = self.run_step(*step);
            let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
            let line = format!(
                "{:<8} {verdict:<7} {:7.1} s",
                step.name(),
                begun.elapsed().as_secs_f64()
            );
            println!("=== {line}");
            report.push(line);
            failure = outcome
                .err()
                .map(|problem| format!("step {} failed: {problem}", step.name()));
        }
        println!("\n{}", report.join("\n"));
        failure.map_or(Ok(()), Err)
    }

    fn run_step(&self, step: Step) -> Result<(), String> {
        match step {
            Step::Install => {
                packages::install_missing()?;
                python::install_missing()
            }
            Step::Fmt => cargo(&["fmt", "--all", "--check"]),
            Step::Clippy => cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]),
            // The tests across processes have a step of their own, against the release binary.
            Step::Test => {
                let mut tests =
                    command::cargo(&["test", "--workspace", "--exclude", "portledger-e2e"]);
                python::lend(&mut tests);
                // The same cases on every run, so that a failure is the change's; by hand, `cargo test` draws others.
                if std::env::var_os(CASES).is_none() {
                    tests.env(CASES, SEED);
                }
                command::run(&mut tests)
            }
            Step::E2e => e2e(),
            Step::Demo => demo(),
            Step::Fuzz => fuzz(&self.fuzz),
        }
    }
}

/// What proptest takes its cases from.
const CASES: &str = "PROPTEST_RNG_SEED";

/// What repeated runs draw from.
const SEED: &str = "6302";

/// Inputs of each fuzz target in a repeated run: counted rather than timed, since a faster machine
/// would come to others.
const RUNS: &str = "-runs=20000";

impl Step {
    const ALL: [Self; 7] = [
        Self::Install,
        Self::Fmt,
        Self::Clippy,
        Self::Test,
        Self::E2e,
        Self::Demo,
        Self::Fuzz,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Test => "test",
            Self::E2e => "e2e",
            Self::Demo => "demo",
            Self::Fuzz => "fuzz",
        }
    }

    fn purpose(self) -> &'static str {
        match self {
            Self::Install => "the programs the tests start",
            Self::Fmt => "formatting",
            Self::Clippy => "lints, warnings denied",
            Self::Test => "unit, property, golden-file and documentation tests",
            Self::E2e => "real servers and clients through the release binary, in namespaces",
            Self::Demo => "the demo, with no wrong answer",
            Self::Fuzz => "every fuzz target",
        }
    }

    fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        let names: Vec<&str> = text.split(',').map(str::trim).collect();
        for name in &names {
            if !Self::ALL.iter().any(|step| step.name() == *name) {
                let known = Self::ALL.map(Self::name).join(", ");
                return Err(format!("no step {name:?}; the steps are {known}"));
            }
        }
        Ok(Self::ALL
            .into_iter()
            .filter(|step| names.contains(&step.name()))
            .collect())
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        // libFuzzer takes 0 for "for ever".
        Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("--seconds {text:?}: give 1 to 86400")),
    }
}

fn cargo(arguments: &[&str]) -> Result<(), String> {
    command::run(&mut command::cargo(arguments))
}

fn e2e() -> Result<(), String> {
    cargo(&["build", "--release", "-p", "portledger"])?;
    let binary = command::target_directory()?.join("release/portledger");
    let mut tests = command::cargo(&["test", "-p", "portledger-e2e"]);
    // One at a time: each fills the machine with servers and load. Uncaptured: a skip must be seen.
    tests.args(["--", "--nocapture", "--test-threads=1"]);
    tests
        .env("PORTLEDGER_E2E", "1")
        .env("PORTLEDGER_BIN", binary);
    command::run(&mut tests)
}

fn demo() -> Result<(), String> {
    let arguments = [
        "run",
        "--quiet",
        "--release",
        "-p",
        "portledger",
        "--",
        "demo",
        "--json",
    ];
    let report = command::output(&mut command::cargo(&arguments))?;
    println!("{}", report.trim_end());
    match numbers_of("wrong", &report).as_slice() {
        [] => Err("the demo's report does not say how many answers were wrong".to_owned()),
        counts if counts.iter().all(|count| *count == 0) => Ok(()),
        counts => Err(format!("the demo gave wrong answers: {counts:?}")),
    }
}

/// The values of every `"NAME": number` of a JSON text; a value that is no whole number counts as the
/// largest one, so that it cannot pass for zero.
fn numbers_of(name: &str, json: &str) -> Vec<u64> {
    let key = format!("\"{name}\"");
    let after_keys = json
        .split(&key)
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix(':'));
    let values = after_keys.map(|value| {
        let value = value.trim_start();
        let end = value
            .find([',', '}', ']', '\n', ' '])
            .unwrap_or(value.len());
        value
            .get(..end)
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(u64::MAX)
    });
    values.collect()
}

fn fuzz(fuzzing: &Fuzzing) -> Result<(), String> {
    if !command::workspace_root().join("fuzz/Cargo.toml").is_file() {
        return Err("there is no fuzz/ workspace".to_owned());
    }
    if command::output(&mut command::cargo(&["fuzz", "--version"])).is_err() {
        cargo(&["install", "cargo-fuzz", "--locked"])?;
    }
    let targets = command::output(&mut cargo_fuzz(&["list"]))?;
    if targets.trim().is_empty() {
        return Err("fuzz/ lists no target".to_owned());
    }
    for target in targets.lines().map(str::trim) {
        let mut run = cargo_fuzz(&["run", target, "--"]);
        match fuzzing {
            Fuzzing::Again => {
                run.args([RUNS, "-max_total_time=60"])
                    .arg(format!("-seed={SEED}"));
            }
            Fuzzing::Explore(time) => {
                run.arg(format!("-max_total_time={}", time.as_secs()));
            }
        }
        // One input that takes longer hangs.
        run.arg("-timeout=20");
        let dictionary = command::workspace_root().join(format!("fuzz/dictionaries/{target}.dict"));
        if dictionary.is_file() {
            run.arg(format!("-dict={}", dictionary.display()));
        }
        command::run(&mut run)?;
    }
    Ok(())
}

/// cargo-fuzz asks the compiler for sanitizers, which a stable one gives only when told to.
fn cargo_fuzz(arguments: &[&str]) -> std::process::Command {
    let mut command = command::cargo(&["fuzz"]);
    command.args(arguments).env("RUSTC_BOOTSTRAP", "1");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Plan, String> {
        Plan::parse(
            &line
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn everything_runs_when_nothing_is_said() {
        let plan = parse("").unwrap();
        assert_eq!(plan.steps, Step::ALL);
        assert_eq!(plan.fuzz, Fuzzing::Again);
    }

    #[test]
    fn chosen_steps_keep_the_fixed_order() {
        let plan = parse("--only clippy,fmt --seconds 5").unwrap();
        assert_eq!(plan.steps, [Step::Fmt, Step::Clippy]);
        assert_eq!(plan.fuzz, Fuzzing::Explore(Duration::from_secs(5)));
    }

    #[test]
    fn wrong_arguments_are_refused_with_what_is_known() {
        assert!(
            parse("--only fmt,lint")
                .unwrap_err()
                .contains("the steps are install, fmt")
        );
        assert_eq!(parse("--only").unwrap_err(), "--only needs a value");
        assert!(parse("--seconds 0").is_err());
        assert!(parse("--fast").is_err());
    }

    #[test]
    fn counts_are_found_in_compact_and_in_spread_out_json() {
        assert_eq!(
            numbers_of("wrong", r#"{"asked":9,"wrong":0,"wronged":4}"#),
            [0]
        );
        assert_eq!(
            numbers_of("wrong", "{\n  \"wrong\" : 12\n}\n{\"wrong\":0}"),
            [12, 0]
        );
        assert_eq!(numbers_of("wrong", r#"{"wrong":null}"#), [u64::MAX]);
        assert!(numbers_of("wrong", r#"{"right":1}"#).is_empty());
    }
}
