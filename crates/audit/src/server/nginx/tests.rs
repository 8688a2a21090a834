use super::*;
use crate::{audit, testing::Image};

const DEBIAN: &str = r#"user www-data;
http {
	access_log /var/log/nginx/access.log;
	include /etc/nginx/conf.d/*.conf;
	include sites-enabled/*;
}
"#;

fn debian() -> Image {
    Image::default()
        .with("/etc/nginx/nginx.conf", DEBIAN)
        .with(
            "/etc/nginx/sites-enabled/default",
            "server {\n\tlisten 80;\n\tlocation /own { access_log logs/own.log 'combined' buffer=32k; }\n}\n",
        )
        .with(
            "/etc/nginx/sites-enabled/json",
            "log_format exact escape=json '{\"at\":$msec,\"client\":\"$remote_addr\"}';\nserver { server_name j; access_log \"/var/log/nginx/j.log\" exact; }\n",
        )
        .with(
            "/var/lib/dpkg/status",
            "Package: nginx-light\nStatus: install ok installed\nVersion: 1.22.1-9+deb12u3\n\n",
        )
        .with(
            "/var/log/nginx/access.log",
            "203.0.113.7 - - [21/Nov/2026:10:53:22 +0100] \"GET / HTTP/1.1\" 200 612 \"-\" \"x\"\n",
        )
}

fn audited(image: &Image) -> String {
    match audit(image, &Nginx, "/etc/nginx/nginx.conf") {
        Ok(audited) => serde_json::to_string_pretty(&audited).unwrap(),
        Err(error) => error.to_string(),
    }
}

fn changed(image: &Image, wish: Wish) -> String {
    match crate::fix(&Nginx, image, "/etc/nginx/nginx.conf", wish) {
        Ok(change) => {
            let after = Nginx
                .look(&image.after(&change), "/etc/nginx/nginx.conf")
                .unwrap();
            let ports: Vec<String> = after
                .logs
                .iter()
                .map(|log| {
                    let is_told = log.records.are_enough() || log.is_covered;
                    format!("{}: {is_told}", log.path)
                })
                .collect();
            format!("{}\n{}", change.diff(), ports.join("\n"))
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn debian_s_default_lacks_the_port() {
    insta::assert_snapshot!(audited(&debian()));
}

#[test]
fn the_port_goes_into_every_log() {
    insta::assert_snapshot!(changed(&debian(), Wish::InPlace));
}

#[test]
fn or_into_logs_of_their_own() {
    insta::assert_snapshot!(changed(&debian(), Wish::Parallel));
}

#[test]
fn a_log_that_nobody_configured_is_named() {
    let image = Image::default().with(
        "/etc/nginx/nginx.conf",
        "http {\n    server { listen 80; }\n}\n",
    );
    insta::assert_snapshot!(changed(&image, Wish::InPlace));
}

#[test]
fn behind_a_proxy_the_client_s_port_is_taken() {
    let image = Image::default().with(
        "/etc/nginx/nginx.conf",
        "http {\n    access_log /var/log/a.log;\n    set_real_ip_from 0.0.0.0/0;\n    server { listen 80 proxy_protocol; }\n}\n",
    );
    insta::assert_snapshot!(format!(
        "{}\n{}",
        changed(&image, Wish::InPlace),
        audited(&image)
    ));
}

#[test]
fn a_second_change_changes_nothing() {
    let image = debian();
    let change = crate::fix(&Nginx, &image, "/etc/nginx/nginx.conf", Wish::InPlace).unwrap();
    let again = crate::fix(
        &Nginx,
        &image.after(&change),
        "/etc/nginx/nginx.conf",
        Wish::InPlace,
    );
    assert_eq!(again.unwrap().edits, []);
}

#[test]
fn the_server_s_own_dump_is_what_counts() {
    let dump = "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n# configuration file /etc/nginx/nginx.conf:\nhttp {\n access_log /var/log/dumped.log;\n}\n\n";
    let image = debian().printing("nginx -T -c /etc/nginx/nginx.conf", dump, "");
    let instance = Nginx.look(&image, "/etc/nginx/nginx.conf").unwrap();
    let paths: Vec<&str> = instance.logs.iter().map(|log| log.path.as_str()).collect();
    assert_eq!(paths, ["/var/log/dumped.log"]);
}

#[test]
fn whatever_stands_there() {
    crate::testing::survives(&Nginx, &debian(), "/etc/nginx/nginx.conf");
}
