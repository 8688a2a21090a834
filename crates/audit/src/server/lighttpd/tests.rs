use super::*;
use crate::testing::{Image, fixed, survives, told};

const PATH: &str = "/etc/lighttpd/lighttpd.conf";

fn debian() -> Image {
    Image::default()
        .with(
            PATH,
            "server.modules = (\n\t\"mod_indexfile\", # first\n)\nserver.port = 80\nserver.errorlog = \"/var/log/lighttpd/error.log\"\ninclude_shell \"/usr/share/lighttpd/create-mime.conf.pl\"\ninclude_shell \"/usr/share/lighttpd/include-conf-enabled.pl\"\n",
        )
        .with(
            "/var/lib/dpkg/status",
            "Package: lighttpd\nStatus: install ok installed\nVersion: 1.4.69-1\n\n",
        )
}

fn with_log() -> Image {
    debian().with(
        "/etc/lighttpd/conf-enabled/10-accesslog.conf",
        "server.modules += ( \"mod_accesslog\" )\naccesslog.filename = \"/var/log/lighttpd/access.log\"\n$HTTP[\"host\"] == \"own.example.org\" {\n  accesslog.filename = \"/var/log/lighttpd/own.log\"\n  accesslog.format = \"%h %t \\\"%r\\\"\"\n}\nelse $HTTP[\"url\"] =~ \"^/x\" {\n  accesslog.filename = \"/var/log/lighttpd/x.log\"\n}\n",
    )
}

#[test]
fn debian_logs_nothing() {
    insta::assert_snapshot!(format!(
        "{}\n{}",
        told(&Lighttpd, &debian(), PATH),
        fixed(&Lighttpd, &debian(), PATH, Wish::InPlace)
    ));
}

#[test]
fn every_condition_has_its_log() {
    let fixes =
        [Wish::InPlace, Wish::Parallel].map(|wish| fixed(&Lighttpd, &with_log(), PATH, wish));
    insta::assert_snapshot!(format!(
        "{}\n{}",
        told(&Lighttpd, &with_log(), PATH),
        fixes.join("\n")
    ));
}

#[test]
fn what_cannot_be_followed_is_said() {
    let main = "server.modules += ( \"mod_accesslog\" )\nvar.a = \"/var/log\"\naccesslog.filename = var.a + \"/a.log\"\naccesslog.format = \"%h \" + \"%t\"\nextforward.forwarder = ( \"all\" => \"trust\" )\ninclude_shell \"cat logs\"\ninclude \"gone\"\n";
    let image = Image::default().with(PATH, main);
    insta::assert_snapshot!(format!(
        "{}\n{}",
        told(&Lighttpd, &image, PATH),
        fixed(&Lighttpd, &image, PATH, Wish::InPlace)
    ));
    let image = Image::default().with(PATH, &main.replace("extforward.forwarder", "x.y"));
    insta::assert_snapshot!(fixed(&Lighttpd, &image, PATH, Wish::InPlace));
}

#[test]
fn whatever_stands_there() {
    survives(&Lighttpd, &with_log(), PATH);
    survives(&Lighttpd, &debian(), PATH);
}
