//! A change of several files on its way: what is put where, until all of it is known.

use std::{collections::BTreeMap, ops::Range};

use portledger_servers::config::Place;

use crate::{Edit, FixError, text::Replacements};

/// Replacements in the files of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    files: BTreeMap<String, Replacements>,
}

impl Plan {
    /// Puts `with` where `place` of `file` is; an empty place is an insertion.
    pub(crate) fn add(&mut self, file: &str, place: Range<usize>, with: impl Into<String>) {
        let replacements = self.files.entry(file.to_owned()).or_default();
        replacements.add(place, with);
    }

    /// Puts `with` at this byte of `file`.
    pub(crate) fn insert(&mut self, file: &str, at: usize, with: impl Into<String>) {
        self.add(file, at..at, with);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.values().all(Replacements::is_empty)
    }

    /// The files as they should be, by their texts as they are.
    ///
    /// # Errors
    /// When two changes meet at one place, or a file's bytes are not all text: what stands for them
    /// here must not be written back.
    pub(crate) fn edits<'t>(self, text: impl Fn(&str) -> &'t str) -> Result<Vec<Edit>, FixError> {
        let changed = self.files.into_iter().filter(|(_, all)| !all.is_empty());
        changed
            .map(|(path, replacements)| {
                let refused = |why: &str| FixError::ByHand {
                    why: format!("{path}: {why}"),
                };
                let before = text(&path).to_owned();
                if before.contains(char::REPLACEMENT_CHARACTER) {
                    return Err(refused(
                        "the file is not all UTF-8, and its other bytes would be lost: change it by hand",
                    ));
                }
                let after = replacements
                    .apply(&before)
                    .ok_or_else(|| refused("two changes meet at one place: change it by hand"))?;
                Ok(Edit {
                    path,
                    before: Some(before),
                    after,
                })
            })
            .collect()
    }
}

/// `/var/log/nginx/access.log` has `/var/log/nginx/access.connections.log` beside it, which the
/// same rotation takes.
pub(crate) fn beside(path: &str) -> String {
    match path.strip_suffix(".log") {
        Some(stem) => format!("{stem}.connections.log"),
        None => format!("{path}.connections"),
    }
}

/// No change is offered, because of what stands at this place.
pub(crate) fn by_hand(place: &Place, why: &str) -> FixError {
    FixError::ByHand {
        why: format!("{place}: {why}"),
    }
}
