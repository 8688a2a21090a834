//! What to change in squid.conf.

use super::{AccessLog, BUILT_IN, Configuration, FixError, Wish};
use crate::{
    Change, CommandLine, WrittenZone,
    plan::{Plan, beside, by_hand},
};

/// One line a request, which the format `connection` reads.
const CONNECTION: &str = "logformat connection %ts.%03tu %>a %>p %>la %>lp -";

/// The change for one instance.
pub(super) fn change(
    configuration: &Configuration,
    path: &str,
    wish: Wish,
) -> Result<Change, FixError> {
    if let Some(statement) = configuration.follows_header() {
        return Err(by_hand(
            &statement.place,
            "the client's address comes from a header that names no port: let the proxy in front send the PROXY protocol instead ('require-proxy-header' behind http_port, and proxy_protocol_access)",
        ));
    }
    let mut changes = Changes {
        configuration,
        path,
        plan: Plan::default(),
        defined: Vec::new(),
        is_covered: false,
    };
    let logs = configuration.logs();
    let is_lacking = |log: &&AccessLog<'_>| {
        !configuration.records(log).are_enough() && !configuration.is_covered(log)
    };
    // A log of all requests covers those of some.
    let (all, some): (Vec<_>, Vec<_>) = logs
        .iter()
        .filter(is_lacking)
        .partition(|log| !log.is_conditional);
    for log in all.into_iter().chain(some) {
        changes.log(log, wish)?;
    }
    let mut remarks = Vec::new();
    if !changes.plan.is_empty() && wish == Wish::InPlace {
        remarks.push(
            "the port is the last column: calamaris and fail2ban's squid filter read on".to_owned(),
        );
    }
    Ok(Change {
        edits: changes.plan.edits(|file| configuration.texts.text(file))?,
        check: Some(CommandLine::new("squid", &["-k", "parse", "-f", path])),
        reload: "squid -k reconfigure".to_owned(),
        remarks,
    })
}

struct Changes<'a> {
    configuration: &'a Configuration,
    path: &'a str,
    plan: Plan,
    /// Formats that have the port by now.
    defined: Vec<String>,
    /// Whether some log of all requests has it.
    is_covered: bool,
}

impl Changes<'_> {
    fn log(&mut self, log: &AccessLog<'_>, wish: Wish) -> Result<(), FixError> {
        if self.is_covered {
            return Ok(());
        }
        let records = self.configuration.records(log);
        let is_certain = matches!(records.zone, WrittenZone::Utc | WrittenZone::Offset);
        if wish == Wish::Parallel || !records.source_address || !is_certain {
            self.is_covered = true;
            return self.beside(log);
        }
        if BUILT_IN.iter().any(|(name, _)| *name == log.format) {
            return self.renamed(log);
        }
        let Some(definition) = self.configuration.definition(&log.format) else {
            return Ok(());
        };
        if !self.defined.contains(&log.format) {
            self.defined.push(log.format.clone());
            let file = &definition.place.file;
            self.plan.insert(file, definition.end(), " %>p");
        }
        Ok(())
    }

    /// Built-in formats cannot be changed: another name, with the port.
    fn renamed(&mut self, log: &AccessLog<'_>) -> Result<(), FixError> {
        let name = format!("{}_port", log.format);
        let text = self
            .configuration
            .format_text(&log.format)
            .unwrap_or_default();
        let definition = format!("logformat {name} {text} %>p");
        let Some(statement) = log.statement else {
            self.define(&name)?;
            return self.at_the_end(&[definition, format!("access_log {} {name}", log.to)]);
        };
        let file = &statement.place.file;
        if self.define(&name)? {
            self.plan
                .insert(file, statement.start(), format!("{definition}\n"));
        }
        let named = |word: &String| word.strip_prefix("logformat=").unwrap_or(word) == log.format;
        let words = statement.words.iter().zip(&statement.ranges).skip(2);
        let has_options = statement.words.iter().any(|word| word.contains('='));
        match words.into_iter().find(|(word, _)| named(word)) {
            Some((_, range)) => self.plan.insert(file, range.end, "_port"),
            None => {
                let option = if has_options { "logformat=" } else { "" };
                let at = statement.ranges.get(1).map_or(statement.end(), |to| to.end);
                self.plan.insert(file, at, format!(" {option}{name}"));
            }
        }
        Ok(())
    }

    /// A second log, which does not replace the first.
    fn beside(&mut self, log: &AccessLog<'_>) -> Result<(), FixError> {
        if !log.path().starts_with('/') {
            return Err(FixError::ByHand {
                why: format!(
                    "{}: this log is no file: add a second access_log by hand",
                    log.to
                ),
            });
        }
        let is_new = self.define("connection")?;
        let mut lines = Vec::new();
        if is_new {
            lines.push(CONNECTION.to_owned());
        }
        let second = format!("access_log {} connection", beside(&log.to));
        let Some(statement) = log.statement else {
            // Once any log is named, the default one is written no more.
            lines.push(format!("access_log {} squid", log.to));
            lines.push(second);
            return self.at_the_end(&lines);
        };
        lines.push(second);
        let with = format!("\n{}", lines.join("\n"));
        self.plan
            .insert(&statement.place.file, statement.end(), with);
        Ok(())
    }

    /// Whether a format of this name is still to be defined.
    fn define(&mut self, name: &str) -> Result<bool, FixError> {
        if self.defined.iter().any(|known| known == name) {
            return Ok(false);
        }
        self.defined.push(name.to_owned());
        match self.configuration.definition(name) {
            None => Ok(true),
            Some(statement) => {
                let text = self.configuration.format_text(name).unwrap_or_default();
                match text.contains("%>p") {
                    true => Ok(false),
                    false => Err(by_hand(
                        &statement.place,
                        "a format of this name is defined here without the port: give it another name",
                    )),
                }
            }
        }
    }

    fn at_the_end(&mut self, lines: &[String]) -> Result<(), FixError> {
        let text = self.configuration.texts.text(self.path);
        let end = text.len();
        if text.ends_with('\\') {
            return Err(FixError::ByHand {
                why: format!("{}: its last line continues nowhere", self.path),
            });
        }
        let gap = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        self.plan
            .insert(self.path, end, format!("{gap}{}\n", lines.join("\n")));
        Ok(())
    }
}
