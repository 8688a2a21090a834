//! Lines of `key=value`, `key="value"`: RFC 5424's structured data, Splunk's form, CEF's
//! extensions, conntrack's and netfilter's.

use super::{fields::Field, fields::Found, pattern::Mismatch};
use crate::{event::Phase, syslog::closing_quote};

/// Which key has which field.
#[derive(Debug, Clone)]
pub(crate) struct Pairs {
    keys: Vec<Key>,
    /// A bit for each length that a key has: most keys of a line are of none.
    lengths: u64,
}

#[derive(Debug, Clone)]
struct Key {
    name: Box<[u8]>,
    /// The first, second, … time that the key is met.
    occurrence: u8,
    field: Field,
}

impl Pairs {
    /// At most so many keys.
    pub(crate) const MOST: usize = 24;

    /// From `field` and `key`, `key#2` or `key:form`, or several of these with `|` between.
    pub(crate) fn add(&mut self, field: &str, key: &str) -> Result<(), String> {
        key.split('|').try_for_each(|key| self.add_one(field, key))
    }

    fn add_one(&mut self, field: &str, key: &str) -> Result<(), String> {
        let (key, form) = key
            .split_once(':')
            .map_or((key, None), |(k, f)| (k, Some(f)));
        let (name, occurrence) = match key.split_once('#') {
            Some((name, number)) => {
                let number = number.parse().ok().filter(|number| *number > 0);
                (
                    name,
                    number.ok_or_else(|| format!("'{key}': write the occurrence as #2"))?,
                )
            }
            None => (key, 1),
        };
        let wanted = form.map_or_else(|| field.to_owned(), |form| format!("{field}:{form}"));
        let field = Field::parse(&wanted)
            .ok_or_else(|| format!("'{wanted}' is no field: there are {}", super::fields::NAMES))?;
        if name.is_empty() || !name.bytes().all(is_key) {
            return Err(format!(
                "'{name}' is no key: letters, digits, '-', '_' and '.' make one"
            ));
        }
        if self.keys.len() == Self::MOST {
            return Err(format!("more than {} keys", Self::MOST));
        }
        self.lengths |= length_bit(name.len());
        self.keys.push(Key {
            name: name.as_bytes().into(),
            occurrence,
            field,
        });
        Ok(())
    }

    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self {
            keys: Vec::new(),
            lengths: 0,
        }
    }

    /// Whether some key gives this field.
    pub(crate) fn gives(&self, wanted: impl Fn(Field) -> bool) -> bool {
        self.keys.iter().any(|key| wanted(key.field))
    }

    /// Reads the keys in `line` from byte `from` on into `found`; a key that is missing leaves its
    /// field as it is.
    pub(crate) fn read<'a>(
        &self,
        found: &mut Found<'a>,
        line: &'a [u8],
        from: usize,
        words: &[(Box<[u8]>, Phase)],
    ) -> Result<usize, Mismatch> {
        let mut met = [0_u8; Self::MOST];
        let mut left = self.keys.len();
        let mut at = from;
        while left > 0
            && let Some(equals) = line.get(at..).and_then(|rest| memchr::memchr(b'=', rest))
        {
            let before = line.get(at..at + equals).unwrap_or_default();
            let length = before.iter().rev().take_while(|&&b| is_key(b)).count();
            let name = before.get(before.len() - length..).unwrap_or_default();
            let (start, end, next, whole) = value(line, at + equals + 1);
            at = next;
            if self.lengths & length_bit(length) == 0 {
                continue;
            }
            for (key, met) in self.keys.iter().zip(&mut met) {
                if *key.name != *name {
                    continue;
                }
                *met = met.saturating_add(1);
                if *met != key.occurrence {
                    continue;
                }
                left -= 1;
                let text = line.get(start..end).unwrap_or_default();
                // A date has spaces in it and is not always quoted.
                let read = if key.field.is_date() {
                    found.read(
                        key.field,
                        line.get(start..).unwrap_or_default(),
                        words,
                        None,
                    )
                } else {
                    let used = found.read(key.field, text, words, None);
                    used.filter(|used| *used == text.len() && whole)
                };
                if read.is_none() && !(is_absent(text) && whole) {
                    return Err(Mismatch {
                        at: start,
                        field: Some(key.field),
                    });
                }
            }
        }
        Ok(line.len())
    }
}

/// Lengths that are 64 apart share a bit.
const fn length_bit(length: usize) -> u64 {
    1 << (length % 64)
}

fn is_absent(text: &[u8]) -> bool {
    matches!(text, b"" | b"-" | b"N/A" | b"n/a" | b"None" | b"UNKNOWN")
}

const fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Where the value that begins at `at` begins and ends without its quotes, what follows it, and
/// whether it is whole: a quote that is not closed was cut short.
fn value(line: &[u8], at: usize) -> (usize, usize, usize, bool) {
    let rest = line.get(at..).unwrap_or_default();
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        return match closing_quote(quoted) {
            Some(length) => (at + 1, at + 1 + length, at + 2 + length, true),
            None => (at + 1, line.len(), line.len(), false),
        };
    }
    let length = rest
        .iter()
        .take_while(|b| !b.is_ascii_whitespace() && !b",;]|".contains(b))
        .count();
    (at, at + length, at + length, true)
}
