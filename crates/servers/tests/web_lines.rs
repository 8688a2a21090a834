//! Lines that Tomcat 10.1, Squid 5.7, HAProxy 2.6, lighttpd 1.4.69, Caddy 2.6.2 and Varnish 7.1
//! wrote, to clients whose source ports were chosen, whose requests tried to pass for other
//! endpoints, and whose connections were timed by the same clock; and lines composed after the
//! documentation of servers that were not run.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{collections::HashMap, net::IpAddr, time::Duration};

use jiff::tz::TimeZone;
use portledger_model::{Moment, Sighting, Timestamp};
use portledger_servers::{Counts, Format, Header, Options, Reader, Reading, guess};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("fixtures/", $name)).as_slice()
    };
}

struct Read {
    sightings: Vec<Sighting>,
    text: String,
    counts: Counts,
}

impl Read {
    fn ports(&self) -> Vec<Option<u16>> {
        self.sightings
            .iter()
            .map(|sighting| sighting.port)
            .collect()
    }
}

/// The zone that the servers ran in.
fn zone() -> Option<TimeZone> {
    TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").ok()
}

fn read_with(format: &str, log: &[u8], set: impl FnOnce(&mut Options)) -> Read {
    let mut options = Options::new("x.log");
    options.zone = zone();
    options.reference = Some("2026-11-30T00:00:00Z".parse().unwrap());
    set(&mut options);
    let mut reader = Reader::new(Format::parse(format).unwrap(), options);
    let (mut sightings, mut text) = (Vec::new(), String::new());
    for (line, number) in log.split_inclusive(|byte| *byte == b'\n').zip(1..) {
        text += &match reader.line(line, number) {
            Reading::Sighting(sighting) => {
                let line = format!(
                    "{number} {} {:?} {:?} {:?} {:?} lasted {:?} to {:?} {:?}\n",
                    sighting.address,
                    sighting.port,
                    sighting.at.map(|at| at.to_string()),
                    sighting.resolution,
                    sighting.moment,
                    sighting.lasted,
                    sighting.destination.address,
                    sighting.destination.port,
                );
                sightings.push(sighting);
                line
            }
            Reading::Skipped(skip) => format!("{number} skipped: {skip}\n"),
            Reading::Rejected(rejection) => format!("{number} rejected: {rejection}\n"),
        };
    }
    Read {
        sightings,
        text,
        counts: reader.counts().clone(),
    }
}

fn read(format: &str, log: &[u8]) -> Read {
    read_with(format, log, |_| ())
}

/// The ports of the connections over IPv4 and then over IPv6: each `which` counts from the first.
fn chosen(which: &[u16]) -> Vec<Option<u16>> {
    let of = |first: u16| which.iter().map(move |one| Some(first + one));
    of(2026).chain(of(41_000)).collect()
}

/// All but the last connections, which sent garbage and nothing: the sixth was kept alive for three
/// requests.
const USUAL: [u16; 13] = [0, 1, 2, 3, 4, 5, 5, 5, 6, 7, 8, 9, 10];

fn usual_and(more: &[u16]) -> Vec<u16> {
    [&USUAL, more].concat()
}

/// When a client connected and closed, by its address and port.
fn clients(log: &[u8]) -> HashMap<(IpAddr, u16), (Timestamp, Timestamp)> {
    let millis = |text: &str| Timestamp::from_millis(text.replace('.', "").parse().unwrap());
    let text = std::str::from_utf8(log).unwrap();
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let endpoint = (fields[0].parse().unwrap(), fields[1].parse().unwrap());
        (endpoint, (millis(fields[2]), millis(fields[3])))
    };
    text.lines().map(line).collect()
}

/// What a sighting says of its time was so: the client's connection was open at some instant of
/// `[at, at + resolution)`, and if the request lasted so long, all that time.
fn times_are_true(read: &Read, log: &[u8]) {
    let clients = clients(log);
    // The client reads its clock a little after it connected and before it closed.
    let slack = Duration::from_millis(3);
    for sighting in &read.sightings {
        let Some((connected, closed)) = sighting
            .port
            .and_then(|port| clients.get(&(sighting.address, port)))
        else {
            panic!("nobody had {:?}\n{}", sighting, read.text);
        };
        let at = sighting.at.unwrap();
        let latest = at.after(sighting.resolution + slack);
        assert!(
            latest > *connected && at <= closed.after(slack),
            "{connected} {closed} {sighting:?}"
        );
        if let Some(lasted) = sighting.lasted {
            assert!(
                latest.since(*connected) >= lasted,
                "{connected} {closed} {sighting:?}"
            );
        }
    }
}

const TOMCAT: &str = r#"tomcat:%{begin:msec}t %{end:msec}t %{msec}t %D %T %F %{yyyy-MM-dd HH:mm:ss.SSS Z}t %a:%{remote}p %A:%{local}p "%{X-Forwarded-For}i" "%{User-Agent}i" %{c}a %{peer}a"#;
const LIGHTTPD: &str = r#"lighttpd:%{begin:usec}t %{end:usec}t %{msec}t %D %T %t %a:%{remote}p %A:%{local}p "%{X-Forwarded-For}i" "%{User-Agent}i""#;
const VARNISH: &str = r#"varnishncsa:%{VSL:Timestamp:Start[1]}x %{VSL:Timestamp:Resp[1]}x %{VSL:ReqStart}x %D %T %{%s}t "%{X-Forwarded-For}i" "%{User-agent}i" %{Varnish:time_firstbyte}x"#;
const SQUID: &str =
    r#"squid:%tS %ts.%03tu %tr %>a:%>p %>la:%>lp "%{X-Forwarded-For}>h" "%{User-Agent}>h""#;
const HAPROXY: &str = r#"haproxy:%Ts.%ms %ci %cp %fi %fp %T [%tr] %Ta %{+Q}[capture.req.hdr(0)] %{+Q}HU %{+Q}[var(txn.fwd)] %{+Q}[capture.req.hdr(1)] %sslv"#;

#[test]
fn tomcat_lines_have_the_ports_and_times_that_were() {
    let log = fixture!("web/tomcat-combined-port.log");
    let read_port = read("tomcat-combined-port", log);
    assert_eq!(
        read_port.ports(),
        chosen(&usual_and(&[11])),
        "{}",
        read_port.text
    );
    times_are_true(&read_port, fixture!("web/tomcat.clients"));
    assert_eq!(read_port.counts.rejected, []);
    let exact = read(TOMCAT, fixture!("web/tomcat-exact.log"));
    assert_eq!(exact.ports(), chosen(&usual_and(&[11])), "{}", exact.text);
    times_are_true(&exact, fixture!("web/tomcat.clients"));
    insta::assert_snapshot!(exact.text);
}

#[test]
fn lighttpd_lines_have_the_ports_and_times_that_were() {
    let log = fixture!("web/lighttpd-combined-port.log");
    let read_port = read("lighttpd-combined-port", log);
    let expected = chosen(&[0, 1, 2, 3, 4, 6, 8, 9, 10, 11]);
    assert_eq!(read_port.ports(), expected, "{}", read_port.text);
    times_are_true(&read_port, fixture!("web/lighttpd.clients"));
    assert_eq!(read_port.counts.rejected, []);
    let exact = read(LIGHTTPD, fixture!("web/lighttpd-exact.log"));
    assert_eq!(exact.ports(), chosen(&[5, 5, 5, 7]), "{}", exact.text);
    times_are_true(&exact, fixture!("web/lighttpd.clients"));
    insta::assert_snapshot!(exact.text);
}

/// Its clock in whole seconds is behind: some lines are of a second that had ended before their
/// client connected.
#[test]
fn lighttpd_needs_two_seconds() {
    let read = read(
        "lighttpd-combined-port",
        fixture!("web/lighttpd-combined-port.log"),
    );
    let clients = clients(fixture!("web/lighttpd.clients"));
    let mut early = read.sightings.iter().filter(|sighting| {
        let (connected, _) = clients[&(sighting.address, sighting.port.unwrap())];
        sighting.at.unwrap().after(Duration::from_secs(1)) < connected
    });
    assert!(
        read.sightings
            .iter()
            .all(|sighting| sighting.resolution == Duration::from_secs(2))
    );
    assert!(early.next().is_some());
}

#[test]
fn varnish_lines_have_the_ports_and_times_that_were() {
    let log = fixture!("web/varnish-combined-port.log");
    let read_port = read("varnish-combined-port", log);
    assert_eq!(read_port.ports(), chosen(&USUAL), "{}", read_port.text);
    times_are_true(&read_port, fixture!("web/varnish.clients"));
    // What sent garbage has no address in its line.
    assert_eq!(read_port.counts.rejected, [("no client address", 2)]);
    let exact = read(VARNISH, fixture!("web/varnish-exact.log"));
    assert_eq!(exact.ports(), chosen(&USUAL), "{}", exact.text);
    times_are_true(&exact, fixture!("web/varnish.clients"));
    insta::assert_snapshot!(exact.text);
}

#[test]
fn squid_lines_have_the_ports_and_times_that_were() {
    for (format, log) in [
        ("squid-port", fixture!("web/squid-port.log")),
        (
            "squid-combined-port",
            fixture!("web/squid-combined-port.log"),
        ),
        (SQUID, fixture!("web/squid-exact.log")),
    ] {
        let read = read(format, log);
        assert_eq!(
            read.ports(),
            chosen(&usual_and(&[11, 12])),
            "{format}\n{}",
            read.text
        );
        times_are_true(&read, fixture!("web/squid.clients"));
        assert_eq!(read.counts.rejected, []);
    }
    insta::assert_snapshot!(read(SQUID, fixture!("web/squid-exact.log")).text);
}

#[test]
fn haproxy_lines_have_the_ports_and_times_that_were() {
    let read_all = read("haproxy", fixture!("web/haproxy.log"));
    let web = chosen(&usual_and(&[11, 12]));
    assert_eq!(read_all.ports()[..web.len()], web, "{}", read_all.text);
    assert_eq!(read_all.counts.rejected, [], "{}", read_all.text);
    times_are_true(&read_all, fixture!("web/haproxy.clients"));
    insta::assert_snapshot!(read_all.text);
}

/// HAProxy writes what stands in `%[…]` as the client sent it: a line that can be read in two ways
/// is refused, every other is right.
#[test]
fn haproxy_format_strings_are_not_fooled_by_raw_quotes() {
    let read = read(HAPROXY, fixture!("web/haproxy-own.log"));
    times_are_true(&read, fixture!("web/haproxy.clients"));
    assert!(read.sightings.len() >= 16, "{}", read.text);
    insta::assert_snapshot!(read.text);
}

#[test]
fn caddy_lines_have_the_ports_and_times_that_were() {
    let read_all = read("caddy", fixture!("web/caddy.log"));
    assert_eq!(read_all.ports(), chosen(&USUAL), "{}", read_all.text);
    assert_eq!(read_all.counts.rejected, []);
    times_are_true(&read_all, fixture!("web/caddy.clients"));
    let iso = read("caddy", fixture!("web/caddy-iso.log"));
    assert_eq!(
        iso.ports(),
        [3100, 3103, 3108, 42_100, 42_103, 42_108].map(Some)
    );
    times_are_true(&iso, fixture!("web/caddy.clients"));
    insta::assert_snapshot!(iso.text);
}

/// With `RemoteIpValve` Tomcat writes the header's address, here with what its client made up for
/// a port, and the port of whoever connected. `%{peer}a` shows it: no port is told, but where the
/// peer is the client.
#[test]
fn tomcats_port_is_its_peers() {
    let read_all = read(TOMCAT, fixture!("web/tomcat-remoteip.log"));
    assert_eq!(
        read_all.ports(),
        [Some(2036), Some(41_010)],
        "{}",
        read_all.text
    );
    let format = "tomcat:%{msec}t %a %{remote}p %{peer}a";
    let lines =
        b"1795979312870 203.0.113.66 2035 192.0.2.9\n1795979312870 203.0.113.7 2036 203.0.113.7\n";
    assert_eq!(read(format, lines).ports(), [None, Some(2036)]);
}

/// Behind `mod_extforward` lighttpd's port is 0, as behind Apache's `mod_remoteip`.
#[test]
fn behind_mod_extforward_the_port_is_gone() {
    let line = b"198.51.100.9 www.example.org - [29/Nov/2026:14:08:50 -0500] \"GET / HTTP/1.1\" 200 2 \"-\" \"curl/7.88.1\" 0\n";
    let read = read("lighttpd-combined-port", line);
    assert_eq!((read.ports(), read.counts.port_zero), (vec![None], 1));
}

/// With `follow_x_forwarded_for` Squid writes the header's address and the port of whoever
/// connected. Its lines do not tell: this is what they say, and why the audit must look for it.
#[test]
fn squid_may_join_one_hops_address_with_anothers_port() {
    let read = read(SQUID, fixture!("web/squid-followed.log"));
    assert_eq!(read.ports(), [Some(2035), Some(41_009)]);
    assert!(
        read.sightings
            .iter()
            .all(|sighting| { sighting.address == "198.51.100.9".parse::<IpAddr>().unwrap() })
    );
}

/// The clients' own headers name 192.0.2.66 and others: believed only from a trusted proxy.
#[test]
fn headers_are_believed_from_trusted_proxies_only() {
    let logs = [
        (TOMCAT, fixture!("web/tomcat-exact.log")),
        (VARNISH, fixture!("web/varnish-exact.log")),
        (SQUID, fixture!("web/squid-exact.log")),
        ("caddy", fixture!("web/caddy.log")),
    ];
    for (format, log) in logs {
        let read = |trusted: &[&str], headers: &[Header]| {
            read_with(format, log, |options| {
                let networks = trusted.iter().map(|network| network.parse().unwrap());
                options.trust.proxies = networks.collect();
                options.trust.headers = headers.to_vec();
            })
        };
        let nobody = read(&["192.0.2.0/24"], &[]);
        assert!(
            nobody
                .counts
                .rejected
                .iter()
                .all(|(why, _)| *why != "client unknown behind a trusted proxy")
        );
        // As if the clients were proxies: the address that they named last is believed, and its
        // port is not theirs; who named nobody is unknown.
        let proxies = read(
            &["203.0.113.7/32", "2001:db8::7/128"],
            &[Header::ForwardedFor],
        );
        let named: Vec<_> = proxies
            .sightings
            .iter()
            .map(|found| (found.address.to_string(), found.port))
            .collect();
        assert_eq!(
            named,
            [
                ("198.51.100.9".to_owned(), None),
                ("198.51.100.9".to_owned(), None)
            ],
            "{format}"
        );
        // One hop further, whose element has a port.
        let further = read(
            &["203.0.113.7/32", "2001:db8::7/128", "198.51.100.0/24"],
            &[Header::ForwardedFor],
        );
        let named: Vec<_> = further
            .sightings
            .iter()
            .map(|found| (found.address.to_string(), found.port))
            .collect();
        assert_eq!(
            named,
            [
                ("192.0.2.66".to_owned(), Some(4242)),
                ("192.0.2.66".to_owned(), Some(4242))
            ],
            "{format}"
        );
    }
}

#[test]
fn documented_formats_are_read() {
    for (name, format, log) in [
        ("iis", "iis", fixture!("documented/iis.log")),
        ("iis-broken", "iis", fixture!("documented/iis-broken.log")),
        ("httperr", "httperr", fixture!("documented/httperr.log")),
        (
            "cloudfront",
            "cloudfront",
            fixture!("documented/cloudfront.log"),
        ),
        ("aws-alb", "aws-alb", fixture!("documented/aws-alb.log")),
        (
            "aws-nlb-tls",
            "aws-nlb-tls",
            fixture!("documented/aws-nlb-tls.log"),
        ),
        ("aws-elb", "aws-elb", fixture!("documented/aws-elb.log")),
        (
            "traefik-common",
            "traefik-common",
            fixture!("documented/traefik-common.log"),
        ),
        (
            "traefik-json",
            "traefik-json",
            fixture!("documented/traefik.log"),
        ),
        (
            "envoy-istio",
            "envoy-istio",
            fixture!("documented/envoy-istio.log"),
        ),
        ("envoy-json", "envoy-json", fixture!("documented/envoy.log")),
    ] {
        let read = read_with(format, log, |options| options.zone = None);
        insta::assert_snapshot!(name, read.text);
    }
}

#[test]
fn iis_columns_have_the_names_that_operators_give() {
    let log = fixture!("documented/iis-own-name.log");
    assert_eq!(read("iis", log).ports(), [None]);
    let told = read_with("iis", log, |options| {
        options.port_field = Some("SourcePort".to_owned())
    });
    assert_eq!(told.ports(), [Some(49_152)]);
    // The operator's word is the only one.
    let other = read_with("iis", fixture!("documented/iis.log"), |options| {
        options.port_field = Some("SourcePort".to_owned());
    });
    assert!(other.ports().iter().all(Option::is_none), "{}", other.text);
    let trusting = |log| {
        move |format: &str| {
            read_with(format, log, |options| {
                options.trust.proxies = vec!["192.0.2.9/32".parse().unwrap()];
            })
        }
    };
    let iis = trusting(fixture!("documented/iis.log"))("iis");
    assert!(iis.ports().contains(&Some(49_153)), "{}", iis.text);
    let cloudfront = trusting(fixture!("documented/cloudfront.log"))("cloudfront");
    assert_eq!(cloudfront.ports(), [Some(49_152), Some(2026), None]);
    let traefik = trusting(fixture!("documented/traefik.log"))("traefik-json");
    assert_eq!(traefik.ports()[2], None);
}

#[test]
fn every_log_is_guessed() {
    let logs = [
        fixture!("web/tomcat-combined-port.log"),
        fixture!("web/lighttpd-combined-port.log"),
        fixture!("web/varnish-combined-port.log"),
        fixture!("web/squid-port.log"),
        fixture!("web/squid-combined-port.log"),
        fixture!("web/haproxy.log"),
        fixture!("web/caddy.log"),
        fixture!("documented/iis.log"),
        fixture!("documented/httperr.log"),
        fixture!("documented/cloudfront.log"),
        fixture!("documented/aws-alb.log"),
        fixture!("documented/aws-nlb-tls.log"),
        fixture!("documented/aws-elb.log"),
        fixture!("documented/traefik-common.log"),
        fixture!("documented/traefik.log"),
        fixture!("documented/envoy-istio.log"),
        fixture!("documented/envoy.log"),
        b"203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] \"GET / HTTP/1.1\" 200 612 \"-\" \"x\" 49152\n",
        b"203.0.113.7 www.example.org - [21/Nov/2026:10:53:22 +0000] \"GET / HTTP/1.1\" 200 612 \"-\" \"x\" 49152\n",
        b"203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] \"GET / HTTP/1.1\" 200 612\n",
    ];
    let guessed = logs.map(|log| {
        let lines: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
        match guess(&lines) {
            Ok(guess) => format!("{}: {}", guess.format, guess.why),
            Err(error) => error.to_string(),
        }
    });
    insta::assert_snapshot!(guessed.join("\n"));
}

/// A guess that leaves the server open says no more than all of them do.
#[test]
fn a_twin_has_the_coarsest_clock() {
    let line = b"203.0.113.7 www.example.org - [21/Nov/2026:10:53:22 +0000] \"GET / HTTP/1.1\" 200 612 \"-\" \"x\" 49152\n";
    let format = guess(&[line]).unwrap().format;
    let mut reader = Reader::new(format, Options::new("x"));
    let Reading::Sighting(sighting) = reader.line(line, 1) else {
        panic!();
    };
    assert_eq!(sighting.resolution, Duration::from_secs(2));
    assert_eq!(sighting.moment, Moment::Logged);
}
