//! The quick way of reading beside the careful one.

use proptest::prelude::*;

use crate::{Format, format::Kind, time::recent::Recent};

/// Formats with free text in quotes, without, and several in a row; times of every form.
const FORMATS: &[&str] = &[
    "nginx-combined",
    "nginx-combined-port",
    "apache-common",
    "apache-combined-port",
    "apache-vhost-combined-port",
    "nginx:$msec $remote_addr $remote_port $server_addr $server_port $request_id",
    r#"nginx:escape=none $time_iso8601 "$http_user_agent" [$remote_addr]:$remote_port"#,
    "nginx:escape=none $msec $remote_user $hostname $remote_addr $remote_port",
    r#"nginx:escape=none $msec "$http_referer" $remote_addr $remote_port "$http_user_agent""#,
    "nginx:$remote_addr:$remote_port [$time_local] $request_time $http_x $status",
    "apache:%u %{begin:msec}t %h %{remote}p %U %D",
    "apache:%v:%p %h %l %u %t %T",
    "nginx:escape=none $msec $http_user_agent $server_addr $remote_addr $remote_port",
    OPEN,
];

/// A time that may stand in several places.
const OPEN: &str = "nginx:escape=none $remote_user [$time_local] $remote_addr $http_x";

fn logs() -> impl Iterator<Item = &'static [u8]> {
    let logs: [&[u8]; 5] = [
        include_bytes!("../../../tests/fixtures/nginx-combined-port.log"),
        include_bytes!("../../../tests/fixtures/nginx-unescaped.log"),
        include_bytes!("../../../tests/fixtures/apache-combined-port.log"),
        include_bytes!("../../../tests/fixtures/apache-vhost-combined-port.log"),
        b"1795258402123 203.0.113.7 49152 192.0.2.80 443 4f2a\n\
          1795258402.123 a b 203.0.113.7 49152\n\
          203.0.113.7:5 [31/Dec/2026:23:59:60 -0330] 0.25 x 200\n\
          a b 1795258402123 2001:db8::1 1 c 7\n\
          1795258402.123 x 192.0.2.66 y - 203.0.113.7 49152\n\
          www.example.org:443 2001:db8::10 - - [21/Nov/2026:10:53:22 +0100] 3\n",
    ];
    logs.into_iter()
}

/// What both ways of reading say of a line; whether the quick one said anything.
fn both(format: &Format, line: &[u8], recent: &mut Recent) -> bool {
    let Kind::Pattern(pattern) = &format.kind else {
        panic!("{format}");
    };
    let options = crate::Options::new("x");
    let plainly = pattern.read_plainly(line, 1, &options, recent);
    if let Some(found) = &plainly {
        let scanned = pattern.scan(line, 1, &options);
        assert_eq!(
            Ok(found),
            scanned.as_ref(),
            "{format}\n{}",
            line.escape_ascii()
        );
    }
    plainly.is_some()
}

#[test]
fn a_wrong_place_leaves_no_time_behind() {
    let (format, mut recent) = (Format::parse(OPEN).unwrap(), Recent::default());
    for line in [
        "u [21/Nov/2026:10:53:22 +0100] 203.0.113.7 x [20/Nov/2026:10:53:22 +0100] y z",
        "u [20/Nov/2026:10:53:22 +0100] y [21/Nov/2026:10:53:22 +0100] 203.0.113.7 x",
    ] {
        assert!(both(&format, line.as_bytes(), &mut recent), "{line}");
    }
}

#[test]
fn lines_of_real_servers_are_plain() {
    for (name, log) in ["nginx-combined-port", "apache-combined-port"].iter().zip([
        include_bytes!("../../../tests/fixtures/nginx-combined-port.log").as_slice(),
        include_bytes!("../../../tests/fixtures/apache-combined-port.log"),
    ]) {
        let (format, mut recent) = (Format::parse(name).unwrap(), Recent::default());
        let mut lines = log
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        assert!(lines.all(|line| both(&format, line, &mut recent)), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// What is read at once is what the scan, which looks at every way to read a line, says.
    #[test]
    fn a_plain_line_says_what_the_scan_says(
        at in 0_usize..240,
        gone in 0_usize..6,
        put in prop_oneof![
            "[-0-9a-f.: \"\\\\\\[\\]]{0,12}".prop_map(String::into_bytes),
            Just(b" 192.0.2.66 4242".to_vec()),
            Just(b"\" 200 1 \"-\" \"x\" 4242".to_vec()),
            Just(b" [21/Nov/2026:10:53:22 +0000] \"".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6),
        ],
        format in 0..FORMATS.len(),
    ) {
        let (format, mut recent) = (Format::parse(FORMATS[format]).unwrap(), Recent::default());
        for line in logs().flat_map(|log| log.split(|byte| *byte == b'\n')) {
            both(&format, line, &mut recent);
            let mut line = line.to_vec();
            let at = at.min(line.len());
            let end = (at + gone).min(line.len());
            line.splice(at..end, put.iter().copied());
            both(&format, &line, &mut recent);
        }
    }

    /// Every second of a day, in any zone, in whatever order they come.
    #[test]
    fn a_day_that_is_remembered_gives_the_instants_of_one_that_is_not(
        times in proptest::collection::vec((0_u8..=32, 2025_u16..2028, 0_u8..=25, 0_u8..=61, 0_u8..=61, "[+-][0-9]{4}|Z"), 1..20),
    ) {
        let (format, mut recent) = (Format::parse("nginx-combined").unwrap(), Recent::default());
        for (day, year, hour, minute, second, zone) in times {
            let line = format!("203.0.113.7 - - [{day:02}/Feb/{year}:{hour:02}:{minute:02}:{second:02} {zone}] \"\" 200 612 \"-\" \"x\"");
            both(&format, line.as_bytes(), &mut recent);
        }
    }
}
