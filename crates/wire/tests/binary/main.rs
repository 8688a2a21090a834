//! IPFIX and NetFlow v9 from outside the crate: makers' samples, the RFCs' rules, our own records
//! there and back, bytes that mean harm, and another implementation's opinion.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod build;
mod hostile;
mod peer;
mod protocol;
mod round_trip;
mod samples;
mod show;
