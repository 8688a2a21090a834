use std::net::{Ipv4Addr, Ipv6Addr};

use portledger_model::{Destination, Moment, Source, Zone};
use proptest::prelude::*;

use super::*;
use crate::{Format, Options, Reader, Reading, guess};

fn sighting() -> Sighting {
    Sighting {
        source: Source {
            file: "mail.log".into(),
            line: 7,
        },
        address: "203.0.113.7".parse().unwrap(),
        port: Some(49_152),
        transport: Some(Transport::Tcp),
        destination: Destination {
            address: Some("192.0.2.25".parse().unwrap()),
            port: Some(25),
        },
        at: Some("2026-11-21T10:53:22.123456Z".parse().unwrap()),
        or_at: None,
        resolution: Duration::from_micros(1),
        zone: Zone::Offset,
        moment: Moment::Connect,
        lasted: None,
    }
}

fn reports(form: Form) -> Reports {
    Reports {
        form,
        reporter: "Example Org <abuse@example.org>".parse().unwrap(),
        without_port: false,
    }
}

const ARF: Form = Form::Arf(Complaint::Abuse);
const XARF: Form = Form::Xarf(Attack::LoginAttack);

fn write(form: Form, sighting: &Sighting) -> Result<String, Refusal> {
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    reports(form).write(sighting, [7; 16], now)
}

/// What the reader of the format says of a text.
fn read(format: &str, text: &str) -> Vec<Sighting> {
    let mut reader = Reader::new(Format::named(format).unwrap(), Options::new("x"));
    let mut sightings = Vec::new();
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        if let Reading::Sighting(sighting) = reader.line(line.as_bytes(), number) {
            sightings.push(sighting);
        }
    }
    if let Some(Reading::Sighting(sighting)) = reader.end() {
        sightings.push(sighting);
    }
    assert_eq!(reader.counts().rejected, [], "{text}");
    sightings
}

#[test]
fn both_forms() {
    insta::assert_snapshot!(write(ARF, &sighting()).unwrap());
    insta::assert_snapshot!(write(XARF, &sighting()).unwrap());
}

#[test]
fn a_report_is_guessed() {
    for (form, name) in [(ARF, "arf"), (XARF, "xarf")] {
        let text = write(form, &sighting()).unwrap();
        let lines: Vec<&[u8]> = text.split_inclusive('\n').map(str::as_bytes).collect();
        assert_eq!(guess(&lines).unwrap().format.name(), name);
    }
}

#[test]
fn what_is_not_enough_is_refused() {
    let refused = |form, change: fn(&mut Sighting)| {
        let mut sighting = sighting();
        change(&mut sighting);
        write(form, &sighting).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        [
            refused(XARF, |it| it.port = None),
            refused(XARF, |it| it.at = None),
            refused(XARF, |it| it.or_at =
                Some("2026-11-21T11:53:22Z".parse().unwrap())),
            refused(XARF, |it| it.resolution = Duration::from_secs(60)),
            refused(XARF, |it| it.transport = None),
            refused(ARF, |it| it.transport = Some(Transport::Udp)),
            refused(ARF, |it| it.resolution = Duration::from_secs(1)),
        ]
        .join("\n")
    );
    let mut without = sighting();
    without.port = None;
    let mut reports = reports(XARF);
    reports.without_port = true;
    let text = reports.write(&without, [7; 16], Timestamp::EPOCH).unwrap();
    assert_eq!(read("xarf", &text)[0].port, None);
}

#[test]
fn a_reporter_is_a_name_and_an_address() {
    for text in [
        "abuse@example.org",
        "<abuse@example.org>",
        "x\ny <abuse@example.org>",
        "x <a@b@c>",
        "x <a@b c>",
        "x <a>",
    ] {
        assert!(text.parse::<Reporter>().is_err(), "{text}");
    }
    let reporter: Reporter = "Größe & Söhne <abuse@example.org>".parse().unwrap();
    let mut reports = reports(ARF);
    reports.reporter = reporter;
    let text = reports
        .write(&sighting(), [7; 16], Timestamp::EPOCH)
        .unwrap();
    assert!(
        text.is_ascii() && text.contains("From: =?utf-8?B?"),
        "{text}"
    );
}

/// Where the true instant may be.
fn span(sighting: &Sighting) -> (Timestamp, Timestamp) {
    let at = sighting.at.unwrap();
    (at, at.after(sighting.resolution))
}

proptest! {
    #[test]
    fn a_report_says_what_the_sighting_says(
        v4: Option<u32>, bits: u128, port in 1_u16.., micros in 0_i64..4_000_000_000_000_000,
        places in 0_u32..=6, server: Option<(u32, u16)>, transport in 0..3_u8, twice: bool,
    ) {
        let step = 10_i64.pow(6 - places);
        let mut given = sighting();
        given.address = match v4 {
            Some(bits) => Ipv4Addr::from(bits).into(),
            None => IpAddr::from(Ipv6Addr::from(bits)).to_canonical(),
        };
        given.port = Some(port);
        given.at = Some(Timestamp::from_micros(micros - micros % step));
        given.resolution = Duration::from_micros(u64::try_from(step).unwrap());
        given.transport = [Transport::Tcp, Transport::Udp, Transport::Icmp].get(usize::from(transport)).copied();
        given.destination = Destination {
            address: server.map(|(bits, _)| Ipv4Addr::from(bits).into()),
            port: server.map(|(_, port)| port).filter(|port| *port != 0),
        };
        for form in [ARF, XARF] {
            if form == ARF && given.transport != Some(Transport::Tcp) {
                continue;
            }
            let one = write(form, &given).unwrap();
            let text = if twice { one.repeat(2) } else { one };
            let name = if form == ARF { "arf" } else { "xarf" };
            let sightings = read(name, &text);
            prop_assert_eq!(sightings.len(), 1 + usize::from(twice), "{}", text);
            for read in sightings {
                prop_assert_eq!((read.address, read.port), (given.address, given.port));
                prop_assert_eq!(read.transport, given.transport);
                if form == ARF {
                    let ((from, to), (told_from, told_to)) = (span(&given), span(&read));
                    prop_assert!(told_from <= from && to <= told_to);
                } else {
                    prop_assert_eq!((read.at, read.resolution), (given.at, given.resolution));
                    prop_assert_eq!(read.destination, given.destination);
                }
            }
        }
    }
}
