//! What makers' devices send, read whole: golden files of every event.

use std::{fs, path::Path};

use portledger_model::Timestamp;
use portledger_wire::flow::{Item, Limits, Medium, Session};

use crate::show;

/// The datagrams of a sample: hexadecimal, an empty line between two.
fn datagrams(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/flow/{name}.hex"));
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines
        .split(|line| line.is_empty())
        .map(|lines| bytes(&lines.concat()))
        .filter(|datagram| !datagram.is_empty())
        .collect()
}

fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

fn read(datagrams: &[Vec<u8>]) -> (Vec<Item>, Session) {
    let mut session = Session::new(Medium::Datagrams, Limits::default());
    let mut items = Vec::new();
    let now = Timestamp::from_secs(1_790_000_000);
    for datagram in datagrams {
        session.datagram(datagram, now, &mut |item| items.push(item));
    }
    session.finish(now, &mut |item| items.push(item));
    (items, session)
}

fn golden(name: &str) -> String {
    let (items, session) = read(&datagrams(name));
    format!(
        "{}{}\n",
        show::items(&items),
        show::counters(session.counters())
    )
}

macro_rules! golden {
    ($($test:ident: $name:literal;)*) => {$(
        #[test]
        fn $test() {
            insta::assert_snapshot!($name, golden($name));
        }
    )*};
}

golden! {
    cisco_asa_without_translations: "cisco-asa";
    cisco_asa_connections_are_sessions: "cisco-asa-nat";
    cisco_asr1001x_flows_are_no_events: "cisco-asr1001x";
    cisco_asr9k_templates_are_understood: "cisco-asr9k";
    cisco_iosxe_sessions_have_their_own_times: "cisco-iosxe-nel";
    citrix_enterprise_elements_are_no_errors: "citrix-netscaler";
    fortinet_flows_have_times_by_uptime: "fortinet";
    mikrotik_flows_in_are_sessions: "mikrotik";
    nokia_says_the_inside_in_a_string: "nokia-bras";
    paloalto_templates_are_understood: "paloalto";
}

/// A collector that starts between template and data reads the same, only later.
#[test]
fn data_before_its_template_is_read_when_that_comes() {
    for name in ["mikrotik", "nokia-bras", "fortinet"] {
        let in_order = datagrams(name);
        let mut swapped = in_order.clone();
        swapped.rotate_right(1);
        let events = |datagrams| {
            let (items, session) = read(datagrams);
            assert_eq!(session.counters().dropped_sets, 0, "{name}");
            let mut lines: Vec<_> = items
                .iter()
                .filter(|item| matches!(item, Item::Event { .. }))
                .map(|item| show::items(std::slice::from_ref(item)))
                .collect();
            lines.sort();
            lines
        };
        assert!(!events(&in_order).is_empty(), "{name}");
        assert_eq!(events(&in_order), events(&swapped), "{name}");
    }
}

#[test]
fn a_sample_cut_anywhere_breaks_nothing() {
    for name in [
        "cisco-iosxe-nel",
        "mikrotik",
        "nokia-bras",
        "citrix-netscaler",
        "paloalto",
    ] {
        for datagram in datagrams(name) {
            for end in 0..datagram.len() {
                read(&[datagram[..end].to_vec()]);
            }
        }
    }
}

/// Captures are not in the repository; where somebody has some, all of them must be understood.
#[test]
fn captures_are_understood() {
    let Some(folder) = std::env::var_os("PORTLEDGER_FLOW_CAPTURES") else {
        eprintln!("SKIPPED: PORTLEDGER_FLOW_CAPTURES names no folder with flow captures (*.pcap)");
        return;
    };
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let datagrams = match path.extension().and_then(|ending| ending.to_str()) {
            Some("pcap") => udp_payloads(&fs::read(&path).unwrap()),
            Some("dat") => vec![fs::read(&path).unwrap()],
            _ => continue,
        };
        let mut session = Session::new(Medium::Datagrams, Limits::default());
        let mut versions = 0;
        for datagram in &datagrams {
            if !matches!(datagram.get(..2), Some([0, 9 | 10])) {
                continue;
            }
            versions += 1;
            session.datagram(datagram, Timestamp::EPOCH, &mut |item| {
                assert!(!matches!(item, Item::Rejected { .. }), "{file}: {item:?}");
            });
        }
        eprintln!(
            "{file}: {versions} messages, {}",
            show::counters(session.counters())
        );
    }
}

/// The payloads of a little-endian pcap of Ethernet, IPv4 and UDP: enough for the captures there.
fn udp_payloads(pcap: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let mut offset = 24;
    while let Some(length) = pcap.get(offset + 8..offset + 12) {
        let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
        let frame = &pcap[offset + 16..offset + 16 + length];
        let ip = if frame[12..14] == [0x81, 0] { 18 } else { 14 };
        let udp = ip + usize::from(frame[ip] & 15) * 4;
        payloads.push(frame[udp + 8..].to_vec());
        offset += 16 + length;
    }
    payloads
}
