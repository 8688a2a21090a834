use super::*;
use crate::testing::{Image, fixed, survives, told};

const PATH: &str = "/etc/squid/squid.conf";

fn image(text: &str) -> Image {
    Image::default().with(PATH, text)
}

fn busy() -> Image {
    image("http_port 3128\nhttp_port 3129\nlogformat own %tl %>a \\\n  \"%ru\"\nacl few src 192.0.2.0/24\naccess_log daemon:/var/log/squid/own.log logformat=own few\naccess_log stdio:/var/log/squid/access.log combined\naccess_log udp://192.0.2.9:514 common all\naccess_log none few\ninclude /etc/squid/conf.d/*.conf\n")
        .with("/etc/squid/conf.d/debian.conf", "logfile_rotate 0 # rotated by logrotate\n")
}

#[test]
fn the_default_log_lacks_the_port() {
    let debian = image("http_port 3128\ninclude /etc/squid/conf.d/*.conf");
    let fixes = [Wish::InPlace, Wish::Parallel].map(|wish| fixed(&Squid, &debian, PATH, wish));
    insta::assert_snapshot!(format!(
        "{}\n{}",
        told(&Squid, &debian, PATH),
        fixes.join("\n")
    ));
}

#[test]
fn logs_add_up() {
    let fixes = [Wish::InPlace, Wish::Parallel].map(|wish| fixed(&Squid, &busy(), PATH, wish));
    insta::assert_snapshot!(format!(
        "{}\n{}",
        told(&Squid, &busy(), PATH),
        fixes.join("\n")
    ));
}

#[test]
fn a_header_names_no_port() {
    let image = image(
        "http_port 3128\nfollow_x_forwarded_for allow all\naccess_log /var/log/a.log squid\n",
    );
    insta::assert_snapshot!(format!(
        "{}\n{}",
        told(&Squid, &image, PATH),
        fixed(&Squid, &image, PATH, Wish::InPlace)
    ));
}

#[test]
fn every_built_in_format_is_renamed() {
    for (name, _) in BUILT_IN {
        let image = image(&format!("access_log /var/log/a.log {name}\n"));
        let fix = fixed(&Squid, &image, PATH, Wish::InPlace);
        assert!(fix.contains("a.log: address, port and time"), "{fix}");
    }
}

#[test]
fn whatever_stands_there() {
    survives(&Squid, &busy(), PATH);
    survives(&Squid, &image("http_port 3128\n"), PATH);
}
