//! An audit on paper: a table for a person, SARIF for continuous integration.

mod sarif;
mod table;

pub use sarif::sarif;
pub use table::{table, verdict};
