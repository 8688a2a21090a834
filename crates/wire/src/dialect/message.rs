//! A message of a dialect, ready to be looked for in lines.

use std::sync::Arc;

use memchr::memmem::Finder;

use super::{pairs::Pairs, pattern::Pattern, rules::Tells};
use crate::event::Phase;

/// A message of a dialect.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// What people call it.
    pub(crate) name: Arc<str>,
    /// Texts that each of its lines has: looked for first, since it is cheap.
    pub(crate) has: Vec<Finder<'static>>,
    /// Texts that none of its lines has.
    pub(crate) lacks: Vec<Finder<'static>>,
    pub(crate) body: Body,
    pub(crate) kind: Kind,
    /// Whether it begins, goes on or ends, where the message is of one of these only.
    pub(crate) phase: Option<Phase>,
    /// The words for it, where a field says it.
    pub(crate) words: Vec<(Box<[u8]>, Phase)>,
}

/// How its fields are written.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Pattern(Pattern),
    Pairs(Pairs),
    /// A pattern, and pairs behind it.
    Both(Pattern, Pairs),
    /// No field matters: the texts are enough.
    Nothing,
}

/// What it is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Event(Tells),
    /// Known, and no event; why.
    Nothing(Box<str>),
    /// It looks like an event and lacks what makes it one; why.
    Refused(Box<str>),
}

impl Message {
    /// Whether the line has all of the texts that its lines have; where none are given, that with
    /// which its pattern begins.
    pub(crate) fn is_in(&self, line: &[u8]) -> bool {
        if self.has.is_empty()
            && let Body::Pattern(pattern) | Body::Both(pattern, _) = &self.body
            && pattern.find(line, 0).is_none()
        {
            return false;
        }
        self.has.iter().all(|text| text.find(line).is_some())
            && self.lacks.iter().all(|text| text.find(line).is_none())
    }

    /// Where from byte `at` on a record of this message begins.
    pub(crate) fn begins(&self, line: &[u8], at: usize) -> Option<usize> {
        if !self.is_in(line) {
            return None;
        }
        match &self.body {
            Body::Pattern(pattern) | Body::Both(pattern, _) => pattern.find(line, at),
            Body::Pairs(_) | Body::Nothing => {
                let text = self.has.first()?;
                Some(at + text.find(line.get(at..)?)?)
            }
        }
    }
}
