use proptest::prelude::*;

use super::*;
use crate::testing::Image;

const DEBIAN: &str = "module(load=\"imuxsock\")\n$IncludeConfig /etc/rsyslog.d/*.conf\n*.*;auth,authpriv.none\t-/var/log/syslog\nauth,authpriv.*\t\t/var/log/auth.log\nmail.*\t\t-/var/log/mail.log\n*.emerg :omusrmsg:*\n";

fn route(conf: &str, facility: &str) -> Route {
    let image = Image::default().with("/etc/rsyslog.conf", conf);
    Syslog::read(&image).route(facility, "info")
}

#[test]
fn the_most_specific_file_is_named() {
    assert_eq!(route(DEBIAN, "mail").path, "/var/log/mail.log");
    assert_eq!(route(DEBIAN, "AUTH").path, "/var/log/auth.log");
    assert_eq!(route(DEBIAN, "local4").path, "/var/log/syslog");
    assert_eq!(route(DEBIAN, "mail").zone, WrittenZone::Offset);
    let only_errors = "mail.err /var/log/mail.err\nauth.* /var/log/auth.log\n";
    let nowhere = route(only_errors, "mail");
    assert_eq!(
        (nowhere.path.as_str(), nowhere.findings.len()),
        ("journal", 1)
    );
    let excluded = "*.*;mail.none /var/log/messages\n";
    assert_eq!(route(excluded, "mail").path, "journal");
    let script = "mail.info action(type=\"omfile\" file=\"/var/log/m\" template=\"RSYSLOG_TraditionalFileFormat\")\n";
    let found = route(script, "mail");
    assert_eq!(
        (found.path.as_str(), found.zone),
        ("/var/log/m", WrittenZone::Local)
    );
    assert_eq!(
        Syslog::read(&Image::default()).route("mail", "info").path,
        "journal"
    );
}

#[test]
fn traditional_times_are_found_and_corrected() {
    for conf in [
        "$ActionFileDefaultTemplate RSYSLOG_TraditionalFileFormat\nmail.* /var/log/mail.log\n",
        "mail.* /var/log/mail.log;RSYSLOG_TraditionalFileFormat\n",
        "module(load=\"builtin:omfile\" Template=\"RSYSLOG_TraditionalFileFormat\")\nmail.* /var/log/mail.log\n",
    ] {
        let image = Image::default().with("/etc/rsyslog.conf", conf);
        let syslog = Syslog::read(&image);
        let route = syslog.route("mail", "info");
        assert_eq!(route.zone, WrittenZone::Local, "{conf}");
        assert_eq!(route.findings[0].rule, Rule::NoYear);
        let mut edits = Edits::default();
        syslog.correct(&route, &mut edits);
        let edits = edits.finish().unwrap();
        let expected = conf.replace("Traditional", "");
        assert_eq!(edits[0].after, expected);
        let image = image.with("/etc/rsyslog.conf", &expected);
        assert_eq!(
            Syslog::read(&image).route("mail", "info").zone,
            WrittenZone::Offset
        );
    }
    let own = "$template T,\"%timereported:::date-rfc3339% %msg%\\n\"\nmail.* /m;T\n";
    assert_eq!(route(own, "mail").zone, WrittenZone::Offset);
    assert_eq!(route("mail.* /m;T\n", "mail").zone, WrittenZone::Missing);
}

#[test]
fn syslog_ng_s_plain_routes_are_followed() {
    let conf = "@version: 3.38\noptions { ts-format(iso); };\nsource s_src { system(); };\n# destination\ndestination d_mail { file(\"/var/log/mail.log\"); };\nfilter f_mail { facility(mail) and not filter(f_debug); };\nlog { source(s_src); filter(f_mail); destination(d_mail); };\n";
    let image = Image::default().with("/etc/syslog-ng/syslog-ng.conf", conf);
    let route = Syslog::read(&image).route("mail", "info");
    assert_eq!(
        (route.path.as_str(), route.zone),
        ("/var/log/mail.log", WrittenZone::Offset)
    );
    let image = Image::default().with(
        "/etc/syslog-ng/syslog-ng.conf",
        &conf.replace("ts-format(iso)", ""),
    );
    let route = Syslog::read(&image).route("mail", "info");
    assert_eq!(route.zone, WrittenZone::Local);
    assert_eq!(Syslog::read(&image).route("auth", "info").path, "journal");
}

proptest! {
    #[test]
    fn any_configuration_has_a_route(words in prop::collection::vec(prop::sample::select(vec!["mail.*", ".", ";", "/var/log/m", " ", "\n", "$template T,", "action(", "file=\"", "\"", "template=\"", "{", "}", "filter", "f_mail", "facility(mail", ")", "destination", "log", "$ActionFileDefaultTemplate", "ä", "\\", "include(file=\"/etc/rsyslog.conf\")", "!", "=info"]), 0..60)) {
        let text = words.concat();
        route(&text, "mail");
        let image = Image::default().with("/etc/syslog-ng/syslog-ng.conf", &text);
        Syslog::read(&image).route("mail", "info");
    }
}
