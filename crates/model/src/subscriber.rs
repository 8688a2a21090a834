//! Who the NAT knows.

use std::{fmt, net::IpAddr, sync::Arc};

use serde::{Serialize, Serializer};
use thiserror::Error;

/// A routing realm: inside addresses mean something only together with it, since two realms may
/// use the same private addresses. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Realm(Arc<str>);

/// A realm's name that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "realm name '{0}' cannot be used: 1 to 64 of the letters, digits, '.', '_' and '-' make a name"
)]
pub struct RealmError(String);

impl Realm {
    /// A realm by its name.
    ///
    /// # Errors
    /// When the name is not 1 to 64 ASCII letters, digits, `.`, `_` or `-`.
    pub fn new(name: &str) -> Result<Self, RealmError> {
        if is_name(name) {
            Ok(Self(name.into()))
        } else {
            Err(RealmError(name.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a realm or a device may be called: it goes into file names, metrics and log lines as it
/// is, so it holds nothing that would need quoting there.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The realm named `default`.
impl Default for Realm {
    fn default() -> Self {
        Self("default".into())
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Realm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Who the NAT knows: a realm and an address inside it. Not the customer: that is an identity,
/// kept elsewhere and known to fewer people.
///
/// `Debug` prints no address and there is no `Display`: an address leaves only by
/// [`Subscriber::internal`] or by the JSON of an answer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Subscriber {
    realm: Realm,
    internal: IpAddr,
}

impl Subscriber {
    /// The holder of `internal` inside `realm`.
    pub const fn new(realm: Realm, internal: IpAddr) -> Self {
        Self { realm, internal }
    }

    /// The realm in which the internal address means something.
    pub const fn realm(&self) -> &Realm {
        &self.realm
    }

    /// The internal address: personal data.
    pub const fn internal(&self) -> IpAddr {
        self.internal
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscriber({}, redacted)", self.realm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_address() {
        let subscriber = Subscriber::new(Realm::default(), "100.64.3.9".parse().unwrap());
        assert_eq!(format!("{subscriber:?}"), "Subscriber(default, redacted)");
    }

    #[test]
    fn a_name_that_needs_quoting_is_refused() {
        for name in ["", "a b", "a/b", "x\n", &"x".repeat(65)] {
            assert!(Realm::new(name).is_err(), "{name:?}");
        }
        assert_eq!(Realm::new("vrf-7.west").unwrap().as_str(), "vrf-7.west");
    }
}
