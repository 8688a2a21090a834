//! `docs/conformance.md` is written from the list, and checked against it.

use std::{collections::HashSet, fmt::Write, fs, path::PathBuf};

use crate::requirements::{REQUIREMENTS, Requirement, Status, TITLES};

const HEAD: &str = "# Conformance of the translators

What the RFCs ask of a NAT, in our own words, and whether this one does it. Each line names the
tests that try it on the engine with real packets (`crates/nat/tests/conformance`). Options are
named as in the configuration of the crates `portledger-nat` and `portledger-ports`.

This page is written by those tests; `BLESS=1 cargo test -p portledger-nat --test conformance`
writes it anew.
";

#[test]
fn the_document_says_what_the_list_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance.md");
    let wanted = document();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, wanted).unwrap();
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/conformance.md is stale: run BLESS=1 cargo test -p portledger-nat --test conformance"
    );
}

#[test]
fn whatever_is_met_is_tried() {
    for requirement in REQUIREMENTS {
        let claimed = matches!(requirement.status, Status::Met(_) | Status::Configurable(_));
        assert!(
            !claimed || !requirement.tests.is_empty(),
            "RFC {} {} is claimed and not tried",
            requirement.rfc,
            requirement.number
        );
    }
    let mut seen = HashSet::new();
    for requirement in REQUIREMENTS {
        assert!(seen.insert((requirement.rfc, requirement.number)));
        assert!(TITLES.iter().any(|&(rfc, _)| rfc == requirement.rfc));
    }
}

/// Every test that names a requirement is in the list.
#[test]
fn whatever_is_tried_is_in_the_list() {
    let listed: HashSet<&str> = REQUIREMENTS
        .iter()
        .flat_map(|requirement| requirement.tests)
        .map(|&(name, _)| name)
        .collect();
    let sources = [
        ("rfc4787", include_str!("rfc4787.rs")),
        ("rfc5382", include_str!("rfc5382.rs")),
        ("rfc5508", include_str!("rfc5508.rs")),
        ("rfc6052", include_str!("rfc6052.rs")),
        ("rfc6146", include_str!("rfc6146.rs")),
        ("rfc6333", include_str!("rfc6333.rs")),
        ("rfc6333_icmp", include_str!("rfc6333_icmp.rs")),
        ("rfc6888", include_str!("rfc6888.rs")),
        ("rfc7422", include_str!("rfc7422.rs")),
        ("rfc7596", include_str!("rfc7596.rs")),
        ("rfc7597", include_str!("rfc7597.rs")),
        ("rfc7597_fragments", include_str!("rfc7597_fragments.rs")),
        ("rfc7599", include_str!("rfc7599.rs")),
        ("rfc7768", include_str!("rfc7768.rs")),
        ("rfc7857", include_str!("rfc7857.rs")),
        ("rfc7915", include_str!("rfc7915.rs")),
        ("rfc7915_icmp", include_str!("rfc7915_icmp.rs")),
    ];
    for (module, source) in sources {
        let tests = source
            .split("#[test]\npub fn ")
            .skip(1)
            .filter_map(|rest| rest.split('(').next());
        for test in tests {
            let name = format!("{module}::{test}");
            assert!(
                listed.contains(name.as_str()),
                "{name} belongs to no requirement"
            );
        }
    }
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    for &(rfc, title) in TITLES {
        write!(text, "\n## RFC {rfc}: {title}\n\n").unwrap();
        text.push_str(
            "| Requirement | Level | What it asks | Status | Tests |\n|---|---|---|---|---|\n",
        );
        for requirement in REQUIREMENTS
            .iter()
            .filter(|requirement| requirement.rfc == rfc)
        {
            text.push_str(&line(requirement));
        }
    }
    text
}

fn line(requirement: &Requirement) -> String {
    let Requirement {
        number,
        level,
        asks,
        status,
        tests,
        ..
    } = requirement;
    let tests: Vec<String> = tests
        .iter()
        .map(|(name, _)| format!("`{}`", name.replace(' ', "")))
        .collect();
    format!(
        "| {number} | {} | {asks} | {} | {} |\n",
        level.text(),
        said(*status),
        tests.join("<br>")
    )
}

fn said(status: Status) -> String {
    let (word, remark) = match status {
        Status::Met(remark) => ("met", remark),
        Status::Configurable(remark) => ("configurable", remark),
        Status::NotMet(remark) => ("**not met**", remark),
        Status::NotApplicable(remark) => ("not applicable", remark),
    };
    if remark.is_empty() {
        word.to_owned()
    } else {
        format!("{word}: {remark}")
    }
}
