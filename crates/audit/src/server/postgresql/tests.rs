use super::*;
use crate::testing::{Image, law_of_fixes, never_panics};

const PATH: &str = "/etc/postgresql/15/main/postgresql.conf";
const AUTO: &str = "/var/lib/postgresql/15/main/postgresql.auto.conf";
const DEBIAN: &str = "data_directory = '/var/lib/postgresql/15/main'\t\t# elsewhere\n#log_connections = off\nlog_line_prefix = '%m [%p] %q%u@%d '\t# special\nlog_timezone = 'Europe/Berlin'\ninclude_dir = 'conf.d'\n";

fn image(conf: &str) -> Image {
    Image::default().with(PATH, conf)
}

#[test]
fn debian_s_log_has_not_even_the_address() {
    let instance = Postgresql.look(&image(DEBIAN), PATH).unwrap();
    let log = &instance.logs[0];
    assert_eq!(log.path, "/var/log/postgresql/postgresql-15-main.log");
    assert!(!log.records.source_address && !log.records.source_port && !log.records.time_utc);
    insta::assert_snapshot!(law_of_fixes(&Postgresql, &image(DEBIAN), PATH, true));
}

#[test]
fn what_is_included_is_changed_where_it_stands() {
    let image = image(DEBIAN).with("/etc/postgresql/15/main/conf.d/log.conf", "Log_Connections=false # no\nlog_hostname on\nlog_line_prefix='%p '\nlog_min_messages = 'PANIC'");
    insta::assert_snapshot!(law_of_fixes(&Postgresql, &image, PATH, true));
}

#[test]
fn what_alter_system_set_is_a_person_s_to_change() {
    let image = image(DEBIAN).with(AUTO, "log_connections = 'off'\n");
    let error = crate::fix(&Postgresql, &image, PATH, Wish::InPlace).unwrap_err();
    insta::assert_snapshot!(error.to_string());
    let on = image.with(
        AUTO,
        "log_connections = 'receipt,setup_durations'\nlog_timezone = 'UTC'\n",
    );
    assert_eq!(law_of_fixes(&Postgresql, &on, PATH, true), "");
}

#[test]
fn tables_have_the_port_in_every_line() {
    let image = image("log_destination = 'csvlog, jsonlog,syslog'\nlogging_collector = on\nlog_filename = 'pg.log'\nlog_timezone = GMT\n")
        .with("/etc/rsyslog.conf", "local0.* /var/log/pg;RSYSLOG_TraditionalFileFormat\n");
    let instance = Postgresql.look(&image, PATH).unwrap();
    let logs: Vec<_> = instance
        .logs
        .iter()
        .map(|log| (log.path.as_str(), log.records.are_enough()))
        .collect();
    assert_eq!(
        logs,
        [
            ("/etc/postgresql/15/main/log/pg.csv", true),
            ("/etc/postgresql/15/main/log/pg.json", true),
            ("/var/log/pg", false)
        ]
    );
    insta::assert_snapshot!(law_of_fixes(&Postgresql, &image, PATH, true));
}

#[test]
fn no_text_stops_it() {
    never_panics(
        &Postgresql,
        &[PATH, "/etc/postgresql/15/main/postgresql.auto.conf"],
        &[
            "log_connections",
            "log_line_prefix",
            "include_dir",
            "include",
            "'%m ",
            "log_destination",
            "csvlog",
            "syslog",
            "log_hostname",
            "log_timezone",
            "''",
        ],
    );
}
