//! AWStats and Analog, tried on the log's lines with the port and without, where they are
//! installed; else judged by what is known of them.

use super::{LogReader, Sample};
use crate::{
    Log,
    machine::{Machine, text},
};

/// What a program made of the lines: how many it took, how many it could not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Taken {
    good: u64,
    corrupt: u64,
}

/// A try is a success where the lines with the port come to what the same lines come to without
/// it, or to no corrupt one where there is nothing to compare with.
fn compared(sample: &Sample, taken: impl Fn(&str) -> Option<Taken>) -> Option<(bool, String)> {
    let with = taken(&sample.lines)?;
    let lines = sample.count;
    let Taken { good, corrupt } = with;
    Some(match sample.stripped.as_deref().and_then(&taken) {
        Some(without) => (
            with == without,
            format!(
                "of {lines} recent lines {good} were taken and {corrupt} were corrupt to it; of the same lines without the port {} and {}",
                without.good, without.corrupt
            ),
        ),
        None => (
            corrupt == 0,
            format!("of {lines} recent lines {good} were taken and {corrupt} were corrupt to it"),
        ),
    })
}

/// Where AWStats is, by distributions and by its own installation.
const AWSTATS: &[&str] = &[
    "/usr/lib/cgi-bin/awstats.pl",
    "/usr/share/awstats/wwwroot/cgi-bin/awstats.pl",
    "/usr/local/awstats/wwwroot/cgi-bin/awstats.pl",
];

/// AWStats keeps a database: this one is given a folder that is gone afterwards. `$0` is AWStats,
/// `$1` the configuration, which a value in front gives way to and one behind does not.
const TRY_AWSTATS: &str = r#"set -e
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT
cat > "$at/log"
printf 'SiteDomain="localhost"\nInclude "%s"\nLogFile="%s/log"\nDirData="%s"\nDNSLookup=0\nPurgeLogFile=0\nArchiveLogRecords=0\n' "$1" "$at" "$at" > "$at/awstats.try.conf"
perl "$0" -update -config=try -configdir="$at"
"#;

/// Each configuration of AWStats that names this log.
pub(super) fn awstats(machine: &dyn Machine, log: &Log, sample: Option<&Sample>) -> Vec<LogReader> {
    let files = machine.glob("/etc/awstats/awstats*.conf");
    let own = machine.glob("/etc/awstats/awstats*.conf.local");
    files
        .into_iter()
        .chain(own)
        .filter_map(|file| {
            let words = text(machine, &file).ok()?;
            let value = |name: &str| {
                let mut lines = words.lines();
                lines.find_map(|line| {
                    Some(line.trim().strip_prefix(name)?.trim_matches('"').to_owned())
                })
            };
            if value("LogFile=")? != log.path {
                return None;
            }
            let format = value("LogFormat=").unwrap_or_default();
            let tried = sample.and_then(|sample| tried_by_awstats(machine, &file, sample));
            let (understands, why) = match tried {
                Some((is_so, why)) => (Some(is_so), why),
                None if format == "1" => (
                    Some(true),
                    "LogFormat=1 takes no notice of a column behind the last".to_owned(),
                ),
                None => (
                    None,
                    format!(
                        "LogFormat={format}: not tried: it is not installed, or the log has no lines yet"
                    ),
                ),
            };
            Some(LogReader {
                name: "AWStats".to_owned(),
                config: file,
                understands,
                why,
            })
        })
        .collect()
}

fn tried_by_awstats(
    machine: &dyn Machine,
    config: &str,
    sample: &Sample,
) -> Option<(bool, String)> {
    let mut places = AWSTATS.iter();
    let program = places.find(|place| !machine.glob(place).is_empty())?;
    compared(sample, |lines| {
        let arguments = ["-c", TRY_AWSTATS, program, config];
        let said = machine.feed("sh", &arguments, lines)?.stdout;
        // ` Found 2 new qualified records.`
        let found = |what: &str| {
            let line = said.lines().find(|line| line.trim().contains(what))?;
            line.trim()
                .strip_prefix("Found ")?
                .split(' ')
                .next()?
                .parse()
                .ok()
        };
        Some(Taken {
            good: found(" new qualified records")?,
            corrupt: found(" corrupted records")?,
        })
    })
}

/// Analog, where its configuration names this log. It reads more than it is given where it is
/// given its configuration, so that it is told the format alone.
pub(super) fn analog(
    machine: &dyn Machine,
    log: &Log,
    sample: Option<&Sample>,
) -> Option<LogReader> {
    const CONFIG: &str = "/etc/analog.cfg";
    let words = text(machine, CONFIG).ok()?;
    let commands: Vec<&str> = words.lines().map(str::trim).collect();
    let is_log = |line: &&str| line.strip_prefix("LOGFILE ").map(str::trim) == Some(&*log.path);
    let at = commands.iter().position(is_log)?;
    // Those above the log are its own.
    let above = commands.get(..at).unwrap_or_default();
    let formats: Vec<&str> = above
        .iter()
        .copied()
        .filter(|line| line.starts_with("LOGFORMAT ") || line.starts_with("APACHELOGFORMAT "))
        .collect();
    let (understands, why) =
        match sample.and_then(|sample| tried_by_analog(machine, &formats, sample)) {
            Some(tried) => tried,
            None => by_rule(log, &formats),
        };
    Some(LogReader {
        name: "Analog".to_owned(),
        config: CONFIG.to_owned(),
        understands: Some(understands),
        why,
    })
}

fn tried_by_analog(
    machine: &dyn Machine,
    formats: &[&str],
    sample: &Sample,
) -> Option<(bool, String)> {
    let formats: Vec<String> = formats.iter().map(|line| format!("+C{line}")).collect();
    let mut arguments = vec!["-G"];
    arguments.extend(formats.iter().map(String::as_str));
    arguments.extend(["+COUTPUT PLAIN", "+CLANGUAGE ENGLISH", "+CDNS NONE", "-"]);
    compared(sample, |lines| {
        let said = machine.feed("analog", &arguments, lines)?.stdout;
        // `Corrupt logfile lines: 2`, with commas in large numbers; not there where there are none.
        let counted = |what: &str| {
            let line = said
                .lines()
                .find_map(|line| line.trim().strip_prefix(what))?;
            let digits = line.split('(').next()?.trim().replace(',', "");
            digits.parse().ok()
        };
        Some(Taken {
            good: counted("Successful requests:")?,
            corrupt: counted("Corrupt logfile lines:").unwrap_or(0),
        })
    })
}

/// Analog finds the format by itself and does not with one more column, unless a LOGFORMAT line
/// ends in `%j`.
fn by_rule(log: &Log, formats: &[&str]) -> (bool, String) {
    let has_format = formats.iter().any(|line| line.contains("%j"));
    let why = match (has_format, log.records.source_port) {
        (true, _) => "its LOGFORMAT leaves the rest of the line out",
        (false, true) => {
            "it counts lines with one more column as corrupt: end its LOGFORMAT in %j, or give it 'portledger strip'"
        }
        (false, false) => "it knows this format",
    };
    (has_format || !log.records.source_port, why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Records, testing::Image};

    const PATH: &str = "/var/log/apache2/access.log";

    fn log() -> Log {
        Log {
            path: PATH.to_owned(),
            is_file: true,
            is_covered: false,
            records: Records::of_client(true),
            format: None,
        }
    }

    fn sample() -> Sample {
        Sample {
            lines: "with\n".to_owned(),
            stripped: Some("without\n".to_owned()),
            count: 1,
        }
    }

    #[test]
    fn analog_is_tried_with_the_format_that_stands_above_its_log() {
        let config = "LOGFORMAT (%S %j)\nLOGFILE /var/log/apache2/access.log\nLOGFORMAT (other)\n";
        let said =
            |good, bad| format!("Successful requests: {good}\nCorrupt logfile lines: {bad}\n");
        let command = |first| {
            format!(
                "analog -G +CLOGFORMAT (%S %j) +COUTPUT PLAIN +CLANGUAGE ENGLISH +CDNS NONE - < {first}"
            )
        };
        let image = Image::default().with("/etc/analog.cfg", config);
        let by_rule = analog(&image, &log(), Some(&sample())).unwrap();
        assert_eq!(by_rule.understands, Some(true), "{}", by_rule.why);
        let tried = image
            .clone()
            .printing(&command("with"), &said("0", "1"), "")
            .printing(&command("without"), "Successful requests: 1 (3)\n", "");
        let reader = analog(&tried, &log(), Some(&sample())).unwrap();
        assert_eq!(reader.understands, Some(false), "{}", reader.why);
        let reads = image
            .printing(&command("with"), &said("1,000", "2"), "")
            .printing(&command("without"), &said("1,000", "2"), "");
        let reader = analog(&reads, &log(), Some(&sample())).unwrap();
        assert_eq!(reader.understands, Some(true), "{}", reader.why);
        assert!(reader.why.contains("1000"), "{}", reader.why);
        // A log that it does not read.
        let other = Log {
            path: "/x".to_owned(),
            ..log()
        };
        assert_eq!(analog(&tried, &other, Some(&sample())), None);
    }

    #[test]
    fn awstats_is_tried_where_it_is() {
        let config = "/etc/awstats/awstats.conf";
        let image = Image::default().with(
            config,
            "LogFile=\"/var/log/apache2/access.log\"\nLogFormat=4\n",
        );
        let untried = awstats(&image, &log(), Some(&sample()));
        assert_eq!(untried[0].understands, None);
        let said = |good, bad| {
            format!(" Found {bad} corrupted records,\n Found {good} new qualified records.\n")
        };
        let command = |first| format!("sh -c {TRY_AWSTATS} {} {config} < {first}", AWSTATS[0]);
        let image = image
            .with(AWSTATS[0], "")
            .printing(&command("with"), &said(0, 1), "")
            .printing(&command("without"), &said(1, 0), "");
        let tried = awstats(&image, &log(), Some(&sample()));
        assert_eq!(tried[0].understands, Some(false), "{}", tried[0].why);
        let without = Sample {
            stripped: None,
            lines: "without\n".to_owned(),
            count: 1,
        };
        let tried = awstats(&image, &log(), Some(&without));
        assert_eq!(tried[0].understands, Some(true), "{}", tried[0].why);
    }
}
