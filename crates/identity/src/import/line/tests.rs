use proptest::prelude::*;

use super::*;
use crate::PrefixError;

const HEADER: &str = "realm,internal,from,to,customer,name\n";

fn lines(table: &[u8]) -> Vec<Line> {
    let mut intervals = Intervals::new(table).unwrap();
    std::iter::from_fn(|| intervals.next_line().unwrap()).collect()
}

fn one(line: &str) -> Result<Interval, Reason> {
    let table = format!("{HEADER}{line}\n");
    let mut lines = lines(table.as_bytes());
    assert_eq!(lines.len(), 1, "{line}");
    match lines.pop().unwrap() {
        Line::Interval(interval) => Ok(interval),
        Line::Reject(reject) => {
            assert_eq!((reject.line, &reject.text[..]), (2, line.as_bytes()));
            Err(reject.reason)
        }
    }
}

#[test]
fn a_line_is_an_interval() {
    let line =
        "west,100.64.3.9,2026-03-01T00:00:00+01:00,2026-04-01T00:00:00Z,C-1,\"P, \"\"E\"\"\"";
    let interval = one(line).unwrap();
    assert_eq!(interval.realm().as_str(), "west");
    assert_eq!(interval.prefix(), Prefix::parse("100.64.3.9").unwrap());
    assert_eq!(interval.from(), "2026-02-28T23:00:00Z".parse().unwrap());
    assert_eq!(interval.to(), Some("2026-04-01T00:00:00Z".parse().unwrap()));
    assert_eq!(interval.customer().field("name"), Some("P, \"E\""));
}

#[test]
fn what_is_empty_is_the_default_realm_no_end_and_no_field() {
    let interval = one(",2001:db8:0:100::/56,2026-03-01T00:00:00Z,,C-1,").unwrap();
    assert_eq!(interval.realm(), &Realm::default());
    assert_eq!(interval.to(), None);
    assert!(interval.customer().fields().is_empty());
}

#[test]
fn what_is_wrong_is_said_and_nobody_is_named() {
    let from = "2026-03-01T00:00:00Z";
    let cases = [
        (format!("a b,100.64.3.9,{from},,C,Nobody"), Reason::Realm),
        (
            format!(",Nobody,{from},,C,N"),
            Reason::Internal(PrefixError::Malformed),
        ),
        (
            format!(",100.64.3.9/24,{from},,C,N"),
            Reason::Internal(PrefixError::HostBits(24)),
        ),
        (
            ",100.64.3.9,2026-03-01T00:00:00,,Nobody,N".to_owned(),
            Reason::NoZone(Column::From),
        ),
        (
            format!(",100.64.3.9,{from},2026-03-01 01:00 PM,C,N"),
            Reason::TwelveHour(Column::To),
        ),
        (
            ",100.64.3.9,Nobody,,C,N".to_owned(),
            Reason::Time(Column::From),
        ),
        (format!(",100.64.3.9,{from},{from},C,N"), Reason::Ends),
        (
            format!(",100.64.3.9,{from},,,Nobody"),
            Reason::Customer(CustomerError::Id),
        ),
        (
            format!(",100.64.3.9,{from},,C,No\x1bbody"),
            Reason::Field {
                column: 6,
                why: CustomerError::Control,
            },
        ),
        (
            format!(",100.64.3.9,{from},,C"),
            Reason::Cells {
                expected: 6,
                found: 5,
            },
        ),
        (format!(",100.64.3.9,{from},,C,\"Nobody"), Reason::OpenQuote),
        (
            format!(",100.64.3.9,{from},,C,\"No\"body"),
            Reason::StrayQuote,
        ),
    ];
    for (line, reason) in cases {
        let found = one(&line).unwrap_err();
        assert_eq!(found, reason, "{line}");
        assert!(!format!("{found} {found:?}").contains("Nobody"));
    }
}

use crate::CustomerError;

#[test]
fn a_stray_quotation_mark_costs_one_line() {
    let row = ",100.64.3.9,2026-03-01T00:00:00Z,,C,";
    let table = format!("{HEADER}{row}\"open\n{row}sound\n{row}\"\n{row}sound\n");
    let found = lines(table.as_bytes());
    let sound = |line: &Line| matches!(line, Line::Interval(_));
    assert_eq!(
        found.iter().map(sound).collect::<Vec<_>>(),
        [false, true, false, true]
    );
}

#[test]
fn line_ends_empty_lines_and_the_byte_order_mark_change_nothing() {
    let row = "100.64.3.9,2026-03-01T00:00:00Z,,C";
    let table = format!("\u{feff}\r\ninternal,from,to,customer\r\n\r\n{row}\r\n  \n{row}");
    let found = lines(table.as_bytes());
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|line| matches!(line, Line::Interval(_))));
}

#[test]
fn lines_of_other_encodings_and_endless_lines_are_refused_and_counted() {
    let row = ",100.64.3.9,2026-03-01T00:00:00Z,,C,";
    let mut table = format!("{HEADER}{row}M").into_bytes();
    table.extend_from_slice(b"\xfcller\n");
    table.extend_from_slice(row.as_bytes());
    table.extend(std::iter::repeat_n(b'x', 3 * LONGEST));
    table.extend_from_slice(format!("\n{row}sound\n").as_bytes());
    let found = lines(&table);
    let reason = |line: &Line| match line {
        Line::Reject(reject) => Some((reject.line, reject.reason)),
        Line::Interval(_) => None,
    };
    assert_eq!(
        found.iter().map(reason).collect::<Vec<_>>(),
        [
            Some((2, Reason::NotUtf8)),
            Some((3, Reason::TooLong(LONGEST))),
            None
        ]
    );
}

#[test]
fn a_line_as_long_as_lines_may_be_is_whole() {
    for (length, end, whole) in [
        (0, "\n", true),
        (0, "\r\n", true),
        (0, "", true),
        (1, "", false),
        (1, "\n", false),
    ] {
        let text = format!("{}{end}", "x".repeat(LONGEST + length));
        let mut line = Vec::new();
        assert_eq!(
            read_line(&mut text.as_bytes(), &mut line).unwrap(),
            Some(whole),
            "{length} {end:?}"
        );
        assert_eq!(line.len(), LONGEST);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_table_or_none(bytes in any::<Vec<u8>>(), rest in any::<Vec<u8>>()) {
        let _ = Intervals::new(&bytes[..]);
        let mut table = HEADER.as_bytes().to_vec();
        table.extend(rest);
        let _ = lines(&table);
    }
}
