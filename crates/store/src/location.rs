//! Where a store is.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use thiserror::Error;

use crate::path::{PathError, StorePath};

/// Where a store is: a folder, or a bucket and perhaps a prefix in it. No secret is part of it,
/// so it may be printed and logged.
///
/// | text | is |
/// |---|---|
/// | `sealed`, `/var/lib/portledger/sealed` | a folder |
/// | `file:///var/lib/portledger/sealed` | the same folder, as a URL |
/// | `s3://bucket`, `s3://bucket/some/prefix` | an S3-compatible store; see [`Access`](crate::Access) |
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location(Place);

/// The kinds of places.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Folder(PathBuf),
    Bucket {
        bucket: String,
        prefix: Option<StorePath>,
    },
}

impl Location {
    /// A folder of this machine.
    #[must_use]
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self(Place::Folder(path.into()))
    }

    /// The folder, when it is one.
    #[must_use]
    pub fn as_folder(&self) -> Option<&Path> {
        match &self.0 {
            Place::Folder(path) => Some(path),
            Place::Bucket { .. } => None,
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if text.is_empty() {
            return Err(LocationError::Empty);
        }
        match text.split_once("://") {
            None => Ok(Self::folder(text)),
            Some(("file", _)) => reqwest::Url::parse(text)
                .ok()
                .filter(|url| url.query().is_none() && url.fragment().is_none())
                .and_then(|url| url.to_file_path().ok())
                .map(Self::folder)
                .ok_or(LocationError::File),
            Some(("s3", rest)) => bucket(rest).map(Self),
            Some(_) => Err(LocationError::Scheme),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Folder(path) => path.display().fmt(f),
            Place::Bucket {
                bucket,
                prefix: None,
            } => write!(f, "s3://{bucket}"),
            Place::Bucket {
                bucket,
                prefix: Some(prefix),
            } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// Why a text is no [`Location`]. The text is not repeated: someone may have put a password there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LocationError {
    /// No text.
    #[error("a store's place is missing; name a folder or s3://BUCKET/PREFIX")]
    Empty,
    /// A `file:` URL that names no folder of this machine.
    #[error(
        "this file URL names no folder of this machine; write file:///FOLDER or the folder alone"
    )]
    File,
    /// Another kind of URL.
    #[error(
        "stores are folders or s3:// URLs; for other S3-compatible stores use s3://BUCKET and set AWS_ENDPOINT_URL"
    )]
    Scheme,
    /// Not a bucket's name.
    #[error(
        "a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens, as in s3://BUCKET/PREFIX"
    )]
    Bucket,
    /// Credentials or options in the URL.
    #[error(
        "an s3:// URL holds a bucket and a prefix alone; credentials go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, other settings into AWS_… too"
    )]
    Secret,
    /// The prefix is none.
    #[error("the prefix of this s3:// URL cannot be used: {0}")]
    Prefix(#[from] PathError),
}

fn bucket(rest: &str) -> Result<Place, LocationError> {
    if rest.contains(['@', '?', '#']) {
        return Err(LocationError::Secret);
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    // Amazon S3 User Guide, "General purpose bucket naming rules".
    let sound = (3..=63).contains(&bucket.len())
        && bucket
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b))
        && !bucket.starts_with(['.', '-'])
        && !bucket.ends_with(['.', '-'])
        && !bucket.contains("..");
    if !sound {
        return Err(LocationError::Bucket);
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    Ok(Place::Bucket {
        bucket: bucket.into(),
        prefix: (!prefix.is_empty()).then(|| prefix.parse()).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, LocationError> {
        text.parse().map(|location: Location| location.to_string())
    }

    #[test]
    fn a_place_prints_as_it_is_read() {
        for text in [
            "sealed",
            "/var/lib/portledger/sealed",
            "a b:c",
            "s3://bucket",
            "s3://my.bucket-1/ledger/cgn1",
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(text));
        }
        assert_eq!(parsed("s3://bucket/").as_deref(), Ok("s3://bucket"));
        assert_eq!(parsed("s3://bucket/p/").as_deref(), Ok("s3://bucket/p"));
        assert_eq!(parsed("file:///var/a%20b").as_deref(), Ok("/var/a b"));
        assert_eq!(parsed("file://localhost/var").as_deref(), Ok("/var"));
    }

    #[test]
    fn what_is_no_place_says_why() {
        for (text, error) in [
            ("", LocationError::Empty),
            ("file://elsewhere/var", LocationError::File),
            ("file:///var?x=1", LocationError::File),
            ("https://example.org/bucket", LocationError::Scheme),
            ("gs://bucket", LocationError::Scheme),
            ("s3://", LocationError::Bucket),
            ("s3://Bucket", LocationError::Bucket),
            ("s3://a..b", LocationError::Bucket),
            ("s3://bucket-/x", LocationError::Bucket),
            ("s3://bucket/a//b", LocationError::Prefix(PathError::Empty)),
            ("s3://bucket/../b", LocationError::Prefix(PathError::Hidden)),
        ] {
            assert_eq!(parsed(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_secret_in_a_url_is_refused_and_not_repeated() {
        for text in ["s3://key:hunter2@bucket/p", "s3://bucket/p?secret=hunter2"] {
            let error = text.parse::<Location>().unwrap_err();
            assert_eq!(error, LocationError::Secret);
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
