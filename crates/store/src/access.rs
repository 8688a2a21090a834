//! How a remote store is reached and who asks, from the environment.

use std::fmt;

/// The settings of the environment for remote stores: the variables whose names begin with `AWS_`.
///
/// | variable | is |
/// |---|---|
/// | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | who asks |
/// | `AWS_REGION` | where the bucket is; `us-east-1` when not set |
/// | `AWS_ENDPOINT_URL` | the server, when it is not Amazon's |
/// | `AWS_ALLOW_HTTP` | `true` lets it be an `http://` URL |
///
/// Without keys, the roles of a container or of an Amazon machine are asked. Others that
/// `object_store` knows (`AWS_SSE_…`, `AWS_DISABLE_BULK_DELETE`) go through as they are. Never
/// printed: some are secrets.
#[derive(Clone, Default)]
pub struct Access(Vec<(String, String)>);

impl Access {
    /// The settings of this process.
    #[must_use]
    pub fn from_environment() -> Self {
        // A variable that is not Unicode is none of these.
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of the variable `name`, when it is set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find_map(|(known, value)| (known == name).then_some(value))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Access {
    /// Settings from elsewhere, by the names of their variables; what is empty or
    /// not `AWS_…` is left out.
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(
            pairs
                .into_iter()
                // Empty is as good as not set: how else would one unset it in a unit file?
                .filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty())
                .collect(),
        )
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let access: Access = [("AWS_SECRET_ACCESS_KEY".to_owned(), "hunter2".to_owned())]
            .into_iter()
            .collect();
        assert_eq!(access.get("AWS_SECRET_ACCESS_KEY"), Some("hunter2"));
        assert_eq!(format!("{access:?}"), "Access(redacted)");
    }

    #[test]
    fn only_the_settings_of_stores_are_kept() {
        let access: Access = [("HOME", "/root"), ("AWS_REGION", "")]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(access.iter().count(), 0);
    }
}
