//! What the tests of several files need.

use jiff::tz::TimeZone;

use crate::{Format, Options, Reader, Reading};

/// One line of text for each line read: short, so that a snapshot shows all that matters.
pub(crate) fn show(reading: &Reading) -> String {
    match reading {
        Reading::Skipped(skip) => format!("skipped: {skip}"),
        Reading::Rejected(rejection) => format!("rejected: {rejection}"),
        Reading::Sighting(sighting) => {
            let text = serde_json::to_string(sighting).unwrap();
            // The source is the same in all.
            text.split_once(r#"},"#)
                .unwrap()
                .1
                .trim_end_matches('}')
                .to_owned()
        }
    }
}

pub(crate) fn read_lines(format: &str, zone: Option<TimeZone>, lines: &[&str]) -> String {
    let mut options = Options::new("x.log");
    options.zone = zone;
    options.reference = Some("2026-11-21T12:00:00Z".parse().unwrap());
    let mut reader = Reader::new(Format::parse(format).unwrap(), options);
    let mut text = String::new();
    for (line, number) in lines.iter().zip(1..) {
        text += &show(&reader.line(line.as_bytes(), number));
        text += "\n";
    }
    if let Some(reading) = reader.end() {
        text += "at the end: ";
        text += &show(&reading);
        text += "\n";
    }
    text
}
