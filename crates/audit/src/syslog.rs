//! Where a server's lines go that logs through syslog, and how times stand there: rsyslog's
//! configuration, syslog-ng's where it is simple, else the journal.

use std::{ops::Range, time::Duration};

use portledger_servers::{Format, WrittenZone};

use crate::{
    Finding, Log, Machine, Records, Rule,
    edits::Edits,
    lines::{Continues, Line, Lines, unquoted},
    machine::{folder, under},
};

mod rsyslog;
mod syslog_ng;

/// The machine's logger.
#[derive(Debug)]
pub(crate) struct Syslog {
    daemon: Daemon,
}

#[derive(Debug)]
enum Daemon {
    Rsyslog(Lines),
    SyslogNg(String),
    Journal,
}

/// Where lines of one facility go.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The file, or `journal`.
    pub(crate) path: String,
    pub(crate) is_file: bool,
    zone: WrittenZone,
    step: Option<Duration>,
    /// What stands in the configuration for the traditional form of time.
    traditional: Vec<(Line, Range<usize>)>,
    findings: Vec<Finding>,
}

const MICROSECOND: Duration = Duration::from_micros(1);
const SECOND: Duration = Duration::from_secs(1);

impl Syslog {
    pub(crate) fn read(machine: &dyn Machine) -> Self {
        let daemon = match rsyslog::read(machine) {
            Some(lines) => Daemon::Rsyslog(lines),
            None => match crate::machine::text(machine, "/etc/syslog-ng/syslog-ng.conf") {
                Ok(text) => Daemon::SyslogNg(text),
                Err(_) => Daemon::Journal,
            },
        };
        Self { daemon }
    }

    /// Where lines of a facility and a severity go: names as syslog.conf(5) has them.
    pub(crate) fn route(&self, facility: &str, severity: &str) -> Route {
        let facility = facility.to_ascii_lowercase();
        let found = match &self.daemon {
            Daemon::Rsyslog(lines) => rsyslog::route(lines, &facility, severity),
            Daemon::SyslogNg(text) => syslog_ng::route(text, &facility),
            Daemon::Journal => None,
        };
        found.unwrap_or_else(|| {
            let mut journal = Route::journal();
            if !matches!(self.daemon, Daemon::Journal) {
                journal.findings.push(Finding::new(
                    Rule::Remark,
                    format!("the syslog daemon's configuration names no file for {facility}.{severity}; the journal has these lines where systemd runs"),
                ));
            }
            journal
        })
    }

    /// Lets exact times be written where the route has traditional ones.
    pub(crate) fn correct(&self, route: &Route, edits: &mut Edits) {
        if let Daemon::Rsyslog(lines) = &self.daemon {
            for (line, place) in &route.traditional {
                edits.replace_in(lines, line, place.clone(), "RSYSLOG_FileFormat");
            }
        }
    }
}

impl Route {
    /// systemd's journal: microseconds since 1970.
    pub(crate) fn journal() -> Self {
        Self {
            path: "journal".to_owned(),
            is_file: false,
            zone: WrittenZone::Utc,
            step: Some(MICROSECOND),
            traditional: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Lines of month, day and second, local and without a year: syslog's of old, and of daemons
    /// that write the same into their own file.
    pub(crate) fn traditional(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            is_file: true,
            zone: WrittenZone::Local,
            step: Some(SECOND),
            traditional: Vec::new(),
            findings: vec![Finding::new(
                Rule::NoYear,
                format!("{path}: its times have neither year nor offset (`Nov 29 10:53:22`)"),
            )],
        }
    }

    fn exact(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            is_file: true,
            zone: WrittenZone::Offset,
            ..Self::journal()
        }
    }

    /// The log of a server that writes there. `format` is what `--format` takes for lines behind
    /// syslog's header.
    pub(crate) fn log(
        &self,
        records: Records,
        format: Option<&str>,
        findings: &mut Vec<Finding>,
    ) -> Log {
        findings.extend(self.findings.iter().cloned());
        Log {
            path: self.path.clone(),
            is_file: self.is_file,
            records: records.timed(self.zone, self.step),
            is_covered: false,
            format: format.and_then(known),
        }
    }

    /// What a person should know whose rsyslog changes the form of its times.
    pub(crate) fn remark(&self) -> Option<String> {
        (!self.traditional.is_empty()).then(|| {
            "rsyslog writes RFC 3339 times with offset from then on, into every file that had the traditional form: look at what else reads them; `rsyslogd -N1` checks it, `systemctl restart rsyslog` takes it up".to_owned()
        })
    }
}

/// The format's name where it can be read.
pub(crate) fn known(format: &str) -> Option<String> {
    let format = Format::parse(format).ok()?;
    Some(format.name().to_owned())
}

#[cfg(test)]
mod tests;
