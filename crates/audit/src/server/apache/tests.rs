use super::*;
use crate::testing::{Image, fixed, survives, told};

const MAIN: &str = r#"# Debian's, shortened
ServerRoot "/etc/apache2"
ErrorLog ${APACHE_LOG_DIR}/error.log
Include ports.conf
LogFormat "%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" vhost_combined
LogFormat "%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \
\"%{User-Agent}i\"" combined
LogFormat "%{Referer}i -> %U" referer
IncludeOptional conf-enabled/*.conf
IncludeOptional sites-enabled/*.conf
"#;

const PATH: &str = "/etc/apache2/apache2.conf";

fn debian() -> Image {
    Image::default()
        .with(PATH, MAIN)
        .with("/etc/apache2/envvars", "SUFFIX=\nexport APACHE_LOG_DIR=/var/log/apache2$SUFFIX\n")
        .with("/etc/apache2/ports.conf", "Listen 80\n<IfModule ssl_module>\n\tListen 443\n</IfModule>\n")
        .with(
            "/etc/apache2/conf-enabled/other-vhosts-access-log.conf",
            "CustomLog ${APACHE_LOG_DIR}/other_vhosts_access.log vhost_combined\n",
        )
        .with(
            "/etc/apache2/sites-enabled/000-default.conf",
            "<VirtualHost *:80>\n\tErrorLog ${APACHE_LOG_DIR}/error.log\n\tCustomLog ${APACHE_LOG_DIR}/access.log combined\n\tCustomLog ${APACHE_LOG_DIR}/referer.log referer\n</VirtualHost>\n",
        )
        .with(
            "/etc/apache2/sites-enabled/json.conf",
            "<VirtualHost *:80>\n  CustomLog logs/j.log \"{\\\"t\\\":\\\"%{msec}t\\\",\\\"a\\\":\\\"%a\\\"}\"\n  CustomLog logs/quiet.log '%t %a \"%U\"' env=!quiet\n</VirtualHost>\n",
        )
        .with(
            "/var/lib/dpkg/status",
            "Package: apache2\nStatus: install ok installed\nVersion: 2.4.71-1~deb12u1\n\n",
        )
}

#[test]
fn debian_s_default_lacks_the_port() {
    insta::assert_snapshot!(told(&Apache, &debian(), PATH));
}

#[test]
fn the_port_goes_into_the_formats_that_are_used() {
    insta::assert_snapshot!(fixed(&Apache, &debian(), PATH, Wish::InPlace));
}

#[test]
fn or_into_logs_of_their_own() {
    insta::assert_snapshot!(fixed(&Apache, &debian(), PATH, Wish::Parallel));
}

#[test]
fn two_hosts_of_the_same_name_do_not_cover_each_other() {
    let image = Image::default().with(
        "/etc/httpd/conf/httpd.conf",
        "ServerRoot /etc/httpd\nListen 80\n<VirtualHost *:80>\nCustomLog logs/a \"%h %t %{remote}p\"\n</VirtualHost>\n<VirtualHost *:80>\nCustomLog logs/b \"%h %t\"\n</VirtualHost>\n<VirtualHost *:80>\n</VirtualHost>\n",
    );
    insta::assert_snapshot!(told(&Apache, &image, "/etc/httpd/conf/httpd.conf"));
}

#[test]
fn formats_that_are_not_in_quotes_or_not_there() {
    let image = |line: &str| {
        let text = format!("ErrorLog logs/error_log\nListen 80\n{line}\n");
        Image::default().with("/etc/httpd/conf/httpd.conf", &text)
    };
    let lines = [
        "CustomLog logs/a",
        "CustomLog logs/a CLF",
        "TransferLog logs/a",
        "LogFormat \"%h %t\"\nTransferLog logs/a",
        "CustomLog logs/a %h%t",
        "CustomLog logs/a \"%{%F %T}t %h\"",
        "CustomLog \"|/usr/bin/rotatelogs logs/a 86400\" \"%{%F %T}t %h\"",
        "HostnameLookups On\nCustomLog logs/a \"%h %t\"",
        "",
    ];
    let all = lines.map(|line| {
        let fix = fixed(
            &Apache,
            &image(line),
            "/etc/httpd/conf/httpd.conf",
            Wish::InPlace,
        );
        format!("# {line}\n{fix}")
    });
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn behind_mod_remoteip_the_port_is_lost() {
    let image = debian().with(
        "/etc/apache2/conf-enabled/remoteip.conf",
        "RemoteIPHeader X-Forwarded-For\n",
    );
    insta::assert_snapshot!(format!(
        "{}\n{}",
        told(&Apache, &image, PATH),
        fixed(&Apache, &image, PATH, Wish::InPlace)
    ));
    let image = debian().with(
        "/etc/apache2/conf-enabled/remoteip.conf",
        "RemoteIPProxyProtocol On\n",
    );
    fixed(&Apache, &image, PATH, Wish::InPlace);
}

#[test]
fn the_server_s_own_list_of_files_is_what_counts() {
    let dump = format!(
        "Included configuration files:\n  (*) {PATH}\n    (4) /etc/apache2/ports.conf\n    (9) /etc/apache2/sites-enabled/json.conf\n"
    );
    let image = debian().printing(
        &format!("apachectl -t -D DUMP_INCLUDES -f {PATH}"),
        &dump,
        "",
    );
    let instance = Apache.look(&image, PATH).unwrap();
    assert_eq!(
        instance.config,
        [
            PATH,
            "/etc/apache2/ports.conf",
            "/etc/apache2/sites-enabled/json.conf"
        ]
    );
}

#[test]
fn whatever_stands_there() {
    survives(&Apache, &debian(), PATH);
}
