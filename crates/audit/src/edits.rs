//! Changes to several files, collected while a change is thought out.

use std::{collections::BTreeMap, ops::Range};

use crate::{
    Edit, FixError,
    lines::{Line, Lines},
    text::Replacements,
};

/// Changes, by file.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    files: BTreeMap<String, Changed>,
}

#[derive(Debug)]
struct Changed {
    /// As it is; `None` where the change makes it.
    before: Option<String>,
    replacements: Replacements,
    /// Lines for its end.
    appended: String,
}

impl Edits {
    /// Puts `with` where `place` is in a file.
    pub(crate) fn replace(&mut self, lines: &Lines, file: &str, place: Range<usize>, with: &str) {
        self.put(file, lines.text(file), place, with);
    }

    /// Puts `with` where `place` is in a file of this text; an empty place is an insertion.
    pub(crate) fn put(&mut self, file: &str, text: &str, place: Range<usize>, with: &str) {
        self.file(file, Some(text)).replacements.add(place, with);
    }

    /// Puts `with` where `place` is in this line's file.
    pub(crate) fn replace_in(
        &mut self,
        lines: &Lines,
        line: &Line,
        place: Range<usize>,
        with: &str,
    ) {
        self.replace(lines, &line.place.file, place, with);
    }

    /// Puts a line at a file's end.
    pub(crate) fn append(&mut self, lines: &Lines, file: &str, line: &str) {
        let changed = self.file(file, Some(lines.text(file)));
        changed.appended += line;
        changed.appended.push('\n');
    }

    /// Makes a file.
    pub(crate) fn create(&mut self, file: &str, text: &str) {
        self.file(file, None).appended += text;
    }

    fn file(&mut self, path: &str, before: Option<&str>) -> &mut Changed {
        self.files
            .entry(path.to_owned())
            .or_insert_with(|| Changed {
                before: before.map(str::to_owned),
                replacements: Replacements::default(),
                appended: String::new(),
            })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The files as they should be.
    ///
    /// # Errors
    /// When two changes meet at one place, or a file has bytes that are no UTF-8, which a change
    /// of text could not leave as they are.
    pub(crate) fn finish(self) -> Result<Vec<Edit>, FixError> {
        let by_hand = |path: &str, why: &str| FixError::ByHand {
            why: format!("{path}: {why}"),
        };
        let mut edits = Vec::new();
        for (path, changed) in self.files {
            let text = changed.before.clone().unwrap_or_default();
            if text.contains(char::REPLACEMENT_CHARACTER) {
                let why = "it has bytes that are no UTF-8, which this program would not keep: change it by hand";
                return Err(by_hand(&path, why));
            }
            let mut after = changed.replacements.apply(&text).ok_or_else(|| {
                by_hand(&path, "two changes meet at one place: change it by hand")
            })?;
            if !changed.appended.is_empty() && !after.is_empty() && !after.ends_with('\n') {
                after.push('\n');
            }
            after += &changed.appended;
            if changed.before.as_ref() != Some(&after) {
                edits.push(Edit {
                    path,
                    before: changed.before,
                    after,
                });
            }
        }
        Ok(edits)
    }
}
