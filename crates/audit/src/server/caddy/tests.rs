use super::*;
use crate::testing::{Image, fixed, survives, told};

const PATH: &str = "/etc/caddy/Caddyfile";

const MAIN: &str = "{\n\temail me@example.org\n}\n\n(logged) {\n\tlog {\n\t\toutput file /var/log/caddy/b.log\n\t\tformat json\n\t}\n}\n\na.example.org,\nwww.example.org {\n\troot * /srv # here {\n\thandle /x {\n\t\trespond \"}\"\n\t}\n}\n\nb.example.org {\n\timport logged\n\tlog_skip /health\n}\nimport sites/*\n";

fn image() -> Image {
    Image::default()
        .with(PATH, MAIN)
        .with(
            "/etc/caddy/sites/c",
            ":8080 {\n\tlog\n\timport /etc/caddy/common\n}\n",
        )
        .with("/etc/caddy/common", "file_server\n")
}

#[test]
fn nothing_is_logged_until_a_site_says_so() {
    insta::assert_snapshot!(format!(
        "{}\n{}",
        told(&Caddy, &image(), PATH),
        fixed(&Caddy, &image(), PATH, Wish::InPlace)
    ));
}

#[test]
fn a_file_may_be_one_site() {
    let image = Image::default().with(PATH, "example.org\n\nrespond hello");
    insta::assert_snapshot!(format!(
        "{}\n{}",
        told(&Caddy, &image, PATH),
        fixed(&Caddy, &image, PATH, Wish::Parallel)
    ));
}

#[test]
fn what_leaves_the_port_out() {
    let formats = [
        "filter {\n wrap json\n fields {\n request>remote_port delete\n }\n }",
        "filter {\n request>remote_ip ip_mask {\n ipv4 16\n }\n }",
        "console",
        "json {\n time_format wall\n }",
        "transform \"{request>remote_ip}\"",
    ];
    let all = formats.map(|format| {
        let text = format!(":80 {{\n log {{\n output stdout\n format {format}\n }}\n}}\n");
        let image = Image::default().with(PATH, &text);
        format!(
            "# {format}\n{}{}\n",
            told(&Caddy, &image, PATH),
            fixed(&Caddy, &image, PATH, Wish::InPlace)
        )
    });
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn behind_a_proxy() {
    let text = "{\n servers {\n  trusted_proxies static 192.0.2.9\n }\n}\n:80 {\n log\n}\n";
    let image = Image::default().with(PATH, text);
    insta::assert_snapshot!(format!(
        "{}\n{}",
        told(&Caddy, &image, PATH),
        fixed(&Caddy, &image, PATH, Wish::InPlace)
    ));
    let text = text.replace(
        "trusted",
        "listener_wrappers {\n proxy_protocol\n tls\n }\n trusted",
    );
    let image = Image::default().with(PATH, &text);
    assert_eq!(
        fixed(&Caddy, &image, PATH, Wish::InPlace),
        "\nstderr: address, port and time\n"
    );
}

#[test]
fn whatever_stands_there() {
    survives(&Caddy, &image(), PATH);
    let image = Image::default().with(PATH, "example.org\n\nrespond hello");
    survives(&Caddy, &image, PATH);
}

#[test]
fn an_address_that_a_comma_leaves_open_is_no_site() {
    let image = Image::default().with(PATH, "a.example.org,\n");
    let error = crate::fix(&Caddy, &image, PATH, Wish::InPlace).unwrap_err();
    assert!(error.to_string().contains("comma"), "{error}");
}

#[test]
fn the_log_is_where_the_others_are() {
    let own = |conf: &str| {
        let image = Image::default().with(PATH, conf);
        let change = crate::fix(&Caddy, &image, PATH, Wish::InPlace).unwrap();
        let after = Caddy.look(&image.after(&change), PATH).unwrap();
        after.logs.last().unwrap().path.clone()
    };
    let site = "b.example.org {\n\trespond ok\n}\n";
    let other = "a.example.org {\n\tlog {\n\t\toutput file /srv/logs/a.log\n\t}\n}\n";
    assert_eq!(own(&format!("{other}{site}")), "/srv/logs/access.log");
    let of_caddy = "{\n\tlog {\n\t\toutput file /opt/caddy/caddy.log\n\t}\n}\n";
    assert_eq!(own(&format!("{of_caddy}{site}")), "/opt/caddy/access.log");
    assert_eq!(own(site), "/var/log/caddy/access.log");
}
