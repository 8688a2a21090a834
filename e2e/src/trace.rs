//! `portledger trace` on a server's log, compared with the truth.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::finish;
use crate::truth::Truth;
use crate::{Failure, prerequisite};

/// How long tracing one log may take.
const LIMIT: Duration = Duration::from_secs(120);
/// How long a live ledger may need to know that a moment is complete.
const SETTLING: Duration = Duration::from_secs(60);

/// What `trace` answered for one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The line, counted from 1.
    pub line: u64,
    /// `unique`, `ambiguous`, `none` or `unknown`; or `refused`, when the line does not say enough to ask.
    pub verdict: String,
    /// The subscribers it names: their addresses, or the networks of their prefixes.
    pub named: BTreeSet<IpAddr>,
}

/// A log's answers against the truth, as line numbers.
#[derive(Default, PartialEq, Eq)]
pub struct Comparison {
    /// `unique`, and the right host.
    pub right: BTreeSet<u64>,
    /// Another host, or `none` where there was one, or candidates without the right one.
    pub wrong: BTreeSet<u64>,
    /// No claim about one host: `unknown`, `refused`, or `ambiguous` with the right one among them.
    pub open: BTreeSet<u64>,
    /// Lines with a remote endpoint and no answer at all.
    pub unanswered: BTreeSet<u64>,
}

/// What a failing test shows: the right ones are many and of no interest.
impl fmt::Debug for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            right,
            wrong,
            open,
            unanswered,
        } = self;
        let right = right.len();
        write!(
            formatter,
            "{right} right; lines wrong: {wrong:?}, open: {open:?}, "
        )?;
        write!(formatter, "unanswered: {unanswered:?}")
    }
}

/// Runs `portledger trace LOG --json --ledger DIR`.
///
/// # Errors
/// When it fails, or prints something other than an answer a line. That answers are not all unique is no error.
pub fn trace(log: &Path, format: Option<&str>, ledger: &Path) -> Result<Vec<Answer>, Failure> {
    let program = prerequisite::portledger()
        .ok_or_else(|| Failure::Missing("the portledger program".to_owned()))?;
    let mut command = Command::new(program);
    command
        .arg("trace")
        .arg(log)
        .arg("--json")
        .arg("--ledger")
        .arg(ledger);
    if let Some(format) = format {
        command.args(["--format", format]);
    }
    let finished = finish(&mut command, LIMIT)?;
    // 3, 4 and 5 say that answers are ambiguous, none or unknown.
    if !matches!(finished.status.code(), Some(0 | 3 | 4 | 5)) {
        return Err(finished.into_failure());
    }
    finished
        .stdout
        .lines()
        .map(|line| {
            parse_answer(line).ok_or_else(|| Failure::Unexpected {
                what: "an answer of portledger trace --json".to_owned(),
                text: line.to_owned(),
            })
        })
        .collect()
}

/// As [`trace`], but asks again while an answer is `unknown`: of the last seconds before now the ledger cannot
/// know yet that it is complete.
///
/// # Errors
/// As [`trace`].
pub fn settled(log: &Path, format: Option<&str>, ledger: &Path) -> Result<Vec<Answer>, Failure> {
    let begun = Instant::now();
    loop {
        let answers = trace(log, format, ledger)?;
        let unknown = answers.iter().any(|answer| answer.verdict == "unknown");
        if !unknown || begun.elapsed() > SETTLING {
            return Ok(answers);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Holds every answer against the truth. An answer to a line the truth does not know is wrong.
#[must_use]
pub fn compare(answers: &[Answer], truth: &Truth) -> Comparison {
    let mut comparison = Comparison {
        unanswered: truth.keys().copied().collect(),
        ..Comparison::default()
    };
    for answer in answers {
        comparison.unanswered.remove(&answer.line);
        let names_it = truth
            .get(&answer.line)
            .is_some_and(|host| answer.named.contains(host));
        let place = match answer.verdict.as_str() {
            "unique" if names_it && answer.named.len() == 1 => &mut comparison.right,
            "ambiguous" if names_it => &mut comparison.open,
            "unknown" | "refused" => &mut comparison.open,
            _ => &mut comparison.wrong,
        };
        place.insert(answer.line);
    }
    comparison
}

fn parse_answer(line: &str) -> Option<Answer> {
    let answer: Value = serde_json::from_str(line).ok()?;
    let line = answer.pointer("/source/line")?.as_u64()?;
    if answer.get("refused").is_some() {
        return Some(Answer {
            line,
            verdict: "refused".to_owned(),
            named: BTreeSet::new(),
        });
    }
    let named = answer
        .get("allocations")?
        .as_array()?
        .iter()
        .map(|allocation| {
            allocation
                .pointer("/subscriber/internal")
                .and_then(Value::as_str)?
                .split('/')
                .next()?
                .parse()
                .ok()
        });
    Some(Answer {
        line,
        verdict: answer.get("verdict")?.as_str()?.to_owned(),
        named: named.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::new(100, 64, 0, 10));
    const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(100, 64, 0, 11));

    fn answer(line: u64, verdict: &str, named: &[IpAddr]) -> Answer {
        Answer {
            line,
            verdict: verdict.to_owned(),
            named: named.iter().copied().collect(),
        }
    }

    #[test]
    fn an_answer_is_read() {
        let line = r#"{"source":{"file":"access.log","line":7},"verdict":"unique",
            "allocations":[{"subscriber":{"realm":"default","internal":"100.64.0.10"}}]}"#;
        assert_eq!(parse_answer(line), Some(answer(7, "unique", &[FIRST])));
        let line = r#"{"source":{"line":8},"refused":"no-zone","reason":"the time has no zone"}"#;
        assert_eq!(parse_answer(line), Some(answer(8, "refused", &[])));
        assert_eq!(parse_answer(r#"{"verdict":"unique"}"#), None);
    }

    #[test]
    fn only_the_right_host_alone_is_right() {
        let truth: Truth = (1..=7).map(|line| (line, FIRST)).collect();
        let answers = [
            answer(1, "unique", &[FIRST]),
            answer(2, "unique", &[SECOND]),
            answer(3, "ambiguous", &[FIRST, SECOND]),
            answer(4, "ambiguous", &[SECOND]),
            answer(5, "none", &[]),
            answer(6, "unknown", &[]),
            answer(9, "unique", &[FIRST]),
        ];
        let comparison = compare(&answers, &truth);
        assert_eq!(comparison.right, BTreeSet::from([1]));
        assert_eq!(comparison.wrong, BTreeSet::from([2, 4, 5, 9]));
        assert_eq!(comparison.open, BTreeSet::from([3, 6]));
        assert_eq!(comparison.unanswered, BTreeSet::from([7]));
    }
}
