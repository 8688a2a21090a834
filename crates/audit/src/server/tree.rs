//! YAML, JSON and TOML texts as one kind of tree, with the place of everything in it.

use std::{ops::Range, sync::Arc};

use portledger_servers::config::Place;
use saphyr_parser::{Event, Parser, ScalarStyle};
use toml::{Spanned, de::DeTable, de::DeValue};

use crate::LookError;

/// How many values, and how deep, a configuration may have.
const MOST: usize = 1_000_000;
const DEEPEST: usize = 128;

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    /// Its bytes; those of a block in YAML begin at its first key.
    pub(super) range: Range<usize>,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Text, a number or nothing.
    Scalar(String),
    /// A mapping, and whether it is written in braces.
    Map(Vec<(Node, Node)>, bool),
    /// A list.
    List(Vec<Node>),
}

impl Node {
    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn entries(&self) -> &[(Self, Self)] {
        match &self.value {
            Value::Map(entries, _) => entries,
            _ => &[],
        }
    }

    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub(super) const fn is_in_braces(&self) -> bool {
        matches!(self.value, Value::Map(_, true))
    }

    /// The key and the value of this name, however it is capitalised.
    pub(super) fn entry(&self, name: &str) -> Option<&(Self, Self)> {
        let mut entries = self.entries().iter();
        entries.find(|(key, _)| {
            key.scalar()
                .is_some_and(|key| key.eq_ignore_ascii_case(name))
        })
    }

    /// The value at the end of these names.
    pub(super) fn get(&self, path: &[&str]) -> Option<&Self> {
        path.iter()
            .try_fold(self, |node, name| Some(&node.entry(name)?.1))
    }

    /// The text at the end of these names.
    pub(super) fn text(&self, path: &[&str]) -> Option<&str> {
        self.get(path)?.scalar()
    }

    /// This value and all in it.
    pub(super) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        for (_, value) in self.entries() {
            value.walk(visit);
        }
        for item in self.items() {
            item.walk(visit);
        }
    }
}

/// The place of a byte.
pub(super) fn place(path: &str, text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or_default();
    let line = before.bytes().filter(|byte| *byte == b'\n').count();
    Place {
        file: Arc::from(path),
        line: u64::try_from(line).unwrap_or(u64::MAX).saturating_add(1),
    }
}

fn wrong(path: &str, what: impl std::fmt::Display) -> LookError {
    LookError::Syntax(format!("{path}: {what}"))
}

/// The first document of a YAML or JSON text; nothing at all is an empty mapping.
pub(super) fn yaml(path: &str, text: &str) -> Result<Node, LookError> {
    // Places are told in characters.
    let bytes: Vec<usize> = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect();
    let byte = |index: usize| bytes.get(index).copied().unwrap_or(text.len());
    let mut open: Vec<Node> = Vec::new();
    let mut keys: Vec<Option<Node>> = Vec::new();
    let mut count = 0_usize;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| wrong(path, error))?;
        let range = byte(span.start.index())..byte(span.end.index());
        count += 1;
        if count > MOST || open.len() > DEEPEST {
            return Err(wrong(path, "more than a configuration holds"));
        }
        let done = match event {
            Event::Scalar(value, style, ..) => {
                let is_empty = style == ScalarStyle::Plain && matches!(&*value, "~" | "null");
                let value = if is_empty {
                    String::new()
                } else {
                    value.into_owned()
                };
                Some(Node {
                    value: Value::Scalar(value),
                    range,
                })
            }
            Event::Alias(_) => {
                return Err(wrong(path, "anchors and aliases are not followed here"));
            }
            Event::MappingStart(..) => {
                let is_in_braces = text
                    .get(range.clone())
                    .is_some_and(|it| it.starts_with('{'));
                open.push(Node {
                    value: Value::Map(Vec::new(), is_in_braces),
                    range,
                });
                keys.push(None);
                None
            }
            Event::SequenceStart(..) => {
                open.push(Node {
                    value: Value::List(Vec::new()),
                    range,
                });
                keys.push(None);
                None
            }
            Event::MappingEnd | Event::SequenceEnd => {
                keys.pop();
                let mut node = open.pop();
                if let Some(node) = &mut node {
                    node.range.end = range.end.max(node.range.start);
                }
                node
            }
            _ => None,
        };
        let Some(node) = done else {
            continue;
        };
        match open.last_mut().map(|node| &mut node.value) {
            None => return Ok(node),
            Some(Value::List(items)) => items.push(node),
            Some(Value::Map(entries, _)) => match keys.last_mut() {
                Some(key @ None) => *key = Some(node),
                Some(key) => entries.extend(key.take().map(|key| (key, node))),
                None => {}
            },
            Some(Value::Scalar(_)) => {}
        }
    }
    Ok(Node {
        value: Value::Map(Vec::new(), false),
        range: text.len()..text.len(),
    })
}

/// A TOML text.
pub(super) fn toml(path: &str, text: &str) -> Result<Node, LookError> {
    let table = DeTable::parse(text).map_err(|error| wrong(path, error))?;
    let range = table.span();
    Ok(Node {
        value: of_table(table.get_ref()),
        range,
    })
}

fn of_table(table: &DeTable<'_>) -> Value {
    let entries = table.iter().map(|(key, value)| {
        let name = Node {
            value: Value::Scalar(key.get_ref().to_string()),
            range: key.span(),
        };
        (name, of_value(value))
    });
    Value::Map(entries.collect(), false)
}

fn of_value(value: &Spanned<DeValue<'_>>) -> Node {
    let range = value.span();
    let value = match value.get_ref() {
        DeValue::Table(table) => of_table(table),
        DeValue::Array(items) => Value::List(items.iter().map(of_value).collect()),
        DeValue::String(text) => Value::Scalar(text.to_string()),
        DeValue::Boolean(value) => Value::Scalar(value.to_string()),
        DeValue::Integer(number) => Value::Scalar(number.as_str().to_owned()),
        DeValue::Float(number) => Value::Scalar(number.as_str().to_owned()),
        DeValue::Datetime(time) => Value::Scalar(time.to_string()),
    };
    Node { value, range }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node, text: &str) -> String {
        let raw = &text[node.range.clone()];
        match &node.value {
            Value::Scalar(value) => format!("{value}={raw:?}"),
            Value::Map(entries, braces) => {
                let all: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| format!("{}: {}", shown(key, text), shown(value, text)))
                    .collect();
                format!("{{{}}}{}", all.join(", "), if *braces { "!" } else { "" })
            }
            Value::List(items) => {
                let all: Vec<_> = items.iter().map(|item| shown(item, text)).collect();
                format!("[{}]", all.join(", "))
            }
        }
    }

    #[test]
    fn everything_has_its_place() {
        let text = "# é\na:\n  - b: 'c é'\n    d: \"e\\n\"\nf: {g: 1}\nh:\ni: |\n  j\n  k\n";
        insta::assert_snapshot!(shown(&yaml("x", text).unwrap(), text));
        let text = "a = 'é'\n[b.c]\nd = [1, true]\ne = { f = \"g\" }\n";
        insta::assert_snapshot!(shown(&toml("x", text).unwrap(), text));
        let text = "{\"a\": [1, {\"b\": \"c\"}]}";
        insta::assert_snapshot!(shown(&yaml("x", text).unwrap(), text));
        assert!(yaml("x", "a: *b").is_err());
        assert!(yaml("x", "").unwrap().entries().is_empty());
        assert!(yaml("x", &"[".repeat(10_000)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "([a-z%{}\\[\\]:,'\"#&*!|>é \n-]|  ){0,60}") {
            let _ = yaml("x", &text);
            let _ = toml("x", &text);
        }
    }
}
