use proptest::prelude::*;

use super::*;

fn times() -> impl Strategy<Value = Timestamp> {
    (0_i64..4_102_444_800_000_000).prop_map(Timestamp::from_micros)
}

fn endpoints() -> impl Strategy<Value = Endpoint> {
    let v4 = any::<[u8; 4]>().prop_map(IpAddr::from);
    let v6 = any::<[u8; 16]>().prop_map(|bytes| IpAddr::from(bytes).to_canonical());
    (prop_oneof![v4, v6], any::<u16>())
}

fn told() -> impl Strategy<Value = Option<Told>> {
    prop_oneof![
        Just(None),
        prop::sample::select(&NotTold::ALL[..]).prop_map(|why| Some(Told::Not(why))),
        (endpoints(), endpoints()).prop_map(|(hop, front)| Some(Told::Client { hop, front })),
    ]
}

fn ports() -> impl Strategy<Value = Ports> {
    prop_oneof![
        Just(Ports::All),
        Just(Ports::None),
        prop::collection::vec(any::<u16>(), 1..4).prop_map(Ports::These),
    ]
}

fn says() -> impl Strategy<Value = Says> {
    let watched = || (ports(), ports()).prop_map(|(tcp, udp)| Watched { tcp, udp });
    let source = prop::option::of((any::<[u8; 4]>(), 0_u8..=32));
    let source = source.prop_map(|source| {
        source.map(|(bytes, length)| IpNet::new(bytes.into(), length).unwrap().trunc())
    });
    let why = prop::sample::select(&Why::ALL[..]);
    prop_oneof![
        watched().prop_map(Says::Start),
        watched().prop_map(Says::GoesOn),
        Just(Says::Complete),
        Just(Says::Stop),
        (times(), times(), any::<u64>(), source, why).prop_map(
            |(from, to, connections, source, why)| Says::LeftOut(LeftOut {
                from,
                to,
                connections,
                source,
                why,
            })
        ),
    ]
}

fn entries() -> impl Strategy<Value = Entry> {
    let transport = prop::sample::select(vec![Transport::Tcp, Transport::Udp]);
    prop_oneof![
        (times(), transport, endpoints(), endpoints(), told()).prop_map(
            |(at, transport, client, server, told)| Entry::Connection(Record {
                at,
                transport,
                client,
                server,
                told,
            })
        ),
        (times(), says()).prop_map(|(at, says)| Entry::Mark(Mark { at, says })),
    ]
}

#[test]
fn the_example_of_the_documentation_is_read() {
    let text = include_str!("../connection_log.rs");
    let lines = text.lines().skip_while(|line| *line != "//! ```text");
    let lines: Vec<&str> = lines
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .filter_map(|line| line.strip_prefix("//! "))
        .collect();
    assert_eq!(lines.len(), 7);
    for line in lines {
        assert_eq!(Entry::parse(line.as_bytes()).unwrap().to_string(), line);
    }
}

#[test]
fn what_others_write_is_not_taken_for_ours() {
    for (line, why) in [
        (
            "1795258402123 203.0.113.7 49152 192.0.2.80 443 tcp",
            NotEntry::Other,
        ),
        (
            "1795258402.123456 203.0.113.7 49152 192.0.2.80 443 4f2a",
            NotEntry::Other,
        ),
        (
            "1795258402.123456 203.0.113.7 49152 192.0.2.80 443 tcp x",
            NotEntry::Other,
        ),
        ("# a comment", NotEntry::Comment),
        ("#", NotEntry::Comment),
        (
            "# 1795258404.000000 left-out from=1795258402.2",
            NotEntry::Mark,
        ),
        ("# 1795258404.000000 slept", NotEntry::Mark),
        ("# 1795258404.000000 complete x", NotEntry::Mark),
    ] {
        assert_eq!(Entry::parse(line.as_bytes()), Err(why), "{line}");
    }
}

proptest! {
    #[test]
    fn text_and_back(entry in entries()) {
        let text = entry.to_string();
        prop_assert!(!text.contains('\n'));
        prop_assert_eq!(Entry::parse(text.as_bytes()), Ok(entry));
    }

    #[test]
    fn nothing_panics(line: Vec<u8>) {
        let _ = Entry::parse(&line);
    }
}
