//! Places in configuration texts, for changes that leave everything else byte for byte.

use std::ops::Range;

/// The byte at which a line begins, lines being counted from 1.
pub(crate) fn line_start(text: &str, line: u64) -> Option<usize> {
    let mut start = 0;
    for _ in 1..line {
        start += text.get(start..)?.find('\n')? + 1;
    }
    Some(start)
}

/// The white space in front of the line that holds this byte.
pub(crate) fn indentation(text: &str, at: usize) -> &str {
    let before = text.get(..at).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(start..).unwrap_or_default();
    let end = line.find(|c| c != ' ' && c != '\t').unwrap_or(line.len());
    line.get(..end).unwrap_or_default()
}

/// Replacements in one text, made all at once so that no place moves under another.
#[derive(Debug, Default)]
pub(crate) struct Replacements {
    all: Vec<(Range<usize>, String)>,
}

impl Replacements {
    /// Puts `with` where `place` is; an empty place is an insertion.
    pub(crate) fn add(&mut self, place: Range<usize>, with: impl Into<String>) {
        self.all.push((place, with.into()));
    }

    /// The text after all of them; insertions at one place stand in the order in which they were
    /// added. `None` where two places overlap.
    pub(crate) fn apply(mut self, text: &str) -> Option<String> {
        self.all.sort_by_key(|(place, _)| place.start);
        let mut result = String::with_capacity(text.len() + 256);
        let mut at = 0;
        for (place, with) in &self.all {
            result += text.get(at..place.start)?;
            result += with;
            at = place.end;
        }
        result += text.get(at..)?;
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_leave_the_rest_alone() {
        let text = "one\n  two three\n";
        let two = line_start(text, 2).unwrap() + 2;
        assert_eq!(indentation(text, two), "  ");
        let mut replacements = Replacements::default();
        replacements.add(two + 3..two + 3, " and a half");
        replacements.add(0..3, "1");
        assert_eq!(
            replacements.apply(text).as_deref(),
            Some("1\n  two and a half three\n")
        );
        let mut overlapping = Replacements::default();
        overlapping.add(0..3, "");
        overlapping.add(2..4, "");
        assert_eq!(overlapping.apply(text), None);
        assert_eq!(line_start(text, 9), None);
    }
}
