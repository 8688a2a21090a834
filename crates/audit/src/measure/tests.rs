use super::*;
use crate::{Records, audit, clock::clock, server, testing::Image};

const LINE: &str =
    r#"203.0.113.7 - - [21/Nov/2026:10:53:22 +0100] "GET / HTTP/1.1" 200 612 "-" "x" 49152"#;

fn image() -> Image {
    Image::default()
        .with(
            "/etc/nginx/nginx.conf",
            r#"http {
                log_format p '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $remote_port';
                access_log /var/log/nginx/access.log p;
            }"#,
        )
        .with("/var/log/nginx/access.log", &format!("{LINE}\n"))
        .with(
            "/etc/logrotate.conf",
            "weekly\nrotate 4\n# a comment\ninclude /etc/logrotate.d\n",
        )
        .with(
            "/etc/logrotate.d/nginx",
            "/var/log/nginx/*.log {\n\tdaily\n\trotate 14\n\tcompress\n\tpostrotate\n\t\trotate 99\n\tendscript\n}\n",
        )
}

fn audited(image: &Image) -> crate::Audited {
    audit(
        image,
        server::named("nginx").unwrap(),
        "/etc/nginx/nginx.conf",
    )
    .unwrap()
}

#[test]
fn a_log_with_the_port_that_is_found_again_is_accessible() {
    let audited = audited(&image());
    assert_eq!(audited.maturity, crate::Maturity::Accessible);
    let measured = &audited.logs[0].measured;
    assert_eq!(measured.found.as_ref().unwrap().lines, 1);
    let rotation = measured.rotation.as_ref().unwrap();
    assert_eq!(rotation.config, "/etc/logrotate.d/nginx");
    assert_eq!(rotation.reaches_back(), Some(14));
    assert!(rotation.compressed);
}

#[test]
fn no_person_s_address_is_told() {
    let audited = audited(&image());
    let json = serde_json::to_string(&audited).unwrap();
    assert!(
        !json.contains("203.0.113.7") && !json.contains("49152"),
        "{json}"
    );
}

#[test]
fn what_a_block_does_not_say_the_globals_do() {
    let image = image().with(
        "/etc/logrotate.d/nginx",
        "\"/var/log/nginx/access.log\"\n{\n}\n",
    );
    let rotation = rotation::of(&image, "/var/log/nginx/access.log").unwrap();
    assert_eq!(rotation.reaches_back(), Some(28));
    assert_eq!(rotation::of(&image, "/var/log/other"), None);
}

#[test]
fn a_jail_that_no_longer_matches_is_said() {
    let image = image()
        .with("/etc/fail2ban/jail.conf", "[DEFAULT]\nenabled = false\n[apache-badbots]\nfilter = apache-badbots\nlogpath = /var/log/else\n  /var/log/nginx/access.log\n[off]\nlogpath = /var/log/nginx/access.log\n")
        .with("/etc/fail2ban/jail.local", "[apache-badbots]\nenabled = true\n")
        .printing(
            "fail2ban-regex /dev/stdin apache-badbots",
            "Results\nLines: 1 lines, 0 ignored, 0 matched, 1 missed\n",
            "",
        );
    let log = Log {
        path: "/var/log/nginx/access.log".to_owned(),
        is_file: true,
        is_covered: false,
        records: Records::NOTHING,
        format: Some("nginx-combined-port".to_owned()),
    };
    let sample = Sample {
        lines: format!("{LINE}\n"),
        stripped: Some("without\n".to_owned()),
        count: 1,
    };
    let image = image.printing(
        "fail2ban-regex /dev/stdin apache-badbots < without",
        "Lines: 1 lines, 0 ignored, 1 matched, 0 missed\n",
        "",
    );
    let readers = readers::of(&image, &log, Some(&sample));
    assert_eq!(readers.len(), 1, "{readers:?}");
    assert_eq!(readers[0].name, "fail2ban apache-badbots");
    assert_eq!(readers[0].config, "/etc/fail2ban/jail.local");
    assert_eq!(readers[0].understands, Some(false), "{}", readers[0].why);
}

#[test]
fn lines_of_before_the_change_are_told_apart() {
    let without = LINE.strip_suffix(" 49152").unwrap();
    let image = image().with("/var/log/nginx/access.log", &format!("{without}\n{LINE}\n"));
    let audited = audited(&image);
    let said: Vec<String> = audited.findings.iter().map(ToString::to_string).collect();
    assert!(
        said.iter()
            .any(|text| text.contains("1 of 2 recent lines are not of the format")),
        "{said:?}"
    );
}

#[test]
fn a_clock_s_error_is_told_and_never_too_small() {
    let of = |image: &Image| {
        let clock = clock(image);
        (clock.kept_by, clock.synchronised, clock.error_ms)
    };
    let chrony = Image::default().printing(
        "chronyc -c tracking",
        "CB00710F,203.0.113.15,3,1795258402.1,0.000123,-0.0001,0.0002,-1.2,0.01,0.3,0.010,0.0021,64.2,Normal\n",
        "",
    );
    assert_eq!(of(&chrony), (Some("chrony"), Some(true), Some(8)));
    let ntp = Image::default().printing(
        "ntpq -c rv",
        "associd=0 status=0615 leap_none, sync_ntp,\nleap=00, stratum=2, rootdelay=10.0, rootdisp=20.5, offset=-1.25\n",
        "",
    );
    assert_eq!(of(&ntp), (Some("ntpd"), Some(true), Some(27)));
    let timesyncd =
        Image::default().printing("timedatectl show", "NTP=yes\nNTPSynchronized=no\n", "");
    assert_eq!(
        of(&timesyncd),
        (Some("systemd-timesyncd"), Some(false), None)
    );
    assert_eq!(of(&Image::default()), (None, None, None));
}

#[test]
fn readers_are_tried_on_the_lines_with_and_without_the_port() {
    let without = LINE.strip_suffix(" 49152").unwrap();
    let answer = |matched| format!("Lines: 1 lines, 0 ignored, {matched} matched, 0 missed\n");
    let tried = format!("fail2ban-regex /dev/stdin nginx-botsearch < {without}");
    let image = image()
        .with(
            "/etc/fail2ban/jail.local",
            "[nginx-botsearch]\nenabled = true\nlogpath = %(nginx_access_log)s\n",
        )
        .printing("fail2ban-regex /dev/stdin nginx-botsearch", &answer(0), "")
        .printing(&tried, &answer(1), "");
    let audited = audited(&image);
    let reader = &audited.logs[0].measured.readers[0];
    assert_eq!(reader.understands, Some(false), "{}", reader.why);
    assert_eq!(audited.maturity, crate::Maturity::Feasible);
}

fn iis(rows: &str) -> (Recent, Option<Found>) {
    let path = "/inetpub/logs/u_ex.log";
    let log = Log {
        path: path.to_owned(),
        is_file: true,
        is_covered: false,
        records: Records::NOTHING,
        format: Some("iis".to_owned()),
    };
    let image = Image::default().with(path, rows);
    let (recent, _) = recent(&image, &log, std::slice::from_ref(&log)).unwrap();
    (recent, found::oldest(&image, &log))
}

#[test]
fn columns_are_named_by_lines_that_are_not_recent() {
    const FIELDS: &str = "\u{feff}#Software: IIS\n#Fields: date time c-ip c-port cs(User-Agent)\n";
    const ROW: &str = "2026-11-21 10:53:22 203.0.113.7 49152 #Fields:+date+time+c-ip\n";
    // The last of them is what is read, and has no header.
    let rows = FIELDS.to_owned() + &ROW.repeat(RECENT / ROW.len() + 9);
    let (recent, found) = iis(&rows);
    assert!(recent.lines > 4_000, "{recent:?}");
    assert_eq!((recent.sightings, recent.rejected), (recent.lines, 0));
    assert_eq!(recent.with_port, recent.sightings);
    assert!(found.is_some());
    // What a restart wrote in the middle counts: what was the port is now something else.
    let row = ROW.replace("203.0.113.7 49152", "49152 203.0.113.7");
    let later = "#Fields: date time x c-ip cs(User-Agent)\n".to_owned()
        + &row.repeat(RECENT / row.len() + 9);
    let (recent, _) = iis(&(rows + &later));
    assert_eq!((recent.sightings, recent.rejected), (recent.lines, 0));
    assert_eq!(recent.with_port, 0);
}

#[test]
fn a_file_of_several_formats_has_no_foreign_lines() {
    let of = |format: &str| Log {
        path: "/var/log/haproxy.log".to_owned(),
        is_file: true,
        is_covered: false,
        records: Records::NOTHING,
        format: Some(format.to_owned()),
    };
    let logs = [
        of("nginx:$remote_addr $remote_port [$time_iso8601] $status"),
        of("nginx:$msec $remote_addr"),
    ];
    let image = Image::default().with(
        "/var/log/haproxy.log",
        "203.0.113.7 49152 [2026-11-21T10:53:22+01:00] 200\n1795258402.123 203.0.113.8\n1795258403.123 203.0.113.8\njunk\n",
    );
    let counted = logs.each_ref().map(|log| {
        let (recent, _) = recent(&image, log, &logs).unwrap();
        (
            recent.lines,
            recent.sightings,
            recent.with_port,
            recent.rejected,
        )
    });
    assert_eq!(counted, [(2, 1, 1, 1), (3, 2, 0, 1)]);
}
