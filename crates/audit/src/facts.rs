//! What is known of each server before any is looked at: `data/servers`, one file each.

use serde::{Deserialize, Serialize};

use crate::Maturity;

/// What is known of a server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// What the command line calls it: `nginx`.
    pub name: String,
    /// What people call it: `Apache httpd`.
    pub title: String,
    /// What the survey of 2018 said (draft-daveor-cgn-logging-04, table 2), where it has a row.
    #[serde(default)]
    pub survey: Option<Verdict>,
    /// What is true of `version`.
    pub today: Verdict,
    /// The version that `today` is about.
    pub version: String,
    /// What `today` rests on.
    pub evidence: Evidence,
    /// Since which version the port can be logged, where that is documented.
    #[serde(default)]
    pub since: Option<String>,
    /// How many bytes the port adds to a line, typically.
    #[serde(default)]
    pub bytes_a_line: Option<u32>,
    /// How the port comes into the log, in a line.
    pub how: String,
    /// Names of log formats, as `--format` takes them.
    pub formats: Vec<String>,
}

/// Possible, feasible, default: the survey's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The source port can be logged by whatever means.
    pub possible: bool,
    /// It can by configuration, without a debug level.
    pub feasible: bool,
    /// A supplied format has it, or it is logged unasked.
    pub default: bool,
}

impl Verdict {
    /// The highest rung that the product reaches by itself.
    pub const fn maturity(self) -> Maturity {
        match (self.possible, self.feasible, self.default) {
            (_, _, true) => Maturity::Default,
            (_, true, _) => Maturity::Feasible,
            (true, ..) => Maturity::Possible,
            _ => Maturity::None,
        }
    }
}

/// What a row rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// The server was started and its log read.
    Run,
    /// Its documentation, and configuration and lines composed after it.
    Documentation,
}
