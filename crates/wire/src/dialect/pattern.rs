//! Patterns: a line's text with fields in it, compiled to steps that go over a line once.
//!
//! ```text
//! Subscriber {internal} {*} port block [{first}-{last}] from {external}
//! ```
//!
//! A space stands for one or more spaces or tabs; `{name}` for a field; `{_}` for a word that does
//! not matter; `{*}` for anything up to the text that follows it; `{{` for a brace. A `^` at the
//! start ties the pattern to the start of the message, behind a syslog header; otherwise it begins
//! wherever its first text is found. A `$` at the end ties it to the end of the line.

use memchr::memmem::Finder;
use thiserror::Error;

use super::fields::{Field, Found, NAMES};
use crate::event::Phase;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// Where the pattern begins: at the message's start, or wherever this text is.
    start: Start,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Start {
    Message,
    Text(Box<Finder<'static>>),
}

#[derive(Debug, Clone)]
enum Step {
    /// This text.
    Text(Box<[u8]>),
    /// One or more spaces or tabs.
    Space,
    /// A field; a word ends before this byte.
    Field(Field, Option<u8>),
    /// A word; it ends before this byte.
    Word(Option<u8>),
    /// Anything until this text, which is taken too.
    Until(Box<Finder<'static>>),
    /// The line's end, but for white space.
    End,
}

/// What is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum PatternError {
    #[error("'{{{0}}}' is no field: there are {NAMES}")]
    NoSuchField(String),
    #[error("a '{{' is not closed: write '{{{{' for a brace that stands for itself")]
    NotClosed,
    #[error("a pattern begins with text, or with '^' for the start of the message")]
    BeginsWithAField,
    #[error("'{{*}}' goes on until the text behind it: put some there, not a field or a space")]
    NoTextBehind,
    #[error("two fields touch: put the text between them that tells where the first one ends")]
    FieldsTouch,
    #[error("the field '{0}' stands twice")]
    Twice(String),
}

/// Where a pattern stopped being the line's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// The byte, from 0.
    pub(crate) at: usize,
    /// The field that was expected there, or else text.
    pub(crate) field: Option<Field>,
}

/// How often a pattern's first text may be met and what follows be something else, before the line
/// is given up: with it, the work stays proportional to the line.
const STARTS: usize = 4;

impl Pattern {
    pub(crate) fn compile(text: &str) -> Result<Self, PatternError> {
        let (anchored, text) = text
            .strip_prefix('^')
            .map_or((false, text), |text| (true, text));
        let (ended, text) = text
            .strip_suffix('$')
            .map_or((false, text), |text| (true, text));
        let pieces = pieces(text)?;
        let (first, taken) = match text_from(&pieces) {
            _ if anchored => (Start::Message, 0),
            (_, 0) => return Err(PatternError::BeginsWithAField),
            (text, taken) => (
                Start::Text(Box::new(Finder::new(&text).into_owned())),
                taken,
            ),
        };
        let mut steps = compile(pieces.get(taken..).unwrap_or_default())?;
        if ended {
            steps.push(Step::End);
        }
        Ok(Self {
            start: first,
            steps,
        })
    }

    /// Where in `line` from byte `from` on the pattern may begin first.
    pub(crate) fn find(&self, line: &[u8], from: usize) -> Option<usize> {
        match &self.start {
            Start::Message => Some(from),
            Start::Text(text) => Some(from + text.find(line.get(from..)?)?),
        }
    }

    /// Reads the pattern's fields where it begins at byte `from`; the byte behind it.
    pub(crate) fn read_here<'a>(
        &self,
        found: &mut Found<'a>,
        line: &'a [u8],
        from: usize,
        words: &[(Box<[u8]>, Phase)],
    ) -> Result<usize, Mismatch> {
        let first = match &self.start {
            Start::Message => 0,
            Start::Text(text) => text.needle().len(),
        };
        self.read_at(found, line, from + first, words)
    }

    /// Reads the pattern's fields wherever it first fits in `line` (the start of the message is
    /// `message`); the byte behind it.
    pub(crate) fn read<'a>(
        &self,
        found: &mut Found<'a>,
        line: &'a [u8],
        message: usize,
        words: &[(Box<[u8]>, Phase)],
    ) -> Result<usize, Mismatch> {
        let text = match &self.start {
            Start::Message => return self.read_at(found, line, message, words),
            Start::Text(text) => text,
        };
        let mut from = 0;
        let mut furthest = Mismatch { at: 0, field: None };
        for _ in 0..STARTS {
            let Some(start) = line.get(from..).and_then(|rest| text.find(rest)) else {
                break;
            };
            let behind = from + start + text.needle().len();
            match self.read_at(found, line, behind, words) {
                Ok(read) => return Ok(read),
                Err(mismatch) if mismatch.at > furthest.at => furthest = mismatch,
                Err(_) => {}
            }
            *found = Found::default();
            from = behind;
        }
        Err(furthest)
    }

    fn read_at<'a>(
        &self,
        found: &mut Found<'a>,
        line: &'a [u8],
        mut at: usize,
        words: &[(Box<[u8]>, Phase)],
    ) -> Result<usize, Mismatch> {
        for step in &self.steps {
            let rest = line.get(at..).unwrap_or_default();
            let (used, field) = match step {
                Step::Text(text) => (rest.starts_with(text).then_some(text.len()), None),
                Step::Space => {
                    let spaces = rest.iter().take_while(|b| b" \t".contains(b)).count();
                    ((spaces > 0).then_some(spaces), None)
                }
                Step::Field(field, end) => (found.read(*field, rest, words, *end), Some(*field)),
                Step::Word(end) => {
                    let goes_on = |b: &&u8| !b.is_ascii_whitespace() && Some(**b) != *end;
                    (Some(rest.iter().take_while(goes_on).count()), None)
                }
                Step::End => (rest.trim_ascii().is_empty().then_some(rest.len()), None),
                Step::Until(text) => (text.find(rest).map(|at| at + text.needle().len()), None),
            };
            at += used.ok_or(Mismatch { at, field })?;
        }
        Ok(at)
    }

    /// Whether it begins where the message does.
    pub(crate) const fn is_anchored(&self) -> bool {
        matches!(self.start, Start::Message)
    }

    /// Whether the pattern gives this field.
    pub(crate) fn gives(&self, wanted: impl Fn(Field) -> bool) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step, Step::Field(field, _) if wanted(*field)))
    }
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, PatternError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let length = if let Some(inside) = rest.strip_prefix("{{") {
            literal.push('{');
            rest.len() - inside.len()
        } else if let Some(inside) = rest.strip_prefix('{') {
            let end = inside.find('}').ok_or(PatternError::NotClosed)?;
            flush(&mut literal, &mut pieces);
            pieces.push(Piece::Hole(inside.get(..end).unwrap_or_default()));
            end + 2
        } else if next == ' ' {
            flush(&mut literal, &mut pieces);
            pieces.push(Piece::Space);
            rest.len() - rest.trim_start_matches(' ').len()
        } else {
            literal.push(next);
            next.len_utf8()
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    flush(&mut literal, &mut pieces);
    Ok(pieces)
}

enum Piece<'a> {
    Text(Box<[u8]>),
    Space,
    Hole(&'a str),
}

fn flush(literal: &mut String, pieces: &mut Vec<Piece<'_>>) {
    if !literal.is_empty() {
        pieces.push(Piece::Text(std::mem::take(literal).into_bytes().into()));
    }
}

/// The text up to the next field, with single spaces, and of how many pieces it is. A space right
/// before a field is left to be read as one or more.
fn text_from(pieces: &[Piece<'_>]) -> (Vec<u8>, usize) {
    let mut text = Vec::new();
    let mut taken = 0;
    while let Some(piece) = pieces.get(taken) {
        match piece {
            Piece::Text(piece) => text.extend_from_slice(piece),
            Piece::Space if matches!(pieces.get(taken + 1), Some(Piece::Text(_))) => {
                text.push(b' ');
            }
            _ => break,
        }
        taken += 1;
    }
    (text, taken)
}

fn compile(pieces: &[Piece<'_>]) -> Result<Vec<Step>, PatternError> {
    let mut steps = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    let mut index = 0;
    while let Some(piece) = pieces.get(index) {
        let behind = pieces.get(index + 1);
        let end = match behind {
            Some(Piece::Text(text)) => text.first().copied(),
            _ => None,
        };
        match piece {
            Piece::Text(text) => steps.push(Step::Text(text.clone())),
            Piece::Space => steps.push(Step::Space),
            Piece::Hole("*") => {
                let (needle, taken) = text_from(pieces.get(index + 1..).unwrap_or_default());
                if needle.trim_ascii().is_empty() {
                    return Err(PatternError::NoTextBehind);
                }
                index += taken;
                steps.push(Step::Until(Box::new(Finder::new(&needle).into_owned())));
            }
            Piece::Hole(_) if matches!(behind, Some(Piece::Hole(hole)) if *hole != "*") => {
                return Err(PatternError::FieldsTouch);
            }
            Piece::Hole("_") => steps.push(Step::Word(end)),
            Piece::Hole(hole) => {
                let field =
                    Field::parse(hole).ok_or_else(|| PatternError::NoSuchField((*hole).into()))?;
                let name = hole.split(':').next().unwrap_or(hole);
                if names.contains(&name) {
                    return Err(PatternError::Twice(name.into()));
                }
                names.push(name);
                steps.push(Step::Field(field, end));
            }
        }
        index += 1;
    }
    Ok(steps)
}
