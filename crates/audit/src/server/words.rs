//! Configurations whose directives are words, each with its meaning by its place, quoted perhaps:
//! HAProxy's and Squid's. Those of a name and a value a line are [`crate::lines`]'.

use std::{ops::Range, sync::Arc};

use portledger_servers::config::Place;

use crate::{
    Finding, LookError, Rule,
    machine::{Machine, text},
};

/// How deep files may include files.
const DEEPEST: usize = 16;

/// How many files are read: more is a loop.
const MOST: usize = 2_000;

/// How a server writes its lines.
#[derive(Clone, Copy)]
pub(super) struct Syntax {
    /// Whether quotes hold a word together and a backslash takes the meaning from what follows.
    pub(super) is_quoted: bool,
    /// The pattern of the files that a directive includes.
    pub(super) include: fn(&[String]) -> Option<String>,
}

/// A configuration's files.
#[derive(Debug, Default)]
pub(super) struct Texts {
    files: Vec<(Arc<str>, String)>,
    pub(super) statements: Vec<Statement>,
    pub(super) unreadable: Vec<Finding>,
}

/// One directive.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) place: Place,
    /// Its words without quotes, the name first.
    pub(super) words: Vec<String>,
    /// Where they stand, quotes and all.
    pub(super) ranges: Vec<Range<usize>>,
}

impl Statement {
    pub(super) fn is(&self, words: &[&str]) -> bool {
        self.words.len() >= words.len() && self.words.iter().zip(words).all(|(one, two)| one == two)
    }

    pub(super) fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }

    pub(super) fn start(&self) -> usize {
        self.ranges.first().map_or(0, |range| range.start)
    }

    pub(super) fn end(&self) -> usize {
        self.ranges.last().map_or(0, |range| range.end)
    }
}

impl Texts {
    /// The main file and all that it includes.
    pub(super) fn read(
        machine: &dyn Machine,
        path: &str,
        syntax: Syntax,
    ) -> Result<Self, LookError> {
        let mut texts = Self::default();
        let main = text(machine, path)?;
        texts.file(machine, path, main, syntax, 0);
        Ok(texts)
    }

    /// Files that the server reads behind those it has been told of.
    pub(super) fn also(&mut self, machine: &dyn Machine, pattern: &str, syntax: Syntax) {
        for name in machine.glob(pattern) {
            match text(machine, &name) {
                Ok(text) => self.file(machine, &name, text, syntax, 0),
                Err(error) => {
                    let finding = Finding::new(Rule::Unreadable, error.to_string());
                    self.unreadable.push(finding);
                }
            }
        }
    }

    pub(super) fn text(&self, file: &str) -> &str {
        let mut files = self.files.iter();
        files
            .find(|(name, _)| **name == *file)
            .map_or("", |(_, text)| text.as_str())
    }

    pub(super) fn names(&self) -> Vec<String> {
        let names = self.files.iter().map(|(name, _)| name.to_string());
        names.collect()
    }

    fn file(
        &mut self,
        machine: &dyn Machine,
        path: &str,
        text: String,
        syntax: Syntax,
        depth: usize,
    ) {
        let file: Arc<str> = path.into();
        let statements = statements(&file, &text, syntax.is_quoted);
        self.files.push((file, text));
        for statement in statements {
            let Some(pattern) = (syntax.include)(&statement.words) else {
                self.statements.push(statement);
                continue;
            };
            if depth >= DEEPEST || self.files.len() >= MOST {
                let message = "files include files too deeply";
                let finding = Finding::at(Rule::Unreadable, &statement.place, message);
                self.unreadable.push(finding);
                continue;
            }
            for name in machine.glob(&pattern) {
                match crate::machine::text(machine, &name) {
                    Ok(_) if self.files.iter().any(|(known, _)| **known == *name) => {}
                    Ok(text) => self.file(machine, &name, text, syntax, depth + 1),
                    Err(error) => self.unreadable.push(Finding::at(
                        Rule::Unreadable,
                        &statement.place,
                        error.to_string(),
                    )),
                }
            }
        }
    }
}

fn statements(file: &Arc<str>, text: &str, is_quoted: bool) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut at = 0;
    let mut line = 1;
    while at < text.len() {
        let (ranges, end, lines) = split(text, at, is_quoted);
        if !ranges.is_empty() {
            let words = ranges.iter().filter_map(|range| text.get(range.clone()));
            statements.push(Statement {
                place: Place {
                    file: file.clone(),
                    line,
                },
                words: words.map(|word| plain(word, is_quoted)).collect(),
                ranges,
            });
        }
        at = end;
        line += lines;
    }
    statements
}

/// The words from this byte to the end of the line, or of those that a backslash adds; where the
/// next line begins, and how many lines these were.
fn split(text: &str, start: usize, is_quoted: bool) -> (Vec<Range<usize>>, usize, u64) {
    let mut words = Vec::new();
    let mut word: Option<usize> = None;
    let mut quote = None;
    let mut lines = 1;
    let rest = text.get(start..).unwrap_or_default();
    let mut characters = rest.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let at = start + at;
        match c {
            '\\' if characters.peek().is_some_and(|(_, next)| *next == '\n') => {
                characters.next();
                lines += 1;
                words.extend(word.take().map(|from| from..at));
            }
            '\n' => {
                words.extend(word.map(|from| from..at));
                return (words, at + 1, lines);
            }
            '\\' if is_quoted && quote != Some('\'') => {
                word.get_or_insert(at);
                // What follows means itself, unless it ends the line.
                if characters.peek().is_some_and(|(_, next)| *next != '\n') {
                    characters.next();
                }
            }
            c if quote == Some(c) => quote = None,
            '"' | '\'' if is_quoted && quote.is_none() => {
                quote = Some(c);
                word.get_or_insert(at);
            }
            '#' if quote.is_none() && word.is_none() => {
                let rest = text.get(at..).unwrap_or_default();
                let end = rest.find('\n').map_or(text.len(), |length| at + length + 1);
                return (words, end, lines);
            }
            c if c.is_whitespace() && quote.is_none() => {
                words.extend(word.take().map(|from| from..at));
            }
            _ => drop(word.get_or_insert(at)),
        }
    }
    words.extend(word.map(|from| from..text.len()));
    (words, text.len(), lines)
}

/// A word without its quotes and backslashes.
fn plain(word: &str, is_quoted: bool) -> String {
    if !is_quoted {
        return word.to_owned();
    }
    let mut plain = String::with_capacity(word.len());
    let mut quote = None;
    let mut characters = word.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' if quote != Some('\'') => plain.extend(characters.next()),
            c if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(c),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Image;

    #[test]
    fn words_have_their_places() {
        let syntax = Syntax {
            is_quoted: true,
            include: |words| (words.first()? == "include").then(|| words.get(1).cloned())?,
        };
        let main = "a \"b c\" d\\ e # f\n\n  g \\\n h\ninclude /i*\n\"x";
        let image = Image::default()
            .with("/m", main)
            .with("/i1", "include /m\nj 'k\\'\n");
        let texts = Texts::read(&image, "/m", syntax).unwrap();
        let all: Vec<String> = texts
            .statements
            .iter()
            .map(|statement| {
                format!(
                    "{} {:?} {:?}",
                    statement.place, statement.words, statement.ranges
                )
            })
            .collect();
        assert_eq!(
            all,
            [
                r#"/m:1 ["a", "b c", "d e"] [0..1, 2..7, 8..12]"#,
                r#"/m:3 ["g", "h"] [20..21, 25..26]"#,
                r#"/i1:2 ["j", "k\\"] [11..12, 13..17]"#,
                r#"/m:6 ["x"] [39..41]"#,
            ]
        );
    }
}
