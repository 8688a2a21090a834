//! The files of an Apache configuration, their directives by place, and the variables that the
//! start script sets.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use portledger_servers::config::Place;

use crate::{
    Finding, LookError, Rule,
    machine::{Machine, folder, text, under},
    text::line_start,
};

/// The texts of a configuration, by file.
pub(super) struct Files {
    main: String,
    texts: BTreeMap<String, String>,
    /// What relative names are relative to.
    root: String,
    /// `envvars` beside the main file: Debian's start script exports these.
    variables: BTreeMap<String, String>,
    /// The files that the server itself says it would read.
    in_effect: Option<Vec<String>>,
    pub(super) unreadable: Vec<Finding>,
}

/// A directive, or the beginning of a section.
pub(super) struct Directive {
    /// In small letters; a section's with its `<`.
    pub(super) name: String,
    pub(super) words: Vec<String>,
    /// All behind the name, without the `>` of a section.
    pub(super) rest: String,
    pub(super) place: Place,
}

impl Files {
    pub(super) fn of(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let main = text(machine, path)?;
        let variables = text(machine, &format!("{}/envvars", folder(path)))
            .map(|text| exported(&text))
            .unwrap_or_default();
        let mut files = Self {
            main: path.to_owned(),
            texts: BTreeMap::from([(path.to_owned(), main)]),
            root: folder(path).to_owned(),
            variables,
            in_effect: dumped(machine, path),
            unreadable: Vec::new(),
        };
        let root = files.directives().find_map(|directive| {
            let is_root = directive.name == "serverroot";
            directive.words.first().filter(|_| is_root).cloned()
        });
        if let Some(root) = root {
            files.root = files.expanded(&root);
        }
        Ok(files)
    }

    pub(super) fn text(&self, path: &str) -> &str {
        self.texts.get(path).map_or("", String::as_str)
    }

    pub(super) fn names(&self) -> Vec<String> {
        let others = self.texts.keys().filter(|name| **name != self.main);
        std::iter::once(&self.main).chain(others).cloned().collect()
    }

    /// The files that an include names and that are in effect.
    pub(super) fn include(&mut self, machine: &dyn Machine, name: &str) -> Vec<(String, String)> {
        let pattern = under(&self.root, &self.expanded(name));
        let mut names = machine.glob(&pattern);
        // A folder stands for all that is in it.
        if names.iter().all(|name| machine.read(name).is_err()) {
            names = machine.glob(&format!("{}/*", pattern.trim_end_matches('/')));
        }
        if let Some(in_effect) = &self.in_effect {
            names.retain(|name| in_effect.contains(name));
        }
        let mut included = Vec::new();
        for name in names {
            match text(machine, &name) {
                Ok(text) => {
                    self.texts.insert(name.clone(), text.clone());
                    included.push((name, text));
                }
                Err(error) => {
                    let finding = Finding::new(Rule::Unreadable, error.to_string());
                    if !self.unreadable.contains(&finding) {
                        self.unreadable.push(finding);
                    }
                }
            }
        }
        included
    }

    /// The absolute path of a log; a program or syslog stays as it is.
    pub(super) fn log_path(&self, path: &str) -> String {
        let path = self.expanded(path);
        match path.starts_with('|') || path.starts_with("syslog") || path.starts_with('$') {
            true => path,
            false => under(&self.root, &path),
        }
    }

    fn expanded(&self, word: &str) -> String {
        let mut expanded = word.to_owned();
        for (name, value) in &self.variables {
            expanded = expanded.replace(&format!("${{{name}}}"), value);
        }
        expanded
    }

    /// Every directive of every file; what stands in `<IfModule>` is taken to be in effect.
    pub(super) fn directives(&self) -> impl Iterator<Item = Directive> {
        self.texts.iter().flat_map(|(file, text)| {
            let file: Arc<str> = file.as_str().into();
            starts(text).filter_map(move |(start, line)| {
                let (name, rest) = logical(text, start);
                let name = name.to_ascii_lowercase();
                if name.is_empty() || name.starts_with('#') {
                    return None;
                }
                let words = word_ranges(text, start).into_iter().skip(1);
                Some(Directive {
                    words: words
                        .filter_map(|range| text.get(range))
                        .map(|word| word.trim_matches(['"', '\'', '>']).to_owned())
                        .collect(),
                    rest: rest.trim().trim_end_matches('>').trim().to_owned(),
                    name,
                    place: Place {
                        file: file.clone(),
                        line,
                    },
                })
            })
        })
    }

    /// Where the words of the directive at `place` stand, quotes and all; its name is the first.
    pub(super) fn words(&self, place: &Place) -> Vec<Range<usize>> {
        let text = self.text(&place.file);
        match line_start(text, place.line) {
            Some(start) => word_ranges(text, start),
            None => Vec::new(),
        }
    }
}

/// The bytes at which lines begin that do not continue another, with their numbers.
fn starts(text: &str) -> impl Iterator<Item = (usize, u64)> {
    let mut at = 0;
    let mut continues = false;
    text.split_inclusive('\n')
        .zip(1..)
        .filter_map(move |(line, number)| {
            let start = at;
            at += line.len();
            let is_first = !continues;
            continues = line.trim_end_matches(['\n', '\r']).ends_with('\\');
            is_first.then_some((start, number))
        })
}

/// A line's first word and the rest of it.
fn logical(text: &str, start: usize) -> (&str, &str) {
    let line = text.get(start..).unwrap_or_default();
    let line = line.lines().next().unwrap_or_default().trim();
    line.split_once([' ', '\t']).unwrap_or((line, ""))
}

/// The words of a directive up to the end of its line, or of those that a backslash adds to it.
fn word_ranges(text: &str, start: usize) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut word: Option<usize> = None;
    let mut quote = None;
    let mut characters = text
        .get(start..)
        .unwrap_or_default()
        .char_indices()
        .peekable();
    while let Some((at, c)) = characters.next() {
        let at = start + at;
        let next = characters.peek().map(|(_, next)| *next);
        let is_space = c == ' ' || c == '\t' || c == '\r';
        match c {
            '\\' if next == Some('\n') => {
                characters.next();
                if let Some(from) = word.filter(|_| quote.is_none()) {
                    words.push(from..at);
                    word = None;
                }
            }
            '\n' => {
                words.extend(word.map(|from| from..at));
                return words;
            }
            '\\' => {
                word.get_or_insert(at);
                characters.next();
            }
            c if quote == Some(c) => {
                quote = None;
                words.extend(word.take().map(|from| from..at + 1));
            }
            '"' | '\'' if word.is_none() => {
                quote = Some(c);
                word = Some(at);
            }
            _ if is_space && quote.is_none() => words.extend(word.take().map(|from| from..at)),
            _ => drop(word.get_or_insert(at)),
        }
    }
    words.extend(word.map(|from| from..text.len()));
    words
}

/// `export NAME=VALUE`, where values hold only text and an empty `$SUFFIX`.
fn exported(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| {
        let (name, value) = line.trim().strip_prefix("export ")?.split_once('=')?;
        let value = value.replace("$SUFFIX", "");
        let value = value.trim_matches(['"', '\'']);
        let is_plain = !value.contains(['$', '`']);
        is_plain.then(|| (name.to_owned(), value.to_owned()))
    });
    lines.collect()
}

/// The files that the server would read, where it may be asked.
fn dumped(machine: &dyn Machine, path: &str) -> Option<Vec<String>> {
    ["apachectl", "httpd"].iter().find_map(|program| {
        let dump = machine.run(program, &["-t", "-D", "DUMP_INCLUDES", "-f", path])?;
        let files: Vec<String> = dump
            .stdout
            .lines()
            .filter_map(|line| {
                Some(
                    line.trim()
                        .strip_prefix('(')?
                        .split_once(") ")?
                        .1
                        .to_owned(),
                )
            })
            .collect();
        files.iter().any(|file| file == path).then_some(files)
    })
}
