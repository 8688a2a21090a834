//! The devices whose events the ledger keeps.

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::subscriber::is_name;

/// A NAT device by its name. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device(Arc<str>);

/// A device's name that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "device name '{0}' cannot be used: 1 to 64 of the letters, digits, '.', '_' and '-' make a name"
)]
pub struct DeviceError(String);

impl Device {
    /// A device by its name.
    ///
    /// # Errors
    /// When the name is not 1 to 64 ASCII letters, digits, `.`, `_` or `-`.
    pub fn new(name: &str) -> Result<Self, DeviceError> {
        if is_name(name) {
            Ok(Self(name.into()))
        } else {
            Err(DeviceError(name.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
