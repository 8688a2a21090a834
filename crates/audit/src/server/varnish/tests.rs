use super::*;
use crate::testing::{Image, fixed, survives, told};

const PATH: &str = "/lib/systemd/system/varnishncsa.service";

const UNIT: &str = "[Unit]\nDescription=Varnish Cache HTTP accelerator NCSA logging daemon\n\n[Service]\nType=forking\n# as Debian has it\nExecStart=/usr/bin/varnishncsa -a -w /var/log/varnish/varnishncsa.log -D \\\n  -P /run/varnishncsa/varnishncsa.pid\nExecReload=/bin/kill -HUP $MAINPID\n";

fn debian() -> Image {
    Image::default().with(PATH, UNIT).with(
        "/var/log/varnish/varnishncsa.log",
        "203.0.113.7 - - [21/Nov/2026:10:53:22 +0100] \"GET http://x/ HTTP/1.1\" 200 612 \"-\" \"x\"\n",
    )
}

fn overridden() -> Image {
    debian().with(
        "/etc/systemd/system/varnishncsa.service.d/z.conf",
        "[Service]\nExecStart=\nExecStart=/usr/bin/varnishncsa -b -q 'RespStatus >= 400' -F '%%h %%t %%{X-Forwarded-For}i' -w /var/log/own.log\n",
    )
}

#[test]
fn the_unit_stays_and_is_overridden() {
    let fixes = [Wish::InPlace, Wish::Parallel].map(|wish| fixed(&Varnish, &debian(), PATH, wish));
    insta::assert_snapshot!(format!(
        "{}\n{}",
        told(&Varnish, &debian(), PATH),
        fixes.join("\n")
    ));
}

#[test]
fn what_overrides_it_counts() {
    let frontend = Image::default().with(PATH, UNIT).with(
        "/etc/systemd/system/varnishncsa.service.d/z.conf",
        "[Service]\nExecStart=\nExecStart=/usr/bin/varnishncsa -F '%%h %%t \"%%r\"' -D\n",
    );
    insta::assert_snapshot!(format!(
        "{}\n{}\n{}",
        told(&Varnish, &overridden(), PATH),
        fixed(&Varnish, &overridden(), PATH, Wish::InPlace),
        fixed(&Varnish, &frontend, PATH, Wish::InPlace)
    ));
}

#[test]
fn a_unit_elsewhere_is_overridden_beside() {
    let path = "/opt/units/varnishncsa.service";
    let image = Image::default().with(path, UNIT);
    let change = crate::fix(&Varnish, &image, path, Wish::InPlace).unwrap();
    assert_eq!(
        change.edits[0].path,
        "/opt/units/varnishncsa.service.d/portledger.conf"
    );
    let after = Varnish.look(&image.after(&change), path).unwrap();
    assert!(after.logs[0].records.are_enough());
}

#[test]
fn whatever_stands_there() {
    survives(&Varnish, &debian(), PATH);
    survives(&Varnish, &overridden(), PATH);
}
