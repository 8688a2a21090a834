//! Under construction.
#![forbid(unsafe_code)]

mod error;
mod index;
mod ledger;
mod log;
#[cfg(test)]
mod testing;
mod writer;

pub use error::{Error, Flaw};
pub use ledger::{Held, Ledger, Rested, Resume, Stats};
pub use writer::{Cut, Options, Recovery, Writer};
