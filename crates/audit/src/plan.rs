//! A change of several files on its way: what is put where, until all of it is known and the files'
//! texts are at hand.

use std::ops::Range;

use portledger_servers::config::Place;

use crate::{Edit, FixError, edits::Edits};

/// Replacements in the files of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    all: Vec<(String, Range<usize>, String)>,
}

impl Plan {
    /// Puts `with` where `place` of `file` is; an empty place is an insertion.
    pub(crate) fn add(&mut self, file: &str, place: Range<usize>, with: impl Into<String>) {
        self.all.push((file.to_owned(), place, with.into()));
    }

    /// Puts `with` at this byte of `file`.
    pub(crate) fn insert(&mut self, file: &str, at: usize, with: impl Into<String>) {
        self.add(file, at..at, with);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The files as they should be, by their texts as they are.
    ///
    /// # Errors
    /// As [`Edits::finish`].
    pub(crate) fn edits<'t>(self, text: impl Fn(&str) -> &'t str) -> Result<Vec<Edit>, FixError> {
        let mut edits = Edits::default();
        for (file, place, with) in self.all {
            edits.put(&file, text(&file), place, &with);
        }
        edits.finish()
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
