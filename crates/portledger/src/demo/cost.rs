//! What the log costs, by block and by session, in one common form.

/// How many records a run makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Blocks handed out and taken back.
    pub(super) block_events: u64,
    /// Sessions: each is created and deleted.
    pub(super) sessions: u64,
}

/// The mandatory fields of a port block event in IPFIX (RFC 8158 §5.6.10), in bytes: time, event,
/// internal address, external address, first and last port.
const BLOCK_RECORD: u64 = 8 + 1 + 4 + 4 + 2 + 2;
/// Those of a NAT44 session event (RFC 8158 §5.6.1): time, event, internal address, external
/// address, protocol, internal port, external port. Destinations, which are optional, would add
/// six more.
const SESSION_RECORD: u64 = 8 + 1 + 4 + 4 + 1 + 2 + 2;

impl Cost {
    pub(super) const fn block_log_bytes(self) -> u64 {
        self.block_events * BLOCK_RECORD
    }

    pub(super) const fn session_log_bytes(self) -> u64 {
        2 * self.sessions * SESSION_RECORD
    }

    /// Bytes by session for each byte by block.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio to show, of counts far below 2^52"
    )]
    pub(super) fn ratio(self) -> f64 {
        let ratio = self.session_log_bytes() as f64 / self.block_log_bytes().max(1) as f64;
        (ratio * 10.0).round() / 10.0
    }
}
