//! Headers as RFC 5424 gives them and as devices write them.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn text(bytes: Option<&[u8]>) -> String {
    bytes.map_or("-".to_owned(), |b| String::from_utf8_lossy(b).into_owned())
}

/// Instant, host and body of a line received in a UTC zone on 2026-11-21.
fn loose(line: &str) -> [String; 3] {
    let message = Message::parse(line.as_bytes());
    let clock = Clock::new("2026-11-21T12:00:00Z".parse().unwrap());
    let clock = clock.in_zone(jiff::tz::TimeZone::UTC);
    let time = message
        .time
        .map(|time| time.instant(&clock).unwrap().to_string());
    [
        time.unwrap_or_default(),
        text(message.hostname),
        text(Some(message.body)),
    ]
}

#[test]
fn the_examples_of_rfc_5424_section_6_5() {
    let message = Message::parse(
        b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf'su root' failed",
    );
    assert_eq!(message.form, Form::Rfc5424);
    assert_eq!(
        message.priority.map(|p| (p.facility(), p.severity())),
        Some((4, 2))
    );
    assert_eq!(text(message.app_name), "su");
    assert_eq!(
        (message.process, text(message.message_id).as_str()),
        (None, "ID47")
    );
    assert_eq!(message.body, b"'su root' failed");

    let message = Message::parse(
        b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time",
    );
    let time = message.time.unwrap();
    assert_eq!((time.offset, time.micros), (Some(-7 * 3_600), 3));

    let message = Message::parse(
        b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"][examplePriority@32473 class=\"high\"]",
    );
    let ids: Vec<_> = message
        .elements
        .iter()
        .map(|(id, _)| text(Some(id)))
        .collect();
    assert_eq!(ids, ["exampleSDID@32473", "examplePriority@32473"]);
    let (name, value) = message
        .elements
        .get(b"exampleSDID@32473")
        .unwrap()
        .nth(1)
        .unwrap();
    assert_eq!(
        (name, value.raw()),
        (&b"eventSource"[..], &b"Application"[..])
    );
    assert!(message.body.is_empty());
}

#[test]
fn escapes_in_values_are_taken_out() {
    let message = Message::parse(br#"<14>1 - - - - - [x a="q\"b\\s\]e\n"] body"#);
    assert_eq!(message.form, Form::Rfc5424);
    let (_, value) = message.elements.get(b"x").unwrap().next().unwrap();
    assert_eq!(&*value.unescaped(), br#"q"b\s]e\n"#);
    assert_eq!(message.body, b"body");
}

#[test]
fn the_quality_of_the_clock_is_read() {
    let message = Message::parse(
        b"<14>1 2026-11-21T08:00:00Z h NAT - - [timeQuality tzKnown=\"1\" isSynced=\"1\" syncAccuracy=\"60000000\"]",
    );
    assert_eq!(
        message.quality,
        TimeQuality {
            zone_known: Some(true),
            synced: Some(true),
            accuracy: Some(Duration::from_secs(60)),
        }
    );
}

#[test]
fn a_messages_number_is_read() {
    let sequence = |line: &str| Message::parse(line.as_bytes()).sequence;
    assert_eq!(
        sequence("<14>1 - - - - - [meta sequenceId=\"7\" sysUpTime=\"1\"]"),
        Some(7)
    );
    assert_eq!(
        sequence("<189>29: edge1: *Nov 21 08:00:00 UTC: %SYS-5: x"),
        Some(29)
    );
    assert_eq!(
        sequence("<189>Nov 21 08:00:00 10.0.0.1 30: .Nov 21 08:00:00: %SYS-5: x"),
        Some(30)
    );
    assert_eq!(sequence("<14>Nov 21 08:00:00 host 12: x"), None);
}

#[test]
fn the_zone_of_a_clock_that_does_not_know_its_own_is_not_believed() {
    let message =
        Message::parse(b"<14>1 2026-11-21T08:00:00Z h NAT - - [timeQuality tzKnown=\"0\"]");
    assert_eq!(message.time.unwrap().offset, None);
}

#[test]
fn headers_as_devices_write_them() {
    let lines = [
        "<14>Jun 30 22:44:25 SITE-B-BNG-01 RT_NAT: RT_SRC_NAT",
        "Jun 30 22:44:25 192.0.2.7 RT_NAT: RT_SRC_NAT",
        "<14>Jun 30 22:44:25 RT_NAT: RT_SRC_NAT",
        "RT_NAT: RT_SRC_NAT_PBA_ALLOC: Subscriber",
        "<134>1 2020 Jan 17 11:05:55 192.0.2.1 test - NAT444:SessionbasedA [17 -]",
        "1 2023 May 31 11:30:00 10.0.0.1 - - NAT44 - [UserbasedA -]",
        "<189>29: *Nov  1 12:00:00.123 UTC: %SYS-5-CONFIG_I: x",
        "<14>123456789: HOSTNAME: May 21 12:00:01.123 gmt: %IOSXE-6-PLATFORM: F0: x",
        "<189>Nov  1 12:00:01 10.0.0.1 29: .Nov  1 12:00:00.123 CET: %SYS-5-CONFIG_I: x",
        "<166>Nov 01 2026 12:00:00: %ASA-6-305011: Built",
        "<166>2018-06-27T12:17:46Z asa : %ASA-6-110002: x",
        "Nov 01 2026 12:00:00 fw1 : %ASA-6-305011: Built",
        "2026-07-19T16:13:02.123456+00:00 <158>2026-07-19 16:13:02: CGN{SET}[jservices-nat]: X: y",
        "Dec  6 08:18:01 mx (FPC Slot 3, PIC Slot 0)  2025-12-06 08:18:00: {s}[FWNAT]:ASP: y",
        "2026-07-08 14:19:00  Daemon.Info  198.51.100.2  Jul  8 14:19:18 NAS forward: in:x",
        "May 31 02:05:23 <local0.info> 10.106.44.21  05/31/2026:06:05:23 GMT HA1 : x",
        "Jun 10 14:10:03 r4 cgnat[9059]: Internal host: 100.64.0.0",
    ];
    let read: Vec<String> = lines.iter().map(|line| loose(line).join(" | ")).collect();
    insta::assert_snapshot!(read.join("\n"));
}

#[test]
fn bytes_that_are_not_utf_8_are_a_body() {
    let message = Message::parse(b"<14>Nov 21 08:00:00 host tag: \xff\xfe\x00x");
    assert_eq!(message.body, b"tag: \xff\xfe\x00x");
}

#[test]
fn a_priority_that_cannot_be_is_none() {
    for line in ["<192>x", "<>x", "<1234>x", "<1a>x"] {
        assert_eq!(Message::parse(line.as_bytes()).priority, None, "{line}");
    }
    assert_eq!(Priority::new(191).map(Priority::facility), Some(23));
}

#[test]
fn debug_shows_no_body() {
    let message = Message::parse(b"<14>Nov 21 08:00:00 host nat: 100.64.3.9");
    assert!(!format!("{message:?}").contains("100.64"));
}

proptest! {
    #[test]
    fn no_bytes_panic(line in proptest::collection::vec(any::<u8>(), 0..120)) {
        let _ = Message::parse(&line);
    }

    #[test]
    fn no_header_like_bytes_panic(line in "(<1[0-9]{0,2}>)?(1 )?[0-9:. *A-Zu<>\\[\\]\"=()-]{0,60}") {
        let message = Message::parse(line.as_bytes());
        for (_, parameters) in message.elements.iter() {
            parameters.for_each(|(_, value)| drop(value.unescaped()));
        }
    }
}
