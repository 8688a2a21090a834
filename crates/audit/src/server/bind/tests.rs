use super::*;
use crate::testing::{Image, law_of_fixes, never_panics};

const PATH: &str = "/etc/bind/named.conf";
const OPTIONS: &str = "/etc/bind/named.conf.options";

fn image(options: &str, more: &str) -> Image {
    Image::default()
        .with(
            PATH,
            &format!("// Debian's\ninclude \"{OPTIONS}\";\n{more}"),
        )
        .with(OPTIONS, options)
        .with(
            "/etc/rsyslog.conf",
            "*.*;auth,authpriv.none -/var/log/syslog\n",
        )
}

#[test]
fn queries_are_logged_by_a_word_in_the_options() {
    let image = image(
        "options {\n\tdirectory \"/var/cache/bind\"; # querylog yes;\n\tlisten-on-v6 { any; };\n};\n",
        "",
    );
    let instance = Bind.look(&image, PATH).unwrap();
    assert_eq!(instance.logs[0].path, "/var/log/syslog");
    assert!(!instance.logs[0].records.source_address);
    insta::assert_snapshot!(law_of_fixes(&Bind, &image, PATH, true));
}

#[test]
fn a_channel_s_times_become_exact() {
    let image = image(
        "options { querylog no; listen-on port 53 { any; }; listen-on port 5353 { any; }; };\n",
        "/* logs */ logging {\n\tchannel a { file \"query.log\" versions 3; severity info; };\n\tchannel b { file \"/var/log/b.log\"; print-time yes; };\n\tcategory queries { a; b; default_debug; };\n};\n",
    );
    let instance = Bind.look(&image, PATH).unwrap();
    let paths: Vec<&str> = instance.logs.iter().map(|log| log.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/var/cache/bind/query.log",
            "/var/log/b.log",
            "default_debug"
        ]
    );
    assert_eq!(instance.findings[0].rule, Rule::NoDestinationPort);
    insta::assert_snapshot!(law_of_fixes(&Bind, &image, PATH, true));
}

#[test]
fn without_options_they_are_added() {
    insta::assert_snapshot!(law_of_fixes(&Bind, &image("", ""), PATH, true));
}

#[test]
fn what_is_thrown_away_is_left_to_a_person() {
    let image = image("", "logging { category queries { null; }; };\n");
    assert!(matches!(
        crate::fix(&Bind, &image, PATH, Wish::InPlace),
        Err(FixError::ByHand { .. })
    ));
}

#[test]
fn naming_the_category_is_enough() {
    let logging = "logging { channel q { file \"/q\"; print-time iso8601-utc; }; category queries { q; }; };\n";
    assert_eq!(law_of_fixes(&Bind, &image("", logging), PATH, true), "");
}

#[test]
fn proxies_are_named() {
    let image = image("options { allow-proxy { any; }; };\n", "");
    let instance = Bind.look(&image, PATH).unwrap();
    let mut findings = instance.findings.iter();
    let finding = findings.find(|it| it.rule == Rule::UntrustedProxy).unwrap();
    assert_eq!(
        finding.place.as_ref().unwrap().to_string(),
        format!("{OPTIONS}:1")
    );
}

#[test]
fn rndc_may_have_switched_it() {
    let image = image("", "").printing("rndc status", "query logging is ON\n", "");
    let instance = Bind.look(&image, PATH).unwrap();
    assert_eq!(instance.findings.last().unwrap().rule, Rule::LinesDiffer);
}

#[test]
fn no_text_stops_it() {
    never_panics(
        &Bind,
        &[PATH, OPTIONS],
        &[
            "options",
            "logging",
            "channel a",
            "category queries",
            "file \"x\"",
            "print-time",
            "querylog",
            "include \"/etc/bind/named.conf.options\";",
            "/*",
            "*/",
            "//",
            "listen-on port",
            "null;",
        ],
    );
}
