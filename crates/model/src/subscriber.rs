//! Who the NAT knows.

use std::{fmt, net::IpAddr, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use thiserror::Error;

use crate::{Internal, Ipv6Prefix};

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

/// Who the NAT knows: a realm, and an address, an IPv6 prefix or a softwire inside it. Not the
/// customer: that is an identity, kept elsewhere and known to fewer people.
///
/// `Debug` prints no address and there is no `Display`: an address leaves only by
/// [`Subscriber::internal`] or by the JSON of an answer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subscriber {
    realm: Realm,
    internal: Internal,
}

impl Subscriber {
    /// The holder of an address inside `realm`.
    pub fn new(realm: Realm, address: IpAddr) -> Self {
        Self::of(realm, address.into())
    }

    /// The holder of an IPv6 prefix inside `realm`, as NAT64 knows its subscribers.
    pub const fn prefix(realm: Realm, prefix: Ipv6Prefix) -> Self {
        Self::of(realm, Internal::Prefix(prefix))
    }

    /// The holder of a softwire inside `realm`, by its B4's address or prefix.
    pub const fn softwire(realm: Realm, b4: Ipv6Prefix) -> Self {
        Self::of(realm, Internal::Softwire(b4))
    }

    /// Whoever is known as `internal` inside `realm`.
    pub const fn of(realm: Realm, internal: Internal) -> Self {
        Self { realm, internal }
    }

    /// The realm in which the rest means something.
    pub const fn realm(&self) -> &Realm {
        &self.realm
    }

    /// What the NAT knows the subscriber by: personal data.
    pub const fn internal(&self) -> Internal {
        self.internal
    }

    /// Whether both are of one realm and have an address in common, see [`Internal::meets`].
    pub fn meets(&self, asked: &Self) -> bool {
        self.internal.meets(asked.internal) && self.realm == asked.realm
    }
}

/// `internal` is the address or the prefix; of a softwire it is the B4's, and `kind` says so.
impl Serialize for Subscriber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Subscriber", 3)?;
        object.serialize_field("realm", &self.realm)?;
        match self.internal {
            Internal::Address(address) => object.serialize_field("internal", &address)?,
            Internal::Prefix(prefix) => object.serialize_field("internal", &prefix)?,
            Internal::Softwire(prefix) => {
                object.serialize_field("internal", &prefix)?;
                object.serialize_field("kind", Internal::SOFTWIRE)?;
                return object.end();
            }
        }
        object.skip_field("kind")?;
        object.end()
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
    fn json_says_what_kind_a_softwire_is() {
        let json = |internal: &str| {
            let subscriber = Subscriber::of(Realm::default(), internal.parse().unwrap());
            serde_json::to_string(&subscriber).unwrap()
        };
        assert_eq!(
            json("100.64.3.9"),
            r#"{"realm":"default","internal":"100.64.3.9"}"#
        );
        assert_eq!(
            json("2001:db8:1:2::/64"),
            r#"{"realm":"default","internal":"2001:db8:1:2::/64"}"#
        );
        assert_eq!(
            json("softwire 2001:db8::9"),
            r#"{"realm":"default","internal":"2001:db8::9","kind":"softwire"}"#
        );
    }

    #[test]
    fn a_name_that_needs_quoting_is_refused() {
        for name in ["", "a b", "a/b", "x\n", &"x".repeat(65)] {
            assert!(Realm::new(name).is_err(), "{name:?}");
        }
        assert_eq!(Realm::new("vrf-7.west").unwrap().as_str(), "vrf-7.west");
    }
}
