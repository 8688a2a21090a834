use super::*;
use crate::testing::{Image, fixed, survives, told};

const PATH: &str = "/etc/haproxy/haproxy.cfg";

const DEBIAN: &str = "global\n\tlog /dev/log\tlocal0\n\tlog /dev/log\tlocal1 notice\n\ndefaults\n\tlog\tglobal\n\tmode\thttp\n\toption\thttplog\n\toption\tdontlognull\n\nfrontend web # the web\n\tbind :80\n\tbind [::]:443 ssl crt x.pem\n\tdefault_backend app\n\nfrontend captured\n\tbind :80\n\tcapture request header Host len 64\n\thttp-response capture res.hdr(Server) len 10\n\nfrontend tcp\n\tmode tcp\n\tbind 192.0.2.1:25,192.0.2.2:25\n\toption tcplog\n\nbackend app\n\tserver s1 192.0.2.80:80 check\n\tserver s2 192.0.2.81:80 send-proxy-v2\n";

fn image(text: &str) -> Image {
    Image::default()
        .with(PATH, text)
        .with(
            "/etc/rsyslog.conf",
            "#$ActionFileDefaultTemplate RSYSLOG_TraditionalFileFormat\n",
        )
        .with(
            "/etc/rsyslog.d/49-haproxy.conf",
            ":programname, startswith, \"haproxy\" {\n  /var/log/haproxy.log\n  stop\n}\n",
        )
}

#[test]
fn debian_s_default_has_the_port_and_local_time() {
    let image = image(DEBIAN);
    let fixes = [Wish::InPlace, Wish::Parallel].map(|wish| fixed(&HaProxy, &image, PATH, wish));
    insta::assert_snapshot!(format!(
        "{}\n{}",
        told(&HaProxy, &image, PATH),
        fixes.join("\n")
    ));
}

#[test]
fn own_formats_get_what_they_lack() {
    let image = image(
        "global\n  log 192.0.2.9:514 local0\ndefaults a\n  mode http\n  log-format \"%ci %tr %ST\"\n  log global\ndefaults b from a\n  log-format %si\\ [%t]\nfrontend one from b\n  bind :80\nfrontend two from a\n  bind :81\n  http-request set-src hdr(x-forwarded-for)\nfrontend three from a\n  bind :81\n  no log\nlisten four\n  bind :83\n  option httplog clf\n",
    );
    insta::assert_snapshot!(told(&HaProxy, &image, PATH));
    insta::assert_snapshot!(fixed(&HaProxy, &image, PATH, Wish::InPlace));
    let mut text = String::from_utf8(Machine::read(&image, PATH).unwrap()).unwrap();
    text = text.replace("  http-request set-src hdr(x-forwarded-for)\n", "");
    let image = image.with(PATH, &text);
    insta::assert_snapshot!(fixed(&HaProxy, &image, PATH, Wish::InPlace));
}

#[test]
fn without_any_log_one_is_named() {
    let image = image("frontend bare\n  bind :80\n");
    insta::assert_snapshot!(format!(
        "{}\n{}",
        told(&HaProxy, &image, PATH),
        fixed(&HaProxy, &image, PATH, Wish::Parallel)
    ));
}

/// HAProxy 2.6.12 wrote these words in New York by the formats of the change.
#[test]
fn what_haproxy_writes_after_the_change_is_certain() {
    let lines = [
        "2026-11-29T13:54:58.800000-05:00 lb haproxy[21186]: 203.0.113.7:40400 [29/Nov/2026:13:54:58.725] web web/<NOSRV> 0/-1/-1/-1/0 200 49 - - LR-- 1/1/0/0/0 0/0 \"GET /x HTTP/1.1\" [29/Nov/2026:18:54:58 +0000]",
        "2026-11-29T13:54:58.800000-05:00 lb haproxy[21186]: 203.0.113.7:40401 [29/Nov/2026:13:54:58.742] webs webs/<NOSRV> 0/-1/-1/-1/0 200 49 - - LR-- 1/1/0/0/0 0/0 \"GET /x HTTP/1.1\" 0/-/-/-/0 -/-/- [29/Nov/2026:18:54:58 +0000]",
        "2026-11-29T13:54:58.800000-05:00 lb haproxy[21186]: 203.0.113.7:40402 [29/Nov/2026:13:54:58.762] tcp b/s 1/0/2 38 -- 1/1/0/0/0 0/0 [29/Nov/2026:18:54:58 +0000]",
    ];
    let image = image("frontend web\n  bind :80\n");
    let sections = Sections::read(&image, PATH).unwrap();
    let frontends = sections.frontends();
    let mut read = String::new();
    for (line, format) in lines.iter().zip([change::HTTP, change::HTTPS, change::TCP]) {
        let format = Format::parse(&format!(
            "haproxy:{}",
            change::with_captures(format, &frontends[0])
        ))
        .unwrap();
        let options = portledger_servers::Options::new("haproxy.log");
        let mut reader = portledger_servers::Reader::new(format, options);
        match reader.line(line.as_bytes(), 1) {
            portledger_servers::Reading::Sighting(sighting) => {
                let (address, port) = (sighting.address, sighting.port.unwrap());
                let at = sighting.at.unwrap();
                let (moment, step) = (sighting.moment, sighting.resolution);
                read += &format!("{address} {port} {at} {moment:?} {step:?}\n");
            }
            other => panic!("{other:?}"),
        }
    }
    insta::assert_snapshot!(read);
}

#[test]
fn whatever_stands_there() {
    survives(&HaProxy, &image(DEBIAN), PATH);
}
