//! Any bytes in the headers that name a client: what comes of them is never a proxy, never said to
//! be sure where the nearest proxy says something else, and nothing at all without trust.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use portledger_model::Sighting;
use portledger_servers::{Format, Header, Options, Reader, Reading};

const FORMAT: &str = r#"nginx:$msec $remote_addr $remote_port "$http_x_forwarded_for" "$http_forwarded" "$http_x_real_ip" "$http_x_forwarded_port""#;
const HOP: &str = "192.0.2.9";

fuzz_target!(|bytes: &[u8]| {
    let parts: Vec<&[u8]> = bytes.splitn(4, |&byte| byte == b'\n').collect();
    let line = |parts: &[&[u8]]| {
        let mut line = format!("1795258402.123 {HOP} 50000").into_bytes();
        for at in 0..4 {
            line.extend(b" \"");
            for &byte in parts.get(at).copied().unwrap_or_default() {
                match byte {
                    b'"' | b'\\' | ..=31 | 127.. => line.extend(format!("\\x{byte:02X}").bytes()),
                    _ => line.push(byte),
                }
            }
            line.push(b'"');
        }
        line
    };
    let plain = line(&parts);
    let hop: IpAddr = HOP.parse().expect("an address");
    let unbelieved = read(&plain, &[], &[]).expect("the line is well-formed");
    assert_eq!((unbelieved.address, unbelieved.port), (hop, Some(50_000)));

    for headers in [
        &[][..],
        &[Header::ForwardedFor],
        &[Header::Forwarded, Header::RealIp, Header::ForwardedPort],
    ] {
        if let Some(found) = read(&plain, &["192.0.2.0/24"], headers) {
            assert_ne!(found.address, hop, "a proxy is no client");
            assert_ne!(found.port, Some(0));
        }
    }

    // What the nearest proxy appends decides, whatever came before it.
    let first = parts.first().copied().unwrap_or_default();
    let named = [first, b", 203.0.113.7:4242"].concat();
    let found = read(&line(&[&named[..]]), &["192.0.2.0/24"], &[Header::ForwardedFor]);
    let found = found.map(|found| (found.address.to_string(), found.port));
    assert_eq!(found, Some(("203.0.113.7".to_owned(), Some(4242))));
    let named = [first, b", for=\"203.0.113.7:4242\""].concat();
    if let Some(found) = read(
        &line(&[b"", &named[..]]),
        &["192.0.2.0/24"],
        &[Header::Forwarded],
    ) {
        assert_eq!(
            (found.address.to_string(), found.port),
            ("203.0.113.7".to_owned(), Some(4242))
        );
    }
});

fn read(line: &[u8], proxies: &[&str], headers: &[Header]) -> Option<Sighting> {
    let mut options = Options::new("fuzz.log");
    options.trust.proxies = proxies
        .iter()
        .map(|text| text.parse().expect("a network"))
        .collect();
    options.trust.headers = headers.to_vec();
    let format = Format::parse(FORMAT).expect("the format is well-formed");
    match Reader::new(format, options).line(line, 1) {
        Reading::Sighting(sighting) => Some(sighting),
        _ => None,
    }
}
