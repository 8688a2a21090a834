use super::*;
use crate::testing::{Image, law_of_fixes, never_panics};

const DEBIAN_CONF: &str = "/etc/exim4/update-exim4.conf.conf";
const SELECTOR: &str = ".ifdef MAIN_LOG_SELECTOR\nlog_selector = MAIN_LOG_SELECTOR\n.endif\n";
const DEFAULT: &str =
    ".ifndef MAIN_LOG_SELECTOR\nMAIN_LOG_SELECTOR = +smtp_protocol_error +tls_peerdn\n.endif\n";

fn debian(split: &str) -> Image {
    Image::default()
        .with(
            DEBIAN_CONF,
            &format!("dc_eximconfig_configtype='internet'\ndc_use_split_config='{split}'\n"),
        )
        .with(
            "/etc/exim4/exim4.conf.template",
            &format!("{DEFAULT}{SELECTOR}begin acl\nlog_selector = +all\n"),
        )
        .with(
            "/etc/exim4/conf.d/main/01_exim4-config_listmacrosdefs",
            DEFAULT,
        )
        .with(
            "/etc/exim4/conf.d/main/90_exim4-config_log_selector",
            SELECTOR,
        )
}

#[test]
fn debian_s_list_is_replaced_in_the_local_macros() {
    let instance = Exim.look(&debian("false"), DEBIAN_CONF).unwrap();
    assert_eq!(instance.logs[0].path, "/var/log/exim4/mainlog");
    assert!(!instance.logs[0].records.source_port && !instance.logs[0].records.time_utc);
    insta::assert_snapshot!(law_of_fixes(&Exim, &debian("false"), DEBIAN_CONF, true));
}

#[test]
fn split_files_have_local_macros_elsewhere() {
    insta::assert_snapshot!(law_of_fixes(&Exim, &debian("true"), DEBIAN_CONF, true));
}

#[test]
fn local_macros_that_are_there_are_added_to() {
    let image = debian("false").with(
        "/etc/exim4/exim4.conf.localmacros",
        "MAIN_LOG_SELECTOR = +incoming_port\nlog_timezone = false",
    );
    let instance = Exim.look(&image, DEBIAN_CONF).unwrap();
    assert_eq!(instance.findings[0].rule, Rule::Incomplete);
    insta::assert_snapshot!(law_of_fixes(&Exim, &image, DEBIAN_CONF, true));
}

#[test]
fn one_file_is_changed_in_its_main_section() {
    let path = "/etc/exim/exim.conf";
    let image = Image::default().with(path, "primary_hostname = mail.example.org\nlog_selector = +all \\\n  -incoming_port\nno_log_timezone\nlog_file_path = syslog : /var/log/exim/%slog\ndaemon_smtp_ports = 25 : 587\n\n# ACLs\nbegin acl\nx:\n");
    let instance = Exim.look(&image, path).unwrap();
    let paths: Vec<&str> = instance.logs.iter().map(|log| log.path.as_str()).collect();
    assert_eq!(paths, ["journal", "/var/log/exim/mainlog"]);
    insta::assert_snapshot!(law_of_fixes(&Exim, &image, path, true));
    let nothing = Image::default().with(path, "begin acl\n");
    insta::assert_snapshot!(law_of_fixes(&Exim, &nothing, path, true));
}

#[test]
fn where_one_file_counts_debian_s_pieces_do_not() {
    let image = debian("false").with("/etc/exim4/exim4.conf", "begin acl\n");
    let instance = Exim.look(&image, DEBIAN_CONF).unwrap();
    assert_eq!(instance.findings[0].rule, Rule::Remark);
    let error = crate::fix(&Exim, &image, DEBIAN_CONF, Wish::InPlace).unwrap_err();
    assert!(error.to_string().contains("/etc/exim4/exim4.conf"));
}

#[test]
fn what_exim_says_counts() {
    let image = debian("false").printing(
        "exim4 -bP log_selector log_timezone log_file_path",
        "log_selector = +incoming_port\nlog_timezone\nlog_file_path = /x/%slog\n",
        "",
    );
    let instance = Exim.look(&image, DEBIAN_CONF).unwrap();
    assert!(instance.logs[0].records.are_enough());
    assert_eq!(instance.logs[0].path, "/x/mainlog");
}

#[test]
fn no_text_stops_it() {
    let words = [
        "log_selector",
        "MAIN_LOG_SELECTOR",
        "+incoming_port",
        "begin ",
        ".ifdef ",
        ".else",
        ".endif",
        "log_timezone",
        "log_file_path",
        "A = A A",
        "A == A A",
        "dc_use_split_config=true",
    ];
    never_panics(&Exim, &["/etc/exim/exim.conf"], &words);
    never_panics(
        &Exim,
        &[
            DEBIAN_CONF,
            "/etc/exim4/exim4.conf.template",
            "/etc/exim4/conf.d/main/000_localmacros",
        ],
        &words,
    );
}
