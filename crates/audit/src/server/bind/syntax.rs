//! named.conf: statements of words and blocks, with comments of three kinds, and includes.

use std::{ops::Range, sync::Arc};

use portledger_servers::config::Place;

use crate::{
    LookError, Machine,
    lines::{Continues, Line, Lines},
    machine::under,
};

/// What named reads, includes in their places.
pub(super) struct Configuration {
    pub(super) lines: Lines,
    pub(super) statements: Vec<Statement>,
}

/// `words… { … };`.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) file: Arc<str>,
    pub(super) words: Vec<Word>,
    children: Vec<Self>,
    /// Right behind the opening brace, where something can be put in.
    pub(super) inside: Range<usize>,
    line: u64,
}

/// A word without its quotes, and where it stands with them.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) range: Range<usize>,
}

impl Statement {
    pub(super) fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", |word| &word.text)
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.word(0) == name
    }

    pub(super) fn children(&self) -> &[Self] {
        &self.children
    }

    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.is(name))
    }

    pub(super) fn place(&self) -> Place {
        Place {
            file: self.file.clone(),
            line: self.line,
        }
    }
}

/// How deep blocks are followed: more is no configuration.
const DEEPEST: usize = 24;
const MOST_FILES: usize = 256;

impl Configuration {
    pub(super) fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let mut lines = Lines::read(machine, path, Continues::Never, &|_| Vec::new())?;
        // Relative to where named was started or told to go: its `directory`.
        let mut statements = statements(path, lines.text(path));
        let directory = statements
            .iter()
            .find(|it| it.is("options"))
            .and_then(|it| it.child("directory"));
        let directory = directory.map_or_else(
            || crate::machine::folder(path).to_owned(),
            |it| it.word(1).to_owned(),
        );
        let mut at = 0;
        while let Some(statement) = statements.get(at) {
            if !statement.is("include") || lines.files.len() >= MOST_FILES {
                at += 1;
                continue;
            }
            let named = under(&directory, statement.word(1));
            statements.remove(at);
            if lines.files.contains(&named) {
                continue;
            }
            let nothing = |_: &Line| Vec::new();
            match lines.add(machine, &named, Continues::Never, &nothing) {
                Ok(()) => {
                    let more = self::statements(&named, lines.text(&named));
                    statements.splice(at..at, more);
                }
                Err(error) => {
                    let why = error.to_string();
                    lines
                        .findings
                        .push(crate::Finding::new(crate::Rule::Unreadable, why));
                }
            }
        }
        Ok(Self { lines, statements })
    }
}

enum Token {
    Word(Word),
    Open(usize),
    Close,
    End,
}

fn statements(file: &str, text: &str) -> Vec<Statement> {
    let file: Arc<str> = file.into();
    let mut tokens = tokens(text).into_iter();
    block(&file, text, &mut tokens, 0)
}

fn block(
    file: &Arc<str>,
    text: &str,
    tokens: &mut std::vec::IntoIter<Token>,
    depth: usize,
) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut open = None;
    let fresh = || Statement {
        file: file.clone(),
        words: Vec::new(),
        children: Vec::new(),
        inside: 0..0,
        line: 0,
    };
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word) => {
                let statement = open.get_or_insert_with(|| Statement {
                    line: line_of(text, word.range.start),
                    ..fresh()
                });
                statement.words.push(word);
            }
            Token::Open(_) if depth >= DEEPEST => return statements,
            Token::Open(at) => {
                let children = block(file, text, tokens, depth + 1);
                let statement = open.get_or_insert_with(fresh);
                statement.children = children;
                statement.inside = at..at;
            }
            Token::End => statements.extend(open.take()),
            Token::Close => break,
        }
    }
    statements.extend(open);
    statements
}

fn line_of(text: &str, at: usize) -> u64 {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let length = |end: Option<usize>| end.unwrap_or(rest.len());
        let first = rest.chars().next().map_or(1, char::len_utf8);
        if rest.starts_with('#') || rest.starts_with("//") {
            at += length(rest.find('\n'));
        } else if rest.starts_with("/*") {
            at += length(rest.find("*/").map(|end| end + 2));
        } else if let Some(inside) = rest.strip_prefix('"') {
            let end = inside.find('"').unwrap_or(inside.len());
            let whole = (end + 2).min(rest.len());
            tokens.push(Token::Word(Word {
                text: inside.get(..end).unwrap_or_default().to_owned(),
                range: at..at + whole,
            }));
            at += whole;
        } else if rest.starts_with(char::is_whitespace) {
            at += first;
        } else if let Some(mark) = rest.chars().next().filter(|c| matches!(c, '{' | '}' | ';')) {
            at += 1;
            tokens.push(match mark {
                '{' => Token::Open(at),
                '}' => Token::Close,
                _ => Token::End,
            });
        } else {
            let is_end = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | ';' | '"' | '#');
            let comment = ["//", "/*"].iter().filter_map(|mark| rest.find(mark)).min();
            let end = length(rest.find(is_end).into_iter().chain(comment).min()).max(first);
            tokens.push(Token::Word(Word {
                text: rest.get(..end).unwrap_or_default().to_owned(),
                range: at..at + end,
            }));
            at += end;
        }
    }
    tokens
}
