//! lighttpd's configuration as far as logs need it: assignments with the conditions they stand in.

use std::{ops::Range, sync::Arc};

use portledger_servers::config::Place;

use crate::{
    Finding, LookError, Rule,
    machine::{Machine, folder, text, under},
};

const DEEPEST: usize = 16;
const MOST: usize = 2_000;

/// A configuration's files and what they set.
#[derive(Default)]
pub(super) struct Files {
    texts: Vec<(Arc<str>, String)>,
    pub(super) assignments: Vec<Assignment>,
    pub(super) unreadable: Vec<Finding>,
    /// How many conditions there were.
    scopes: usize,
}

/// `key = "text"`, or a list.
pub(super) struct Assignment {
    pub(super) key: String,
    /// The text, where it is made of strings alone.
    pub(super) text: Option<String>,
    /// Every string of it, in lists as well.
    strings: Vec<String>,
    /// Where the last string stands, with its quotes.
    pub(super) last: Option<Range<usize>>,
    /// Where all of it stands.
    pub(super) range: Range<usize>,
    /// The conditions it stands in, outermost first, each by its number.
    pub(super) scope: Vec<usize>,
    pub(super) place: Place,
}

impl Assignment {
    pub(super) fn names(&self, text: &str) -> bool {
        self.strings.iter().any(|string| string == text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Word(String),
    String(String),
    Mark(char),
}

struct Token {
    kind: Kind,
    range: Range<usize>,
    line: u64,
}

impl Files {
    pub(super) fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let mut files = Self::default();
        let main = text(machine, path)?;
        let root = folder(path).to_owned();
        files.file(machine, path, main, &root, &mut Vec::new(), 0)?;
        Ok(files)
    }

    pub(super) fn text(&self, file: &str) -> &str {
        let mut texts = self.texts.iter();
        texts
            .find(|(name, _)| **name == *file)
            .map_or("", |(_, text)| text.as_str())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.texts
            .iter()
            .map(|(name, _)| name.to_string())
            .collect()
    }

    fn file(
        &mut self,
        machine: &dyn Machine,
        path: &str,
        text: String,
        root: &str,
        scope: &mut Vec<usize>,
        depth: usize,
    ) -> Result<(), LookError> {
        let file: Arc<str> = path.into();
        let tokens = tokens(&file, &text)?;
        self.texts.push((file.clone(), text));
        let outer = scope.len();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let place = Place {
                file: file.clone(),
                line: token.line,
            };
            match &token.kind {
                Kind::Mark('{') => {
                    self.scopes += 1;
                    scope.push(self.scopes);
                    at += 1;
                }
                Kind::Mark('}') => {
                    if scope.len() <= outer {
                        return Err(syntax(&place, "a '}' without its '{'"));
                    }
                    scope.pop();
                    at += 1;
                }
                Kind::Word(word) if word.starts_with("include") => {
                    let value = tokens.get(at + 1).map(|token| &token.kind);
                    if let Some(Kind::String(name)) = value {
                        self.include(machine, word, name, &place, root, scope, depth)?;
                        at += 1;
                    }
                    at += 1;
                }
                Kind::Word(key) => {
                    let (assignment, next) = assignment(&tokens, at, key, scope, &place);
                    self.assignments.extend(assignment);
                    at = next;
                }
                _ => at += 1,
            }
        }
        if scope.len() > outer {
            let place = Place { file, line: 1 };
            return Err(syntax(&place, "a '{' has no '}' in this file"));
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "what an include needs")]
    fn include(
        &mut self,
        machine: &dyn Machine,
        word: &str,
        name: &str,
        place: &Place,
        root: &str,
        scope: &mut Vec<usize>,
        depth: usize,
    ) -> Result<(), LookError> {
        let pattern = match word {
            "include" => under(root, name),
            // Debian's script prints what is enabled.
            _ if name.ends_with("include-conf-enabled.pl") => format!("{root}/conf-enabled/*.conf"),
            // Debian's other script tells whether IPv6 is there, which says nothing of logs.
            _ if name.contains("use-ipv6.pl") || name.contains("create-mime") => return Ok(()),
            _ => {
                let message = "what this program prints is not known here, and may be about logs";
                self.unreadable
                    .push(Finding::at(Rule::Unreadable, place, message));
                return Ok(());
            }
        };
        if depth >= DEEPEST || self.texts.len() >= MOST {
            return Err(syntax(place, "files include files too deeply"));
        }
        for file in machine.glob(&pattern) {
            match text(machine, &file) {
                Ok(_) if self.texts.iter().any(|(known, _)| **known == *file) => {}
                Ok(text) => self.file(machine, &file, text, root, scope, depth + 1)?,
                Err(error) => {
                    self.unreadable
                        .push(Finding::at(Rule::Unreadable, place, error.to_string()))
                }
            }
        }
        Ok(())
    }
}

fn syntax(place: &Place, what: &str) -> LookError {
    LookError::Syntax(format!("{place}: {what}"))
}

/// The assignment whose key is the token `at`, and the token behind it.
fn assignment(
    tokens: &[Token],
    at: usize,
    key: &str,
    scope: &[usize],
    place: &Place,
) -> (Option<Assignment>, usize) {
    let mark = |at: usize| match tokens.get(at).map(|token| &token.kind) {
        Some(Kind::Mark(mark)) => Some(*mark),
        _ => None,
    };
    let value = match (mark(at + 1), mark(at + 2)) {
        (Some('='), Some('=' | '~' | '>')) => return (None, at + 1),
        (Some('='), _) => at + 2,
        (Some('+' | ':'), Some('=')) => at + 3,
        _ => return (None, at + 1),
    };
    let start = tokens.get(at).map_or(0, |token| token.range.start);
    let mut assignment = Assignment {
        key: key.to_owned(),
        text: Some(String::new()),
        strings: Vec::new(),
        last: None,
        range: start..start,
        scope: scope.to_vec(),
        place: place.clone(),
    };
    let mut next = value;
    let mut depth = 0_usize;
    // A value goes on behind a plus sign and inside parentheses.
    let mut wants_more = true;
    while let Some(token) = tokens.get(next) {
        match &token.kind {
            Kind::Mark('(') if wants_more || depth > 0 => {
                depth += 1;
                assignment.text = None;
            }
            Kind::Mark(')') if depth > 0 => {
                depth -= 1;
                wants_more = false;
            }
            Kind::Mark('+') => wants_more = true,
            Kind::String(string) if wants_more || depth > 0 => {
                if let Some(text) = &mut assignment.text {
                    text.push_str(string);
                }
                assignment.strings.push(string.clone());
                assignment.last = Some(token.range.clone());
                wants_more = false;
            }
            Kind::Word(_) if wants_more || depth > 0 => {
                assignment.text = None;
                wants_more = false;
            }
            Kind::Mark(_) if depth > 0 => {}
            _ => break,
        }
        assignment.range.end = token.range.end;
        next += 1;
    }
    if assignment.strings.is_empty() {
        assignment.text = None;
    }
    (Some(assignment), next)
}

fn tokens(file: &Arc<str>, text: &str) -> Result<Vec<Token>, LookError> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let first = line;
        let mut push = |kind, end| {
            tokens.push(Token {
                kind,
                range: at..end,
                line: first,
            });
        };
        match c {
            '\n' => line += 1,
            '#' => while characters.next_if(|(_, c)| *c != '\n').is_some() {},
            '"' | '\'' => {
                let mut string = String::new();
                let end = loop {
                    match characters.next() {
                        Some((end, quote)) if quote == c => break end + 1,
                        Some((_, '\\'))
                            if characters.peek().is_some_and(|(_, next)| *next == c) =>
                        {
                            string.extend(characters.next().map(|(_, c)| c));
                        }
                        Some((_, other)) => {
                            line += u64::from(other == '\n');
                            string.push(other);
                        }
                        None => {
                            let place = Place {
                                file: file.clone(),
                                line: first,
                            };
                            return Err(syntax(&place, "a quoted text has no end"));
                        }
                    }
                };
                push(Kind::String(string), end);
            }
            c if is_word(c) => {
                let mut word = String::from(c);
                let mut end = at + c.len_utf8();
                while let Some((at, c)) = characters.next_if(|(_, c)| is_word(*c)) {
                    word.push(c);
                    end = at + c.len_utf8();
                }
                push(Kind::Word(word), end);
            }
            c if c.is_whitespace() => {}
            c => push(Kind::Mark(c), at + c.len_utf8()),
        }
    }
    Ok(tokens)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '$' | '/')
}
