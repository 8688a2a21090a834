//! How many lines of text a core reads: by dialects, and by the `regex` crate for comparison.
//!
//! `cargo bench -p portledger-wire --bench text [-- LINES]`, two million by default. Each figure is
//! the best of five runs, in time of one core.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    env, fs,
    hint::black_box,
    time::{Duration, Instant},
};

use jiff::tz::TimeZone;
use portledger_wire::{
    NatEvent,
    dialect::{Dialects, Outcome, Reader, Untimed},
    syslog::{Clock, Frame, Frames, Framing, Message},
};
use regex::bytes::Regex;

/// One line of each kind, with the address and the ports as they change from line to line.
const LINES: &[(&str, &str, &str)] = &[
    (
        "juniper",
        "port block, structured",
        "<14>1 2026-11-21T08:00:00.500Z cgn1 RT_NAT - RT_SRC_NAT_PBA_ALLOC [junos@2636.1.1.1.2.129 internal-ip=\"100.64.#H.#L\" block-used=\"1\" block-max-per-host=\"4\" block-port-low=\"48640\" block-port-high=\"48895\" reflexive-ip=\"203.0.113.#L\" nat-pool-name=\"guest\" logical-system-id=\"0\" epoch-time-64=\"624b0492\"]",
    ),
    (
        "juniper",
        "port block, text",
        "<14>Jun 30 22:44:25 SITE-B-BNG-01 RT_NAT: RT_SRC_NAT_PBA_ALLOC: Subscriber 100.64.#H.#L used/maximum [10/15] blocks, allocates port block [24064-24191] from 203.0.113.#L in source pool EXAMPLE_POOL lsys_id: 0 epoch 0x6a44007a",
    ),
    (
        "cisco-asa",
        "port, time from the header",
        "<166>Nov 21 2026 08:00:00 fw1 : %ASA-6-305011: Built dynamic TCP translation from inside:100.64.#H.#L/53008 to outside:203.0.113.#L/49520",
    ),
    (
        "conntrack",
        "session",
        "[1795247969.214149]\t    [NEW] ipv4     2 tcp      6 120 SYN_SENT src=100.64.#H.#L dst=198.51.100.80 sport=54176 dport=80 [UNREPLIED] src=198.51.100.80 dst=203.0.113.5 sport=80 dport=1059 id=4074627495",
    ),
    (
        "cisco-ios-xr",
        "three port blocks a line",
        "<134>1 2026 Nov 21 08:00:00 192.0.2.1 - - NAT44 - [UserbasedA - 100.64.#H.#L VRF-1 - 203.0.113.1 - 1024 1535][UserbasedW - 100.64.#H.#L VRF-1 - 203.0.113.1 - 1536 2047][UserbasedA - 100.64.#H.#L VRF-1 - 203.0.113.1 - 2048 2559]",
    ),
];

const STRUCTURED: &str = r#"RT_SRC_NAT_PBA_(ALLOC|INTERIM|RELEASE) \[[^\]]*?internal-ip="([0-9a-fA-F:.]+)"[^\]]*? block-port-low="(\d+)" block-port-high="(\d+)" reflexive-ip="([0-9.]+)"[^\]]*? epoch-time-64="([0-9a-f]+)""#;
const TEXT: &str = r"RT_SRC_NAT_PBA_(ALLOC|INTERIM|RELEASE): Subscriber ([0-9a-fA-F:.]+) .*?port block \[(\d+)-(\d+)\] from ([0-9.]+) in source pool .*? epoch 0x([0-9a-f]+)";

fn main() {
    let asked = env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let count: usize = asked.unwrap_or(2_000_000);
    let dialects = Dialects::built_in();
    for (dialect, what, form) in LINES {
        let lines = lines(form, count);
        let clock = Clock::new("2026-11-21T12:00:00Z".parse().unwrap()).in_zone(TimeZone::UTC);
        let mut reader =
            Reader::new(dialects.get(dialect).unwrap(), clock).untimed(Untimed::Received);
        let mut events: Vec<NatEvent> = Vec::new();
        let took = best(|| {
            for line in &lines {
                events.clear();
                let outcome = reader.read(line, &mut events);
                assert!(matches!(outcome, Outcome::Events(_)), "{outcome:?}");
                black_box(&events);
            }
        });
        show(&format!("{dialect}, {what}"), count, took);
        let pattern = match *what {
            "port block, structured" => STRUCTURED,
            "port block, text" => TEXT,
            _ => continue,
        };
        let by_regex = by_regex(pattern, &lines);
        show("    the same by regex", count, by_regex);
        println!(
            "    regex takes {:.1} times as long",
            by_regex.as_secs_f64() / took.as_secs_f64()
        );
    }
    let header = lines(LINES[2].2, count);
    let took = best(|| {
        for line in &header {
            black_box(Message::parse(line));
        }
    });
    show("header alone", count, took);
    let mut stream = header.join(&b'\n');
    stream.push(b'\n');
    let took = best(|| {
        let mut frames = Frames::new(Framing::Delimited, 8_192);
        let mut messages = 0;
        for piece in stream.chunks(65_536) {
            frames.push(piece, |frame| {
                messages += usize::from(matches!(frame, Frame::Message(_)));
            });
        }
        assert_eq!(messages, count);
    });
    show("lines out of a stream", count, took);
}

/// Matches, and reads what was matched as far as the address and the ports are numbers: what the
/// dialect does beside it is to make the event.
fn by_regex(pattern: &str, lines: &[Vec<u8>]) -> Duration {
    let regex = Regex::new(pattern).unwrap();
    let mut places = regex.capture_locations();
    best(|| {
        for line in lines {
            regex.captures_read(&mut places, line).unwrap();
            let text = |group| {
                let (start, end) = places.get(group).unwrap();
                std::str::from_utf8(&line[start..end]).unwrap()
            };
            let internal: std::net::IpAddr = text(2).parse().unwrap();
            let ports: (u16, u16) = (text(3).parse().unwrap(), text(4).parse().unwrap());
            let external: std::net::Ipv4Addr = text(5).parse().unwrap();
            let at = i64::from_str_radix(text(6), 16).unwrap();
            black_box((internal, ports, external, at));
        }
    })
}

fn lines(form: &str, count: usize) -> Vec<Vec<u8>> {
    let line = |number: usize| {
        let high = (number >> 8) % 256;
        let low = number % 256;
        form.replace("#H", &high.to_string())
            .replace("#L", &low.to_string())
            .into_bytes()
    };
    (0..count).map(line).collect()
}

fn best(mut run: impl FnMut()) -> Duration {
    let times = (0..5).map(|_| {
        let start = Clocks::now();
        run();
        start.elapsed()
    });
    times.min().unwrap()
}

/// The time a core spent on this thread, where the kernel tells it: on a busy machine the clock on
/// the wall measures the others. Elsewhere the clock on the wall.
struct Clocks {
    wall: Instant,
    core: Option<Duration>,
}

impl Clocks {
    fn now() -> Self {
        Self {
            wall: Instant::now(),
            core: core(),
        }
    }

    fn elapsed(&self) -> Duration {
        let spent = self.core.zip(core()).map(|(from, to)| to - from);
        spent.unwrap_or_else(|| self.wall.elapsed())
    }
}

fn core() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

fn show(what: &str, count: usize, took: Duration) {
    let seconds = took.as_secs_f64();
    println!(
        "{what:<44} {:>8.2} M lines/s  {:>6.0} ns",
        count as f64 / seconds / 1e6,
        seconds / count as f64 * 1e9
    );
}
