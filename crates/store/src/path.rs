//! Names of stored files.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The name of a stored file, or of a folder of them: segments parted by `/`, as in
/// `2026-11-01/allocations.parquet`.
///
/// A segment has 1 to 200 letters, digits or `-_.=` and does not begin with a dot; a path has at
/// most [`StorePath::MAX_BYTES`]. Such a name means the same in a folder and in a bucket, needs no
/// escapes in a URL, cannot climb out of its store (`..`), and never meets the hidden names under
/// which unfinished files are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath(Box<str>);

impl StorePath {
    /// The longest path. Twice that, a prefix and a path, stays below S3's 1024 bytes for a key.
    pub const MAX_BYTES: usize = 500;

    /// The path that has `segment` below this one.
    ///
    /// # Errors
    /// When `segment` is none, or the path would become too long.
    pub fn join(&self, segment: &str) -> Result<Self, PathError> {
        if segment.contains('/') {
            return Err(PathError::Character('/'));
        }
        format!("{self}/{segment}").parse()
    }

    /// The path as text, without a slash at either end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&*self.0, |(_, name)| name)
    }

    /// The segments, the outermost first.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl FromStr for StorePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if text.len() > Self::MAX_BYTES {
            return Err(PathError::TooLong);
        }
        text.split('/').try_for_each(check)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no [`StorePath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PathError {
    /// Nothing between two slashes, or at an end.
    #[error("a stored file's name has no empty segments: no slash at its ends, no two in a row")]
    Empty,
    /// A segment begins with a dot.
    #[error("no segment of a stored file's name begins with a dot")]
    Hidden,
    /// A character that is not allowed.
    #[error("{0:?} may not stand in a stored file's name; use letters, digits and -_.=")]
    Character(char),
    /// Longer than a segment or a path may be.
    #[error("a stored file's name has at most 200 bytes between slashes and 500 in all")]
    TooLong,
}

fn check(segment: &str) -> Result<(), PathError> {
    const MAX_SEGMENT: usize = 200;
    if segment.is_empty() {
        return Err(PathError::Empty);
    }
    if segment.starts_with('.') {
        return Err(PathError::Hidden);
    }
    if segment.len() > MAX_SEGMENT {
        return Err(PathError::TooLong);
    }
    let odd = |c: &char| !(c.is_ascii_alphanumeric() || "-_.=".contains(*c));
    match segment.chars().find(odd) {
        Some(character) => Err(PathError::Character(character)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_that_could_leave_its_store_is_refused() {
        for (text, error) in [
            ("", PathError::Empty),
            ("/etc", PathError::Empty),
            ("day/", PathError::Empty),
            ("day//file", PathError::Empty),
            ("..", PathError::Hidden),
            ("day/../other", PathError::Hidden),
            ("day/.new-1", PathError::Hidden),
            ("day file", PathError::Character(' ')),
            ("day%2e", PathError::Character('%')),
            ("day\\file", PathError::Character('\\')),
            ("tag\u{f6}", PathError::Character('\u{f6}')),
            ("day\0", PathError::Character('\0')),
        ] {
            assert_eq!(text.parse::<StorePath>(), Err(error), "{text:?}");
        }
        assert_eq!(
            "a".repeat(201).parse::<StorePath>(),
            Err(PathError::TooLong)
        );
        assert_eq!(
            "a/".repeat(251).parse::<StorePath>(),
            Err(PathError::TooLong)
        );
    }

    #[test]
    fn a_path_is_built_a_segment_at_a_time() {
        let day: StorePath = "2026-11-01".parse().unwrap();
        let file = day.join("main.parquet").unwrap();
        assert_eq!(file.as_str(), "2026-11-01/main.parquet");
        assert_eq!(file.name(), "main.parquet");
        assert_eq!(day.name(), "2026-11-01");
        assert_eq!(day.join("a/b"), Err(PathError::Character('/')));
        assert_eq!(day.join(""), Err(PathError::Empty));
    }

    proptest! {
        #[test]
        fn what_is_a_path_means_the_same_to_the_library(text in "[a-z0-9./=_%-]{1,20}") {
            if let Ok(path) = text.parse::<StorePath>() {
                let theirs = object_store::path::Path::parse(&text).unwrap();
                prop_assert_eq!(theirs.as_ref(), path.as_str());
                prop_assert_eq!(object_store::path::Path::from(text.as_str()), theirs);
            }
        }
    }
}
