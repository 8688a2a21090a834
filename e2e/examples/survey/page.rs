//! The page: three tables and what they say.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use portledger_audit::{Evidence, Facts, Verdict, server};
use portledger_e2e::survey::Outcome;

/// Where the survey was wrong, and where it has aged: facts that no run gives.
const AGED: &str = include_str!("aged.md");

/// What columns mean, in front of the tables.
const BEGINNING: &str = "\
# Which servers log the source port

draft-daveor-cgn-logging-04 asked it of sixteen kinds of server in 2018 (table 2). Here the question is asked again, and
of what people run today. `cargo run -p portledger-e2e --example survey` writes this page: it starts each server it can,
set up as Debian 12 does it, visits it from known source ports over IPv4 and IPv6, reads its log, lets
`portledger fix --apply` change its configuration and reads again.

The three answers are *possible* (the port can be logged by whatever means), *feasible* (by configuration alone, without
a debug level) and *default* (logged unasked, or by a format that it comes with). \"Run here, 0 → 12 of 12\" is how many
connections the log named, each by its address, its port and a right time, before and after `fix`; where there were
twelve before, `fix` wrote the port plainly too, or made the time certain. One number alone: `fix` changed nothing. Of
memcached, which writes no log, it is what the client of its page was told. \"Run by hand\" is a server that was started
and read while its page in [servers](servers) was written, but not by this program. \"Documentation\" rests on what its
makers and public samples say: nobody here has seen it. A dash under bytes: the port stands in a line of its own, or in
one that is there anyway.
";

/// The whole page.
pub(crate) fn page(outcomes: &BTreeMap<&str, Outcome>) -> String {
    let all: Vec<&Facts> = server::all().iter().map(|server| server.facts()).collect();
    let (surveyed, rest): (Vec<&Facts>, Vec<&Facts>) =
        all.iter().partition(|facts| facts.survey.is_some());
    let (appendix, today): (Vec<&Facts>, Vec<&Facts>) =
        rest.into_iter().partition(|facts| facts.name == "cyrus");
    let mut page = BEGINNING.to_owned();
    page += "\n## The survey of 2018, again\n";
    page += &counts(&surveyed);
    page += &table(&surveyed, outcomes);
    page += "\n## What RFC 7768 adds\nAppendix A says of Cyrus that it cannot. It can, for those who log in.\n\n";
    page += &table(&appendix, outcomes);
    page += "\n## What people run today\n";
    page += &table(&today, outcomes);
    let documented: Vec<&str> = all
        .iter()
        .filter(|facts| facts.evidence == Evidence::Documentation)
        .map(|facts| facts.title.as_str())
        .collect();
    let _ = write!(
        page,
        "\nThese rest on documentation alone: {}.\n\n{AGED}",
        documented.join(", ")
    );
    page
}

/// How many of the survey's servers could then, and can now.
fn counts(surveyed: &[&Facts]) -> String {
    let count = |of: &dyn Fn(&Verdict) -> bool| {
        let now = surveyed.iter().filter(|facts| of(&facts.today)).count();
        let then = surveyed.iter().filter_map(|facts| facts.survey.as_ref());
        (then.filter(|verdict| of(verdict)).count(), now)
    };
    let (possible, feasible) = (count(&|it| it.possible), count(&|it| it.feasible));
    let default = count(&|it| it.default);
    format!(
        "Of {} it was possible with {} and is with {}, feasible with {} and is with {}, the default of {} and is of {}.\n\n",
        surveyed.len(),
        possible.0,
        possible.1,
        feasible.0,
        feasible.1,
        default.0,
        default.1
    )
}

fn table(rows: &[&Facts], outcomes: &BTreeMap<&str, Outcome>) -> String {
    let mut table = "| server | version | possible | feasible | default | evidence | how | bytes a line |\n|---|---|---|---|---|---|---|---|\n".to_owned();
    for facts in rows {
        let outcome = outcomes.get(facts.name.as_str());
        // What the program saw, unless it is what is known in short.
        let version = outcome
            .and_then(|outcome| outcome.before["version"].as_str())
            .filter(|seen| !facts.version.starts_with(seen))
            .unwrap_or(&facts.version);
        let answer = |of: fn(&Verdict) -> bool| {
            let now = word(of(&facts.today));
            match facts.survey.as_ref().map(of) {
                Some(then) if then != of(&facts.today) => format!("{} → **{now}**", word(then)),
                _ => now.to_owned(),
            }
        };
        let bytes = facts
            .bytes_a_line
            .map_or_else(|| "–".to_owned(), |bytes| bytes.to_string());
        let _ = writeln!(
            table,
            "| [{title}](servers/{name}.md) | {version} | {possible} | {feasible} | {default} | {evidence} | {how} | {bytes} |",
            title = facts.title,
            name = facts.name,
            possible = answer(|it| it.possible),
            feasible = answer(|it| it.feasible),
            default = answer(|it| it.default),
            evidence = evidence(facts, outcome),
            how = facts.how.replace('|', "\\|"),
        );
    }
    table
}

fn word(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

fn evidence(facts: &Facts, outcome: Option<&Outcome>) -> String {
    match (outcome, facts.evidence) {
        (Some(outcome), _) => {
            let (default, fixed) = (&outcome.default, &outcome.fixed);
            let change = match outcome.fix["applied"] == true {
                true => format!("{} → {}", default.named, fixed.named),
                // Nothing was changed, so the second run is of the same configuration.
                false => fixed.named.to_string(),
            };
            format!("run here, {change} of {}", fixed.visits)
        }
        (None, Evidence::Run) => "run by hand".to_owned(),
        (None, Evidence::Documentation) => "documentation".to_owned(),
    }
}
