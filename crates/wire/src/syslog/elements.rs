//! Structured data (RFC 5424 §6.3), and what it says of the clock (§7.1).

use std::{borrow::Cow, fmt, time::Duration};

/// The structured data of a message, checked and not yet taken apart.
///
/// `Debug` shows how long it is and no more: it may hold subscribers' addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Elements<'a>(&'a [u8]);

impl fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Elements({} bytes, redacted)", self.0.len())
    }
}

/// A parameter's value, as it is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a [u8]);

impl<'a> Value<'a> {
    /// The value with its escapes taken out (RFC 5424 §6.3.3): `\"`, `\\` and `\]`; a backslash
    /// before anything else stands for itself.
    pub fn unescaped(self) -> Cow<'a, [u8]> {
        if !self.0.contains(&b'\\') {
            return Cow::Borrowed(self.0);
        }
        let mut text = Vec::with_capacity(self.0.len());
        let mut bytes = self.0.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            if byte == b'\\'
                && let Some(escaped) = bytes.next_if(|next| b"\"\\]".contains(next))
            {
                text.push(escaped);
            } else {
                text.push(byte);
            }
        }
        Cow::Owned(text)
    }

    /// The value as it is written, escapes and all.
    pub const fn raw(self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Elements<'a> {
    /// No structured data: `-`.
    pub const NONE: Self = Self(b"");

    /// The structured data at the start of `text`, and what follows it.
    pub(crate) fn scan(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        if let Some(rest) = text.strip_prefix(b"-") {
            return Some((Self::NONE, rest));
        }
        let mut rest = text;
        while rest.first() == Some(&b'[') {
            rest = element(rest)?.2;
        }
        let length = text.len() - rest.len();
        (length > 0).then_some((Self(text.get(..length)?), rest))
    }

    /// The elements: identifier, then its parameters' names and values, in their order.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], Parameters<'a>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (id, parameters, after) = element(rest)?;
            rest = after;
            Some((id, parameters))
        })
    }

    /// The parameters of the first element with this identifier.
    pub fn get(self, id: &[u8]) -> Option<Parameters<'a>> {
        self.iter()
            .find(|(name, _)| *name == id)
            .map(|found| found.1)
    }
}

/// Parameters of an element: names and values, in their order.
#[derive(Clone)]
pub struct Parameters<'a>(&'a [u8]);

impl fmt::Debug for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parameters({} bytes, redacted)", self.0.len())
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value, rest) = parameter(self.0)?;
        self.0 = rest;
        Some((name, value))
    }
}

/// `[id name="value" …]`: identifier, parameters, what follows.
fn element(text: &[u8]) -> Option<(&[u8], Parameters<'_>, &[u8])> {
    let inside = text.strip_prefix(b"[")?;
    let id = name(inside)?;
    let start = inside.get(id.len()..)?;
    let mut rest = start;
    while let Some((_, _, after)) = parameter(rest) {
        rest = after;
    }
    let parameters = start.get(..start.len() - rest.len())?;
    Some((id, Parameters(parameters), rest.strip_prefix(b"]")?))
}

/// ` name="value"`
fn parameter(text: &[u8]) -> Option<(&[u8], Value<'_>, &[u8])> {
    let text = text.strip_prefix(b" ")?;
    let name = name(text)?;
    let value = text.get(name.len()..)?.strip_prefix(b"=\"")?;
    let end = closing_quote(value)?;
    Some((name, Value(value.get(..end)?), value.get(end + 1..)?))
}

/// Where the value ends that begins at the first byte: an even number of backslashes before it.
pub(crate) fn closing_quote(value: &[u8]) -> Option<usize> {
    let mut start = 0;
    loop {
        let found = start + memchr::memchr2(b'"', b'\\', value.get(start..)?)?;
        if value.get(found) == Some(&b'"') {
            return Some(found);
        }
        start = found + 2;
    }
}

/// SD-NAME: printable ASCII without `=`, space, `]` and `"`. Its length is not held against it.
fn name(text: &[u8]) -> Option<&[u8]> {
    let length = text
        .iter()
        .take_while(|b| b.is_ascii_graphic() && !b"=]\"".contains(b))
        .count();
    text.get(..length).filter(|name| !name.is_empty())
}

/// What a device says of its own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeQuality {
    /// Whether it knows its zone (`tzKnown`).
    pub zone_known: Option<bool>,
    /// Whether its clock follows a reliable one (`isSynced`).
    pub synced: Option<bool>,
    /// How far its clock may be off, either way (`syncAccuracy`); only of a clock that is synced.
    pub accuracy: Option<Duration>,
}

impl TimeQuality {
    /// Nothing is said.
    pub const UNSAID: Self = Self {
        zone_known: None,
        synced: None,
        accuracy: None,
    };

    /// What `[timeQuality …]` says (RFC 5424 §7.1); a value that is none of the standard's says
    /// nothing.
    pub(crate) fn of(elements: Elements<'_>) -> Self {
        let mut quality = Self::UNSAID;
        for (name, value) in elements.get(b"timeQuality").into_iter().flatten() {
            let flag = match value.raw() {
                b"0" => Some(false),
                b"1" => Some(true),
                _ => None,
            };
            match name {
                b"tzKnown" => quality.zone_known = flag,
                b"isSynced" => quality.synced = flag,
                b"syncAccuracy" => {
                    let micros = std::str::from_utf8(value.raw()).ok();
                    let micros = micros.and_then(|micros| micros.parse().ok());
                    quality.accuracy = micros.map(Duration::from_micros);
                }
                _ => {}
            }
        }
        // RFC 5424 §7.1.3: syncAccuracy must not be given where isSynced is 0.
        if quality.synced != Some(true) {
            quality.accuracy = None;
        }
        quality
    }
}
