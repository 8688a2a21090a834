//! NAT events in flow records.
mod clock;
mod definitions;
mod elements;
mod export;
mod item;
mod life;
mod message;
mod nat;
mod realm;
mod sequence;
mod session;
mod slots;
mod stream;
mod template;
mod templates;
mod waiting;

pub use export::{ExportError, ExportSettings, Exporter, Precision};
pub use item::{BadRecord, Counters, Item, Lie, Limits, Reject, Unit, Unread};
pub use message::Version;
pub use session::{Medium, Session};
