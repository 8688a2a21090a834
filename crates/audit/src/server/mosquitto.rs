//! Mosquitto: a notice a connection, with the port and seconds since 1970, unasked.

use std::time::Duration;

use super::{FixError, Instance, Log, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, Facts, Finding, Machine, Records, Rule, WrittenZone,
    edits::Edits,
    lines::{Continues, Line, Lines, Setting},
    machine::{debian_version, version_in},
    records::zone_of_strftime,
    syslog::{Route, Syslog, known},
};

/// Eclipse Mosquitto.
#[derive(Debug)]
pub(super) struct Mosquitto;

impl Server for Mosquitto {
    fn facts(&self) -> &'static Facts {
        facts!("mosquitto.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("mosquitto.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/mosquitto/mosquitto.conf",
            "/usr/local/etc/mosquitto/mosquitto.conf",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("mosquitto.conf") || text.contains("persistence_location ")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let options = Options::read(machine, path)?;
        let mut findings = options.lines.findings.clone();
        let tells = options.tells();
        let (zone, step) = options.time();
        // `New connection from ADDRESS:PORT on port 1883.`
        let records = Records {
            source_address: tells,
            ..Records::of_client(tells).serving(true)
        };
        if let Some((line, _)) = options
            .last("connection_messages")
            .filter(|_| !options.has_messages())
        {
            findings.push(Finding::at(
                Rule::NoLog,
                &line.place,
                "connection_messages is off: no line of who connects",
            ));
        }
        let mut logs = Vec::new();
        for (_, destination) in options.every("log_dest") {
            let mut words = destination.value.split_whitespace();
            match (words.next(), words.next()) {
                (Some("file"), Some(file)) => logs.push(Log {
                    path: file.to_owned(),
                    is_file: true,
                    records: records.timed(zone, step),
                    is_covered: false,
                    format: known("mosquitto"),
                }),
                (Some("syslog"), _) => {
                    let facility = options
                        .last("log_facility")
                        .map(|(_, setting)| setting.value);
                    let facility = match facility.as_deref() {
                        // mosquitto.conf(5): local0 to local7 by their number.
                        Some(number) if number.len() == 1 => format!("local{number}"),
                        _ => "daemon".to_owned(),
                    };
                    let route = Syslog::read(machine).route(&facility, "notice");
                    logs.push(route.log(records, None, &mut findings));
                }
                (Some("stdout" | "stderr"), _) => {
                    logs.push(Route::journal().log(records, None, &mut findings));
                }
                _ => {}
            }
        }
        if options.every("log_dest").next().is_none() {
            logs.push(Route::journal().log(records, None, &mut findings));
        }
        Ok(Instance {
            version: version(machine),
            config: options.lines.files,
            logs,
            findings,
        })
    }

    fn promise(&self) -> Promise {
        Promise::Port
    }

    fn plan(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        planned(machine, path)
    }
}

/// The change, before it is held against what comes of it.
fn planned(machine: &dyn Machine, path: &str) -> Result<Change, FixError> {
    let options = Options::read(machine, path)?;
    let mut edits = Edits::default();
    let mut destinations = options.every("log_dest");
    if options.every("log_dest").next().is_some() && destinations.all(|(_, it)| it.value == "none")
    {
        return Err(FixError::ByHand {
            why: format!("{path}: log_dest none throws all lines away: name a file"),
        });
    }
    let turn_on = |name: &str, is_on: bool, edits: &mut Edits| {
        if let Some((line, setting)) = options.last(name).filter(|_| !is_on) {
            edits.replace_in(&options.lines, line, setting.range, "true");
        }
    };
    turn_on("connection_messages", options.has_messages(), &mut edits);
    turn_on("log_timestamp", options.has_time(), &mut edits);
    if !options.has_notices() {
        edits.append(&options.lines, path, "log_type notice");
    }
    if let Some((line, setting)) = options.last("log_timestamp_format")
        && zone_of_strftime(&setting.value) == WrittenZone::Local
    {
        let end = setting.range.end;
        edits.replace_in(&options.lines, line, end..end, "%z");
    }
    let mut remarks = Vec::new();
    for (_, it) in options.every("log_dest") {
        if it.value == "syslog" {
            let syslog = Syslog::read(machine);
            let route = syslog.route("daemon", "notice");
            syslog.correct(&route, &mut edits);
            remarks.extend(route.remark());
        }
    }
    Ok(Change {
        edits: edits.finish()?,
        check: None,
        reload: "systemctl restart mosquitto".to_owned(),
        remarks,
    })
}

fn version(machine: &dyn Machine) -> Option<String> {
    let said = machine.run("mosquitto", &["-h"]);
    said.and_then(|output| version_in(&output.stdout))
        .or_else(|| debian_version(machine, &["mosquitto"]))
}

struct Options {
    lines: Lines,
}

impl Options {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let include = |line: &Line| {
            let folder = line.is("include_dir", ' ').map(|it| it.value);
            let folder = folder.iter();
            folder
                .map(|folder| format!("{}/*.conf", folder.trim_end_matches('/')))
                .collect()
        };
        let lines = Lines::read(machine, path, Continues::Never, &include)?;
        Ok(Self { lines })
    }

    fn every<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Line, Setting)> {
        let lines = self.lines.all.iter();
        lines.filter_map(move |line| Some((line, line.is(name, ' ')?)))
    }

    fn last(&self, name: &str) -> Option<(&Line, Setting)> {
        self.lines.last(name, ' ')
    }

    fn is_not_off(&self, name: &str) -> bool {
        self.last(name)
            .is_none_or(|(_, setting)| setting.value != "false")
    }

    fn has_messages(&self) -> bool {
        self.is_not_off("connection_messages")
    }

    fn has_time(&self) -> bool {
        self.is_not_off("log_timestamp")
    }

    /// Notices are among the default types.
    fn has_notices(&self) -> bool {
        let mut types = self
            .every("log_type")
            .map(|(_, setting)| setting.value)
            .peekable();
        types.peek().is_none() || types.any(|it| it == "notice" || it == "all")
    }

    fn tells(&self) -> bool {
        self.has_messages() && self.has_notices()
    }

    fn time(&self) -> (WrittenZone, Option<Duration>) {
        let step = Some(Duration::from_secs(1));
        match self.last("log_timestamp_format") {
            _ if !self.has_time() => (WrittenZone::Missing, None),
            None => (WrittenZone::Utc, step),
            Some((_, setting)) => (zone_of_strftime(&setting.value), step),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, law_of_fixes, never_panics};

    const PATH: &str = "/etc/mosquitto/mosquitto.conf";

    fn image(conf: &str) -> Image {
        Image::default()
            .with(PATH, "log_dest file /var/log/mosquitto/mosquitto.log\ninclude_dir /etc/mosquitto/conf.d\n")
            .with("/etc/mosquitto/conf.d/own.conf", conf)
    }

    #[test]
    fn the_port_is_there_unasked() {
        let plain = image("listener 1883\n");
        let log = &Mosquitto.look(&plain, PATH).unwrap().logs[0];
        assert!(log.records.are_enough() && log.records.destination_port);
        assert_eq!(law_of_fixes(&Mosquitto, &plain, PATH, true), "");
    }

    #[test]
    fn what_was_switched_off_is_switched_on() {
        let image = image(
            "connection_messages false\nlog_type error\nlog_timestamp_format %Y-%m-%dT%H:%M:%S\n",
        );
        assert!(
            !Mosquitto.look(&image, PATH).unwrap().logs[0]
                .records
                .source_port
        );
        insta::assert_snapshot!(law_of_fixes(&Mosquitto, &image, PATH, true));
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(
            &Mosquitto,
            &[PATH],
            &[
                "log_dest",
                "file",
                "syslog",
                "none",
                "log_type",
                "log_timestamp",
                "log_timestamp_format",
                "connection_messages",
                "false",
                "include_dir",
                "log_facility",
            ],
        );
    }
}
