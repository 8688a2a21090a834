//! What is asked of the engine holds in each of its modes: the same tests, with their packets put
//! into what travels on the inside.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{
    requirements::REQUIREMENTS,
    support::engine::{Mode, Within},
};

/// Tests that are about something a mode does otherwise or has not.
const NOT_WITH_SOFTWIRES: &[&str] = &[
    // What is too large for a softwire is cut outside (RFC 6333 §6.3): `rfc6333.rs`.
    "rfc4787::req_13_from_the_outside_too",
    "rfc5508::large_errors_keep_to_the_link",
    // A packet that leaves untranslated has no way back into a softwire.
    "rfc6888::req_6_translation_can_be_off_for_destinations",
    // Ranges are computed from IPv4 addresses.
    "rfc7422::",
];

#[test]
fn whatever_is_met_is_met_with_softwires() {
    let mut failed = Vec::new();
    let mut tried = 0;
    for requirement in REQUIREMENTS {
        for &(name, test) in requirement.tests {
            let name = name.replace(' ', "");
            if NOT_WITH_SOFTWIRES.iter().any(|not| name.starts_with(not)) {
                continue;
            }
            tried += 1;
            if catch_unwind(AssertUnwindSafe(|| {
                let _mode = Within::new(Mode::Softwires);
                test()
            }))
            .is_err()
            {
                failed.push(name);
            }
        }
    }
    assert!(tried > 100, "{tried}");
    assert!(failed.is_empty(), "{failed:#?}");
}
