//! PostgreSQL's settings: `name = value` with quotes, includes, and the file of `ALTER SYSTEM`.

use super::{DEFAULT_PREFIX, FixError, LookError};
use crate::{
    Finding, Machine, Rule,
    edits::Edits,
    lines::{Continues, Line, Lines, Setting, is_yes},
    machine::{folder, under},
};

/// The file that `ALTER SYSTEM` writes, in the data directory; read last of all.
const AUTO: &str = "postgresql.auto.conf";

/// What a cluster is told.
pub(super) struct Settings {
    path: String,
    lines: Lines,
    /// The data directory.
    pub(super) data: String,
}

impl Settings {
    pub(super) fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let include = |line: &Line| {
            let Some(setting) = parsed(line) else {
                return Vec::new();
            };
            let named = under(folder(&line.place.file), &setting.value);
            match setting.name.to_ascii_lowercase().as_str() {
                "include" | "include_if_exists" => vec![named],
                "include_dir" => vec![format!("{}/*.conf", named.trim_end_matches('/'))],
                _ => Vec::new(),
            }
        };
        let mut settings = Self {
            path: path.to_owned(),
            lines: Lines::read(machine, path, Continues::Never, &include)?,
            data: String::new(),
        };
        settings.data = settings
            .value("data_directory")
            .unwrap_or_else(|| folder(path).to_owned());
        let auto = under(&settings.data, AUTO);
        if !machine.glob(&auto).is_empty()
            && let Err(error) = settings
                .lines
                .add(machine, &auto, Continues::Never, &|_| Vec::new())
        {
            let message = format!("{error}: what ALTER SYSTEM set wins and is not known");
            settings
                .lines
                .findings
                .push(Finding::new(Rule::Unreadable, message));
        }
        Ok(settings)
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        self.lines.findings.clone()
    }

    pub(super) fn files(&self) -> Vec<String> {
        self.lines.files.clone()
    }

    fn last(&self, name: &str) -> Option<(&Line, Setting)> {
        let mut lines = self.lines.all.iter().rev();
        lines.find_map(|line| {
            let setting = parsed(line)?;
            setting
                .name
                .eq_ignore_ascii_case(name)
                .then_some((line, setting))
        })
    }

    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.last(name).map(|(_, setting)| setting.value)
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| is_yes(&value))
    }

    pub(super) fn prefix(&self) -> String {
        self.value("log_line_prefix")
            .unwrap_or_else(|| DEFAULT_PREFIX.to_owned())
    }

    pub(super) fn facility(&self) -> String {
        self.value("syslog_facility")
            .unwrap_or_else(|| "local0".to_owned())
    }

    /// `on`, or since PostgreSQL 18 a list of which the receipt is the line with the endpoint.
    pub(super) fn logs_connections(&self) -> bool {
        self.value("log_connections").is_some_and(|value| {
            let mut words = value.split(',').map(str::trim);
            is_yes(&value) || words.any(|word| matches!(word, "receipt" | "all"))
        })
    }

    /// Without the setting it is GMT.
    pub(super) fn is_utc(&self) -> bool {
        const NAMES: [&str; 8] = [
            "utc",
            "etc/utc",
            "gmt",
            "etc/gmt",
            "zulu",
            "uct",
            "etc/uct",
            "universal",
        ];
        self.value("log_timezone")
            .is_none_or(|zone| NAMES.contains(&zone.to_ascii_lowercase().as_str()))
    }

    /// Levels above LOG leave the lines of connections out.
    pub(super) fn hides_log_lines(&self) -> bool {
        self.value("log_min_messages")
            .is_some_and(|level| matches!(level.to_ascii_lowercase().as_str(), "fatal" | "panic"))
    }

    pub(super) fn finding(&self, rule: Rule, name: &str, message: &str) -> Finding {
        match self.last(name) {
            Some((line, _)) => Finding::at(rule, &line.place, message),
            None => Finding::new(rule, message),
        }
    }

    /// Sets `name` where it is set, else at the end of the main file, which wins over all it
    /// includes.
    pub(super) fn set(&self, name: &str, value: &str, edits: &mut Edits) -> Result<(), FixError> {
        match self.last(name) {
            Some((line, _)) if line.place.file.ends_with(AUTO) => Err(FixError::ByHand {
                why: format!(
                    "{}: ALTER SYSTEM set {name} here, which nobody should edit: ALTER SYSTEM SET {name} = {value}",
                    line.place
                ),
            }),
            Some((line, setting)) => {
                edits.replace_in(&self.lines, line, setting.range, value);
                Ok(())
            }
            None => {
                edits.append(&self.lines, &self.path, &format!("{name} = {value}"));
                Ok(())
            }
        }
    }
}

/// A setting without quotes and comment; its place is the value's with its quotes.
fn parsed(line: &Line) -> Option<Setting> {
    let mut setting = line.setting('=')?;
    let (value, length) = value(&setting.value);
    setting.range.end = setting.range.start + length;
    setting.value = value;
    Some(setting)
}

/// A value at the beginning of a text, and how many bytes it has there.
fn value(text: &str) -> (String, usize) {
    let Some(quoted) = text.strip_prefix('\'') else {
        let end = text
            .find(|c: char| c == '#' || c.is_whitespace())
            .unwrap_or(text.len());
        return (text.get(..end).unwrap_or_default().to_owned(), end);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            '\'' if characters.peek().is_some_and(|(_, next)| *next == '\'') => {
                characters.next();
                value.push('\'');
            }
            '\'' => return (value, at + 2),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, text.len())
}
