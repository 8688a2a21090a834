//! The maturity model of draft-daveor-cgn-logging: how far a server is from a log that answers.

use serde::{Deserialize, Serialize};

/// Rungs of a ladder: each holds all below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Maturity {
    /// The source port cannot be logged.
    None,
    /// It can, by whatever means: a debug level, an extension, a trigger.
    Possible,
    /// It can by configuration alone, without a debug level.
    Feasible,
    /// A supplied format has it, or it is logged unasked.
    Default,
    /// It is logged here, and the programs that read the log still can: measured.
    Manageable,
    /// A record was found by endpoint and time within the retention: measured.
    Accessible,
}

impl Maturity {
    /// Its name, as JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Possible => "possible",
            Self::Feasible => "feasible",
            Self::Default => "default",
            Self::Manageable => "manageable",
            Self::Accessible => "accessible",
        }
    }

    /// All, lowest first.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Possible,
        Self::Feasible,
        Self::Default,
        Self::Manageable,
        Self::Accessible,
    ];
}

impl std::fmt::Display for Maturity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Maturity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|maturity| maturity.name() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::name).join(", ");
                format!("'{text}' is no maturity; they are {known}")
            })
    }
}
