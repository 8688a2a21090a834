//! Oracle's listener, whose log has each client's address and port unless it is switched off.

use std::time::Duration;

use super::{FixError, Instance, Log, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, Facts, Finding, Machine, Records, Rule, WrittenZone,
    edits::Edits,
    lines::{Continues, Line, Lines, Setting},
    syslog::known,
};

/// Oracle Database's listener.
#[derive(Debug)]
pub(super) struct Oracle;

impl Server for Oracle {
    fn facts(&self) -> &'static Facts {
        facts!("oracle.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("oracle.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/u01/app/oracle/product/*/*/network/admin/listener.ora",
            "/opt/oracle/product/*/*/network/admin/listener.ora",
            "/opt/oracle/homes/*/network/admin/listener.ora",
            "/etc/listener.ora",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("listener.ora") || text.contains("SID_LIST_LISTENER")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let parameters = Parameters::read(machine, path)?;
        let mut findings = Vec::new();
        let mut logs = Vec::new();
        for listener in parameters.listeners() {
            let off = parameters
                .find("LOGGING", &listener)
                .filter(|(_, it)| is_off(&it.value));
            if let Some((line, _)) = off {
                findings.push(Finding::at(
                    Rule::NoLog,
                    &line.place,
                    format!("the listener {listener} writes no log: LOGGING_{listener} = ON"),
                ));
            }
            let records = match off {
                Some(_) => Records::NOTHING,
                // One line a connection; the listener's own port is another line's.
                None => Records::of_client(true)
                    .serving(true)
                    .timed(WrittenZone::Local, Some(Duration::from_secs(1))),
            };
            let (path, is_file) = parameters.log(machine, &listener);
            logs.push(Log {
                path,
                is_file,
                records,
                is_covered: false,
                format: known("oracle-listener"),
            });
        }
        Ok(Instance {
            version: version(path),
            config: parameters.lines.files,
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
    let parameters = Parameters::read(machine, path)?;
    let mut edits = Edits::default();
    for listener in parameters.listeners() {
        if let Some((line, it)) = parameters.find("LOGGING", &listener)
            && is_off(&it.value)
        {
            edits.replace_in(&parameters.lines, line, it.range, "ON");
        }
    }
    Ok(Change {
            edits: edits.finish()?,
            check: None,
            reload: "lsnrctl reload".to_owned(),
            remarks: vec!["the listener's times are local and of whole seconds; no setting changes that: run the listener with TZ=UTC, or give the zone when the log is read".to_owned()],
        })
}

/// `/u01/app/oracle/product/19.0.0/dbhome_1/…`.
fn version(path: &str) -> Option<String> {
    let (_, rest) = path.split_once("/product/")?;
    rest.split('/').next().map(str::to_owned)
}

fn is_off(value: &str) -> bool {
    matches!(value.to_ascii_uppercase().as_str(), "OFF" | "FALSE" | "NO")
}

struct Parameters {
    lines: Lines,
}

impl Parameters {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let lines = Lines::read(machine, path, Continues::Indented, &|_| Vec::new())?;
        Ok(Self { lines })
    }

    fn all(&self) -> impl Iterator<Item = (&Line, Setting)> {
        let lines = self.lines.all.iter();
        lines.filter_map(|line| Some((line, line.setting('=')?)))
    }

    /// Each name that has a description; where none has, there is one called LISTENER.
    fn listeners(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .all()
            .filter(|(_, it)| {
                it.value.starts_with('(') && !it.name.to_ascii_uppercase().starts_with("SID_LIST_")
            })
            .map(|(_, it)| it.name.to_ascii_uppercase())
            .collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            names.push("LISTENER".to_owned());
        }
        names
    }

    fn find(&self, parameter: &str, listener: &str) -> Option<(&Line, Setting)> {
        let wanted = format!("{parameter}_{listener}");
        self.all()
            .find(|(_, it)| it.name.eq_ignore_ascii_case(&wanted))
    }

    fn value(&self, parameter: &str, listener: &str) -> Option<String> {
        self.find(parameter, listener).map(|(_, it)| it.value)
    }

    fn log(&self, machine: &dyn Machine, listener: &str) -> (String, bool) {
        let lower = listener.to_ascii_lowercase();
        if self
            .value("DIAG_ADR_ENABLED", listener)
            .is_some_and(|value| is_off(&value))
        {
            let folder = self.value("LOG_DIRECTORY", listener);
            let file = self.value("LOG_FILE", listener);
            let folder = folder.unwrap_or_else(|| "$ORACLE_HOME/network/log".to_owned());
            let file = file.unwrap_or_else(|| format!("{lower}.log"));
            let path = format!("{folder}/{file}");
            let is_file = path.starts_with('/');
            return (path, is_file);
        }
        let base = self.value("ADR_BASE", listener);
        let bases = base.map_or_else(
            || vec!["/u01/app/oracle".to_owned(), "/opt/oracle".to_owned()],
            |base| vec![base],
        );
        let pattern = |base: &String| format!("{base}/diag/tnslsnr/*/{lower}/trace/{lower}.log");
        let found = bases
            .iter()
            .flat_map(|base| machine.glob(&pattern(base)))
            .next();
        match found {
            Some(path) => (path, true),
            None => (bases.first().map(pattern).unwrap_or_default(), false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, law_of_fixes, never_panics};

    const PATH: &str = "/u01/app/oracle/product/19.0.0/dbhome_1/network/admin/listener.ora";

    #[test]
    fn a_log_that_is_off_is_switched_on() {
        let image = Image::default()
            .with(PATH, "LISTENER =\n  (DESCRIPTION =\n    (ADDRESS = (PROTOCOL = TCP)(HOST = db)(PORT = 1521))\n  )\nSID_LIST_LISTENER =\n  (SID_LIST = )\nlogging_listener = off\nL2 = (ADDRESS = (PROTOCOL = TCP)(PORT = 1522))\n")
            .with("/u01/app/oracle/diag/tnslsnr/db/listener/trace/listener.log", "");
        let instance = Oracle.look(&image, PATH).unwrap();
        assert_eq!(instance.version.as_deref(), Some("19.0.0"));
        let logs: Vec<_> = instance
            .logs
            .iter()
            .map(|log| (log.is_file, log.records.source_port))
            .collect();
        // L2's file is not there, and so not known to be one.
        assert_eq!(logs, [(false, true), (true, false)]);
        insta::assert_snapshot!(law_of_fixes(&Oracle, &image, PATH, false));
    }

    #[test]
    fn without_a_word_it_logs() {
        let image = Image::default().with(PATH, "# nothing\n");
        assert_eq!(law_of_fixes(&Oracle, &image, PATH, false), "");
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(
            &Oracle,
            &[PATH],
            &[
                "LISTENER",
                "LOGGING_LISTENER",
                "OFF",
                "ADR_BASE_LISTENER",
                "DIAG_ADR_ENABLED_LISTENER",
                "LOG_DIRECTORY_LISTENER",
            ],
        );
    }
}
