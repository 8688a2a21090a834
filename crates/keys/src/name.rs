//! What a key may be called.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// A key's name: 1 to 64 ASCII letters, digits, `.`, `_` and `-`. It becomes a file's name as it
/// is, so it holds nothing that leads to another folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// A key's name that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("key name '{}' cannot be used: 1 to 64 of the letters, digits, '.', '_' and '-' make a name", .0.escape_debug())]
pub struct NameError(String);

impl KeyName {
    /// A key by its name.
    ///
    /// # Errors
    /// When the name is not 1 to 64 ASCII letters, digits, `.`, `_` or `-`.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let fits = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if fits {
            Ok(Self(name.to_owned()))
        } else {
            Err(NameError(name.chars().take(64).collect()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for name in [
            "",
            "../x",
            "a/b",
            "a\\b",
            "a\0",
            "a b",
            "a~b",
            "ä",
            &"x".repeat(65),
        ] {
            assert!(KeyName::new(name).is_err(), "{name:?}");
        }
        for name in ["2026-11-01", "..", "a.key", &"x".repeat(64)] {
            assert_eq!(KeyName::new(name).unwrap().as_str(), name);
        }
    }
}
