//! Rotated logs: packed by whichever program, put together, cut short, or of last year.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use std::{
    fs::File,
    io::Write as _,
    time::{Duration, UNIX_EPOCH},
};

use flate2::{Compression, GzBuilder};
use support::{Ended, Place};

const FORMAT: &str = "--format=nginx-combined-port";

/// So many lines, the first of them with port 1024.
fn log(lines: usize) -> String {
    (0..lines)
        .map(|number| {
            format!(
                "203.0.113.7 - - [01/Jun/2024:12:01:00 +0000] \"GET /{:x} HTTP/1.1\" 200 5 \"-\" \"curl/8\" {}\n",
                number * 7_919,
                1_024 + number
            )
        })
        .collect()
}

fn gzip(text: &str, written: u32) -> Vec<u8> {
    let mut packer = GzBuilder::new()
        .mtime(written)
        .write(Vec::new(), Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

fn xz(text: &str) -> Vec<u8> {
    let mut packer = liblzma::write::XzEncoder::new(Vec::new(), 6);
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

fn bzip2(text: &str) -> Vec<u8> {
    let mut packer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

fn zstd(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 3).unwrap()
}

type Packer = fn(&str) -> Vec<u8>;

fn packers() -> [(&'static str, Packer); 4] {
    [
        ("gzip", |text| gzip(text, 0)),
        ("xz", xz),
        ("bzip2", bzip2),
        ("zstd", zstd),
    ]
}

fn ports(ended: &Ended) -> Vec<u64> {
    let lines = ended.json_lines().into_iter();
    lines.map(|line| line["port"].as_u64().unwrap()).collect()
}

#[test]
fn a_packed_log_is_told_by_how_it_begins() {
    let place = Place::new();
    let text = log(2_000);
    place.write("plain", &text);
    let plain = place
        .run(&["sightings", "--json", FORMAT, "plain"])
        .with_status(0);
    for (name, pack) in packers() {
        // Two files put together, as a day's are to make a month's.
        let (one, other) = text.split_at(text.find("1999").unwrap() + 5);
        place.write("log", [pack(one), pack(other)].concat());
        let ended = place
            .run(&["sightings", "--json", FORMAT, "log"])
            .with_status(0);
        assert_eq!(
            ended
                .stdout
                .replace("\"file\":\"log\"", "\"file\":\"plain\""),
            plain.stdout,
            "{name}"
        );
        // On standard input, and guessed.
        let ended = place
            .run_with_input(&["sightings", "--count", "-"], &pack(&text))
            .with_status(0);
        assert_eq!(ended.stdout, "2000\n", "{name}");
    }
}

#[test]
fn a_packed_log_that_is_cut_short_is_read_as_far_as_it_goes_and_said() {
    let place = Place::new();
    let text = log(4_000);
    for (name, pack) in packers() {
        let mut packed = pack(&text);
        packed.truncate(packed.len() * 9 / 10);
        place.write("log", packed);
        let ended = place
            .run(&["sightings", "--json", FORMAT, "log", "--rejects", "rejects"])
            .with_status(1);
        assert!(
            ended.stderr.contains("log: it is cut short or damaged"),
            "{name}: {}",
            ended.stderr
        );
        let found = ports(&ended);
        // bzip2 packs 900,000 bytes at once: then there is nothing before the cut.
        assert!(
            name == "bzip2" || found.len() > 1_000,
            "{name}: {}",
            found.len()
        );
        // The line in which it breaks off is in no answer: half of a port is another port.
        let whole: Vec<u64> = (1_024..).take(found.len()).collect();
        assert_eq!(found, whole, "{name}");
        let rest = place.read("rejects");
        assert!(
            text.contains(&rest) && !rest.contains('\n'),
            "{name}: {rest}"
        );
        // Also of the questions: the exit status of what is not whole.
        let ended = place
            .run_with_input(&["strip", FORMAT, "log"], b"")
            .with_status(1);
        assert_eq!(
            ended.stdout.lines().count(),
            found.len() + usize::from(!rest.is_empty())
        );
    }
}

#[test]
fn damage_and_lines_without_end_take_no_memory_and_stop_nothing_before_them() {
    let place = Place::new();
    let text = log(10);
    // 64 MiB without an end of line.
    let bomb = format!("{text}{}\n{text}", "0".repeat(64 << 20));
    place.write("bomb", gzip(&bomb, 0));
    let ended = place
        .run(&["sightings", "--json", FORMAT, "bomb"])
        .with_status(0);
    assert_eq!(ended.json_lines().len(), 20);
    assert_eq!(ended.json_lines()[10]["source"]["line"], 12);
    assert!(ended.stderr.contains("line 11, byte"), "{}", ended.stderr);
    // What follows a member is no other one.
    place.write("tail", [gzip(&text, 0), b"tail".to_vec()].concat());
    let ended = place
        .run(&["sightings", "--count", FORMAT, "tail"])
        .with_status(1);
    assert_eq!(ended.stdout, "10\n");
    // Tapes are filled up with zeros.
    place.write("tape", [gzip(&text, 0), vec![0; 512]].concat());
    let ended = place
        .run(&["sightings", "--count", FORMAT, "tape"])
        .with_status(0);
    assert_eq!(ended.stdout, "10\n");
}

const DECEMBER: &str = "Dec 31 23:59:58 host sshd[1]: Failed none for invalid user x from 203.0.113.7 port 1050 ssh2\n";
const JANUARY: &str = "Jan  2 12:00:00 host sshd[1]: Failed none for invalid user x from 203.0.113.7 port 1051 ssh2\n";
/// 2019-01-01T00:00:10Z and 2019-01-03T00:00:00Z.
const NEW_YEAR: u64 = 1_546_300_810;
const THIRD: u64 = 1_546_473_600;

fn times(place: &Place, file: &str) -> Vec<String> {
    let args = ["sightings", "--json", "--format=sshd", "--zone=UTC", file];
    let lines = place.run(&args).with_status(0).json_lines().into_iter();
    lines
        .map(|line| line["at"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn dates_without_a_year_are_of_the_year_in_which_the_file_was_written() {
    let place = Place::new();
    let written = |name: &str, seconds| {
        let file = File::options().write(true).open(place.path(name)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))
            .unwrap();
    };
    let expected = ["2018-12-31T23:59:58.000Z", "2019-01-02T12:00:00.000Z"];
    place.write("log", format!("{DECEMBER}{JANUARY}"));
    written("log", THIRD);
    assert_eq!(times(&place, "log"), expected);
    // Packed without a time in it: the file's own.
    place.write("log.xz", xz(&format!("{DECEMBER}{JANUARY}")));
    written("log.xz", THIRD);
    assert_eq!(times(&place, "log.xz"), expected);
    // Each member of gzip has its own, whenever the file was copied.
    let members = [
        gzip(DECEMBER, u32::try_from(NEW_YEAR).unwrap()),
        gzip(JANUARY, u32::try_from(THIRD).unwrap()),
    ];
    place.write("log.gz", members.concat());
    assert_eq!(times(&place, "log.gz"), expected);
}
