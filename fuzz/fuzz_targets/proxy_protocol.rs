//! Any bytes as a PROXY header, as a line of the connection log, and as packets to the watcher.
#![no_main]

use std::hash::{BuildHasherDefault, DefaultHasher};

use libfuzzer_sys::fuzz_target;
use portledger_model::Timestamp;
use portledger_servers::{
    connection_log::Entry,
    proxy_protocol::{Fault, Header, parse},
};
use portledger_watch::{Settings, Watcher};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Header::Client(client)) = parse(bytes) {
        // What is told stands in the header: no more bytes change it, and fewer never name another.
        let longer = [bytes, b"x".as_slice()].concat();
        assert_eq!(parse(&longer), Ok(Header::Client(client)));
        for cut in 0..bytes.len() {
            match parse(bytes.get(..cut).unwrap_or_default()) {
                Ok(told) => assert_eq!(told, Header::Client(client)),
                Err(fault) => assert_eq!(fault, Fault::Cut),
            }
        }
    }
    if let Ok(entry) = Entry::parse(bytes) {
        assert_eq!(Entry::parse(entry.to_string().as_bytes()), Ok(entry));
    }
    let settings = Settings {
        balancers: ["0.0.0.0/0", "::/0"]
            .iter()
            .filter_map(|net| net.parse().ok())
            .collect(),
        ..Settings::default()
    };
    let mut watcher = Watcher::new(settings, BuildHasherDefault::<DefaultHasher>::default());
    let mut told = 0_u64;
    for (packet, second) in bytes.split(|byte| *byte == b'|').zip(0..) {
        let at = Timestamp::from_secs(second);
        watcher.packet(at, packet, &mut |_| told += 1);
    }
    watcher.finish(Timestamp::from_secs(1_000), &mut |_| told += 1);
    let counts = watcher.counts();
    assert!(counts.connections + counts.unread >= told.min(1));
    assert!(
        counts.connections + counts.repeated + counts.ignored + counts.unread <= counts.packets * 2
    );
});
