//! How many lines of servers' logs a core reads.
//!
//! `cargo bench -p portledger-servers --bench lines [-- [LINES] [NAME]]`, one million of each log by default,
//! or of those whose name has a text. Each figure is the best of five runs, in time of one core. With `-- write LINES FILE` it writes nginx
//! lines with the port to a file, for comparing programs with each other.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    hint::black_box,
    io::{BufWriter, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use portledger_servers::{Format, Options, Reader, Reading};

/// Lines a second of the log's own clock: a busy server's.
const RATE: u64 = 50;

const AGENTS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://www.example.org/bot.html)",
    "curl/8.10.1",
    "-",
];

const PATHS: &[&str] = &[
    "/",
    "/index.html",
    "/static/css/site.4f2a9c.css",
    "/static/js/app.8d11e0.js?v=2026112",
    "/api/v1/items?page=3&sort=name&filter=new",
    "/images/products/1024/large.webp",
    "/wp-login.php",
];

const REFERERS: &[&str] = &[
    "-",
    "https://www.example.org/",
    "https://www.example.org/search?q=port+blocks",
];

/// Numbers without a pattern that are the same in every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[usize::try_from(self.below(texts.len() as u64)).unwrap()]
    }

    /// A fifth of the clients come over IPv6.
    fn address(&mut self) -> IpAddr {
        let number = self.next();
        if number.is_multiple_of(5) {
            let high = u128::from(number) << 32;
            let number = (0x2001_0db8_u128 << 96) | high & !(0xFFFF_FFFF_u128 << 96) | 0x1234;
            Ipv6Addr::from(number).into()
        } else {
            Ipv4Addr::from(u32::try_from(number >> 32).unwrap() | 0x0100_0000).into()
        }
    }

    fn port(&mut self) -> u64 {
        1_024 + self.below(64_512)
    }
}

/// A log: its name, its format and one line of it.
struct Log {
    name: &'static str,
    format: &'static str,
    line: fn(&mut Numbers, u64, &mut String),
}

const LOGS: &[Log] = &[
    Log {
        name: "nginx, combined and port",
        format: "nginx-combined-port",
        line: nginx,
    },
    Log {
        name: "Apache, combined and port",
        format: "apache-combined-port",
        line: nginx,
    },
    Log {
        name: "Apache, virtual host, combined and port",
        format: "apache-vhost-combined-port",
        line: vhost,
    },
    Log {
        name: "nginx, milliseconds, no quotes",
        format: "nginx:$msec $remote_addr $remote_port $server_addr $server_port $request_time",
        line: milliseconds,
    },
    Log {
        name: "connections",
        format: "connection",
        line: connection,
    },
    Log {
        name: "connections, portledger watch",
        format: "connection",
        line: watched,
    },
    Log {
        name: "connections, portledger watch, rsyslog",
        format: "connection",
        line: carried,
    },
    Log {
        name: "sshd, rsyslog",
        format: "sshd",
        line: sshd,
    },
];

/// Seconds into the log and that time of day.
fn clock(number: u64) -> (u64, u64, u64) {
    let second = number / RATE;
    (second / 3_600 % 24, second / 60 % 60, second % 60)
}

fn nginx(numbers: &mut Numbers, number: u64, line: &mut String) {
    let (hour, minute, second) = clock(number);
    let day = 1 + number / RATE / 86_400 % 28;
    let user = if numbers.below(50) == 0 { "alice" } else { "-" };
    writeln!(
        line,
        "{} - {user} [{day:02}/Nov/2026:{hour:02}:{minute:02}:{second:02} +0100] \"GET {} HTTP/1.1\" {} {} \"{}\" \"{}\" {}",
        numbers.address(),
        numbers.of(PATHS),
        [200, 200, 200, 304, 404][usize::try_from(numbers.below(5)).unwrap()],
        numbers.below(100_000),
        numbers.of(REFERERS),
        numbers.of(AGENTS),
        numbers.port(),
    )
    .unwrap();
}

fn vhost(numbers: &mut Numbers, number: u64, line: &mut String) {
    line.push_str("www.example.org:443 ");
    nginx(numbers, number, line);
}

fn milliseconds(numbers: &mut Numbers, number: u64, line: &mut String) {
    writeln!(
        line,
        "{}.{:03} {} {} 192.0.2.80 443 0.{:03}",
        1_795_258_402 + number / RATE,
        numbers.below(1_000),
        numbers.address(),
        numbers.port(),
        numbers.below(1_000),
    )
    .unwrap();
}

fn connection(numbers: &mut Numbers, number: u64, line: &mut String) {
    writeln!(
        line,
        "{}{:03} {} {} 192.0.2.80 443 {:016x}",
        1_795_258_402 + number / RATE,
        numbers.below(1_000),
        numbers.address(),
        numbers.port(),
        numbers.next(),
    )
    .unwrap();
}

fn watched(numbers: &mut Numbers, number: u64, line: &mut String) {
    writeln!(
        line,
        "{}.{:06} {} {} 192.0.2.80 443 tcp",
        1_795_258_402 + number / RATE,
        numbers.below(1_000_000),
        numbers.address(),
        numbers.port(),
    )
    .unwrap();
}

fn carried(numbers: &mut Numbers, number: u64, line: &mut String) {
    let (hour, minute, second) = clock(number);
    write!(
        line,
        "2026-11-21T{hour:02}:{minute:02}:{second:02}.{:06}+01:00 host portledger-watch[77]: ",
        numbers.below(1_000_000),
    )
    .unwrap();
    watched(numbers, number, line);
}

fn sshd(numbers: &mut Numbers, number: u64, line: &mut String) {
    let (hour, minute, second) = clock(number);
    let (address, port) = (numbers.address(), numbers.port());
    let what = match numbers.below(3) {
        0 => format!("Invalid user oracle from {address} port {port}"),
        1 => format!("Failed password for invalid user oracle from {address} port {port} ssh2"),
        _ => {
            format!("Connection closed by authenticating user root {address} port {port} [preauth]")
        }
    };
    writeln!(
        line,
        "2026-11-21T{hour:02}:{minute:02}:{second:02}.{:06}+01:00 host sshd[{}]: {what}",
        numbers.below(1_000_000),
        1_000 + numbers.below(30_000),
    )
    .unwrap();
}

fn main() {
    // Cargo adds an option of its own.
    let arguments = env::args().skip(1).filter(|given| given != "--bench");
    let arguments: Vec<String> = arguments.collect();
    if let [verb, lines, file] = arguments.as_slice()
        && verb == "write"
    {
        write(lines.parse().unwrap(), file);
        return;
    }
    let count: u64 = arguments
        .iter()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(1_000_000);
    let name = arguments.iter().find(|given| given.parse::<u64>().is_err());
    let logs = LOGS
        .iter()
        .filter(|log| name.is_none_or(|name| log.name.contains(name)));
    for log in logs {
        let text = text(log, count);
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let best = (0..5).map(|_| read(log, &lines)).min().unwrap();
        let seconds = best.as_secs_f64();
        println!(
            "{:<40} {:>6.2} million lines/s  {:>5.2} GB/s  {:>4.0} ns and {:.0} bytes a line",
            log.name,
            count as f64 / seconds / 1e6,
            text.len() as f64 / seconds / 1e9,
            seconds * 1e9 / count as f64,
            text.len() as f64 / count as f64,
        );
    }
}

fn text(log: &Log, count: u64) -> Vec<u8> {
    let mut numbers = Numbers(1);
    let mut text = String::new();
    (0..count).for_each(|number| (log.line)(&mut numbers, number, &mut text));
    text.into_bytes()
}

/// The processor's time for reading every line of a log; all are sightings.
fn read(log: &Log, lines: &[&[u8]]) -> Duration {
    let mut reader = Reader::new(
        Format::parse(log.format).unwrap(),
        Options::new("access.log"),
    );
    let (began, wall) = (processor_time(), Instant::now());
    for (line, number) in lines.iter().zip(1..) {
        let reading = black_box(reader.line(black_box(line), number));
        assert!(matches!(reading, Reading::Sighting(_)), "{reading:?}");
    }
    match (began, processor_time()) {
        (Some(began), Some(ended)) => ended - began,
        _ => wall.elapsed(),
    }
}

/// What this process had of the processor: its first number in `/proc/self/schedstat`, in nanoseconds.
fn processor_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanoseconds = text.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

fn write(count: u64, file: &str) {
    let mut output = BufWriter::with_capacity(1 << 20, File::create(file).unwrap());
    let (mut numbers, mut line) = (Numbers(1), String::new());
    for number in 0..count {
        line.clear();
        nginx(&mut numbers, number, &mut line);
        output.write_all(line.as_bytes()).unwrap();
    }
    output.flush().unwrap();
}
