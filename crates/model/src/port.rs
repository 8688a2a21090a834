//! Ranges of ports.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// Consecutive ports, both ends included, never empty. ICMP identifiers count as ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// A range whose last port comes before its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("port range {first}-{last} ends before it begins")]
pub struct PortRangeError {
    /// The first port given.
    pub first: u16,
    /// The last port given.
    pub last: u16,
}

impl PortRange {
    /// All ports there are.
    pub const ALL: Self = Self {
        first: 0,
        last: u16::MAX,
    };

    /// From `first` to `last`, both included.
    ///
    /// # Errors
    /// When `last` comes before `first`.
    pub const fn new(first: u16, last: u16) -> Result<Self, PortRangeError> {
        if first <= last {
            Ok(Self { first, last })
        } else {
            Err(PortRangeError { first, last })
        }
    }

    /// The one port `port`.
    pub const fn single(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }

    /// The lowest port.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub const fn last(self) -> u16 {
        self.last
    }

    /// How many ports: 1 to 65,536.
    pub const fn count(self) -> u32 {
        self.last as u32 - self.first as u32 + 1
    }

    /// Whether `port` is one of them.
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Whether some port is in both.
    pub const fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_space_has_65536_ports() {
        assert_eq!(PortRange::ALL.count(), 65_536);
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_refused() {
        assert_eq!(
            PortRange::new(2, 1).unwrap_err().to_string(),
            "port range 2-1 ends before it begins"
        );
    }
}
