//! What a reader is told beside the format.

use jiff::tz::TimeZone;
use portledger_model::Timestamp;

use crate::Trust;

/// What a reader is told beside the format.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file's name, for [`portledger_model::Source`].
    pub file: String,
    /// The zone of times that are written without one. `None` leaves such times unknown:
    /// [`portledger_model::Zone::Missing`].
    pub zone: Option<TimeZone>,
    /// What is now, or when the file was last written: dates without a year are of the latest
    /// year that does not put them more than a day after it. Needed for traditional syslog only.
    pub reference: Option<Timestamp>,
    /// Which proxies stand in front of the server: who is behind them is read from the headers
    /// that they set.
    pub trust: Trust,
    /// What the operator called the column with the client's port, where the server lets it be
    /// called anything: IIS's custom fields.
    pub port_field: Option<String>,
}

impl Options {
    /// For a file of this name, without a zone and a reference time.
    pub fn new(file: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            zone: None,
            reference: None,
            trust: Trust::default(),
            port_field: None,
        }
    }
}
