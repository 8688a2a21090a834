//! Any text as a web server's configuration, which includes itself at times.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portledger_servers::{
    Format,
    config::{Definitions, Place, apache, nginx},
};

const FILE: &str = "fuzz.conf";

fuzz_target!(|text: &str| {
    let mut include = |name: &str| match name {
        "missing" => Err("no such file".to_owned()),
        "everything" => Ok(vec![(FILE.to_owned(), text.to_owned())]),
        rest => Ok(vec![("included.conf".to_owned(), rest.to_owned())]),
    };
    let lines = text.split('\n').count() as u64;
    for read in [nginx, apache] {
        match read(FILE, text, &mut include) {
            Ok(definitions) => check(&definitions, lines),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});

fn check(definitions: &Definitions, lines: u64) {
    let formats = definitions
        .formats
        .iter()
        .map(|one| (&one.format, &one.place));
    let logs = definitions.logs.iter().map(|log| (&log.format, &log.place));
    for (format, place) in formats.chain(logs) {
        check_place(place, lines);
        match format {
            Ok(format) => check_name(format),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn check_place(place: &Place, lines: u64) {
    let last = if &*place.file == FILE {
        lines
    } else {
        u64::MAX
    };
    assert!((1..=last).contains(&place.line), "{place} of {lines} lines");
}

/// A format can be said again by its name.
fn check_name(format: &Format) {
    let same = Format::parse(format.name());
    assert_eq!(
        same.map(|same| same.has_port()),
        Ok(format.has_port()),
        "{format}"
    );
}
