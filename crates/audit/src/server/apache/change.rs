//! What to change in Apache's configuration.

use std::ops::Range;

use portledger_servers::config::{self, Place};

use super::{Configuration, FixError, Wish};
use crate::{
    Change, CommandLine, Records, WrittenZone,
    plan::{Plan, beside, by_hand},
    text::indentation,
};

/// What a `CustomLog` without a format writes, with the port.
const COMMON_PORT: &str = r#""%h %l %u %t \"%r\" %>s %b %{remote}p""#;

/// One line a request, which the format `connection` reads.
const CONNECTION: &str = r#""%{msec}t %a %{remote}p %A %{local}p %{UNIQUE_ID}e""#;

/// The change for one instance.
pub(super) fn change(
    configuration: &Configuration,
    path: &str,
    wish: Wish,
) -> Result<Change, FixError> {
    if let Some(place) = configuration.remote_ip() {
        return Err(by_hand(
            &place,
            "the client's address comes from a header that names no port: let the proxy send the PROXY protocol, and put 'RemoteIPProxyProtocol On' in place of RemoteIPHeader",
        ));
    }
    let mut changes = Changes {
        configuration,
        plan: Plan::default(),
        extended: Vec::new(),
        covered: Vec::new(),
        is_parallel: false,
    };
    let lacking: Vec<&config::Log> = configuration
        .access_logs()
        .filter(|log| !configuration.records(log).are_enough() && !configuration.is_covered(log))
        .collect();
    // Formats that say who connected first: they cover logs that are about something else.
    let (telling, other): (Vec<_>, Vec<_>) = lacking
        .into_iter()
        .partition(|log| configuration.records(log).source_address);
    for log in telling.into_iter().chain(other) {
        changes.log(log, wish)?;
    }
    if configuration.access_logs().next().is_none() {
        changes.first_log()?;
    }
    let mut remarks = Vec::new();
    if !changes.plan.is_empty() && !changes.extended.is_empty() {
        remarks.push(
            "the port is the last column: GoAccess, AWStats, Webalizer and lnav read on; Analog and fail2ban's apache-badbots do not: for them take --parallel".to_owned(),
        );
    }
    if changes.is_parallel {
        remarks.push(
            "lines of the two logs are matched by their last column where mod_unique_id is loaded and %{UNIQUE_ID}e is in both".to_owned(),
        );
    }
    let program = match path.ends_with("httpd.conf") {
        true => "httpd",
        false => "apachectl",
    };
    Ok(Change {
        edits: changes.plan.edits(|file| configuration.files.text(file))?,
        check: Some(CommandLine::new(program, &["-t", "-f", path])),
        reload: format!("{program} -k graceful"),
        remarks,
    })
}

struct Changes<'a> {
    configuration: &'a Configuration,
    plan: Plan,
    /// Format strings that have the port by now.
    extended: Vec<Place>,
    /// Hosts that have a log of connections by now.
    covered: Vec<String>,
    is_parallel: bool,
}

impl Changes<'_> {
    fn log(&mut self, log: &config::Log, wish: Wish) -> Result<(), FixError> {
        let is_covered = log.contexts.iter().all(|it| self.covered.contains(it));
        if is_covered {
            return Ok(());
        }
        let Records {
            source_address,
            zone,
            ..
        } = self.configuration.records(log);
        let is_certain = matches!(zone, WrittenZone::Utc | WrittenZone::Offset);
        // The port alone would not make a log enough that names no client, or tells local times.
        if wish == Wish::Parallel || !source_address || !is_certain {
            return self.beside(log);
        }
        if self.configuration.is_conditional(log) {
            self.in_place(log)
        } else {
            self.in_place(log)?;
            self.covered.extend(log.contexts.iter().cloned());
            Ok(())
        }
    }

    /// Adds the port to the format, where it is defined.
    fn in_place(&mut self, log: &config::Log) -> Result<(), FixError> {
        let (place, word) = match self.configuration.definition(log) {
            Some(definition) => (&definition.place, 1),
            None => (&log.place, 2),
        };
        let words = self.configuration.files.words(place);
        if self.extended.contains(place) {
            return Ok(());
        }
        let text = self.configuration.files.text(&place.file);
        let name = words.first().and_then(|name| text.get(name.clone()));
        let Some(range) = words.get(word).cloned() else {
            return match (name, words.last()) {
                (Some(name), Some(path)) if name.eq_ignore_ascii_case("CustomLog") => {
                    let with = format!(" {COMMON_PORT}");
                    self.plan.insert(&place.file, path.end, with);
                    self.extended.push(place.clone());
                    Ok(())
                }
                // A TransferLog takes no format of its own.
                _ => self.beside(log),
            };
        };
        self.extended.push(place.clone());
        if text.get(range.clone()) == Some("CLF") {
            self.plan.add(&place.file, range, COMMON_PORT);
            return Ok(());
        }
        let (at, with) = port(text, range).ok_or_else(|| {
            by_hand(
                place,
                "the format is not in quotes: add %{remote}p to its end by hand",
            )
        })?;
        self.plan.insert(&place.file, at, with);
        Ok(())
    }

    /// A second log behind the first, for the same hosts.
    fn beside(&mut self, log: &config::Log) -> Result<(), FixError> {
        if log.path.starts_with(['|', '$']) && !log.path.starts_with("${") || log.path.contains('"')
        {
            return Err(by_hand(
                &log.place,
                "this log goes to a program: add a CustomLog beside it by hand",
            ));
        }
        let words = self.configuration.files.words(&log.place);
        let text = self.configuration.files.text(&log.place.file);
        let (Some(first), Some(last), Some(path)) = (words.first(), words.last(), words.get(1))
        else {
            return Err(by_hand(&log.place, "the directive was not found here"));
        };
        // As it is written, variables and all.
        let path = text.get(path.clone()).unwrap_or_default();
        let path = beside(path.trim_matches(['"', '\'']));
        let indentation = indentation(text, first.start);
        let with = format!("\n{indentation}CustomLog \"{path}\" {CONNECTION}");
        self.plan.insert(&log.place.file, last.end, with);
        self.covered.extend(log.contexts.iter().cloned());
        self.is_parallel = true;
        Ok(())
    }

    /// A log where there is none, beside the error log.
    fn first_log(&mut self) -> Result<(), FixError> {
        let all = &self.configuration.definitions.logs;
        let error_log = all
            .iter()
            .find(|log| log.contexts.iter().any(|context| context == "server"))
            .filter(|log| !log.path.starts_with('|') && !log.path.starts_with("syslog"));
        let (Some(log), Some((folder, _))) = (
            error_log,
            error_log.and_then(|log| log.path.rsplit_once('/')),
        ) else {
            return Err(FixError::ByHand {
                why: format!(
                    "no log is written, and there is no ErrorLog to put one beside: add a CustomLog with {COMMON_PORT}"
                ),
            });
        };
        let words = self.configuration.files.words(&log.place);
        let text = self.configuration.files.text(&log.place.file);
        let (Some(first), Some(last)) = (words.first(), words.last()) else {
            return Err(by_hand(&log.place, "the directive was not found here"));
        };
        let indentation = indentation(text, first.start);
        let with = format!("\n{indentation}CustomLog \"{folder}/access.log\" {COMMON_PORT}");
        self.plan.insert(&log.place.file, last.end, with);
        Ok(())
    }
}

/// Where the port goes into a format in quotes, and how: behind all, or as a member of an object.
fn port(text: &str, range: Range<usize>) -> Option<(usize, &'static str)> {
    let word = text.get(range.clone())?;
    let quote = word.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inside = word.get(1..)?.strip_suffix(quote)?;
    let end = range.end - 1;
    let trimmed = inside.trim_end();
    match trimmed.strip_suffix('}') {
        Some(object) if inside.trim_start().starts_with('{') => {
            let member = match quote {
                '"' => r#",\"remote_port\":\"%{remote}p\""#,
                _ => r#","remote_port":"%{remote}p""#,
            };
            Some((range.start + 1 + object.len(), member))
        }
        _ => Some((end, " %{remote}p")),
    }
}
