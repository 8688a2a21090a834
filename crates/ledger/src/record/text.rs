//! The text of a record that is hashed into the tree: what a proof shows.
//!
//! One JSON object without spaces, its fields in this order, times in UTC with six places,
//! durations in nanoseconds. A judge's expert reads it with any tool; it never changes, since
//! the hashes are made from it.
//!
//! ```text
//! {"at":"2026-11-01T09:12:44.120000Z","device":"cgn1","event":"allocated","realm":"default",
//!  "internal":"100.64.3.9","external":"203.0.113.7","first":39936,"last":40191,"transport":"any"}
//! ```
//!
//! `internal` is an address or an IPv6 prefix; where it is the B4's of a softwire,
//! `"internal_kind":"softwire"` follows.

mod dates;
mod digits;
mod read;
mod write;

use portledger_model::{Limit, Transport};

pub(crate) use read::read;
pub(crate) use write::{Texts, write};

const LIMITS: [(Limit, &str); 6] = [
    (Limit::Blocks, "blocks"),
    (Limit::Rate, "rate"),
    (Limit::State, "state"),
    (Limit::Ports(Transport::Tcp), "tcp-ports"),
    (Limit::Ports(Transport::Udp), "udp-ports"),
    (Limit::Ports(Transport::Icmp), "icmp-identifiers"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{any_record, block, record};
    use portledger_model::{Event, Record, Timestamp};
    use proptest::prelude::*;

    fn text(record: &Record) -> String {
        let mut out = Vec::new();
        write(record, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_text_is_what_it_was() {
        let block = block("100.64.3.9", 39_936, 40_191);
        let since = Timestamp::from_micros(1_793_524_364_120_001);
        let at = Timestamp::from_secs(1_793_534_400);
        let told = |event| {
            text(&Record {
                at,
                ..record(0, event)
            })
        };
        assert_eq!(
            told(Event::Released { block, since }),
            r#"{"at":"2026-11-01T12:00:00.000000Z","device":"cgn1","event":"released","realm":"default","internal":"100.64.3.9","external":"203.0.113.7","first":39936,"last":40191,"transport":"any","since":"2026-11-01T09:12:44.120001Z"}"#
        );
        assert_eq!(
            told(Event::Started(crate::testing::start())),
            r#"{"at":"2026-11-01T12:00:00.000000Z","device":"cgn1","event":"started","continues":true,"clock_error_ns":10000000,"guard_time_ns":120000000000}"#
        );
    }

    #[test]
    fn the_text_names_each_kind_of_subscriber() {
        let told = |internal: &str| {
            let text = text(&record(0, Event::Allocated(block(internal, 1_024, 1_279))));
            let (_, from) = text.split_once(r#""realm":"default","#).unwrap();
            from.split_once(r#","external""#).unwrap().0.to_owned()
        };
        assert_eq!(told("2001:db8::9"), r#""internal":"2001:db8::9""#);
        assert_eq!(
            told("2001:db8:1:2::/64"),
            r#""internal":"2001:db8:1:2::/64""#
        );
        assert_eq!(
            told("softwire 2001:db8::9"),
            r#""internal":"2001:db8::9","internal_kind":"softwire""#
        );
    }

    #[test]
    fn the_texts_of_rules_are_what_they_were() {
        for says in [
            r#"{"at":"2026-03-01T00:00:00.000000Z","device":"br1","event":"rule-began","rule":"west","kind":"map","realm":"default","ipv6":"2001:db8::/40","ipv4":"192.0.2.0/24","ea_length":16,"psid_offset":6}"#,
            r#"{"at":"2026-03-01T00:00:00.000000Z","device":"cgn1","event":"rule-held","rule":"deterministic","kind":"deterministic","realm":"default","inside":"100.64.0.0/28","outside":"192.0.2.1","ports":"1024-65535","compression":16,"ports_each":3584,"since":"2026-02-01T00:00:00.000000Z"}"#,
            r#"{"at":"2026-03-01T00:00:00.000000Z","device":"br1","event":"rule-ended","rule":"west"}"#,
        ] {
            assert_eq!(text(&read(says).unwrap()), says);
        }
    }

    proptest! {
        #[test]
        fn a_text_is_json_and_reads_back_to_the_same_text(record in any_record()) {
            let written = text(&record);
            let back = read(&written).unwrap();
            prop_assert_eq!(text(&back), written);
        }
    }
}
