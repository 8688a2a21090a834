//! Configurations of one setting a line, a name and its value, with the files that they include,
//! in the order in which the server reads them. Where it is words by their place that count, the
//! readers of [`crate::server`] have `words`.

use std::{collections::BTreeMap, ops::Range};

use portledger_servers::config::Place;

use crate::{Finding, LookError, Machine, Rule, machine};

/// How a line goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continues {
    /// It does not.
    Never,
    /// With a backslash at its end.
    Backslash,
    /// With white space at the beginning of the next.
    Indented,
}

/// A line that is neither blank nor a comment, with all that continues it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) place: Place,
    /// Where it stands in its file, without its end.
    pub(crate) range: Range<usize>,
    /// As the file has it.
    pub(crate) raw: String,
    /// On one line, without white space around it.
    pub(crate) text: String,
}

/// A name, its value, and where in the file the value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) range: Range<usize>,
}

impl Line {
    /// `name = value`, `name: value` or `name value`, by what stands between; white space always
    /// may.
    pub(crate) fn setting(&self, separator: char) -> Option<Setting> {
        let (name, value, _) = parts(&self.text, separator)?;
        let (_, raw, at) = parts(&self.raw, separator)?;
        let start = self.range.start + at;
        Some(Setting {
            name: name.to_owned(),
            value: value.to_owned(),
            range: start..start + raw.len(),
        })
    }

    /// Whether this is the setting, and of which value.
    pub(crate) fn is(&self, name: &str, separator: char) -> Option<Setting> {
        let setting = self.setting(separator)?;
        (setting.name == name).then_some(setting)
    }
}

/// Name, value without white space around it, and the byte at which the value begins.
fn parts(text: &str, separator: char) -> Option<(&str, &str, usize)> {
    let begin = text.len() - text.trim_start().len();
    let rest = text.get(begin..)?;
    let end = rest
        .find(|c: char| c == separator || c.is_whitespace())
        .unwrap_or(rest.len());
    let name = rest.get(..end).filter(|name| !name.is_empty())?;
    let behind = rest.get(end..)?;
    let value = behind.trim_start();
    let value = value.strip_prefix(separator).unwrap_or(value).trim_start();
    let at = text.len() - value.len();
    Some((name, value.trim_end(), at))
}

/// A configuration: its files and its lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines {
    /// The files in the order in which they were read.
    pub(crate) files: Vec<String>,
    texts: BTreeMap<String, String>,
    pub(crate) all: Vec<Line>,
    /// Files that could not be read.
    pub(crate) findings: Vec<Finding>,
}

/// How many files are read at most, and how deep they may include each other: more is a loop.
const MOST_FILES: usize = 512;
const DEEPEST: usize = 16;

/// What a line includes: patterns with absolute paths.
pub(crate) type Includes<'a> = &'a dyn Fn(&Line) -> Vec<String>;

impl Lines {
    /// Reads the file and, in the place of each line that includes others, those.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn read(
        machine: &dyn Machine,
        path: &str,
        continues: Continues,
        includes: Includes<'_>,
    ) -> Result<Self, LookError> {
        let mut lines = Self::default();
        lines.add(machine, path, continues, includes)?;
        Ok(lines)
    }

    /// What a server printed of its own configuration, which no change can be made in.
    pub(crate) fn dumped(command: &str, text: &str, continues: Continues) -> Self {
        Self {
            all: logical(command, text, continues),
            ..Self::default()
        }
    }

    /// Reads one more file behind those.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn add(
        &mut self,
        machine: &dyn Machine,
        path: &str,
        continues: Continues,
        includes: Includes<'_>,
    ) -> Result<(), LookError> {
        let text = machine::text(machine, path)?;
        self.take(path, text, machine, continues, includes, 0);
        Ok(())
    }

    fn take(
        &mut self,
        path: &str,
        text: String,
        machine: &dyn Machine,
        continues: Continues,
        includes: Includes<'_>,
        depth: usize,
    ) {
        let lines = logical(path, &text, continues);
        if !self.texts.contains_key(path) {
            self.files.push(path.to_owned());
            self.texts.insert(path.to_owned(), text);
        }
        for line in lines {
            let patterns = includes(&line);
            let place = line.place.clone();
            self.all.push(line);
            for file in patterns.iter().flat_map(|pattern| machine.glob(pattern)) {
                if depth >= DEEPEST || self.files.len() >= MOST_FILES {
                    let why = format!("{file} is not read: files include each other too deeply");
                    self.findings
                        .push(Finding::at(Rule::Unreadable, &place, why));
                    return;
                }
                match machine::text(machine, &file) {
                    Ok(text) => self.take(&file, text, machine, continues, includes, depth + 1),
                    Err(error) => {
                        self.findings
                            .push(Finding::at(Rule::Unreadable, &place, error.to_string()))
                    }
                }
            }
        }
    }

    /// A file's text, empty where it was not read.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.texts.get(path).map_or("", String::as_str)
    }

    /// The last line that sets this, which is what most servers take.
    pub(crate) fn last(&self, name: &str, separator: char) -> Option<(&Line, Setting)> {
        let mut lines = self.all.iter().rev();
        lines.find_map(|line| Some((line, line.is(name, separator)?)))
    }

    /// The last value of a setting.
    pub(crate) fn value(&self, name: &str, separator: char) -> Option<String> {
        self.last(name, separator).map(|(_, setting)| setting.value)
    }
}

/// The lines of one text.
pub(crate) fn logical(path: &str, text: &str, continues: Continues) -> Vec<Line> {
    let file: std::sync::Arc<str> = path.into();
    let mut lines: Vec<Line> = Vec::new();
    let mut at = 0;
    let mut is_open = false;
    for (number, piece) in text.split_inclusive('\n').enumerate() {
        let start = at;
        at += piece.len();
        let raw = piece.trim_end_matches(['\n', '\r']);
        let is_silent = raw.trim().is_empty() || raw.trim_start().starts_with('#');
        let goes_on = match continues {
            Continues::Never => false,
            Continues::Backslash => is_open,
            Continues::Indented => !is_silent && raw.starts_with([' ', '\t']),
        };
        is_open = continues == Continues::Backslash && raw.ends_with('\\');
        let own = match is_open {
            true => raw.trim_end_matches('\\').trim(),
            false => raw.trim(),
        };
        match lines.last_mut().filter(|_| goes_on) {
            Some(line) => {
                line.range.end = start + raw.len();
                line.raw = text.get(line.range.clone()).unwrap_or_default().to_owned();
                if !line.text.is_empty() && !own.is_empty() {
                    line.text.push(' ');
                }
                line.text.push_str(own);
            }
            None if is_silent => is_open = false,
            None => lines.push(Line {
                place: Place {
                    file: file.clone(),
                    line: number as u64 + 1,
                },
                range: start..start + raw.len(),
                raw: raw.to_owned(),
                text: own.to_owned(),
            }),
        }
    }
    lines
}

/// Without the quotes around it.
pub(crate) fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value)
}

/// Whether a value says yes, in the ways in which configurations do.
pub(crate) fn is_yes(value: &str) -> bool {
    let value = unquoted(value.trim()).to_ascii_lowercase();
    matches!(value.as_str(), "yes" | "on" | "true" | "1" | "y" | "t")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_setting_s_value_is_found_where_it_stands() {
        let text = "# a\nname = one\n  two # x\n\nother: b \\\n c\nlast value \n";
        let lines = logical("/f", text, Continues::Indented);
        let setting = lines[0].is("name", '=').unwrap();
        assert_eq!(setting.value, "one two # x");
        assert_eq!(&text[setting.range], "one\n  two # x");
        let lines = logical("/f", text, Continues::Backslash);
        let setting = lines[2].is("other", ':').unwrap();
        assert_eq!(setting.value, "b c");
        assert_eq!(&text[setting.range], "b \\\n c");
        let setting = lines[3].is("last", '=').unwrap();
        assert_eq!((setting.value.as_str(), lines[3].place.line), ("value", 7));
    }

    proptest! {
        #[test]
        fn any_text_has_lines_that_stand_where_they_say(text in "([ \t=:#\\\\\r\na-zä\"]|\\PC)*") {
            for continues in [Continues::Never, Continues::Backslash, Continues::Indented] {
                for line in logical("/f", &text, continues) {
                    prop_assert_eq!(text.get(line.range.clone()), Some(line.raw.as_str()));
                    for separator in ['=', ':', ' '] {
                        if let Some(setting) = line.setting(separator) {
                            prop_assert!(text.get(setting.range).is_some());
                        }
                    }
                }
            }
        }
    }
}
