//! What is asked of the engine holds in each of its modes: the same tests, with their packets put
//! into what travels on the inside.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{
    requirements::REQUIREMENTS,
    support::engine::{Mode, Within},
};

/// Tests that are about something that softwires do otherwise or have not.
const NOT_WITH_SOFTWIRES: &[&str] = &[
    // What is too large for a softwire is cut outside (RFC 6333 §6.3): `rfc6333.rs`.
    "rfc4787::req_13_from_the_outside_too",
    "rfc5508::large_errors_keep_to_the_link",
    // A packet that leaves untranslated has no way back into a softwire.
    "rfc6888::req_6_translation_can_be_off_for_destinations",
    // Ranges are computed from IPv4 addresses.
    "rfc7422::",
];

/// As above, of a NAT64.
const NOT_WITH_SIX: &[&str] = &[
    // Sizes of IPv6's links, and what of a packet comes back in an error: `rfc6146.rs`.
    "rfc4787::req_13_",
    "rfc4787::req_13a_",
    "rfc5508::large_errors_keep_to_the_link",
    "rfc5508::req_8_a_refused_mapping_can_be_answered_with_code_13",
    "translation::partial_checksums_are_completed_before_a_packet_is_cut",
    "translation::later_fragments_are_not_cut_where_they_must_not_be",
    // IPv6 has no such identifications, options and checksums of zero (RFC 7915 §4.1, §4.5).
    "rfc7857::section_10_identifications_are_rewritten_where_they_mean_something",
    "rfc5508::req_3b_options_of_the_quoted_header_are_skipped",
    "rfc5508::quoted_udp_without_a_checksum",
    // Every code of ICMP, of which ICMPv6 has not all.
    "rfc4787::req_12_icmp_never_ends_a_mapping",
    "rfc5382::req_10_icmp_never_ends_a_connection",
    // ICMP that ICMPv6 has not, or that is not translated in fragments (RFC 7915 §4.2).
    "rfc5508::fragmented_queries_both_ways",
    "rfc5508::req_1_queries_and_their_answers_pass",
    "rfc5508::req_11_other_messages_are_dropped",
    // The inside has no IPv4 addresses.
    "rfc6888::req_6_translation_can_be_off_for_destinations",
    "rfc7422::",
];

#[test]
fn whatever_is_met_is_met_with_softwires() {
    try_all(Mode::Softwires, NOT_WITH_SOFTWIRES);
}

#[test]
fn whatever_is_met_is_met_with_six() {
    try_all(Mode::Six, NOT_WITH_SIX);
}

fn try_all(mode: Mode, not: &[&str]) {
    let mut failed = Vec::new();
    let mut tried = 0;
    for requirement in REQUIREMENTS {
        for &(name, test) in requirement.tests {
            let name = name.replace(' ', "");
            let module = name.split("::").next().unwrap_or_default();
            if BEFORE.contains(&module) && !not.iter().any(|not| name.starts_with(not)) {
                tried += 1;
                let _mode = Within::new(mode);
                if catch_unwind(AssertUnwindSafe(test)).is_err() {
                    failed.push(name);
                }
            }
        }
    }
    assert!(tried > 100, "{tried}");
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The modules whose tests speak of the engine, and not of a mode.
const BEFORE: &[&str] = &[
    "rfc4787",
    "rfc5382",
    "rfc5508",
    "rfc6888",
    "rfc7422",
    "rfc7768",
    "rfc7857",
    "mistakes",
    "translation",
];
