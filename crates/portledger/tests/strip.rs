//! `portledger strip`: what comes out is what the server would have written without the port, line
//! by line as it comes, and old programs read it as if the port had never been there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use support::Place;

const FORMAT: [&str; 3] = ["strip", "--format", "nginx-combined-port"];

/// A day's log with the port and the same day's without, whatever clients call themselves.
fn logs() -> (String, String) {
    let (mut with, mut without) = (String::new(), String::new());
    let agents = [
        "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
        "curl/8.10.1",
        r"x\x22 4242",
        "EmailSiphon",
    ];
    let addresses = ["192.0.2.7", "198.51.100.9", "203.0.113.80", "2001:db8::7"];
    for number in 0..60 {
        let (address, agent) = (addresses[number % 4], agents[number / 4 % 4]);
        let user = if number % 9 == 0 { "alice" } else { "-" };
        let (minute, second) = (number, number * 7 % 60);
        let path = if number % 5 == 0 {
            "phpmyadmin/index.php"
        } else {
            "page.html"
        };
        let status = if number % 5 == 0 { 404 } else { 200 };
        let line = format!(
            "{address} - {user} [03/Jun/2024:10:{minute:02}:{second:02} +0000] \"GET /{path} HTTP/1.1\" {status} 512 \"-\" \"{agent}\""
        );
        writeln!(with, "{line} {}", 1_024 + number * 37).unwrap();
        writeln!(without, "{line}").unwrap();
    }
    (with, without)
}

#[test]
fn the_log_is_the_one_without_the_port_and_other_lines_pass() {
    let place = Place::new();
    let (with, without) = logs();
    place.write("access.log", format!("first\n{with}last"));
    let mut args = FORMAT.to_vec();
    args.push("access.log");
    let ended = place.run(&args).with_status(0);
    assert_eq!(ended.stdout, format!("first\n{without}last"));
    assert!(
        ended.stderr.contains("60 lines stripped; 2 are not"),
        "{}",
        ended.stderr
    );
    // None at all: the format is wrong, and whoever reads the pipe gets the port.
    let ended = place
        .run_with_input(&FORMAT, without.as_bytes())
        .with_status(1);
    assert_eq!(ended.stdout, without);
}

#[test]
fn the_format_may_come_from_the_server_and_must_have_a_port_to_take_out() {
    let place = Place::new();
    let (with, without) = logs();
    place.write(
        "nginx.conf",
        "http {\n log_format ports '$remote_addr - $remote_user [$time_local] \"$request\" '\n\
         '$status $body_bytes_sent \"$http_referer\" \"$http_user_agent\" $remote_port';\n\
         access_log /var/log/nginx/access.log ports;\n}\n",
    );
    let args = [
        "strip",
        "--config",
        "nginx.conf",
        "--log",
        "/var/log/nginx/access.log",
    ];
    let ended = place.run_with_input(&args, with.as_bytes()).with_status(0);
    assert_eq!(ended.stdout, without);
    for format in ["nginx-combined", "sshd", "no-such"] {
        place
            .run_with_input(&["strip", "--format", format], b"")
            .with_status(2);
    }
}

#[test]
fn a_line_goes_out_before_the_next_one_comes() {
    let (with, without) = logs();
    let mut child = Command::new(env!("CARGO_BIN_EXE_portledger"))
        .args(FORMAT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for (with, without) in with
        .split_inclusive('\n')
        .zip(without.split_inclusive('\n'))
    {
        // A line may also come in two halves.
        let (one, other) = with.as_bytes().split_at(with.len() / 2);
        input.write_all(one).unwrap();
        input.write_all(other).unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, without);
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_line_that_is_too_long_passes_whole() {
    let long = "x".repeat(3 << 20);
    let (with, without) = logs();
    let place = Place::new();
    place.write("log", format!("{long}\n{with}"));
    let ended = place
        .run(&["strip", "--format", "nginx-combined-port", "log"])
        .with_status(0);
    assert!(ended.stdout == format!("{long}\n{without}"));
    assert!(ended.stderr.contains("; 1 are not"), "{}", ended.stderr);
}

/// Where a program is; else the test is skipped, and says so past the harness.
fn program(name: &str) -> Option<String> {
    let folders = ["/usr/bin", "/usr/local/bin", "/usr/lib/cgi-bin"];
    let found = folders
        .iter()
        .map(|folder| format!("{folder}/{name}"))
        .find(|path| Path::new(path).is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("PORTLEDGER_E2E").is_none_or(|value| value != "1"),
            "no program {name}"
        );
        let test = std::thread::current().name().unwrap_or("test").to_owned();
        let line = format!("SKIPPED {test}: no program {name}; run cargo xtask test\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    found
}

/// A place with the log without the port (`old.log`), with it (`new.log`), and the second stripped.
fn three_logs() -> Place {
    let place = Place::new();
    let (with, without) = logs();
    let stripped = place
        .run_with_input(&FORMAT, with.as_bytes())
        .with_status(0);
    place.write("old.log", without);
    place.write("new.log", with);
    place.write("stripped.log", stripped.stdout);
    place
}

/// What a program says that reads the log on standard input, or finds it by `{}` in its arguments.
fn says(place: &Place, program: &str, args: &[&str], log: &str) -> String {
    let args = args.iter().map(|argument| argument.replace("{}", log));
    let output = Command::new(program)
        .args(args)
        .current_dir(place.path(""))
        .stdin(std::fs::File::open(place.path(log)).unwrap())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// The lines of a text that have one of these words.
fn lines_with(text: &str, words: &[&str]) -> Vec<String> {
    let wanted = |line: &&str| words.iter().any(|word| line.contains(word));
    text.lines().filter(wanted).map(str::to_owned).collect()
}

#[test]
fn goaccess_counts_the_same() {
    let Some(goaccess) = program("goaccess") else {
        return;
    };
    let place = three_logs();
    let counts = |log: &str| {
        let args = [
            "--no-global-config",
            "--log-format=COMBINED",
            "-o",
            "{}.json",
            "-",
        ];
        says(&place, &goaccess, &args, log);
        let mut report: Value = serde_json::from_str(&place.read(&format!("{log}.json"))).unwrap();
        assert_eq!(report["general"]["valid_requests"], 60);
        (report["requests"].take(), report["hosts"].take())
    };
    assert_eq!(counts("stripped.log"), counts("old.log"));
}

#[test]
fn awstats_counts_the_same() {
    let Some(awstats) = program("awstats.pl") else {
        return;
    };
    let place = three_logs();
    let portledger = env!("CARGO_BIN_EXE_portledger");
    let counts = |name: &str, source: &str| {
        std::fs::create_dir(place.path(name)).unwrap();
        let here = place.path(name).display().to_string();
        place.write(
            &format!("{name}/awstats.{name}.conf"),
            format!(
                "LogFile=\"{source}\"\nLogType=W\nLogFormat=1\nSiteDomain=\"www.example.org\"\n\
                 HostAliases=\"www.example.org\"\nDNSLookup=0\nDirData=\"{here}\"\n"
            ),
        );
        let args = [
            "-update",
            &format!("-config={name}"),
            &format!("-configdir={here}"),
        ];
        let said = says(&place, &awstats, &args, "old.log");
        let found = lines_with(&said, &["corrupted records", "new qualified records"]);
        assert_eq!(found.len(), 2, "{said}");
        found
    };
    let old = counts("old", "old.log");
    // AWStats reads a pipe itself.
    let strip = format!("{portledger} strip --format nginx-combined-port new.log |");
    assert_eq!(counts("pipe", &strip), old);
}

#[test]
fn analog_counts_the_same_and_could_not_without() {
    let Some(analog) = program("analog") else {
        return;
    };
    let place = three_logs();
    let counts = |log: &str| {
        let args = ["-G", "+COUTPUT PLAIN", "+CLANGUAGE ENGLISH", "{}"];
        let said = says(&place, &analog, &args, log);
        lines_with(
            &said,
            &[
                "uccessful requests:",
                "orrupt logfile lines:",
                "istinct hosts",
            ],
        )
    };
    let old = counts("old.log");
    assert!(!old.is_empty());
    assert_eq!(counts("stripped.log"), old);
    assert_ne!(counts("new.log"), old);
}

#[test]
fn fail2ban_finds_the_same_and_would_not_without() {
    let Some(fail2ban) = program("fail2ban-regex") else {
        return;
    };
    let place = three_logs();
    for filter in ["apache-badbots", "nginx-botsearch"] {
        let found = |log: &str| {
            let said = says(&place, &fail2ban, &["{}", filter], log);
            let lines = lines_with(&said, &["Lines: "]);
            assert_eq!(lines.len(), 1, "{said}");
            // What follows is how long it took.
            lines[0].split('[').next().unwrap().to_owned()
        };
        let old = found("old.log");
        assert_eq!(found("stripped.log"), old, "{filter}");
        assert!(!old.contains(" 0 matched"), "{old}");
        if filter == "apache-badbots" {
            assert!(found("new.log").contains(" 0 matched"));
        }
    }
}
