//! IPFIX and NetFlow v9 from outside the crate: makers' samples, the RFCs' rules, our own records
//! there and back, bytes that mean harm, and another implementation's opinion.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod build;
mod hostile;
mod inside;
mod peer;
mod protocol;
mod round_trip;
mod samples;
mod show;
